package workerchannel

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// A flatOp is the flat form of an operation and its outcome. It stands between the Go values and the tables of
// wire.go: its members are what is written, read and checked.
type flatOp struct {
	flatValues
	optional *string // detail or metadata
	payload  []byte
}

// flatValues are the members that can be compared as they are.
type flatValues struct {
	typ                                       OpType        // 0: not an operation
	status                                    outcomeStatus // 0: not an outcome
	state                                     JobState
	level                                     Level
	jobID, regionID, taskID, obligationID     uint64
	workerID, reason, code, category, message string
}

// number returns the place of a member of the kind kNumber; nil for any other.
func (f *flatOp) number(m member) *uint64 {
	switch m {
	case mJobID:
		return &f.jobID
	case mRegionID:
		return &f.regionID
	case mTaskID:
		return &f.taskID
	case mObligationID:
		return &f.obligationID
	}
	return nil
}

// text returns the place of a member of the kind kText; nil for any other.
func (f *flatOp) text(m member) *string {
	switch m {
	case mWorkerID:
		return &f.workerID
	case mReason:
		return &f.reason
	case mCode:
		return &f.code
	case mCategory:
		return &f.category
	case mMessage:
		return &f.message
	}
	return nil
}

// set makes the zero flatOp the flat form of op. It looks at the dynamic type only, so op may be nil, a pointer, or a
// type that embeds an operation; then it has no type.
func (f *flatOp) set(op Op) {
	switch op := op.(type) {
	case BootstrapReady:
		f.typ, f.workerID = OpBootstrapReady, op.WorkerID
	case BootstrapFailed:
		f.typ, f.workerID, f.reason = OpBootstrapFailed, op.WorkerID, op.Reason
	case SpawnJob:
		f.typ, f.jobID, f.regionID, f.taskID, f.obligationID = OpSpawnJob, op.JobID, op.RegionID, op.TaskID, op.ObligationID
		f.payload = op.Payload
	case PollStatus:
		f.typ, f.jobID = OpPollStatus, op.JobID
	case StatusSnapshot:
		f.typ, f.jobID, f.state, f.optional = OpStatusSnapshot, op.JobID, op.State, op.Detail
	case JobCompleted:
		f.typ, f.jobID = OpJobCompleted, op.JobID
		switch out := op.Outcome.(type) {
		case OutcomeOk:
			f.status, f.payload = statusOk, out.Payload
		case OutcomeErr:
			f.status, f.code, f.message = statusErr, out.Code, out.Message
		case OutcomeCancelled:
			f.status, f.reason = statusCancelled, out.Reason
		case OutcomePanicked:
			f.status, f.message = statusPanicked, out.Message
		}
	case CancelJob:
		f.typ, f.jobID, f.reason = OpCancelJob, op.JobID, op.Reason
	case CancelAcknowledged:
		f.typ, f.jobID = OpCancelAcknowledged, op.JobID
	case DrainJob:
		f.typ, f.jobID = OpDrainJob, op.JobID
	case DrainCompleted:
		f.typ, f.jobID = OpDrainCompleted, op.JobID
	case FinalizeJob:
		f.typ, f.jobID = OpFinalizeJob, op.JobID
	case FinalizeCompleted:
		f.typ, f.jobID = OpFinalizeCompleted, op.JobID
	case ShutdownWorker:
		f.typ, f.reason = OpShutdownWorker, op.Reason
	case ShutdownCompleted:
		f.typ = OpShutdownCompleted
	case Diagnostic:
		f.typ, f.level, f.category, f.message, f.optional = OpDiagnostic, op.Level, op.Category, op.Message, op.Metadata
	}
}

// op returns the operation that set took; ErrMalformed if it lacks a case, which a test would find.
func (f *flatOp) op() (Op, error) {
	switch f.typ {
	case OpBootstrapReady:
		return BootstrapReady{f.workerID}, nil
	case OpBootstrapFailed:
		return BootstrapFailed{f.workerID, f.reason}, nil
	case OpSpawnJob:
		return SpawnJob{f.jobID, f.regionID, f.taskID, f.obligationID, f.payload}, nil
	case OpPollStatus:
		return PollStatus{f.jobID}, nil
	case OpStatusSnapshot:
		return StatusSnapshot{f.jobID, f.state, f.optional}, nil
	case OpJobCompleted:
		return JobCompleted{f.jobID, f.outcome()}, nil
	case OpCancelJob:
		return CancelJob{f.jobID, f.reason}, nil
	case OpCancelAcknowledged:
		return CancelAcknowledged{f.jobID}, nil
	case OpDrainJob:
		return DrainJob{f.jobID}, nil
	case OpDrainCompleted:
		return DrainCompleted{f.jobID}, nil
	case OpFinalizeJob:
		return FinalizeJob{f.jobID}, nil
	case OpFinalizeCompleted:
		return FinalizeCompleted{f.jobID}, nil
	case OpShutdownWorker:
		return ShutdownWorker{f.reason}, nil
	case OpShutdownCompleted:
		return ShutdownCompleted{}, nil
	case OpDiagnostic:
		return Diagnostic{f.level, f.category, f.message, f.optional}, nil
	}
	return nil, &ParseError{Cause: "unknown operation type"}
}

func (f *flatOp) outcome() Outcome {
	switch f.status {
	case statusOk:
		return OutcomeOk{f.payload}
	case statusErr:
		return OutcomeErr{f.code, f.message}
	case statusCancelled:
		return OutcomeCancelled{f.reason}
	case statusPanicked:
		return OutcomePanicked{f.message}
	}
	return nil
}

// JobOf returns the id of the job that an operation is about; false if it is about none.
func JobOf(op Op) (jobID uint64, ok bool) {
	var f flatOp
	f.set(op)
	return f.jobID, slices.Contains(opShapes[f.typ].members, mJobID)
}

// equalOps reports whether two operations have the same members, by content. What is not an operation as a plain value
// equals nothing.
func equalOps(a, b Op) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	var f, g flatOp
	f.set(a)
	g.set(b)
	if f.typ == 0 || f.flatValues != g.flatValues || !equalStrings(f.optional, g.optional) || !bytes.Equal(f.payload, g.payload) {
		return false
	}
	return f.typ != OpJobCompleted || f.status != 0 || a.(JobCompleted).Outcome == nil && b.(JobCompleted).Outcome == nil
}

func equalStrings(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// String describes an operation in one line of bounded length: its name, the job, and then its other members but
// the ids.
func (f *flatOp) String() string {
	if f.typ == 0 {
		return "no operation"
	}
	s := f.typ.String()
	var parts []string
	add := func(members []member) {
		for _, m := range members {
			switch m.kind() {
			case kNumber:
				if m == mJobID {
					s += " job " + utoa(f.jobID)
				}
			case kText:
				if m != mWorkerID {
					parts = append(parts, quote(*f.text(m)))
				}
			case kOptional:
				if f.optional != nil {
					parts = append(parts, quote(*f.optional))
				}
			case kPayload:
				parts = append(parts, utoa(uint64(len(f.payload)))+" bytes")
			case kState:
				parts = append(parts, f.state.String())
			case kLevel:
				parts = append(parts, strings.ToLower(f.level.String()))
			case kOutcome:
				parts = append(parts, strings.ToLower(outcomeNames[f.status]))
			}
		}
	}
	add(opShapes[f.typ].members)
	add(outcomeShapes[f.status].members)
	if len(parts) > 0 {
		s += ": " + strings.Join(parts, ", ")
	}
	return s
}

// check returns the error for what no reader would accept: ErrInvalidValue for the first in wire order, or
// ErrPayloadTooLarge.
func (f *flatOp) check() error {
	if err := f.checkValues(); err != nil {
		return err
	}
	return checkPayload(f.payload)
}

// checkValues returns ErrInvalidValue for what no peer can send, the first in wire order.
func (f *flatOp) checkValues() error {
	if f.typ == 0 {
		return &ValueError{"op", "is not an operation as a plain value"}
	}
	return f.checkMembers(opShapes[f.typ].members)
}

func (f *flatOp) checkMembers(members []member) (err error) {
	for _, m := range members {
		switch m.kind() {
		case kText:
			err = checkString(m.String(), *f.text(m))
		case kOptional:
			if f.optional != nil {
				err = checkString(m.String(), *f.optional)
			}
		case kState:
			err = f.state.check()
		case kLevel:
			err = f.level.check()
		case kOutcome:
			if f.status == 0 {
				return &ValueError{"outcome", "is not an outcome as a plain value"}
			}
			err = f.checkMembers(outcomeShapes[f.status].members)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkString returns ErrInvalidValue for a string that is not well-formed UTF-8.
func checkString(name, s string) error {
	if !utf8.ValidString(s) {
		return &ValueError{name, "is not well-formed UTF-8"}
	}
	return nil
}

// checkPayload returns ErrPayloadTooLarge for a payload over the limit.
func checkPayload(payload []byte) error {
	if len(payload) > MaxPayloadBytes {
		return &PayloadError{len(payload), MaxPayloadBytes}
	}
	return nil
}
