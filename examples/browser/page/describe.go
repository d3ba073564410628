//go:build js

package main

import (
	"strconv"
	"strings"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// describe returns a message as a line of the log: sequence number, operation, job, and more.
func describe(env workerchannel.Envelope) string {
	job, more := "", ""
	switch op := env.Op.(type) {
	case workerchannel.BootstrapReady:
		more = clip(op.WorkerID)
	case workerchannel.BootstrapFailed:
		more = clip(op.WorkerID) + ": " + clip(op.Reason)
	case workerchannel.SpawnJob:
		job, more = utoa(op.JobID), strconv.Itoa(len(op.Payload))+" bytes"
	case workerchannel.PollStatus:
		job = utoa(op.JobID)
	case workerchannel.StatusSnapshot:
		job, more = utoa(op.JobID), op.State.String()
		if op.Detail != nil {
			more += ", " + clip(*op.Detail)
		}
	case workerchannel.JobCompleted:
		job, more = utoa(op.JobID), describeOutcome(op.Outcome)
	case workerchannel.CancelJob:
		job, more = utoa(op.JobID), op.Reason
	case workerchannel.CancelAcknowledged:
		job = utoa(op.JobID)
	case workerchannel.DrainJob:
		job = utoa(op.JobID)
	case workerchannel.DrainCompleted:
		job = utoa(op.JobID)
	case workerchannel.FinalizeJob:
		job = utoa(op.JobID)
	case workerchannel.FinalizeCompleted:
		job = utoa(op.JobID)
	case workerchannel.ShutdownWorker:
		more = op.Reason
	case workerchannel.ShutdownCompleted:
	case workerchannel.Diagnostic:
		more = op.Level.String() + " " + clip(op.Category) + ": " + clip(op.Message)
	}
	if job != "" {
		job = "job " + job
	}
	return pad("seq "+utoa(env.SeqNo), 10) + pad(env.Op.Type().String(), 20) + pad(job, 10) + more
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

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

// pad makes a column of the log.
func pad(s string, width int) string { return s + strings.Repeat(" ", max(width-len(s), 1)) }

// clip makes a string of a worker fit for the page: it is short, and what would reorder the text around it is escaped.
func clip(s string) string { return safetext.Printable(s, 80) }
