package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// testdata is the repository's directory, as tests of the packages beside this one see it.
const testdata = "../../testdata"

// Lines returns the lines of a file of testdata. It skips the test in the downloaded module, which has none.
func Lines(t testing.TB, file string) [][]byte {
	t.Helper()
	if _, err := os.Stat(testdata); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the downloaded module has no test data; run this test in a clone of the repository")
	}
	data, err := os.ReadFile(filepath.Join(testdata, file))
	require.NoError(t, err)
	return bytes.Split(bytes.TrimSpace(data), []byte("\n"))
}

// EachLine runs a subtest for each line of a file of testdata.
func EachLine(t *testing.T, file string, test func(t *testing.T, line []byte)) {
	for _, line := range Lines(t, file) {
		t.Run("", func(t *testing.T) { test(t, line) })
	}
}

// Exact gives a JSON value a form that compares exactly, all 64 bits of its numbers.
func Exact(data json.RawMessage) any {
	if data == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(err)
	}
	return v
}
