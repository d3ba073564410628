package conform

import (
	"embed"
	"encoding/hex"
	"strconv"
	"strings"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/optext"
)

// The checks that are scripts. A paragraph is a check: its name, its section and its promise, and then its steps.
//
//	start 1 => StatusSnapshot           a command, and the operations that it sends
//	start 2 => refused UnknownJobID     or the error
//	job 1 => = Running                  and the text of the reply
//	> CancelJob 1 "reason"              a message to a worker
//	>~ CancelJob 1                      one of which the reply need not say what was read
//	> w1 StatusSnapshot 1 Running -     a message of w1 to a coordinator
//	start 1 => StatusSnapshot; start 2  two steps
//	1..9 > SpawnJob %; start %          these for each number in place of %
//	Info,Warn > Diagnostic %            these for each of the words
//
// Package optext says how operations, strings and payloads are written; leftOut has the arguments of commands that need not
// stand there. Messages are numbered by themselves. Before the operation of a message may stand seq=N, id=N, decision=N,
// seed=N, turn=N, version=N, worker=ID (in place of the sender's), worker=- (for none), and digest=bad. What follows => is
// for the reader: the reference must do the same, which a test of this package checks, and the program what the reference
// does. CancelJob*9 stands for nine.
//
// In the checks of a pair a line begins with the program that obeys the command:
//
//	host spawn_job 1                    the coordinator; then all messages arrive
//	later worker start 1                the worker; its messages arrive after the next line without "later"
//	kill                                the worker is killed
//
//go:embed checks/*.txt
var scripts embed.FS

// scripted returns the checks of a file.
func scripted(name string) []Check { return parseChecks(name, script) }

// parseChecks returns the checks of a file whose lines have a language of their own.
func parseChecks(name string, parse func(lines string) []step) (checks []Check) {
	text, err := scripts.ReadFile("checks/" + name + ".txt")
	if err != nil {
		panic(err)
	}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		head, lines, _ := strings.Cut(paragraph, "\n")
		name, rest, _ := strings.Cut(head, " (")
		section, about, _ := strings.Cut(rest, ") ")
		checks = append(checks, Check{name, section, about, func() []step { return parse(lines) }})
	}
	return checks
}

// script returns the steps of a script.
func script(text string) []step {
	w := writer{seq: map[string]uint64{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		values := []string{"%"} // as it is
		first, rest, _ := strings.Cut(line, " ")
		if from, to, ok := strings.Cut(first, ".."); ok {
			values = nil
			for n := optext.Number(from); n <= optext.Number(to); n++ {
				values = append(values, strconv.FormatUint(n, 10))
			}
		} else if strings.Contains(first, ",") {
			values = strings.Split(first, ",")
		} else {
			rest = line
		}
		for _, v := range values {
			for s := range strings.SplitSeq(rest, "; ") {
				w.step(strings.ReplaceAll(s, "%", v))
			}
		}
	}
	return w.steps
}

// A writer makes the steps of a script.
type writer struct {
	steps []step
	seq   map[string]uint64 // the last number of each sender
}

func (w *writer) step(text string) {
	if text == "" {
		return
	}
	what, want, _ := strings.Cut(text, " =>")
	s := step{want: strings.TrimSpace(want), silent: strings.HasPrefix(what, ">~")}
	words := optext.Words(what)
	if strings.HasPrefix(what, ">") {
		s.command, s.message = "receive", w.message(words[1:])
	} else {
		s.command = commandLine(words)
	}
	w.steps = append(w.steps, s)
}

// leftOut has the arguments that stand for those that are left out at the end of a command.
var leftOut = map[string]string{
	"spawn_job": "1 0 0 0 b", "complete": "1 Ok b", "cancel_job": `1 "x"`, "cancel_region": `1 "x"`, "close_region": `1 "x"`,
	"request_shutdown": `"stop"`, "shutdown_when_idle": `"stop"`,
}

// commandLine returns a command as the command pipe has it.
func commandLine(words []string) string {
	for i, word := range words {
		if all := optext.Words(leftOut[word]); len(words)-1-i < len(all) {
			words = append(words, all[len(words)-1-i:]...)
		}
	}
	for i, word := range words {
		switch {
		case strings.HasPrefix(word, `"`), strings.HasPrefix(word, "s*"):
			words[i] = "s" + hex.EncodeToString([]byte(optext.Text(word)))
		case strings.HasPrefix(word, "b*"):
			words[i] = "b" + hex.EncodeToString(optext.Bytes(word))
		}
	}
	return strings.Join(words, " ")
}

// message returns a message as it goes over the wire.
func (w *writer) message(words []string) []byte {
	sender, worker := "", (*string)(nil)
	if !optext.Known(words[0]) && !strings.Contains(words[0], "=") {
		sender = optext.Text(words[0])
		worker, words = &sender, words[1:]
	}
	env := wc.Envelope{Version: wc.ProtocolVersion}
	w.seq[sender]++
	env.Header = header(w.seq[sender])
	damaged := uint64(0)
	for ; !optext.Known(words[0]); words = words[1:] {
		switch name, value, _ := strings.Cut(words[0], "="); name {
		case "seq": // before id and the others, which are as high otherwise
			w.seq[sender] = optext.Number(value)
			env.Header = header(w.seq[sender])
		case "version":
			env.Version = uint32(optext.Number(value))
		case "worker":
			if worker = nil; value != "-" {
				id := optext.Text(value)
				worker = &id
			}
		case "digest":
			damaged = 1
		default:
			*map[string]*uint64{
				"id": &env.MessageID, "decision": &env.DecisionSeq, "seed": &env.Seed, "turn": &env.IssuedAtTurn,
			}[name] = optext.Number(value)
		}
	}
	op, err := wc.ParseOp(optext.JSON(sender, words))
	if err != nil {
		panic("script: " + err.Error())
	}
	env.WorkerID, env.Op = worker, op
	env.ReplayHash = wc.ReplayHash(env.Header, worker, op) + damaged
	return encode(env)
}

func encode(env wc.Envelope) []byte {
	text, err := env.AppendJSON(nil)
	if err != nil {
		panic("script: " + err.Error())
	}
	return text
}
