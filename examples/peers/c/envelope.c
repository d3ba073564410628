#include "envelope.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

text text_of(const char *s)
{
	return (text){(const unsigned char *)s, strlen(s)};
}

void append(buffer *b, const void *data, size_t len)
{
	if (b->cap - b->len < len) {
		size_t cap = (b->len + len) * 2;
		unsigned char *grown = realloc(b->data, cap);
		if (!grown)
			abort();
		b->data = grown;
		b->cap = cap;
	}
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

void append_string(buffer *b, const char *s)
{
	append(b, s, strlen(s));
}

void append_number(buffer *b, uint64_t n)
{
	char digits[21];
	append(b, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, n));
}

/* --- The members of each operation and outcome, in wire order (section 2) --- */

typedef enum {
	NONE, JOB_ID, REGION_ID, TASK_ID, OBLIGATION_ID, PAYLOAD, REASON, WORKER_ID, STATE, DETAIL, OUTCOME, LEVEL, CATEGORY,
	MESSAGE, METADATA, CODE, TYPE, STATUS, MEMBERS
} member;

static const char *const member_names[MEMBERS] = {
	"", "job_id", "region_id", "task_id", "obligation_id", "payload", "reason", "worker_id", "state", "detail", "outcome",
	"level", "category", "message", "metadata", "code", "type", "status",
};

enum { MOST = 6 }; /* members of one operation, and NONE after them */

static const member op_members[OP_TYPES][MOST] = {
	[SPAWN_JOB] = {JOB_ID, REGION_ID, TASK_ID, OBLIGATION_ID, PAYLOAD},
	[POLL_STATUS] = {JOB_ID},
	[CANCEL_JOB] = {JOB_ID, REASON},
	[DRAIN_JOB] = {JOB_ID},
	[FINALIZE_JOB] = {JOB_ID},
	[SHUTDOWN_WORKER] = {REASON},
	[BOOTSTRAP_READY] = {WORKER_ID},
	[BOOTSTRAP_FAILED] = {WORKER_ID, REASON},
	[STATUS_SNAPSHOT] = {JOB_ID, STATE, DETAIL},
	[JOB_COMPLETED] = {JOB_ID, OUTCOME},
	[CANCEL_ACKNOWLEDGED] = {JOB_ID},
	[DRAIN_COMPLETED] = {JOB_ID},
	[FINALIZE_COMPLETED] = {JOB_ID},
	[DIAGNOSTIC] = {LEVEL, CATEGORY, MESSAGE, METADATA},
};

static const member outcome_members[STATUSES][MOST] = {
	[OK] = {PAYLOAD},
	[ERR] = {CODE, MESSAGE},
	[CANCELLED] = {REASON},
	[PANICKED] = {MESSAGE},
};

const char *const op_names[OP_TYPES] = {
	"SpawnJob", "PollStatus", "CancelJob", "DrainJob", "FinalizeJob", "ShutdownWorker", "BootstrapReady", "BootstrapFailed",
	"StatusSnapshot", "JobCompleted", "CancelAcknowledged", "DrainCompleted", "FinalizeCompleted", "ShutdownCompleted",
	"Diagnostic",
};
const char *const state_names[STATES] = {
	"Created", "Queued", "Running", "CancelRequested", "Draining", "Finalizing", "Completed", "Failed",
};
const char *const status_names[STATUSES] = {"Ok", "Err", "Cancelled", "Panicked"};
const char *const level_names[LEVELS] = {"Info", "Warn", "Error"};

bool from_coordinator(op_type type)
{
	return type <= SHUTDOWN_WORKER;
}

/* The string or number of an operation that a member is; NULL if it is something else. */
static text *string_of(operation *op, member m)
{
	switch (m) {
	case REASON: return &op->reason;
	case WORKER_ID: return &op->worker_id;
	case CATEGORY: return &op->category;
	case MESSAGE: return &op->message;
	case CODE: return &op->code;
	default: return NULL;
	}
}

static uint64_t *number_of(operation *op, member m)
{
	switch (m) {
	case JOB_ID: return &op->job_id;
	case REGION_ID: return &op->region_id;
	case TASK_ID: return &op->task_id;
	case OBLIGATION_ID: return &op->obligation_id;
	default: return NULL;
	}
}

/* --- Writing (section 3) --- */

static void write_string(buffer *b, text t)
{
	append(b, "\"", 1);
	for (size_t i = 0; i < t.len; i++) {
		unsigned char c = t.data[i];
		const char *at = c ? strchr("\bb\tt\nn\ff\rr\"\"\\\\", c) : NULL;
		if (c < 0x20 && !at) {
			char escape[7];
			append(b, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
		} else if (c < 0x20 || c == '"' || c == '\\') {
			append(b, "\\", 1);
			append(b, at + 1, 1);
		} else {
			append(b, &c, 1);
		}
	}
	append(b, "\"", 1);
}

static void write_name(buffer *b, const char *name)
{
	append_string(b, ",\"");
	append_string(b, name);
	append_string(b, "\":");
}

static void write_members(buffer *b, operation *op, const member *members)
{
	for (; *members != NONE; members++) {
		member m = *members;
		write_name(b, member_names[m]);
		if (string_of(op, m)) {
			write_string(b, *string_of(op, m));
		} else if (number_of(op, m)) {
			append_number(b, *number_of(op, m));
		} else if (m == PAYLOAD) {
			append_string(b, "[");
			for (size_t i = 0; i < op->payload.len; i++) {
				if (i > 0)
					append_string(b, ",");
				append_number(b, op->payload.data[i]);
			}
			append_string(b, "]");
		} else if (m == STATE) {
			write_string(b, text_of(state_names[op->state]));
		} else if (m == LEVEL) {
			write_string(b, text_of(level_names[op->level]));
		} else if (m == OUTCOME) {
			append_string(b, "{\"status\":");
			write_string(b, text_of(status_names[op->status]));
			write_members(b, op, outcome_members[op->status]);
		} else if (op->has_optional) { /* DETAIL, METADATA */
			write_string(b, op->optional);
		} else {
			append_string(b, "null");
		}
	}
	append_string(b, "}");
}

void write_op(buffer *b, const operation *op)
{
	operation copy = *op;
	append_string(b, "{\"type\":");
	write_string(b, text_of(op_names[op->type]));
	write_members(b, &copy, op_members[op->type]);
}

void write_envelope(buffer *b, const envelope *e)
{
	append_string(b, "{\"version\":");
	append_number(b, e->version);
	write_name(b, "message_id");
	append_number(b, e->message_id);
	write_name(b, "seq_no");
	append_number(b, e->seq_no);
	write_name(b, "decision_seq");
	append_number(b, e->decision_seq);
	write_name(b, "seed");
	append_number(b, e->seed);
	write_name(b, "issued_at_turn");
	append_number(b, e->issued_at_turn);
	if (e->has_worker_id) { /* else absent, not null */
		write_name(b, "worker_id");
		write_string(b, e->worker_id);
	}
	write_name(b, "replay_hash");
	append_number(b, e->replay_hash);
	write_name(b, "op");
	write_op(b, &e->op);
	append_string(b, "}");
}

/* --- The replay digest (section 4) --- */

static uint64_t rotl(uint64_t n, int k)
{
	return n << k | n >> (64 - k);
}

uint64_t replay_digest(const envelope *e)
{
	const uint64_t prime = UINT64_C(0x100000001B3);
	uint64_t h = e->message_id * UINT64_C(0x9E3779B185EBCA87) + rotl(e->seq_no, 13);
	h ^= rotl(e->decision_seq, 23) ^ rotl(e->seed, 29) ^ rotl(e->issued_at_turn, 47);
	for (size_t i = 0; e->has_worker_id && i < e->worker_id.len; i++)
		h = (rotl(h, 7) ^ e->worker_id.data[i]) * prime;
	buffer json = {0};
	write_op(&json, &e->op);
	for (size_t i = 0; i < json.len; i++)
		h = (rotl(h, 5) ^ json.data[i]) * prime;
	free(json.data);
	return h;
}

/* --- Validation (section 5) --- */

static bool equal(text a, text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

const char *validate(const envelope *e)
{
	const operation *op = &e->op;
	if (e->version != 1)
		return "VersionMismatch";
	if (e->replay_hash != replay_digest(e))
		return "ReplayHashMismatch";
	if (from_coordinator(op->type))
		return e->has_worker_id ? "UnexpectedWorkerIdentity" : NULL;
	if (!e->has_worker_id)
		return "MissingWorkerIdentity";
	if ((op->type == BOOTSTRAP_READY || op->type == BOOTSTRAP_FAILED) && !equal(op->worker_id, e->worker_id))
		return "WorkerIdentityMismatch";
	return NULL; /* read_envelope has refused a payload over the limit */
}

/* --- Reading (section 3). First the text is checked as a whole; then the members are read, which cannot fail for
 * the form of the text any more. --- */

typedef struct {
	const unsigned char *at, *end;
	int depth;
} scanner;

/* The length of the UTF-8 sequence at the beginning; 0 if it is ill-formed. */
static size_t sequence(const unsigned char *s, size_t len)
{
	unsigned char low = 0x80, high = 0xBF; /* of the second byte */
	size_t n;
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xC2 && s[0] <= 0xDF) {
		n = 2;
	} else if (s[0] >= 0xE0 && s[0] <= 0xEF) {
		n = 3;
		if (s[0] == 0xE0)
			low = 0xA0;
		if (s[0] == 0xED)
			high = 0x9F; /* surrogates */
	} else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
		n = 4;
		if (s[0] == 0xF0)
			low = 0x90;
		if (s[0] == 0xF4)
			high = 0x8F; /* beyond U+10FFFF */
	} else {
		return 0;
	}
	if (len < n || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xBF)
			return 0;
	return n;
}

bool well_formed(text t)
{
	for (size_t i = 0, n; i < t.len; i += n)
		if ((n = sequence(t.data + i, t.len - i)) == 0)
			return false;
	return true;
}

static int peek(const scanner *s)
{
	return s->at < s->end ? *s->at : -1;
}

static bool take(scanner *s, int c)
{
	if (peek(s) != c)
		return false;
	s->at++;
	return true;
}

static void space(scanner *s)
{
	while (take(s, ' ') || take(s, '\t') || take(s, '\n') || take(s, '\r'))
		;
}

/* The value of the four hex digits at p; -1 if they are not. */
static long hex4(const unsigned char *p, const unsigned char *end)
{
	long n = 0;
	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int c = p[i];
		if (c >= '0' && c <= '9')
			n = n * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			n = n * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			n = n * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return n;
}

static void append_rune(buffer *b, long r)
{
	unsigned char utf8[4];
	size_t n = r < 0x80 ? 1 : r < 0x800 ? 2 : r < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
	for (size_t i = n; i-- > 1; r >>= 6)
		utf8[i] = (unsigned char)(0x80 | (r & 0x3F));
	utf8[0] = (unsigned char)(lead[n] | r);
	append(b, utf8, n);
}

/* Skips a string, and appends its characters to out unless that is NULL. */
static bool scan_string(scanner *s, buffer *out)
{
	if (!take(s, '"'))
		return false;
	while (s->at < s->end) {
		unsigned char c = *s->at;
		if (c == '"') {
			s->at++;
			return true;
		}
		if (c < 0x20)
			return false;
		if (c != '\\') {
			size_t n = sequence(s->at, (size_t)(s->end - s->at));
			if (n == 0)
				return false;
			if (out)
				append(out, s->at, n);
			s->at += n;
			continue;
		}
		if (s->end - s->at < 2)
			return false;
		c = s->at[1];
		s->at += 2;
		if (c != 'u') {
			static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
			size_t i = 0;
			while (i < sizeof escapes - 1 && escapes[i] != c)
				i += 2;
			if (i >= sizeof escapes - 1)
				return false;
			if (out)
				append(out, escapes + i + 1, 1);
			continue;
		}
		long r = hex4(s->at, s->end);
		if (r < 0 || (r >= 0xDC00 && r <= 0xDFFF))
			return false;
		s->at += 4;
		if (r >= 0xD800 && r <= 0xDBFF) {
			if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
				return false;
			long low = hex4(s->at + 2, s->end);
			if (low < 0xDC00 || low > 0xDFFF)
				return false;
			r = 0x10000 + ((r - 0xD800) << 10) + (low - 0xDC00);
			s->at += 6;
		}
		if (out)
			append_rune(out, r);
	}
	return false;
}

static bool digits(scanner *s)
{
	const unsigned char *start = s->at;
	while (peek(s) >= '0' && peek(s) <= '9')
		s->at++;
	return s->at > start;
}

static bool scan_number(scanner *s)
{
	take(s, '-');
	if (!take(s, '0') && !digits(s))
		return false;
	if (take(s, '.') && !digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		return digits(s);
	}
	return true;
}

static bool scan_word(scanner *s, const char *word)
{
	size_t len = strlen(word);
	if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
		return false;
	s->at += len;
	return true;
}

static bool scan_value(scanner *s);

/* Skips an object or an array. */
static bool scan_items(scanner *s, int close)
{
	if (++s->depth > MAX_DEPTH)
		return false;
	s->at++;
	space(s);
	if (!take(s, close)) {
		do {
			space(s);
			if (close == '}') {
				if (!scan_string(s, NULL))
					return false;
				space(s);
				if (!take(s, ':'))
					return false;
				space(s);
			}
			if (!scan_value(s))
				return false;
			space(s);
		} while (take(s, ','));
		if (!take(s, close))
			return false;
	}
	s->depth--;
	return true;
}

static bool scan_value(scanner *s)
{
	switch (peek(s)) {
	case '{': return scan_items(s, '}');
	case '[': return scan_items(s, ']');
	case '"': return scan_string(s, NULL);
	case 't': return scan_word(s, "true");
	case 'f': return scan_word(s, "false");
	case 'n': return scan_word(s, "null");
	default: return scan_number(s);
	}
}

/* Finds the values of the named members in the object at s: found[i] is where the value of names[i] begins, with at
 * NULL if it is absent. A member that occurs twice has depth 2. */
static const char *find_members(scanner s, const char *const *names, size_t count, scanner *found)
{
	buffer name = {0};
	for (size_t i = 0; i < count; i++)
		found[i] = (scanner){NULL, s.end, 0};
	if (!take(&s, '{'))
		return "Malformed";
	space(&s);
	while (peek(&s) != '}') {
		name.len = 0;
		space(&s);
		scan_string(&s, &name);
		space(&s);
		take(&s, ':');
		space(&s);
		for (size_t i = 0; i < count; i++) {
			if (equal((text){name.data, name.len}, text_of(names[i]))) {
				found[i].depth++;
				if (!found[i].at)
					found[i].at = s.at;
			}
		}
		s.depth = 0;
		scan_value(&s);
		space(&s);
		take(&s, ',');
		space(&s);
	}
	free(name.data);
	return NULL;
}

/* Each reads the value at s, of which the form is right. */

static const char *read_number(scanner s, uint64_t limit, uint64_t *n)
{
	if (!s.at || peek(&s) < '0' || peek(&s) > '9')
		return "Malformed";
	*n = 0;
	for (; peek(&s) >= '0' && peek(&s) <= '9'; s.at++) {
		uint64_t digit = (uint64_t)(*s.at - '0');
		if (*n > (limit - digit) / 10)
			return "Malformed";
		*n = *n * 10 + digit;
	}
	return peek(&s) == '.' || peek(&s) == 'e' || peek(&s) == 'E' ? "Malformed" : NULL;
}

/* The strings are appended to storage, which has room for all of them, so that it does not move. */
static const char *read_string(scanner s, text *t, buffer *storage)
{
	size_t start = storage->len;
	if (!s.at || peek(&s) != '"')
		return "Malformed";
	scan_string(&s, storage);
	*t = (text){storage->data + start, storage->len - start};
	return NULL;
}

static const char *read_name(scanner s, const char *const *names, int count, int *which)
{
	buffer name = {0};
	const char *error = "Malformed";
	if (s.at && peek(&s) == '"') {
		scan_string(&s, &name);
		for (int i = 0; i < count; i++) {
			if (equal((text){name.data, name.len}, text_of(names[i]))) {
				*which = i;
				error = NULL;
			}
		}
	}
	free(name.data);
	return error;
}

static const char *read_payload(scanner s, text *payload, buffer *storage)
{
	size_t start = storage->len;
	if (!s.at || !take(&s, '['))
		return "Malformed";
	const char *error = NULL;
	space(&s);
	for (size_t size = 0; peek(&s) != ']'; size++) {
		uint64_t n;
		unsigned char b;
		space(&s);
		if (size == MAX_PAYLOAD)
			return "PayloadTooLarge";
		if ((error = read_number(s, 255, &n)))
			return error;
		b = (unsigned char)n;
		append(storage, &b, 1);
		scan_value(&s);
		space(&s);
		take(&s, ',');
	}
	*payload = (text){storage->data + start, storage->len - start};
	return NULL;
}

static const char *read_members(scanner s, operation *op, const member *members, buffer *storage);

/* Reads an object whose shape depends on the member tag. */
static const char *read_tagged(scanner s, member tag, const char *const *names, int count, int *which)
{
	scanner found;
	const char *error = s.at ? find_members(s, &member_names[tag], 1, &found) : "Malformed";
	if (error || found.depth != 1)
		return "Malformed";
	return read_name(found, names, count, which);
}

static const char *read_member(scanner s, operation *op, member m, buffer *storage)
{
	int which;
	const char *error;
	if (string_of(op, m))
		return read_string(s, string_of(op, m), storage);
	if (number_of(op, m))
		return read_number(s, UINT64_MAX, number_of(op, m));
	switch (m) {
	case PAYLOAD:
		return read_payload(s, &op->payload, storage);
	case STATE:
		if (!(error = read_name(s, state_names, STATES, &which)))
			op->state = (job_state)which;
		return error;
	case LEVEL:
		if (!(error = read_name(s, level_names, LEVELS, &which)))
			op->level = (diagnostic_level)which;
		return error;
	case OUTCOME:
		if ((error = read_tagged(s, STATUS, status_names, STATUSES, &which)))
			return error;
		op->status = (outcome_status)which;
		return read_members(s, op, outcome_members[which], storage);
	default: /* DETAIL, METADATA */
		op->has_optional = s.at && peek(&s) != 'n';
		return op->has_optional ? read_string(s, &op->optional, storage) : NULL;
	}
}

static const char *read_members(scanner s, operation *op, const member *members, buffer *storage)
{
	const char *names[MOST], *error;
	scanner found[MOST];
	size_t count = 0;
	for (; members[count] != NONE; count++)
		names[count] = member_names[members[count]];
	if ((error = find_members(s, names, count, found)))
		return error;
	for (size_t i = 0; i < count; i++) {
		if (found[i].depth > 1)
			return "Malformed";
		if ((error = read_member(found[i], op, members[i], storage)))
			return error;
	}
	return NULL;
}

const char *read_envelope(const unsigned char *data, size_t len, envelope *e, buffer *storage)
{
	static const char *const names[] = {
		"version", "message_id", "seq_no", "decision_seq", "seed", "issued_at_turn", "replay_hash", "worker_id", "op",
	};
	enum { NUMBERS = 7, SENDER = 7, OP = 8, ALL = 9 };
	scanner s = {data, data + len, 0}, found[ALL];
	const char *error;
	int which;
	space(&s);
	scanner object = s;
	if (!scan_value(&s))
		return "Malformed";
	space(&s);
	if (s.at != s.end || (error = find_members(object, names, ALL, found)))
		return "Malformed";
	*e = (envelope){0};
	storage->len = 0;
	append(storage, data, len); /* makes room: nothing is longer when it has been read */
	storage->len = 0;
	uint64_t version, *const numbers[NUMBERS] = {
		&version, &e->message_id, &e->seq_no, &e->decision_seq, &e->seed, &e->issued_at_turn, &e->replay_hash,
	};
	for (int i = 0; i < ALL; i++)
		if (found[i].depth > 1)
			return "Malformed";
	for (int i = 0; i < NUMBERS; i++)
		if ((error = read_number(found[i], i == 0 ? UINT32_MAX : UINT64_MAX, numbers[i])))
			return error;
	e->version = (uint32_t)version;
	e->has_worker_id = found[SENDER].at && peek(&found[SENDER]) != 'n';
	if (e->has_worker_id && (error = read_string(found[SENDER], &e->worker_id, storage)))
		return error;
	if ((error = read_tagged(found[OP], TYPE, op_names, OP_TYPES, &which)))
		return error;
	e->op.type = (op_type)which;
	return read_members(found[OP], &e->op, op_members[which], storage);
}
