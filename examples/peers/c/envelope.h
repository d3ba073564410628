/* Envelopes in C99: reading, writing, the replay digest and validation. Written from PROTOCOL.md, whose sections are
 * cited. A function that can refuse returns NULL, or the kind of the error as section 8 names it ("Malformed" for a
 * text that cannot be read, "InvalidValue" for a string that cannot be sent). Without memory the program aborts. */
#ifndef ENVELOPE_H
#define ENVELOPE_H

#include "json.h"

enum { MAX_PAYLOAD = 256 << 10 };

typedef enum {
	SPAWN_JOB, POLL_STATUS, CANCEL_JOB, DRAIN_JOB, FINALIZE_JOB, SHUTDOWN_WORKER, /* of a coordinator */
	BOOTSTRAP_READY, BOOTSTRAP_FAILED, STATUS_SNAPSHOT, JOB_COMPLETED, CANCEL_ACKNOWLEDGED, DRAIN_COMPLETED,
	FINALIZE_COMPLETED, SHUTDOWN_COMPLETED, DIAGNOSTIC, /* of a worker */
	OP_TYPES
} op_type;

typedef enum { CREATED, QUEUED, RUNNING, CANCEL_REQUESTED, DRAINING, FINALIZING, COMPLETED, FAILED, STATES } job_state;
typedef enum { OK, ERR, CANCELLED, PANICKED, STATUSES } outcome_status;
typedef enum { INFO, WARN, ERROR, LEVELS } diagnostic_level;

extern const char *const op_names[OP_TYPES], *const state_names[STATES], *const status_names[STATUSES], *const level_names[LEVELS];

/* An operation. Only the members of its type, and of its outcome, have a meaning (section 2). */
typedef struct {
	op_type type;
	uint64_t job_id, region_id, task_id, obligation_id;
	job_state state;
	outcome_status status;
	diagnostic_level level;
	text worker_id, reason, code, category, message, payload;
	bool has_optional; /* detail or metadata: absent is not the same as empty */
	text optional;
} operation;

bool from_coordinator(op_type type);

typedef struct {
	uint32_t version;
	uint64_t message_id, seq_no, decision_seq, seed, issued_at_turn, replay_hash;
	bool has_worker_id;
	text worker_id;
	operation op;
} envelope;

/* Reads an envelope without validating it. Its strings are in storage, which must live as long as they do. */
const char *read_envelope(const unsigned char *data, size_t len, envelope *e, buffer *storage);

/* Validates an envelope (section 5). */
const char *validate(const envelope *e);

/* Writes the canonical text (section 3). The strings must be well-formed. */
void write_envelope(buffer *b, const envelope *e);
void write_op(buffer *b, const operation *op);

uint64_t replay_digest(const envelope *e);

#endif
