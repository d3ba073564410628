package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/conform"
)

// A mistake is one that people make: a change of a peer's source, and the check that must find it.
type mistake struct {
	check    string // with ! at its end if the program does not survive it
	what     string
	file     string // relative to the root of the repository; without a directory, to that of the peer
	old, new string // old occurs once
}

// inCopy makes the mistake in a copy of the peer, and returns the root of the copy.
func (m mistake) inCopy(t *testing.T, p peer) string {
	root := t.TempDir()
	file := m.file
	if !strings.Contains(file, "/") && p.name != "go" {
		file = "examples/peers/" + p.name + "/" + file
	}
	changed := false
	for _, pattern := range p.files {
		paths, err := filepath.Glob(filepath.Join(repository, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, paths, pattern)
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			name, err := filepath.Rel(repository, path)
			require.NoError(t, err)
			if filepath.ToSlash(name) == file {
				require.Equal(t, 1, strings.Count(string(text), m.old), "%s has %q once", name, m.old)
				text, changed = []byte(strings.Replace(string(text), m.old, m.new, 1)), true
			}
			to := filepath.Join(root, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
			require.NoError(t, os.WriteFile(to, text, 0o644))
		}
	}
	require.True(t, changed, "%s is a file of the peer", file)
	return root
}

// testMistakes makes each mistake in a half of a peer. The check must fail because of what the program does, not because
// it no longer runs. With -short, only some are made.
func testMistakes(t *testing.T, name, half string, mistakes []mistake) {
	checks := map[string]conform.Check{}
	for _, c := range conform.Checks(half) {
		checks[c.Name] = c
	}
	for _, p := range all {
		if p.name != name {
			continue
		}
		for i, m := range mistakes {
			if testing.Short() && i%8 != 0 {
				continue
			}
			t.Run(strings.ReplaceAll(m.what, " ", "_"), func(t *testing.T) {
				t.Parallel()
				check, crash := strings.CutSuffix(m.check, "!")
				c, ok := checks[check]
				require.True(t, ok, "there is a check %s", m.check)
				r := conform.Runner{Half: half, Command: p.command(t, m.inCopy(t, p), half)}
				defer r.Close()
				result, err := r.Run(c)
				require.NoError(t, err)
				if assert.NotNil(t, result.Failure, "%s finds it", check) {
					assert.Equal(t, crash, result.Failure.Err != nil, "%v", result.Failure.Err)
				}
			})
		}
	}
}
