package workerchannel

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Somebody attacks who can write to the channel to the host. Nothing secret is needed to make any message of any
// worker.

// siege is a live session of worker w with job 1 queued and job 2 running; that of its predecessor has ended.
func siege(t *testing.T) *scene {
	return newScene(t, "begin with predecessor", "worker w", "w Announce", "deliver", "given job 1 queued", "given job 2 running")
}

// goesOn takes the session on as both sides had meant to, and reports whether all goes well: job 1 is cancelled by the
// whole handshake, job 2 completes, and so does another that is spawned now.
func goesOn(s *scene) bool {
	w := s.worker().ID()
	for _, line := range []string{
		w + " Report 2", "host CancelJob 1", "deliver", w + " AcknowledgeCancel 1", "deliver", w + " CompleteDrain 1", "deliver",
		w + " CompleteFinalize 1", "host SpawnJob 3", "deliver", w + " Complete 2 Ok", w + " Complete 3 Ok", "deliver",
	} {
		if s.do(line) != nil {
			return false
		}
	}
	for _, j := range s.c.Reap() {
		if j.State != StateCompleted {
			return false
		}
	}
	return true
}

// assertRecovers replaces the worker, which is what a host can do in any case, and then goes on.
func assertRecovers(s *scene) {
	s.play("host WorkerLost", "host Reap", "worker successor", "successor Announce", "deliver", "given job 1 queued", "given job 2 running")
	assert.True(s.t, goesOn(s))
}

// forge makes any message of any worker.
func forge(worker string, seqNo uint64, op Op) []byte { return written(fromWorker(worker, seqNo, op)) }

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
// mib returns n MiB of text; with -short a quarter of that.
func mib(n int, text string) string {
	size := n << 20
	if testing.Short() {
		size /= 4
	}
	return strings.Repeat(text, size/len(text))
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
		"an echo of our own message":              {written(fromHost(math.MaxUint64, ShutdownWorker{"echo"})), ErrUnexpectedDirection},
		"our own operation under a worker's name": {forge("w", math.MaxUint64, CancelJob{1, "echo"}), ErrUnexpectedWorkerIdentity},
		"a worker's operation under no name":      {written(fromHost(math.MaxUint64, JobCompleted{2, OutcomeOk{}})), ErrMissingWorkerIdentity},
		"a name that was taken off":               {altered(`"worker_id":"w",`, ``), ErrReplayHashMismatch},
		"one bit that changed":                    {altered(`"message":"message"`, `"message":"lessage"`), ErrReplayHashMismatch},
		"a number that was raised":                {altered(`"seq_no":3`, `"seq_no":18446744073709551615`), ErrReplayHashMismatch},
		"another version":                         {altered(`{"version":1`, `{"version":2`), ErrVersionMismatch},
		"a message that was cut off":              {altered(`null}}`, `nu`), ErrMalformed},
		"two messages in one":                     {append(extra("0"), extra("0")...), ErrMalformed},
		"nothing":                                 {nil, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			s := siege(t)
			before := clone(s.c)
			_, err := s.c.Receive(attack.message)
			assert.ErrorIs(t, err, attack.want)
			assert.Equal(t, before, s.c, "a refusal changes nothing")
			assert.True(t, goesOn(s))
		})
	}
}

// Whoever can write to the channel can be the worker, or speak in its place (PROTOCOL section 11). Each of these is over
// when the host loses that worker and starts another.
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
			s := siege(t)
			_, err := s.c.Receive(attack.message)
			assert.ErrorIs(t, err, attack.want)
			assert.False(t, goesOn(s), "then the documents claim too little")
			assertRecovers(s)
		})
	}
}

// An attacker cannot make the host take memory that he has not paid for with bytes of his own. What these
// messages say makes no difference to the session, whether or not they are accepted.
func TestReceiveTakesMemoryInProportionToTheMessage(t *testing.T) {
	for name, attack := range map[string]struct {
		message func() []byte
		want    error // nil if it is taken
		factor  int   // how many bytes of memory it takes for each of the message, beyond a few KiB
	}{
		"brackets":          {func() []byte { return []byte(mib(8, "[")) }, ErrMalformed, 0},
		"nested arrays":     {func() []byte { return extra(mib(8, "[")) }, ErrMalformed, 0},
		"nested objects":    {func() []byte { return extra(mib(4, `{"x":`)) }, ErrMalformed, 0},
		"nested operations": {func() []byte { return altered(`"op":{`, `"op":{`+mib(4, `"op":{`)) }, ErrMalformed, 0},
		"nested outcomes": {func() []byte {
			return altered(`"op":{`, `"op":{"type":"JobCompleted","outcome":`+mib(4, `{"outcome":`))
		}, ErrMalformed, 0},
		"white space":             {func() []byte { return []byte(mib(4, " ")) }, ErrMalformed, 0},
		"a number":                {func() []byte { return altered(`"seq_no":3`, `"seq_no":`+mib(4, "3")) }, ErrMalformed, 0},
		"an unknown number":       {func() []byte { return extra(mib(4, "3")) }, nil, 0},
		"an unknown array":        {func() []byte { return extra("[" + mib(4, "0,") + "0]") }, nil, 0},
		"an unknown string":       {func() []byte { return extra(`"` + mib(8, "x") + `"`) }, nil, 0},
		"a string without an end": {func() []byte { return extra(`"` + mib(4, "x")) }, ErrMalformed, 0},
		"ill-formed UTF-8":        {func() []byte { return extra(`"` + mib(4, "\xff") + `"`) }, ErrMalformed, 0},
		"quotes after ill-formed UTF-8": {func() []byte {
			return altered(`"message":"`, `"message":"`+mib(2, "é")+"\xff"+mib(2, `"`)) // the string must not be looked at for each
		}, ErrMalformed, 0},
		"quotes after an ill-formed worker id": {func() []byte {
			return altered(`"worker_id":"w"`, `"worker_id":"`+mib(1, "é")+"\xff"+mib(1, `"`)+`"`)
		}, ErrMalformed, 0},
		"a diagnostic refused at its end": {func() []byte {
			return append(bytes.TrimSuffix(forge("w", next, Diagnostic{Message: mib(4, "x")}), []byte("}")), " x"...)
		}, ErrMalformed, 2},
		"a diagnostic with an escape refused at its end": {func() []byte {
			return append(bytes.TrimSuffix(forge("w", next, Diagnostic{Message: "\n" + mib(4, "x")}), []byte("}")), " x"...)
		}, ErrMalformed, 2},
		"a payload refused at its end":  {func() []byte { return payloadOf(zeros(MaxPayloadBytes) + "] x") }, ErrMalformed, 2},
		"unpaired surrogates":           {func() []byte { return extra(`"` + mib(4, `\ud800`) + `"`) }, ErrMalformed, 0},
		"unknown members":               {func() []byte { return extra("0," + mib(4, `"y":0,`) + `"y":0`) }, nil, 0},
		"unknown members in escapes":    {func() []byte { return extra("0," + mib(4, `"\u0079":0,`) + `"y":0`) }, nil, 2},
		"one unknown member in escapes": {func() []byte { return extra(`0,"` + mib(4, `\u0079`) + `":0`) }, nil, 1},
		"a type":                        {func() []byte { return altered(`"Diagnostic"`, `"`+mib(4, "x")+`"`) }, ErrMalformed, 0},
		"a type in escapes":             {func() []byte { return altered(`"Diagnostic"`, `"`+mib(4, `\u0079`)+`"`) }, ErrMalformed, 1},
		"a diagnostic":                  {func() []byte { return forge("w", next, Diagnostic{Message: mib(8, "x")}) }, nil, 2},
		"a diagnostic in escapes":       {func() []byte { return forge("w", next, Diagnostic{Message: mib(4, "\n")}) }, nil, 2},
		"a worker id":                   {func() []byte { return forge(mib(4, "x"), 1, ShutdownCompleted{}) }, ErrWorkerSessionMismatch, 2},
		"a payload one byte over":       {func() []byte { return payloadOf(zeros(MaxPayloadBytes+1) + "]") }, ErrPayloadTooLarge, 2},
		"a payload of that size":        {func() []byte { return payloadOf(strings.Repeat("0,", 2*MaxPayloadBytes)) }, ErrPayloadTooLarge, 2},
		"a payload of commas":           {func() []byte { return payloadOf(mib(4, ",")) }, ErrMalformed, 1},
		"a payload of white space":      {func() []byte { return payloadOf(mib(4, " ")) }, ErrMalformed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, message := siege(t), attack.message()
			before := clone(s.c)
			var err error
			most := 64<<10 + attack.factor*len(message)
			assert.LessOrEqual(t, allocatedBy(func() { _, err = s.c.Receive(message) }), uint64(most))
			require.ErrorIs(t, err, attack.want)
			if err == nil { // then this was the worker itself
				s.worker().out.last.SeqNo, before.lastSeen = next, next
			} else {
				assert.Less(t, len(err.Error()), 512, "the log is not flooded either")
			}
			assert.Equal(t, before, s.c, "nothing is kept")
			assert.True(t, goesOn(s))
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
	const messages = 10_000
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
			s := siege(t)
			before, empty := clone(s.c), heapInUse()
			taken := allocatedBy(func() {
				for n := range messages {
					_, err := s.c.Receive(forge("w", next+1+uint64(n), flood.op(n)))
					require.ErrorIs(t, err, flood.want)
				}
			})
			assert.Less(t, taken/messages, uint64(4<<10), "bytes of memory for a message, with making it")
			assert.Less(t, heapInUse(), empty+1<<20, "bytes kept")
			s.worker().out.last.SeqNo, before.lastSeen = next+messages, next+messages
			assert.Equal(t, before, s.c)
			assert.True(t, goesOn(s))
		})
	}
}
