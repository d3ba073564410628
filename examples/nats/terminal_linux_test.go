package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

// A line that the terminal has broken could not be cleared.
func TestProgressFitsTheTerminal(t *testing.T) {
	for _, columns := range []int{40, 80, 132} {
		terminal, person := tooltest.Terminal(t, columns)
		cmd := exec.Command(os.Args[0], "-jobs", "20", "-size", "1000", "-workers", "1")
		cmd.Env = append(os.Environ(), "NATS_EXAMPLE_PROGRAM=1", "TERM=xterm")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
		require.NoError(t, cmd.Start())
		require.NoError(t, terminal.Close())
		shown, _ := io.ReadAll(person) // its error says that the program has ended
		require.NoError(t, cmd.Wait(), "%s", shown)
		progress := 0
		for line := range strings.SplitSeq(strings.ReplaceAll(string(shown), "\r\n", "\r\x1b[K"), "\r\x1b[K") {
			if strings.Contains(line, " of 20 results; ") {
				progress++
				assert.Less(t, utf8.RuneCountInString(line), columns, line)
			}
		}
		assert.NotZero(t, progress)
		assert.Contains(t, string(shown), "primes below 20000: 2262\r\n")
	}
}
