/*
 * encoding.h
 *		Ids as text: the encodings of flake_encode() and other functions.
 *
 * All encodings but plain digits have a fixed width and digits in ASCII order,
 * so that texts sort by COLLATE "C" as the ids do.  Each id has one text in each
 * encoding; some encodings also read other spellings of it.  Pure, see
 * layout.h.
 */
#ifndef FLAKE_ENCODING_H
#define FLAKE_ENCODING_H

typedef enum FlakeEncoding
{
	FLAKE_DIGITS,				/* decimal digits without leading zeros */
	FLAKE_DECIMAL,				/* 19 decimal digits */
	FLAKE_HEX,					/* 16 lower-case digits; reads upper case */
	FLAKE_BASE32,				/* 13 of Crockford's digits; reads lower case,
								 * I and L as 1, O as 0 */
	FLAKE_BASE58,				/* 11 of Bitcoin's digits */
	FLAKE_BASE62,				/* 11 digits from 0-9 A-Z a-z */
} FlakeEncoding;

#define FLAKE_ENCODING_COUNT	(FLAKE_BASE62 + 1)
#define FLAKE_ENCODED_MAX		19	/* bytes of the longest text */

/* Why a text was refused. */
typedef enum FlakeDecodeError
{
	FLAKE_DECODED,				/* it was not refused */
	FLAKE_DECODE_CHARACTER,		/* not a digit of the encoding */
	FLAKE_DECODE_LENGTH,		/* too short or too long */
	FLAKE_DECODE_LEADING_ZERO,	/* not allowed in plain digits */
	FLAKE_DECODE_RANGE,			/* above 2^63 - 1 */
} FlakeDecodeError;

extern const char *flake_encoding_name(FlakeEncoding encoding);
extern bool flake_encoding_by_name(const char *name, size_t len,
								   FlakeEncoding *encoding);
extern int	flake_encoding_width(FlakeEncoding encoding);
extern int	flake_encode_id(int64 id, FlakeEncoding encoding,
							char buf[FLAKE_ENCODED_MAX]);
extern FlakeDecodeError flake_decode_id(const char *text, size_t len,
										FlakeEncoding encoding,
										int64 *id, size_t *offset);

#endif							/* FLAKE_ENCODING_H */
