package driver_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// At most once: a job that must not run twice, such as a payment. When its worker ends, nobody knows how far it was.
func Example_atMostOnce() {
	host, err := driver.NewHost(driver.WithWorkers(1, startCashier), driver.WithTries(1))
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())

	for _, payment := range []string{"10 EUR", "-1 EUR", "a crash"} {
		fmt.Printf("%s: %s\n", payment, pay(host, payment))
	}
	// Output:
	// 10 EUR: paid
	// -1 EUR: refused
	// a crash: unknown, ask the bank
}

// pay says what is known after a call.
func pay(host *driver.Host, payment string) string {
	_, err := host.Do(context.Background(), []byte(payment))
	var failed *driver.JobError
	switch {
	case err == nil:
		return "paid"
	case errors.As(err, &failed) && failed.Code != driver.CodeTooLarge: // else the handler has returned a result
		return "refused" // the handler has returned an error, and knows what that means
	case errors.Is(err, driver.ErrBusy), errors.Is(err, driver.ErrNoWorker), errors.Is(err, driver.ErrRegionClosed):
		return "not begun, try again" // no handler has been called
	}
	// A *GivenUpError says that the worker ended after it may have begun the job, and why (Last); another call may have been the
	// cause. After a *PanicError, a *CancelError or ErrStopped nobody knows either. Find out before you make the call again.
	return "unknown, ask the bank"
}

// startCashier starts a worker. In a program that is driver.Start(exec.Command("./worker")).
func startCashier(context.Context) (driver.Conn, error) {
	host, worker := driver.Pipe(0)
	go driver.Serve(context.Background(), worker, "", func(ctx context.Context, job *driver.Job) ([]byte, error) {
		switch job.Payload[0] {
		case '-':
			return nil, errors.New("not a payment")
		case 'a':
			_ = worker.Close() // as if the process had ended
		}
		return nil, nil
	})
	return host, nil
}
