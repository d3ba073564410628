package peers

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/driver/rpc"
	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

// later is a context that has a deadline and does not end: only the worker notices it.
type later struct {
	context.Context
	at time.Time
}

func (l later) Deadline() (time.Time, bool) { return l.at, true }

// Workers in other languages answer calls of package rpc as one in Go does.
func TestPeersAnswerCallsByName(t *testing.T) {
	for name, command := range map[string]func() *exec.Cmd{
		"python":     func() *exec.Cmd { return exec.Command(tooltest.Path(t, "python3", "python3"), "-B", "python/rpc.py") },
		"javascript": func() *exec.Cmd { return exec.Command(tooltest.Path(t, "nodejs", "node"), "javascript/rpc.js") },
	} {
		t.Run(name, func(t *testing.T) {
			command() // may skip
			host, err := driver.NewHost(driver.WithLimits(patient), driver.WithWorkers(1, func(context.Context) (driver.Conn, error) {
				cmd := command()
				cmd.Stderr = os.Stderr
				return driver.Start(cmd)
			}))
			require.NoError(t, err)
			answers(t, host)
			assert.NoError(t, host.Stop(context.Background()))
			if ends := host.Stats().Ended; assert.Len(t, ends, 1) {
				assert.NoError(t, ends[0].Err, "it has left in order")
			}
		})
	}
}

// patient are limits for a machine that is busy.
var patient = driver.Limits{
	Boot: time.Minute, Silence: time.Minute, Answer: time.Minute, Send: time.Minute, Cancel: time.Minute, Drain: time.Minute,
	Finalize: time.Minute, Shutdown: time.Minute,
}

func answers(t *testing.T, host *driver.Host) {
	ctx := t.Context()
	sum, err := rpc.Call[int](ctx, host, "add", map[string]int{"A": 1, "B": 2})
	assert.NoError(t, err)
	assert.Equal(t, 3, sum)
	reversed, err := rpc.Call[[]byte](ctx, host, "reverse", []byte("\xff\n{}"))
	assert.NoError(t, err)
	assert.Equal(t, "}{\n\xff", string(reversed))
	meta, err := rpc.Call[map[string]string](rpc.WithMeta(rpc.WithMeta(ctx, "a", "é\n"), "b", ""), host, "meta", nil)
	assert.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "é\n", "b": ""}, meta)
	meta, err = rpc.Call[map[string]string](ctx, host, "meta", nil)
	assert.NoError(t, err)
	assert.Empty(t, meta)
	type progress struct{ Done int }
	var got []progress
	nothing, err := rpc.Call[*int](ctx, host, "count", 3, rpc.OnProgress(func(p progress) { got = append(got, p) }))
	assert.NoError(t, err)
	assert.Nil(t, nothing)
	assert.Equal(t, []progress{{1}, {2}, {3}}, got)

	for _, c := range []struct{ payload, code, message string }{
		{"{\"method\":\"find\"}\n\"Ann\"", "no_such_user", "Ann"},
		{"{\"method\":\"subtract\"}\n", "unknown_method", "there is no method"},
		{"{\"method\":\"constructor\"}\n", "unknown_method", "there is no method"},
		{"{\"method\":\"add\"}\n[]", "bad_input", ""},
		{"{\"method\":\"add\"}\n{\"A\":1,", "bad_input", ""},
		{"{\"method\":\"add\"}\n\xff", "bad_input", ""},
		{"{\"method\":\"add\"}", "bad_input", "header: "},
		{"", "bad_input", "header: "},
		{"null\n", "bad_input", "header: "},
		{"{\"method\":\"\"}\n", "bad_input", "header: "},
		{"{\"method\":[1]}\n", "bad_input", "header: "},
		{"{\"method\":\"add\"\n", "bad_input", "header: "},
		{"{\"METHOD\":\"add\"}\n", "bad_input", "header: "},
		{"\uFEFF{\"method\":\"add\"}\n", "bad_input", "header: "},
		{"{\"method\":\"meta\",\"timeout_ms\":-1}\n", "bad_input", "header: "},
		{"{\"method\":\"meta\",\"timeout_ms\":\"1\"}\n", "bad_input", "header: "},
		{"{\"method\":\"meta\",\"timeout_ms\":1.5}\n", "bad_input", "header: "},
		{"{\"method\":\"meta\",\"meta\":[]}\n", "bad_input", "header: "},
		{"{\"method\":\"wait\",\"timeout_ms\":0}\n", "deadline_exceeded", ""},
		{"{\"method\":\"large\"}\n", "too_large", "the result has 262145 bytes, the limit is 262144"},
	} {
		_, err := host.Do(ctx, []byte(c.payload))
		var failed *driver.JobError
		if assert.ErrorAsf(t, err, &failed, "%q", c.payload) {
			assert.Equal(t, c.code, failed.Code, "%q: %s", c.payload, failed.Message)
			assert.Contains(t, failed.Message, c.message)
		}
	}
	_, err = rpc.Call[any](ctx, host, "crash", nil)
	assert.ErrorIs(t, err, driver.ErrPanicked)
	_, err = rpc.Call[any](ctx, host, "reverse", make([]byte, wc.MaxPayloadBytes))
	assert.ErrorIs(t, err, wc.ErrPayloadTooLarge)

	_, err = rpc.Call[any](later{ctx, time.Now().Add(20 * time.Millisecond)}, host, "wait", nil) // the worker ends it
	assert.IsType(t, &driver.CancelError{}, err)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	cancels(t, host)
	sum, err = rpc.Call[int](ctx, host, "add", map[string]int{"A": 7, "B": 9223372036854})
	assert.NoError(t, err)
	assert.Equal(t, 9223372036861, sum)
}

// cancels has the worker let go of a job that waits, of some that run, and of one that takes its time.
func cancels(t *testing.T, host *driver.Host) {
	given, draining, drained := make(chan bool, 100), make(chan bool, 100), make(chan bool, 100)
	defer host.Observe(func(e driver.Event) {
		if e.Kind != driver.EventSent && e.Kind != driver.EventReceived {
			return
		}
		switch e.Envelope.Op.Type() {
		case wc.OpSpawnJob:
			given <- true
		case wc.OpDrainJob:
			draining <- true
		case wc.OpDrainCompleted:
			drained <- true
		}
	})()
	waiting := make(chan string, 100)
	ended := make(chan error, 100)
	call := func(method string) (cancel func()) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := rpc.Call[any](ctx, host, method, nil, rpc.OnProgress(func(s string) { waiting <- s }))
			ended <- err
		}()
		<-given
		return cancel
	}
	var running [4]func()
	for i := range running {
		running[i] = call("wait")
	}
	fifth := call("wait") // in advance
	for range running {
		assert.Equal(t, "waiting", <-waiting)
	}
	fifth()
	assert.ErrorIs(t, <-ended, context.Canceled)
	for _, cancel := range running {
		cancel()
		assert.ErrorIs(t, <-ended, context.Canceled)
	}
	assert.Empty(t, waiting, "the fifth is not begun")
	for range 5 {
		<-draining
		<-drained
	}

	cancel := call("hold")
	<-waiting
	cancel()
	<-draining
	_, err := rpc.Call[any](t.Context(), host, "meta", nil)
	assert.NoError(t, err)
	assert.Empty(t, drained, "it has not let go")
	_, err = rpc.Call[any](t.Context(), host, "release", nil)
	assert.NoError(t, err)
	assert.ErrorIs(t, <-ended, context.Canceled)
}
