//go:build js

package main

import (
	"strconv"

	"github.com/workerchannel/workerchannel"
)

// describe gives a message as a line of the log.
func describe(env workerchannel.Envelope) string {
	s := env.Op.Type().String()
	switch op := env.Op.(type) {
	case workerchannel.SpawnJob:
		return s + job(op.JobID) + " " + strconv.Itoa(len(op.Payload)) + " bytes"
	case workerchannel.StatusSnapshot:
		s += job(op.JobID) + " " + op.State.String()
		if op.Detail != nil {
			s += ", " + clip(*op.Detail)
		}
		return s
	case workerchannel.JobCompleted:
		return s + job(op.JobID) + " " + describeOutcome(op.Outcome)
	case workerchannel.CancelJob:
		return s + job(op.JobID) + " " + op.Reason
	case workerchannel.CancelAcknowledged:
		return s + job(op.JobID)
	case workerchannel.DrainJob:
		return s + job(op.JobID)
	case workerchannel.DrainCompleted:
		return s + job(op.JobID)
	case workerchannel.FinalizeJob:
		return s + job(op.JobID)
	case workerchannel.FinalizeCompleted:
		return s + job(op.JobID)
	case workerchannel.ShutdownWorker:
		return s + " " + op.Reason
	case workerchannel.BootstrapReady:
		return s + " " + clip(op.WorkerID)
	case workerchannel.BootstrapFailed:
		return s + " " + clip(op.WorkerID) + ": " + clip(op.Reason)
	case workerchannel.Diagnostic:
		return s + " " + op.Level.String() + " " + clip(op.Category) + ": " + clip(op.Message)
	}
	return s
}

func describeOutcome(outcome workerchannel.Outcome) string {
	switch o := outcome.(type) {
	case workerchannel.OutcomeOk:
		return strconv.Itoa(len(o.Payload)) + " bytes"
	case workerchannel.OutcomeErr:
		return clip(o.Code) + ": " + clip(o.Message)
	case workerchannel.OutcomeCancelled:
		return "cancelled: " + clip(o.Reason)
	case workerchannel.OutcomePanicked:
		return "panicked: " + clip(o.Message)
	}
	return ""
}

func job(id uint64) string { return " job " + strconv.FormatUint(id, 10) }

// clip bounds what a worker says.
func clip(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}
