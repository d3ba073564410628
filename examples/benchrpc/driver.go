package benchrpc

import (
	"context"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// inFlight is how many calls are in flight at a time, at most.
const inFlight = 64

type driverCaller struct{ host *driver.Host }

func connectDriver(h, w pipe, do work) (caller, error) {
	host, err := driver.NewHost(driver.WithWindow(inFlight))
	if err != nil {
		return nil, err
	}
	go func() {
		_ = driver.Serve(context.Background(), driver.Lines(w), "", func(_ context.Context, job *driver.Job) ([]byte, error) {
			return do(job.Payload)
		})
	}()
	return driverCaller{host}, host.Attach(driver.Lines(h))
}

func (c driverCaller) Call(ctx context.Context, payload []byte) ([]byte, error) {
	return c.host.Do(ctx, payload)
}

func (c driverCaller) Close() error { return c.host.Stop(context.Background()) }
