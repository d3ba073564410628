package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/journal"
)

func TestDemoServesThePageAndRecordsWhatCanBeReplayed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "demo.journal")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { ended <- run(ctx, listener, file) }()
	for busy := false; !busy; { // all workers are ready, and a call has succeeded
		answer, err := http.Get("http://" + listener.Addr().String() + "/metrics")
		require.NoError(t, err)
		data, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		text := string(data)
		busy = strings.Contains(text, "workerchannel_workers_ready 4\n") &&
			!strings.Contains(text, `workerchannel_calls_ended_total{how="succeeded"} 0`)
	}
	cancel()
	require.NoError(t, <-ended)
	walker := journal.NewWalker(func(*journal.Event) error { return nil })
	for _, part := range journal.Files(file) {
		require.NoError(t, walker.Read(part.Name, part))
		_ = part.Close()
	}
	assert.Zero(t, walker.Divergences, fmt.Sprint(walker.Steps, " steps"))
	assert.GreaterOrEqual(t, walker.Sessions, 4) // one that hangs has a successor
}
