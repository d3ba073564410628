/* A program for examples/conform: obeys the commands on descriptor 3 with the worker's half of the protocol.
 *
 *	cc -std=c99 -O2 -o peer examples/peers/c/peer.c examples/peers/c/worker.c examples/peers/c/envelope.c
 *	go run ./examples/conform worker -- ./peer
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker.h"

/* What has been sent but not written, as lines. */
static struct {
	buffer lines;
	bool held;
} outbox;

static void queue_message(void *context, const unsigned char *message, size_t len)
{
	(void)context;
	append(&outbox.lines, message, len);
	append(&outbox.lines, "\n", 1);
}

/* Writes up to so many messages and returns how many these were. */
static int flush_outbox(int most)
{
	int count = 0;
	size_t written = 0;
	for (; count < most && written < outbox.lines.len; count++) {
		unsigned char *first = outbox.lines.data + written;
		size_t len = (size_t)((unsigned char *)memchr(first, '\n', outbox.lines.len - written) - first) + 1;
		fwrite(first, 1, len, stdout);
		written += len;
	}
	fflush(stdout);
	outbox.lines.len -= written;
	if (written > 0)
		memmove(outbox.lines.data, outbox.lines.data + written, outbox.lines.len);
	return count;
}

static bool read_line(FILE *from, buffer *line)
{
	int c;
	line->len = 0;
	while ((c = getc(from)) != EOF && c != '\n') {
		unsigned char b = (unsigned char)c;
		append(line, &b, 1);
	}
	return c != EOF;
}

/* Returns the next argument of a command and ends it with NUL. */
static char *word(char **rest)
{
	char *start = *rest, *end = strchr(start, ' ');
	if (end)
		*end = 0;
	*rest = end ? end + 1 : start + strlen(start);
	return start;
}

static uint64_t number(char **rest)
{
	return strtoull(word(rest), NULL, 10);
}

/* Decodes the hex of a string or payload in place. */
static text bytes(char **rest)
{
	char *hex = word(rest);
	size_t len = *hex ? strlen(hex + 1) / 2 : 0;
	for (size_t i = 0; i < len; i++) {
		char digits[3] = {hex[1 + 2 * i], hex[2 + 2 * i], 0};
		hex[i] = (char)strtoul(digits, NULL, 16);
	}
	return (text){(unsigned char *)hex, len};
}

static int which(const char *name, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	fprintf(stderr, "unknown name %s\n", name);
	exit(1);
}

static const char *complete_job(worker *w, char **rest)
{
	uint64_t id = number(rest);
	operation op = {.status = (outcome_status)which(word(rest), status_names, STATUSES)};
	switch (op.status) {
	case OK:
		op.payload = bytes(rest);
		break;
	case ERR:
		op.code = bytes(rest);
		op.message = bytes(rest);
		break;
	case CANCELLED:
		op.reason = bytes(rest);
		break;
	default:
		op.message = bytes(rest);
	}
	return worker_complete(w, id, &op);
}

static const char *diagnose(worker *w, char **rest)
{
	diagnostic_level level = (diagnostic_level)which(word(rest), level_names, LEVELS);
	text category = bytes(rest), message = bytes(rest), metadata;
	if (**rest == '-')
		return worker_diagnose(w, level, category, message, NULL);
	metadata = bytes(rest);
	return worker_diagnose(w, level, category, message, &metadata);
}

static void new_worker(worker *w, buffer *id, char **rest)
{
	text name = bytes(rest);
	id->len = 0;
	append(id, name.data, name.len);
	worker_free(w);
	worker_init(w, (text){id->data, id->len}, number(rest), queue_message, NULL);
	outbox.lines.len = 0;
	outbox.held = false;
}

int main(void)
{
	FILE *commands = fdopen(3, "r"), *replies = fdopen(4, "w");
	buffer line = {0}, message = {0}, storage = {0}, reply = {0}, id = {0};
	worker w = {0};
	if (!commands || !replies) {
		fprintf(stderr, "peer: descriptors 3 and 4 are not open\n");
		return 2;
	}
	while (read_line(commands, &line)) {
		append(&line, "", 1);
		char *rest = (char *)line.data, *name = word(&rest);
		const char *error = NULL;
		reply.len = 0;
		if (strcmp(name, "new") == 0) {
			new_worker(&w, &id, &rest);
		} else if (strcmp(name, "receive") == 0) {
			envelope e;
			read_line(stdin, &message);
			error = worker_receive(&w, message.data, message.len, &e, &storage);
			if (!error)
				write_op(&reply, &e.op);
		} else if (strcmp(name, "hold") == 0) {
			outbox.held = true;
		} else if (strcmp(name, "job") == 0) {
			const char *state = worker_job_state(&w, number(&rest));
			append_string(&reply, state ? state : "none");
		} else if (strcmp(name, "announce") == 0) {
			error = worker_announce(&w);
		} else if (strcmp(name, "fail") == 0) {
			error = worker_fail(&w, bytes(&rest));
		} else if (strcmp(name, "start") == 0) {
			error = worker_start(&w, number(&rest));
		} else if (strcmp(name, "report") == 0) {
			uint64_t job_id = number(&rest);
			error = worker_report(&w, job_id, bytes(&rest));
		} else if (strcmp(name, "complete") == 0) {
			error = complete_job(&w, &rest);
		} else if (strcmp(name, "acknowledge_cancel") == 0) {
			error = worker_acknowledge_cancel(&w, number(&rest));
		} else if (strcmp(name, "complete_drain") == 0) {
			error = worker_complete_drain(&w, number(&rest));
		} else if (strcmp(name, "complete_finalize") == 0) {
			error = worker_complete_finalize(&w, number(&rest));
		} else if (strcmp(name, "diagnose") == 0) {
			error = diagnose(&w, &rest);
		} else if (strcmp(name, "say_capacity") == 0) {
			error = worker_say_capacity(&w, number(&rest));
		} else if (strcmp(name, "complete_shutdown") == 0) {
			error = worker_complete_shutdown(&w);
		} else if (strcmp(name, "advance_turn") == 0) {
			w.turn++;
		} else if (strcmp(name, "send") != 0) {
			fprintf(replies, "unsupported\n");
			fflush(replies);
			continue;
		}
		int count = flush_outbox(strcmp(name, "send") == 0 ? 1 : outbox.held ? 0 : INT_MAX);
		if (error)
			fprintf(replies, "refused %d %s\n", count, error);
		else
			fprintf(replies, "ok %d %.*s\n", count, (int)reply.len, reply.len ? (char *)reply.data : "");
		fflush(replies);
	}
	worker_free(&w);
	free(line.data);
	free(message.data);
	free(storage.data);
	free(reply.data);
	free(id.data);
	free(outbox.lines.data);
	return 0;
}
