//go:build !js

package wsconn

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/transporttest"
)

func open() (host, worker transporttest.Conn, stop func(), err error) {
	accepted := make(chan *websocket.Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ws, err := websocket.Accept(w, r, nil); err == nil {
			accepted <- ws
		}
	}))
	ws, _, err := websocket.Dial(context.Background(), server.URL, nil)
	if err != nil {
		server.Close()
		return nil, nil, nil, err
	}
	return New(<-accepted), New(ws), server.Close, nil
}

func TestConnPassesTheHarness(t *testing.T) {
	transporttest.Test(t, open, transporttest.WithText(),
		transporttest.WithKill(func(_, worker transporttest.Conn) { _ = worker.(conn).ws.CloseNow() }))
}

func TestTooLongAMessageEndsTheConnection(t *testing.T) {
	host, worker, stop, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	defer host.Close()
	defer worker.Close()
	go func() { _ = worker.Send(bytes.Repeat([]byte{'x'}, driver.MaxLine+1)) }()
	if msg, err := host.Recv(); !errors.Is(err, websocket.ErrMessageTooBig) || !errors.Is(err, driver.ErrBroken) {
		t.Fatalf("expected ErrMessageTooBig and driver.ErrBroken, got %d bytes and %v", len(msg), err)
	}
}

func TestHostAndWorkersTalkOverIt(t *testing.T) {
	host, err := driver.NewHost()
	if err != nil {
		t.Fatal(err)
	}
	attached := make(chan error, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err == nil {
			err = host.Attach(New(ws))
		}
		attached <- err
	}))
	defer server.Close()
	served := make(chan error, 2)
	for range cap(served) {
		go func() {
			ws, _, err := websocket.Dial(t.Context(), strings.Replace(server.URL, "http", "ws", 1), nil)
			if err != nil {
				served <- err
				return
			}
			served <- driver.Serve(t.Context(), New(ws), "", func(_ context.Context, job *driver.Job) ([]byte, error) {
				return bytes.ToUpper(job.Payload), nil
			})
		}()
	}
	for range cap(attached) {
		if err := <-attached; err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		if got, err := host.Do(t.Context(), []byte("shout")); err != nil || string(got) != "SHOUT" {
			t.Fatalf("expected SHOUT, got %q and %v", got, err)
		}
	}
	if err := host.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for range cap(served) {
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

func TestItBuildsForTheBrowser(t *testing.T) {
	cmd := exec.Command("go", "build", "-o", os.DevNull, ".")
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
