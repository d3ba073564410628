package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// An Object is a JSON object as written: its members in order, duplicates included.
type Object []Member

// A Member of an Object.
type Member struct {
	Name  string
	Value any // Object, []any, string, json.Number, bool or nil
}

// ParseJSON reads any JSON, to what the Value of a Member can be.
func ParseJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return nextValue(d)
}

func nextValue(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		o := Object{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			value, err := nextValue(d)
			if err != nil {
				return nil, err
			}
			o = append(o, Member{name.(string), value})
		}
		_, err = d.Token()
		return o, err
	case json.Delim('['):
		array := []any{}
		for d.More() {
			value, err := nextValue(d)
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

// A Rewriter writes JSON in another form that means the same (section 3, Reading). The numbers say how often, in
// percent, it does each thing.
type Rewriter struct {
	rand                             *rand.Rand
	order, spaces, escapes, optional int
	strangers                        int // unknown members
}

// NewRewriter returns a rewriter that does some of these things; ways is a set of bits.
func NewRewriter(seed uint64, ways, percent int) *Rewriter {
	w := &Rewriter{rand: rand.New(rand.NewPCG(seed, 0))}
	for i, way := range []*int{&w.order, &w.spaces, &w.escapes, &w.optional, &w.strangers} {
		if ways&(1<<i) != 0 {
			*way = percent
		}
	}
	return w
}

func (w *Rewriter) sometimes(percent int) bool { return w.rand.IntN(100) < percent }

// Rewrite returns a text in another form.
func (w *Rewriter) Rewrite(text []byte) []byte {
	value, err := ParseJSON(text)
	if err != nil {
		panic(err)
	}
	return w.Write(value)
}

// Write returns the text of what ParseJSON has returned.
func (w *Rewriter) Write(value any) []byte { return w.space(w.value(w.space(nil), value, 0)) }

func (w *Rewriter) space(b []byte) []byte {
	for w.sometimes(w.spaces) && w.sometimes(60) {
		b = append(b, " \t\r\n"[w.rand.IntN(4)])
	}
	return b
}

func (w *Rewriter) value(b []byte, value any, depth int) []byte {
	switch v := value.(type) {
	case Object:
		b = append(b, '{')
		for i, m := range w.members(v, depth) {
			if i > 0 {
				b = append(b, ',')
			}
			b = w.space(w.text(w.space(b), m.Name))
			b = append(b, ':')
			b = w.space(w.value(w.space(b), m.Value, depth+1))
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
	case Raw:
		return append(b, v...)
	case nil:
		return append(b, "null"...)
	default:
		return fmt.Append(b, v)
	}
}

// Raw is JSON that is written as it is.
type Raw string

// members returns the members of an object in another order, and unknown members among them.
func (w *Rewriter) members(o Object, depth int) Object {
	var members Object
	for _, m := range o {
		if m.Value == nil && w.sometimes(w.optional) {
			continue // absent, where canonical text has a null
		}
		members = append(members, m)
	}
	if depth == 0 && !slices.ContainsFunc(o, func(m Member) bool { return m.Name == "worker_id" }) && w.sometimes(w.optional) {
		members = append(members, Member{"worker_id", nil})
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

func (w *Rewriter) stranger(depth int) Member {
	names := []string{"", "x", "Version", "OP", "Type", "STATUS", "Worker_ID", "job_id ", " payload", "op\x00", "\u2028", "version_"}
	if depth == 0 {
		names = append(names, "type", "job_id", "payload", "detail", "outcome", "status")
	} else {
		names = append(names, "version", "op", "seq_no", "replay_hash")
	}
	values := []Raw{
		`null`, `true`, `false`, `-0`, `1.50`, `-1e+999`, `0E-1`, `18446744073709551616`, `""`, `"\u0000\/\ud83d\ude00"`, `[]`, `{}`, `[ ]`, `{ }`,
		`[[],{},[1, -2.5e3 ,"]"]]`, `{"op":{"type":"None"},"op":1,"version":2}`, `{"a" : { "}" : [ null ]}}`,
		Raw(strings.Repeat("[", 100) + strings.Repeat("]", 100)),
	}
	return Member{names[w.rand.IntN(len(names))], values[w.rand.IntN(len(values))]}
}

func (w *Rewriter) text(b []byte, text string) []byte {
	b = append(b, '"')
	for _, c := range text {
		b = append(b, w.char(c)...)
	}
	return append(b, '"')
}

func (w *Rewriter) char(c rune) string {
	if !w.sometimes(w.escapes) {
		quoted := Text(string(c))
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
