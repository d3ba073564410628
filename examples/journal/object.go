package journal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

var (
	errMissing = errors.New("member is missing")
	errNull    = errors.New("expected a value, got null")
)

// An object is a JSON object whose members are read by name. It keeps the first failure in err; a member that
// cannot be read is the zero value.
type object struct {
	members map[string]json.RawMessage
	err     error
}

// readObject reads an object from anywhere.
func readObject(data []byte) (*object, error) {
	if !utf8.Valid(data) { // encoding/json would let the ill-formed bytes pass
		at := 0
		for r, size := utf8.DecodeRune(data); r != utf8.RuneError || size > 1; r, size = utf8.DecodeRune(data[at:]) {
			at += size
		}
		return nil, fmt.Errorf("at byte %d: not well-formed UTF-8", at)
	}
	var valid json.RawMessage
	if err := json.Unmarshal(data, &valid); err != nil {
		if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
			err = fmt.Errorf("after %d bytes: %w", syntax.Offset, err)
		}
		return nil, err
	}
	var compact bytes.Buffer
	_ = json.Compact(&compact, valid)
	if o := split(compact.Bytes()); o != nil {
		return o, nil
	}
	got, _ := cut(show(valid), "")
	return nil, fmt.Errorf("expected an object, got %s", got)
}

// split finds the members of an object that is on one line, as this package writes it, or that has been made compact. It
// leaves their values to whoever reads them, and returns nil if data is not such an object: a name with an escape and a
// name that occurs twice are not taken.
func split(data []byte) *object {
	o := object{members: make(map[string]json.RawMessage, 8)}
	if string(data) == "{}" {
		return &o
	}
	for at := 0; at+1 < len(data) && data[at+1] == '"'; { // after { or ,
		name := data[at+2:]
		length := bytes.IndexByte(name, '"')
		if length < 0 || len(name) < length+2 || name[length+1] != ':' || bytes.IndexByte(name[:length], '\\') >= 0 {
			return nil
		}
		from := at + length + 4
		if at = valueEnd(data, from); at < 0 {
			return nil
		}
		key := string(name[:length])
		if _, twice := o.members[key]; twice {
			return nil
		}
		o.members[key] = data[from:at:at]
		if data[at] == '}' {
			if at == len(data)-1 && data[0] == '{' {
				return &o
			}
			return nil
		}
	}
	return nil
}

// valueEnd returns where a member's value ends, which is at a comma or brace outside of it; -1 if it does not.
func valueEnd(data []byte, at int) int {
	for depth := 0; at < len(data); at++ {
		switch data[at] {
		case '"':
			for at++; at < len(data) && data[at] != '"'; at++ {
				if data[at] == '\\' {
					at++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return at
			}
			depth--
		case ',':
			if depth == 0 {
				return at
			}
		}
	}
	return -1
}

// fail keeps the first failure.
func (o *object) fail(name string, err error) {
	if o.err == nil {
		o.err = fmt.Errorf("%s: %w", name, err)
	}
}

func (o *object) number(name string) uint64 {
	if data := o.members[name]; len(data) > 0 && (data[0] != '0' || len(data) == 1) {
		if n, err := strconv.ParseUint(string(data), 10, 64); err == nil && data[0] != '+' {
			return n
		}
	}
	return member[uint64](o, name)
}

func (o *object) str(name string) string {
	data := o.members[name]
	if n := len(data) - 1; n > 0 && data[0] == '"' && data[n] == '"' && plainText(data[1:n]) {
		return string(data[1:n])
	}
	return member[string](o, name)
}

// optional returns a string that may be missing.
func (o *object) optional(name string) string {
	if _, ok := o.members[name]; !ok {
		return ""
	}
	return o.str(name)
}

// at returns when the step was made, in microseconds since 1970, if that is known.
func (o *object) at() (at int64, ok bool) {
	if _, ok := o.members["at"]; !ok {
		return 0, false
	}
	return int64(min(o.number("at"), math.MaxInt64)), true
}

// plainText reports whether a JSON string stands for itself.
func plainText(data []byte) bool {
	for _, c := range data {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// bytes returns a payload, which is in base64. If a digest stands in its place, it is that many zeros.
func (o *object) bytes(name string) []byte {
	if data := o.members[name]; len(data) > 0 && data[0] == '{' {
		digest := o.object(name)
		if digest == nil {
			return nil
		}
		size := digest.number("bytes")
		digest.str("sha256")
		o.failFrom(name, digest)
		return make([]byte, min(size, maxDigested))
	}
	payload, err := base64.StdEncoding.DecodeString(o.str(name))
	if err != nil {
		o.fail(name, err)
	}
	return payload
}

// maxDigested is the size of the largest payload of which a digest is believed. Larger ones are refused anyway.
const maxDigested = 16 * wc.MaxPayloadBytes

// result returns a member as a plain value. A refused call has no state and no cancelled, and some messages are about no
// job; if the state has not changed, there is no after.
func (o *object) result(name string) any {
	data, ok := o.members[name]
	if !ok {
		if !slices.Contains([]string{"state", "cancelled", "job_id", "after"}, name) {
			o.fail(name, errMissing)
		}
		return nil
	}
	return plain(data)
}

func member[T any](o *object, name string) (v T) {
	data, ok := o.members[name]
	switch {
	case !ok:
		o.fail(name, errMissing)
	case string(data) == "null":
		o.fail(name, errNull)
	default:
		if err := json.Unmarshal(data, &v); err != nil {
			o.fail(name, err)
		}
	}
	return v
}

// plain returns what v becomes when it is written as JSON and read back: maps, slices, strings, and numbers
// with all their digits.
func plain(v any) (p any) {
	data, err := json.Marshal(v)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		err = d.Decode(&p)
	}
	if err != nil {
		return err.Error()
	}
	return p
}

// show returns a plain value as JSON with all unprintable characters escaped.
func show(v any) string {
	var written strings.Builder
	e := json.NewEncoder(&written)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return safetext.Escape(strings.TrimSpace(written.String()))
}

// cut shortens two strings to the part around their first difference, if one of them is long.
func cut(a, b string) (string, string) {
	if max(len(a), len(b)) <= 1000 {
		return a, b
	}
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	return excerpt(a, same), excerpt(b, same)
}

func excerpt(s string, at int) string {
	from, to := max(0, at-100), min(len(s), at+100)
	return fmt.Sprintf("...%s... (bytes %d to %d of %d)", strings.ToValidUTF8(s[from:to], ""), from, to, len(s))
}

// outcome reads an outcome in the form that it has on the wire.
func (o *object) outcome(name string) wc.Outcome {
	in := o.object(name)
	if in == nil {
		return nil
	}
	defer o.failFrom(name, in)
	switch status := in.str("status"); status {
	case "Ok":
		return wc.OutcomeOk{Payload: in.bytes("payload")}
	case "Err":
		return wc.OutcomeErr{Code: in.str("code"), Message: in.str("message")}
	case "Cancelled":
		return wc.OutcomeCancelled{Reason: in.str("reason")}
	case "Panicked":
		return wc.OutcomePanicked{Message: in.str("message")}
	default:
		in.fail("status", fmt.Errorf("unknown name %s", show(status)))
	}
	return nil
}

// diagnostic reads a diagnostic in the form that it has on the wire, without its type.
func (o *object) diagnostic(name string) (d wc.Diagnostic) {
	in := o.object(name)
	if in == nil {
		return d
	}
	defer o.failFrom(name, in)
	d = wc.Diagnostic{Category: in.str("category"), Message: in.str("message")}
	if level := in.str("level"); d.Level.UnmarshalText([]byte(level)) != nil {
		in.fail("level", fmt.Errorf("unknown name %s", show(level)))
	}
	if metadata, ok := in.members["metadata"]; !ok || string(metadata) != "null" {
		s := in.str("metadata")
		d.Metadata = &s
	}
	return d
}

// object reads a member that is an object; nil after a failure.
func (o *object) object(name string) *object {
	data := member[json.RawMessage](o, name)
	if in := split(data); in != nil || o.err != nil {
		return in
	}
	in, err := readObject(data)
	if err != nil {
		o.fail(name, err)
		return nil
	}
	return in
}

// failFrom keeps the failure of a member that is an object.
func (o *object) failFrom(name string, in *object) {
	if in.err != nil {
		o.fail(name, in.err)
	}
}
