#include "json.h"

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

bool equal(text a, text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

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

int peek(const scanner *s)
{
	return s->at < s->end ? *s->at : -1;
}

bool take(scanner *s, int c)
{
	if (peek(s) != c)
		return false;
	s->at++;
	return true;
}

void space(scanner *s)
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

bool scan_value(scanner *s)
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

const char *find_members(scanner s, const char *const *names, size_t count, scanner *found)
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

const char *read_number(scanner s, uint64_t limit, uint64_t *n)
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

const char *read_string(scanner s, text *t, buffer *storage)
{
	size_t start = storage->len;
	if (!s.at || peek(&s) != '"')
		return "Malformed";
	scan_string(&s, storage);
	*t = (text){storage->data + start, storage->len - start};
	return NULL;
}

const char *read_name(scanner s, const char *const *names, int count, int *which)
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
