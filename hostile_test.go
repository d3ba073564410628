package workerchannel

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A siege is a live session, with job 1 queued and job 2 running, for somebody to attack who can write to
// the channel to the host. It is that of worker w; the session of its predecessor has ended.
type siege struct {
	c *Coordinator
	w *Worker
}

func newSiege(t *testing.T) *siege {
	s := &siege{NewCoordinator(42), NewWorker("w", 42)}
	_, err := s.c.Receive(forge("predecessor", 1, BootstrapReady{"predecessor"}))
	require.NoError(t, err)
	require.NoError(t, s.w.Announce())
	require.NoError(t, s.exchange())
	for id := uint64(1); id <= 2; id++ {
		require.NoError(t, s.c.SpawnJob(SpawnJob{JobID: id}))
	}
	require.NoError(t, s.exchange())
	require.NoError(t, s.w.Start(2))
	require.NoError(t, s.exchange())
	return s
}

// exchange carries messages, as bytes, until both sides are silent, and returns the first refusal.
func (s *siege) exchange() error {
	for s.c.OutboxLen()+s.w.OutboxLen() > 0 {
		for env := range s.c.Outbox() {
			text, err := env.AppendJSON(nil)
			if err != nil {
				return err
			}
			if _, err := s.w.Receive(text); err != nil {
				return err
			}
		}
		for env := range s.w.Outbox() {
			text, err := env.AppendJSON(nil)
			if err != nil {
				return err
			}
			if _, err := s.c.Receive(text); err != nil {
				return err
			}
		}
	}
	return nil
}

// lives takes the session on as both sides had meant to, and returns the first thing that fails: job 1 is
// cancelled by the whole handshake, job 2 completes, and so does another that is spawned now.
func (s *siege) lives() error {
	calls := []func() error{
		func() error { return s.w.Report(2, "half way") },
		func() error { return s.c.CancelJob(1, "no longer needed") },
		func() error { return s.w.AcknowledgeCancel(1) },
		func() error { return s.w.CompleteDrain(1) },
		func() error { return s.w.CompleteFinalize(1) },
		func() error { return s.c.SpawnJob(SpawnJob{JobID: 3}) },
		func() error { return s.w.Complete(2, OutcomeOk{}) },
		func() error { return s.w.Complete(3, OutcomeOk{}) },
	}
	for _, call := range calls {
		if err := call(); err != nil {
			return err
		}
		if err := s.exchange(); err != nil {
			return err
		}
	}
	for _, j := range s.c.Reap() {
		if j.State != StateCompleted {
			return fmt.Errorf("job %d %v", j.JobID, j.State)
		}
	}
	return nil
}

// recovers replaces the worker, which is what a host can do in any case, and then lives.
func (s *siege) recovers(t *testing.T) {
	s.c.WorkerLost()
	assert.Zero(t, s.c.InflightCount())
	s.c.Reap()
	s.w = NewWorker("successor", 42)
	require.NoError(t, s.w.Announce())
	require.NoError(t, s.exchange())
	for id := uint64(1); id <= 2; id++ {
		require.NoError(t, s.c.SpawnJob(SpawnJob{JobID: id}))
	}
	require.NoError(t, s.exchange())
	require.NoError(t, s.lives())
}

// forge makes any message of any worker. Nothing secret is needed for it.
func forge(worker string, seq uint64, op Op) []byte {
	return seal(Envelope{Header: Header{SeqNo: seq}, WorkerID: &worker, Op: op})
}

// seal writes an envelope with the right version and digest.
func seal(env Envelope) []byte {
	env.Version, env.ReplayHash = ProtocolVersion, ReplayHash(env.Header, env.WorkerID, env.Op)
	text, err := env.AppendJSON(nil)
	if err != nil {
		panic(err)
	}
	return text
}

// next is the number of the active worker's next message.
const next = 3

// altered is a message of the active worker with something in its text replaced.
func altered(old, new string) []byte {
	text := forge("w", next, Diagnostic{Category: "category", Message: "message"})
	if bytes.Count(text, []byte(old)) != 1 {
		panic("there is not one " + old)
	}
	return bytes.Replace(text, []byte(old), []byte(new), 1)
}

// extra is a message of the active worker with an unknown member.
func extra(value string) []byte { return altered(`{"version"`, `{"x":`+value+`,"version"`) }

// mib is so many MiB of a text.
func mib(n int, text string) string { return strings.Repeat(text, n<<20/len(text)) }

// allocated returns how many bytes a call takes from the heap, counting what it gives back as well.
func allocated(call func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// heap returns how many bytes of the heap are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAttacksThatComeToNothing(t *testing.T) {
	for name, attack := range map[string]struct {
		message []byte
		want    error
	}{
		"the bootstrap of the session, repeated":  {forge("w", 1, BootstrapReady{"w"}), ErrInboundSequenceNotFresh},
		"a failure under a number that was used":  {forge("w", 2, BootstrapFailed{"w", "crash"}), ErrInboundSequenceNotFresh},
		"an outcome under a number that was used": {forge("w", 2, JobCompleted{2, OutcomeOk{}}), ErrInboundSequenceNotFresh},
		"the bootstrap of an ended worker":        {forge("predecessor", 1, BootstrapReady{"predecessor"}), ErrRetiredWorker},
		"the same under the highest number":       {forge("predecessor", math.MaxUint64, BootstrapReady{"predecessor"}), ErrRetiredWorker},
		"a late failure of an ended worker":       {forge("predecessor", math.MaxUint64, BootstrapFailed{"predecessor", "crash"}), ErrRetiredWorker},
		"a late outcome of an ended worker":       {forge("predecessor", math.MaxUint64, JobCompleted{2, OutcomeOk{}}), ErrWorkerSessionMismatch},
		"an outcome from a stranger":              {forge("stranger", math.MaxUint64, JobCompleted{2, OutcomeOk{}}), ErrWorkerSessionMismatch},
		"the end of the session from a stranger":  {forge("stranger", math.MaxUint64, ShutdownCompleted{}), ErrWorkerSessionMismatch},
		"a bootstrap under the number 0":          {forge("stranger", 0, BootstrapReady{"stranger"}), ErrInboundSequenceNotFresh},
		"a bootstrap in an envelope of another":   {forge("w", math.MaxUint64, BootstrapReady{"stranger"}), ErrWorkerIdentityMismatch},
		"an echo of our own message":              {seal(Envelope{Header: Header{SeqNo: math.MaxUint64}, Op: ShutdownWorker{"echo"}}), ErrUnexpectedDirection},
		"our own operation under a worker's name": {seal(Envelope{Header: Header{SeqNo: math.MaxUint64}, WorkerID: new("w"), Op: CancelJob{1, "echo"}}), ErrUnexpectedWorkerIdentity},
		"a worker's operation under no name":      {seal(Envelope{Header: Header{SeqNo: math.MaxUint64}, Op: JobCompleted{2, OutcomeOk{}}}), ErrMissingWorkerIdentity},
		"a name that was taken off":               {altered(`"worker_id":"w",`, ``), ErrReplayHashMismatch},
		"one bit that changed":                    {altered(`"message":"message"`, `"message":"lessage"`), ErrReplayHashMismatch},
		"a number that was raised":                {altered(`"seq_no":3`, `"seq_no":18446744073709551615`), ErrReplayHashMismatch},
		"another version":                         {altered(`{"version":1`, `{"version":2`), ErrVersionMismatch},
		"a message that was cut off":              {altered(`null}}`, `nu`), ErrMalformed},
		"two messages in one":                     {append(extra("0"), extra("0")...), ErrMalformed},
		"nothing":                                 {nil, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSiege(t)
			before := clone(s.c)
			_, err := s.c.Receive(attack.message)
			assert.ErrorIs(t, err, attack.want)
			assert.Equal(t, before, s.c, "a refusal changes nothing")
			assert.NoError(t, s.lives())
		})
	}
}

// Who can write to the channel and knows the protocol can be the worker, or speak in its place. The README
// lists these; each is over when the host loses that worker and starts another.
func TestAttacksThatTheProtocolCannotPrevent(t *testing.T) {
	for name, attack := range map[string]struct {
		message []byte
		want    error
	}{
		"a forged bootstrap takes the session over":                       {forge("stranger", 1, BootstrapReady{"stranger"}), nil},
		"a forged failed bootstrap ends the session":                      {forge("stranger", 1, BootstrapFailed{"stranger", ""}), ErrBootstrapFailed},
		"the end of the session, forged in the worker's name, is the end": {forge("w", next, ShutdownCompleted{}), nil},
		"an outcome forged in the worker's name is the job's":             {forge("w", next, JobCompleted{2, OutcomeOk{}}), nil},
		"anything forged in the worker's name uses up its next number":    {forge("w", next, Diagnostic{}), nil},
		"the highest number in the worker's name silences the worker":     {forge("w", math.MaxUint64, Diagnostic{}), nil},
		"the same with an operation that does not fit":                    {forge("w", math.MaxUint64, FinalizeCompleted{2}), ErrInvalidTransition},
		"a bootstrap in the worker's name under the highest number, too":  {forge("w", math.MaxUint64, BootstrapReady{"w"}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSiege(t)
			_, err := s.c.Receive(attack.message)
			assert.ErrorIs(t, err, attack.want)
			assert.Error(t, s.lives(), "then take it off the list in the README")
			s.recovers(t)
		})
	}
}

// An attacker cannot make the host take memory that he has not paid for with bytes of his own. What these
// messages say makes no difference to the session, whether or not they are accepted.
func TestMemoryIsInProportionToTheMessage(t *testing.T) {
	for name, attack := range map[string]struct {
		message func() []byte
		want    error // nil if it is taken
		factor  int   // how many bytes of memory it takes for each of the message, beyond a few KiB
	}{
		"brackets":          {func() []byte { return []byte(mib(64, "[")) }, ErrMalformed, 0},
		"nested arrays":     {func() []byte { return extra(mib(64, "[")) }, ErrMalformed, 0},
		"nested objects":    {func() []byte { return extra(mib(4, `{"x":`)) }, ErrMalformed, 0},
		"nested operations": {func() []byte { return altered(`"op":{`, `"op":{`+mib(4, `"op":{`)) }, ErrMalformed, 0},
		"nested outcomes": {func() []byte {
			return altered(`"op":{`, `"op":{"type":"JobCompleted","outcome":`+mib(4, `{"outcome":`))
		}, ErrMalformed, 0},
		"white space":                   {func() []byte { return []byte(mib(4, " ")) }, ErrMalformed, 0},
		"a number":                      {func() []byte { return altered(`"seq_no":3`, `"seq_no":`+mib(4, "3")) }, ErrMalformed, 0},
		"an unknown number":             {func() []byte { return extra(mib(4, "3")) }, nil, 0},
		"an unknown array":              {func() []byte { return extra("[" + mib(4, "0,") + "0]") }, nil, 0},
		"an unknown string":             {func() []byte { return extra(`"` + mib(64, "x") + `"`) }, nil, 0},
		"a string without an end":       {func() []byte { return extra(`"` + mib(4, "x")) }, ErrMalformed, 0},
		"ill-formed UTF-8":              {func() []byte { return extra(`"` + mib(4, "\xff") + `"`) }, ErrMalformed, 0},
		"unpaired surrogates":           {func() []byte { return extra(`"` + mib(4, `\ud800`) + `"`) }, ErrMalformed, 0},
		"unknown members":               {func() []byte { return extra("0," + mib(4, `"y":0,`) + `"y":0`) }, nil, 0},
		"unknown members in escapes":    {func() []byte { return extra("0," + mib(4, `"\u0079":0,`) + `"y":0`) }, nil, 2},
		"one unknown member in escapes": {func() []byte { return extra(`0,"` + mib(4, `\u0079`) + `":0`) }, nil, 1},
		"a type":                        {func() []byte { return altered(`"Diagnostic"`, `"`+mib(4, "x")+`"`) }, ErrMalformed, 0},
		"a type in escapes":             {func() []byte { return altered(`"Diagnostic"`, `"`+mib(4, `\u0079`)+`"`) }, ErrMalformed, 1},
		"a diagnostic":                  {func() []byte { return forge("w", next, Diagnostic{Message: mib(64, "x")}) }, nil, 2},
		"a diagnostic in escapes":       {func() []byte { return forge("w", next, Diagnostic{Message: mib(4, "\n")}) }, nil, 2},
		"a worker id":                   {func() []byte { return forge(mib(4, "x"), 1, ShutdownCompleted{}) }, ErrWorkerSessionMismatch, 2},
		"a payload one byte over":       {func() []byte { return payloadOf(zeros(MaxPayloadBytes+1) + "]") }, ErrPayloadTooLarge, 2},
		"a payload of that size":        {func() []byte { return payloadOf(mib(4, "0,")) }, ErrPayloadTooLarge, 2},
		"a payload of commas":           {func() []byte { return payloadOf(mib(4, ",")) }, ErrMalformed, 1},
		"a payload of white space":      {func() []byte { return payloadOf(mib(4, " ")) }, ErrMalformed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, message := newSiege(t), attack.message()
			before := clone(s.c)
			var err error
			most := 64<<10 + attack.factor*len(message)
			assert.LessOrEqual(t, allocated(func() { _, err = s.c.Receive(message) }), uint64(most))
			require.ErrorIs(t, err, attack.want)
			if err == nil { // then this was the worker itself
				s.w.out.last.SeqNo, before.lastSeen = next, next
			} else {
				assert.Less(t, len(err.Error()), 512, "the log is not flooded either")
			}
			assert.Equal(t, before, s.c, "nothing is kept")
			assert.NoError(t, s.lives())
		})
	}
}

// zeros is so many elements of an array.
func zeros(n int) string { return strings.Repeat("0,", n-1) + "0" }

// payloadOf is an outcome with a payload that ends with a text.
func payloadOf(text string) []byte {
	return altered(`"op":{"type":"Diagnostic"`, `"op":{"type":"JobCompleted","job_id":2,"outcome":{"status":"Ok","payload":[`+text)
}

// What is accepted can be repeated without end. Each message is forgotten with its answer.
func TestFloodsLeaveNothingBehind(t *testing.T) {
	const messages = 50_000
	answers := []Op{
		JobCompleted{9, OutcomeOk{}}, StatusSnapshot{JobID: 9, State: StateRunning}, CancelAcknowledged{9}, DrainCompleted{9}, FinalizeCompleted{9},
	}
	for name, flood := range map[string]struct {
		op   func(n int) Op
		want error
	}{
		"diagnostics":                   {func(int) Op { return Diagnostic{Message: "flood"} }, nil},
		"answers for jobs never had":    {func(n int) Op { return answers[n%len(answers)] }, ErrUnknownJobID},
		"snapshots of the same state":   {func(int) Op { return StatusSnapshot{JobID: 2, State: StateRunning} }, nil},
		"answers that nobody asked for": {func(int) Op { return CancelAcknowledged{2} }, ErrInvalidTransition},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSiege(t)
			before, empty := clone(s.c), heap()
			taken := allocated(func() {
				for n := range messages {
					_, err := s.c.Receive(forge("w", next+1+uint64(n), flood.op(n)))
					require.ErrorIs(t, err, flood.want)
				}
			})
			assert.Less(t, taken/messages, uint64(4<<10), "bytes of memory for a message, with making it")
			assert.Less(t, heap(), empty+1<<20, "bytes kept")
			s.w.out.last.SeqNo, before.lastSeen = next+messages, next+messages
			assert.Equal(t, before, s.c)
			assert.NoError(t, s.lives())
		})
	}
}

// A flood of bootstraps takes the session over each time, which nothing can prevent. What is kept of them
// are the ids of the latest 1,024, to refuse those workers what they say later.
func TestAFloodOfBootstrapsIsForgottenButForTheLatest(t *testing.T) {
	const ended = 1024
	s := newSiege(t)
	bootstrap := func(n int) error {
		id := fmt.Sprint("stranger ", n)
		_, err := s.c.Receive(forge(id, 1, BootstrapReady{id}))
		return err
	}
	empty := heap()
	for n := range 10 * ended {
		require.NoError(t, bootstrap(n))
	}
	assert.Less(t, heap(), empty+1<<20, "bytes kept")
	for n := 9*ended - 1; n < 10*ended-1; n++ {
		require.ErrorIs(t, bootstrap(n), ErrRetiredWorker)
	}
	assert.NoError(t, bootstrap(9*ended-2), "the protocol promises no more: an id that old counts as new")
	s.recovers(t)
}

// An id may be as long as the transport lets a message be, and the latest are kept.
func TestLongWorkerIDsTakeNoMoreThanTheirLength(t *testing.T) {
	s := newSiege(t)
	empty, sent := heap(), uint64(0)
	for n := range 16 {
		id := fmt.Sprint(n, mib(1, "x"))
		message := forge(id, 1, BootstrapReady{id})
		sent += uint64(len(message))
		_, err := s.c.Receive(message)
		require.NoError(t, err)
	}
	assert.Less(t, heap(), empty+sent)
	s.recovers(t)
}
