package driver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// exitDelay is how long the end of a process may take once it does not read or write any more, and how long what it has
// written is still read after it has exited, if another process holds its standard files open.
const exitDelay = time.Second

// A StartOption configures Start.
type StartOption func(*process)

// WithTerm has a process that is ended, late or not, get SIGTERM first, with its group, and SIGKILL if any of them
// still runs after the time d, so that it can remove a lock file. A host waits for that in addition to Limits.Close,
// before it runs the calls elsewhere, if Dial returns the connection as it is. It does not wait before it starts
// another worker, so the two must not need the same lock. Systems without SIGTERM have it killed at once, as without
// this option.
func WithTerm(d time.Duration) StartOption { return func(p *process) { p.term = d } }

// Start starts a process and returns a connection that carries messages as lines over its standard input and output.
// The connection is the lifetime of the process: Close kills it and waits for its end, and when it exits Recv returns
// what it has written and then an error that says how it ended. A process that it has started and that holds its
// standard output open does not delay that.
//
// Every line is a message. But a Host logs and skips the lines that come before the first message and are no JSON
// object with an integer as its version, such as a banner, what stands before the first message on its line, and later
// blank lines. More than 100 of them before the first message, or than 64 KiB, are ErrPreamble. It does so only if Dial
// returns the connection as it is.
//
// On Unix the process leads a process group of its own, so that an interrupt at the terminal does not reach it, and the
// whole group is killed; if cmd.SysProcAttr has it join another group, or be in the foreground, only the process is.
//
// cmd.Stdin and cmd.Stdout must be nil. Its standard error is where cmd.Stderr says; a file, such as os.Stderr, costs
// nothing, and any other writer a goroutine. If it is nil, a goroutine keeps the last 4 KiB, and the last lines are in
// the error that says how the process ended. Do not use a cmd of exec.CommandContext whose context ends before the
// worker is to.
func Start(cmd *exec.Cmd, opts ...StartOption) (Conn, error) {
	p := &process{cmd: cmd, delay: exitDelay, due: make(chan struct{}), exited: make(chan struct{}), heard: make(chan struct{})}
	for _, opt := range opts {
		if opt != nil {
			opt(p)
		}
	}
	switch {
	case cmd.Stdin != nil || cmd.Stdout != nil:
		return nil, fmt.Errorf("%w: Start: cmd.Stdin and cmd.Stdout must be nil", ErrOptions)
	case p.term < 0:
		return nil, fmt.Errorf("%w: WithTerm: expected no negative time, got %v", ErrOptions, p.term)
	}
	var ours, theirs [3]*os.File
	for fd := range ours {
		if fd == 2 && cmd.Stderr != nil {
			break
		}
		r, w, err := os.Pipe()
		if err != nil {
			return nil, errors.Join(err, closeFiles(ours), closeFiles(theirs))
		}
		if fd == 0 {
			r, w = w, r
		}
		ours[fd], theirs[fd] = r, w
	}
	cmd.Stdin, cmd.Stdout = theirs[0], theirs[1]
	if theirs[2] != nil {
		cmd.Stderr = theirs[2]
	}
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = exitDelay // for a standard error that is held open
	}
	p.ownGroup = leadGroup(cmd)
	err := cmd.Start()
	_ = closeFiles(theirs)
	if err != nil {
		return nil, errors.Join(err, closeFiles(ours))
	}
	p.stdin = ours[0]
	p.lines = newLines(ours[1], p, func() error {
		p.end()
		return closeFiles(ours)
	})
	go func() {
		if ours[2] != nil {
			p.said.collect(ours[2])
		}
		close(p.heard)
	}()
	go func() {
		err := cmd.Wait()
		p.killRest()
		if cmd.ProcessState != nil {
			p.how = howEnded(cmd.ProcessState)
		} else {
			p.how = err.Error() // somebody else has waited for it
		}
		// A process that it has started may hold the other ends, and not read.
		_ = ours[0].SetWriteDeadline(time.Now())
		for _, f := range ours[1:] {
			_ = f.SetReadDeadline(time.Now().Add(exitDelay)) // which a nil file refuses
		}
		close(p.exited)
	}()
	return p, nil
}

// closeFiles closes the files that are not nil.
func closeFiles(files [3]*os.File) (err error) {
	for _, f := range files {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

type process struct {
	*lines
	cmd      *exec.Cmd
	ownGroup bool
	term     time.Duration
	delay    time.Duration // exitDelay, for its end
	stdin    *os.File
	preamble preamble
	ended    error       // what Recv has failed with
	unread   atomic.Bool // a Send has failed, as it does when the process is ending

	due    chan struct{} // closed when what is left is to be killed
	exited chan struct{} // closed when the process has ended, with how set
	how    string
	heard  chan struct{} // closed when its standard error has ended
	said   lastWords

	signalling sync.Mutex
	reaped     bool // the id of the process may be another's
	asked      bool // it was sent SIGTERM
	killed     bool // it was sent SIGKILL
}

// Write writes to the process what lines.Send sends.
func (p *process) Write(b []byte) (int, error) {
	n, err := p.stdin.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) { // which is set when it has ended, or is being ended
		err = os.ErrProcessDone
	} else if err != nil {
		p.unread.Store(true)
	}
	return n, err
}

func (p *process) Recv() ([]byte, error) {
	line, err := p.recvShared()
	return bytes.Clone(line), err
}

func (p *process) recvShared() ([]byte, error) {
	for p.ended == nil {
		line, err := p.lines.recvShared()
		if err != nil {
			p.ended = p.explain(err)
			break
		}
		if p.preamble.log == nil {
			return line, nil
		}
		var ok bool
		if line, ok, p.ended = p.preamble.message(line); ok {
			return line, nil
		}
	}
	return nil, p.ended
}

// An exitError says how the process ended.
type exitError struct{ error }

func (e exitError) Unwrap() error { return e.error }

// explain says how the process ended when there is nothing more to read.
func (p *process) explain(err error) error {
	switch {
	case errors.Is(err, ErrLineTooLong):
		return err
	case !passed(p.exited, p.delay): // it has closed its standard output
		return fmt.Errorf("driver: process runs on without a standard output: %w", err)
	case p.wasEnded():
		return ErrConnClosed
	case errors.Is(err, ErrHalfLine):
		return exitError{fmt.Errorf("%w (the %s)", err, p.ending())}
	}
	return exitError{fmt.Errorf("driver: %s", p.ending())}
}

// wasEnded reports whether the process has ended because of a signal of this side. exited is closed.
func (p *process) wasEnded() bool { return p.asked || p.killed && p.how == howKilled }

// ending says how the process ended, unless this side has ended it, and what it said last.
func (p *process) ending() string {
	var parts []string
	if passed(p.exited, 0) {
		if !p.wasEnded() {
			parts = append(parts, "process has ended: "+p.how)
		}
		passed(p.heard, exitDelay) // another process may hold it open
	}
	if words := p.said.String(); words != "" {
		parts = append(parts, "last on its standard error: "+words)
	}
	return strings.Join(parts, "; ")
}

// passed waits until c is closed, but no longer than that, and reports whether it is.
func passed(c <-chan struct{}, within time.Duration) bool {
	select {
	case <-c:
		return true
	default:
	}
	select {
	case <-c:
		return true
	case <-time.After(within):
		return false
	}
}

// end ends the process, if it has not ended, and waits for its end.
func (p *process) end() {
	_ = p.stdin.SetWriteDeadline(time.Now()) // for a Send that waits
	switch {
	case p.unread.Load() && passed(p.exited, p.delay): // so that how is not our signal's
	case p.term > 0 && p.terminate() && passed(p.exited, p.term):
	default:
		p.kill()
		<-p.exited
	}
	passed(p.heard, exitDelay)
}

// terminate asks the process and its group to end, and reports whether there is something to wait for.
func (p *process) terminate() bool {
	p.signalling.Lock()
	defer p.signalling.Unlock()
	if p.reaped {
		return false
	}
	p.asked = terminate(p.cmd.Process, p.ownGroup)
	return p.asked
}

// kill kills the process and its group, if it has not ended.
func (p *process) kill() {
	p.signalling.Lock()
	defer p.signalling.Unlock()
	close(p.due)
	if p.reaped {
		return
	}
	p.killed = true
	_ = p.cmd.Process.Kill()
	if p.ownGroup {
		killGroup(p.cmd.Process.Pid)
	}
}

// killRest kills what is left of the group when the process has ended. If all have been asked to end, they have time.
func (p *process) killRest() {
	p.signalling.Lock()
	p.reaped = true
	asked := p.asked
	p.signalling.Unlock()
	if !p.ownGroup {
		return
	}
	for asked && groupLives(p.cmd.Process.Pid) && !passed(p.due, 10*time.Millisecond) {
	}
	killGroup(p.cmd.Process.Pid)
}
