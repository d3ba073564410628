package journal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// A recorder embeds its half, so a method that it does not have itself is not recorded: that is right only for those
// that change nothing.
func TestRecordersHaveEveryMethodThatChangesSomething(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	own := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil {
				if pointer, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
					own[pointer.X.(*ast.Ident).Name+"."+f.Name.Name] = true
				}
			}
		}
	}
	for recorder, half := range map[string]reflect.Type{
		"Recorder": reflect.TypeFor[*wc.Coordinator](), "WorkerRecorder": reflect.TypeFor[*wc.Worker](),
	} {
		for method := range half.Methods() {
			looks := slices.Contains(looking, method.Name)
			assert.Equal(t, !looks, own[recorder+"."+method.Name], "%s.%s is recorded", recorder, method.Name)
		}
	}
}

// looking has the methods of both halves that change nothing.
var looking = strings.Fields(`ActiveWorker Closed Closing ID InflightCount Job JobState Jobs NextDeadline OutboxLen Overdue
	Ready Region Regions Requests Seed ShutdownRequested Turn WorkerReady`)
