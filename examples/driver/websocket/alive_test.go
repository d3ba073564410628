//go:build !js

package wsconn

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// A network is an http.Server, with a host for its workers, that is reached through connections in memory, so that it
// has the time of a bubble of synctest. Between the two ends of each is a proxy.
type network struct {
	host    *driver.Host
	conns   chan net.Conn
	closed  chan struct{}
	proxies chan *proxy // of the connections, in their order
}

func newNetwork(t *testing.T) *network {
	host, err := driver.NewHost()
	if err != nil {
		t.Fatal(err)
	}
	n := &network{host, make(chan net.Conn), make(chan struct{}), make(chan *proxy, 100)}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ws, err := websocket.Accept(w, r, nil); err == nil {
			_ = host.Attach(New(ws))
		}
	})}
	go func() { _ = server.Serve(n) }()
	t.Cleanup(func() {
		if err := host.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		_ = server.Close()
	})
	return n
}

func (n *network) Addr() net.Addr { return &net.TCPAddr{} }

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	close(n.closed)
	return nil
}

// dial is a worker's.
func (n *network) dial(ctx context.Context) (driver.Conn, error) {
	ws, _, err := websocket.Dial(ctx, "ws://host/", &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			near, a := net.Pipe()
			b, far := net.Pipe()
			p := &proxy{}
			p.carry(a, b)
			n.proxies <- p
			n.conns <- far
			return near, nil
		},
	}}})
	if err != nil {
		return nil, err
	}
	return New(ws), nil
}

// A proxy carries what is sent between two connections, with a buffer as TCP has, until it becomes a black hole: then
// it loses all, and ends neither.
type proxy struct{ hole atomic.Bool }

func (p *proxy) carry(a, b net.Conn) {
	for _, c := range [][2]net.Conn{{a, b}, {b, a}} {
		read := make(chan []byte, 1000)
		go func() {
			defer close(read)
			for {
				buffer := make([]byte, 64<<10)
				n, err := c[0].Read(buffer)
				if err != nil {
					return
				}
				read <- buffer[:n]
			}
		}()
		go func() {
			for data := range read {
				if !p.hole.Load() {
					_, _ = c[1].Write(data)
				}
			}
			if _ = c[0].Close(); !p.hole.Load() {
				_ = c[1].Close()
			}
		}()
	}
}

func echo(_ context.Context, job *driver.Job) ([]byte, error) { return job.Payload, nil }

func TestBothEndsOfAnIdleConnectionNoticeThatTheOtherIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		ctx, cancel := context.WithCancel(t.Context())
		errs, done := make(chan error), make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				conn, err := n.dial(ctx)
				if err != nil {
					return
				}
				errs <- driver.Serve(ctx, conn, "", echo)
			}
		}()
		if _, err := n.host.Do(ctx, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // the connection is idle, and stays
		if s := n.host.Stats(); s.WorkersStarted != 1 || len(s.Workers) != 1 {
			t.Fatalf("expected the first worker, got %+v", s)
		}
		if _, err := n.host.Do(ctx, nil); err != nil {
			t.Fatal(err)
		}
		(<-n.proxies).hole.Store(true)
		var why error
		n.host.Observe(func(e driver.Event) {
			if e.Kind == driver.EventEnded {
				why = e.Err
			}
		})
		start := time.Now()
		if err := <-errs; !errors.Is(err, driver.ErrHostGone) || time.Since(start) != 15*time.Second {
			t.Errorf("expected that the host is gone after 15 s, got %v after %v", err, time.Since(start))
		}
		synctest.Wait()
		s := n.host.Stats()
		if s.WorkersEnded != 1 || len(s.Workers) != 1 {
			t.Errorf("expected one worker that is gone and one that has come, got %+v", s)
		}
		if _, err := n.host.Do(ctx, nil); err != nil {
			t.Error(err)
		}
		if why == nil || why.Error() != "driver: worker has not answered a ping within 10s (Limits.Answer)" {
			t.Errorf("expected that the worker has not answered a ping, got %v", why)
		}
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		<-done
	})
}

func TestTheCallsOfAFrozenWorkerRunElsewhereWithoutTheClosingHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		serve := func(handler driver.Handler) <-chan error {
			conn, err := n.dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- driver.Serve(t.Context(), conn, "", handler) }()
			synctest.Wait()
			return served
		}
		frozen := serve(func(ctx context.Context, _ *driver.Job) ([]byte, error) {
			<-ctx.Done()
			return nil, nil
		})
		answer := make(chan error, 1)
		go func() {
			_, err := n.host.Do(t.Context(), nil)
			answer <- err
		}()
		synctest.Wait() // the worker has reported that it runs
		_ = serve(echo)
		(<-n.proxies).hole.Store(true)
		start := time.Now()
		// The limits are 5 and 10 s, each longer by up to three turns of 0.5 s.
		if err := <-answer; err != nil || time.Since(start) < 15*time.Second || time.Since(start) > 18*time.Second {
			t.Errorf("expected a result after 15 to 18 s, got %v after %v", err, time.Since(start))
		}
		if err := <-frozen; !errors.Is(err, driver.ErrHostGone) {
			t.Error(err)
		}
	})
}

func TestABlackHoleBetweenRealSockets(t *testing.T) {
	host, err := driver.NewHost(driver.WithLimits(driver.Limits{Silence: time.Second, Answer: time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ws, err := websocket.Accept(w, r, nil); err == nil {
			_ = host.Attach(New(ws))
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, dials := &proxy{}, atomic.Int64{}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil || dials.Add(1) > 1 {
			return conn, err
		}
		listener, err := net.Listen("tcp", "localhost:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		near, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			return nil, err
		}
		far, err := listener.Accept()
		if err != nil {
			return nil, err
		}
		p.carry(far, conn)
		return near, nil
	}
	served := make(chan error, 1)
	go func() {
		served <- driver.ServeAgain(ctx, func(ctx context.Context) (driver.Conn, error) {
			ws, _, err := websocket.Dial(ctx, server.URL, &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}}})
			if err != nil {
				return nil, err
			}
			return New(ws), nil
		}, echo, driver.WithKeepAlive(time.Second, time.Second))
	}()
	if _, err := host.Do(ctx, nil); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	host.Observe(func(e driver.Event) {
		if e.Kind == driver.EventEnded {
			select {
			case ended <- e.Err:
			default: // on a machine that stands still for a second, others end, too
			}
		}
	})
	p.hole.Store(true)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("expected a reason")
		}
	case <-ctx.Done():
		t.Error("the host does not notice it")
	}
	if _, err := host.Do(ctx, nil); err != nil { // the worker has noticed it and come again
		t.Error(err)
	}
	cancel()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_ = host.Stop(context.Background())
}

func TestNoCompressionByDefault(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ws, err := websocket.Accept(w, r, nil); err == nil {
			_ = ws.CloseNow()
		}
	}))
	defer server.Close()
	for _, offer := range []*websocket.DialOptions{nil, {CompressionMode: websocket.CompressionContextTakeover}} {
		ws, response, err := websocket.Dial(t.Context(), server.URL, offer)
		if err != nil {
			t.Fatal(err)
		}
		if got := response.Header.Get("Sec-WebSocket-Extensions"); got != "" {
			t.Errorf("expected no extensions, got %q", got)
		}
		_ = ws.CloseNow()
	}
}
