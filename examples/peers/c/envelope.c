#include "envelope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* --- Reading (section 3) --- */

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
	const char *names[MOST] = {0}, *error;
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

static const char *read_version_1(const unsigned char *data, size_t len, envelope *e, buffer *storage)
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

/* Returns the version of a text that is no envelope; 1 if it is no JSON object with one version that is a u32. */
static uint64_t version_alone(const unsigned char *data, size_t len)
{
	static const char *const name = "version";
	scanner s = {data, data + len, 0}, found;
	uint64_t version;
	space(&s);
	scanner object = s;
	bool scanned = scan_value(&s);
	space(&s);
	if (!scanned || s.at != s.end || find_members(object, &name, 1, &found) || found.depth != 1 ||
	    read_number(found, UINT32_MAX, &version))
		return 1;
	return version;
}

const char *read_envelope(const unsigned char *data, size_t len, envelope *e, buffer *storage)
{
	const char *error = read_version_1(data, len, e, storage);
	if (error && strcmp(error, "Malformed") == 0 && version_alone(data, len) != 1)
		return "VersionMismatch";
	return error;
}
