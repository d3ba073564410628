package model

import (
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	wc "github.com/workerchannel/workerchannel"
)

// A Reader reads an envelope as PROTOCOL section 3 says, by way of encoding/json, which checks the grammar.
// What is stricter than encoding/json is spelled out here.
type Reader struct {
	Bad      bool   // no envelope
	TooLarge bool   // a payload is over the limit
	Version  uint32 // of a text that is Bad and says that it is of another version; otherwise 1
}

// Envelope reads a text. What it returns means something only if the text is neither Bad nor TooLarge.
func (s *Reader) Envelope(text []byte) (env wc.Envelope) {
	s.Version = 1
	if s.Bad = !json.Valid(text) || !utf8.Valid(text) || hasUnpairedSurrogate(text); s.Bad {
		return env
	}
	tree, err := ParseJSON(text)
	if s.Bad = err != nil || depth(tree) > 127; s.Bad {
		return env
	}
	var alone Reader
	if version := alone.number(alone.members(tree, "version")["version"], math.MaxUint32); !alone.Bad {
		s.Version = uint32(version)
	}
	m := s.members(tree, "version", "message_id", "seq_no", "decision_seq", "seed", "issued_at_turn", "worker_id", "replay_hash", "op")
	return wc.Envelope{
		Version: uint32(s.number(m["version"], math.MaxUint32)),
		Header: wc.Header{
			MessageID: s.u64(m["message_id"]), SeqNo: s.u64(m["seq_no"]), DecisionSeq: s.u64(m["decision_seq"]),
			Seed: s.u64(m["seed"]), IssuedAtTurn: s.u64(m["issued_at_turn"]),
		},
		WorkerID:   s.optional(m["worker_id"]),
		ReplayHash: s.u64(m["replay_hash"]),
		Op:         s.op(m["op"]),
	}
}

func (s *Reader) op(v any) wc.Op {
	switch typ := s.text(s.members(v, "type")["type"]); typ {
	case "BootstrapReady":
		m := s.members(v, "type", "worker_id")
		return wc.BootstrapReady{WorkerID: s.text(m["worker_id"])}
	case "BootstrapFailed":
		m := s.members(v, "type", "worker_id", "reason")
		return wc.BootstrapFailed{WorkerID: s.text(m["worker_id"]), Reason: s.text(m["reason"])}
	case "SpawnJob":
		m := s.members(v, "type", "job_id", "region_id", "task_id", "obligation_id", "payload")
		return wc.SpawnJob{
			JobID: s.u64(m["job_id"]), RegionID: s.u64(m["region_id"]), TaskID: s.u64(m["task_id"]),
			ObligationID: s.u64(m["obligation_id"]), Payload: s.payload(m["payload"]),
		}
	case "StatusSnapshot":
		m := s.members(v, "type", "job_id", "state", "detail")
		return wc.StatusSnapshot{JobID: s.u64(m["job_id"]), State: wc.JobState(s.oneOf(m["state"], stateNames...)), Detail: s.optional(m["detail"])}
	case "JobCompleted":
		m := s.members(v, "type", "job_id", "outcome")
		return wc.JobCompleted{JobID: s.u64(m["job_id"]), Outcome: s.outcome(m["outcome"])}
	case "CancelJob":
		m := s.members(v, "type", "job_id", "reason")
		return wc.CancelJob{JobID: s.u64(m["job_id"]), Reason: s.text(m["reason"])}
	case "ShutdownWorker":
		m := s.members(v, "type", "reason")
		return wc.ShutdownWorker{Reason: s.text(m["reason"])}
	case "ShutdownCompleted":
		return wc.ShutdownCompleted{}
	case "Diagnostic":
		m := s.members(v, "type", "level", "category", "message", "metadata")
		return wc.Diagnostic{
			Level:    wc.Level(s.oneOf(m["level"], "Info", "Warn", "Error")),
			Category: s.text(m["category"]), Message: s.text(m["message"]), Metadata: s.optional(m["metadata"]),
		}
	case "PollStatus", "CancelAcknowledged", "DrainJob", "DrainCompleted", "FinalizeJob", "FinalizeCompleted":
		id := s.u64(s.members(v, "type", "job_id")["job_id"])
		return map[string]wc.Op{
			"PollStatus": wc.PollStatus{JobID: id}, "CancelAcknowledged": wc.CancelAcknowledged{JobID: id}, "DrainJob": wc.DrainJob{JobID: id},
			"DrainCompleted": wc.DrainCompleted{JobID: id}, "FinalizeJob": wc.FinalizeJob{JobID: id}, "FinalizeCompleted": wc.FinalizeCompleted{JobID: id},
		}[typ]
	}
	s.Bad = true
	return nil
}

func (s *Reader) outcome(v any) wc.Outcome {
	switch s.text(s.members(v, "status")["status"]) {
	case "Ok":
		return wc.OutcomeOk{Payload: s.payload(s.members(v, "status", "payload")["payload"])}
	case "Err":
		m := s.members(v, "status", "code", "message")
		return wc.OutcomeErr{Code: s.text(m["code"]), Message: s.text(m["message"])}
	case "Cancelled":
		return wc.OutcomeCancelled{Reason: s.text(s.members(v, "status", "reason")["reason"])}
	case "Panicked":
		return wc.OutcomePanicked{Message: s.text(s.members(v, "status", "message")["message"])}
	}
	s.Bad = true
	return nil
}

// members returns the known members of an object, of which none may be given twice.
func (s *Reader) members(v any, known ...string) map[string]any {
	o, ok := v.(Object)
	s.Bad = s.Bad || !ok
	members := map[string]any{}
	for _, m := range o {
		if !slices.Contains(known, m.Name) {
			continue
		}
		_, twice := members[m.Name]
		s.Bad = s.Bad || twice
		members[m.Name] = m.Value
	}
	return members
}

func (s *Reader) text(v any) string {
	text, ok := v.(string)
	s.Bad = s.Bad || !ok
	return text
}

func (s *Reader) optional(v any) *string {
	if v == nil {
		return nil
	}
	text := s.text(v)
	return &text
}

func (s *Reader) oneOf(v any, names ...string) int {
	i := slices.Index(names, s.text(v))
	s.Bad = s.Bad || i < 0
	return i
}

func (s *Reader) number(v any, limit uint64) uint64 {
	digits, ok := v.(json.Number)
	n, err := strconv.ParseUint(string(digits), 10, 64)
	s.Bad = s.Bad || !ok || err != nil || strconv.FormatUint(n, 10) != string(digits) || n > limit
	return n
}

func (s *Reader) u64(v any) uint64 { return s.number(v, math.MaxUint64) }

func (s *Reader) payload(v any) []byte {
	array, ok := v.([]any)
	s.Bad = s.Bad || !ok
	s.TooLarge = s.TooLarge || len(array) > 262144
	payload := []byte{}
	for _, element := range array {
		payload = append(payload, byte(s.number(element, 255)))
	}
	return payload
}

// surrogates finds pairs, halves, and the other escapes, so that none of them is taken for a part of another.
var surrogates = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.`)

func hasUnpairedSurrogate(text []byte) bool {
	return slices.ContainsFunc(surrogates.FindAll(text, -1), func(escape []byte) bool { return len(escape) == len(`\ud800`) })
}

func depth(tree any) (deepest int) {
	switch v := tree.(type) {
	case Object:
		for _, m := range v {
			deepest = max(deepest, depth(m.Value))
		}
	case []any:
		for _, element := range v {
			deepest = max(deepest, depth(element))
		}
	default:
		return 0
	}
	return deepest + 1
}
