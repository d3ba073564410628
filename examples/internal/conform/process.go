package conform

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// What a program may write. A message with the largest payload has less than 1.1 MiB.
const (
	maxLine     = 4 << 20  // bytes
	maxMessages = 10_000   // in answer to one command
	maxAhead    = 64       // lines of an output that are read before they are asked for
	maxPending  = 64 << 20 // bytes of messages that are read before the reply that announces them
	maxStderr   = 2000     // bytes that are kept
)

// DefaultTimeout is how long a program may take for a command.
const DefaultTimeout = 10 * time.Second

// A Command says how to start a program under test.
type Command struct {
	Args    []string
	Timeout time.Duration   // for one command; 0 is DefaultTimeout
	TCP     bool            // commands go through a TCP connection; always so on Windows
	Context context.Context // its end kills the program; nil is context.Background()
}

// A Process is a program under test. It is not safe for concurrent use.
type Process struct {
	cmd      *exec.Cmd
	timeout  time.Duration
	ours     []*os.File   // our ends of the pipes
	conn     *net.TCPConn // nil unless the commands go through it
	commands io.Writer
	stdin    io.Writer
	stdout   *lineReader
	replies  *lineReader
	stderr   tail
	logged   chan struct{}  // closed when stderr is at its end
	work     sync.WaitGroup // our goroutines
	closed   sync.Once
	spare    func() bool   // has the end of the context not kill it
	gone     chan struct{} // closed when the process has ended and been waited for
	state    error         // how it ended, once gone is closed
}

// Start starts the program. The caller must call Close.
func (c Command) Start() (*Process, error) {
	descriptors, tcp := 5, c.TCP || runtime.GOOS == "windows"
	if tcp {
		descriptors = 3
	}
	ours, theirs, err := newPipes(descriptors)
	defer closeAll(theirs)
	if err != nil {
		closeAll(ours)
		return nil, err
	}
	p := &Process{
		cmd: exec.Command(c.Args[0], c.Args[1:]...), timeout: cmp.Or(c.Timeout, DefaultTimeout), ours: ours,
		gone: make(chan struct{}), logged: make(chan struct{}),
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr, p.cmd.ExtraFiles = theirs[0], theirs[1], theirs[2], theirs[3:]
	ownGroup(p.cmd)
	var listener *net.TCPListener
	if tcp {
		if listener, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			closeAll(ours)
			return nil, err
		}
		defer listener.Close()
		p.cmd.Env = append(os.Environ(), AddrEnv+"="+listener.Addr().String())
	}
	if err := p.cmd.Start(); err != nil {
		closeAll(ours)
		return nil, err
	}
	p.spare = func() bool { return true }
	if c.Context != nil {
		p.spare = context.AfterFunc(c.Context, func() { kill(p.cmd) })
	}
	go func() {
		p.state = p.cmd.Wait()
		close(p.gone)
	}()
	p.work.Go(func() {
		defer close(p.logged)
		_, _ = io.Copy(&p.stderr, ours[2])
	})
	p.stdin, p.stdout = ours[0], p.read(ours[1])
	if !tcp {
		p.commands, p.replies = ours[3], p.read(ours[4])
		return p, nil
	}
	if err := p.accept(listener); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// accept waits for the program to connect.
func (p *Process) accept(listener *net.TCPListener) error {
	_ = listener.SetDeadline(time.Now().Add(p.timeout)) // it has not been closed
	conn, err := listener.AcceptTCP()
	if err != nil {
		return p.explain(fmt.Errorf("the program did not connect to %s: %w", AddrEnv, err))
	}
	p.conn, p.commands, p.replies = conn, conn, p.read(conn)
	return nil
}

// newPipes makes a pipe for each descriptor of the program, 0 and 3 to it, the others from it, and returns our ends and
// the program's. After an error they are those that have been made.
func newPipes(descriptors int) (ours, theirs []*os.File, err error) {
	for fd := range descriptors {
		r, w, err := os.Pipe()
		if err != nil {
			return ours, theirs, err
		}
		if fd == 0 || fd == 3 {
			r, w = w, r
		}
		ours, theirs = append(ours, r), append(theirs, w)
	}
	return ours, theirs, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// disconnect closes our ends.
func (p *Process) disconnect() {
	closeAll(p.ours)
	if p.conn != nil {
		_ = p.conn.Close()
	}
}

// Close kills the program and everything that it has started, and waits for it. Calling it again does no harm.
func (p *Process) Close() { p.closed.Do(p.close) }

func (p *Process) close() {
	p.spare()
	kill(p.cmd)
	p.disconnect()
	<-p.gone
	for _, r := range []*lineReader{p.stdout, p.replies} {
		if r != nil {
			close(r.stop)
		}
	}
	p.work.Wait()
}

// Do sends a command, with the line that the command receive takes from standard input, and returns what the program
// does.
func (p *Process) Do(line string, message []byte) (Reply, error) {
	var written sync.WaitGroup
	write := func(w io.Writer, line []byte) {
		_, _ = w.Write(append(line[:len(line):len(line)], '\n')) // if it fails there is no reply
	}
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	written.Go(func() { // so that a program that does not read cannot hold us up
		write(p.commands, []byte(line))
		if line == "receive" {
			write(p.stdin, message)
		}
	})
	reply, err := p.reply(timer.C)
	if err != nil {
		err = p.explain(err)
		kill(p.cmd)
		p.disconnect() // ends the writing
		written.Wait()
		return Reply{}, err
	}
	written.Wait()
	return reply, nil
}

func (p *Process) reply(timeout <-chan time.Time) (Reply, error) {
	line, err := p.nextReply(timeout)
	if errors.Is(err, ErrTimeout) {
		err = p.guess(p.replies, p.stdout)
	}
	if err != nil {
		return Reply{}, fmt.Errorf("no reply: %w", err)
	}
	reply, messages, err := parseReply(string(line))
	if err != nil {
		return Reply{}, err
	}
	for i := range messages {
		m, err := p.stdout.next(timeout)
		if errors.Is(err, ErrTimeout) {
			err = p.guess(p.stdout, p.replies)
		}
		if err != nil {
			return Reply{}, fmt.Errorf("message %d of the %d that the reply %q announces: %w", i+1, messages, reply.Verdict, err)
		}
		reply.Messages = append(reply.Messages, m)
	}
	return reply, nil
}

// nextReply returns the next line of the replies. It reads the messages that come before, as the program may have to
// wait for that.
func (p *Process) nextReply(timeout <-chan time.Time) ([]byte, error) {
	for size := 0; len(p.stdout.ahead) < maxMessages && size < maxPending; {
		select {
		case line, ok := <-p.replies.lines:
			if !ok {
				return nil, cmp.Or(p.replies.err, io.EOF)
			}
			return line, nil
		case m, ok := <-p.stdout.lines:
			if !ok {
				return p.replies.next(timeout)
			}
			p.stdout.ahead, size = append(p.stdout.ahead, m), size+len(m)
		case <-timeout:
			return nil, ErrTimeout
		}
	}
	return p.replies.next(timeout)
}

// guess returns the error for a program that has not written a line to one of its outputs in time, with what may be the
// reason. A message on descriptor 4, or a reply on standard output, has gone to the wrong one.
func (p *Process) guess(to, other *lineReader) error {
	why := "nothing came within " + strconv.FormatFloat(p.timeout.Seconds(), 'g', 4, 64) + " s"
	if n := to.rest.Load(); n > 0 {
		return hang(fmt.Sprintf("%s but %d bytes without a line feed", why, n))
	}
	line, ok := other.come()
	if isMessage := bytes.HasPrefix(line, []byte("{")); ok && isMessage == (to == p.stdout) {
		return hang(fmt.Sprintf("%s, but %s came on the wrong descriptor", why, printable(line)))
	}
	return hang(why + ": is the output flushed?")
}

// ErrTimeout says that the program did not answer within Command.Timeout.
var ErrTimeout = errors.New("timeout")

// A hang says what the program did not do. For errors.Is it is ErrTimeout.
type hang string

func (h hang) Error() string { return string(h) }

func (hang) Is(err error) bool { return err == ErrTimeout }

// errEnded says that the program has ended.
var errEnded = errors.New("the program has ended")

// explain adds what is known of how the program ended.
func (p *Process) explain(err error) error {
	if errors.Is(err, io.EOF) {
		timer := time.NewTimer(p.timeout)
		defer timer.Stop()
		select {
		case <-p.gone:
			err = fmt.Errorf("%w (%w)", errEnded, cmp.Or(p.state, errors.New("exit status 0")))
			select {
			case <-p.logged:
			case <-timer.C:
			}
		case <-timer.C:
			err = hang("the program has closed its output but not ended")
		}
	}
	if text := p.stderr.String(); text != "" {
		err = fmt.Errorf("%w; its standard error: %s", err, safetext.Printable(text, maxStderr))
	}
	return err
}

// A lineReader reads the lines of one pipe in a goroutine of its own.
type lineReader struct {
	ahead [][]byte    // lines that have been taken from it, and come before it
	lines chan []byte // closed at the end
	err   error       // why, once lines is closed
	stop  chan struct{}
	rest  atomic.Int64 // how many bytes have come since the last line
}

func (p *Process) read(from io.Reader) *lineReader {
	r := &lineReader{lines: make(chan []byte, maxAhead), stop: make(chan struct{})}
	p.work.Go(func() {
		defer close(r.lines)
		lines := bufio.NewScanner(from)
		lines.Buffer(nil, maxLine)
		lines.Split(func(data []byte, atEnd bool) (n int, line []byte, err error) {
			n, line, err = splitLines(data, atEnd)
			r.rest.Store(int64(len(data) - n))
			return n, line, err
		})
		for lines.Scan() {
			select {
			case r.lines <- bytes.Clone(lines.Bytes()):
			case <-r.stop:
				return
			}
		}
		r.err = lines.Err()
		if errors.Is(r.err, bufio.ErrTooLong) {
			r.err = fmt.Errorf("a line of more than %d bytes", maxLine)
		}
	})
	return r
}

// splitLines splits at line feeds. What is left at the end of the input is no line.
func splitLines(data []byte, _ bool) (int, []byte, error) {
	if at := bytes.IndexByte(data, '\n'); at >= 0 {
		return at + 1, data[:at], nil
	}
	return 0, nil, nil
}

// next returns the next line.
func (r *lineReader) next(timeout <-chan time.Time) ([]byte, error) {
	if line, ok := r.come(); ok {
		return line, nil
	}
	select {
	case line, ok := <-r.lines:
		if !ok {
			return nil, cmp.Or(r.err, io.EOF)
		}
		return line, nil
	case <-timeout:
		return nil, ErrTimeout
	}
}

// come returns the next line if it has been read already.
func (r *lineReader) come() (line []byte, ok bool) {
	if len(r.ahead) > 0 {
		line, r.ahead = r.ahead[0], r.ahead[1:]
		return line, true
	}
	select {
	case line, ok = <-r.lines:
	default:
	}
	return line, ok
}

// unannounced kills the program and returns the first message that it has written beyond those that it announced.
func (p *Process) unannounced() ([]byte, bool) {
	kill(p.cmd) // so that its output ends
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	line, err := p.stdout.next(timer.C)
	return line, err == nil
}

// A tail keeps the last bytes that were written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-maxStderr):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.text), "?"))
}
