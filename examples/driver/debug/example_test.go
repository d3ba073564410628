package debug_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/driver/debug"
)

func Example() {
	host, _ := driver.NewHost()
	mux := http.NewServeMux()
	mux.Handle("/debug/workers/", debug.Handler(host))
	server := httptest.NewServer(mux) // or http.ListenAndServe("localhost:6060", mux)
	defer server.Close()

	answer, err := http.Get(server.URL + "/debug/workers/metrics")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	fmt.Println(answer.Status, answer.Header.Get("Content-Type"))
	// Output: 200 OK text/plain; version=0.0.4; charset=utf-8
}
