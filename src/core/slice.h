/*
 * slice.h
 *		Pieces of a text that is being parsed.
 *
 * A slice has a length instead of a terminating zero, so that it can be taken
 * apart without copying.  Pure, see layout.h.
 */
#ifndef FLAKE_SLICE_H
#define FLAKE_SLICE_H

#include "common/int.h"

typedef struct Slice
{
	const char *text;
	size_t		len;
} Slice;

static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static inline bool
equals(Slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.text, text, s.len) == 0;
}

/* The first n bytes, and the rest. */
static inline Slice
head(Slice s, size_t n)
{
	s.len = n;
	return s;
}

static inline Slice
tail(Slice s, size_t n)
{
	s.text += n;
	s.len -= n;
	return s;
}

/* Take the next word off *rest; false if there is none. */
static inline bool
next_word(Slice *rest, Slice *word)
{
	size_t		n = 0;

	while (rest->len > 0 && is_space(*rest->text))
		*rest = tail(*rest, 1);
	while (n < rest->len && !is_space(rest->text[n]))
		n++;
	*word = head(*rest, n);
	*rest = tail(*rest, n);
	return n > 0;
}

/* The offset of the first ':' or '=', or the word's length. */
static inline size_t
find_separator(Slice word)
{
	size_t		n = 0;

	while (n < word.len && word.text[n] != ':' && word.text[n] != '=')
		n++;
	return n;
}

static inline size_t
count_digits(Slice s)
{
	size_t		n = 0;

	while (n < s.len && is_digit(s.text[n]))
		n++;
	return n;
}

/* The value of a string of digits, or PG_INT64_MAX if it is larger. */
static inline int64
number_of(Slice digits)
{
	int64		value = 0;

	for (size_t i = 0; i < digits.len; i++)
	{
		if (pg_mul_s64_overflow(value, 10, &value) ||
			pg_add_s64_overflow(value, digits.text[i] - '0', &value))
			return PG_INT64_MAX;
	}
	return value;
}

#endif							/* FLAKE_SLICE_H */
