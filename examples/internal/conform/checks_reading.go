package conform

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	wc "github.com/workerchannel/workerchannel"
)

// A readingTest makes the steps of a check of the reader from variants of one message. To a worker it is a CancelJob of
// an unknown job, to a coordinator a StatusSnapshot of a queued one: both may come any number of times.
type readingTest struct {
	half  string
	n     uint64 // the number of the last message
	steps []step
}

func newReading(half string) *readingTest {
	if half == WorkerHalf {
		return &readingTest{half: half, steps: script(`announce => BootstrapReady`)}
	}
	return &readingTest{half: half, n: 1, steps: script(`
		> w1 BootstrapReady
		spawn_job 1 0 0 0 b => SpawnJob`)}
}

// member is the name of the string in the message.
func (r *readingTest) member() string {
	if r.half == WorkerHalf {
		return "reason"
	}
	return "detail"
}

// message returns the next message in canonical form.
func (r *readingTest) message(text string) string {
	if r.half == WorkerHalf {
		return r.coordinators(wc.CancelJob{JobID: 1, Reason: text})
	}
	return r.workers(wc.StatusSnapshot{JobID: 1, State: wc.StateQueued, Detail: &text})
}

// coordinators returns the next message if a coordinator sends op; workers, if w1 does.
func (r *readingTest) coordinators(op wc.Op) string {
	return string(encode(wc.NewEnvelope(header(r.n+1), op)))
}

func (r *readingTest) workers(op wc.Op) string {
	return string(encode(wc.NewWorkerEnvelope("w1", header(r.n+1), op)))
}

// withPayload returns the next message with a payload of one byte.
func (r *readingTest) withPayload() string {
	if r.half == WorkerHalf {
		return r.coordinators(wc.SpawnJob{JobID: 9, Payload: []byte{1}})
	}
	return r.workers(wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeOk{Payload: []byte{1}}})
}

// add adds a text. A message that is refused uses no number, so that there are no gaps.
func (r *readingTest) add(text, want string) {
	if want == "" {
		r.n++
	}
	if strings.Contains(text, "\n") {
		panic("a message is one line: " + text)
	}
	r.steps = append(r.steps, step{command: "receive", message: []byte(text), want: want})
}

// take says that the message must be taken after an edit; refuse, that it must be refused.
func (r *readingTest) take(old, new string) { r.add(edit(r.message("a/é"), old, new), "") }
func (r *readingTest) refuse(old, new string) {
	r.add(edit(r.message("a/é"), old, new), "refused Malformed")
}

func edit(text, old, new string) string {
	if strings.Count(text, old) != 1 {
		panic(fmt.Sprintf("%s does not occur once in %s", old, text))
	}
	return strings.Replace(text, old, new, 1)
}

// resealed replaces text in the operation, and computes the digest as a careless reader does who takes the new
// text, and as one does who makes read of it.
func (r *readingTest) resealed(old, new string, read ...string) {
	for _, as := range append(read, new) {
		text := r.message("a/é")
		head, op, _ := strings.Cut(text, `,"op":`)
		op = strings.TrimSuffix(op, "}")
		head, _, _ = strings.Cut(head, `,"replay_hash":`)
		var worker *string
		if r.half == CoordinatorHalf {
			w1 := "w1"
			worker = &w1
		}
		digest := textDigest(header(r.n+1), worker, edit(op, old, as))
		r.add(head+`,"replay_hash":`+strconv.FormatUint(digest, 10)+`,"op":`+edit(op, old, new)+`}`, "refused Malformed")
	}
}

// textDigest is the digest of section 4 for any text of the operation.
func textDigest(h wc.Header, worker *string, op string) uint64 {
	d := h.MessageID*0x9E3779B185EBCA87 + bits.RotateLeft64(h.SeqNo, 13)
	d ^= bits.RotateLeft64(h.DecisionSeq, 23) ^ bits.RotateLeft64(h.Seed, 29) ^ bits.RotateLeft64(h.IssuedAtTurn, 47)
	if worker != nil {
		for i := range len(*worker) {
			d = (bits.RotateLeft64(d, 7) ^ uint64((*worker)[i])) * 0x100000001B3
		}
	}
	for i := range len(op) {
		d = (bits.RotateLeft64(d, 5) ^ uint64(op[i])) * 0x100000001B3
	}
	return d
}

// A readingCheck fills the steps of one check.
type readingCheck struct {
	name, about string
	fill        func(*readingTest)
}

func readingChecks(half string) (all []Check) {
	for _, c := range append(takenTexts, refusedTexts...) {
		r := newReading(half)
		c.fill(r)
		r.add(r.message("still here"), "") // whatever came before
		all = append(all, Check{"reading/" + c.name, "3", c.about, r.steps})
	}
	return all
}

const version = `"version":1`

// takenTexts are paraphrases, which must be taken.
var takenTexts = []readingCheck{
	{"white-space", "white space may stand between all tokens, and around", func(r *readingTest) {
		r.add(paraphrase(r.message("a b: c,"), 0, " \t\r "), "")
		r.add(" \r\t"+r.message("x")+"\t \r", "")
	}},
	{"order", "members may have any order, the type may be last", func(r *readingTest) {
		r.add(reverse(r.message("x")), "")
	}},
	{"escapes", "any character may be escaped in any way, in names too", func(r *readingTest) {
		r.add(paraphrase(r.message("a/é\U0001f600\u2028\x7f"), 'x', ""), "")
		r.add(paraphrase(r.message("a/é\U0001f600\u2028\x7f"), 'X', ""), "")
		r.take(`a/é`, `a\/é`)
		r.take(`"version"`, `"\u0076ersion"`)
		r.add(r.message("\"\\\b\f\n\r\t\x00"), "")
	}},
	{"raw", "what need not be escaped may stand for itself", func(r *readingTest) {
		r.add(r.message("\x7f\u0080\u2028\u2029\ufeff\uffff\U0010ffff"), "")
	}},
	{"unknown-members", "unknown members are ignored at every level, whatever they are", func(r *readingTest) {
		for _, v := range []string{`1`, `-0`, `-1.5e-7`, `0.0`, `1E+9`, `null`, `true`, `false`, `""`, `"\ud83d\ude00\/"`, `[]`, `{}`, `[1,[{"a":[]}],"]"]`, `{"type":1,"type":2,"":{}}`} {
			r.take(version, `"unknown":`+v+`,`+version)
			r.take(`"job_id":1`, `"job_id":1,"unknown":`+v)
		}
	}},
	{"unknown-numbers", "an unknown member may be a number beyond every range", func(r *readingTest) {
		r.take(version, `"unknown":1e400,`+version)
		r.take(version, `"unknown":[1e999,-1E400],`+version)
		r.take(`"job_id":1`, `"job_id":1,"unknown":1e-999`)
		r.take(`"job_id":1`, `"job_id":1,"unknown":`+strings.Repeat("9", 5000))
	}},
	{"unknown-names", "names differ by case, and no name is special", func(r *readingTest) {
		for _, name := range []string{"Version", "VERSION", "", "__proto__", "constructor", "toString", "hasOwnProperty", "payload", "status", `versio\u0130n`, "op "} {
			r.take(version, `"`+name+`":"x",`+version)
			r.take(`"job_id":1`, `"`+name+`":{},"job_id":1`)
		}
	}},
	{"unknown-many", "an object may have any number of unknown members", func(r *readingTest) {
		var many strings.Builder
		for i := range 300 {
			fmt.Fprintf(&many, `"unknown %d":[{}],`, i)
		}
		r.take(version, many.String()+version)
		r.take(`"job_id":1`, many.String()+`"job_id":1`)
		r.take(version, `"`+strings.Repeat("name", 1000)+`":1,`+version)
		r.take(`"seed":7`, `"seed":7,"unknown":{`+strings.TrimSuffix(many.String(), ",")+`}`)
	}},
	{"nul", "a NUL ends no string: names and values with one are others", func(r *readingTest) {
		r.take(version, `"version\u0000":2,"\u0000version":2,"\u0000":2,`+version)
		r.take(`"job_id":1`, `"job_id\u0000":2,"type\u0000x":"Diagnostic","job_id":1`)
		r.refuse(version, `"version\u0000":1`)
		r.refuse(`"type":"`, `"type":"\u0000`)
		r.resealed(`","job_id"`, `\u0000","job_id"`, `","job_id"`)
		r.add(r.message("a\x00b\x00"), "")
	}},
	{"longest", "a message of 2 MiB is taken", func(r *readingTest) {
		text := r.message("x")
		r.add(text+strings.Repeat(" ", 2<<20-len(text)), "")
		text = r.message("x")
		r.add(strings.Replace(text, version, `"unknown":"`+strings.Repeat("x", 2<<20-len(text)-len(`"unknown":"",`))+`",`+version, 1), "")
	}},
	{"unknown-twice", "an unknown member may occur twice, one that another operation has too", func(r *readingTest) {
		r.take(version, `"unknown":1,"unknown":2,`+version)
		r.take(version, `"payload":1,"job_id":2,"payload":"3","job_id":4,`+version)
		r.take(`"job_id":1`, `"job_id":1,"payload":1,"version":2,"payload":3,"version":4,"status":5,"status":6`)
		r.take(version, `"type":1,"type":2,`+version)
	}},
	{"optional", "what is optional may be absent or null", func(r *readingTest) {
		if r.half == WorkerHalf {
			r.take(version, version+`,"worker_id":null`)
			return
		}
		r.add(edit(r.workers(wc.StatusSnapshot{JobID: 1, State: wc.StateQueued}), `,"detail":null`, ""), "")
		r.add(edit(r.workers(wc.Diagnostic{Category: "c", Message: "m"}), `,"metadata":null`, ""), "")
	}},
	{"depth", "nesting may be 127 levels deep", func(r *readingTest) {
		r.take(version, `"unknown":`+nested(126)+`,`+version)
		r.take(`"job_id":1`, `"job_id":1,"unknown":`+nested(125))
		r.take(version, `"unknown":`+strings.Repeat(`{"a":`, 126)+"1"+strings.Repeat("}", 126)+`,`+version)
		r.take(version, `"unknown":"`+strings.Repeat(`{[`, 200)+`",`+version)
	}},
}

func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

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
		for _, unit := range utf16Units(s) {
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
