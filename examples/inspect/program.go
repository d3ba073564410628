package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// forPrograms prints a line with a JSON object for each entry.
type forPrograms struct {
	to     *json.Encoder
	stderr io.Writer
	wire   []byte
}

func newForPrograms(out, stderr io.Writer) *forPrograms {
	p := &forPrograms{to: json.NewEncoder(out), stderr: stderr}
	p.to.SetEscapeHTML(false)
	return p
}

func (p *forPrograms) finish() error { return nil }

func (p *forPrograms) entry(e *entry) error {
	if e.journal {
		return p.step(e)
	}
	type unread struct {
		Accept bool `json:"accept"`
		Error  any  `json:"error,omitempty"`
	}
	type read struct {
		Accept bool   `json:"accept"`
		Wire   string `json:"wire"`
		Digest uint64 `json:"digest"`
		Error  any    `json:"error"`
	}
	switch {
	case e.verdict != unreadable:
	case errors.Is(e.err, wc.ErrPayloadTooLarge):
		return p.to.Encode(unread{Error: journal.Describe(e.err)})
	default:
		if !errors.Is(e.err, wc.ErrMalformed) { // the line is bad, not the message
			fmt.Fprintf(p.stderr, "inspect: line %d: %v\n", e.line, e.err)
		}
		return p.to.Encode(unread{})
	}
	var err error
	if p.wire, err = e.env.AppendJSON(p.wire[:0]); err != nil {
		return err
	}
	digest := wc.ReplayHash(e.env.Header, e.env.WorkerID, e.env.Op)
	return p.to.Encode(read{true, string(p.wire), digest, journal.Describe(e.err)})
}

func (p *forPrograms) step(e *entry) error {
	type divergence struct {
		Field  string `json:"field"`
		Wanted string `json:"wanted"`
		Got    string `json:"got"`
	}
	object := struct {
		File        string          `json:"file"`
		Line        int             `json:"line"`
		Session     uint64          `json:"session"`
		Step        uint64          `json:"step"`
		Turn        uint64          `json:"turn"`
		Verdict     verdict         `json:"verdict"`
		At          string          `json:"at,omitempty"`
		Call        string          `json:"call"`
		Op          string          `json:"op,omitempty"`
		JobID       *uint64         `json:"job_id,omitempty"`
		SeqNo       uint64          `json:"seq_no,omitempty"`
		Worker      string          `json:"worker,omitempty"`
		Label       string          `json:"label,omitempty"`
		How         journal.EndKind `json:"how,omitempty"`
		Why         string          `json:"why,omitempty"`
		Message     string          `json:"message"`
		LedTo       string          `json:"led_to,omitempty"`
		Error       string          `json:"error,omitempty"`
		Divergences []divergence    `json:"divergences,omitempty"`
	}{
		e.file, e.line, e.session, e.step, e.turn, e.verdict, "", e.call, e.op, e.jobID, e.seqNo, safetext.Cut(e.worker, 200),
		safetext.Cut(e.label, 200), journal.EndKind(safetext.Cut(string(e.ending.How), 40)), safetext.Cut(e.ending.Why, 500), e.says, e.led, e.wrong, nil,
	}
	if !e.at.IsZero() {
		object.At = e.at.UTC().Format(timeForm)
	}
	for _, d := range e.divergences[:min(len(e.divergences), maxDivergences)] {
		object.Divergences = append(object.Divergences, divergence{d.Field, d.Wanted, d.Got})
	}
	return p.to.Encode(object)
}
