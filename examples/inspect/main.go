// Inspect checks captured messages: it reads one message a line from standard input, as JSON or with -hex in
// hexadecimal, and prints one line for each.
//
//	go run ./examples/inspect [-hex] [-json] < traffic
//
// The line has the verdict, sender, operation, job and size, and for a bad message what is wrong and where:
//
//	1  valid       worker "w-1"  JobCompleted  job 7  213 bytes
//	2  invalid     worker "w-1"  JobCompleted  job 7  213 bytes  replay digest mismatch: expected 5, got 6
//	3  unreadable                                     180 bytes  malformed message: at byte 17: a colon is needed
//
// A valid message passes validation. An invalid one can be read as an envelope but does not pass validation
// (PROTOCOL section 5). An unreadable one is not an envelope (section 3); its bytes are counted from 0.
//
// With -json, for programs, the line is {"accept":false} for an unreadable message, and otherwise
//
//	{"accept":true,"wire":"...","digest":N,"error":null}
//
// with the canonical JSON, the right digest (whatever the message says), and null or the kind and data of
// the error, as in testdata/envelopes.jsonl. For a message whose payload is over the limit it is
// {"accept":false,"error":{"kind":"PayloadTooLarge","max":N,"size":N}}.
//
// A line that is longer than 8 MiB, or that should be hexadecimal and is not, is unreadable; with -json, the
// reason goes to standard error. The exit status is 0, whatever the verdicts, or 2 if standard input or output
// fails.
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

const maxLine = 8 << 20

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("inspect", flag.ContinueOnError)
	flags.SetOutput(stderr)
	isHex := flags.Bool("hex", false, "the lines are in hexadecimal")
	asJSON := flags.Bool("json", false, "print a JSON object for each line")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "inspect: unexpected argument %q; messages are read from standard input\n", flags.Arg(0))
		return 2
	}
	out := bufio.NewWriter(stdout)
	print := forPeople(out)
	if *asJSON {
		print = forPrograms(out, stderr)
	}
	err := inspect(stdin, out, *isHex, print)
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	if err != nil {
		fmt.Fprintln(stderr, "inspect:", err)
		return 2
	}
	return 0
}

// A verdict is the result for one line.
type verdict struct {
	line    int
	size    int         // in bytes: of the message, or of the line if that is not hexadecimal or too long
	refused error       // why the line is not an envelope
	env     wc.Envelope // if refused is nil
	invalid error       // why the envelope does not pass validation
}

// inspect prints a verdict for every line. It reads all lines through the same two buffers.
func inspect(in io.Reader, out *bufio.Writer, isHex bool, print func(*verdict) error) error {
	lines := bufio.NewReaderSize(in, maxLine+1)
	var decoded []byte
	for n := 1; ; n++ {
		if lines.Buffered() == 0 { // or the output would wait for the next line
			if err := out.Flush(); err != nil {
				return err
			}
		}
		line, size, err := readLine(lines)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("line %d: %w", n, err)
		}
		v := verdict{line: n, size: size}
		switch {
		case size > maxLine:
			v.refused = fmt.Errorf("the line is longer than %d bytes", maxLine)
		case isHex:
			decoded, v.refused = appendHex(decoded[:0], line)
			if v.refused == nil {
				line, v.size = decoded, len(decoded)
			}
		}
		if v.refused == nil {
			v.refused = v.env.UnmarshalJSON(line)
		}
		if v.refused == nil {
			v.invalid = v.env.Validate()
		}
		if err := print(&v); err != nil {
			return err
		}
	}
}

// readLine returns the next line without its line end, in the reader's buffer, and its size. For a line longer
// than maxLine it returns the size only.
func readLine(lines *bufio.Reader) (line []byte, size int, err error) {
	line, err = lines.ReadSlice('\n')
	size = len(line)
	long := err == bufio.ErrBufferFull
	for err == bufio.ErrBufferFull {
		line, err = lines.ReadSlice('\n')
		size += len(line)
	}
	if err == io.EOF && size > 0 {
		err = nil // the last line has no line feed
	}
	if bytes.HasSuffix(line, []byte("\n")) {
		line, size = line[:len(line)-1], size-1
	}
	if long {
		return nil, size, err
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	return line, len(line), err
}

func appendHex(dst, line []byte) ([]byte, error) {
	text, err := hex.AppendDecode(dst, line)
	if bad, ok := err.(hex.InvalidByteError); ok {
		at := 2 * len(text) // this byte or the next is the bad one
		return text, fmt.Errorf("not hexadecimal at byte %d of the line", at+bytes.IndexByte(line[at:], byte(bad)))
	} else if err != nil {
		return text, errors.New("an odd number of hexadecimal digits")
	}
	return text, nil
}

// forPeople prints a line with columns. Strings of the peer are quoted and cut.
func forPeople(out io.Writer) func(*verdict) error {
	return func(v *verdict) error {
		name, sender, op, job := "valid", "", "", ""
		err := v.refused
		if err != nil {
			name = "unreadable"
		} else {
			if err = v.invalid; err != nil {
				name = "invalid"
			}
			sender = v.env.Op.Type().Sender().String()
			if v.env.WorkerID != nil {
				sender = "worker " + quote(*v.env.WorkerID)
			}
			op = v.env.Op.Type().String()
			if id, ok := journal.JobOf(v.env.Op); ok {
				job = "job " + strconv.FormatUint(id, 10)
			}
		}
		wrong := ""
		if err != nil {
			wrong = "  " + strings.TrimPrefix(err.Error(), "workerchannel: ")
		}
		_, err = fmt.Fprintf(out, "%6d  %-10s  %-18s  %-18s  %-8s  %7d bytes%s\n", v.line, name, sender, op, job, v.size, wrong)
		return err
	}
}

func quote(s string) string {
	const most = 24
	if utf8.RuneCountInString(s) > most {
		return fmt.Sprintf("%.*q...", most, s)
	}
	return strconv.Quote(s)
}

// forPrograms prints a line with a JSON object.
func forPrograms(out, stderr io.Writer) func(*verdict) error {
	type refused struct {
		Accept bool `json:"accept"`
		Error  any  `json:"error,omitempty"`
	}
	type accepted struct {
		Accept bool   `json:"accept"`
		Wire   string `json:"wire"`
		Digest uint64 `json:"digest"`
		Error  any    `json:"error"`
	}
	to := json.NewEncoder(out)
	to.SetEscapeHTML(false)
	var wire []byte
	return func(v *verdict) error {
		switch err := v.refused; {
		case err == nil:
		case errors.Is(err, wc.ErrPayloadTooLarge):
			return to.Encode(refused{Error: journal.Describe(err)})
		default:
			if !errors.Is(err, wc.ErrMalformed) { // the line is bad, not the message
				fmt.Fprintf(stderr, "inspect: line %d: %v\n", v.line, err)
			}
			return to.Encode(refused{})
		}
		var err error
		if wire, err = v.env.AppendJSON(wire[:0]); err != nil {
			return err
		}
		digest := wc.ReplayHash(v.env.Header, v.env.WorkerID, v.env.Op)
		return to.Encode(accepted{true, string(wire), digest, journal.Describe(v.invalid)})
	}
}
