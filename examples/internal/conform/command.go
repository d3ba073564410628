package conform

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	wc "github.com/workerchannel/workerchannel"
)

// The names of the two halves.
const (
	WorkerHalf      = "worker"
	CoordinatorHalf = "coordinator"
)

// Commands are all commands.
var Commands = append([]string{
	"receive", "new", "announce", "fail", "start", "complete", "acknowledge_cancel", "complete_drain", "complete_finalize",
	"complete_shutdown", "spawn_job", "cancel_job", "poll_status", "request_shutdown", "worker_lost", "remove_job",
}, Optional...)

// Optional are the commands that a program need not support.
var Optional = []string{
	"advance_turn", "hold", "send", "job", "report", "diagnose", "say_capacity", "cancel_region", "close_region",
	"shutdown_when_idle", "expect_worker", "retire_worker", "reap", "ended", "since", "overdue", "next_deadline",
}

// A command is a line of the command pipe.
type command struct {
	name string
	args []string
	err  error // the first argument that cannot be read
}

func parseCommand(line string) *command {
	fields := strings.Split(line, " ")
	return &command{name: fields[0], args: fields[1:]}
}

// arg returns the next argument.
func (c *command) arg() string {
	if len(c.args) == 0 {
		c.fail("an argument is missing")
		return ""
	}
	a := c.args[0]
	c.args = c.args[1:]
	return a
}

func (c *command) fail(cause string) {
	if c.err == nil {
		c.err = fmt.Errorf("command %s: %s", c.name, cause)
	}
}

func (c *command) number() uint64 {
	a := c.arg()
	n, err := strconv.ParseUint(a, 10, 64)
	if err != nil {
		c.fail("expected a number, got " + a)
	}
	return n
}

func (c *command) tagged(tag string) []byte {
	a := c.arg()
	b, err := hex.DecodeString(strings.TrimPrefix(a, tag))
	if err != nil || !strings.HasPrefix(a, tag) {
		c.fail("expected " + tag + " and hex")
	}
	return b
}

func (c *command) text() string { return string(c.tagged("s")) }

func (c *command) payload() []byte { return c.tagged("b") }

// optional returns a string that may be absent.
func (c *command) optional() *string {
	if len(c.args) > 0 && c.args[0] == "-" {
		c.args = c.args[1:]
		return nil
	}
	s := c.text()
	return &s
}

func (c *command) outcome() wc.Outcome {
	switch status := c.arg(); status {
	case "Ok":
		return wc.OutcomeOk{Payload: c.payload()}
	case "Err":
		return wc.OutcomeErr{Code: c.text(), Message: c.text()}
	case "Cancelled":
		return wc.OutcomeCancelled{Reason: c.text()}
	case "Panicked":
		return wc.OutcomePanicked{Message: c.text()}
	default:
		c.fail("unknown outcome " + status)
		return nil
	}
}

func (c *command) level() (level wc.Level) {
	name := c.arg()
	if level.UnmarshalText([]byte(name)) != nil {
		c.fail("unknown level " + name)
	}
	return level
}

// A Reply is what a program does with a command.
type Reply struct {
	Verdict  string   // "ok", "unsupported", or "refused" and the kind
	Text     string   // with "ok"
	Messages [][]byte // what it wrote to standard output
}

// head returns the reply as a line of the reply pipe. A kind of another form than those of section 8 is quoted.
func (r *Reply) head() string {
	if r.Verdict == "unsupported" {
		return r.Verdict
	}
	verdict, kind, _ := strings.Cut(r.Verdict, " ")
	if strings.ContainsFunc(kind, func(c rune) bool { return c < 'A' || c > 'z' || c > 'Z' && c < 'a' }) {
		kind = strconv.Quote(kind)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %d %s%s", verdict, len(r.Messages), kind, r.Text))
}

// parseReply reads a line of the reply pipe. It returns how many messages belong to it.
func parseReply(line string) (r Reply, messages int, err error) {
	if line == "unsupported" {
		return Reply{Verdict: line}, 0, nil
	}
	verdict, rest, _ := strings.Cut(line, " ")
	count, text, _ := strings.Cut(rest, " ")
	messages, err = strconv.Atoi(count)
	switch {
	case err != nil || messages < 0 || messages > maxMessages:
	case verdict == "ok":
		return Reply{Verdict: "ok", Text: text}, messages, nil
	case verdict == "refused" && text != "" && !strings.Contains(text, " "):
		return Reply{Verdict: "refused " + text}, messages, nil
	}
	return Reply{}, 0, fmt.Errorf("expected a reply as ok N TEXT, refused N KIND or unsupported, got %s", printable([]byte(line)))
}

// onWire returns the canonical JSON of an operation or an outcome, which json.Marshal would escape.
func onWire(v any) string {
	text, err := v.(json.Marshaler).MarshalJSON()
	if err != nil {
		return err.Error()
	}
	return string(text)
}
