package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/driver/rpc"
)

// newHost returns a host with one worker, in this process.
func newHost(t testing.TB, handler driver.Handler, opts ...driver.Option) *driver.Host {
	host, err := driver.NewHost(append(opts, driver.WithWorkers(1, func(context.Context) (driver.Conn, error) {
		host, worker := driver.Pipe(0)
		go driver.Serve(context.Background(), worker, "", handler)
		return host, nil
	}))...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, host.Stop(context.Background())) })
	return host
}

// one returns a Mux with the method "f".
func one[In, Out any](f func(ctx context.Context, in In) (Out, error)) driver.Handler {
	mux := rpc.NewMux()
	rpc.Handle(mux, "f", f)
	return mux.Handler()
}

// same is a method that returns what it gets.
func same[T any](_ context.Context, in T) (T, error) { return in, nil }

type pair struct{ A, B int }

func TestBodiesAreJSON(t *testing.T) {
	host := newHost(t, one(func(_ context.Context, in pair) (map[string]int, error) {
		return map[string]int{"sum": in.A + in.B}, nil
	}))
	sum, err := rpc.Call[struct{ Sum int }](t.Context(), host, "f", pair{1, 2})
	assert.NoError(t, err)
	assert.Equal(t, 3, sum.Sum)
	result, err := host.Do(t.Context(), []byte("{\"method\":\"f\"}\n{\"A\":4,\n\"B\":5}"))
	assert.NoError(t, err)
	assert.Equal(t, `{"sum":9}`, string(result))
}

func TestBytesGoAsTheyAre(t *testing.T) {
	host := newHost(t, one(func(_ context.Context, in []byte) ([]byte, error) { return append(in, 0xff, '\n'), nil }))
	for _, in := range []string{"", "{}", "\n\n", "\xff\x00", "null"} {
		result, err := rpc.Call[[]byte](t.Context(), host, "f", []byte(in))
		assert.NoError(t, err)
		assert.Equal(t, in+"\xff\n", string(result))
	}
	result, err := rpc.Call[[]byte](t.Context(), newHost(t, one(same[pair])), "f", pair{1, 2})
	assert.NoError(t, err)
	assert.Equal(t, `{"A":1,"B":2}`, string(result), "JSON, if the other side does not take it as it is")
	v, err := rpc.Call[json.RawMessage](t.Context(), newHost(t, one(same[[]byte])), "f", []byte("[1]"))
	assert.NoError(t, err)
	assert.Equal(t, "[1]", string(v))
}

func TestNothingIsNull(t *testing.T) {
	nothing := func(t *testing.T, handler driver.Handler, want string) {
		host := newHost(t, handler)
		result, err := rpc.Call[[]byte](t.Context(), host, "f", nil)
		assert.NoError(t, err)
		assert.Equal(t, want, string(result))
	}
	nothing(t, one(same[struct{}]), "{}")
	nothing(t, one(same[[]byte]), "")
	nothing(t, one(same[any]), "")
	nothing(t, one(same[*pair]), "null")
	nothing(t, one(same[int]), "0")
	host := newHost(t, one(same[any]))
	p, err := rpc.Call[*pair](t.Context(), host, "f", nil)
	assert.NoError(t, err)
	assert.Nil(t, p)
	_, err = rpc.Call[struct{}](t.Context(), host, "f", struct{}{})
	assert.NoError(t, err)
}

// What does not fit is an error with a code, and the worker goes on.
func TestWhatDoesNotFitHasACode(t *testing.T) {
	mux := rpc.NewMux()
	rpc.Handle(mux, "same", same[pair])
	rpc.Handle(mux, "long", func(context.Context, struct{}) ([]byte, error) {
		return make([]byte, workerchannel.MaxPayloadBytes+1), nil
	})
	rpc.Handle(mux, "no JSON", func(context.Context, struct{}) (func(), error) { return func() {}, nil })
	host := newHost(t, mux.Handler())
	for _, c := range []struct{ payload, code, message string }{
		{"{\"method\":\"Same\"}\n", "unknown_method", `there is no method "Same"`},
		{"{\"method\":\"" + strings.Repeat("x", 100_000) + "\"}\n", "unknown_method", `there is no method "` + strings.Repeat("x", 64) + `"`},
		{"{\"method\":\"same\"}\n[1]", "bad_input", `method "same": the body is not a rpc_test.pair: json: cannot unmarshal array`},
		{"{\"method\":\"same\"}\n{\"A\":\"1\"}", "bad_input", `method "same": the body is not a rpc_test.pair: json: cannot unmarshal string`},
		{"{\"method\":\"same\"}\n{\"A\":1}{}", "bad_input", `method "same": the body is not a rpc_test.pair: invalid character '{'`},
		{"{\"method\":\"same\"}\n{\"A\"", "bad_input", `method "same": the body is not a rpc_test.pair: unexpected end`},
		{"", "bad_input", "header: expected a line feed after it"},
		{"{\"method\":\"same\"}{}", "bad_input", "header: expected a line feed after it"},
		{"{\"method\":7}\n", "bad_input", `header: expected a string, got "7}"`},
		{"{\"method\":\"long\"}\n", "too_large", "the result has 262145 bytes, the limit is 262144: see docs/larger-data.md"},
		{"{\"method\":\"no JSON\"}\n", "failed", "json: unsupported type: func()"},
	} {
		_, err := host.Do(t.Context(), []byte(c.payload))
		var failed *driver.JobError
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, c.code, failed.Code)
		assert.Truef(t, strings.HasPrefix(failed.Message, c.message), "%.100q", failed.Message)
		assert.Less(t, len(failed.Message), 250)
	}
	_, err := rpc.Call[pair](t.Context(), host, "other", nil)
	assert.EqualError(t, err, `driver: job failed: unknown_method: there is no method "other"`)
	_, err = rpc.Call[pair](t.Context(), host, "same", []int{})
	assert.ErrorIs(t, err, driver.ErrJobFailed)
	got, err := rpc.Call[pair](t.Context(), host, "same", pair{1, 2})
	assert.NoError(t, err)
	assert.Equal(t, pair{1, 2}, got)
	assert.Equal(t, uint64(1), host.Stats().WorkersStarted)
	assert.Zero(t, host.Stats().Retries)
}

func TestWhatCannotGoIsNotSent(t *testing.T) {
	host := newHost(t, one(same[any]))
	_, err := rpc.Call[any](t.Context(), host, "f", make([]byte, workerchannel.MaxPayloadBytes))
	var tooLarge *workerchannel.PayloadError
	require.ErrorAs(t, err, &tooLarge)
	assert.Equal(t, workerchannel.MaxPayloadBytes+len("{\"method\":\"f\"}\n"), tooLarge.Size, "the header counts, too")
	assert.ErrorContains(t, err, "docs/larger-data.md")
	_, err = rpc.Call[any](t.Context(), host, "f", func() {})
	assert.EqualError(t, err, `rpc: input of "f": json: unsupported type: func()`)
	assert.Zero(t, host.Stats().Calls)
}

func TestAResultOfAnotherTypeIsAnError(t *testing.T) {
	host := newHost(t, one(same[any]))
	_, err := rpc.Call[int](t.Context(), host, "f", "one")
	assert.EqualError(t, err, `rpc: result of "f": the body is not a int: json: cannot unmarshal string into Go value of type int`)
	var wrong *json.UnmarshalTypeError
	assert.ErrorAs(t, err, &wrong)
	got, err := rpc.Call[pair](t.Context(), host, "f", map[string]any{"A": 1, "B": "2"})
	assert.ErrorAs(t, err, &wrong)
	assert.Zero(t, got)
}

type coded string

func (c coded) Code() string  { return string(c) }
func (c coded) Error() string { return "no such " + string(c) }

func TestErrorsKeepTheirCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want driver.JobError
	}{
		{errors.New("why"), driver.JobError{Code: "failed", Message: "why"}},
		{coded("user"), driver.JobError{Code: "user", Message: "no such user"}},
		{fmt.Errorf("at home: %w", coded("user")), driver.JobError{Code: "user", Message: "at home: no such user"}},
		{coded(""), driver.JobError{Code: "failed", Message: "no such "}},
		{&driver.JobError{Code: "c", Message: "m"}, driver.JobError{Code: "c", Message: "m"}},
		{context.DeadlineExceeded, driver.JobError{Code: "failed", Message: "context deadline exceeded"}},
	} {
		_, err := rpc.Call[any](t.Context(), newHost(t, one(func(context.Context, any) (any, error) { return nil, c.err })), "f", nil)
		assert.Equal(t, &c.want, err)
	}
}

func TestPanicsAndWorkersThatGiveUpAreTheDrivers(t *testing.T) {
	_, err := rpc.Call[any](t.Context(), newHost(t, one(func(context.Context, any) (any, error) { panic("no") })), "f", nil)
	assert.Equal(t, &driver.PanicError{Message: "no"}, err)
	_, err = rpc.Call[any](t.Context(), newHost(t, one(func(context.Context, any) (any, error) {
		return nil, &driver.CancelError{Reason: "out of memory"}
	})), "f", nil)
	assert.Equal(t, &driver.CancelError{Reason: "out of memory"}, err)
}

func TestMetadataReachesTheMethodAndItsOwnCalls(t *testing.T) {
	inner := newHost(t, one(func(ctx context.Context, _ any) (map[string]string, error) { return rpc.Meta(ctx), nil }))
	outer := newHost(t, one(func(ctx context.Context, pass bool) (map[string]string, error) {
		rpc.Meta(ctx)["a"] = "only the copy"
		if pass {
			ctx = rpc.WithMeta(ctx, "c", "3")
		}
		return rpc.Call[map[string]string](ctx, inner, "f", nil)
	}))
	a := rpc.WithMeta(t.Context(), "a", "0")
	ctx := rpc.WithMeta(rpc.WithMeta(a, "b", "2 \"\u20ac\"\n\xff"), "a", "1")
	got, err := rpc.Call[map[string]string](ctx, outer, "f", true)
	assert.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "1", "b": "2 \"\u20ac\"\n\uFFFD", "c": "3"}, got)
	got, err = rpc.Call[map[string]string](a, outer, "f", false)
	assert.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "0"}, got)
	got, err = rpc.Call[map[string]string](t.Context(), inner, "f", nil)
	assert.NoError(t, err)
	assert.Nil(t, got)
	assert.Nil(t, rpc.Meta(t.Context()))
}

// What a worker's own context carries is not what the caller has sent.
func TestMetadataIsOnlyTheCallers(t *testing.T) {
	host, err := driver.NewHost(driver.WithWorkers(1, func(context.Context) (driver.Conn, error) {
		host, worker := driver.Pipe(0)
		go driver.Serve(rpc.WithMeta(context.Background(), "a", "1"), worker, "", one(func(ctx context.Context, _ any) (int, error) {
			return len(rpc.Meta(ctx)), nil
		}))
		return host, nil
	}))
	require.NoError(t, err)
	n, err := rpc.Call[int](t.Context(), host, "f", nil)
	assert.NoError(t, err)
	assert.Zero(t, n)
	assert.NoError(t, host.Stop(t.Context()))
}

func TestProgressIsOfValues(t *testing.T) {
	var log bytes.Buffer
	host := newHost(t, one(func(ctx context.Context, _ any) (any, error) {
		rpc.Progress(ctx, pair{1, 2})
		rpc.Progress(ctx, "between")
		rpc.Progress(ctx, strings.Repeat("x", 16<<10-1))
		rpc.Progress(ctx, func() {})
		rpc.Progress(rpc.WithMeta(ctx, "a", "b"), pair{B: 3})
		return nil, nil
	}), driver.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	var got []pair
	_, err := rpc.Call[any](t.Context(), host, "f", nil, rpc.OnProgress(func(p pair) { got = append(got, p) }))
	assert.NoError(t, err)
	assert.Equal(t, []pair{{1, 2}, {0, 3}}, got)
	require.NoError(t, host.Stop(t.Context()))
	assert.Contains(t, log.String(), "progress is not reported: 16385 bytes of JSON, the limit is 16384")
	assert.Contains(t, log.String(), "progress is not reported: json: unsupported type: func()")
	rpc.Progress(t.Context(), "nobody hears it")
}

func TestMethodsAreRegisteredOnceAndAtAnyTime(t *testing.T) {
	mux := rpc.NewMux()
	host := newHost(t, mux.Handler())
	rpc.Handle(mux, "f", same[int])
	n, err := rpc.Call[int](t.Context(), host, "f", 7)
	assert.NoError(t, err)
	assert.Equal(t, 7, n)
	assert.PanicsWithValue(t, `rpc: Handle: the method "f" is registered already`, func() { rpc.Handle(mux, "f", same[int]) })
	for _, name := range []string{"", "\xff"} {
		assert.Panics(t, func() { rpc.Handle(mux, name, same[int]) })
	}
	assert.Panics(t, func() { rpc.Handle[int, int](mux, "g", nil) })
}

func TestLabelOfACallIsItsMethod(t *testing.T) {
	host := newHost(t, one(same[string]))
	labels := make(chan string, 100)
	defer host.Observe(func(e driver.Event) {
		if e.Kind == driver.EventSent && e.Label != "" {
			labels <- e.Label
		}
	})()
	_, err := rpc.Call[string](t.Context(), host, "f", "x")
	assert.NoError(t, err)
	_, err = rpc.Call[string](t.Context(), host, "f", "x", driver.WithLabel("mine"))
	assert.NoError(t, err)
	assert.Equal(t, "f", <-labels)
	assert.Equal(t, "mine", <-labels)
}
