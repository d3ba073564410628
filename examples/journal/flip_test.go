package journal

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

var full = flag.Bool("full", false, "make longer journals and alter more of them; takes about 20 seconds")

// A short journal with jobs.
func shortJournal(t testing.TB) []byte {
	var out bytes.Buffer
	w, err := NewWriter(&out, Options{})
	require.NoError(t, err)
	r := w.Record(wc.NewCoordinator(1), Setup{})
	newConversation(t, 2, 300).run(t, r)
	require.NoError(t, r.Close())
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestEveryChangedByteIsNamedByItsLine(t *testing.T) {
	good := shortJournal(t)
	w := NewWalker(nil)
	require.NoError(t, w.Read("", bytes.NewReader(good)))
	require.Zero(t, w.Divergences)
	lines := bytes.Count(good, []byte("\n"))
	bits := []byte{1, 0x20, 0x80}
	if !*full {
		bits = bits[:1]
	}
	for at := range good {
		if testing.Short() && at%8 != 0 && at != len(good)-1 {
			continue
		}
		for _, bit := range bits {
			bad := bytes.Clone(good)
			bad[at] ^= bit
			line := bytes.Count(good[:at], []byte("\n")) + 1
			named := 0 // the first line that is named
			w := NewWalker(func(e *Event) error {
				if len(e.Divergences) > 0 && named == 0 {
					named = e.Line
				}
				return nil
			})
			err := w.Read("", bytes.NewReader(bad))
			var damaged *LineError
			if errors.As(err, &damaged) && (named == 0 || damaged.Line < named) {
				named = damaged.Line
			}
			if at == len(good)-1 && w.Torn == 1 {
				continue // without its line feed, and with a byte more, the last line is torn
			}
			require.Equal(t, line, min(named, lines), "byte %d, %q", at, good[max(0, at-20):min(len(good), at+20)])
		}
	}
}

func TestChangedFieldIsNamedWithWhatWasWantedAndGot(t *testing.T) {
	good := string(shortJournal(t))
	for _, change := range []struct{ old, new, want string }{
		{`"step":4,"call":"handle_inbound","wire":{"version":1,"message_id":3`, `"step":4,"call":"handle_inbound","wire":{"version":1,"message_id":4`,
			`step 4: handle_inbound: error: wanted null, got {"actual":`},
		{`"op":"SpawnJob","job_id":1,`, `"op":"SpawnJob","job_id":3,`, `drain_outbox: job_id: wanted 3, got 1`},
		{`"reaped":[{"job_id":0,"state":"Completed"`, `"reaped":[{"job_id":0,"state":"Failed"`, `reap: reaped: wanted [{"bytes":300,"cause":"Outcome","job_id":0,"outcome":"Ok","state":"Failed"}], got [`},
		{`"after":{"state":"ready"}`, `"after":{"state":"reedy"}`, `handle_inbound: after: wanted {"state":"reedy"}, got {"state":"ready"}`},
	} {
		bad := strings.Replace(good, change.old, change.new, 1)
		require.NotEqual(t, good, bad, change.old)
		name := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(name, []byte(bad), 0o666))
		_, found, err := walk(t, name)
		require.NoError(t, err)
		require.NotEmpty(t, found)
		all := strings.Join(found, "\n")
		line := strings.Count(bad[:strings.Index(bad, change.new)], "\n") + 1
		assert.Contains(t, all, fmt.Sprintf("journal:%d: ", line))
		assert.Contains(t, all, change.want)
		assert.Contains(t, all, ": crc: wanted ")
	}
}

func TestLinesThatAreMissingAreFound(t *testing.T) {
	lines := strings.SplitAfter(string(shortJournal(t)), "\n")
	name := filepath.Join(t.TempDir(), "journal")
	require.NoError(t, os.WriteFile(name, []byte(strings.Join(append(lines[:3:3], lines[4:]...), "")), 0o666))
	w, found, err := walk(t, name)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Contains(t, found[0], "journal:4: step 3: ")
	assert.Contains(t, found[0], ": step: wanted 3, got 2")
	assert.Positive(t, w.Unreplayed)
}

func TestOneChangedByteAmongManyStepsIsNamedInBoundedMemory(t *testing.T) {
	steps := 100_000
	switch {
	case *full:
		steps = 1_000_000
	case testing.Short():
		steps = 20_000
	}
	name := filepath.Join(t.TempDir(), "journal")
	w := create(t, name, Options{})
	r := w.Record(wc.NewCoordinator(1), Setup{})
	conv := newConversation(t, 1000, 16)
	made := 0
	for made < steps {
		conv.run(t, r)
		made += 1 + 5*1000
		if made < steps {
			r.WorkerLost()
			require.NoError(t, r.Close())
			r = w.Record(wc.NewCoordinator(1), Setup{})
			made++
		}
	}
	require.NoError(t, w.Close())

	f, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	info, err := f.Stat()
	require.NoError(t, err)
	around := make([]byte, 1<<20) // change the id of a job in a message, in the middle
	at := info.Size() * 3 / 4
	_, err = f.ReadAt(around, at)
	require.NoError(t, err)
	const message = `"op":{"type":"JobCompleted","job_id":5`
	in := bytes.Index(around, []byte(message)) + len(message) - 1
	require.Greater(t, in, len(message))
	_, err = f.WriteAt([]byte{around[in] ^ 1}, at+int64(in))
	require.NoError(t, err)
	require.NoError(t, f.Close())

	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most, seen := uint64(0), 0
	var found []string
	walker := NewWalker(func(e *Event) error {
		if seen++; seen%50_000 == 0 {
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
		for _, d := range e.Divergences {
			if len(found) < 10 {
				found = append(found, fmt.Sprintf("%d: %s: %s: wanted %s, got %s", e.Line, d.Call, d.Field, d.Wanted, d.Got))
			}
		}
		return nil
	})
	part := Files(name)[0]
	require.NoError(t, walker.Read(name, part))
	require.NoError(t, part.Close())
	require.Equal(t, made, walker.Steps)
	require.NotEmpty(t, found)
	all := strings.Join(found, "\n")
	assert.Contains(t, all, `: handle_inbound: error: wanted null, got {"actual":`)
	assert.Contains(t, all, `"kind":"ReplayHashMismatch"}`)
	assert.Contains(t, all, ": handle_inbound: crc: wanted ")
	if most > 0 {
		assert.Less(t, most, before.HeapAlloc+64<<20)
	}
}
