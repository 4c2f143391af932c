/*
 * encoding.c
 *		Ids as text: encoding and decoding.
 *
 * Decoding checks the characters, then the length, then the value, so that the
 * error is about the most obvious fault.
 */
#include "postgres.h"

#include "core/encoding.h"

#define DECIMAL_DIGITS	"0123456789"
#define UPPER_LETTERS	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LOWER_LETTERS	"abcdefghijklmnopqrstuvwxyz"

typedef struct Encoding
{
	const char *name;
	const char *digits;			/* in the order of their values */
	uint8		base;
	uint8		width;			/* number of digits; 0 if it varies */
} Encoding;

/* In the order of FlakeEncoding.  Each width is enough for 2^63 - 1. */
static const Encoding encodings[FLAKE_ENCODING_COUNT] = {
	{"digits", DECIMAL_DIGITS, 10, 0},
	{"decimal", DECIMAL_DIGITS, 10, 19},
	{"hex", DECIMAL_DIGITS "abcdef", 16, 16},
	{"base32", DECIMAL_DIGITS "ABCDEFGHJKMNPQRSTVWXYZ", 32, 13},
	{"base58", "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", 58, 11},
	{"base62", DECIMAL_DIGITS UPPER_LETTERS LOWER_LETTERS, 62, 11},
};

const char *
flake_encoding_name(FlakeEncoding encoding)
{
	return encodings[encoding].name;
}

bool
flake_encoding_by_name(const char *name, size_t len, FlakeEncoding *encoding)
{
	for (int i = 0; i < FLAKE_ENCODING_COUNT; i++)
	{
		if (len == strlen(encodings[i].name) &&
			memcmp(name, encodings[i].name, len) == 0)
		{
			*encoding = (FlakeEncoding) i;
			return true;
		}
	}
	return false;
}

/* The length of every text in an encoding; 0 if it varies. */
int
flake_encoding_width(FlakeEncoding encoding)
{
	return encodings[encoding].width;
}

/*
 * Write at least "width" digits, and return how many were written.  Inline, so
 * that "base" is a constant: dividing by a variable takes several times as long.
 */
static inline int
write_digits(uint64 id, const char *digits, unsigned int base, int width,
			 char buf[FLAKE_ENCODED_MAX])
{
	char	   *end = buf + FLAKE_ENCODED_MAX;
	char	   *at = end;

	do
	{
		*--at = digits[id % base];
		id /= base;
	} while (id > 0 || end - at < width);
	memmove(buf, at, end - at);
	return (int) (end - at);
}

/*
 * flake_encode_id encodes an id, which must not be negative, and returns the
 * length of the text.  It is ASCII and not terminated.
 */
int
flake_encode_id(int64 id, FlakeEncoding encoding, char buf[FLAKE_ENCODED_MAX])
{
	const Encoding *e = &encodings[encoding];

	switch (e->base)
	{
		case 16:
			return write_digits(id, e->digits, 16, e->width, buf);
		case 32:
			return write_digits(id, e->digits, 32, e->width, buf);
		case 58:
			return write_digits(id, e->digits, 58, e->width, buf);
		case 62:
			return write_digits(id, e->digits, 62, e->width, buf);
		default:
			return write_digits(id, e->digits, 10, e->width, buf);
	}
}

/* The value of a digit, or -1. */
static int
digit_value(const Encoding *e, FlakeEncoding encoding, char c)
{
	const char *place;

	if (encoding == FLAKE_HEX && c >= 'A' && c <= 'F')
		c += 'a' - 'A';
	else if (encoding == FLAKE_BASE32)
	{
		if (c >= 'a' && c <= 'z')
			c -= 'a' - 'A';
		/* Crockford's rule for letters that look like digits */
		if (c == 'I' || c == 'L')
			c = '1';
		else if (c == 'O')
			c = '0';
	}

	place = memchr(e->digits, c, e->base);
	return place == NULL ? -1 : (int) (place - e->digits);
}

/*
 * flake_decode_id decodes a text.
 *
 * On failure it returns the reason, and sets *offset to the offending byte, to
 * the place where characters are missing or too many begin, or to the digit that
 * makes the value too large.
 */
FlakeDecodeError
flake_decode_id(const char *text, size_t len, FlakeEncoding encoding,
				int64 *id, size_t *offset)
{
	const Encoding *e = &encodings[encoding];
	size_t		min = e->width == 0 ? 1 : e->width;
	size_t		max = e->width == 0 ? FLAKE_ENCODED_MAX : e->width;
	int64		value = 0;

	for (*offset = 0; *offset < len; (*offset)++)
		if (digit_value(e, encoding, text[*offset]) < 0)
			return FLAKE_DECODE_CHARACTER;

	if (e->width == 0 && len > 1 && text[0] == '0')
	{
		*offset = 0;
		return FLAKE_DECODE_LEADING_ZERO;
	}

	if (len < min || len > max)
	{
		*offset = Min(len, max);
		return FLAKE_DECODE_LENGTH;
	}

	for (*offset = 0; *offset < len; (*offset)++)
	{
		int			digit = digit_value(e, encoding, text[*offset]);

		if (value > (PG_INT64_MAX - digit) / e->base)
			return FLAKE_DECODE_RANGE;
		value = value * e->base + digit;
	}
	*id = value;
	return FLAKE_DECODED;
}
