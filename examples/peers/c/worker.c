#include "worker.h"

#include <stdlib.h>
#include <string.h>

/* What may happen to a job, as the table of section 10: the states in which it may, a bit for each, the state that
 * follows, and the error in every other state. */
typedef struct {
	unsigned from;
	int to;
	const char *otherwise;
} rule;

#define IN(state) (1u << (state))
#define FORGOTTEN CREATED

static const rule
	cancel = {IN(QUEUED) | IN(RUNNING), CANCEL_REQUESTED, "InvalidTransition"},
	drain = {IN(ACKNOWLEDGED), DRAINING, "InvalidTransition"},
	finalize = {IN(DRAINED), FINALIZING, "InvalidTransition"},
	start = {IN(QUEUED), RUNNING, "InvalidTransition"},
	complete = {IN(QUEUED) | IN(RUNNING) | IN(CANCEL_REQUESTED), FORGOTTEN, "UnexpectedCompletionPhase"},
	acknowledge = {IN(CANCEL_REQUESTED), ACKNOWLEDGED, "InvalidTransition"},
	drained = {IN(DRAINING), DRAINED, "InvalidTransition"},
	finalized = {IN(FINALIZING), FORGOTTEN, "InvalidTransition"};

static const unsigned reportable = IN(QUEUED) | IN(RUNNING), answered = IN(ACKNOWLEDGED) | IN(DRAINED);

void worker_init(worker *w, text id, uint64_t seed, void (*send)(void *, const unsigned char *, size_t), void *context)
{
	*w = (worker){.id = id, .seed = seed, .send = send, .context = context};
}

void worker_free(worker *w)
{
	free(w->jobs);
	w->jobs = NULL;
	w->job_count = w->job_cap = 0;
}

static job *find(const worker *w, uint64_t job_id)
{
	for (size_t i = 0; i < w->job_count; i++)
		if (w->jobs[i].id == job_id)
			return &w->jobs[i];
	return NULL;
}

static void forget(worker *w, job *j)
{
	*j = w->jobs[--w->job_count];
}

static void add(worker *w, uint64_t job_id, uint64_t region_id)
{
	if (w->job_count == w->job_cap) {
		w->job_cap = w->job_cap ? w->job_cap * 2 : 16;
		job *grown = realloc(w->jobs, w->job_cap * sizeof *grown);
		if (!grown)
			abort();
		w->jobs = grown;
	}
	w->jobs[w->job_count++] = (job){job_id, region_id, 0, QUEUED};
}

static int public_state(int state)
{
	return state == ACKNOWLEDGED ? CANCEL_REQUESTED : state == DRAINED ? DRAINING : state;
}

static void forget_if_answered(worker *w, job *j)
{
	if (answered & IN(j->state))
		forget(w, j); /* no request about it follows */
}

static void post(worker *w, job *about, operation op)
{
	uint64_t n = ++w->sent;
	envelope e = {
		.version = 1, .message_id = n, .seq_no = n, .decision_seq = n, .seed = w->seed, .issued_at_turn = w->turn,
		.has_worker_id = true, .worker_id = w->id, .op = op,
	};
	buffer message = {0};
	e.replay_hash = replay_digest(&e);
	write_envelope(&message, &e);
	w->send(w->context, message.data, message.len);
	free(message.data);
	if (about)
		about->last_seq_no = n;
}

static void snapshot(worker *w, job *j, const text *detail)
{
	operation op = {.type = STATUS_SNAPSHOT, .job_id = j->id, .state = (job_state)public_state(j->state)};
	if (detail) {
		op.has_optional = true;
		op.optional = *detail;
	}
	post(w, j, op);
}

static const char *step(job *j, const rule *r)
{
	if (!j)
		return "UnknownJobID";
	if (!(r->from & IN(j->state)))
		return r->otherwise;
	j->state = r->to;
	return NULL;
}

/* --- Messages of the coordinator --- */

static const char *apply(worker *w, const operation *op)
{
	job *j = find(w, op->job_id);
	switch (op->type) {
	case SPAWN_JOB:
		if (j)
			return "DuplicateJobID";
		add(w, op->job_id, op->region_id);
		return NULL;
	case POLL_STATUS:
		if (w->phase == READY && j && (reportable & IN(j->state)))
			snapshot(w, j, NULL);
		return NULL;
	case CANCEL_JOB:
		return j ? step(j, &cancel) : NULL; /* otherwise it has ended while the request travelled */
	case DRAIN_JOB:
		return step(j, &drain);
	case FINALIZE_JOB:
		return step(j, &finalize);
	default: /* SHUTDOWN_WORKER */
		w->shutdown_requested = true;
		for (size_t i = w->job_count; i-- > 0;)
			forget_if_answered(w, &w->jobs[i]);
		return NULL;
	}
}

const char *worker_receive(worker *w, const unsigned char *data, size_t len, envelope *e, buffer *storage)
{
	const char *error = read_envelope(data, len, e, storage);
	if (error || (error = validate(e)))
		return error;
	if (w->phase == CLOSED)
		return NULL;
	if (!from_coordinator(e->op.type))
		return "UnexpectedDirection";
	if (e->seq_no <= w->last_seen)
		return "InboundSequenceNotFresh";
	w->last_seen = e->seq_no;
	return apply(w, &e->op);
}

/* --- Calls of the application --- */

static const char *check_ready(const worker *w)
{
	return w->phase == READY ? NULL : w->phase == STARTING ? "WorkerNotReady" : "WorkerClosed";
}

static void close_worker(worker *w, operation last)
{
	w->phase = CLOSED;
	post(w, NULL, last);
	w->job_count = 0;
}

const char *worker_announce(worker *w)
{
	if (!well_formed(w->id))
		return "InvalidValue";
	if (w->phase != STARTING)
		return w->phase == READY ? "AlreadyAnnounced" : "WorkerClosed";
	w->phase = READY;
	post(w, NULL, (operation){.type = BOOTSTRAP_READY, .worker_id = w->id});
	return NULL;
}

const char *worker_fail(worker *w, text reason)
{
	if (!well_formed(w->id) || !well_formed(reason))
		return "InvalidValue";
	if (w->phase == CLOSED)
		return "WorkerClosed";
	close_worker(w, (operation){.type = BOOTSTRAP_FAILED, .worker_id = w->id, .reason = reason});
	return NULL;
}

const char *worker_start(worker *w, uint64_t job_id)
{
	const char *error = check_ready(w);
	job *j = find(w, job_id);
	if (error || (error = step(j, &start)))
		return error;
	snapshot(w, j, NULL);
	return NULL;
}

const char *worker_report(worker *w, uint64_t job_id, text detail)
{
	if (!well_formed(detail))
		return "InvalidValue";
	const char *error = check_ready(w);
	job *j = find(w, job_id);
	if (error)
		return error;
	if (!j)
		return "UnknownJobID";
	if (!(reportable & IN(j->state)))
		return "InvalidStatusSnapshotState";
	snapshot(w, j, &detail);
	return NULL;
}

const char *worker_complete(worker *w, uint64_t job_id, const operation *outcome)
{
	operation op = *outcome;
	if ((op.status == ERR && !well_formed(op.code)) || ((op.status == ERR || op.status == PANICKED) && !well_formed(op.message)) ||
	    (op.status == CANCELLED && !well_formed(op.reason)))
		return "InvalidValue";
	const char *error = check_ready(w);
	if (error)
		return error;
	if (op.status == OK && op.payload.len > MAX_PAYLOAD)
		return "PayloadTooLarge";
	job *j = find(w, job_id);
	if ((error = step(j, &complete)))
		return error;
	op.type = JOB_COMPLETED;
	op.job_id = job_id;
	post(w, j, op);
	forget(w, j);
	return NULL;
}

/* Answers a request of the cancel handshake. */
static const char *answer(worker *w, uint64_t job_id, const rule *r, op_type type)
{
	const char *error = check_ready(w);
	job *j = find(w, job_id);
	if (error || (error = step(j, r)))
		return error;
	post(w, j, (operation){.type = type, .job_id = job_id});
	if (j->state == FORGOTTEN)
		forget(w, j);
	else if (w->shutdown_requested) /* the last word on the job */
		forget_if_answered(w, j);
	return NULL;
}

const char *worker_acknowledge_cancel(worker *w, uint64_t job_id)
{
	return answer(w, job_id, &acknowledge, CANCEL_ACKNOWLEDGED);
}

const char *worker_complete_drain(worker *w, uint64_t job_id)
{
	return answer(w, job_id, &drained, DRAIN_COMPLETED);
}

const char *worker_complete_finalize(worker *w, uint64_t job_id)
{
	return answer(w, job_id, &finalized, FINALIZE_COMPLETED);
}

const char *worker_diagnose(worker *w, diagnostic_level level, text category, text message, const text *metadata)
{
	if (!well_formed(category) || !well_formed(message) || (metadata && !well_formed(*metadata)))
		return "InvalidValue";
	const char *error = check_ready(w);
	if (error)
		return error;
	operation op = {.type = DIAGNOSTIC, .level = level, .category = category, .message = message};
	if (metadata) {
		op.has_optional = true;
		op.optional = *metadata;
	}
	post(w, NULL, op);
	return NULL;
}

const char *worker_say_capacity(worker *w, uint64_t jobs)
{
	buffer number = {0};
	append_number(&number, jobs);
	text message = {number.data, number.len};
	const char *error = worker_diagnose(w, INFO, text_of("workerchannel.capacity"), message, NULL);
	free(number.data);
	return error;
}

const char *worker_complete_shutdown(worker *w)
{
	const char *error = check_ready(w);
	if (!error)
		close_worker(w, (operation){.type = SHUTDOWN_COMPLETED});
	return error;
}

const char *worker_job_state(const worker *w, uint64_t job_id)
{
	const job *j = find(w, job_id);
	return j ? state_names[public_state(j->state)] : NULL;
}
