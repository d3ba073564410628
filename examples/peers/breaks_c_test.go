package peers

import (
	"testing"

	"github.com/workerchannel/workerchannel/examples/internal/conform"
)

func TestMistakesInCWorkerAreFound(t *testing.T) {
	testMistakes(t, "c", conform.WorkerHalf, []mistake{
		{"wire/announce", "digest of signed bytes", "envelope.c", "^ e->worker_id.data[i]) * prime", "^ (uint64_t)(int64_t)-(int)e->worker_id.data[i]) * prime"},
		{"wire/announce", "digest with 32 bits", "envelope.c", "h = (rotl(h, 5) ^ json.data[i]) * prime;", "h = (uint32_t)((rotl(h, 5) ^ json.data[i]) * prime);"},
		{"wire/announce", "numbers from 0", "worker.c", "uint64_t n = ++w->sent;", "uint64_t n = w->sent++;"},
		{"wire/escapes", "control characters in upper case", "envelope.c", `"\\u%04x"`, `"\\u%04X"`},
		{"wire/escapes", "bytes beyond ASCII are escaped", "envelope.c", "if (c < 0x20 && !at) {", "if ((c < 0x20 || c > 0x7F) && !at) {"},
		{"wire/escapes", "a string ends at NUL", "envelope.c", "for (size_t i = 0; i < t.len; i++) {", "for (size_t i = 0; i < t.len && t.data[i]; i++) {"},
		{"wire/escapes", "slashes are escaped", "envelope.c", "} else if (c < 0x20 ||", "} else if (c == '/') {\n			append_string(b, \"\\\\/\");\n		} else if (c < 0x20 ||"},
		{"wire/operations", "an absent detail is an empty one", "envelope.c", `append_string(b, "null");`, `append_string(b, "\"\"");`},
		{"wire/operations", "payload bytes are signed", "envelope.c", "append_number(b, op->payload.data[i]);", "append_number(b, (uint64_t)(int64_t)(signed char)op->payload.data[i]);"},
		{"wire/empty", "an empty worker id is absent", "envelope.c", "if (e->has_worker_id) { /* else", "if (e->worker_id.len > 0) { /* else"},
		{"wire/cannot-be-sent", "ill-formed strings are sent", "worker.c", "if (!well_formed(w->id) || !well_formed(reason))", "if (0)"},
		{"payload/largest", "a payload of any size is sent", "worker.c", "if (op.status == OK && op.payload.len > MAX_PAYLOAD)", "if (0)"},
		{"wire/integers", "integers are doubles", "json.c", "		*n = *n * 10 + digit;", "		*n = (uint64_t)(double)(*n * 10 + digit);"},
		{"session/capacity", "a capacity of 0 is an empty text", "worker.c", "append_number(&number, jobs);", "if (jobs > 0)\n		append_number(&number, jobs);"},
		{"digest/header", "the seed has 32 bits", "envelope.c", "rotl(e->seed, 29)", "rotl((uint32_t)e->seed, 29)"},
		{"digest/damaged", "the digest is not checked", "envelope.c", "if (e->replay_hash != replay_digest(e))", "if (0)"},
		{"validate/order", "the version is not checked", "envelope.c", "if (e->version != 1)", "if (0)"},
		{"reading/number-range", "numbers wrap", "json.c", "if (*n > (limit - digit) / 10)", "if (*n > (limit - digit) / 10 && limit < UINT32_MAX)"},
		{"reading/number-range", "the version wraps", "envelope.c", "i == 0 ? UINT32_MAX : UINT64_MAX", "UINT64_MAX"},
		{"reading/other-version", "one of two versions is taken", "envelope.c", "found.depth != 1 ||\n	    read_number", "!found.at ||\n	    read_number"},
		{"reading/number-form", "a fraction is cut off", "json.c", "return peek(&s) == '.' || peek(&s) == 'e' || peek(&s) == 'E' ?", "return peek(&s) == 'e' || peek(&s) == 'E' ?"},
		{"reading/ignored-values", "a leading zero is skipped", "json.c", "if (!take(s, '0') && !digits(s))", "if (!digits(s))"},
		{"reading/surrogates", "surrogate escapes are taken alone", "json.c", "if (low < 0xDC00 || low > 0xDFFF)", "if (low < 0)"},
		{"reading/utf8", "overlong UTF-8 is taken", "json.c", "if (s[0] == 0xE0)\n			low = 0xA0;", "if (0)\n			low = 0xA0;"},
		{"reading/utf8", "UTF-8 of surrogates is taken", "json.c", "if (s[0] == 0xED)\n			high = 0x9F;", "if (0)\n			high = 0x9F;"},
		{"reading/controls", "raw control characters are taken", "json.c", "if (c < 0x20)\n			return false;", ""},
		{"reading/escapes", "an escaped slash is an error", "json.c", `"\"\"\\\\//b\bf\fn\nr\rt\t"`, `"\"\"\\\\b\bf\fn\nr\rt\t"`},
		{"reading/duplicates", "a member may occur twice", "envelope.c", "if (found[i].depth > 1)\n			return \"Malformed\";\n		if ((error = read_member", "if (0)\n			return \"Malformed\";\n		if ((error = read_member"},
		{"reading/around", "what follows the object is ignored", "envelope.c", "if (s.at != s.end || (error", "if ((error"},
		{"reading/depth-refused", "nesting is bounded by the stack only", "json.c", "if (++s->depth > MAX_DEPTH)", "if (++s->depth < 0)"},
		{"reading/payload", "an element may be 256", "envelope.c", "read_number(s, 255, &n)", "read_number(s, UINT64_MAX, &n)"},
		{"reading/payload-limit", "a payload may have any size", "envelope.c", "if (size == MAX_PAYLOAD)", "if (size == SIZE_MAX)"},
		{"reading/unknown-names", "names are compared as far as the shorter one goes", "json.c", "return a.len == b.len && (a.len == 0 ||", "return a.len <= b.len && (a.len == 0 ||"},
		{"poll/others", "a draining job is reported", "worker.c", "reportable = IN(QUEUED) | IN(RUNNING),", "reportable = IN(QUEUED) | IN(RUNNING) | IN(DRAINING),"},
		{"poll/others", "an ended job is reported", "worker.c", "	post(w, j, op);\n	forget(w, j);\n", "	post(w, j, op);\n	j->state = RUNNING;\n"},
		{"job/id-again", "a job spawned again is taken", "worker.c", "if (j)\n			return \"DuplicateJobID\";", ""},
		{"job/many", "job ids have 32 bits", "worker.c", "if (w->jobs[i].id == job_id)", "if ((uint32_t)w->jobs[i].id == (uint32_t)job_id)"},
		{"job/start-twice", "a running job is started", "worker.c", "start = {IN(QUEUED),", "start = {IN(QUEUED) | IN(RUNNING),"},
		{"cancel/no-outcome", "a job completes after its cancel was acknowledged", "worker.c", "IN(RUNNING) | IN(CANCEL_REQUESTED), FORGOTTEN", "IN(RUNNING) | IN(CANCEL_REQUESTED) | IN(ACKNOWLEDGED), FORGOTTEN"},
		{"cancel/answer-once", "a cancel is acknowledged twice", "worker.c", "acknowledge = {IN(CANCEL_REQUESTED),", "acknowledge = {IN(CANCEL_REQUESTED) | IN(ACKNOWLEDGED),"},
		{"cancel/crossed", "a cancel of an ended job is an error", "worker.c", "return j ? step(j, &cancel) : NULL;", "return step(j, &cancel);"},
		{"shutdown/no-drain", "a drain is waited for during shutdown", "worker.c", "for (size_t i = w->job_count; i-- > 0;)\n			forget_if_answered(w, &w->jobs[i]);", ""},
		{"shutdown/last-word", "an answer during shutdown is not the last", "worker.c", "else if (w->shutdown_requested)", "else if (0)"},
		{"session/announce", "a poll is answered before the announcement", "worker.c", "if (w->phase == READY && j &&", "if (j &&"},
		{"numbers/gaps", "a gap in the numbers is an error", "worker.c", "if (e->seq_no <= w->last_seen)", "if (e->seq_no != w->last_seen + 1)"},
		{"numbers/stale", "the same number is taken again", "worker.c", "if (e->seq_no <= w->last_seen)", "if (e->seq_no < w->last_seen)"},
		{"session/direction", "a worker obeys a worker", "worker.c", "if (!from_coordinator(e->op.type))", "if (0)"},
	})
}
