package transporttest

import (
	"fmt"
	"strings"
)

// A transcript is what happened on a connection, a line for each step. What one end does with several messages
// in a row takes one line.
type transcript struct {
	lines []string
	row   row // what the last line is about
}

// A row is several messages that one end sends or receives, one after the other.
type row struct {
	end         *end
	verb        string
	first, last *message
	n, bytes    int
}

func (t *transcript) say(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
	t.row = row{}
}

// move adds that an end sends or receives a message.
func (t *transcript) move(e *end, verb string, m *message) {
	if m.probe {
		t.probe(verb, m)
		return
	}
	if r := &t.row; r.end == e && r.verb == verb && r.first != nil && r.first.what == "" && m.what == "" {
		r.last = m
		r.n++
		r.bytes += len(m.data)
		t.lines[len(t.lines)-1] = r.String()
		return
	}
	r := row{end: e, verb: verb, first: m, last: m, n: 1, bytes: len(m.data)}
	t.say("%v", &r)
	t.row = r
}

// probe adds to the line about probes, if that is the last one, or begins it. That they arrive is not worth a line.
func (t *transcript) probe(verb string, m *message) {
	const line = "the harness sends short messages of its own, to see what arrives: "
	if verb != "sends" {
		return
	}
	last := len(t.lines) - 1
	switch {
	case last < 0 || !strings.HasPrefix(t.lines[last], line):
		t.say("%s", line+m.name)
	case len(t.lines[last]) < len(line)+40:
		t.lines[last] += ", " + m.name
	case !strings.HasSuffix(t.lines[last], "..."):
		t.lines[last] += ", ..."
	}
}

func (r *row) String() string {
	if r.n == 1 {
		return fmt.Sprintf("the %s %s %v", r.end.name, r.verb, r.first)
	}
	return fmt.Sprintf("the %s %s %s to %s (%s, %s in all)", r.end.name, r.verb, r.first.name, r.last.name,
		count(r.n, "message"), count(r.bytes, "byte"))
}
