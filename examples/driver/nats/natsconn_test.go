package natsconn

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/transporttest"
)

// startServer starts a NATS server with default settings, and returns its URL.
func startServer(t *testing.T) string {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not listen")
	}
	return s.ClientURL()
}

func connect(t *testing.T, url string) *nats.Conn {
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// pair returns the two ends of a connection.
func pair(a, b *nats.Conn, opts ...Option) (host, worker driver.Conn, err error) {
	id := nats.NewInbox()
	if host, err = New(a, id+".down", id+".up", opts...); err != nil {
		return nil, nil, err
	}
	if worker, err = New(b, id+".up", id+".down", opts...); err != nil {
		return nil, nil, errors.Join(err, host.Close())
	}
	return host, worker, nil
}

func TestConnPassesTheHarness(t *testing.T) { transporttest.Test(t, opener(t)) }

// A peer that has died is noticed after three beats, or ten if it was never heard, which must be less than a quarter of the time
// that the harness takes.
func TestConnNoticesThatThePeerHasDied(t *testing.T) {
	transporttest.Test(t, opener(t, WithBeat(400*time.Millisecond)), transporttest.WithBudget(500), transporttest.WithIdle(2*time.Second),
		transporttest.WithTimeout(time.Minute), transporttest.WithKill(func(_, worker transporttest.Conn) { worker.(*conn).nc.Close() }))
}

// opener opens pairs at a server of its own.
func opener(t *testing.T, opts ...Option) transporttest.Opener {
	url := startServer(t)
	return func() (host, worker transporttest.Conn, stop func(), err error) {
		a, err := nats.Connect(url)
		if err != nil {
			return nil, nil, nil, err
		}
		b, err := nats.Connect(url)
		if err != nil {
			a.Close()
			return nil, nil, nil, err
		}
		stop = func() { a.Close(); b.Close() }
		host, worker, err = pair(a, b, opts...)
		if err != nil {
			stop()
		}
		return host, worker, stop, err
	}
}

func TestWhatDoesNotFitEndsTheConnection(t *testing.T) {
	url := startServer(t)
	frame := func(kind byte, number uint64, part string) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{kind}, number), part...)
	}
	for name, test := range map[string]struct {
		frames [][]byte
		want   error
	}{
		"lost":      {[][]byte{frame(kindLast, 1, "a"), frame(kindLast, 3, "c")}, ErrLost},
		"repeated":  {[][]byte{frame(kindLast, 1, "a"), frame(kindLast, 1, "a")}, ErrLost},
		"last lost": {[][]byte{frame(kindLast, 1, "a"), frame(kindBeat, 2, "")}, ErrLost},
		"malformed": {[][]byte{frame(kindLast, 1, "a"), []byte("hello")}, ErrBadFrame},
		"unknown":   {[][]byte{frame(kindLast, 1, "a"), frame(77, 2, "")}, ErrBadFrame},
		"farewell":  {[][]byte{frame(kindLast, 1, "a"), frame(kindFarewell, 2, "")}, ErrEnded},
		"silent":    {[][]byte{frame(kindLast, 1, "a")}, ErrSilent},
		"too long": {[][]byte{frame(kindLast, 1, "a"), frame(kindPart, 2, string(make([]byte, 1<<20-headerLen))),
			frame(kindPart, 3, string(make([]byte, 1<<20-headerLen))), frame(kindLast, 4, string(make([]byte, 1<<20-headerLen)))}, ErrTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			nc := connect(t, url)
			var opts []Option
			if name == "silent" {
				opts = append(opts, WithBeat(30*time.Millisecond))
			}
			c, err := New(nc, "nobody", "me", opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, f := range test.frames {
				if err := nc.Publish("me", f); err != nil {
					t.Fatal(err)
				}
			}
			if err := nc.Flush(); err != nil { // so that all of them have arrived
				t.Fatal(err)
			}
			if msg, err := c.Recv(); err != nil || string(msg) != "a" {
				t.Fatalf("expected the first message, got %q and %v", msg, err)
			}
			for range 2 {
				if msg, err := c.Recv(); !errors.Is(err, test.want) || msg != nil {
					t.Fatalf("expected %v, got %q and %v", test.want, msg, err)
				}
			}
			if err := c.Send(nil); !errors.Is(err, test.want) {
				t.Errorf("Send: expected %v, got %v", test.want, err)
			}
		})
	}
	for _, err := range []error{ErrTooLong, ErrBadFrame} {
		if !errors.Is(err, driver.ErrBroken) {
			t.Errorf("a host must know that the peer is to blame for %q", err)
		}
	}
}

func TestLargestPayloadFitsAServerOfDefaultSettings(t *testing.T) {
	url := startServer(t)
	host, err := driver.NewHost()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Accept(connect(t, url), "jobs", host.Attach); err != nil {
		t.Fatal(err)
	}
	conn, err := Join(t.Context(), connect(t, url), "jobs")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- driver.Serve(t.Context(), conn, "", func(_ context.Context, job *driver.Job) ([]byte, error) { return job.Payload, nil })
	}()
	payload := bytes.Repeat([]byte{255}, workerchannel.MaxPayloadBytes)
	if got, err := host.Do(t.Context(), payload); err != nil || !bytes.Equal(got, payload) {
		t.Fatalf("got %d bytes and %v", len(got), err)
	}
	if err := host.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestCallersHaveOneAnswerThoughWorkersDie(t *testing.T) {
	url := startServer(t)
	host, err := driver.NewHost(driver.WithTries(1000)) // on a busy machine a worker may seem to be dead
	if err != nil {
		t.Fatal(err)
	}
	beat := WithBeat(300 * time.Millisecond)
	if _, err := Accept(connect(t, url), "jobs", host.Attach, beat); err != nil {
		t.Fatal(err)
	}
	var begun atomic.Int32
	for i := range 4 {
		nc := connect(t, url)
		conn, err := Join(t.Context(), nc, "jobs", beat)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for err == nil { // until nc is closed, or the host takes no more workers
				_ = driver.Serve(t.Context(), conn, "", func(_ context.Context, job *driver.Job) ([]byte, error) {
					if begun.Add(1) > 20 && i < 2 {
						nc.Close() // dies without a farewell
					}
					return job.Payload, nil
				})
				conn, err = Join(t.Context(), nc, "jobs", beat)
			}
		}()
	}
	answers := make(chan error)
	for i := range 200 {
		go func() {
			want := fmt.Sprint(i)
			got, err := host.Do(t.Context(), []byte(want))
			if err == nil && string(got) != want {
				err = fmt.Errorf("expected %s, got %s", want, got)
			}
			answers <- err
		}()
	}
	for range 200 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_ = host.Stop(ctx)
}

func TestJoinSaysWhatIsWrong(t *testing.T) {
	nc := connect(t, startServer(t))
	if _, err := Join(t.Context(), nc, "nobody"); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("expected ErrNoResponders, got %v", err)
	}
	if _, err := Accept(nc, "full", func(c driver.Conn) error { return errors.Join(c.Close(), errors.New("no room")) }); err != nil {
		t.Fatal(err)
	}
	if _, err := Join(t.Context(), nc, "full"); err == nil || !bytes.Contains([]byte(err.Error()), []byte("no room")) {
		t.Errorf("expected the host's reason, got %v", err)
	}
	if answer, err := nc.Request("full.join", []byte("a.*"), time.Second); err != nil || !bytes.Contains(answer.Data, []byte("bad id")) {
		t.Errorf("expected a refusal of the id, got %v and %v", answer, err)
	}
	if _, err := New(nc, "a", "b..c"); err == nil {
		t.Error("expected an error for a bad subject")
	}
}
