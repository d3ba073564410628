package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A part is one value in the results of a step or in its state after it.
type part struct {
	name    string // without indices, such as "after.jobs[].state"
	reports string // the field of the divergence if the part is altered, which is the result as a whole
	value   any
	replace func(v any)
	remove  func() // nil for an element of an array
}

// partsOf returns the parts of a step, in the order in which they are compared.
func partsOf(step map[string]any) (parts []part) {
	var walk func(p part)
	walk = func(p part) {
		parts = append(parts, p)
		switch v := p.value.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(part{p.name + "." + k, p.reports, v[k], func(n any) { v[k] = n }, func() { delete(v, k) }})
			}
		case []any:
			for i := range v {
				walk(part{p.name + "[]", p.reports, v[i], func(n any) { v[i] = n }, nil})
			}
		}
	}
	for _, field := range []string{"error", "cancelled", "state", "reaped", "op", "job_id", "seq_no", "replay_hash", "after"} {
		if v, ok := step[field]; ok && !(field == "job_id" && step["call"] != "drain_outbox") {
			walk(part{field, field, v, func(n any) { step[field] = n }, func() { delete(step, field) }})
		}
	}
	return parts
}

// alterations returns the changes that make sense for a part, by name.
func alterations(p part) map[string]func() {
	can := map[string]func(){}
	switch v := p.value.(type) {
	case []any:
		if len(v) > 0 {
			can["one element less"] = func() { p.replace(v[:len(v)-1]) }
		}
		can["one element more"] = func() { p.replace(append(slices.Clip(v), map[string]any{"job_id": json.Number("1")})) }
	case map[string]any:
		can["no value"] = func() { p.replace(nil) }
		can["one member more"] = func() { v["more"] = json.Number("1") }
	default:
		can["another value"] = func() { p.replace(altered(v)) }
	}
	if p.remove != nil && strings.Contains(p.name, ".") {
		can["left out"] = p.remove
	}
	return can
}

// altered returns another value, as similar as possible.
func altered(v any) any {
	switch v := v.(type) {
	case bool:
		return !v
	case json.Number:
		digits := []byte(v)
		digits[len(digits)-1] ^= 1 // in the last of 64 bits
		return json.Number(digits)
	case string:
		return v + " "
	}
	return "something"
}

func TestEveryAlteredResultAndStateIsFoundInItsPlace(t *testing.T) {
	most := 3
	switch {
	case *full:
		most = 20
	case testing.Short():
		most = 1
	}
	for kind, file := range map[string]string{"coordinator": sessions, "worker": workerSessions} {
		count := map[[2]string]int{}      // the alterations that there can be, by name and part
		lines := map[[2]string][][]byte{} // the shortest sessions in which there can be that many
		var all [][]byte
		eachLine(t, file, func(t *testing.T, line []byte) { all = append(all, record(t, line)) })
		slices.SortFunc(all, func(a, b []byte) int { return len(a) - len(b) })
		for _, line := range all {
			for key, n := range possible(line) {
				if count[key] < most {
					lines[key] = append(lines[key], line)
				}
				count[key] += n
			}
		}
		require.Greater(t, len(lines), 20)
		for i, key := range slices.SortedFunc(maps.Keys(lines), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
			if testing.Short() && i%3 != 0 {
				continue
			}
			t.Run(kind+"/"+key[0]+"/"+key[1], func(t *testing.T) {
				for _, line := range lines[key] {
					testAlteration(t, line, key[0], key[1])
				}
			})
		}
	}
}

// possible counts the alterations of a session by name and part.
func possible(session []byte) map[[2]string]int {
	count := map[[2]string]int{}
	for _, step := range steps(session) {
		for _, p := range partsOf(step) {
			for name := range alterations(p) {
				count[[2]string{name, p.name}]++
			}
		}
	}
	return count
}

// testAlteration alters all parts of one name in a session.
func testAlteration(t *testing.T, session []byte, alteration, name string) {
	var wanted, found []string
	var altered bytes.Buffer
	for text := range bytes.Lines(session) {
		step := plain(json.RawMessage(text)).(map[string]any)
		changed := false
		for _, p := range partsOf(step) {
			if alter := alterations(p)[alteration]; p.name == name && alter != nil {
				alter()
				changed = true
				wanted = append(wanted, fmt.Sprintf("step %s: %s: %s", step["step"], step["call"], p.reports))
			}
		}
		if changed {
			delete(step, "crc")
			data, err := json.Marshal(step)
			require.NoError(t, err)
			text = (&line{data[:len(data)-1]}).seal()
		}
		altered.Write(text)
	}
	wanted = slices.Compact(wanted)
	w := NewWalker(func(e *Event) error {
		for _, d := range e.Divergences {
			found = append(found, fmt.Sprintf("step %d: %s: %s", d.Step, d.Call, d.Field))
			assert.NotEqual(t, d.Wanted, d.Got)
		}
		return nil
	})
	require.NoError(t, w.Read("", &altered))
	require.Equal(t, wanted, found)
}

func steps(session []byte) (steps []map[string]any) {
	for line := range bytes.Lines(session) {
		steps = append(steps, plain(json.RawMessage(line)).(map[string]any))
	}
	return steps
}

func TestMalformedLineIsRefusedWithItsPlace(t *testing.T) {
	head := func(s string) string { return `{"journal":1,"session":1,"step":0,` + s + `}` }
	step := func(s string) string {
		return head(`"seed":1,"first_decision_seq":1`) + "\n" + `{"session":1,"step":0,` + s + `}`
	}
	worker := func(s string) string {
		return head(`"seed":1,"worker_id":"w"`) + "\n" + `{"session":1,"step":0,` + s + `}`
	}
	for data, want := range map[string]string{
		`{"seed":1`:                            "1: after 9 bytes: ",
		`7`:                                    "1: expected an object, got 7",
		`null`:                                 "1: expected an object, got null",
		`[{}]`:                                 "1: expected an object, got [{}]",
		`{"a":1,"a":1}`:                        `1: expected an object, got {"a":1,"a":1}`,
		"{\"\xff":                              "1: at byte 2: not well-formed UTF-8",
		"{\"\ufffd\":1,\"\xed\xa0\x80":         "1: at byte 10: not well-formed UTF-8",
		`{}`:                                   "1: session: member is missing",
		`{"session":-1}`:                       "1: session: ",
		`{"journal":2,"session":1}`:            "1: journal: expected version 1, got 2",
		head(`"seed":null`):                    "1: seed: expected a value, got null",
		head(`"seed":-1`):                      "1: seed: ",
		head(`"seed":1.0`):                     "1: seed: ",
		head(`"seed":18446744073709551616`):    "1: seed: ",
		head(`"seed":"1"`):                     "1: seed: ",
		head(`"Seed":1`):                       "1: seed: member is missing",
		head(`"seed":1`):                       "1: first_decision_seq: member is missing",
		head(`"worker_id":"w"`):                "1: seed: member is missing",
		head(`"seed":1,"worker_id":null`):      "1: worker_id: expected a value, got null",
		head(`"seed":1,"worker_id":7`):         "1: worker_id: ",
		step(`"call":7`):                       "2: step 0: call: ",
		step(`"call":"Reap"`):                  `2: step 0: call: unknown name "Reap"`,
		step(`"call":"announce"`):              `2: step 0: call: unknown name "announce"`,
		worker(`"call":"reap"`):                `2: step 0: call: unknown name "reap"`,
		step(spawn(`"aGk"`)):                   "2: step 0: payload: ",
		step(spawn(`[1]`)):                     "2: step 0: payload: ",
		step(spawn(`null`)):                    "2: step 0: payload: expected a value, got null",
		step(spawn(`{"bytes":1}`)):             "2: step 0: payload: sha256: member is missing",
		step(`"call":"poll_status"`):           "2: step 0: job_id: member is missing",
		step(`"call":"drain_outbox"`):          "2: step 0: op: member is missing",
		step(`"call":"reap"`):                  "2: step 0: reaped: member is missing",
		step(`"call":"retire_worker"`):         "2: step 0: worker_id: member is missing",
		worker(`"call":"announce"`):            "2: step 0: error: member is missing",
		worker(`"call":"complete","job_id":1`): "2: step 0: outcome: member is missing",

		head(`"seed":1,"first_decision_seq":1,"limits":null`):            "1: limits: expected a value, got null",
		head(`"seed":1,"first_decision_seq":1,"limits":{"boot":-1}`):     "1: limits: ",
		step(`"call":"cancel_job","job_id":1,"error":null`):              "2: step 0: reason: member is missing",
		step(`"call":"cancel_job","job_id":"1","reason":""`):             "2: step 0: job_id: ",
		step(`"call":"cancel_job","job_id":1,"reason":7`):                "2: step 0: reason: ",
		step(`"call":"handle_inbound","error":null`):                     "2: step 0: wire: member is missing",
		step(`"call":"handle_inbound","wire":null`):                      "2: step 0: wire: expected a value, got null",
		step(`"call":"handle_inbound","wire":"{}"`):                      "2: step 0: wire: workerchannel: ",
		step(`"call":"handle_inbound","wire":{}`):                        "2: step 0: wire: workerchannel: ",
		worker(`"call":"handle_inbound","wire":"{}"`):                    "2: step 0: wire: workerchannel: ",
		step(`"call":"poll_status","job_id":1`):                          "2: step 0: error: member is missing",
		worker(`"call":"complete","job_id":1,"outcome":null`):            "2: step 0: outcome: expected a value, got null",
		worker(`"call":"complete","job_id":1,"outcome":{}`):              "2: step 0: outcome: status: member is missing",
		worker(`"call":"complete","job_id":1,"outcome":{"status":"ok"}`): `2: step 0: outcome: status: unknown name "ok"`,
		worker(`"call":"complete","job_id":1,"outcome":{"status":"Ok"}`): "2: step 0: outcome: payload: member is missing",
		worker(`"call":"diagnose","diagnostic":[]`):                      "2: step 0: diagnostic: expected an object, got []",
		worker(`"call":"diagnose","diagnostic":` + diagnostic("info")):   `2: step 0: diagnostic: level: unknown name "info"`,
		worker(`"call":"diagnose","diagnostic":{"level":"Info"}`):        "2: step 0: diagnostic: category: member is missing",
		worker(`"call":"diagnose","diagnostic":` + noMetadata):           "2: step 0: diagnostic: metadata: member is missing",
	} {
		t.Run(data, func(t *testing.T) {
			err := NewWalker(nil).Read("j", strings.NewReader(data+"\n"))
			require.Error(t, err)
			assert.True(t, strings.HasPrefix(err.Error(), "j:"+want), err.Error())
		})
	}
}

func spawn(payload string) string {
	return `"call":"spawn_job","job_id":1,"region_id":1,"task_id":1,"obligation_id":1,"payload":` + payload
}

const noMetadata = `{"level":"Info","category":"","message":""}`

func diagnostic(level string) string {
	return `{"level":"` + level + `","category":"","message":"","metadata":null}`
}

func TestSessionWithoutLimitsHasNone(t *testing.T) {
	for limits, due := range map[string]string{``: "", `,"limits":{}`: "", `,"limits":{"boot":7}`: `,"due":7`} {
		head := `{"journal":1,"session":1,"step":0,"seed":1,"first_decision_seq":1` + limits
		step := `{"session":1,"step":0,"call":"expect_worker","after":{"state":"waiting"` + due + `}`
		requireReplays(t, slices.Concat((&line{[]byte(head)}).seal(), (&line{[]byte(step)}).seal()), nil)
	}
}

func TestLongDivergenceIsCutToItsPlace(t *testing.T) {
	long := strings.Repeat("é", 1000)
	wanted, got := cut(long+"<here>"+long, long+"<there>"+long)
	assert.Less(t, len(wanted), 300)
	assert.Contains(t, wanted, "éé<here>éé")
	assert.Contains(t, wanted, "(bytes 1901 to 2101 of 4006)")
	assert.Contains(t, got, "éé<there>éé")
	wanted, got = cut("null", long)
	assert.Contains(t, wanted, "null")
	assert.Less(t, len(got), 300)
	wanted, got = cut("a", "b")
	assert.Equal(t, "a b", wanted+" "+got, "short strings are not cut")
}

func TestShownValuesAreSafeToPrint(t *testing.T) {
	assert.Equal(t, `"<é>\u001b\u009b\u007f\u202e\udb40\udc01"`, show("<é>\x1b\u009b\x7f\u202e\U000e0001"))
}
