package driver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// exitDelay is how long what a process has written is still read after it has exited, if another process holds its
// standard output open.
const exitDelay = time.Second

// Start starts a process and returns a connection that carries messages as lines over its standard input and output.
// The connection is the lifetime of the process: Close kills it and waits for its end, and when it exits Recv returns
// what it has written and then an error that says how it ended. A process that it has started and that holds its
// standard output open does not delay that. On Unix, unless cmd.SysProcAttr is set, the process leads a process group
// of its own, so that an interrupt at the terminal does not reach it, and the whole group is killed.
//
// cmd.Stdin and cmd.Stdout must be nil. Its standard error is where cmd.Stderr says; a file, such as os.Stderr, costs
// nothing, and any other writer a goroutine. Do not use a cmd of exec.CommandContext whose context ends before the
// worker is to.
func Start(cmd *exec.Cmd) (Conn, error) {
	if cmd.Stdin != nil || cmd.Stdout != nil {
		return nil, fmt.Errorf("%w: Start: cmd.Stdin and cmd.Stdout must be nil", ErrOptions)
	}
	stdin, toProcess, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	fromProcess, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close(), toProcess.Close())
	}
	cmd.Stdin, cmd.Stdout = stdin, stdout
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = exitDelay // for a standard error that is held open
	}
	ownGroup := leadGroup(cmd)
	err = cmd.Start()
	_ = stdin.Close()
	_ = stdout.Close()
	if err != nil {
		return nil, errors.Join(err, toProcess.Close(), fromProcess.Close())
	}
	p := &process{cmd: cmd, ownGroup: ownGroup, exited: make(chan struct{})}
	p.lines = newLines(fromProcess, toProcess, func() error {
		p.kill()
		<-p.exited
		return errors.Join(toProcess.Close(), fromProcess.Close())
	})
	go func() {
		p.waitErr = cmd.Wait()
		p.killRest()
		_ = fromProcess.SetReadDeadline(time.Now().Add(exitDelay))
		_ = toProcess.SetWriteDeadline(time.Now()) // a process that it has started may hold the other end, and not read
		close(p.exited)
	}()
	return p, nil
}

type process struct {
	*lines
	cmd      *exec.Cmd
	ownGroup bool
	killing  sync.Mutex
	reaped   bool          // the id of the process may be another's
	exited   chan struct{} // closed when the process has ended, with waitErr set
	waitErr  error
	ended    error // what Recv has failed with
}

func (p *process) Recv() ([]byte, error) {
	if p.ended != nil {
		return nil, p.ended
	}
	msg, err := p.lines.Recv()
	if err != nil {
		p.ended = p.explain(err)
	}
	return msg, p.ended
}

// explain says how the process ended when there is nothing more to read.
func (p *process) explain(err error) error {
	if errors.Is(err, ErrLineTooLong) {
		return err
	}
	select {
	case <-p.exited:
	case <-time.After(exitDelay): // it has closed its standard output and lives on
		return err
	}
	how := "exit status 0"
	if p.waitErr != nil {
		how = p.waitErr.Error()
	}
	if errors.Is(err, ErrHalfLine) {
		return fmt.Errorf("%w (the process has ended: %s)", err, how)
	}
	return fmt.Errorf("driver: process has ended: %s", how)
}

// kill kills the process and its group, if it has not ended.
func (p *process) kill() {
	p.killing.Lock()
	defer p.killing.Unlock()
	if p.reaped {
		return
	}
	_ = p.cmd.Process.Kill()
	if p.ownGroup {
		killGroup(p.cmd.Process.Pid)
	}
}

// killRest kills what is left of the group when the process has ended.
func (p *process) killRest() {
	p.killing.Lock()
	defer p.killing.Unlock()
	p.reaped = true
	if p.ownGroup {
		killGroup(p.cmd.Process.Pid)
	}
}
