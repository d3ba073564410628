package journal

import (
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
	reports string // the field of the divergence if the part is altered
	value   any
	replace func(v any)
	remove  func() // nil for an element of an array
}

// partsOf returns the parts of a step, in the order in which Replay compares them.
func partsOf(step map[string]any) (parts []part) {
	var walk func(p part, whole bool)
	walk = func(p part, whole bool) {
		parts = append(parts, p)
		inner := func(name, index string, value any, replace func(any), remove func()) {
			reports := p.reports
			if !whole {
				reports += index
			}
			walk(part{p.name + name, reports, value, replace, remove}, whole)
		}
		switch v := p.value.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				inner("."+k, "."+k, v[k], func(n any) { v[k] = n }, func() { delete(v, k) })
			}
		case []any:
			for i := range v {
				inner("[]", fmt.Sprintf("[%d]", i), v[i], func(n any) { v[i] = n }, nil)
			}
		}
	}
	for _, field := range []string{"error", "cancelled", "state", "reaped", "wire"} {
		if v, ok := step[field]; ok && !(field == "wire" && step["call"] == "handle_inbound") {
			walk(part{field, field, v, func(n any) { step[field] = n }, func() { delete(step, field) }}, true)
		}
	}
	walk(part{"after", "after", step["after"], nil, nil}, false)
	return parts
}

// alterations returns the changes that make sense for a part, by name.
func alterations(p part) map[string]func() {
	can := map[string]func(){}
	inAfter := strings.HasPrefix(p.name, "after") // where an unknown member is ignored and a missing one is an error
	switch v := p.value.(type) {
	case []any:
		if len(v) > 0 {
			can["one element less"] = func() { p.replace(v[:len(v)-1]) }
		}
		can["one element more"] = func() { p.replace(append(slices.Clip(v), map[string]any{"job_id": json.Number("1")})) }
	case map[string]any:
		if p.replace != nil {
			can["no value"] = func() { p.replace(nil) }
		}
		if !inAfter {
			can["one member more"] = func() { v["more"] = json.Number("1") }
		}
	default:
		can["another value"] = func() { p.replace(altered(v)) }
	}
	if !inAfter && p.remove != nil && strings.Contains(p.name, ".") {
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
		eachLine(t, file, func(t *testing.T, line []byte) { all = append(all, line) })
		slices.SortFunc(all, func(a, b []byte) int { return len(a) - len(b) })
		for _, line := range all {
			for key, n := range possible(plain(json.RawMessage(line))) {
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
func possible(session any) map[[2]string]int {
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
func testAlteration(t *testing.T, line []byte, alteration, name string) {
	session := plain(json.RawMessage(line))
	var wanted, found []string
	for i, step := range steps(session) {
		for _, p := range partsOf(step) {
			if alter := alterations(p)[alteration]; p.name == name && alter != nil {
				alter()
				wanted = append(wanted, fmt.Sprintf("step %d: %s: %s", i, step["call"], p.reports))
			}
		}
	}
	wanted = slices.Compact(wanted) // a result is reported as a whole
	data, err := json.Marshal(session)
	require.NoError(t, err)
	_, err = Replay(data, func(d Divergence) {
		found = append(found, fmt.Sprintf("step %d: %s: %s", d.Step, d.Call, d.Field))
		assert.NotEqual(t, d.Wanted, d.Got)
	})
	require.NoError(t, err)
	require.Equal(t, wanted, found)
}

func steps(session any) (steps []map[string]any) {
	for _, s := range session.(map[string]any)["steps"].([]any) {
		steps = append(steps, s.(map[string]any))
	}
	return steps
}

func TestMalformedJournalIsRefusedWithItsPlace(t *testing.T) {
	const after = `"after":{"worker_ready":false,"shutdown_requested":false,"closing":false,"active_worker":null,"inflight":0,"outbox":0,"next_deadline":null,"overdue":null,"regions":[],"jobs":[]}`
	step := func(s string) string { return `{"seed":1,"first_decision_seq":1,"steps":[` + s + `]}` }
	worker := func(s string) string { return `{"seed":1,"worker_id":"w","steps":[` + s + `]}` }
	for data, want := range map[string]string{
		``:                                  "after 0 bytes: ",
		`{"seed":1`:                         "after 9 bytes: ",
		`7`:                                 "json: ",
		`null`:                              "expected a value, got null",
		"{\"\xff":                           "at byte 2: not well-formed UTF-8",
		"{\"\ufffd\":1,\"\xed\xa0\x80":      "at byte 10: not well-formed UTF-8",
		`{}`:                                "seed: member is missing",
		`{"seed":null}`:                     "seed: expected a value, got null",
		`{"seed":-1}`:                       "seed: ",
		`{"seed":1.0}`:                      "seed: ",
		`{"seed":18446744073709551616}`:     "seed: ",
		`{"seed":"1"}`:                      "seed: ",
		`{"Seed":1}`:                        "seed: member is missing",
		`{"seed":1,"steps":[]}`:             "first_decision_seq: member is missing",
		`{"seed":1,"first_decision_seq":1}`: "steps: member is missing",
		`{"seed":1,"first_decision_seq":1,"steps":{}}`:                        "steps: ",
		`{"seed":1,"first_decision_seq":1,"limits":null,"steps":[]}`:          "limits: expected a value, got null",
		`{"seed":1,"first_decision_seq":1,"limits":{"boot":-1},"steps":[]}`:   "limits: ",
		`{"seed":1,"worker_id":null,"steps":[]}`:                              "worker_id: expected a value, got null",
		`{"seed":1,"worker_id":7,"steps":[]}`:                                 "worker_id: ",
		`{"worker_id":"w","steps":[]}`:                                        "seed: member is missing",
		step(`7`):                                                             "step 0: ",
		step(`null`):                                                          "step 0: expected a value, got null",
		step(`{"call":"reap","reaped":[],` + after + `},{}`):                  "step 1: call: member is missing",
		step(`{"call":"Reap"}`):                                               `step 0: call: unknown name "Reap"`,
		step(`{"call":"announce"}`):                                           `step 0: call: unknown name "announce"`,
		worker(`{"call":"reap"}`):                                             `step 0: call: unknown name "reap"`,
		step(`{"call":"cancel_job","job_id":1,"error":null,` + after + `}`):   "step 0: reason: member is missing",
		step(`{"call":"cancel_job","job_id":"1","reason":"",` + after + `}`):  "step 0: job_id: ",
		step(`{"call":"cancel_job","job_id":1,"reason":7,` + after + `}`):     "step 0: reason: ",
		step(spawn(`"aGk"`)):                                                  "step 0: payload: ",
		step(spawn(`[256]`)):                                                  "step 0: payload: expected a byte, got 256",
		step(spawn(`null`)):                                                   "step 0: payload: expected a value, got null",
		step(`{"call":"handle_inbound","error":null,` + after + `}`):          "step 0: wire: member is missing",
		step(`{"call":"handle_inbound","wire":null,` + after + `}`):           "step 0: wire: expected a value, got null",
		step(`{"call":"handle_inbound","wire":"{}",` + after + `}`):           "step 0: wire: workerchannel: ",
		worker(`{"call":"handle_inbound","wire":"{}"}`):                       "step 0: wire: workerchannel: ",
		step(`{"call":"poll_status","job_id":1,` + after + `}`):               "step 0: error: member is missing",
		step(`{"call":"drain_outbox",` + after + `}`):                         "step 0: wire: member is missing",
		step(`{"call":"reap",` + after + `}`):                                 "step 0: reaped: member is missing",
		step(`{"call":"worker_lost"}`):                                        "step 0: after: member is missing",
		step(`{"call":"worker_lost","after":{}}`):                             "step 0: after.active_worker: member is missing",
		worker(`{"call":"complete","job_id":1}`):                              "step 0: outcome: member is missing",
		worker(`{"call":"complete","job_id":1,"outcome":null}`):               "step 0: outcome: expected a value, got null",
		worker(`{"call":"complete","job_id":1,"outcome":{}}`):                 "step 0: outcome: status: member is missing",
		worker(`{"call":"complete","job_id":1,"outcome":{"status":"ok"}}`):    `step 0: outcome: status: unknown name "ok"`,
		worker(`{"call":"complete","job_id":1,"outcome":{"status":"Ok"}}`):    "step 0: outcome: payload: member is missing",
		worker(`{"call":"diagnose","diagnostic":[]}`):                         "step 0: diagnostic: json: ",
		worker(`{"call":"diagnose","diagnostic":` + diagnostic("info") + `}`): `step 0: diagnostic: level: unknown name "info"`,
		worker(`{"call":"diagnose","diagnostic":{"level":"Info"}}`):           "step 0: diagnostic: category: member is missing",
		worker(`{"call":"diagnose","diagnostic":` + noMetadata + `}`):         "step 0: diagnostic: metadata: member is missing",
		worker(`{"call":"announce","after":{}}`):                              "step 0: error: member is missing",
		worker(`{"call":"announce","error":null,"after":{"closed":false}}`):   "step 0: after.inflight: member is missing",
	} {
		t.Run(data, func(t *testing.T) {
			_, err := Replay([]byte(data), func(d Divergence) { t.Errorf("%+v", d) })
			require.Error(t, err)
			assert.True(t, strings.HasPrefix(err.Error(), want), err.Error())
		})
	}
}

func spawn(payload string) string {
	return `{"call":"spawn_job","job_id":1,"region_id":1,"task_id":1,"obligation_id":1,"payload":` + payload + `}`
}

const noMetadata = `{"level":"Info","category":"","message":""}`

func diagnostic(level string) string {
	return `{"level":"` + level + `","category":"","message":"","metadata":null}`
}

func TestSessionWithoutLimitsHasNone(t *testing.T) {
	const deadline = `"worker_ready":false,"shutdown_requested":false,"closing":false,"active_worker":null,"inflight":0,"outbox":0,"overdue":null,"regions":[],"jobs":[]`
	for limits, next := range map[string]string{``: "null", `"limits":{},`: "null", `"limits":{"boot":7},`: "7"} {
		line := `{"seed":1,"first_decision_seq":1,` + limits + `"steps":[{"call":"expect_worker","after":{"next_deadline":` + next + `,` + deadline + `}}]}`
		_, err := Replay([]byte(line), func(d Divergence) { t.Errorf("%s: %+v", limits, d) })
		assert.NoError(t, err)
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
