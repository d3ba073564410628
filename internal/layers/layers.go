// Package layers checks for tests that the files of a package use each other in one direction only.
package layers

import (
	"go/ast"
	"go/build"
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

// Check checks the package in the directory of the test. layers has its files, without tests, a layer a line, the highest
// first: each file is in one of them, and uses its own layer and those below.
func Check(t *testing.T, layers []string) {
	layer := map[string]int{}
	for i, names := range layers {
		for name := range strings.FieldsSeq(names) {
			layer[name] = i
		}
	}
	all, err := filepath.Glob("*.go")
	require.NoError(t, err)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range all {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		_, ok := layer[name]
		assert.True(t, ok, "%s is in a layer", name)
		if match, err := build.Default.MatchFile(".", name); err == nil && match {
			f, err := parser.ParseFile(fset, name, nil, 0)
			require.NoError(t, err)
			files = append(files, f)
		}
	}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	pkg, err := config.Check(".", fset, files, &info)
	require.NoError(t, err)
	for use, object := range info.Uses {
		if object.Pkg() != pkg {
			continue
		}
		from, to := fset.Position(use.Pos()), fset.Position(object.Pos())
		assert.LessOrEqual(t, layer[from.Filename], layer[to.Filename], "%s uses %s, which is at %s", from, use.Name, to)
	}
}
