package conform

import (
	"bytes"
	"fmt"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// differences between what was wanted and what a program did, in the words of a report.
type difference struct{ wanted, got, why string }

// compare compares a reply with the one wanted; nil if they are equal.
func compare(want, got *Reply) *difference {
	if got.Verdict != want.Verdict {
		return &difference{want.head(), got.head(), ""}
	}
	for i, w := range want.Messages {
		if i == len(got.Messages) {
			return &difference{describe(want), describe(got), fmt.Sprintf("message %d is missing", i+1)}
		}
		if g := got.Messages[i]; !bytes.Equal(w, g) {
			a, b := cut(w, g)
			return &difference{a, b, explainMessage(w, g)}
		}
	}
	if len(got.Messages) > len(want.Messages) {
		return &difference{describe(want), describe(got), "it sent more"}
	}
	if got.Text != want.Text {
		a, b := cut([]byte(want.Text), []byte(got.Text))
		return &difference{a, b, "the text of the reply"}
	}
	return nil
}

// describe lists the messages of a reply.
func describe(r *Reply) string {
	if len(r.Messages) == 0 {
		return r.Verdict + ", and no message"
	}
	s := r.Verdict + ", and "
	for i, m := range r.Messages {
		if i == 3 {
			return s + fmt.Sprintf(" and %d more", len(r.Messages)-i)
		}
		if i > 0 {
			s += ", "
		}
		s += excerpt(m)
	}
	return s
}

// explainMessage says in what a message differs from the one wanted.
func explainMessage(want, got []byte) string {
	w, err := wc.Verify(want)
	if err != nil { // the reference sends no such thing
		return err.Error()
	}
	g, err := wc.Verify(got)
	if err != nil {
		return safetext.Unreadable(got, err)
	}
	we, ge := w.Envelope(), g.Envelope()
	if we.Header != ge.Header {
		return fmt.Sprintf("the numbers differ: wanted %+v, got %+v", we.Header, ge.Header)
	}
	if canonical, err := ge.AppendJSON(nil); err != nil || !bytes.Equal(canonical, got) {
		return "the text is not the canonical one"
	}
	return fmt.Sprintf("wanted %v, got %v", we, ge)
}

// cut shortens two texts to the part around their first difference, if one of them is long.
func cut(a, b []byte) (string, string) {
	const most = 400
	if max(len(a), len(b)) <= most {
		return printable(a), printable(b)
	}
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	around := func(s []byte) string {
		from, to := max(0, same-80), min(len(s), same+120)
		return fmt.Sprintf("...%s... (bytes %d to %d of %d)", printable(s[from:to]), from, to, len(s))
	}
	return around(a), around(b)
}

// excerpt returns the beginning of a text, printable.
func excerpt(b []byte) string {
	const most = 200
	if len(b) > most {
		return printable(b[:most]) + fmt.Sprintf("... (%d bytes)", len(b))
	}
	return printable(b)
}

// printable returns text on one line: see safetext.Printable.
func printable(b []byte) string { return safetext.Printable(string(b), len(b)) }
