package driver

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A countingWriter counts the calls of Write.
type countingWriter struct {
	bytes.Buffer
	calls int
}

func (w *countingWriter) Write(p []byte) (int, error) { w.calls++; return w.Buffer.Write(p) }

// sendList has sendFrom send messages, of which some come late: each list only after the one before has been sent.
func sendList(t *testing.T, conn Conn, lists ...[]string) {
	synctest.Test(t, func(t *testing.T) {
		wake, done, result := make(chan struct{}, 1), make(chan struct{}), make(chan error)
		var left []string
		go func() {
			result <- sendFrom(conn, wake, done, func(text []byte) ([]byte, int) {
				n := len(left)
				if n > 0 {
					text, left = append(text, left[0]...), left[1:]
				}
				return text, n
			})
		}()
		for _, list := range lists {
			synctest.Wait()
			left = list
			wake <- struct{}{}
		}
		synctest.Wait()
		close(done)
		require.NoError(t, <-result)
	})
}

func TestShortMessagesThatAreThereAreWrittenAtOnce(t *testing.T) {
	long := strings.Repeat("x", lineBuffer)
	w := &countingWriter{}
	sendList(t, newLines(strings.NewReader(""), w, nil), []string{"a", "b", "c"}, []string{"d"}, []string{"e", long, "f"})
	assert.Equal(t, "a\nb\nc\nd\ne\n"+long+"\nf\n", w.String())
	assert.Equal(t, 1+1+4, w.calls)
}

func TestMessagesThatAreWrittenAtOnceAreBounded(t *testing.T) {
	var list []string
	for range 1000 {
		list = append(list, strings.Repeat("x", 1000))
	}
	w := &countingWriter{}
	l := newLines(strings.NewReader(""), w, nil)
	sendList(t, l, list)
	assert.Equal(t, strings.Join(list, "\n")+"\n", w.String())
	assert.LessOrEqual(t, cap(l.out), 2*lineBuffer)
	assert.GreaterOrEqual(t, w.calls, 1000*1000/lineBuffer)
	assert.Less(t, w.calls, 50)
}

func TestWhatWasLeftForLaterIsWrittenThoughNothingFollows(t *testing.T) {
	w := &countingWriter{}
	l := newLines(strings.NewReader(""), w, nil)
	messages := 2 // of which the second is withdrawn
	done := make(chan struct{})
	close(done)
	require.NoError(t, sendFrom(l, nil, done, func(text []byte) ([]byte, int) {
		n := messages
		messages = 0
		return append(text, 'a'), n
	}))
	assert.Equal(t, "a\n", w.String())
}

func TestAFailureToWriteEndsTheSender(t *testing.T) {
	for _, n := range []int{1, 2} { // at once, or when the second comes
		l := newLines(strings.NewReader(""), failingWriter{}, nil)
		assert.Equal(t, errTest, sendFrom(l, nil, nil, func(text []byte) ([]byte, int) { n--; return append(text, 'a'), n + 1 }))
	}
	a, b := Pipe(0)
	require.NoError(t, b.Close())
	assert.True(t, errors.Is(sendFrom(a, nil, nil, func(text []byte) ([]byte, int) { return text, 1 }), io.ErrClosedPipe))
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errTest }
