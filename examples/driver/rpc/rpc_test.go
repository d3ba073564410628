package rpc_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// newHost returns a host with a worker in this process.
func newHost(t testing.TB, handler driver.Handler, opts ...driver.ServeOption) *driver.Host {
	host, err := driver.NewHost(driver.WithWorkers(1, func(context.Context) (driver.Conn, error) {
		host, worker := driver.Pipe(0)
		go driver.Serve(context.Background(), worker, "", handler, opts...)
		return host, nil
	}))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, host.Stop(context.Background())) })
	return host
}
