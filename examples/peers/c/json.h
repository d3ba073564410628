/* JSON texts in C99, as far as the protocol needs it (PROTOCOL.md, section 3). First scan_value checks a text as a whole.
 * Then the others read the parts, which cannot fail for the form of the text any more. Those that return a string return
 * NULL, or "Malformed" if the value is of another kind or out of range. Without memory the program aborts. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_DEPTH = 127 };

/* A string or a payload. It may contain NUL and does not end with one. */
typedef struct {
	const unsigned char *data;
	size_t len;
} text;

text text_of(const char *s);

/* A buffer that grows. */
typedef struct {
	unsigned char *data;
	size_t len, cap;
} buffer;

void append(buffer *b, const void *data, size_t len);
void append_string(buffer *b, const char *s);
void append_number(buffer *b, uint64_t n);

bool equal(text a, text b);

/* Reports whether a string can be sent: whether it is well-formed UTF-8. */
bool well_formed(text t);

/* A place in a text. */
typedef struct {
	const unsigned char *at, *end;
	int depth; /* of nesting; of a member that was found, how many times it occurs */
} scanner;

int peek(const scanner *s); /* the next byte, -1 at the end */
bool take(scanner *s, int c); /* skips c if it is next */
void space(scanner *s); /* skips white space */
bool scan_value(scanner *s); /* skips a value; false if it is malformed or nested too deep */

/* Finds the values of the named members in the object at s: found[i] is where the first value of names[i] begins, with
 * at NULL if it is absent; its depth is how many there are. */
const char *find_members(scanner s, const char *const *names, size_t count, scanner *found);

/* Each reads the value at s; with at NULL it is missing. A string is appended to storage, which must have room for it. */
const char *read_number(scanner s, uint64_t limit, uint64_t *n);
const char *read_string(scanner s, text *t, buffer *storage);
const char *read_name(scanner s, const char *const *names, int count, int *which);

#endif
