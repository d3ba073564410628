package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/journal"
)

func TestDemoServesThePageAndRecordsWhatCanBeReplayed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "demo.journal")
	ctx, interrupt := context.WithCancelCause(t.Context())
	ended := make(chan int)
	said, stdout := io.Pipe()
	var stderr strings.Builder
	go func() { ended <- run(ctx, []string{"-debug", "127.0.0.1:0", "-journal", file}, nil, stdout, &stderr) }()
	var address string
	_, err := fmt.Fscanf(said, "open http://%s\n", &address)
	require.NoError(t, err)
	for busy := false; !busy; { // all workers are ready, and a call has succeeded
		answer, err := http.Get("http://" + address + "metrics")
		require.NoError(t, err)
		data, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		text := string(data)
		busy = strings.Contains(text, "workerchannel_workers_ready 4\n") &&
			!strings.Contains(text, `workerchannel_calls_ended_total{how="succeeded"} 0`)
	}
	interrupt(tool.ErrInterrupted)
	require.Equal(t, tool.Interrupted, <-ended)
	assert.Equal(t, "demo: interrupted\n", stderr.String())
	walker := journal.NewWalker(func(*journal.Event) error { return nil })
	for _, part := range journal.Files(file) {
		require.NoError(t, walker.Read(part.Name, part))
		_ = part.Close()
	}
	assert.Zero(t, walker.Divergences, fmt.Sprint(walker.Steps, " steps"))
	assert.GreaterOrEqual(t, walker.Sessions, 4) // one that hangs has a successor
}

func TestJournalThatCannotBeWrittenIsSaidBeforeTheAddress(t *testing.T) {
	var stdout, stderr strings.Builder
	assert.Equal(t, tool.Unable, run(t.Context(), []string{"-debug", "127.0.0.1:0", "-journal", t.TempDir()}, nil, &stdout, &stderr))
	assert.Empty(t, stdout.String())
	assert.Contains(t, stderr.String(), "is a directory")
}
