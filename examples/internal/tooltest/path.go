// Package tooltest is for the tests of programs: what they need, what they are fed with, and the terminal before them.
package tooltest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Path returns the path of a program of Debian's package pkg, which may have any of the names. Without the program it
// skips the test, or fails it if CI=true.
func Path(t testing.TB, pkg string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	message := "this test needs " + strings.Join(names, " or ") + "; on Debian: apt-get install " + pkg
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}
