package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"reflect"
	"slices"
	"time"

	wc "github.com/workerchannel/workerchannel"
)

// A Divergence is one result or one part of the state that differs from the journal.
type Divergence struct {
	Step        uint64 // counted from 0
	Call        string // the call of the step
	Field       string // such as "error" or "after"; "crc" if the line is not as it was written
	Wanted, Got string // JSON, shortened if long: what the journal has, and what replaying gave
}

// A replica is a session that is being read. It makes the steps again with a recorder, and compares what that writes.
type replica struct {
	id          uint64 // in its Walker
	head        head
	next        uint64 // the step that comes next
	turn        uint64 // if it is not replayed
	rest        bool   // its beginning has been deleted
	at          time.Time
	coordinator *Recorder
	worker      *WorkerRecorder
	call        caller   // of the recorder
	made        *session // of the recorder; nil if the session cannot be replayed
	line        kept     // what the recorder has written
}

// kept is the store of a replica: it keeps the last line.
type kept struct {
	closed
	line []byte
}

func (k *kept) keep(line []byte) error {
	k.line = line
	return nil
}

// begin makes the half that the session is of.
func (p *replica) begin(h head, number uint64) {
	p.head = h
	p.made = newSession(&Writer{store: &p.line}, number, h)
	if h.workerID != nil {
		p.worker = &WorkerRecorder{wc.NewWorker(*h.workerID, h.seed), p.made}
		p.made.state = p.worker.state
		p.call = newCaller(workerCalls(), p.worker)
		return
	}
	c := wc.NewCoordinator(h.seed, wc.WithFirstDecisionSeq(*h.setup.FirstDecisionSeq), wc.WithLimits(h.setup.Limits))
	p.coordinator = &Recorder{c, p.made}
	p.made.state = p.coordinator.state
	p.call = newCaller(coordinatorCalls(), p.coordinator)
}

// lose gives up the replay.
func (p *replica) lose() { p.coordinator, p.worker, p.call, p.made = nil, nil, nil, nil }

// readHead reads what a session begins with.
func readHead(o *object) (h head) {
	h.seed = o.number("seed")
	if _, ok := o.members["worker_id"]; ok {
		id := o.str("worker_id")
		h.workerID = &id
		return h
	}
	first := o.number("first_decision_seq")
	h.setup = &Setup{FirstDecisionSeq: &first}
	if _, ok := o.members["limits"]; ok {
		h.setup.Limits = wc.Limits(member[limits](o, "limits"))
	}
	return h
}

// step makes the call of a recorded step and reports how it differs. A step that cannot be read leaves in.err.
func (p *replica) step(in *object, text []byte, diverged func(field, wanted, got string)) *wc.Envelope {
	p.line.line = nil
	p.made.steps, p.made.at = p.next, in.at // what replaying makes has the number and the time of the step
	env, results := p.call(in)
	made := bytes.TrimSuffix(p.line.line, []byte("\n"))
	if in.err != nil || bytes.Equal(made, text) {
		return env
	}
	got := map[string]any{} // stays empty for such as a drain_outbox that gives nothing
	if made != nil {
		got = plain(json.RawMessage(made)).(map[string]any)
	}
	for _, field := range append(slices.Clone(results), "after") {
		if _, digested := in.members["digested"]; digested && field == "replay_hash" {
			continue
		}
		wanted := in.result(field)
		if in.err == nil && !reflect.DeepEqual(wanted, got[field]) {
			w, g := cut(show(wanted), show(got[field]))
			diverged(field, w, g)
		}
	}
	return env
}

// A caller makes the call of a step and returns its message and the names of its results.
type caller func(in *object) (env *wc.Envelope, results []string)

func newCaller[R any](calls map[string]call[R], r R) caller {
	return func(in *object) (env *wc.Envelope, results []string) {
		name := in.str("call")
		call, known := calls[name]
		if !known {
			in.fail("call", fmt.Errorf("unknown name %s", show(name)))
			return nil, nil
		}
		return call.make(r, in), call.results
	}
}

// checkSum returns whether a line has a checksum; if not, the right one for all of it; and if it is wrong, the wrong
// one and the right one.
func checkSum(text []byte) (has bool, wanted, got string) {
	const start, size = `,"crc":"`, len(`,"crc":"12345678"}`)
	at := len(text) - size
	if at < 0 || string(text[at:at+len(start)]) != start || string(text[len(text)-2:]) != `"}` {
		return false, "", fmt.Sprintf("%08x", crc32.Checksum(bytes.TrimSuffix(text, []byte("}")), castagnoli))
	}
	wanted = string(text[at+len(start) : len(text)-2])
	if sum := fmt.Appendf(nil, "%08x", crc32.Checksum(text[:at], castagnoli)); string(sum) != wanted {
		return true, wanted, string(sum)
	}
	return true, "", ""
}
