package conform

import (
	"embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	wc "github.com/workerchannel/workerchannel"
)

// The checks that are scripts. A paragraph is a check: its name, its section and its promise, and then its steps.
//
//	start 1 => StatusSnapshot           a command, and the operations that it sends
//	start 2 => refused UnknownJobID     or the error
//	job 1 => = Running                  and the text of the reply
//	> CancelJob 1 "reason"              a message to a worker
//	>~ CancelJob 1                      one of which the reply need not say what was read
//	> w1 StatusSnapshot 1 Running -     a message of w1 to a coordinator
//	1..9 > SpawnJob %; start %          these lines for each number in place of %
//	sizes > CancelJob 1 s*%             these for each of 255, 4,096, 65,536 and 307,200
//
// Strings are quoted; b*N is a payload of N bytes, s*N a string, s*every and s*forms are those below. Messages are
// numbered by themselves. Before the operation of a message may stand seq=N, id=N, decision=N, seed=N, turn=N,
// version=N, worker=ID (in place of the sender's), worker=- (for none), and digest=bad. What follows => is for the
// reader: the reference must do the same, which a test of this package checks, and the program what the reference does.
// CancelJob*9 stands for nine.
//
// In the checks of a pair a line begins with the program that obeys the command:
//
//	host spawn_job 1 0 0 0 b            the coordinator; then all messages arrive
//	later worker start 1                the worker; its messages arrive after the next line without "later"
//	kill                                the worker is killed
//
//go:embed checks/*.txt
var scripts embed.FS

// scripted returns the checks of a file.
func scripted(name string) (checks []Check) {
	text, err := scripts.ReadFile("checks/" + name + ".txt")
	if err != nil {
		panic(err)
	}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		head, steps, _ := strings.Cut(paragraph, "\n")
		name, rest, _ := strings.Cut(head, " (")
		section, about, _ := strings.Cut(rest, ") ")
		checks = append(checks, Check{name, section, about, script(steps)})
	}
	return checks
}

// The strings of scripts. The first has what section 3 escapes and what it does not, the second what looks alike in
// normal forms C and D.
var named = map[string]string{
	"s*every": "\"\\\x00\x01\b\t\n\f\r\x1b\x1f /<>&'\x7f\u0080\u00e9\u2028\u2029\ufeff\uffff\U0001f600\U0010ffff\\u0041",
	"s*forms": "\u00e9 e\u0301 \u212b \u00c5 A\u030a \uac00 \u1100\u1161 \ufb01 fi",
}

// script returns the steps of a script.
func script(text string) []step {
	w := writer{seq: map[string]uint64{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		first, rest, _ := strings.Cut(line, " ")
		numbers := []uint64{255, 4 << 10, 64 << 10, 300 << 10}
		if from, to, ok := strings.Cut(first, ".."); ok {
			numbers = nil
			for n := number(from); n <= number(to); n++ {
				numbers = append(numbers, n)
			}
		} else if first != "sizes" {
			w.line(line)
			continue
		}
		for _, n := range numbers {
			for line := range strings.SplitSeq(rest, "; ") {
				w.line(strings.ReplaceAll(line, "%", strconv.FormatUint(n, 10)))
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

func (w *writer) line(line string) {
	what, want, _ := strings.Cut(line, " =>")
	s := step{want: strings.TrimSpace(want), silent: strings.HasPrefix(what, ">~")}
	if message, ok := strings.CutPrefix(strings.Replace(what, ">~", ">", 1), "> "); ok {
		s.command, s.message = "receive", w.message(tokens(message))
	} else {
		s.command = w.command(tokens(what))
	}
	w.steps = append(w.steps, s)
}

// tokens splits a line at spaces, but not within quotes, which it keeps.
func tokens(line string) (all []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		from := strings.IndexAny(line, ` "`)
		if from < 0 {
			return append(all, line)
		}
		prefix := line[:from]
		if line[from] == ' ' {
			all, line = append(all, prefix), line[from:]
			continue
		}
		quoted, err := strconv.QuotedPrefix(line[from:])
		if err != nil {
			panic(fmt.Sprintf("script: %s: %v", line, err))
		}
		all, line = append(all, prefix+quoted), line[from+len(quoted):]
	}
	return all
}

func unquote(token string) string {
	if s, ok := named[token]; ok {
		return s
	}
	if strings.HasPrefix(token, "s*") {
		return string(pattern(token)) // of ASCII
	}
	if !strings.HasPrefix(token, `"`) {
		return token
	}
	s, err := strconv.Unquote(token)
	if err != nil {
		panic(fmt.Sprintf("script: %s: %v", token, err))
	}
	return s
}

// command returns the line of a command.
func (w *writer) command(words []string) string {
	for i, t := range words {
		switch {
		case strings.HasPrefix(t, `"`), strings.HasPrefix(t, "s*"):
			words[i] = "s" + hex.EncodeToString([]byte(unquote(t)))
		case strings.HasPrefix(t, "b*"):
			words[i] = "b" + hex.EncodeToString(pattern(t))
		}
	}
	return strings.Join(words, " ")
}

// pattern returns the payload of a token such as b*256, or the string of one such as s*256.
func pattern(token string) []byte {
	n, err := strconv.Atoi(token[2:])
	if err != nil {
		panic("script: " + token)
	}
	p := make([]byte, n)
	for i := range p {
		if p[i] = byte(255 - i%256); token[0] == 's' {
			p[i] = byte('a' + i%26)
		}
	}
	return p
}

// message returns a message as it goes over the wire.
func (w *writer) message(words []string) []byte {
	known := func(word string) bool { return slices.Contains(opNames, word) || strings.Contains(word, "=") }
	sender, worker := "", (*string)(nil)
	if !known(words[0]) {
		sender = unquote(words[0])
		worker, words = &sender, words[1:]
	}
	w.seq[sender]++
	env := wc.Envelope{Version: wc.ProtocolVersion}
	var change []func(*wc.Header)
	damaged := uint64(0)
	for ; strings.Contains(words[0], "=") && !strings.HasPrefix(words[0], `"`); words = words[1:] {
		name, value, _ := strings.Cut(words[0], "=")
		switch name {
		case "seq":
			w.seq[sender] = number(value)
		case "version":
			env.Version = uint32(number(value))
		case "worker":
			worker = optional(value)
		case "digest":
			damaged = 1
		case "id":
			change = append(change, func(h *wc.Header) { h.MessageID = number(value) })
		case "decision":
			change = append(change, func(h *wc.Header) { h.DecisionSeq = number(value) })
		case "seed":
			change = append(change, func(h *wc.Header) { h.Seed = number(value) })
		case "turn":
			change = append(change, func(h *wc.Header) { h.IssuedAtTurn = number(value) })
		default:
			panic("script: " + words[0])
		}
	}
	env.Header = header(w.seq[sender])
	for _, f := range change {
		f(&env.Header)
	}
	env.WorkerID, env.Op = worker, operation(sender, words)
	env.ReplayHash = wc.ReplayHash(env.Header, worker, env.Op) + damaged
	return encode(env)
}

func encode(env wc.Envelope) []byte {
	text, err := env.AppendJSON(nil)
	if err != nil {
		panic("script: " + err.Error())
	}
	return text
}

func number(token string) uint64 {
	n, err := strconv.ParseUint(token, 10, 64)
	if err != nil {
		panic("script: " + token)
	}
	return n
}

func optional(token string) *string {
	if token == "-" {
		return nil
	}
	s := unquote(token)
	return &s
}

var opNames = func() (names []string) {
	for t := wc.OpBootstrapReady; t.Sender() != 0; t++ {
		names = append(names, t.String())
	}
	return names
}()

// operation returns the operation that a script names. What is left out at the end has a value of its own.
func operation(sender string, words []string) wc.Op {
	arg := func(i int, otherwise string) string {
		if i < len(words) {
			return words[i]
		}
		return otherwise
	}
	id := func() uint64 { return number(arg(1, "1")) }
	reason := func(i int) string { return unquote(arg(i, `"reason"`)) }
	switch words[0] {
	case "BootstrapReady":
		return wc.BootstrapReady{WorkerID: unquote(arg(1, strconv.Quote(sender)))}
	case "BootstrapFailed":
		return wc.BootstrapFailed{WorkerID: sender, Reason: reason(1)}
	case "SpawnJob":
		return wc.SpawnJob{
			JobID: id(), Payload: payload(arg(2, "b010203")),
			RegionID: number(arg(3, "1")), TaskID: number(arg(4, "2")), ObligationID: number(arg(5, "3")),
		}
	case "PollStatus":
		return wc.PollStatus{JobID: id()}
	case "StatusSnapshot":
		var state wc.JobState
		if err := state.UnmarshalText([]byte(arg(2, "Running"))); err != nil {
			panic("script: " + err.Error())
		}
		return wc.StatusSnapshot{JobID: id(), State: state, Detail: optional(arg(3, "-"))}
	case "JobCompleted":
		c := command{args: []string{arg(2, "Ok")}}
		for _, t := range words[min(len(words), 3):] {
			c.args = append(c.args, new(writer).command([]string{t}))
		}
		if len(words) < 4 {
			c.args = append(c.args, map[string]string{"Ok": "b0102"}[c.args[0]])
		}
		o := c.outcome()
		if c.err != nil {
			panic("script: " + c.err.Error())
		}
		return wc.JobCompleted{JobID: id(), Outcome: o}
	case "CancelJob":
		return wc.CancelJob{JobID: id(), Reason: reason(2)}
	case "CancelAcknowledged":
		return wc.CancelAcknowledged{JobID: id()}
	case "DrainJob":
		return wc.DrainJob{JobID: id()}
	case "DrainCompleted":
		return wc.DrainCompleted{JobID: id()}
	case "FinalizeJob":
		return wc.FinalizeJob{JobID: id()}
	case "FinalizeCompleted":
		return wc.FinalizeCompleted{JobID: id()}
	case "ShutdownWorker":
		return wc.ShutdownWorker{Reason: reason(1)}
	case "ShutdownCompleted":
		return wc.ShutdownCompleted{}
	case "Diagnostic":
		c := command{args: []string{arg(1, "Info")}}
		return wc.Diagnostic{Level: c.level(), Category: reason(2), Message: reason(3), Metadata: optional(arg(4, "-"))}
	}
	panic("script: unknown operation " + words[0])
}

func payload(token string) []byte {
	if strings.HasPrefix(token, "b*") {
		return pattern(token)
	}
	b, err := hex.DecodeString(strings.TrimPrefix(token, "b"))
	if err != nil {
		panic("script: " + err.Error())
	}
	return b
}
