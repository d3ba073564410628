/* The worker's half of the protocol (PROTOCOL.md, section 10): the state behind the messages of one worker. A call or a
 * message that is refused returns the kind of the error, changes nothing and sends nothing. */
#ifndef WORKER_H
#define WORKER_H

#include "envelope.h"

/* Acknowledged and Drained are known to the worker only: the application has given its answer. */
enum { ACKNOWLEDGED = STATES, DRAINED };

typedef struct {
	uint64_t id, region_id, last_seq_no;
	int state; /* a job_state, ACKNOWLEDGED or DRAINED */
} job;

typedef struct {
	text id; /* the caller keeps it */
	uint64_t seed, turn, sent, last_seen;
	enum { STARTING, READY, CLOSED } phase;
	bool shutdown_requested;
	job *jobs; /* in no order; a worker with thousands of jobs would use a hash table */
	size_t job_count, job_cap;
	void (*send)(void *context, const unsigned char *message, size_t len); /* sends a message, without a line feed */
	void *context;
} worker;

void worker_init(worker *w, text id, uint64_t seed, void (*send)(void *, const unsigned char *, size_t), void *context);
void worker_free(worker *w);

/* Handles a message. Its operation, which the caller then carries out, is in e; its strings are in storage. */
const char *worker_receive(worker *w, const unsigned char *data, size_t len, envelope *e, buffer *storage);

const char *worker_announce(worker *w);
const char *worker_fail(worker *w, text reason);
const char *worker_start(worker *w, uint64_t job_id);
const char *worker_report(worker *w, uint64_t job_id, text detail);
const char *worker_complete(worker *w, uint64_t job_id, const operation *outcome); /* its status and members */
const char *worker_acknowledge_cancel(worker *w, uint64_t job_id);
const char *worker_complete_drain(worker *w, uint64_t job_id);
const char *worker_complete_finalize(worker *w, uint64_t job_id);
const char *worker_diagnose(worker *w, diagnostic_level level, text category, text message, const text *metadata);
const char *worker_say_capacity(worker *w, uint64_t jobs); /* how many it runs at a time (section 13); 0: it leaves */
const char *worker_complete_shutdown(worker *w);

/* The state of a job by the name that the protocol has for it; NULL if the job is not known. */
const char *worker_job_state(const worker *w, uint64_t job_id);

#endif
