package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

var (
	errMissing = errors.New("the member is missing")
	errNull    = errors.New("null where a value is needed")
)

// An object is a JSON object whose members are asked for by name. After the first failure it returns
// zero values.
type object struct {
	members map[string]json.RawMessage
	err     error
}

func readObject(text []byte) (*object, error) {
	if !utf8.Valid(text) { // encoding/json would replace what is ill-formed
		at := 0
		for r, size := utf8.DecodeRune(text); r != utf8.RuneError || size > 1; r, size = utf8.DecodeRune(text[at:]) {
			at += size
		}
		return nil, fmt.Errorf("at byte %d: not well-formed UTF-8", at)
	}
	var o object
	err := json.Unmarshal(text, &o.members)
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
		return nil, fmt.Errorf("after %d bytes: %w", syntax.Offset, err)
	}
	if err == nil && o.members == nil {
		err = errNull
	}
	return &o, err
}

// fail keeps the first failure.
func (o *object) fail(name string, err error) {
	if o.err == nil {
		o.err = fmt.Errorf("%s: %w", name, err)
	}
}

func (o *object) number(name string) uint64 { return member[uint64](o, name) }

func (o *object) text(name string) string { return member[string](o, name) }

func (o *object) bytes(name string) []byte {
	numbers := member[[]uint16](o, name) // a []byte would take base64, too
	payload := make([]byte, len(numbers))
	for i, n := range numbers {
		if payload[i] = byte(n); n > 255 {
			o.fail(name, fmt.Errorf("%d is not a byte", n))
		}
	}
	return payload
}

// result returns a member as a plain value. A refused call has no state and no cancelled.
func (o *object) result(name string) any {
	text, ok := o.members[name]
	if !ok {
		if name != "state" && name != "cancelled" {
			o.fail(name, errMissing)
		}
		return nil
	}
	return plain(text)
}

func member[T any](o *object, name string) (v T) {
	text, ok := o.members[name]
	switch {
	case !ok:
		o.fail(name, errMissing)
	case string(text) == "null":
		o.fail(name, errNull)
	default:
		if err := json.Unmarshal(text, &v); err != nil {
			o.fail(name, err)
		}
	}
	return v
}

// plain gives a value the form that its JSON text has when read back: maps, slices, and numbers with
// all their digits.
func plain(v any) (p any) {
	text, err := json.Marshal(v)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		err = d.Decode(&p)
	}
	if err != nil {
		return err.Error()
	}
	return p
}

// show writes a plain value as JSON that is safe to print.
func show(v any) string {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	var safe strings.Builder
	for _, r := range strings.TrimSpace(text.String()) {
		if strconv.IsPrint(r) {
			safe.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&safe, `\u%04x`, unit)
		}
	}
	return safe.String()
}

// cut reduces two long texts to what is around their first difference.
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
