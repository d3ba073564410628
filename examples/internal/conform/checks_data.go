package conform

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// DataChecks returns checks from the conformance data in a directory, testdata of this repository (section 12): every
// text and envelope of it as a message, and the journals of the half as calls. What must happen is what the reference
// does, which the tests of the repository compare with the data.
func DataChecks(half, dir string) ([]Check, error) {
	var documents, envelopes []step
	receive := func(text []byte) []step {
		return []step{{command: firstCommand(half)}, {command: "receive", message: text}}
	}
	var journals []Check
	prefix, section := "worker_", "10"
	if half == CoordinatorHalf {
		prefix, section = "", "7"
	}
	journal := func(name string) func(data) error {
		n := 0
		return func(line data) error {
			n++
			about := cmp.Or(line.str("rule"), "the calls of a journal have the same results")
			steps, err := journalSteps(half, line)
			journals = append(journals, Check{"data/" + name + "-" + strconv.Itoa(n), section, about, fixed(steps)})
			return err
		}
	}
	for _, file := range []struct {
		name string
		each func(data) error
	}{
		{"documents", func(line data) error {
			text, err := hex.DecodeString(line.str("hex"))
			// A line feed is white space, or must be refused; so is, or must, a carriage return.
			documents = append(documents, receive(bytes.ReplaceAll(text, []byte("\n"), []byte("\r")))...)
			return err
		}},
		{"envelopes", func(line data) error {
			envelopes = append(envelopes, receive([]byte(line.str("wire")))...)
			return nil
		}},
		{prefix + "sessions", journal("session")},
		{prefix + "rules", journal("rule")},
	} {
		if err := readLines(filepath.Join(dir, file.name+".jsonl"), file.each); err != nil {
			return nil, err
		}
	}
	return append([]Check{
		{"data/documents", "3", "texts near an envelope are taken or refused", fixed(documents)},
		{"data/envelopes", "5", "envelopes are read and validated", fixed(envelopes)},
	}, journals...), nil
}

// A data is a JSON object of the data, whose numbers keep all their digits.
type data map[string]any

func (d data) str(name string) string {
	switch v := d[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func readLines(file string, each func(data) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for n := 1; lines.Scan(); n++ {
		var line data
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.UseNumber()
		if err = d.Decode(&line); err == nil {
			err = each(line)
		}
		if err != nil {
			return fmt.Errorf("%s, line %d: %w", file, n, err)
		}
	}
	return lines.Err()
}

// journalArgs has the arguments of the calls of a journal, in the order in which the command has them.
var journalArgs = map[string][]string{
	"announce": nil, "fail": {"reason"}, "start": {"job_id"}, "report": {"job_id", "detail"}, "complete": {"job_id", "outcome"},
	"acknowledge_cancel": {"job_id"}, "complete_drain": {"job_id"}, "complete_finalize": {"job_id"}, "diagnose": {"diagnostic"},
	"complete_shutdown": nil, "advance_turn": nil,
	"spawn_job":  {"job_id", "region_id", "task_id", "obligation_id", "payload"},
	"cancel_job": {"job_id", "reason"}, "cancel_region": {"region_id", "reason"}, "close_region": {"region_id", "reason"},
	"poll_status": {"job_id"}, "request_shutdown": {"reason"}, "shutdown_when_idle": {"reason"}, "expect_worker": nil,
	"worker_lost": nil, "retire_worker": {"worker_id"}, "remove_job": {"job_id"}, "reap": nil,
}

// journalSteps returns the calls of a journal as commands. After each it looks at what can be seen.
func journalSteps(half string, journal data) ([]step, error) {
	first := "new " + commandArg("worker_id", journal["worker_id"]) + " " + journal.str("seed")
	if half == CoordinatorHalf {
		first = "new " + journal.str("seed")
		limits, _ := journal["limits"].(map[string]any)
		for _, name := range []string{"boot", "cancel", "drain", "finalize", "poll", "shutdown"} {
			first += " " + data(limits).str(name)
		}
	}
	steps := []step{{command: first}, {command: "hold"}}
	calls, _ := journal["steps"].([]any)
	for _, v := range calls {
		call, _ := v.(map[string]any)
		name := data(call).str("call")
		args, known := journalArgs[name]
		switch {
		case name == "handle_inbound":
			steps = append(steps, step{command: "receive", message: []byte(data(call).str("wire")), silent: true})
		case name == "drain_outbox":
			steps = append(steps, step{command: "send"})
		case known:
			for _, arg := range args {
				name += " " + commandArg(arg, call[arg])
			}
			steps = append(steps, step{command: name})
		default:
			return nil, fmt.Errorf("unknown call %q", name)
		}
		after, _ := call["after"].(map[string]any)
		jobs, _ := after["jobs"].([]any)
		for _, v := range jobs {
			job, _ := v.(map[string]any)
			id := data(job).str("job_id")
			steps = append(steps, step{command: "job " + id, optional: true})
			if half == CoordinatorHalf {
				steps = append(steps, step{command: "ended " + id, optional: true})
			}
		}
		if half == CoordinatorHalf {
			steps = append(steps, step{command: "overdue", optional: true}, step{command: "next_deadline", optional: true})
		}
	}
	return steps, nil
}

// commandArg writes an argument of a journal as an argument of a command.
func commandArg(name string, v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		if name == "status" || name == "level" {
			return v
		}
		return "s" + hex.EncodeToString([]byte(v))
	case json.Number:
		return v.String()
	case []any:
		payload := []byte{}
		for _, b := range v {
			n, _ := strconv.Atoi(fmt.Sprint(b))
			payload = append(payload, byte(n))
		}
		return "b" + hex.EncodeToString(payload)
	case map[string]any: // an outcome or a diagnostic
		var args []string
		for _, member := range []string{"status", "payload", "code", "level", "category", "reason", "message", "metadata"} {
			if value, ok := v[member]; ok {
				args = append(args, commandArg(member, value))
			}
		}
		return strings.Join(args, " ")
	}
	return "?"
}
