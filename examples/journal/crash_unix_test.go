//go:build unix

package journal

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

func TestStepsSurviveACrashOfTheProgram(t *testing.T) {
	for _, kill := range []int{1, 10, 777, 5000} {
		name := filepath.Join(t.TempDir(), "journal")
		program := exec.Command(os.Args[0], "-test.run=^TestCrash$")
		program.Env = append(os.Environ(), "JOURNAL_TO_WRITE="+name)
		out, err := program.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, program.Start())
		lines := bufio.NewScanner(out)
		last := 0
		for lines.Scan() {
			if last, err = strconv.Atoi(lines.Text()); err != nil {
				break
			}
			if last >= kill {
				_ = program.Process.Kill()
			}
		}
		require.Error(t, program.Wait())
		require.GreaterOrEqual(t, last, kill)

		w, found, err := walk(t, name)
		require.NoError(t, err)
		require.Empty(t, found)
		require.GreaterOrEqual(t, w.Steps, last)
		require.LessOrEqual(t, w.Steps, last+1)

		to := create(t, name, Options{MaxFileBytes: 100_000}) // the program starts again
		turns(to.Record(wc.NewCoordinator(1), Setup{}), 5)
		requireClean(t, name, 2, w.Steps+5)
		require.NoError(t, to.Close())
		requireClean(t, name, 2, w.Steps+5)
	}
}

func TestTailThatIsCutIsAnErrorOfTheJournalOnly(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	w := create(t, name, Options{})
	r := w.Record(wc.NewCoordinator(1), Setup{})
	turns(r, 1)
	require.NoError(t, os.Truncate(name+".tail", 0))
	turns(r, 5)
	require.Equal(t, uint64(6), r.Turn())
	require.Error(t, r.Err())
	require.Error(t, w.Close())
}
