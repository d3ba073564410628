package workerchannel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Properties of the wire: whatever the envelope is and however its JSON is written, it reads as the same.

func TestEnvelopeRoundTripsThroughCanonicalJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { requireRoundTrip(t, drawEnvelope(t, anyPayload)) })
}

func TestPayloadsOfAllSizesRoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, 2, 3, 63, 64, 65, 255, 256, 4095, 4096, 65536, MaxPayloadBytes - 1, MaxPayloadBytes} {
		p := randomPayload(size)
		requireRoundTrip(t, plainSeal(Envelope{Version: 1, Op: SpawnJob{1, 2, 3, 4, p}}))
		requireRoundTrip(t, plainSeal(Envelope{Version: 1, WorkerID: ptr("w"), Op: JobCompleted{1, OutcomeOk{p}}}))
	}
}

// requireRoundTrip checks that a valid envelope has canonical text, and is read back from it.
func requireRoundTrip(t require.TestingT, env Envelope) {
	text, err := env.AppendJSON([]byte("before"))
	require.NoError(t, err)
	require.Equal(t, "before"+plainWire(env), string(text), "the text is canonical and is appended")
	text = text[len("before"):]

	read, err := ParseEnvelope(text)
	require.NoError(t, err)
	require.Equal(t, env, read)
	again, err := read.AppendJSON(nil)
	require.NoError(t, err)
	require.Equal(t, string(text), string(again), "canonical text is a fixed point")

	v, err := Verify(text)
	require.NoError(t, err)
	clear(text)
	require.Equal(t, env, v.Envelope(), "the envelope shares no memory with the buffer")
	require.Equal(t, env, read, "the envelope shares no memory with the buffer")
}

func TestEnvelopeRoundTripsThroughEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := map[string]Envelope{"valid": drawEnvelope(t, smallPayload)}
		sent["damaged"] = drawDamage(t, sent["valid"])
		text, err := json.Marshal(sent)
		require.NoError(t, err)
		received := map[string]Envelope{}
		require.NoError(t, json.Unmarshal(text, &received))
		require.Equal(t, sent, received)
		indented, err := json.MarshalIndent(sent, "", "\t")
		require.NoError(t, err)
		received = map[string]Envelope{}
		require.NoError(t, json.Unmarshal(indented, &received))
		require.Equal(t, sent, received)
	})
}

func TestReplayHashMatchesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		env := drawEnvelope(t, anyPayload)
		require.Equal(t, plainDigest(env), ReplayHash(env.Header, env.WorkerID, env.Op))
		sealed := NewEnvelope(env.Header, env.Op)
		if env.WorkerID != nil {
			sealed = NewWorkerEnvelope(*env.WorkerID, env.Header, env.Op)
		}
		require.Equal(t, env, sealed)
		require.NoError(t, env.Validate())
	})
}

// TestDecodeMatchesModelOnRewrittenJSON writes an envelope in many forms that mean the same. For canonical JSON the
// digest is computed during the scan, for any other form afterwards: the result must not differ.
func TestDecodeMatchesModelOnRewrittenJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		env := drawEnvelope(t, smallPayload)
		if rapid.Bool().Draw(t, "damaged") {
			env = drawDamage(t, env)
		}
		requireReadsAs(t, env, []byte(plainWire(env)))
		seed := rapid.Uint64().Draw(t, "seed of the rewriter")
		for ways := range 1 << 5 {
			w := newRewriter(seed, ways, rapid.SampledFrom([]int{3, 50, 100}).Draw(t, "percent"))
			requireReadsAs(t, env, w.rewrite([]byte(plainWire(env))))
		}
	})
}

// requireReadsAs checks that JSON decodes to the envelope and validates as the envelope does.
func requireReadsAs(t *rapid.T, env Envelope, text []byte) {
	verdict := plainVerdict(env)
	var read Envelope
	require.NoError(t, read.UnmarshalJSON(text), "%s", text)
	require.Equal(t, env, read, "%s", text)
	requireError(t, verdict, read.Validate(), "%s", text)
	parsed, err := ParseEnvelope(text)
	requireError(t, verdict, err, "%s", text)
	if err == nil {
		require.Equal(t, env, parsed, "%s", text)
	} else {
		require.Zero(t, parsed)
	}
}

// A rewriter writes JSON in another form that means the same (section 3, Reading). The numbers say how often, in
// percent, it does each thing.
type rewriter struct {
	rand                             *rand.Rand
	order, spaces, escapes, optional int
	strangers                        int // unknown members
}

// newRewriter returns a rewriter that does some of these things; ways is a set of bits.
func newRewriter(seed uint64, ways, percent int) *rewriter {
	w := &rewriter{rand: rand.New(rand.NewPCG(seed, 0))}
	for i, way := range []*int{&w.order, &w.spaces, &w.escapes, &w.optional, &w.strangers} {
		if ways&(1<<i) != 0 {
			*way = percent
		}
	}
	return w
}

func (w *rewriter) sometimes(percent int) bool { return w.rand.IntN(100) < percent }

func (w *rewriter) rewrite(text []byte) []byte {
	tree, err := parseTree(text)
	if err != nil {
		panic(err)
	}
	return w.space(w.value(w.space(nil), tree, 0))
}

func (w *rewriter) space(b []byte) []byte {
	for w.sometimes(w.spaces) && w.sometimes(60) {
		b = append(b, " \t\r\n"[w.rand.IntN(4)])
	}
	return b
}

func (w *rewriter) value(b []byte, value any, depth int) []byte {
	switch v := value.(type) {
	case treeObject:
		b = append(b, '{')
		for i, m := range w.members(v, depth) {
			if i > 0 {
				b = append(b, ',')
			}
			b = w.space(w.text(w.space(b), m.name))
			b = append(b, ':')
			b = w.space(w.value(w.space(b), m.value, depth+1))
		}
		return append(b, '}')
	case []any:
		b = w.space(append(b, '['))
		for i, element := range v {
			if i > 0 {
				b = w.space(append(b, ','))
			}
			b = w.space(w.value(b, element, depth+1))
		}
		return append(b, ']')
	case string:
		return w.text(b, v)
	case rawText:
		return append(b, v...)
	case nil:
		return append(b, "null"...)
	default:
		return fmt.Append(b, v)
	}
}

// rawText is JSON that is written as it is.
type rawText string

// members returns the members of an object in another order, and unknown members among them.
func (w *rewriter) members(o treeObject, depth int) treeObject {
	var members treeObject
	for _, m := range o {
		if m.value == nil && w.sometimes(w.optional) {
			continue // absent, where canonical text has a null
		}
		members = append(members, m)
	}
	if depth == 0 && !slices.ContainsFunc(o, func(m treeMember) bool { return m.name == "worker_id" }) && w.sometimes(w.optional) {
		members = append(members, treeMember{"worker_id", nil})
	}
	for w.sometimes(w.strangers) && w.sometimes(70) {
		at := w.rand.IntN(len(members) + 1)
		members = slices.Insert(members, at, w.stranger(depth))
	}
	if n := len(members); n > 1 && w.sometimes(w.order) {
		if w.sometimes(50) { // one that is late is easily overlooked
			late := w.rand.IntN(n)
			members = append(slices.Delete(slices.Clone(members), late, late+1), members[late])
		} else {
			w.rand.Shuffle(n, func(i, j int) { members[i], members[j] = members[j], members[i] })
		}
	}
	return members
}

func (w *rewriter) stranger(depth int) treeMember {
	names := []string{"", "x", "Version", "OP", "Type", "STATUS", "Worker_ID", "job_id ", " payload", "op\x00", "\u2028", "version_"}
	if depth == 0 {
		names = append(names, "type", "job_id", "payload", "detail", "outcome", "status")
	} else {
		names = append(names, "version", "op", "seq_no", "replay_hash")
	}
	values := []rawText{
		`null`, `true`, `false`, `-0`, `1.50`, `-1e+999`, `0E-1`, `18446744073709551616`, `""`, `"\u0000\/\ud83d\ude00"`, `[]`, `{}`, `[ ]`, `{ }`,
		`[[],{},[1, -2.5e3 ,"]"]]`, `{"op":{"type":"None"},"op":1,"version":2}`, `{"a" : { "}" : [ null ]}}`,
		rawText(strings.Repeat("[", 100) + strings.Repeat("]", 100)),
	}
	return treeMember{names[w.rand.IntN(len(names))], values[w.rand.IntN(len(values))]}
}

func (w *rewriter) text(b []byte, text string) []byte {
	b = append(b, '"')
	for _, c := range text {
		b = append(b, w.char(c)...)
	}
	return append(b, '"')
}

func (w *rewriter) char(c rune) string {
	if !w.sometimes(w.escapes) {
		quoted := plainText(string(c))
		return quoted[1 : len(quoted)-1]
	}
	if short := strings.IndexRune("\"\\/\b\f\n\r\t", c); short >= 0 && w.sometimes(50) {
		return `\` + `"\/bfnrt`[short:short+1]
	}
	form := []string{`\u%04x`, `\u%04X`}[w.rand.IntN(2)]
	if c < 0x10000 {
		return fmt.Sprintf(form, c)
	}
	c -= 0x10000
	return fmt.Sprintf(form+form, 0xd800+c>>10, 0xdc00+c&0x3ff)
}

func TestChangedByteIsRefusedOrMeansTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		env := drawEnvelope(t, smallPayload)
		text := []byte(plainWire(env))
		changed := slices.Clone(text)
		flips := rapid.SliceOfN(rapid.ByteMin(1), 1, 8).Draw(t, "flips")
		for i := range text {
			for _, flip := range append(flips, 1, 0x20) {
				changed[i] = text[i] ^ flip
				if read, err := ParseEnvelope(changed); err == nil {
					require.Equal(t, env, read, "byte %d, flipped by %d", i, flip)
				}
			}
			changed[i] = text[i]
		}
	})
}

// A treeObject is a JSON object as written: its members in order, duplicates included.
type treeObject []treeMember

type treeMember struct {
	name  string
	value any // treeObject, []any, string, json.Number, bool or nil
}

// parseTree reads any JSON.
func parseTree(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return nextTree(d)
}

func nextTree(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		o := treeObject{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			value, err := nextTree(d)
			if err != nil {
				return nil, err
			}
			o = append(o, treeMember{name.(string), value})
		}
		_, err = d.Token()
		return o, err
	case json.Delim('['):
		array := []any{}
		for d.More() {
			value, err := nextTree(d)
			if err != nil {
				return nil, err
			}
			array = append(array, value)
		}
		_, err = d.Token()
		return array, err
	}
	return token, nil
}
