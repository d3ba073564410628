package main

import (
	"bufio"
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel"
)

// A served worker runs in the test's own process; the test is its host.
type served struct {
	t     *testing.T
	c     *workerchannel.Coordinator
	in    io.WriteCloser
	out   *bufio.Reader
	ended chan error
}

func serveTask(t *testing.T, do task) *served {
	in, toWorker := io.Pipe()
	fromWorker, out := io.Pipe()
	s := &served{t, workerchannel.NewCoordinator(0), toWorker, bufio.NewReaderSize(fromWorker, maxLine), make(chan error, 1)}
	go func() {
		err := serve("w", in, out, do)
		out.Close()
		s.ended <- err
	}()
	require.Equal(t, workerchannel.BootstrapReady{WorkerID: "w"}, s.receive())
	return s
}

func (s *served) send() {
	for env := range s.c.Outbox() {
		line, err := appendLine(nil, env)
		require.NoError(s.t, err)
		_, err = s.in.Write(line)
		require.NoError(s.t, err)
	}
}

func (s *served) receive() workerchannel.Op {
	line, err := s.out.ReadSlice('\n')
	require.NoError(s.t, err)
	env, err := s.c.Receive(line[:len(line)-1])
	if _, failed := env.Op.(workerchannel.BootstrapFailed); !failed {
		require.NoError(s.t, err)
	}
	return env.Op
}

func TestWorkerFailsWhenItRefusesAMessage(t *testing.T) {
	s := serveTask(t, countPrimes)
	_, err := io.WriteString(s.in, "not a message\n")
	require.NoError(t, err)
	failed := s.receive()
	require.IsType(t, workerchannel.BootstrapFailed{}, failed)
	assert.Contains(t, failed.(workerchannel.BootstrapFailed).Reason, workerchannel.ErrMalformed.Error())
	assert.ErrorIs(t, <-s.ended, workerchannel.ErrMalformed)
}

func TestWorkerEndsWhenTheHostIsGone(t *testing.T) {
	s := serveTask(t, countPrimes)
	require.NoError(t, s.in.Close())
	assert.NoError(t, <-s.ended)
}

// No DrainJob follows the request for shutdown.
func TestWorkerWithACancelledJobShutsDownWhenTheJobHasReturned(t *testing.T) {
	returns := make(chan bool)
	s := serveTask(t, func(ctx context.Context, _ []byte, _ func(string)) ([]byte, error) {
		<-ctx.Done()
		<-returns
		return nil, ctx.Err()
	})
	require.NoError(t, s.c.SpawnJob(workerchannel.SpawnJob{JobID: 1}))
	s.send()
	require.IsType(t, workerchannel.StatusSnapshot{}, s.receive())
	require.NoError(t, s.c.CancelJob(1, "test"))
	s.send()
	require.Equal(t, workerchannel.CancelAcknowledged{JobID: 1}, s.receive())
	require.NoError(t, s.c.RequestShutdown("test"))
	s.send()
	require.Equal(t, stopsLater, s.receive())
	returns <- true
	assert.Equal(t, workerchannel.ShutdownCompleted{}, s.receive())
	assert.NoError(t, <-s.ended)
	assert.Equal(t, workerchannel.CauseShutdown, s.c.Reap()[0].Cause)
}
