package conform

import (
	"fmt"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/optext"
)

// A reading makes the steps of a check of the reader from variants of one message. To a worker it is a CancelJob of an
// unknown job, to a coordinator a StatusSnapshot of a queued one: both may come any number of times. These are the lines:
//
//	take OLD -> NEW           the message with NEW in place of OLD must be taken
//	refuse OLD -> NEW         or be refused as Malformed; another error of section 8 stands in place of refuse
//	refuse A -> B & C -> D    the same with two changes
//	refuse [@]                the same with this text, in which @ is the message
//	reseal OLD -> NEW as A | B   be refused though the digest is that of the operation with A, with B, or with NEW: a
//	                          careless reader takes NEW for A
//	string TEXT               the canonical message with another string must be taken
//	spaced TEXT               and other ways to write it, which rewrite has
//	each A | B                the lines that follow stand for one with A and one with B in place of %
//	base w1 JobCompleted 1    the message that the lines that follow change, but for string and rewrite
//	worker LINE               a line for one half
//
// Of the message OP is the operation and $ the name of the string. <FF> is a byte, <U+2028> a character, <> nothing, and
// <text #*9> nine times the text, with the number for #.
type reading struct {
	half  string
	n     uint64 // the number of the last message that was taken
	base  string
	each  []string
	steps []step
}

// The message of each half, with its string.
var messages = map[string]string{WorkerHalf: `CancelJob 1 "a/é"`, CoordinatorHalf: `w1 StatusSnapshot 1 Queued "a/é"`}

// readingChecks returns the checks of the reader, each with a message at its end: whatever came before, it is taken.
func readingChecks(half string) []Check {
	return parseChecks("reading", func(lines string) []step {
		r := reading{half: half, base: messages[half], steps: script("announce => BootstrapReady"), each: []string{""}}
		if half == CoordinatorHalf {
			r.n, r.steps = 1, script("> w1 BootstrapReady; spawn_job 1 => SpawnJob")
		}
		for line := range strings.Lines(lines + "\n	string still here") {
			r.line(strings.TrimSpace(line))
		}
		return r.steps
	})
}

func (r *reading) line(line string) {
	verb, text, _ := strings.Cut(line, " ")
	switch verb {
	case WorkerHalf, CoordinatorHalf:
		if verb == r.half {
			r.line(text)
		}
	case "each":
		r.each = strings.Split(text, " | ")
	case "base":
		r.base = text
	default:
		values := r.each
		if !strings.Contains(text, "%") {
			values = values[:1]
		}
		for _, v := range values {
			r.variant(verb, strings.ReplaceAll(text, "%", v))
		}
	}
}

func (r *reading) variant(verb, text string) {
	member := map[string]string{WorkerHalf: `"reason"`, CoordinatorHalf: `"detail"`}[r.half]
	text = expand(strings.ReplaceAll(text, `"$"`, member))
	if other, ok := rewrite[verb]; ok {
		r.add(other(r.message(messages[r.half], text)), "")
		return
	}
	changed, want := r.message(r.base, "a/é"), "refused "+verb
	switch verb {
	case "take":
		want = ""
	case "refuse":
		want = "refused Malformed"
	case "reseal":
		r.reseal(changed, text)
		return
	}
	if !strings.Contains(text, " -> ") {
		changed = strings.ReplaceAll(text, "@", changed)
	} else {
		for change := range strings.SplitSeq(text, " & ") {
			old, new, _ := strings.Cut(change, " -> ")
			changed = edit(changed, old, new)
		}
	}
	r.add(changed, want)
}

// message returns the next message, with a string in place of the one that it has.
func (r *reading) message(base, text string) string {
	words := optext.Words(strings.Replace(base, `"a/é"`, strconv.Quote(text), 1))
	w := writer{seq: map[string]uint64{"": r.n, "w1": r.n}}
	return string(w.message(words))
}

// add adds a text. A message that is refused for what it is uses no number, so that there are no gaps.
func (r *reading) add(text, want string) {
	if want == "" || want == "refused UnknownJobID" {
		r.n++
	}
	if strings.Contains(text, "\n") {
		panic("a message is one line: " + text)
	}
	r.steps = append(r.steps, step{command: "receive", message: []byte(text), want: want})
}

// reseal adds a message whose operation is changed, with the digests of careless readers.
func (r *reading) reseal(text, change string) {
	change, others, _ := strings.Cut(change, " as ")
	old, new, _ := strings.Cut(change, " -> ")
	head, _, _ := strings.Cut(text, `,"replay_hash":`)
	op := operation(text)
	worker := map[string]string{CoordinatorHalf: "w1"}[r.half]
	for _, as := range append(strings.Split(others, " | "), new) {
		digest := textDigest(header(r.n+1), worker, edit(op, old, as))
		r.add(head+`,"replay_hash":`+strconv.FormatUint(digest, 10)+`,"op":`+edit(op, old, new)+`}`, "refused Malformed")
	}
}

// operation returns the operation of a message.
func operation(text string) string {
	_, op, _ := strings.Cut(text, `,"op":`)
	return strings.TrimSuffix(op, "}")
}

func edit(text, old, new string) string {
	if old == "OP" {
		old = operation(text)
	}
	if strings.Count(text, old) != 1 {
		panic(fmt.Sprintf("%s does not occur once in %s", old, text))
	}
	return strings.Replace(text, old, new, 1)
}

var expandable = regexp.MustCompile(`<(?:([0-9A-F]{2})|U\+([0-9A-F]+)|([^<>]+)\*([0-9]+)|)>`)

// expand returns a text without angle brackets.
func expand(text string) string {
	return expandable.ReplaceAllStringFunc(text, func(s string) string {
		m := expandable.FindStringSubmatch(s)
		n, _ := strconv.ParseUint(m[1]+m[2], 16, 32)
		switch {
		case m[1] != "":
			return string([]byte{byte(n)})
		case m[2] != "":
			return string(rune(n))
		}
		var b strings.Builder
		times, _ := strconv.Atoi(m[4])
		for i := range times {
			b.WriteString(strings.ReplaceAll(m[3], "#", strconv.Itoa(i)))
		}
		return b.String()
	})
}

// textDigest is the digest of section 4 for any text of the operation.
func textDigest(h wc.Header, worker, op string) uint64 {
	d := h.MessageID*0x9E3779B185EBCA87 + bits.RotateLeft64(h.SeqNo, 13)
	d ^= bits.RotateLeft64(h.DecisionSeq, 23) ^ bits.RotateLeft64(h.Seed, 29) ^ bits.RotateLeft64(h.IssuedAtTurn, 47)
	for i := range len(worker) {
		d = (bits.RotateLeft64(d, 7) ^ uint64(worker[i])) * 0x100000001B3
	}
	for i := range len(op) {
		d = (bits.RotateLeft64(d, 5) ^ uint64(op[i])) * 0x100000001B3
	}
	return d
}

// rewrite has the ways to write a message that must be taken.
var rewrite = map[string]func(string) string{
	"string":   func(text string) string { return text },
	"spaced":   func(text string) string { return paraphrase(text, 0, " \t\r ") },
	"escaped":  func(text string) string { return paraphrase(text, 'x', "") },
	"ESCAPED":  func(text string) string { return paraphrase(text, 'X', "") },
	"reversed": reverse,
	"padded":   func(text string) string { return text + strings.Repeat(" ", 2<<20-len(text)) },
	"stuffed": func(text string) string {
		const before, after = `{"unknown":"`, `",`
		return before + strings.Repeat("x", 2<<20-len(before+after)-len(text)+1) + after + text[1:]
	},
}

// paraphrase writes a message with white space around each token, or with each character of each string escaped: in
// lower-case hex for 'x', in upper-case for 'X'.
func paraphrase(text string, hex byte, space string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		if text[i] != '"' {
			if strings.IndexByte("{}[]:,", text[i]) >= 0 {
				b.WriteString(space + text[i:i+1] + space)
			} else {
				b.WriteByte(text[i])
			}
			i++
			continue
		}
		end := i + 1
		for ; text[end] != '"'; end++ {
			if text[end] == '\\' {
				end++
			}
		}
		token := text[i : end+1]
		i = end + 1
		if hex == 0 {
			b.WriteString(token)
			continue
		}
		s, err := strconv.Unquote(token)
		if err != nil {
			panic(err)
		}
		b.WriteByte('"')
		for _, unit := range utf16.Encode([]rune(s)) {
			fmt.Fprintf(&b, `\u%04`+string(hex), unit)
		}
		b.WriteByte('"')
	}
	return b.String()
}

// reverse reverses the members of a message and of its operation. No member of either is an array, and no string
// has commas.
func reverse(text string) string {
	head, op, _ := strings.Cut(strings.TrimSuffix(text, "}}"), `,"op":{`)
	flip := func(members string) string {
		parts := strings.Split(members, ",")
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
		return strings.Join(parts, ",")
	}
	return `{"op":{` + flip(op) + `},` + flip(strings.TrimPrefix(head, "{")) + `}`
}

// header returns a header whose numbers are all n.
func header(n uint64) wc.Header {
	return wc.NewHeader(n, n, 7, n/2)
}
