package workerchannel

import (
	"cmp"
	"errors"
	"reflect"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A half is either side of the protocol, with all the ways in which it takes a message.
type half interface {
	HandleInbound(*Envelope) error
	HandleVerified(Verified) error
	Receive([]byte) (Envelope, error)
	DrainOutbox() (Envelope, bool)
	AppendNext([]byte) ([]byte, Envelope, bool)
	AdvanceTurn()
}

// A trial compares three halves, one for each way in, with their model. A fourth, the witness, never sees a call
// or a message that is refused, and yet must stay equal to them: a refusal changes nothing.
type trial[H half] struct {
	three   [3]H
	witness H
	outbox  *plainOutbox // of the model
	inbound func(Envelope) (refusal, answer error)
}

func newTrial[H half](fresh func() H, outbox *plainOutbox, inbound func(Envelope) (refusal, answer error)) trial[H] {
	return trial[H]{[3]H{fresh(), fresh(), fresh()}, fresh(), outbox, inbound}
}

// call makes a call, which the model answers with want.
func (s *trial[H]) call(t *rapid.T, want error, call func(H) error) {
	for _, h := range s.three {
		requireError(t, want, call(h))
	}
	if want == nil {
		require.NoError(t, call(s.witness))
	}
}

// requireError compares an error and its data with those of the model, which does not know what is wrong with a
// value that cannot be sent, or at which byte.
func requireError(t require.TestingT, want, got error, what ...any) {
	if want == ErrInvalidValue {
		e := new(ValueError)
		require.ErrorAs(t, got, &e, what...)
		return
	}
	if e := new(ParseError); errors.As(got, &e) && e.Err != nil {
		got = e.Err
	}
	require.Equal(t, want, got, what...)
}

func (s *trial[H]) advanceTurn(t *rapid.T) {
	s.outbox.last.IssuedAtTurn++
	s.call(t, nil, func(h H) error { h.AdvanceTurn(); return nil })
}

// drain takes messages from the outboxes; take does that of the model.
func (s *trial[H]) drain(t *rapid.T, take func() (Envelope, bool)) {
	for range fewMessages.Draw(t, "messages") {
		want, some := take()
		asText := rapid.Bool().Draw(t, "as text")
		s.call(t, nil, func(h H) error {
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
				appended += plainWire(want)
			}
			require.Equal(t, appended, string(text))
			return nil
		})
	}
}

func (s *trial[H]) deliver(t *rapid.T, seq uint64, sender *string, op Op) {
	s.handOver(t, plainSeal(Envelope{Version: 1, Header: Header{SeqNo: seq, DecisionSeq: seq}, WorkerID: sender, Op: op}))
}

// handOver gives a message to each half by a way of its own.
func (s *trial[H]) handOver(t *rapid.T, env Envelope) {
	refusal, answer := s.inbound(env)
	want := cmp.Or(refusal, answer)
	held := env
	if env.WorkerID != nil {
		held.WorkerID = ptr(*env.WorkerID)
	}
	requireError(t, want, s.three[0].HandleInbound(&held), "HandleInbound")
	if held.WorkerID != nil {
		*held.WorkerID = "changed by its holder"
	}
	if refusal == nil {
		requireError(t, want, s.witness.HandleInbound(&env), "HandleInbound")
	}

	text, err := env.AppendJSON(nil)
	if err != nil { // it does not come as text
		require.Error(t, refusal)
		requireError(t, want, s.three[1].HandleInbound(&env), "HandleInbound")
		return
	}
	valid := plainVerdict(env) == nil

	v, err := Verify(text)
	if valid {
		require.NoError(t, err)
		requireError(t, want, s.three[1].HandleVerified(v), "HandleVerified")
	} else {
		requireError(t, want, err, "Verify")
		require.ErrorIs(t, s.three[1].HandleVerified(v), ErrInvalidValue)
	}

	read, err := s.three[2].Receive(text)
	clear(text)
	requireError(t, want, err, "Receive")
	if valid {
		require.Equal(t, plainWire(env), plainWire(read), "Receive")
	} else {
		require.Zero(t, read, "Receive")
	}
}

// requireEqual compares the halves with each other.
func (s *trial[H]) requireEqual(t *rapid.T) {
	for i, h := range s.three {
		require.True(t, reflect.DeepEqual(s.witness, h), "%d differs from one that never saw what was refused", i)
	}
}

// seldom makes the one call now and then, and mostly the other.
func seldom(now, mostly func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		if rapid.IntRange(0, 7).Draw(t, "seldom") == 6 {
			now(t)
		} else {
			mostly(t)
		}
	}
}

// drawSeq draws a sequence number about the highest that was accepted.
func drawSeq(t *rapid.T, highest uint64) uint64 {
	return rapid.SampledFrom([]uint64{highest + 1, highest + 3, highest, 1, 0}).Draw(t, "seq no")
}

// waiting returns the messages in an outbox, which have no worker id and no digest before they are taken.
func waiting(o *outbox) (envelopes []Envelope) {
	for i := range o.len() {
		env := Envelope{Op: o.queue[o.head+i].op}
		o.number(&env, i)
		envelopes = append(envelopes, env)
	}
	return envelopes
}

// requireJobs looks every job up by its id.
func requireJobs(t *rapid.T, jobs plainJobs, job func(uint64) (TrackedJob, bool), state func(uint64) (JobState, bool)) {
	for _, id := range fewJobIDs {
		want, err := jobs.find(id)
		if err != nil {
			want = new(plainJob)
		}
		tracked, ok := job(id)
		require.Equal(t, err == nil, ok)
		require.Equal(t, want.TrackedJob, tracked)
		s, ok := state(id)
		require.Equal(t, err == nil, ok)
		require.Equal(t, want.State, s)
	}
}
