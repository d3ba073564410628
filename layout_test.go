package workerchannel

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// layers are the files of the package, a layer a line. A file uses its own layer and those below.
var layers = []string{
	"doc.go",
	"coordinator.go session.go",
	"worker.go",
	"limits.go",
	"outbox.go",
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

func TestFilesUseOnlyTheLayersBelow(t *testing.T) {
	layer := map[string]int{}
	fset := token.NewFileSet()
	var files []*ast.File
	for i, names := range layers {
		for _, name := range strings.Fields(names) {
			layer[name] = i
			f, err := parser.ParseFile(fset, name, nil, 0)
			require.NoError(t, err)
			files = append(files, f)
		}
	}
	all, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range all {
		if _, ok := layer[name]; !strings.HasSuffix(name, "_test.go") {
			assert.True(t, ok, "%s is in a layer", name)
		}
	}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	pkg, err := config.Check("workerchannel", fset, files, &info)
	require.NoError(t, err)
	for use, object := range info.Uses {
		if object.Pkg() != pkg {
			continue
		}
		from, to := fset.Position(use.Pos()), fset.Position(object.Pos())
		assert.LessOrEqual(t, layer[from.Filename], layer[to.Filename], "%s uses %s, which is at %s", from, use.Name, to)
	}
}

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
				allowed := strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.ToSlash(path), "internal/")
				assert.True(t, allowed, "%s imports %s, which is for tests", path, imported.Path.Value)
			}
		}
		return nil
	})
	require.NoError(t, err)
	assert.NotZero(t, seen)
}
