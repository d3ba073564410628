package transporttest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// messages makes messages of the given texts.
func messages(name string, texts ...string) (list []*message) {
	for i, text := range texts {
		list = append(list, &message{name: fmt.Sprint(name, i+1), data: []byte(text), begun: true, done: true})
	}
	return list
}

func TestExplainNamesWhatBecameOfMessages(t *testing.T) {
	const one, two, three, probe = "the first message", "a second, longer message", "3rd", "a probe of the harness"
	long := strings.Repeat("0123456789 abcdefghij ", 3)
	other := "what the receiving end sends itself"
	for _, c := range []struct {
		name    string
		sent    []string
		k       int // how many have arrived well
		arrived []string
		fault   fault
		says    string
	}{
		{"one is gone", []string{one, two, three}, 0, []string{two, three}, lost, "h2 (24 bytes) came, and h1 (17 bytes) had not"},
		{"two are gone", []string{one, two, three, probe}, 0, []string{three, probe}, lost, "neither h1 (17 bytes) nor the 1 message after it"},
		{"the last but the probe is gone", []string{one, two, probe}, 1, []string{probe}, lost, "h3 (22 bytes) came, and h2"},
		{"neighbours are swapped", []string{one, two, three}, 0, []string{two, one, three}, reordered, "h2 (24 bytes) came before h1"},
		{"one comes far too early", []string{one, two, three, probe}, 0, []string{three, one, two, probe}, reordered, "h3 (3 bytes) came before h1"},
		{"one is repeated at once", []string{one, two, three}, 1, []string{one, two, three}, repeated, "h1 (17 bytes) arrived a second time, before h2"},
		{"one is repeated later", []string{one, two, three}, 2, []string{one, three}, repeated, "h1 (17 bytes) arrived a second time"},
		{"one is repeated at the end", []string{one, two}, 2, []string{two}, repeated, "h2 (24 bytes) arrived a second time"},
		{"the end is cut off", []string{one, two}, 0, []string{one[:10], two}, truncated, "only the first 10 bytes of h1"},
		{"the start is cut off", []string{one, two}, 0, []string{one[4:], two}, truncated, "only 13 bytes of h1"},
		{"all is cut off", []string{one, two}, 0, []string{"", two}, truncated, "only the first 0 bytes of h1"},
		{"all is cut off, and the end of what follows", []string{one, two}, 0, []string{"", two[:9]}, truncated, "only the first 0 bytes of h1"},
		{"it comes in pieces", []string{one, two}, 0, []string{one[:5], one[5:9], one[9:], two}, split, "3 pieces"},
		{"it comes as lines", []string{"two\nlines", two}, 0, []string{"two", "lines", two}, split, "2 pieces"},
		{"two come as one", []string{one, two, three}, 0, []string{one + two, three}, merged, "h1 (17 bytes) and what follows it"},
		{"two come as one with a line feed", []string{one, two, three}, 0, []string{one + "\n" + two, three}, merged, "h1 (17 bytes)"},
		{"a byte is other", []string{one, two}, 0, []string{"the forst message", two}, corrupted, "from byte 5 on"},
		{"a byte is missing", []string{long, two}, 0, []string{long[:20] + long[21:], two}, corrupted, "from byte 20 on"},
		{"a line feed stays", []string{one, two}, 0, []string{one + "\n", two}, corrupted, `white space after it: "\n"`},
		{"pieces are swapped", []string{long[:40], two}, 0, []string{long[20:40] + long[:20], two}, corrupted, "pieces of the message have moved"},
		{"a later message shows through", []string{one + long, two + two}, 0, []string{one + (two + two)[17:] + long[31:], two + two}, corrupted, "sent later"},
		{"the other direction shows through", []string{strings.Repeat("-", len(other)), two}, 0, []string{strings.Repeat("-", 10) + other[10:], two}, shared, "use the same memory"},
		{"some bytes are those of the other direction by chance", []string{strings.Repeat("-", len(other)), two}, 0,
			[]string{strings.Repeat("-", 10) + other[10:17] + "0123456789abcdefgh", two}, corrupted, "changed from byte 10 on"},
		{"nobody sent it", []string{one, two}, 0, []string{"ping", one, two}, invented, `4 bytes arrived that resemble nothing that was sent: "ping"`},
		{"nobody sent it, after all else", []string{one, two}, 2, []string{"ping"}, invented, "resemble nothing"},
		{"it is empty", []string{one, two}, 0, []string{"", one, two}, empty, "empty message and no error"},
		{"it is empty, after all else", []string{one}, 1, []string{""}, empty, "empty message and no error"},
		{"the caller's slice was kept", []string{one + long, two}, 0, []string{mark(one+long, sentMark), two}, kept, "Send kept the slice"},
		{"the receiver's slice was kept", []string{one + long, two}, 0, []string{mark(one+long, receivedMark), two}, reused, "earlier result of Recv"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var arrived [][]byte
			for _, text := range c.arrived {
				arrived = append(arrived, []byte(text))
			}
			sent := messages("h", c.sent...)
			f, what := explain(&config{}, sent, c.k, arrived, messages("w", other))
			assert.Equal(t, c.fault, f, what)
			assert.Contains(t, what, c.says)
		})
	}
}

// mark returns a text that has been overwritten.
func mark(text, with string) string {
	data := []byte(text)
	overwrite(data, with)
	return string(data)
}

func TestSmallerPlansAreSmallerAndLeadToTheSmallest(t *testing.T) {
	p := plan{seed: 1, steps: []step{{do: "send", n: 40, size: 5_000, padding: 3}, {do: "pause"}, {do: "send", worker: true, n: 3, size: 70, padding: 1}}}
	weight := func(p plan) (sum int) {
		for _, s := range p.steps {
			sum += 1 + s.n + s.size + s.padding + 1
		}
		return sum
	}
	for { // each is smaller, so this ends
		candidates := slices.Collect(p.smaller())
		if len(candidates) == 0 {
			break
		}
		for _, c := range candidates {
			require.Less(t, weight(c), weight(p))
		}
		p = candidates[len(candidates)-1]
	}
	assert.Empty(t, p.steps)
}
