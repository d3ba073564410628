// Package optext reads operations as people write them: in the scenes of testdata and in the checks of
// examples/internal/conform.
//
//	CancelJob 1 "reason"
//	JobCompleted 1 Err "code" "message"
//	StatusSnapshot 1 Running -
//
// The members of an operation follow its name. Those that are left out at the end have values of their own. A string is
// quoted as in Go; s*N is one of N bytes, s*every one with every character that is escaped, and others that are not, and
// s*forms one with characters that look alike in normal forms C and D. A payload is b and hex, b*N for N bytes, or a
// string; - is an absent string. The functions panic at what they cannot read, as the text belongs to a test.
package optext

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// The members of operations and of outcomes, in the order in which they are written.
var operations = map[string]string{
	"BootstrapReady": "worker_id", "BootstrapFailed": "reason worker_id",
	"SpawnJob": "job_id payload region_id task_id obligation_id", "PollStatus": "job_id",
	"StatusSnapshot": "job_id state detail", "JobCompleted": "job_id outcome",
	"CancelJob": "job_id reason", "CancelAcknowledged": "job_id", "DrainJob": "job_id", "DrainCompleted": "job_id",
	"FinalizeJob": "job_id", "FinalizeCompleted": "job_id",
	"ShutdownWorker": "reason", "ShutdownCompleted": "", "Diagnostic": "level category message metadata",
}

var outcomes = map[string]string{
	"Ok": "payload", "Err": "code message", "Cancelled": "reason", "Panicked": "message",
}

// leftOut are the values of members that are left out, but for the worker's id.
var leftOut = map[string]string{
	"job_id": "1", "region_id": "1", "task_id": "2", "obligation_id": "3", "payload": "b010203", "outcome": "Ok",
	"state": "Running", "detail": "-", "reason": `"reason"`, "level": "Info", "category": `"category"`, "code": `"code"`,
	"message": `"message"`, "metadata": "-",
}

// Known reports whether an operation has the name.
func Known(name string) bool {
	_, ok := operations[name]
	return ok
}

// JSON returns an operation, for workerchannel.ParseOp. A BootstrapReady without an id has that of the sender.
func JSON(sender string, words []string) []byte {
	return []byte(object("type", operations, strconv.Quote(sender), words))
}

// object returns an operation or an outcome, whose name is its tag. The sender is a word.
func object(tag string, members map[string]string, sender string, words []string) string {
	all, ok := members[words[0]]
	if !ok {
		panic("unknown " + tag + ": " + words[0])
	}
	fields := strings.Fields(all)
	if len(words)-1 > len(fields) && !strings.HasSuffix(all, "outcome") {
		panic("too much: " + strings.Join(words, " "))
	}
	text := `{"` + tag + `":` + strconv.Quote(words[0])
	for i, member := range fields {
		rest := []string{leftOut[member]}
		if member == "worker_id" {
			rest[0] = sender
		}
		if i+1 < len(words) {
			rest = words[i+1:]
		}
		text += `,"` + member + `":` + value(member, rest)
	}
	return text + "}"
}

// value returns the first of the words as JSON; an outcome takes all of them.
func value(member string, words []string) string {
	word := words[0]
	switch {
	case member == "outcome":
		return object("status", outcomes, "", words)
	case member == "payload":
		return strings.Join(strings.Fields(fmt.Sprint(Bytes(word))), ",") // of [1 2 3]
	case strings.HasSuffix(member, "_id") && member != "worker_id":
		return word
	case word == "-":
		return "null"
	}
	text, err := json.Marshal(Text(word))
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Words splits a line at spaces, but not within quotes, which it keeps.
func Words(line string) (all []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		end := strings.IndexAny(line+" ", ` "`)
		if quoted, err := strconv.QuotedPrefix(line[end:]); err == nil {
			end += len(quoted)
		}
		all, line = append(all, line[:end]), line[end:]
	}
	return all
}

// Text returns a string; what is no string is returned as it is.
func Text(word string) string {
	switch {
	case word == "s*every":
		return "\"\\\x00\x01\b\t\n\f\r\x1b\x1f /<>&'\x7f\u0080\u00e9\u2028\u2029\ufeff\uffff\U0001f600\U0010ffff\\u0041"
	case word == "s*forms":
		return "\u00e9 e\u0301 \u212b \u00c5 A\u030a \uac00 \u1100\u1161 \ufb01 fi"
	case strings.HasPrefix(word, "s*"):
		return string(pattern(word))
	case !strings.HasPrefix(word, `"`):
		return word
	}
	s, err := strconv.Unquote(word)
	if err != nil {
		panic(word + ": " + err.Error())
	}
	return s
}

// Bytes returns a payload.
func Bytes(word string) []byte {
	if strings.HasPrefix(word, `"`) {
		return []byte(Text(word))
	}
	if strings.HasPrefix(word, "b*") {
		return pattern(word)
	}
	b, err := hex.DecodeString(strings.TrimPrefix(word, "b"))
	if err != nil {
		panic(word + ": " + err.Error())
	}
	return b
}

// pattern returns the bytes of b*N, or the letters of s*N.
func pattern(word string) []byte {
	p := make([]byte, Number(word[2:]))
	for i := range p {
		if p[i] = byte(255 - i%256); word[0] == 's' {
			p[i] = byte('a' + i%26)
		}
	}
	return p
}

// Number returns a number.
func Number(word string) uint64 {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}
