package transporttest

import (
	"bytes"
	"fmt"
	"strings"
)

// A fault is what is wrong with a transport, in a word.
type fault string

const (
	lost      fault = "lost"
	repeated  fault = "repeated"
	reordered fault = "reordered"
	truncated fault = "truncated"
	corrupted fault = "corrupted"
	merged    fault = "merged"
	invented  fault = "invented"
	broken    fault = "broken"
	open      fault = "open"
	hang      fault = "hang"

	// The transport has done its part, and the core has not: a defect of workerchannel.
	refused fault = "refused"
)

// A diagnosis is a fault and the conversation that showed it.
type diagnosis struct {
	fault      fault
	where      string // tells one hang from another
	what       string
	transcript []string
}

func (d *diagnosis) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\nThe conversation (h1 is the host's first message, w1 the worker's):\n", d.fault, d.what)
	for i, line := range d.transcript {
		fmt.Fprintf(&b, "%4d  %s\n", i+1, line)
	}
	return b.String()
}

// compare tells what is wrong with data where sent[k] was to arrive; k may be len(sent). missing is
// true if data is a later message, and sent[k] may yet come.
func compare(sent []*message, k int, data []byte) (f fault, what string, missing bool) {
	for j, m := range sent {
		if !bytes.Equal(m.data, data) {
			continue
		}
		switch {
		case j == k:
			return "", "", false
		case j < k:
			return repeated, fmt.Sprintf("%v arrived a second time", m), false
		default:
			return "", fmt.Sprintf("%v came before %v", m, sent[k]), true
		}
	}
	// It is none of them as it stands; it should be the next, but may be what has become of another.
	for _, j := range append([]int{k}, others(len(sent), k)...) {
		if j >= len(sent) {
			continue
		}
		if f, what := resemble(sent[j], sent[j+1:], data); f != "" {
			return f, what, false
		}
	}
	return invented, fmt.Sprintf("%d bytes arrived that resemble nothing that was sent: %s", len(data), excerpt(data, 0)), false
}

// others are the numbers below n but k, the later ones first.
func others(n, k int) (list []int) {
	for j := n - 1; j >= 0; j-- {
		if j != k {
			list = append(list, j)
		}
	}
	return list
}

// resemble tells what has happened to a message, if it has become data.
func resemble(m *message, later []*message, data []byte) (fault, string) {
	rest, begins := bytes.CutPrefix(data, m.data)
	at := commonPrefix(m.data, data)
	switch {
	case begins && len(later) > 0 && commonPrefix(bytes.TrimLeft(rest, "\r\n"), later[0].data) > 0:
		return merged, fmt.Sprintf("%v and what follows it arrived as one, of %d bytes", m, len(data))
	case bytes.HasPrefix(m.data, data):
		return truncated, fmt.Sprintf("only the first %d bytes of %v arrived, cut after %s", len(data), m, excerpt(m.data, len(data)))
	case bytes.Contains(m.data, data):
		return truncated, fmt.Sprintf("only %d bytes of %v arrived, from the middle or the end", len(data), m)
	case len(data) == len(m.data), 2*(at+commonSuffix(m.data[at:], data[at:])) >= max(len(data), len(m.data)):
		return corrupted, fmt.Sprintf("%v arrived changed from byte %d on, %s in place of %s (%d bytes in all)",
			m, at, excerpt(data, at), excerpt(m.data, at), len(data))
	}
	return "", ""
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
