package workerchannel

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
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
