package main

import (
	"cmp"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// A process is one worker process and the goroutines that serve its pipes, so that the host's loop waits for
// neither. However it ends, it is killed and waited for, and then lines is closed.
type process struct {
	lines    chan []byte // the lines that it writes; closed when it is gone and all of them have been taken
	toWorker chan []byte // the lines that it is to read
	err      error       // why it is gone, once lines is closed

	announced bool // owned by the host's loop
	cmd       *exec.Cmd
	gone      chan struct{} // closed by kill
	kill      func()        // ends the process at once; lines that have not been taken are dropped
}

// holdTime is how long standard output may stay open after the process has ended: a process that it has started may
// have inherited it.
const holdTime = time.Second

// startProcess starts the command; wg counts its goroutines.
func startProcess(cmd *exec.Cmd, wg *sync.WaitGroup) (*process, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, written := io.Pipe()
	cmd.Stdout = written
	cmd.WaitDelay = holdTime
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{lines: make(chan []byte), toWorker: make(chan []byte), cmd: cmd, gone: make(chan struct{})}
	p.kill = sync.OnceFunc(func() {
		close(p.gone)
		p.end()
	})
	wg.Go(func() { p.write(stdin) })
	wg.Go(func() { p.read(stdout) })
	wg.Go(func() { written.CloseWithError(cmd.Wait()) }) // no error is io.EOF
	return p, nil
}

// end ends the process. What it has written can still be read.
func (p *process) end() { _ = p.cmd.Process.Kill() } // an error means that it has ended already

// read passes lines on until the process has ended and its output with it.
func (p *process) read(stdout *io.PipeReader) {
	defer close(p.lines)
	err := readLines(stdout, func(line []byte) bool {
		select {
		case p.lines <- line:
			return true
		case <-p.gone:
			return false
		}
	})
	p.end() // it may have broken the rules and live on
	_ = stdout.Close()
	p.err = fmt.Errorf("the worker process ended: %w", cmp.Or(err, io.EOF))
}

// write writes lines until the process is killed. It ends a process that has closed its standard input.
func (p *process) write(stdin io.Writer) {
	for {
		select {
		case line := <-p.toWorker:
			if _, err := stdin.Write(line); err != nil {
				p.end()
				return
			}
		case <-p.gone:
			return
		}
	}
}
