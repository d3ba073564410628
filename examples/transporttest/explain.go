package transporttest

import (
	"bytes"
	"fmt"
	"slices"
)

// explain names what is wrong when arrived[0] came in the place of sent[k]; k may be len(sent). What arrived
// later tells a message that is gone from one that is late. other is what the receiving end has sent itself.
func explain(c *config, sent []*message, k int, arrived [][]byte, other []*message) (fault, string) {
	data := arrived[0]
	later := sent[k:]
	if len(later) == 0 {
		return stray(c, sent, k, data)
	}
	m := later[0]
	// Something more has arrived, if all that was sent arrives after it.
	if follows(c, later, arrived[1:]) && (!among(c, later, data) || slices.ContainsFunc(arrived[1:], func(a []byte) bool { return bytes.Equal(a, data) })) {
		return extra(c, sent[:k], later, data)
	}
	if len(data) >= 8 && among(c, sent[:k], data) && !among(c, later, data) {
		return stray(c, sent, k, data) // a long message does not become an earlier one by chance
	}
	// Something has arrived in the place of the message, if what was sent after that arrives after it.
	if n := pieces(m.data, arrived); n > 1 {
		return split, fmt.Sprintf("%v arrived in %s, the first of %s", m, count(n, "piece"), count(len(data), "byte"))
	}
	if follows(c, later[1:], arrived[1:]) || len(arrived) == len(later) && !among(c, later, data) {
		if f, what := resemble(c, m, later[1:], data, other); f != "" {
			return f, what
		}
		return change(m, data, later, other)
	}
	for j := 1; j < len(later); j++ {
		if !c.same(later[j], data) {
			continue
		}
		for _, a := range arrived[1:] {
			if c.same(m, a) {
				return reordered, fmt.Sprintf("%v came before %v", later[j], m)
			}
		}
		if j > 1 {
			return lost, fmt.Sprintf("%v came, and neither %v nor the %s after it had", later[j], m, count(j-1, "message"))
		}
		return lost, fmt.Sprintf("%v came, and %v had not", later[j], m)
	}
	if len(data) > 0 {
		if f, what := resemble(c, m, later[1:], data, other); f != "" {
			return f, what
		}
	}
	return stray(c, sent, k, data)
}

// follows reports whether what arrived begins with the messages, at least one of them.
func follows(c *config, messages []*message, arrived [][]byte) bool {
	n := min(len(messages), len(arrived), 3)
	for i := range n {
		if !c.same(messages[i], arrived[i]) {
			return false
		}
	}
	return n > 0
}

// among reports whether data is one of the messages.
func among(c *config, messages []*message, data []byte) bool {
	return slices.ContainsFunc(messages, func(m *message) bool { return c.same(m, data) })
}

// extra names a message that came between two others.
func extra(c *config, before, later []*message, data []byte) (fault, string) {
	if len(data) == 0 && (len(before) == 0 || len(before[len(before)-1].data) > 0) {
		return empty, "Recv returned an empty message and no error, and none was sent"
	}
	for _, m := range later {
		if c.same(m, data) && !among(c, before, data) {
			return repeated, fmt.Sprintf("%v arrived twice, the first time before %v", m, later[0])
		}
	}
	if f, what := again(c, before, data); f != "" {
		return f, what + ", before " + later[0].String()
	}
	return unlike(data)
}

// again names a message that had arrived before.
func again(c *config, before []*message, data []byte) (fault, string) {
	for i := len(before) - 1; i >= 0; i-- {
		if c.same(before[i], data) {
			return repeated, fmt.Sprintf("%v arrived a second time", before[i])
		}
	}
	return "", ""
}

// stray names a message that is not what has become of sent[k].
func stray(c *config, sent []*message, k int, data []byte) (fault, string) {
	if len(data) == 0 {
		return empty, "Recv returned an empty message and no error, and none was sent"
	}
	if f, what := again(c, sent[:k], data); f != "" {
		return f, what
	}
	for i := len(sent) - 1; i >= 0; i-- {
		if f, what := resemble(c, sent[i], sent[i+1:], data, nil); i != k && f != "" {
			return f, what
		}
	}
	return unlike(data)
}

func unlike(data []byte) (fault, string) {
	return invented, fmt.Sprintf("%s arrived that resemble nothing that was sent: %s", count(len(data), "byte"), excerpt(data, 0))
}

// pieces returns how many of those that arrived make up data, perhaps without a line feed between them, or its
// beginning if no more has arrived; 0 if they do not.
func pieces(data []byte, arrived [][]byte) int {
	for i, a := range arrived {
		if len(a) == 0 && !bytes.HasPrefix(data, []byte("\n")) {
			return 0
		}
		rest, ok := bytes.CutPrefix(data, a)
		if !ok && i > 0 {
			feed := bytes.IndexByte(data, '\n') + 1
			if feed < 1 || feed > 2 {
				return 0
			}
			rest, ok = bytes.CutPrefix(data[feed:], a)
		}
		if !ok {
			return 0
		}
		if data = rest; len(bytes.TrimSpace(data)) == 0 {
			return i + 1
		}
	}
	return len(arrived)
}

// resemble names what has happened to a message, if it has become data.
func resemble(c *config, m *message, later []*message, data []byte, other []*message) (fault, string) {
	at := commonPrefix(m.data, data)
	rest, begins := bytes.CutPrefix(data, m.data)
	begins = begins && len(m.data) > 0
	same := at + commonSuffix(m.data[at:], data[at:])
	if len(data) == 0 && len(m.data) == 0 {
		return "", ""
	}
	switch {
	case marked(data, sentMark) && !marked(m.data, sentMark):
		return kept, fmt.Sprintf("in place of %v came what its sender wrote into its own slice after Send had returned: Send kept the slice (%s)",
			m, excerpt(data, at))
	case marked(data, receivedMark) && !marked(m.data, receivedMark):
		return reused, fmt.Sprintf("in place of %v came what the receiver wrote into an earlier result of Recv (%s)",
			m, excerpt(data, at))
	case begins && len(bytes.TrimSpace(rest)) == 0:
		return corrupted, fmt.Sprintf("%v arrived with %s of white space after it: %q", m, count(len(rest), "byte"), rest[:min(len(rest), 16)])
	case begins && joins(rest, later):
		return merged, fmt.Sprintf("%v and what follows it arrived as one message of %s", m, count(len(data), "byte"))
	case len(data) < len(m.data) && at == len(data):
		return truncated, fmt.Sprintf("only the first %s of %v arrived, cut after %s", count(len(data), "byte"), m, excerpt(m.data, len(data)))
	case len(data) < len(m.data) && bytes.Contains(m.data, data):
		return truncated, fmt.Sprintf("only %s of %v arrived, from the middle or the end", count(len(data), "byte"), m)
	case len(data) == len(m.data), 2*same >= max(len(data), len(m.data)) && same > 0, alike(data, m.data):
		return change(m, data, later, other)
	}
	return "", ""
}

// alike reports whether two texts have much in common in the same order, at their beginning, as when some characters
// have been encoded anew.
func alike(a, b []byte) bool {
	const most = 128
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	if len(a) < 16 || len(b) < 16 {
		return false
	}
	common := make([]int, len(b)+1) // the length of the longest subsequence of both, so far
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := common[j+1]
			if x == y {
				common[j+1] = diagonal + 1
			} else {
				common[j+1] = max(above, common[j])
			}
			diagonal = above
		}
	}
	return 5*common[len(b)] >= 2*min(len(a), len(b))
}

// joins reports whether rest is a later message or its beginning, perhaps after a few bytes that part them.
func joins(rest []byte, later []*message) bool {
	if len(later) == 0 {
		return false
	}
	next := later[0].data
	for skip := range min(len(rest), 9) {
		if n := commonPrefix(rest[skip:], next); n > 0 && (n == len(rest)-skip || n == len(next)) {
			return true
		}
	}
	return false
}

// change tells how a message has changed, and where the wrong bytes come from, if that can be seen.
func change(m *message, data []byte, later, other []*message) (fault, string) {
	at := commonPrefix(m.data, data)
	what := fmt.Sprintf("%v arrived changed from byte %d on, %s in place of %s (%s in all)",
		m, at, excerpt(data, at), excerpt(m.data, at), count(len(data), "byte"))
	for _, o := range other {
		if shows(o.data, m.data, data) {
			return shared, fmt.Sprintf("%s: these are bytes of %v, which the receiving end sends: Send and Recv use the same memory", what, o)
		}
	}
	wrong := data[at:min(at+16, len(data))]
	if len(wrong) < 16 || regular(wrong) {
		return corrupted, what // too little, or too regular, to be found again
	}
	if from := bytes.Index(m.data, wrong); from >= 0 {
		return corrupted, fmt.Sprintf("%s: these are the bytes from %d on, so that pieces of the message have moved", what, from)
	}
	for _, o := range later {
		if bytes.Contains(o.data, wrong) {
			return corrupted, fmt.Sprintf("%s: these are bytes of %v, sent later", what, o)
		}
	}
	return corrupted, what
}

// shows reports whether data are the bytes of other nearly everywhere where they are not those of m: so many of them
// that it is not chance, and not only what many messages have in common.
func shows(other, m, data []byte) bool {
	var same []byte
	wrong := 0
	for i := range min(len(m), len(data)) {
		if data[i] != m[i] {
			if wrong++; i < len(other) && data[i] == other[i] {
				same = append(same, data[i])
			}
		}
	}
	return len(same) >= 6 && 10*len(same) >= 9*wrong && !regular(same)
}

// regular reports whether a text repeats something short, as specials do, or a byte makes up half of it or more.
func regular(text []byte) bool {
	for i := range text {
		if 2*bytes.Count(text, text[i:i+1]) > len(text) {
			return true
		}
	}
	for period := 1; 2*period <= len(text); period++ {
		if bytes.Equal(text[period:], text[:len(text)-period]) {
			return true
		}
	}
	return false
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func commonSuffix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[len(a)-1-i] != b[len(b)-1-i] {
			return i
		}
	}
	return n
}

// excerpt quotes a few bytes around a place.
func excerpt(data []byte, at int) string {
	const around = 12
	return fmt.Sprintf("%q", data[max(at-around, 0):min(at+around, len(data))])
}
