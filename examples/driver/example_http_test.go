package driver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/driver/debug"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// An HTTP service: each request is a call with a deadline, each error of Do has a status code, and the end has an order.
func Example_httpService() {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	records, err := journal.NewWriter(io.Discard, journal.Options{}) // a program uses journal.Create
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background()) // a program uses signal.NotifyContext
	ended := make(chan error)
	go func() { ended <- runService(ctx, listener, records) }()

	for _, body := range []string{"hello", ""} {
		answer, err := http.Post("http://"+listener.Addr().String(), "text/plain", strings.NewReader(body))
		if err != nil {
			log.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		fmt.Printf("%d %s\n", answer.StatusCode, bytes.TrimSpace(text))
	}
	stop()
	fmt.Println(<-ended)
	// Output:
	// 200 HELLO
	// 422 nothing to shout
	// <nil>
}

// runService serves until ctx ends.
func runService(ctx context.Context, listener net.Listener, records *journal.Writer) error {
	host, err := driver.NewHost(
		driver.WithWorkers(4, startShouter), // host.Attach adds workers that connect
		driver.WithBacklog(1000),            // when so many wait, the next get ErrBusy
		driver.WithJournal(records),
	)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", shoutHandler(host))
	mux.Handle("/debug/workers/", debug.Handler(host)) // the live page, and metrics; it answers only this machine
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
	}

	// In this order: Shutdown lets requests end, which need the host, and the host writes to the journal until it has stopped.
	soon, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return errors.Join(err, srv.Shutdown(soon), host.Stop(soon), records.Close())
}

func shoutHandler(host *driver.Host) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		payload, err := io.ReadAll(io.LimitReader(r.Body, workerchannel.MaxPayloadBytes+1)) // Do refuses what is longer
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second) // it ends, too, when the client goes away
		defer cancel()
		result, err := host.Do(ctx, payload, driver.ReturnAtOnce()) // at the deadline, whatever the worker does then
		if err != nil {
			text, status := answerOf(err)
			http.Error(w, text, status)
			return
		}
		_, _ = w.Write(result)
	}
}

// answerOf returns what a client is told for an error of Do. What concerns only the operator belongs in the log.
func answerOf(err error) (text string, status int) {
	var failed *driver.JobError
	var tooLarge *workerchannel.PayloadError
	// ErrNoWorker and ErrGivenUp come before the deadline: they wrap why a worker could not be started or has ended, which may
	// be a deadline, too.
	switch {
	case errors.As(err, &failed): // the handler's own error; failed.Code may tell more
		return failed.Message, http.StatusUnprocessableEntity
	case errors.As(err, &tooLarge):
		status = http.StatusRequestEntityTooLarge
	case errors.Is(err, driver.ErrNoWorker), errors.Is(err, driver.ErrBusy), errors.Is(err, driver.ErrStopped),
		errors.Is(err, driver.ErrRegionClosed):
		status = http.StatusServiceUnavailable
	case errors.Is(err, driver.ErrGivenUp):
		status = http.StatusBadGateway
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, driver.ErrRunLimit):
		status = http.StatusGatewayTimeout
	case errors.Is(err, driver.ErrCancelled): // the client has gone, or the worker has given the job up
		status = http.StatusServiceUnavailable
	default: // driver.ErrPanicked, and mistakes of this program
		status = http.StatusInternalServerError
	}
	return http.StatusText(status), status
}

// startShouter starts a worker. In a program that is driver.Start(exec.Command("./worker")).
func startShouter(context.Context) (driver.Conn, error) {
	host, worker := driver.Pipe(0)
	go driver.Serve(context.Background(), worker, "", func(ctx context.Context, job *driver.Job) ([]byte, error) {
		if len(job.Payload) == 0 {
			return nil, errors.New("nothing to shout")
		}
		return bytes.ToUpper(job.Payload), nil
	})
	return host, nil
}
