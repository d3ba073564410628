package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	wc "github.com/workerchannel/workerchannel"
)

// The model of the wire: PROTOCOL sections 3 to 5, written plainly from its text. Nothing that states
// a rule calls the code that it judges.

// Text is a string as JSON.
func Text(s string) string {
	var b strings.Builder
	for _, c := range s {
		switch c {
		case '"', '\\':
			b.WriteString(`\` + string(c))
		case '\b':
			b.WriteString(`\b`)
		case '\t':
			b.WriteString(`\t`)
		case '\n':
			b.WriteString(`\n`)
		case '\f':
			b.WriteString(`\f`)
		case '\r':
			b.WriteString(`\r`)
		default:
			if c < ' ' {
				fmt.Fprintf(&b, `\u%04x`, c)
			} else {
				b.WriteRune(c)
			}
		}
	}
	return `"` + b.String() + `"`
}

func optionalText(s *string) string {
	if s == nil {
		return "null"
	}
	return Text(*s)
}

func payloadText(p []byte) string {
	text := []byte("[")
	for i, b := range p {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendUint(text, uint64(b), 10)
	}
	return string(append(text, ']'))
}

var stateNames = []string{"Created", "Queued", "Running", "CancelRequested", "Draining", "Finalizing", "Completed", "Failed"}

// OpText returns the canonical JSON of an operation alone.
func OpText(op wc.Op) string {
	switch op := op.(type) {
	case wc.BootstrapReady:
		return fmt.Sprintf(`{"type":"BootstrapReady","worker_id":%s}`, Text(op.WorkerID))
	case wc.BootstrapFailed:
		return fmt.Sprintf(`{"type":"BootstrapFailed","worker_id":%s,"reason":%s}`, Text(op.WorkerID), Text(op.Reason))
	case wc.SpawnJob:
		return fmt.Sprintf(`{"type":"SpawnJob","job_id":%d,"region_id":%d,"task_id":%d,"obligation_id":%d,"payload":%s}`,
			op.JobID, op.RegionID, op.TaskID, op.ObligationID, payloadText(op.Payload))
	case wc.PollStatus:
		return fmt.Sprintf(`{"type":"PollStatus","job_id":%d}`, op.JobID)
	case wc.StatusSnapshot:
		return fmt.Sprintf(`{"type":"StatusSnapshot","job_id":%d,"state":"%s","detail":%s}`, op.JobID, stateNames[op.State], optionalText(op.Detail))
	case wc.JobCompleted:
		return fmt.Sprintf(`{"type":"JobCompleted","job_id":%d,"outcome":%s}`, op.JobID, outcomeText(op.Outcome))
	case wc.CancelJob:
		return fmt.Sprintf(`{"type":"CancelJob","job_id":%d,"reason":%s}`, op.JobID, Text(op.Reason))
	case wc.CancelAcknowledged:
		return fmt.Sprintf(`{"type":"CancelAcknowledged","job_id":%d}`, op.JobID)
	case wc.DrainJob:
		return fmt.Sprintf(`{"type":"DrainJob","job_id":%d}`, op.JobID)
	case wc.DrainCompleted:
		return fmt.Sprintf(`{"type":"DrainCompleted","job_id":%d}`, op.JobID)
	case wc.FinalizeJob:
		return fmt.Sprintf(`{"type":"FinalizeJob","job_id":%d}`, op.JobID)
	case wc.FinalizeCompleted:
		return fmt.Sprintf(`{"type":"FinalizeCompleted","job_id":%d}`, op.JobID)
	case wc.ShutdownWorker:
		return fmt.Sprintf(`{"type":"ShutdownWorker","reason":%s}`, Text(op.Reason))
	case wc.ShutdownCompleted:
		return `{"type":"ShutdownCompleted"}`
	case wc.Diagnostic:
		return fmt.Sprintf(`{"type":"Diagnostic","level":"%s","category":%s,"message":%s,"metadata":%s}`,
			[]string{"Info", "Warn", "Error"}[op.Level], Text(op.Category), Text(op.Message), optionalText(op.Metadata))
	}
	return ""
}

func outcomeText(outcome wc.Outcome) string {
	switch o := outcome.(type) {
	case wc.OutcomeOk:
		return fmt.Sprintf(`{"status":"Ok","payload":%s}`, payloadText(o.Payload))
	case wc.OutcomeErr:
		return fmt.Sprintf(`{"status":"Err","code":%s,"message":%s}`, Text(o.Code), Text(o.Message))
	case wc.OutcomeCancelled:
		return fmt.Sprintf(`{"status":"Cancelled","reason":%s}`, Text(o.Reason))
	case wc.OutcomePanicked:
		return fmt.Sprintf(`{"status":"Panicked","message":%s}`, Text(o.Message))
	}
	return ""
}

// Wire is the canonical JSON of an envelope.
func Wire(e wc.Envelope) string {
	worker := ""
	if e.WorkerID != nil {
		worker = `"worker_id":` + Text(*e.WorkerID) + `,`
	}
	return fmt.Sprintf(`{"version":%d,"message_id":%d,"seq_no":%d,"decision_seq":%d,"seed":%d,"issued_at_turn":%d,%s"replay_hash":%d,"op":%s}`,
		e.Version, e.MessageID, e.SeqNo, e.DecisionSeq, e.Seed, e.IssuedAtTurn, worker, e.ReplayHash, OpText(e.Op))
}

// Digest is section 4.
func Digest(e wc.Envelope) uint64 {
	h := e.MessageID*0x9E3779B185EBCA87 + rotl(e.SeqNo, 13)
	h = h ^ rotl(e.DecisionSeq, 23) ^ rotl(e.Seed, 29) ^ rotl(e.IssuedAtTurn, 47)
	if e.WorkerID != nil {
		for _, b := range []byte(*e.WorkerID) {
			h = (rotl(h, 7) ^ uint64(b)) * 0x100000001B3
		}
	}
	for _, b := range []byte(OpText(e.Op)) {
		h = (rotl(h, 5) ^ uint64(b)) * 0x100000001B3
	}
	return h
}

func rotl(n uint64, by int) uint64 { return n<<by | n>>(64-by) }

// Seal gives an envelope its digest.
func Seal(e wc.Envelope) wc.Envelope {
	e.ReplayHash = Digest(e)
	return e
}

// FromCoordinator reports whether the coordinator sends an operation.
func FromCoordinator(op wc.Op) bool {
	switch op.(type) {
	case wc.SpawnJob, wc.PollStatus, wc.CancelJob, wc.DrainJob, wc.FinalizeJob, wc.ShutdownWorker:
		return true
	}
	return false
}

// Verdict is section 5: what validation returns. ErrInvalidValue stands for any ValueError.
func Verdict(e wc.Envelope) error {
	if e.Version != 1 {
		return &wc.MismatchError{Kind: wc.ErrVersionMismatch, Expected: 1, Actual: uint64(e.Version)}
	}
	if !Sendable(e) {
		return wc.ErrInvalidValue
	}
	if digest := Digest(e); e.ReplayHash != digest {
		return &wc.MismatchError{Kind: wc.ErrReplayHashMismatch, Expected: digest, Actual: e.ReplayHash}
	}
	if FromCoordinator(e.Op) && e.WorkerID != nil {
		return &wc.WorkerError{Kind: wc.ErrUnexpectedWorkerIdentity, WorkerID: *e.WorkerID}
	}
	if !FromCoordinator(e.Op) && e.WorkerID == nil {
		return wc.ErrMissingWorkerIdentity
	}
	if op, ok := e.Op.(wc.BootstrapReady); ok && op.WorkerID != *e.WorkerID {
		return &wc.WorkerError{Kind: wc.ErrWorkerIdentityMismatch, Expected: &op.WorkerID, WorkerID: *e.WorkerID}
	}
	if op, ok := e.Op.(wc.BootstrapFailed); ok && op.WorkerID != *e.WorkerID {
		return &wc.WorkerError{Kind: wc.ErrWorkerIdentityMismatch, Expected: &op.WorkerID, WorkerID: *e.WorkerID}
	}
	var payload []byte
	switch op := e.Op.(type) {
	case wc.SpawnJob:
		payload = op.Payload
	case wc.JobCompleted:
		if ok, is := op.Outcome.(wc.OutcomeOk); is {
			payload = ok.Payload
		}
	}
	if len(payload) > 262144 {
		return &wc.PayloadError{Size: len(payload), Max: 262144}
	}
	return nil
}

// Sendable reports whether a peer could send the envelope: section 8, Go's own.
func Sendable(e wc.Envelope) bool {
	texts := []string{}
	if e.WorkerID != nil {
		texts = append(texts, *e.WorkerID)
	}
	switch op := e.Op.(type) {
	case wc.SpawnJob, wc.PollStatus, wc.CancelAcknowledged, wc.DrainJob, wc.DrainCompleted, wc.FinalizeJob, wc.FinalizeCompleted, wc.ShutdownCompleted:
	case wc.BootstrapReady:
		texts = append(texts, op.WorkerID)
	case wc.BootstrapFailed:
		texts = append(texts, op.WorkerID, op.Reason)
	case wc.StatusSnapshot:
		if op.Detail != nil {
			texts = append(texts, *op.Detail)
		}
		if op.State > wc.StateFailed {
			return false
		}
	case wc.JobCompleted:
		switch o := op.Outcome.(type) {
		case wc.OutcomeOk:
		case wc.OutcomeErr:
			texts = append(texts, o.Code, o.Message)
		case wc.OutcomeCancelled:
			texts = append(texts, o.Reason)
		case wc.OutcomePanicked:
			texts = append(texts, o.Message)
		default:
			return false
		}
	case wc.CancelJob:
		texts = append(texts, op.Reason)
	case wc.ShutdownWorker:
		texts = append(texts, op.Reason)
	case wc.Diagnostic:
		texts = append(texts, op.Category, op.Message)
		if op.Metadata != nil {
			texts = append(texts, *op.Metadata)
		}
		if op.Level > wc.LevelError {
			return false
		}
	default:
		return false
	}
	return !slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) })
}
