package conform

import (
	"strings"
	"unicode/utf16"

	wc "github.com/workerchannel/workerchannel"
)

func utf16Units(s string) []uint16 { return utf16.Encode([]rune(s)) }

// refusedTexts are what a reader must refuse.
var refusedTexts = []readingCheck{
	{"not-an-object", "anything that is not one JSON object is refused", func(r *readingTest) {
		for _, text := range []string{"", " ", "{}", "[]", "null", "1", `"x"`, "true", "{", "}", "nonsense", "{]", `{"version"}`, `{"version":}`} {
			r.add(text, "refused Malformed")
		}
		r.add("["+r.message("x")+"]", "refused Malformed")
	}},
	{"around", "a byte-order mark, and anything after the object but white space, is refused", func(r *readingTest) {
		r.add("\ufeff"+r.message("x"), "refused Malformed")
		for _, after := range []string{"x", "{}", ",", "}", "\x00", "\v", "\f", "\u00a0", "null"} {
			r.add(r.message("x")+after, "refused Malformed")
			r.add(after+r.message("x"), "refused Malformed")
		}
	}},
	{"punctuation", "JSON is written as RFC 8259 says", func(r *readingTest) {
		r.refuse(version, version+",")
		r.refuse(version, ","+version)
		r.refuse(version, `version:1`)
		r.refuse(version, `'version':1`)
		r.refuse(version, `"version"=1`)
		r.refuse(version, `"version" 1`)
		r.refuse(version, `/* */`+version)
		r.refuse(version, "\f"+version)
		r.refuse(version, "\u00a0"+version)
		r.refuse(`"}}`, `",}}`)
		text := r.message("x")
		for _, n := range []int{1, 2, 10, len(text) - 20} {
			r.add(text[:len(text)-n], "refused Malformed")
		}
	}},
	{"ignored-values", "the values of unknown members must be well-formed, too", func(r *readingTest) {
		for _, v := range []string{"", "tru", "True", "nul", "NaN", "Infinity", "-Infinity", "01", "-", "-01", "1.", ".5", "1e", "1e+", "+1", "0x1", "1_000", "undefined", "'x'", `"`, `"\q"`, `"\u12"`, `"\u12g4"`, `"\'"`, `"\U0041"`, `"\x41"`, "[1,]", "[,1]", "[1 2]", `{"a":1,}`, `{1:2}`, `{a:1}`, "[", "{"} {
			r.refuse(version, `"unknown":`+v+`,`+version)
		}
	}},
	{"utf8", "ill-formed UTF-8 is refused, in ignored members too", func(r *readingTest) {
		for _, bad := range []string{"\xff", "\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xe2\x82", "\xc3"} {
			r.refuse("a/é", bad)
			r.refuse(version, `"unknown":"`+bad+`",`+version)
			r.refuse(version, `"`+bad+`":1,`+version)
		}
	}},
	{"surrogates", "an unpaired surrogate escape is refused, in ignored members too", func(r *readingTest) {
		for _, bad := range []string{`\ud800`, `\udc00`, `\ud800a`, `\ud800\u0041`, `\ud800\ud800`, `\udc00\ud800`, `\uD83D\n`, `\udfff`, `\ud83d\ude00\ude00`} {
			r.refuse("a/é", bad)
			r.refuse(version, `"unknown":"`+bad+`",`+version)
			r.refuse(version, `"`+bad+`":1,`+version)
		}
	}},
	{"controls", "a raw control character in a string is refused, in ignored members too", func(r *readingTest) {
		for _, bad := range []string{"\x00", "\x01", "\t", "\r", "\x1f"} {
			r.refuse("a/é", bad)
			r.refuse(version, `"unknown":"`+bad+`",`+version)
			r.refuse(version, `"a`+bad+`":1,`+version)
		}
	}},
	{"duplicates", "a known member given twice is refused, however it is spelled", func(r *readingTest) {
		for _, m := range []string{version, `"job_id":1`, `"` + r.member() + `":"a/é"`, `"seed":7`} {
			name, value, _ := strings.Cut(m, ":")
			other := "9"
			if value[0] == '"' {
				other = `"other"`
			}
			r.refuse(m, m+","+m)
			r.refuse(m, name+":"+other+","+m)
			r.refuse(m, m+","+name+":"+other)
			r.refuse(m, m+`,"\u00`+hex2(name[1])+name[2:]+":"+value)
		}
		r.refuse(`"op":{`, `"op":{},"op":{`)
		r.refuse(`{"type":`, `{"type":"DrainJob","type":`)
		r.refuse(`"job_id":1`, `"job_id":1,"type":"DrainJob"`)
		r.refuse(`"seed":7`, `"seed":7,"worker_id":null,"worker_id":null`)
	}},
	{"number-form", "an integer has no sign, fraction, exponent or leading zero", func(r *readingTest) {
		for _, bad := range []string{"-0", "-1", "+1", "1.0", "1.", "1e0", "1E0", "10e-1", "01", "00", "0x1"} {
			r.refuse(version, `"version":`+bad)
			r.resealed(`"job_id":1`, `"job_id":`+bad, `"job_id":1`, `"job_id":0`)
		}
		r.refuse(`"seed":7`, `"seed":7.0`)
		r.refuse(`"seed":7`, `"seed":07`)
		r.refuse(`"seed":7`, `"seed":7e0`)
	}},
	{"number-range", "an integer is in the range of its field", func(r *readingTest) {
		r.refuse(version, `"version":4294967297`)
		r.refuse(version, `"version":4294967296`)
		r.resealed(`"job_id":1`, `"job_id":18446744073709551616`, `"job_id":0`, `"job_id":18446744073709551615`)
		r.resealed(`"job_id":1`, `"job_id":18446744073709551617`, `"job_id":1`)
		r.resealed(`"job_id":1`, `"job_id":99999999999999999999999999`, `"job_id":18446744073709551615`)
		r.refuse(`"seed":7`, `"seed":18446744073709551623`)
	}},
	{"number-kind", "where an integer belongs, no other value is taken", func(r *readingTest) {
		for _, bad := range []string{"null", "true", "false", `"1"`, `""`, "[1]", "[]", "{}"} {
			r.refuse(version, `"version":`+bad)
			r.resealed(`"job_id":1`, `"job_id":`+bad, `"job_id":1`, `"job_id":0`)
		}
	}},
	{"string-kind", "where a string belongs, no other value is taken", func(r *readingTest) {
		member := `"` + r.member() + `":`
		for _, bad := range []string{"1", "true", "[]", "{}", `["a/é"]`} {
			r.resealed(member+`"a/é"`, member+bad, member+`"a/é"`, member+`""`, member+`"1"`)
		}
		if r.half == WorkerHalf {
			r.resealed(member+`"a/é"`, member+"null", member+`""`)
			r.refuse(version, version+`,"worker_id":1`)
			r.refuse(version, version+`,"worker_id":{}`)
		} else {
			diagnostic := r.workers(wc.Diagnostic{Message: "m"})
			r.add(edit(diagnostic, `"category":""`, `"category":null`), "refused Malformed")
			r.add(edit(diagnostic, `"category":"",`, ``), "refused Malformed")
			r.refuse(`"worker_id":"w1"`, `"worker_id":1`)
			r.refuse(`"worker_id":"w1"`, `"worker_id":["w1"]`)
		}
	}},
	{"object-kind", "where an object belongs, no other value is taken", func(r *readingTest) {
		text := r.message("x")
		head, _, _ := strings.Cut(text, `"op":`)
		for _, bad := range []string{"null", "1", `"ShutdownCompleted"`, "[]", "{}", "true"} {
			r.add(head+`"op":`+bad+"}", "refused Malformed")
		}
	}},
	{"missing", "every member that is not optional is required", func(r *readingTest) {
		for _, name := range []string{"version", "message_id", "seq_no", "decision_seq", "seed", "issued_at_turn", "replay_hash"} {
			r.add(without(r.message("x"), name), "refused Malformed")
			r.add(rename(r.message("x"), name), "refused Malformed")
		}
		r.refuse(`"type":`, `"Type":`)
		r.resealed(`"job_id":1,`, ``, `"job_id":0,`)
		if r.half == WorkerHalf {
			r.resealed(`,"reason":"a/é"`, ``, `,"reason":""`)
		} else {
			r.resealed(`"state":"Queued",`, ``, `"state":"Created",`)
		}
	}},
	{"names", "an unknown operation, state or level is refused", func(r *readingTest) {
		op := "CancelJob"
		if r.half == CoordinatorHalf {
			op = "StatusSnapshot"
			for _, bad := range []string{`"queued"`, `"QUEUED"`, `""`, `"Unknown"`, `1`, `null`, `{"Queued":null}`, `"cancel_requested"`} {
				r.resealed(`"state":"Queued"`, `"state":`+bad, `"state":"Queued"`)
			}
		}
		for _, bad := range []string{`"` + strings.ToLower(op) + `"`, `"` + op + ` "`, `""`, `"Unknown"`, "1", "null", `["` + op + `"]`} {
			r.resealed(`"type":"`+op+`"`, `"type":`+bad, `"type":"`+op+`"`)
		}
	}},
	{"payload", "an element of a payload is an integer from 0 to 255", func(r *readingTest) {
		for _, bad := range []string{"256", "-1", "-0", "1.0", "1e0", "01", `"1"`, "null", "true", "[1]", "1,", ",1", "1 2", "65537", "18446744073709551617"} {
			r.add(edit(r.withPayload(), `"payload":[1]`, `"payload":[`+bad+`]`), "refused Malformed")
		}
		for _, bad := range []string{"null", `"AQ=="`, "{}", "1", `""`, "[1"} {
			r.add(edit(r.withPayload(), `"payload":[1]`, `"payload":`+bad), "refused Malformed")
		}
	}},
	{"outcomes", "an outcome is one of the four, and has its members", func(r *readingTest) {
		text := r.workers(wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeErr{Code: "c", Message: "m"}})
		for _, change := range []string{`"status":"err"`, `"status":"Error"`, `"status":null`, `"status":2`, `"Status":"Err"`, `"status":"Err","status":"Err"`, `"status":"Err","code":"c"`} {
			r.add(edit(text, `"status":"Err"`, change), "refused Malformed")
		}
		r.add(edit(text, `,"message":"m"`, ""), "refused Malformed")
		r.add(edit(text, `{"status":"Err","code":"c","message":"m"}`, "null"), "refused Malformed")
		r.add(edit(text, `{"status":"Err","code":"c","message":"m"}`, `"Err"`), "refused Malformed")
		r.add(edit(text, `{"status":"Err","code":"c","message":"m"}`, `["Err","c","m"]`), "refused Malformed")
	}},
	{"other-version", "what cannot be read and is of another version is refused as that", func(r *readingTest) {
		other := edit(r.message("x"), version, `"version":2`)
		for _, text := range []string{
			edit(other, `"seed":7`, `"seed":"7"`), edit(other, `"type":"`, `"type":"X`), edit(other, `"op":{`, `"op":[],"ops":{`), edit(other, `,"job_id":1`, ``),
			`{"version":0}`, `{"version":4294967295}`, ` { "op" : {"version":1} , "version" : 3 } `, `{"\u0076ersion":2,"unknown":` + nested(126) + `}`,
		} {
			r.add(text, "refused VersionMismatch")
		}
		for _, text := range []string{
			`{"version":2,"version":2}`, `{"version":2,"version":1}`, `{"version":02}`, `{"version":2.0}`, `{"version":-2}`, `{"version":"2"}`, `{"version":4294967296}`, `{"Version":2}`, `{"op":{"version":2}}`,
			`[{"version":2}]`, `{"version":2}{}`, `{"version":2}x`, `{"version":2,}`, `{"version":2,"x":01}`, `{"version":2,"x":"\ud800"}`, "{\"version\":2,\"x\":\"\xff\"}", `{"version":2,"unknown":` + nested(127) + `}`,
		} {
			r.add(text, "refused Malformed")
		}
	}},
	{"depth-refused", "nesting of more than 127 levels is refused, however deep", func(r *readingTest) {
		r.refuse(version, `"unknown":`+nested(127)+`,`+version)
		r.refuse(`"job_id":1`, `"job_id":1,"unknown":`+nested(126))
		r.refuse(version, `"unknown":`+nested(200_000)+`,`+version)
		r.refuse(version, `"unknown":`+strings.Repeat(`{"a":`, 100_000)+`,`+version)
	}},
	{"payload-limit", "a payload over the limit is refused with PayloadTooLarge", func(r *readingTest) {
		long := `"payload":[` + strings.Repeat("0,", wc.MaxPayloadBytes) + `0]`
		r.add(edit(r.withPayload(), `"payload":[1]`, long), "refused PayloadTooLarge")
		r.add(edit(edit(r.withPayload(), version, `"version":2`), `"payload":[1]`, long), "refused PayloadTooLarge")
	}},
}

func hex2(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// without leaves a member of the envelope out.
func without(text, name string) string {
	from := strings.Index(text, `"`+name+`":`)
	to := from + strings.IndexByte(text[from:], ',') + 1
	return text[:from] + text[to:]
}

// rename writes the name of a member in upper case.
func rename(text, name string) string {
	return edit(text, `"`+name+`":`, `"`+strings.ToUpper(name)+`":`)
}
