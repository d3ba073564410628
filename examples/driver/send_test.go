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

	wc "github.com/workerchannel/workerchannel"
)

// A countingWriter counts the calls of Write.
type countingWriter struct {
	bytes.Buffer
	calls int
}

func (w *countingWriter) Write(p []byte) (int, error) { w.calls++; return w.Buffer.Write(p) }

// texts are messages in an outbox.
type texts []string

func (t *texts) AppendBatch(dst []byte, batch []wc.Outgoing, size int) (text []byte, n int) {
	for start := len(dst); len(*t) > 0 && n < len(batch) && (n == 0 || len(dst)-start < size); n++ {
		dst = append(dst, (*t)[0]...)
		batch[n] = wc.Outgoing{Text: dst[len(dst)-len((*t)[0]):]}
		*t = (*t)[1:]
	}
	return dst, n
}

// sendList has sendFrom send messages, of which some come late: each list only after the one before has been sent.
func sendList(t *testing.T, conn Conn, lists ...[]string) {
	synctest.Test(t, func(t *testing.T) {
		wake, done, result := make(chan struct{}, 1), make(chan struct{}), make(chan error)
		var left texts
		go func() {
			result <- sendFrom(conn, wake, done, func(b *batch) { b.take(&left) })
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
	assert.Equal(t, 1+1+3+1, w.calls)
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
	assert.Less(t, w.calls, 100)
}

// Over a connection that does not send messages together, each is sent before the next one is made: the transport decides how
// many of them wait in it, and not the host.
func TestAMessageIsMadeWhenTheConnectionHasTakenTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(0)
		left := texts{"a", "b", "c", "d"}
		go func() {
			_ = sendFrom(a, nil, nil, func(b *batch) { b.take(&left) })
		}()
		for n := range 3 {
			synctest.Wait()
			assert.Len(t, left, 3-n)
			_, err := b.Recv()
			require.NoError(t, err)
		}
		require.NoError(t, b.Close())
	})
}

// chunks are what Read returns, one after the other.
type chunks []string

func (c *chunks) Read(p []byte) (int, error) {
	if len(*c) == 0 {
		return 0, io.EOF
	}
	n := copy(p, (*c)[0])
	*c = (*c)[1:]
	return n, nil
}

func (c *chunks) Write(p []byte) (int, error) { return len(p), nil }
func (c *chunks) Close() error                { return nil }

func TestMessagesThatHaveArrivedTogetherAreTakenTogether(t *testing.T) {
	var lines []string
	for n := range uint64(21) {
		lines = append(lines, string(message(n+1, wc.PollStatus{JobID: n}))+"\n")
	}
	all, last := strings.Join(lines, ""), lines[20]
	conn := Lines(&chunks{all[:len(all)-10], last[len(last)-10:], lines[0] + "{}\n" + lines[1], "garbage\n" + lines[2] + "\n" + last})
	var sizes []int
	var texts []string
	assert.Equal(t, io.EOF, receiveFrom(conn, nil, func(together []arrival) bool {
		sizes = append(sizes, len(together))
		for _, a := range together {
			texts = append(texts, string(a.text)+"\n")
			assert.Equal(t, a.v.Op() == nil, a.err != nil, "all are verified")
		}
		return true
	}))
	assert.Equal(t, []int{16, 4, 1, 2, 1, 1, 1, 1, 1}, sizes, "one that is refused is the last, and nothing waits for what is no message")
	assert.Equal(t, append(lines, lines[0], "{}\n", lines[1], "garbage\n", lines[2], "\n", last), texts)
}

func TestNothingIsReceivedWhenNoMoreIsWanted(t *testing.T) {
	one := string(message(1, wc.PollStatus{JobID: 1})) + "\n"
	conn := Lines(&chunks{one, one})
	taken := 0
	assert.NoError(t, receiveFrom(conn, nil, func([]arrival) bool { taken++; return false }))
	assert.Equal(t, 1, taken)
	_, err := conn.Recv()
	assert.NoError(t, err)
}

func TestAFailureToWriteEndsTheSender(t *testing.T) {
	for _, n := range []int{1, 2} {
		l := newLines(strings.NewReader(""), failingWriter{}, nil)
		left := texts{"a", "b"}[:n]
		assert.Equal(t, errTest, sendFrom(l, nil, nil, func(b *batch) { b.take(&left) }))
	}
	a, b := Pipe(0)
	require.NoError(t, b.Close())
	assert.True(t, errors.Is(sendFrom(a, nil, nil, func(b *batch) { b.take(&texts{"a"}) }), io.ErrClosedPipe))
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errTest }
