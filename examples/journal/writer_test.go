package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

// walk reads a journal and returns what was found.
func walk(t testing.TB, name string) (*Walker, []string, error) {
	var found []string
	w := NewWalker(func(e *Event) error {
		for _, d := range e.Divergences {
			found = append(found, fmt.Sprintf("%s:%d: step %d: %s: %s: wanted %s, got %s", filepath.Base(e.File), e.Line, d.Step, d.Call, d.Field, d.Wanted, d.Got))
		}
		return nil
	})
	var first error
	for _, part := range Files(name) {
		if err := w.Read(part.Name, part); err != nil && first == nil {
			first = err
		}
		require.NoError(t, part.Close())
	}
	return w, found, first
}

func requireClean(t testing.TB, name string, sessions, steps int) {
	w, found, err := walk(t, name)
	require.NoError(t, err)
	require.Empty(t, found)
	require.Equal(t, sessions, w.Sessions, "sessions")
	require.Equal(t, steps, w.Steps, "steps")
	require.Zero(t, w.Unreplayed)
}

// turns makes steps that are easy to count.
func turns(r *Recorder, n int) {
	for range n {
		r.AdvanceTurn()
	}
}

func create(t testing.TB, name string, o Options) *Writer {
	w, err := Create(name, o)
	require.NoError(t, err)
	return w
}

func TestEveryStepIsInTheJournalWhenItsCallReturns(t *testing.T) {
	for _, o := range []Options{{}, {Sync: true}, {MaxFileBytes: 3000}} {
		name := filepath.Join(t.TempDir(), "journal")
		w := create(t, name, o)
		r := w.Record(wc.NewCoordinator(1), Setup{})
		steps := 0
		for _, n := range []int{1, 2, 100, 2000} { // more than a tail holds
			if o.Sync {
				n = min(n, 20)
			}
			turns(r, n)
			steps += n
			requireClean(t, name, 1, steps)
		}
		require.NoError(t, w.Close())
		requireClean(t, name, 1, steps)
		assert.NoFileExists(t, name+".tail")
	}
}

func TestSessionsShareAJournal(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	w := create(t, name, Options{MaxFileBytes: 2000})
	a := w.Record(wc.NewCoordinator(1, wc.WithLimits(wc.Limits{Boot: 3})), Setup{Limits: wc.Limits{Boot: 3}})
	b := w.RecordWorker(wc.NewWorker("b", 7))
	require.NoError(t, b.Announce())
	for range 50 {
		a.ExpectWorker()
		b.AdvanceTurn()
	}
	require.NoError(t, b.Close())
	turns(a, 50)
	require.NoError(t, a.Close())
	turns(a, 1) // after Close: not recorded
	require.NoError(t, w.Close())
	require.Greater(t, len(Files(name)), 3)
	requireClean(t, name, 2, 151)
}

func TestSessionsOfSeveralGoroutinesShareAJournal(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	w := create(t, name, Options{MaxFileBytes: 10_000})
	var running sync.WaitGroup
	for seed := range uint64(8) {
		running.Go(func() {
			r := w.Record(wc.NewCoordinator(seed), Setup{})
			turns(r, 200)
			assert.NoError(t, r.Close())
		})
	}
	running.Wait()
	require.NoError(t, w.Close())
	requireClean(t, name, 8, 8*200)
}

// A coordinator with other limits than its Setup says would be replayed with the wrong ones.
func TestLimitsThatAreNotTheCoordinatorsAreFound(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	w := create(t, name, Options{})
	r := w.Record(wc.NewCoordinator(1, wc.WithLimits(wc.Limits{Boot: 3})), Setup{Limits: wc.Limits{Boot: 4}})
	r.ExpectWorker()
	require.NoError(t, w.Close())
	_, found, err := walk(t, name)
	require.NoError(t, err)
	require.Equal(t, []string{`journal:2: step 0: expect_worker: after: wanted {"due":3,"state":"waiting"}, got {"due":4,"state":"waiting"}`}, found)
}

func TestFilesHaveNoMoreThanMaxFileBytes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	w := create(t, name, Options{MaxFileBytes: 3000})
	r := w.Record(wc.NewCoordinator(1), Setup{})
	turns(r, 200)
	for range 3 { // a line that is longer has a file of its own
		_ = r.SpawnJob(wc.SpawnJob{Payload: make([]byte, 5000)})
		turns(r, 1)
	}
	require.NoError(t, w.Close())
	files := Files(name)
	for _, f := range files {
		info, err := os.Stat(f.Name)
		require.NoError(t, err)
		if data, err := os.ReadFile(f.Name); err == nil && bytes.Count(data, []byte("\n")) > 2 {
			assert.LessOrEqual(t, info.Size(), int64(3000), f.Name)
		}
	}
	assert.Greater(t, len(files), 8)
	requireClean(t, name, 1, 206)

	w = create(t, name, Options{MaxFileBytes: 3000}) // goes on in the last file
	turns(w.Record(wc.NewCoordinator(1), Setup{}), 10)
	require.NoError(t, w.Close())
	requireClean(t, name, 2, 216)
}

func TestMaxFilesKeepsTheLatest(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	w := create(t, name, Options{MaxFileBytes: 3000, MaxFiles: 3})
	r := w.Record(wc.NewCoordinator(1), Setup{})
	turns(r, 500)
	require.Greater(t, len(Files(name)), 3, "the session goes on")
	requireClean(t, name, 1, 500)
	require.NoError(t, r.Close())
	files := Files(name)
	require.Len(t, files, 3, "it has ended")
	require.NoError(t, w.Close())
	last, found, err := walk(t, name)
	require.NoError(t, err)
	require.Empty(t, found)
	require.Zero(t, last.Unreplayed)
	require.Positive(t, last.Deleted)
	require.Equal(t, last.Steps, last.Deleted, "the beginning is missing")
	data, err := os.ReadFile(files[2].Name)
	require.NoError(t, err)
	require.Contains(t, string(data), `"step":499,"call":"advance_turn"`)
}

func TestABoundedJournalOfShortSessionsReplaysAtEveryMoment(t *testing.T) {
	const fileBytes, files, session = 3000, 4, 30
	name := filepath.Join(t.TempDir(), "journal")
	w := create(t, name, Options{MaxFileBytes: fileBytes, MaxFiles: files})
	var open []*Recorder
	deleted := 0
	for n := range 40 * session {
		if n%session == 0 { // three are open, each of which begins when another is in its middle
			if len(open) == 3 {
				require.NoError(t, open[0].Close())
				open = open[1:]
			}
			open = append(open, w.Record(wc.NewCoordinator(1), Setup{}))
		}
		for _, r := range open {
			r.AdvanceTurn()
		}
		if n%7 != 0 {
			continue
		}
		cut := map[uint64]bool{}
		walker := NewWalker(func(e *Event) error {
			if cut[e.Session] = e.Coordinator == nil; e.Call == "end" {
				delete(cut, e.Session)
			}
			return nil
		})
		for _, part := range Files(name) {
			require.NoError(t, walker.Read(part.Name, part))
			require.NoError(t, part.Close())
		}
		require.NotContains(t, slices.Collect(maps.Values(cut)), true, "what goes on has its beginning")
		require.Zero(t, walker.Divergences)
		require.Zero(t, walker.Unreplayed)
		deleted += walker.Deleted
		require.LessOrEqual(t, len(Files(name)), 20, "what is written while a session goes on")
	}
	require.Positive(t, deleted)
	require.NoError(t, w.Close())
}

func TestAFileThatIsDeletedBeforeItIsReadIsEmpty(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	w := create(t, name, Options{MaxFileBytes: 1000, MaxFiles: 3})
	a := w.Record(wc.NewCoordinator(1), Setup{})
	turns(a, 20)
	before := Files(name)
	require.NoError(t, a.Close())
	b := w.Record(wc.NewCoordinator(1), Setup{})
	turns(b, 100)
	require.NoFileExists(t, before[0].Name)
	walker := NewWalker(nil)
	for _, part := range append(before, Files(name)[0]) {
		require.NoError(t, walker.Read(part.Name, part))
		require.NoError(t, part.Close())
	}
	require.Zero(t, walker.Divergences)
	require.NoError(t, w.Close())
	_, err := Files(filepath.Join(t.TempDir(), "none"))[0].Read(nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTornLastLineIsNoError(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, Options{})
	require.NoError(t, err)
	r := w.Record(wc.NewCoordinator(1), Setup{})
	turns(r, 3)
	_ = r.CancelJob(1, "reason")
	all := out.String()
	for cut := range len(all) {
		if testing.Short() && cut%8 != 0 && all[cut-1] != '\n' && all[cut] != '\n' {
			continue
		}
		name := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(name, []byte(all[:cut]), 0o666))
		steps := max(0, strings.Count(all[:cut], "\n")-1)
		if strings.HasSuffix(all[:cut], "\"}") && steps+1 == strings.Count(all[:cut], `"crc"`)-1 {
			steps++ // only the line feed is missing
		}
		w, found, err := walk(t, name)
		require.NoError(t, err, "%d", cut)
		require.Empty(t, found)
		require.Equal(t, steps, w.Steps, "%q", all[:cut])

		again := create(t, name, Options{}) // a new session after it
		turns(again.Record(wc.NewCoordinator(1), Setup{}), 1)
		require.NoError(t, again.Close())
		w, found, err = walk(t, name)
		require.NoError(t, err)
		require.Empty(t, found)
		require.Equal(t, max(0, strings.Count(all[:cut], "\n")-1)+1, w.Steps)
		require.Zero(t, w.Torn)
	}
}

// TestCrash is the program that the next test kills.
func TestCrash(t *testing.T) {
	name := os.Getenv("JOURNAL_TO_WRITE")
	if name == "" {
		t.Skip("runs as a process of its own")
	}
	w := create(t, name, Options{MaxFileBytes: 100_000})
	r := w.Record(wc.NewCoordinator(1), Setup{})
	for n := 1; ; n++ {
		r.AdvanceTurn()
		fmt.Println(n)
	}
}

func TestWriteErrorsAreTypedAndLeaveTheSessionAlone(t *testing.T) {
	for _, room := range []int{0, 50, 1000} {
		told := 0
		full := &limited{room: room}
		w, err := NewWriter(full, Options{OnError: func(e *WriteError) {
			told++
			assert.ErrorIs(t, e, syscall.ENOSPC)
		}})
		require.NoError(t, err)
		r, k := w.Record(wc.NewCoordinator(1), Setup{}), w.RecordWorker(wc.NewWorker("<w>&\u2028", 1))
		everyCall(t, r, k) // all of it works
		var fault *WriteError
		require.ErrorAs(t, r.Err(), &fault)
		require.ErrorIs(t, w.Close(), syscall.ENOSPC)
		require.ErrorIs(t, r.Close(), syscall.ENOSPC)
		require.Equal(t, 1, told)
		torn := NewWalker(nil)
		require.NoError(t, torn.Read("", bytes.NewReader(full.written.Bytes())))
		require.Zero(t, torn.Divergences)
	}
}

// limited is a disk that gets full.
type limited struct {
	room    int
	written bytes.Buffer
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.room)
	l.room -= n
	l.written.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func TestStepAfterCloseIsAnErrorOfTheJournalOnly(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	w := create(t, name, Options{})
	r := w.Record(wc.NewCoordinator(1), Setup{})
	turns(r, 1)
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	turns(r, 1)
	assert.Equal(t, uint64(2), r.Turn())
	assert.ErrorIs(t, r.Err(), os.ErrClosed)
	assert.ErrorContains(t, r.Err(), `cannot write "`+name+`": `)
	requireClean(t, name, 1, 1)
}

func TestOptionsAndFilesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "journal")
	for _, o := range []Options{{MaxFileBytes: -1}, {MaxFiles: -1}, {MaxFiles: 1}, {DigestOver: -1}} {
		_, err := Create(name, o)
		assert.ErrorIs(t, err, ErrOptions)
		_, err = NewWriter(io.Discard, o)
		assert.ErrorIs(t, err, ErrOptions)
		assert.NoFileExists(t, name)
	}
	_, err := NewWriter(io.Discard, Options{MaxFileBytes: 1})
	assert.ErrorIs(t, err, ErrOptions)

	notes := filepath.Join(dir, "notes.txt")
	require.NoError(t, os.WriteFile(notes, []byte("not to be changed"), 0o666))
	_, err = Create(notes, Options{})
	assert.ErrorIs(t, err, ErrNotJournal)
	data, _ := os.ReadFile(notes)
	assert.Equal(t, "not to be changed", string(data))
	assert.NoFileExists(t, notes+".tail")
	_, err = Create(os.DevNull, Options{})
	assert.ErrorIs(t, err, ErrNotJournal)
	_, err = Create(dir, Options{})
	assert.Error(t, err)
	_, err = Create(filepath.Join(dir, "none", "journal"), Options{})
	assert.True(t, errors.Is(err, os.ErrNotExist))
}

// An end that does not fit begins a file, and may have the beginning of its session deleted.
func TestAnEndThatBeginsAFileIsReadWithoutItsBeginning(t *testing.T) {
	for steps := range 60 {
		name := filepath.Join(t.TempDir(), "journal")
		w := create(t, name, Options{MaxFileBytes: 2000, MaxFiles: 1})
		r := w.Record(wc.NewCoordinator(1), Setup{})
		turns(r, steps)
		require.NoError(t, r.Close())
		require.NoError(t, w.Close())
		require.Len(t, Files(name), 1)
		walker, found, err := walk(t, name)
		require.NoError(t, err)
		require.Empty(t, found)
		require.Zero(t, walker.Unreplayed)
	}
}
