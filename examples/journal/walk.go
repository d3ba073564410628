package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/jobname"
)

// MaxLine is the length of the longest line that a Walker reads, and MaxSessions how many sessions may be open at the same
// time.
const (
	MaxLine     = 64 << 20
	MaxSessions = 10_000
)

// An Event is one step of a session. It is valid until the function that it is given to returns.
type Event struct {
	File    string    // as given to Read
	Line    int       // counted from 1 in each file
	Session uint64    // counted from 1 in each Walker
	Step    uint64    // counted from 0
	Call    string    // such as "handle_inbound"; "" for the event with which a session begins or goes on in a file, "end" for its end
	At      time.Time // of the step before if the journal does not say it; zero if it has no times

	Worker string // the worker's id in the session of a worker
	ByHost bool   // whether it is a session of a coordinator

	// Envelope is the message that arrived or was taken from the outbox. It is nil for other calls, and if the
	// message is not in the journal: then Op, JobID and SeqNo say what the journal has of a message that was taken.
	// A message whose payload is kept as a digest has as many zeros.
	Envelope     *wc.Envelope
	Op           string
	JobID        *uint64 // the job that the message or the call is about, or that the metadata of a diagnostic name
	Label        string  // of that job, until it is reaped; "" if it has none or the session cannot be replayed
	SeqNo        uint64
	Bytes        int // the size of the text of a message that arrived
	PayloadBytes int

	Error       map[string]any // the recorded error, as Describe returns it; nil if there is none
	Turn        uint64         // after the step
	Divergences []Divergence
	Ending      Ending // of the event "end", if it is known

	// What replaying gave, after the step; both are nil if the session cannot be replayed. Do not change them.
	Coordinator *wc.Coordinator
	Replica     *wc.Worker
	in          *object
}

// Argument returns an argument or a result of the call, such as "reason"; nil if there is none.
func (e *Event) Argument(name string) any {
	data, ok := e.in.members[name]
	if !ok {
		return nil
	}
	return plain(data)
}

// A LineError says which line of a journal cannot be read. For a stream the walk goes on after it, but the session
// of the line is not replayed any further.
type LineError struct {
	File string
	Line int
	Err  error
}

// Error returns a description of one line.
func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// A Walker reads journals and replays them. Its memory does not depend on how long they are, but on the sessions
// that are open.
type Walker struct {
	Sessions, Steps, Divergences int
	Unreplayed                   int // steps that could not be replayed, as what comes before them is missing or damaged
	Deleted                      int // steps that are left of sessions whose beginning has been deleted (Options.MaxFiles); they are not replayed
	Torn                         int // lines that a crash has left incomplete

	visit func(*Event) error
	open  map[uint64]*replica // by the number in the journal
	event Event
}

// NewWalker returns a Walker that calls visit for every step. If visit returns an error, the walk ends with it.
func NewWalker(visit func(*Event) error) *Walker {
	return &Walker{visit: visit, open: map[uint64]*replica{}}
}

// Read reads one journal, or one file of a journal after those before it. Blank lines are skipped, and a last line that
// is not complete is left out. The first damaged line is returned as a *LineError when the rest has been read.
func (w *Walker) Read(name string, in io.Reader) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	var damaged error
	var long []byte
	for n := 1; ; n++ {
		text, end, tooLong := readLine(lines, &long)
		if end != nil && end != io.EOF {
			return &LineError{name, n, end}
		}
		complete := bytes.HasSuffix(text, []byte("\n"))
		text = bytes.TrimRight(text, "\r\n")
		var err error
		if tooLong {
			err = fmt.Errorf("the line is longer than %d bytes", MaxLine)
		} else if len(bytes.TrimSpace(text)) > 0 {
			err = w.line(name, n, text, complete)
		}
		var stop *stopped
		if errors.As(err, &stop) {
			return stop.error
		}
		if err != nil && damaged == nil {
			damaged = &LineError{name, n, err}
		}
		if end == io.EOF {
			return damaged
		}
	}
}

// stopped is an error of visit.
type stopped struct{ error }

// readLine returns the next line with its end. It reads no more than MaxLine bytes of it into memory.
func readLine(in *bufio.Reader, long *[]byte) (text []byte, err error, tooLong bool) {
	text, err = in.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return text, err, false
	}
	*long = append((*long)[:0], text...)
	for err == bufio.ErrBufferFull {
		text, err = in.ReadSlice('\n')
		if tooLong = tooLong || len(*long)+len(text) > MaxLine; !tooLong {
			*long = append(*long, text...)
		}
	}
	return *long, err, tooLong
}

// line reads one line.
func (w *Walker) line(name string, n int, text []byte, complete bool) error {
	has, wanted, got := checkSum(text)
	if !complete && (!has || wanted != "") {
		w.Torn++
		return nil
	}
	var in *object
	if has && wanted == "" {
		in = split(text)
	}
	if in == nil {
		var err error
		if in, err = readObject(text); err != nil {
			w.loseAll()
			return err
		}
	}
	number := in.number("session")
	if in.err != nil {
		w.loseAll()
		return in.err
	}
	s := w.open[number]
	e := &w.event
	*e = Event{File: name, Line: n, in: in}
	report := func(field, wanted, got string) {
		w.Divergences++
		e.Divergences = append(e.Divergences, Divergence{e.Step, e.Call, field, wanted, got})
	}
	switch {
	case in.members["journal"] != nil:
		var err error
		if s, err = w.begin(in, number, s); err != nil {
			return err
		}
		e.Step = s.next
	case s == nil && len(w.open) >= MaxSessions:
		return fmt.Errorf("more than %d sessions are open", MaxSessions)
	case s == nil:
		s = &replica{id: w.newSession()}
		w.open[number] = s
		fallthrough
	case in.members["call"] != nil:
		if err := w.step(s, in, text, has && wanted == "", report); err != nil {
			return err
		}
	default: // the end
		e.Call, e.Step = "end", s.next
		e.Ending = Ending{EndKind(in.optional("how")), in.optional("why")}
		in.at()
		if s.made != nil && in.number("end") != s.next {
			report("end", show(in.number("end")), show(s.next))
		}
		delete(w.open, number)
		if in.err != nil {
			return in.err
		}
	}
	if !has {
		report("crc", "null", show(got))
	} else if wanted != "" { // the line is not as it was written
		report("crc", show(wanted), show(got))
	}
	return w.call(s)
}

// loseAll gives up the replay of all sessions, as it is not known which one a line belongs to.
func (w *Walker) loseAll() {
	for _, s := range w.open {
		s.lose()
	}
}

func (w *Walker) newSession() uint64 {
	w.Sessions++
	return uint64(w.Sessions)
}

// begin begins a session, or goes on with it in another file.
func (w *Walker) begin(in *object, number uint64, s *replica) (*replica, error) {
	if v := in.number("journal"); in.err == nil && v != 1 {
		in.fail("journal", fmt.Errorf("expected version 1, got %d", v))
	}
	h, at := readHead(in), in.number("step")
	if in.err != nil {
		if s == nil {
			w.loseAll()
		} else {
			s.lose()
		}
		return nil, in.err
	}
	if s != nil && at > 0 && at == s.next {
		return s, nil
	}
	if s != nil && at == 0 && s.next == 0 { // one that had no step in the file before
		s.begin(h, number)
		return s, nil
	}
	if s == nil && len(w.open) >= MaxSessions {
		return nil, fmt.Errorf("more than %d sessions are open", MaxSessions)
	}
	s = &replica{id: w.newSession(), head: h, next: at, rest: s == nil && at > 0}
	if at == 0 {
		s.begin(h, number)
	}
	w.open[number] = s
	return s, nil
}

func (w *Walker) step(s *replica, in *object, text []byte, whole bool, report func(field, wanted, got string)) error {
	e := &w.event
	e.Step, e.Call = in.number("step"), in.str("call")
	if in.err == nil && s.made != nil && e.Step != s.next {
		report("step", show(e.Step), show(s.next)) // lines are missing, or one is damaged
		if whole {
			s.lose()
		}
	}
	if s.made == nil {
		s.next = e.Step
	}
	w.Steps++
	switch {
	case in.err == nil && s.made != nil:
		e.Envelope = s.step(in, text, report)
	case s.rest:
		w.Deleted++
	default:
		w.Unreplayed++
	}
	s.next++
	if in.err != nil {
		s.lose()
		return fmt.Errorf("step %d: %w", e.Step, in.err)
	}
	return nil
}

// complete fills in what the event has beside its step.
func (w *Walker) complete(s *replica) {
	e, in := &w.event, w.event.in
	e.Session = s.id
	e.ByHost = s.head.workerID == nil
	if !e.ByHost {
		e.Worker = *s.head.workerID
	}
	switch {
	case s.made == nil:
		e.Turn = s.noteTurn(in)
	case e.ByHost:
		e.Coordinator, e.Turn = s.coordinator.Coordinator, s.coordinator.Turn()
	default:
		e.Replica, e.Turn = s.worker.Worker, s.worker.Turn()
	}
	if at, ok := in.at(); ok {
		s.at = time.UnixMicro(at)
	}
	e.At = s.at
	if e.Call == "" {
		return
	}
	if data := in.members["error"]; len(data) > 0 && data[0] == '{' {
		e.Error, _ = plain(data).(map[string]any)
	}
	arrived := e.Call == "handle_inbound" || e.Call == "refuse"
	if e.Envelope == nil && arrived {
		e.Envelope = in.envelope("wire")
	}
	switch e.Call {
	case "handle_inbound", "refuse":
		e.Bytes = len(in.members["wire"])
	case "unreadable":
		_ = json.Unmarshal(in.members["bytes"], &e.Bytes)
	case "drain_outbox":
		_ = json.Unmarshal(in.members["op"], &e.Op)
		_ = json.Unmarshal(in.members["seq_no"], &e.SeqNo)
	}
	if data, ok := in.members["job_id"]; ok {
		_ = json.Unmarshal(data, &e.JobID)
	}
	if e.Envelope != nil && e.Envelope.Op != nil {
		e.Op, e.SeqNo = e.Envelope.Op.Type().String(), e.Envelope.SeqNo
		if id, ok := wc.JobOf(e.Envelope.Op); ok {
			e.JobID = &id
		} else if d, ok := e.Envelope.Op.(wc.Diagnostic); ok {
			if id, _ := jobname.Of(d.Metadata); id != 0 {
				e.JobID = &id
			}
		}
		e.PayloadBytes = len(payloadOf(e.Envelope.Op))
	}
	if e.Coordinator != nil && e.JobID != nil {
		job, _ := e.Coordinator.Job(*e.JobID)
		e.Label, _ = job.Tag.(string)
	}
}

// noteTurn keeps the turn of a session that is not replayed, of which a step tells only when it changes.
func (s *replica) noteTurn(in *object) uint64 {
	var after struct {
		Turn *uint64 `json:"turn"`
	}
	if json.Unmarshal(in.members["after"], &after) == nil && after.Turn != nil {
		s.turn = *after.Turn
	}
	return s.turn
}

func (w *Walker) call(s *replica) error {
	if w.visit == nil {
		return nil
	}
	w.complete(s)
	if err := w.visit(&w.event); err != nil {
		return &stopped{err}
	}
	return nil
}
