package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/conform"
	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

const page = repository + "/docs/writing-a-peer.md"

// The program in the page has all that a worker needs: only checks that need an optional command are not made.
func TestProgramInThePageIsEnough(t *testing.T) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	_, program, ok := strings.Cut(string(text), "```python\n")
	require.True(t, ok)
	program, _, ok = strings.Cut(program, "```")
	require.True(t, ok)
	python := tooltest.Path(t, "python3", "python3")
	dir := t.TempDir()
	modules, err := filepath.Glob("python/*.py")
	require.NoError(t, err)
	for _, m := range modules {
		module, err := os.ReadFile(m)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(m)), module, 0o644))
	}
	file := filepath.Join(dir, "page.py")
	require.NoError(t, os.WriteFile(file, []byte(program), 0o644))
	r := conform.Runner{Half: conform.WorkerHalf, Command: conform.Command{Args: []string{python, "-B", file}}}
	defer r.Close()
	missing := 0
	for _, c := range conform.Checks(conform.WorkerHalf) {
		result, err := r.Run(c)
		require.NoError(t, err)
		assert.Nil(t, result.Failure, c.Name)
		if result.Missing != "" {
			missing++
		}
	}
	assert.Less(t, missing, 10)

	pair := conform.NewPair(r.Command, conform.Command{Args: []string{python, "-B", "python/peer.py", conform.CoordinatorHalf}})
	defer pair.Close()
	for _, c := range conform.Checks(conform.PairOfHalves) {
		result, err := pair.Run(c)
		require.NoError(t, err)
		assert.Nil(t, result.Failure, c.Name)
		assert.Empty(t, result.Missing, c.Name)
	}
}

func TestPageNamesEveryCommand(t *testing.T) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	godoc, err := os.ReadFile(repository + "/examples/internal/conform/doc.go")
	require.NoError(t, err)
	for _, name := range conform.Commands {
		assert.Regexp(t, "`"+name+"[ `]", string(text))
		assert.Regexp(t, "\n//	"+name+"[ \n]", string(godoc))
	}
}
