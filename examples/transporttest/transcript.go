package transporttest

import "fmt"

// A transcript is what happened on a connection, a line for each step. What one end does with several messages
// in a row takes one line.
type transcript struct{ lines []fmt.Stringer }

// A line is one that is complete.
type line string

func (l line) String() string { return string(l) }

// A row is several messages that one end sends or receives, one after the other.
type row struct {
	end         *end
	verb        string
	first, last *message
	n, bytes    int
}

func (r *row) String() string {
	switch {
	case r.first.probe && r.n > 1:
		return fmt.Sprintf("the harness sends short messages of its own, to see what arrives: %s to %s", r.first.name, r.last.name)
	case r.first.probe:
		return "the harness sends a short message of its own, to see what arrives: " + r.first.name
	case r.n == 1:
		return fmt.Sprintf("the %s %s %v", r.end.name, r.verb, r.first)
	}
	return fmt.Sprintf("the %s %s %s to %s (%s, %s in all)", r.end.name, r.verb, r.first.name, r.last.name,
		count(r.n, "message"), count(r.bytes, "byte"))
}

func (t *transcript) say(format string, args ...any) {
	t.lines = append(t.lines, line(fmt.Sprintf(format, args...)))
}

// move adds that an end sends or receives a message. That probes arrive is not worth a line.
func (t *transcript) move(e *end, verb string, m *message) {
	if m.probe && verb != "sends" {
		return
	}
	if len(t.lines) > 0 {
		r, ok := t.lines[len(t.lines)-1].(*row)
		if ok && r.end == e && r.verb == verb && r.first.what == "" && m.what == "" && r.first.probe == m.probe {
			r.last = m
			r.n++
			r.bytes += len(m.data)
			return
		}
	}
	t.lines = append(t.lines, &row{end: e, verb: verb, first: m, last: m, n: 1, bytes: len(m.data)})
}

// cut forgets the lines after the first n.
func (t *transcript) cut(n int) { t.lines = t.lines[:min(n, len(t.lines))] }

func (t *transcript) strings() (lines []string) {
	for _, l := range t.lines {
		lines = append(lines, l.String())
	}
	return lines
}
