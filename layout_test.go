package workerchannel_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/internal/layers"
)

// files are those of the package, a layer a line. A file uses its own layer and those below.
var files = []string{
	"doc.go",
	"coordinator.go session.go",
	"worker.go",
	"limits.go",
	"outbox.go",
	"batch.go",
	"jobs.go",
	"retired.go",
	"table.go",
	"decode.go",
	"canonical.go",
	"envelope.go",
	"replayhash.go encode.go payload.go",
	"scan.go",
	"flatop.go",
	"wire.go",
	"ops.go jobstate.go errors.go",
}

func TestFilesUseOnlyTheLayersBelow(t *testing.T) { layers.Check(t, files) }

// TestOnlyTestsImportInternalPackages keeps the model of the tests out of what is tested, and of every program.
func TestOnlyTestsImportInternalPackages(t *testing.T) {
	const internal = `"github.com/workerchannel/workerchannel/internal/`
	seen := 0
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imported := range f.Imports {
			if strings.HasPrefix(imported.Path.Value, internal) {
				seen++
				allowed := strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.ToSlash(path), "internal/") ||
					strings.HasPrefix(filepath.ToSlash(path), "examples/internal/conform/") // which tests peers
				assert.True(t, allowed, "%s imports %s, which is for tests", path, imported.Path.Value)
			}
		}
		return nil
	})
	require.NoError(t, err)
	assert.NotZero(t, seen)
}
