package conform

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// What a program may write. A message with the largest payload has less than 1.1 MiB.
const (
	maxLine     = 4 << 20 // bytes
	maxMessages = 10_000  // in answer to one command
	maxAhead    = 64      // lines that it may write before they are asked for, beyond those in the pipe
	maxStderr   = 2000    // bytes that are kept
)

// DefaultTimeout is how long a program may take for a command.
const DefaultTimeout = 10 * time.Second

// A Command says how to start a program under test.
type Command struct {
	Args    []string
	Timeout time.Duration // for one command; 0 is DefaultTimeout
	TCP     bool          // commands go through a TCP connection; always so on Windows
}

// A Process is a program under test. It is not safe for concurrent use.
type Process struct {
	cmd      *exec.Cmd
	timeout  time.Duration
	ours     []io.Closer // our ends
	commands io.Writer
	stdin    io.Writer
	stdout   *lineReader
	replies  *lineReader
	stderr   tail
	logged   chan struct{}  // closed when stderr is at its end
	work     sync.WaitGroup // our goroutines
	closed   sync.Once
	gone     chan struct{} // closed when the process has ended and been waited for
	state    error         // how it ended, once gone is closed
}

// Start starts the program. The caller must call Close.
func (c Command) Start() (*Process, error) {
	p := &Process{cmd: exec.Command(c.Args[0], c.Args[1:]...), timeout: cmp.Or(c.Timeout, DefaultTimeout), gone: make(chan struct{}), logged: make(chan struct{})}
	var theirs []io.Closer
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	// pipe returns our end and the program's of a pipe to it or from it.
	pipe := func(to bool) (our, their *os.File, err error) {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, nil, err
		}
		our, their = r, w
		if to {
			our, their = w, r
		}
		p.ours, theirs = append(p.ours, our), append(theirs, their)
		return our, their, nil
	}
	files := make([]*os.File, 5)
	theirFiles := make([]*os.File, 5)
	tcp := c.TCP || runtime.GOOS == "windows"
	for fd, to := range []bool{true, false, false, true, false} {
		if fd > 2 && tcp {
			break
		}
		var err error
		if files[fd], theirFiles[fd], err = pipe(to); err != nil {
			p.closeOurs()
			return nil, err
		}
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirFiles[0], theirFiles[1], theirFiles[2]
	var listener net.Listener
	if tcp {
		var err error
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			p.closeOurs()
			return nil, err
		}
		defer listener.Close()
		p.cmd.Env = append(os.Environ(), AddrEnv+"="+listener.Addr().String())
	} else {
		p.cmd.ExtraFiles = theirFiles[3:]
	}
	ownGroup(p.cmd)
	if err := p.cmd.Start(); err != nil {
		p.closeOurs()
		return nil, err
	}
	go func() {
		p.state = p.cmd.Wait()
		close(p.gone)
	}()
	p.work.Go(func() {
		defer close(p.logged)
		_, _ = io.Copy(&p.stderr, files[2])
	})
	p.stdin, p.stdout = files[0], p.read(files[1])
	if !tcp {
		p.commands, p.replies = files[3], p.read(files[4])
		return p, nil
	}
	_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(p.timeout))
	conn, err := listener.Accept()
	if err != nil {
		err = p.explain(fmt.Errorf("the program did not connect to %s: %w", AddrEnv, err))
		p.Close()
		return nil, err
	}
	p.ours = append(p.ours, conn)
	p.commands, p.replies = conn, p.read(conn)
	return p, nil
}

func (p *Process) closeOurs() {
	for _, f := range p.ours {
		_ = f.Close()
	}
}

// Close kills the program and everything that it has started, and waits for it. Calling it again does no harm.
func (p *Process) Close() { p.closed.Do(p.close) }

func (p *Process) close() {
	kill(p.cmd)
	p.closeOurs()
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
		p.closeOurs() // ends the writing
		written.Wait()
		return Reply{}, err
	}
	written.Wait()
	return reply, nil
}

func (p *Process) reply(timeout <-chan time.Time) (Reply, error) {
	line, err := p.replies.next(timeout)
	if err != nil {
		if errors.Is(err, ErrTimeout) && len(p.stdout.lines) > 0 {
			err = fmt.Errorf("%w; it has written %s to standard output", err, excerpt(<-p.stdout.lines))
		}
		return Reply{}, fmt.Errorf("no reply: %w", err)
	}
	reply, messages, err := parseReply(string(line))
	if err != nil {
		return Reply{}, err
	}
	for i := range messages {
		m, err := p.stdout.next(timeout)
		if err != nil {
			return Reply{}, fmt.Errorf("message %d of the %d that the reply %q announces: %w", i+1, messages, reply.Verdict, err)
		}
		reply.Messages = append(reply.Messages, m)
	}
	return reply, nil
}

// ErrTimeout says that the program did not answer within Command.Timeout.
var ErrTimeout = errors.New("timeout")

// explain adds what is known of how the program ended.
func (p *Process) explain(err error) error {
	if errors.Is(err, io.EOF) {
		timer := time.NewTimer(p.timeout)
		defer timer.Stop()
		select {
		case <-p.gone:
			err = fmt.Errorf("the program has ended (%w)", cmp.Or(p.state, errors.New("exit status 0")))
			select {
			case <-p.logged:
			case <-timer.C:
			}
		case <-timer.C:
			err = errors.New("the program has closed its output but not ended")
		}
	}
	if text := p.stderr.String(); text != "" {
		err = fmt.Errorf("%w; its standard error: %s", err, printable([]byte(text)))
	}
	return err
}

// A lineReader reads the lines of one pipe in a goroutine of its own.
type lineReader struct {
	lines chan []byte // closed at the end
	err   error       // why, once lines is closed
	stop  chan struct{}
}

func (p *Process) read(from io.Reader) *lineReader {
	r := &lineReader{lines: make(chan []byte, maxAhead), stop: make(chan struct{})}
	p.work.Go(func() {
		defer close(r.lines)
		lines := bufio.NewScanner(from)
		lines.Buffer(nil, maxLine)
		lines.Split(splitLines)
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

// extra returns a line that was not announced, if one has arrived.
func (r *lineReader) extra() ([]byte, bool) {
	select {
	case line, ok := <-r.lines:
		return line, ok
	default:
		return nil, false
	}
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
