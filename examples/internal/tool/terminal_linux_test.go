package tool_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

// onTerminal runs a program at a terminal of so many columns and returns what it shows.
func onTerminal(t *testing.T, columns int, name string, args ...string) string {
	terminal, person := tooltest.Terminal(t, columns)
	cmd := command(t, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	require.NoError(t, cmd.Start())
	require.NoError(t, terminal.Close())
	shown, _ := io.ReadAll(person) // its error says that the program has ended
	_ = cmd.Wait()
	return strings.ReplaceAll(string(shown), "\r\n", "\n")
}

func TestOutputFitsTheTerminal(t *testing.T) {
	session := root + "examples/quickstart/testdata/session.jsonl"
	for _, columns := range []int{40, 80, 132} {
		for _, args := range []string{"inspect " + session, "inspect -calls " + session, "inspect -stats " + session, "quickstart", "demo -h"} {
			words := strings.Fields(args)
			shown := onTerminal(t, columns, words[0], words[1:]...)
			require.Greater(t, len(shown), 500, args)
			for line := range strings.Lines(shown) {
				most := columns
				if words[0] != "inspect" {
					most = 80 // anywhere
				}
				assert.Equal(t, line, tool.Cut(line, most+1), args) // with its line feed
			}
		}
	}
	wide, narrow := onTerminal(t, 132, "inspect", session), onTerminal(t, 40, "inspect", session)
	assert.Equal(t, strings.Join(strings.Fields(wide), ""), strings.Join(strings.Fields(narrow), ""), "nothing is cut")
}
