package main

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
)

// A process is one worker process and the two goroutines that serve its pipes, so that the host's loop
// waits for neither. Whatever goes wrong with it has one end: it is killed, waited for, and lines is
// closed.
type process struct {
	lines chan []byte // what it says; closed when it is gone
	err   error       // why it is gone, once lines is closed

	cmd  *exec.Cmd
	out  lineQueue
	gone chan struct{} // closed by kill
	once sync.Once
}

// startProcess starts the command; wg counts its goroutines.
func startProcess(cmd *exec.Cmd, wg *sync.WaitGroup) (*process, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{lines: make(chan []byte), cmd: cmd, gone: make(chan struct{})}
	p.out.cond.L = &p.out.mu
	wg.Go(func() { p.read(stdout) })
	wg.Go(func() { p.write(stdin) })
	return p, nil
}

// send queues one line; it never waits for the worker to read.
func (p *process) send(line []byte) { p.out.put(line) }

// kill ends the process whatever it is doing. What it has said and nobody has taken is dropped.
func (p *process) kill() {
	p.once.Do(func() {
		close(p.gone)
		p.out.close()
		_ = p.cmd.Process.Kill() // or it is dead already
	})
}

// read hands on what the worker says, to the last whole line, and then sees to its end.
func (p *process) read(stdout io.Reader) {
	defer close(p.lines)
	err := readLines(stdout, func(line []byte) bool {
		select {
		case p.lines <- line:
			return true
		case <-p.gone:
			return false
		}
	})
	p.kill() // it may have closed its end or broken the rules, and live on
	p.err = errors.Join(err, p.cmd.Wait())
	if p.err == nil {
		p.err = io.EOF
	}
	p.err = fmt.Errorf("the worker process ended: %w", p.err)
}

func (p *process) write(stdin io.Writer) {
	for {
		line, ok := p.out.take()
		if !ok {
			return
		}
		if _, err := stdin.Write(line); err != nil {
			p.kill() // a worker that does not listen is no worker
			return
		}
	}
}

// A lineQueue is a queue without bound between the loop and the goroutine that writes. The host keeps
// it short: it has only so many jobs in flight.
type lineQueue struct {
	mu     sync.Mutex
	cond   sync.Cond
	lines  [][]byte
	closed bool
}

func (q *lineQueue) put(line []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lines = append(q.lines, line)
	q.cond.Signal()
}

// take waits for a line; false once the queue is closed.
func (q *lineQueue) take() (line []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.lines) == 0 && !q.closed {
		q.cond.Wait()
	}
	if q.closed {
		return nil, false
	}
	line, q.lines = q.lines[0], q.lines[1:]
	return line, true
}

func (q *lineQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lines, q.closed = nil, true
	q.cond.Signal()
}
