package driver_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
)

// What the recipes (example_*_test.go) promise beyond their output.

func serving(handler driver.Handler, opts ...driver.ServeOption) driver.Dial {
	return func(context.Context) (driver.Conn, error) {
		host, worker := driver.Pipe(0)
		go driver.Serve(context.Background(), worker, "", handler, opts...)
		return host, nil
	}
}

func newHost(t *testing.T, opts ...driver.Option) *driver.Host {
	host, err := driver.NewHost(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, host.Stop(context.Background())) })
	return host
}

func TestTheServiceHasAStatusForEachErrorOfDo(t *testing.T) {
	late := context.DeadlineExceeded
	for _, c := range []struct {
		err  error
		want int
	}{
		{&driver.JobError{Code: "failed", Message: "no such file"}, http.StatusUnprocessableEntity},
		{&driver.PanicError{Message: "nil map"}, http.StatusInternalServerError},
		{&driver.CancelError{Cause: late}, http.StatusGatewayTimeout},
		{&driver.CancelError{Cause: driver.ErrRunLimit}, http.StatusGatewayTimeout},
		{&driver.CancelError{Cause: context.Canceled}, http.StatusServiceUnavailable},
		{&driver.CancelError{Reason: "out of memory"}, http.StatusServiceUnavailable},
		{&driver.GivenUpError{Workers: 3, Last: errors.New("EOF")}, http.StatusBadGateway},
		{&driver.GivenUpError{Workers: 3, Last: late}, http.StatusBadGateway},
		{&driver.NoWorkerError{Attempts: 5, Last: late}, http.StatusServiceUnavailable},
		{&driver.NoWorkerError{Waited: time.Second}, http.StatusServiceUnavailable},
		{driver.ErrBusy, http.StatusServiceUnavailable},
		{driver.ErrStopped, http.StatusServiceUnavailable},
		{driver.ErrRegionClosed, http.StatusServiceUnavailable},
		{driver.ErrOptions, http.StatusInternalServerError},
		{&workerchannel.PayloadError{Size: 2, Max: 1}, http.StatusRequestEntityTooLarge},
	} {
		text, status := answerOf(c.err)
		assert.Equal(t, c.want, status, c.err)
		if c.want == http.StatusUnprocessableEntity {
			assert.Equal(t, "no such file", text)
		} else {
			assert.Equal(t, http.StatusText(c.want), text, "the error itself concerns the operator")
		}
	}
}

func TestTheServiceAnswersAtTheDeadlineWhateverTheWorkerDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost(t, driver.WithWorkers(1, serving(func(context.Context, *driver.Job) ([]byte, error) {
			time.Sleep(15 * time.Second)
			return nil, nil
		})))
		start, answer := time.Now(), httptest.NewRecorder()
		shoutHandler(host)(answer, httptest.NewRequestWithContext(t.Context(), "POST", "/", bytes.NewReader(nil)))
		assert.Equal(t, 10*time.Second, time.Since(start))
		assert.Equal(t, http.StatusGatewayTimeout, answer.Code)
	})
}

func TestTheServiceRefusesWhatIsTooLongForAPayload(t *testing.T) {
	answer := httptest.NewRecorder()
	long := bytes.NewReader(make([]byte, workerchannel.MaxPayloadBytes+1000))
	shoutHandler(newHost(t))(answer, httptest.NewRequest("POST", "/", long))
	assert.Equal(t, http.StatusRequestEntityTooLarge, answer.Code)
	assert.Equal(t, 999, long.Len(), "it does not read more than it must")
}

func TestABatchMakesNoMoreCallsAtATimeThanItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		host := newHost(t, driver.WithWorkers(1, serving(func(context.Context, *driver.Job) ([]byte, error) {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			return nil, nil
		}, driver.WithConcurrency(1000))))
		require.NoError(t, host.WaitReady(t.Context(), 1))
		start := time.Now()
		_, err := doAll(t.Context(), host, make([][]byte, 300), func(int) { synctest.Wait() })
		assert.NoError(t, err)
		assert.Equal(t, int64(100), most.Load())
		assert.Equal(t, 3*time.Second, time.Since(start))
	})
}

func TestABatchEndsWithItsFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost(t, driver.WithWorkers(1, serving(func(ctx context.Context, job *driver.Job) ([]byte, error) {
			if len(job.Payload) > 0 {
				return nil, errors.New("bad")
			}
			<-ctx.Done()
			return nil, nil
		}, driver.WithConcurrency(1000))))
		payloads, last := make([][]byte, 300), 0
		payloads[99] = []byte("bad")
		_, err := doAll(t.Context(), host, payloads, func(done int) { last = done })
		assert.EqualError(t, err, "call 99: driver: job failed: failed: bad")
		assert.Equal(t, 300, last)
		assert.LessOrEqual(t, host.Stats().Calls, uint64(101), "those behind it are not made, but one that takes its place")
	})
}

func TestEachCallHasAProcessOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost(t, driver.WithWorkers(3, startOnce), driver.WithWindow(1))
		results, err := doAll(t.Context(), host, make([][]byte, 100), func(int) {})
		assert.NoError(t, err)
		for _, result := range results {
			assert.Equal(t, "job 1 of its process", string(result))
		}
		synctest.Wait()
		s := host.Stats()
		assert.Equal(t, uint64(103), s.WorkersStarted)
		assert.Zero(t, s.WorkersKilled+s.Retries)
	})
}

// entries returns the names in a directory.
func entries(t *testing.T, dir string) (names []string) {
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range list {
		names = append(names, entry.Name())
	}
	return names
}

func TestLargerDataSurvivesAWorkerThatDiesInTheMiddle(t *testing.T) {
	spool, err := openSpool(t.TempDir())
	require.NoError(t, err)
	var died atomic.Int32
	host := newHost(t, driver.WithWorkers(1, func(context.Context) (driver.Conn, error) {
		host, worker := driver.Pipe(0)
		go driver.Serve(context.Background(), worker, "", func(ctx context.Context, job *driver.Job) ([]byte, error) {
			if died.Add(1) > 1 {
				return shoutFile(ctx, job)
			}
			assert.NoError(t, os.WriteFile(filepath.Join(string(job.Payload), "out"), []byte("HALF OF SOMETHING THAT IS LONGER"), 0o600))
			return nil, worker.Close()
		})
		return host, nil
	}))
	result, err := spool.do(t.Context(), host, []byte("hello"))
	assert.NoError(t, err)
	assert.Equal(t, "HELLO", string(result))
	assert.Equal(t, int32(2), died.Load())
	assert.Empty(t, entries(t, string(spool)))
}

func TestLargerDataIsRemovedWhoeverDies(t *testing.T) {
	dir := t.TempDir()
	spool, err := openSpool(dir)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	host := newHost(t, driver.WithWorkers(1, serving(func(ctx context.Context, job *driver.Job) ([]byte, error) {
		assert.Len(t, entries(t, dir), 1)
		cancel()
		<-ctx.Done()
		return shoutFile(ctx, job) // it has time to return
	})), driver.WithTries(1))
	_, err = spool.do(ctx, host, []byte("hello"))
	assert.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, entries(t, dir), "the call has failed")

	require.NoError(t, os.Mkdir(filepath.Join(dir, "call-1"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "call-1", "in"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README"), nil, 0o600))
	_, err = openSpool(dir)
	assert.NoError(t, err)
	assert.Equal(t, []string{"README"}, entries(t, dir), "the host has died, and been started again")
}
