//go:build !js

package wsconn_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/coder/websocket"

	"github.com/workerchannel/workerchannel/examples/driver"
	wsconn "github.com/workerchannel/workerchannel/examples/driver/websocket"
)

func Example() {
	host, err := driver.NewHost()
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // Accept has answered
		}
		_ = host.Attach(wsconn.New(ws)) // closes it if the host has stopped
	}))
	defer server.Close()

	go func() { // the worker, which may be anywhere
		dial := func(ctx context.Context) (driver.Conn, error) { // again when the host is gone
			ws, _, err := websocket.Dial(ctx, server.URL, nil)
			if err != nil {
				return nil, err
			}
			return wsconn.New(ws), nil
		}
		_ = driver.ServeAgain(context.Background(), dial, func(_ context.Context, job *driver.Job) ([]byte, error) {
			return bytes.ToUpper(job.Payload), nil
		})
	}()

	result, err := host.Do(context.Background(), []byte("hello"))
	fmt.Printf("%s %v\n", result, err)
	fmt.Println(host.Stop(context.Background()))
	// Output:
	// HELLO <nil>
	// <nil>
}
