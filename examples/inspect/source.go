package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/jobname"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// maxLine is the length of the longest line of a capture.
const maxLine = 8 << 20

// A reader reads captures and journals and passes what is in them to take, in order. Before it waits for input it
// calls flush.
type reader struct {
	isHex   bool
	take    func(*entry) error
	flush   func() error
	walker  *journal.Walker
	host    hostView
	scratch []byte
	run     int
	damage  error // the first line of a journal that cannot be read
}

func newReader(isHex bool, take func(*entry) error, flush func() error) *reader {
	r := &reader{isHex: isHex, take: take, flush: flush}
	r.walker = journal.NewWalker(r.event)
	return r
}

// file reads a file or all files of a journal. With a context it goes on as they grow, until that ends.
func (r *reader) file(name string, follow context.Context) error {
	var last *journal.Part
	for _, part := range journal.Files(name) {
		last = part
		if err := r.part(part, follow); err != nil {
			return err
		}
	}
	for follow != nil && last != nil && follow.Err() == nil {
		if last = last.Next(); last != nil {
			if err := r.part(last, follow); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) part(part *journal.Part, follow context.Context) error {
	defer part.Close()
	if _, err := part.Read(nil); err != nil { // opens it
		return err
	}
	if follow == nil {
		return r.stream(part.Name, part)
	}
	return r.stream(part.Name, &growing{part, follow})
}

// A growing file waits at its end, until there is more or a next file.
type growing struct {
	part   *journal.Part
	follow context.Context
}

// pollTime is how often a file is looked at.
const pollTime = 100 * time.Millisecond

func (g *growing) Read(p []byte) (int, error) {
	for {
		next := g.part.Next()
		n, err := g.part.Read(p)
		if n > 0 || err != io.EOF || next != nil {
			return n, err
		}
		select {
		case <-g.follow.Done():
			return 0, io.EOF
		case <-time.After(pollTime):
		}
	}
}

// flushing calls flush before each read, or the output would wait for the next line.
type flushing struct {
	io.Reader
	flush func() error
}

func (f flushing) Read(p []byte) (int, error) {
	if err := f.flush(); err != nil {
		return 0, &outputError{err}
	}
	return f.Reader.Read(p)
}

// An outputError is an error of the output, not of the input.
type outputError struct{ error }

func (e *outputError) Unwrap() error { return e.error }

// stream reads one stream: a journal if its first line looks like one, and otherwise a capture.
func (r *reader) stream(name string, in io.Reader) error {
	lines := bufio.NewReaderSize(flushing{in, r.flush}, 64<<10)
	if !r.isHex && looksLikeJournal(lines) {
		err := r.walker.Read(name, lines)
		var damaged *journal.LineError
		var output *outputError
		if errors.As(err, &output) {
			return output.error
		}
		if errors.As(err, &damaged) {
			if r.damage == nil {
				r.damage = err
			}
			return nil
		}
		return err
	}
	return r.capture(name, lines)
}

// looksLikeJournal looks at the beginning of the first line that is not blank. It waits for no more than that needs.
func looksLikeJournal(lines *bufio.Reader) bool {
	for n := 1; ; n = lines.Buffered() + 1 {
		_, err := lines.Peek(min(n, lines.Size()))
		start, _ := lines.Peek(min(lines.Buffered(), lines.Size()))
		text := bytes.TrimLeft(start, " \t\r\n")
		if len(text) >= 12 || bytes.IndexByte(text, '\n') >= 0 || err != nil || n > lines.Size() {
			return bytes.HasPrefix(text, []byte(`{"journal":`)) || bytes.HasPrefix(text, []byte(`{"session":`))
		}
	}
}

// capture reads one message a line.
func (r *reader) capture(name string, lines *bufio.Reader) error {
	place := func(n int, err error) error {
		var output *outputError
		if errors.As(err, &output) {
			return output.error
		}
		var unread *fs.PathError
		if errors.As(err, &unread) { // which has the name
			return err
		}
		return fmt.Errorf("%sline %d: %w", name, n, err)
	}
	if name != "" {
		name += ": "
	}
	lines = bufio.NewReaderSize(lines, maxLine+1)
	var decoded []byte
	for n := 1; ; n++ {
		line, size, err := readLine(lines)
		if err == io.EOF {
			return nil
		} else if err != nil {
			return place(n, err)
		}
		e := entry{file: strings.TrimSuffix(name, ": "), line: n, size: size, verdict: valid}
		switch {
		case size > maxLine:
			e.err = fmt.Errorf("the line is longer than %d bytes", maxLine)
		case r.isHex:
			decoded, e.err = appendHex(decoded[:0], line)
			if e.err == nil {
				line, e.size = decoded, len(decoded)
			}
		}
		env := new(wc.Envelope)
		if e.err == nil {
			e.err = env.UnmarshalJSON(line)
		}
		if e.err != nil {
			e.verdict, e.text = unreadable, line
		} else if e.env, e.err = env, env.Validate(); e.err != nil {
			e.verdict = invalid
		}
		if e.err != nil {
			e.wrong = brief(e.err)
		}
		r.host.capture(&e)
		e.describe(nil)
		if err := r.take(&e); err != nil {
			return err
		}
	}
}

// A hostView follows the coordinator's messages of a capture: to whom they go, and in which turn.
type hostView struct {
	worker string
	turn   uint64
}

func (h *hostView) capture(e *entry) {
	if e.env == nil || e.env.Op == nil {
		e.turn, e.worker = h.turn, h.worker
		return
	}
	t := e.env.Op.Type()
	e.op, e.seqNo = t.String(), e.env.SeqNo
	if id, ok := wc.JobOf(e.env.Op); ok {
		e.jobID = &id
	} else if d, ok := e.env.Op.(wc.Diagnostic); ok {
		if id, _ := jobname.Of(d.Metadata); id != 0 {
			e.jobID = &id
		}
	}
	if t.Sender() == wc.SenderWorker {
		e.toHost = true
		if e.env.WorkerID != nil {
			e.worker = *e.env.WorkerID
		}
		if t == wc.OpBootstrapReady && e.verdict == valid {
			h.worker = e.worker
		}
	} else {
		e.worker = h.worker
		if e.verdict == valid {
			h.turn = e.env.IssuedAtTurn
		}
	}
	e.turn = h.turn
}

// event turns a step of a journal into an entry. What changes nothing that can be seen is left out.
func (r *reader) event(ev *journal.Event) error {
	e := entry{
		file: ev.File, line: ev.Line, session: ev.Session, step: ev.Step, journal: true, call: ev.Call, verdict: called,
		env: ev.Envelope, op: ev.Op, jobID: ev.JobID, seqNo: ev.SeqNo, turn: ev.Turn, size: ev.Bytes, divergences: ev.Divergences,
		at: ev.At, label: ev.Label, ending: ev.Ending,
	}
	if ev.Argument("journal") != nil && ev.Step == 0 && fmt.Sprint(ev.Argument("session")) == "1" {
		r.run++
	}
	e.run = r.run
	var reason any
	switch ev.Call {
	case "":
		e.call = "session"
		if len(ev.Divergences) == 0 {
			return nil
		}
	case "handle_inbound":
		e.verdict, e.toHost = accepted, ev.ByHost
	case "refuse":
		e.verdict, e.toHost = refused, ev.ByHost
		e.wrong = describeError(map[string]any{"kind": "RefusedByHost", "reason": ev.Argument("reason")})
	case "unreadable":
		e.verdict, e.toHost = unreadable, ev.ByHost
		head, _ := ev.Argument("head").(string)
		e.text, _ = base64.StdEncoding.DecodeString(head)
	case "drain_outbox":
		e.verdict, e.toHost = sent, !ev.ByHost
		if ev.Envelope != nil {
			r.scratch, _ = ev.Envelope.AppendJSON(r.scratch[:0])
			e.size = len(r.scratch)
		}
		if ev.Op == "" && len(ev.Divergences) == 0 {
			return nil
		}
	default:
		for _, name := range []string{"reason", "detail", "worker_id"} {
			if reason = ev.Argument(name); reason != nil {
				break
			}
		}
	}
	switch {
	case e.toHost && ev.Envelope != nil && ev.Envelope.WorkerID != nil:
		e.worker = *ev.Envelope.WorkerID
	case !ev.ByHost:
		e.worker = ev.Worker
	case ev.Coordinator != nil:
		e.worker, _ = ev.Coordinator.ActiveWorker()
	}
	if ev.Error != nil {
		e.wrong = describeError(ev.Error)
		if e.verdict != unreadable && ev.Error["kind"] != "BootstrapFailed" { // which is how a host learns of it
			e.verdict = refused
		}
	}
	e.describe(reason)
	return r.take(&e)
}

// readLine returns the next line without its line end, in the reader's buffer, and its size. For a line longer
// than maxLine it returns the size only.
func readLine(lines *bufio.Reader) (line []byte, size int, err error) {
	line, err = lines.ReadSlice('\n')
	size = len(line)
	long := err == bufio.ErrBufferFull
	for err == bufio.ErrBufferFull {
		line, err = lines.ReadSlice('\n')
		size += len(line)
	}
	if err == io.EOF && size > 0 {
		err = nil // the last line has no line feed
	}
	if bytes.HasSuffix(line, []byte("\n")) {
		line, size = line[:len(line)-1], size-1
	}
	if long {
		return nil, size, err
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	return line, len(line), err
}

func appendHex(dst, line []byte) ([]byte, error) {
	text, err := hex.AppendDecode(dst, line)
	if bad, ok := err.(hex.InvalidByteError); ok {
		at := 2 * len(text) // this byte or the next is the bad one
		return text, fmt.Errorf("not hexadecimal at byte %d of the line", at+bytes.IndexByte(line[at:], byte(bad)))
	} else if err != nil {
		return text, errors.New("an odd number of hexadecimal digits")
	}
	return text, nil
}
