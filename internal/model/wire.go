package workerchannel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The reference model of the wire: PROTOCOL sections 3 to 5, written plainly from its text. Nothing that states
// a rule calls the code that it judges.

func plainText(s string) string {
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

func plainOptional(s *string) string {
	if s == nil {
		return "null"
	}
	return plainText(*s)
}

func plainPayload(p []byte) string {
	text := []byte("[")
	for i, b := range p {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendUint(text, uint64(b), 10)
	}
	return string(append(text, ']'))
}

var plainStates = []string{"Created", "Queued", "Running", "CancelRequested", "Draining", "Finalizing", "Completed", "Failed"}

func plainOp(op Op) string {
	switch op := op.(type) {
	case BootstrapReady:
		return fmt.Sprintf(`{"type":"BootstrapReady","worker_id":%s}`, plainText(op.WorkerID))
	case BootstrapFailed:
		return fmt.Sprintf(`{"type":"BootstrapFailed","worker_id":%s,"reason":%s}`, plainText(op.WorkerID), plainText(op.Reason))
	case SpawnJob:
		return fmt.Sprintf(`{"type":"SpawnJob","job_id":%d,"region_id":%d,"task_id":%d,"obligation_id":%d,"payload":%s}`,
			op.JobID, op.RegionID, op.TaskID, op.ObligationID, plainPayload(op.Payload))
	case PollStatus:
		return fmt.Sprintf(`{"type":"PollStatus","job_id":%d}`, op.JobID)
	case StatusSnapshot:
		return fmt.Sprintf(`{"type":"StatusSnapshot","job_id":%d,"state":"%s","detail":%s}`, op.JobID, plainStates[op.State], plainOptional(op.Detail))
	case JobCompleted:
		return fmt.Sprintf(`{"type":"JobCompleted","job_id":%d,"outcome":%s}`, op.JobID, plainOutcome(op.Outcome))
	case CancelJob:
		return fmt.Sprintf(`{"type":"CancelJob","job_id":%d,"reason":%s}`, op.JobID, plainText(op.Reason))
	case CancelAcknowledged:
		return fmt.Sprintf(`{"type":"CancelAcknowledged","job_id":%d}`, op.JobID)
	case DrainJob:
		return fmt.Sprintf(`{"type":"DrainJob","job_id":%d}`, op.JobID)
	case DrainCompleted:
		return fmt.Sprintf(`{"type":"DrainCompleted","job_id":%d}`, op.JobID)
	case FinalizeJob:
		return fmt.Sprintf(`{"type":"FinalizeJob","job_id":%d}`, op.JobID)
	case FinalizeCompleted:
		return fmt.Sprintf(`{"type":"FinalizeCompleted","job_id":%d}`, op.JobID)
	case ShutdownWorker:
		return fmt.Sprintf(`{"type":"ShutdownWorker","reason":%s}`, plainText(op.Reason))
	case ShutdownCompleted:
		return `{"type":"ShutdownCompleted"}`
	case Diagnostic:
		return fmt.Sprintf(`{"type":"Diagnostic","level":"%s","category":%s,"message":%s,"metadata":%s}`,
			[]string{"Info", "Warn", "Error"}[op.Level], plainText(op.Category), plainText(op.Message), plainOptional(op.Metadata))
	}
	return ""
}

func plainOutcome(outcome Outcome) string {
	switch o := outcome.(type) {
	case OutcomeOk:
		return fmt.Sprintf(`{"status":"Ok","payload":%s}`, plainPayload(o.Payload))
	case OutcomeErr:
		return fmt.Sprintf(`{"status":"Err","code":%s,"message":%s}`, plainText(o.Code), plainText(o.Message))
	case OutcomeCancelled:
		return fmt.Sprintf(`{"status":"Cancelled","reason":%s}`, plainText(o.Reason))
	case OutcomePanicked:
		return fmt.Sprintf(`{"status":"Panicked","message":%s}`, plainText(o.Message))
	}
	return ""
}

func plainWire(e Envelope) string {
	worker := ""
	if e.WorkerID != nil {
		worker = `"worker_id":` + plainText(*e.WorkerID) + `,`
	}
	return fmt.Sprintf(`{"version":%d,"message_id":%d,"seq_no":%d,"decision_seq":%d,"seed":%d,"issued_at_turn":%d,%s"replay_hash":%d,"op":%s}`,
		e.Version, e.MessageID, e.SeqNo, e.DecisionSeq, e.Seed, e.IssuedAtTurn, worker, e.ReplayHash, plainOp(e.Op))
}

func plainDigest(e Envelope) uint64 {
	h := e.MessageID*0x9E3779B185EBCA87 + rotl(e.SeqNo, 13)
	h = h ^ rotl(e.DecisionSeq, 23) ^ rotl(e.Seed, 29) ^ rotl(e.IssuedAtTurn, 47)
	if e.WorkerID != nil {
		for _, b := range []byte(*e.WorkerID) {
			h = (rotl(h, 7) ^ uint64(b)) * 0x100000001B3
		}
	}
	for _, b := range []byte(plainOp(e.Op)) {
		h = (rotl(h, 5) ^ uint64(b)) * 0x100000001B3
	}
	return h
}

func rotl(n uint64, by int) uint64 { return n<<by | n>>(64-by) }

func plainSeal(e Envelope) Envelope {
	e.ReplayHash = plainDigest(e)
	return e
}

func fromCoordinator(op Op) bool {
	switch op.(type) {
	case SpawnJob, PollStatus, CancelJob, DrainJob, FinalizeJob, ShutdownWorker:
		return true
	}
	return false
}

// plainVerdict is section 5.
func plainVerdict(e Envelope) error {
	if e.Version != 1 {
		return &MismatchError{ErrVersionMismatch, 1, uint64(e.Version)}
	}
	if !plainSendable(e) {
		return ErrInvalidValue
	}
	if digest := plainDigest(e); e.ReplayHash != digest {
		return &MismatchError{ErrReplayHashMismatch, digest, e.ReplayHash}
	}
	if fromCoordinator(e.Op) && e.WorkerID != nil {
		return &WorkerError{Kind: ErrUnexpectedWorkerIdentity, WorkerID: *e.WorkerID}
	}
	if !fromCoordinator(e.Op) && e.WorkerID == nil {
		return ErrMissingWorkerIdentity
	}
	if op, ok := e.Op.(BootstrapReady); ok && op.WorkerID != *e.WorkerID {
		return &WorkerError{Kind: ErrWorkerIdentityMismatch, Expected: &op.WorkerID, WorkerID: *e.WorkerID}
	}
	if op, ok := e.Op.(BootstrapFailed); ok && op.WorkerID != *e.WorkerID {
		return &WorkerError{Kind: ErrWorkerIdentityMismatch, Expected: &op.WorkerID, WorkerID: *e.WorkerID}
	}
	var payload []byte
	switch op := e.Op.(type) {
	case SpawnJob:
		payload = op.Payload
	case JobCompleted:
		if ok, is := op.Outcome.(OutcomeOk); is {
			payload = ok.Payload
		}
	}
	if len(payload) > 262144 {
		return &PayloadError{len(payload), 262144}
	}
	return nil
}

// plainSendable reports whether a peer could send the envelope: section 8, Go's own.
func plainSendable(e Envelope) bool {
	texts := []string{}
	if e.WorkerID != nil {
		texts = append(texts, *e.WorkerID)
	}
	switch op := e.Op.(type) {
	case SpawnJob, PollStatus, CancelAcknowledged, DrainJob, DrainCompleted, FinalizeJob, FinalizeCompleted, ShutdownCompleted:
	case BootstrapReady:
		texts = append(texts, op.WorkerID)
	case BootstrapFailed:
		texts = append(texts, op.WorkerID, op.Reason)
	case StatusSnapshot:
		if op.Detail != nil {
			texts = append(texts, *op.Detail)
		}
		if op.State > StateFailed {
			return false
		}
	case JobCompleted:
		switch o := op.Outcome.(type) {
		case OutcomeOk:
		case OutcomeErr:
			texts = append(texts, o.Code, o.Message)
		case OutcomeCancelled:
			texts = append(texts, o.Reason)
		case OutcomePanicked:
			texts = append(texts, o.Message)
		default:
			return false
		}
	case CancelJob:
		texts = append(texts, op.Reason)
	case ShutdownWorker:
		texts = append(texts, op.Reason)
	case Diagnostic:
		texts = append(texts, op.Category, op.Message)
		if op.Metadata != nil {
			texts = append(texts, *op.Metadata)
		}
		if op.Level > LevelError {
			return false
		}
	default:
		return false
	}
	return !slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) })
}
