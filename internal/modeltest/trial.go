// Package modeltest tests both halves from outside: against the model, with each other, and by the journals of testdata.
// It has what tests of other packages need to compare a half with its model; only tests import it.
package modeltest

import (
	"cmp"
	"math"
	"reflect"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
	"pgregory.net/rapid"
)

// A Half is either side of the protocol, with all the ways in which it takes a message.
type Half interface {
	HandleInbound(*wc.Envelope) error
	HandleVerified(wc.Verified) error
	Receive([]byte) (wc.Envelope, error)
	DrainOutbox() (wc.Envelope, bool)
	AppendNext([]byte) ([]byte, wc.Envelope, bool)
	AppendBatch([]byte, []wc.Outgoing, int) ([]byte, int)
	AdvanceTurn()
}

// A Trial compares three halves, one for each way in, with their model. A fourth, the witness, never sees a call
// or a message that is refused, and yet must stay equal to them: a refusal changes nothing.
type Trial[H Half] struct {
	three   [3]H
	Witness H
	outbox  *model.Outbox // of the model
	inbound func(wc.Envelope) (refusal, answer error)
}

// NewTrial returns a trial of halves that fresh makes; outbox and inbound are those of the model.
func NewTrial[H Half](fresh func() H, outbox *model.Outbox, inbound func(wc.Envelope) (refusal, answer error)) Trial[H] {
	return Trial[H]{[3]H{fresh(), fresh(), fresh()}, fresh(), outbox, inbound}
}

// Call makes a call, which the model answers with want.
func (s *Trial[H]) Call(t *rapid.T, want error, call func(H) error) {
	for _, h := range s.three {
		model.RequireError(t, want, call(h))
	}
	if want == nil {
		require.NoError(t, call(s.Witness))
	}
}

// AdvanceTurn begins the next turn.
func (s *Trial[H]) AdvanceTurn(t *rapid.T) {
	s.outbox.Last.IssuedAtTurn++
	s.Call(t, nil, func(h H) error { h.AdvanceTurn(); return nil })
}

// Drain takes messages from the outboxes; take does that of the model.
func (s *Trial[H]) Drain(t *rapid.T, take func() (wc.Envelope, bool)) {
	if rapid.Bool().Draw(t, "together") {
		s.drainBatch(t, take)
		return
	}
	for range rapid.IntRange(1, 6).Draw(t, "messages") {
		want, some := take()
		asText := rapid.Bool().Draw(t, "as text")
		s.Call(t, nil, func(h H) error {
			if !asText {
				env, ok := h.DrainOutbox()
				require.Equal(t, some, ok)
				require.Equal(t, want, env)
				return nil
			}
			text, env, ok := h.AppendNext([]byte("before"))
			require.Equal(t, some, ok)
			require.Equal(t, want, env)
			appended := "before"
			if ok {
				appended += model.Wire(want)
			}
			require.Equal(t, appended, string(text))
			return nil
		})
	}
}

func (s *Trial[H]) drainBatch(t *rapid.T, take func() (wc.Envelope, bool)) {
	room := rapid.IntRange(0, 10).Draw(t, "room")
	most, size := room, math.MaxInt
	if rapid.Bool().Draw(t, "one at most") {
		most, size = min(1, room), 0
	}
	var want []wc.Envelope
	for len(want) < most {
		env, some := take()
		if !some {
			break
		}
		want = append(want, env)
	}
	s.Call(t, nil, func(h H) error {
		batch := make([]wc.Outgoing, room)
		text, n := h.AppendBatch([]byte("before"), batch, size)
		require.Equal(t, "before", string(text[:len("before")]))
		require.Equal(t, len(want), n)
		for i, env := range want {
			require.Equal(t, env, batch[i].Envelope)
			require.Equal(t, model.Wire(env), string(batch[i].Text))
		}
		return nil
	})
}

// Deliver gives a sealed message to each half.
func (s *Trial[H]) Deliver(t *rapid.T, seq uint64, sender *string, op wc.Op) {
	s.HandOver(t, model.Seal(wc.Envelope{Version: 1, Header: wc.Header{SeqNo: seq, DecisionSeq: seq}, WorkerID: sender, Op: op}))
}

// HandOver gives a message to each half by a way of its own.
func (s *Trial[H]) HandOver(t *rapid.T, env wc.Envelope) {
	refusal, answer := s.inbound(env)
	want := cmp.Or(refusal, answer)
	held := env
	if env.WorkerID != nil {
		held.WorkerID = new(*env.WorkerID)
	}
	model.RequireError(t, want, s.three[0].HandleInbound(&held), "HandleInbound")
	if held.WorkerID != nil {
		*held.WorkerID = "changed by its holder"
	}
	if refusal == nil {
		model.RequireError(t, want, s.Witness.HandleInbound(&env), "HandleInbound")
	}

	text, err := env.AppendJSON(nil)
	if err != nil { // it does not come as text
		require.Error(t, refusal)
		model.RequireError(t, want, s.three[1].HandleInbound(&env), "HandleInbound")
		return
	}
	valid := model.Verdict(env) == nil

	v, err := wc.Verify(text)
	if valid {
		require.NoError(t, err)
		model.RequireError(t, want, s.three[1].HandleVerified(v), "HandleVerified")
	} else {
		model.RequireError(t, want, err, "Verify")
		require.ErrorIs(t, s.three[1].HandleVerified(v), wc.ErrInvalidValue)
	}

	read, err := s.three[2].Receive(text)
	clear(text)
	model.RequireError(t, want, err, "Receive")
	if valid {
		require.Equal(t, model.Wire(env), model.Wire(read), "Receive")
	} else {
		require.Zero(t, read, "Receive")
	}
}

// RequireEqual compares the halves with each other.
func (s *Trial[H]) RequireEqual(t *rapid.T) {
	for i, h := range s.three {
		require.True(t, reflect.DeepEqual(s.Witness, h), "%d differs from one that never saw what was refused", i)
	}
}

// Seldom makes the one call now and then, and mostly the other.
func Seldom(now, mostly func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		if rapid.IntRange(0, 7).Draw(t, "seldom") == 6 {
			now(t)
		} else {
			mostly(t)
		}
	}
}

// DrawSeq draws a sequence number about the highest that was accepted.
func DrawSeq(t *rapid.T, highest uint64) uint64 {
	return rapid.SampledFrom([]uint64{highest + 1, highest + 3, highest, 1, 0}).Draw(t, "seq no")
}

// RequireJobs looks every job up by its id.
func RequireJobs(t *rapid.T, jobs model.Jobs, job func(uint64) (wc.TrackedJob, bool), state func(uint64) (wc.JobState, bool)) {
	for _, id := range model.FewJobIDs {
		want, err := jobs.Find(id)
		if err != nil {
			want = new(model.Job)
		}
		tracked, ok := job(id)
		require.Equal(t, err == nil, ok)
		require.Equal(t, want.TrackedJob, tracked)
		s, ok := state(id)
		require.Equal(t, err == nil, ok)
		require.Equal(t, want.State, s)
	}
}
