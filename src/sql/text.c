/*
 * text.c
 *		SQL functions that convert ids to text and back; and flake_shard().
 *
 * A prefix is inserted before character pos of an id's text: 0 puts it in front,
 * the length of the text puts it at the end.  The text of an id is ASCII in
 * every encoding, so its characters are bytes.
 *
 * All functions are immutable and need no layout: every bigint from 0 on is an
 * id here.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "core/encoding.h"
#include "server/compat.h"
#include "sql/text.h"

PG_FUNCTION_INFO_V1(flake_encode);
PG_FUNCTION_INFO_V1(flake_decode);
PG_FUNCTION_INFO_V1(flake_format);
PG_FUNCTION_INFO_V1(flake_unformat);
PG_FUNCTION_INFO_V1(flake_shard);

/* The encoding of a name. */
FlakeEncoding
flake_encoding_arg(const text *name)
{
	FlakeEncoding encoding;

	if (!flake_encoding_by_name(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
								&encoding))
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("unrecognized encoding \"%s\"", text_to_cstring(name)),
				errdetail("Encodings are \"digits\", \"decimal\", \"hex\", \"base32\", \"base58\" and \"base62\"."));
	return encoding;
}

/* Writes an id and returns the number of characters. */
static int
encode_checked(int64 id, FlakeEncoding encoding, char buf[FLAKE_ENCODED_MAX])
{
	if (id < 0)
		ereport(ERROR,
				errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				errmsg("id out of range: %lld", (long long) id),
				errdetail("Ids range from 0 to %lld.", (long long) PG_INT64_MAX));
	return flake_encode_id(id, encoding, buf);
}

static void
check_position(int pos, int len)
{
	if (pos < 0 || pos > len)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("position out of range: %d", pos),
				errdetail("Valid positions are 0 to %d, the length of the id's text.",
						  len));
}

/* Raises an error if a position is outside of the text of an id. */
void
flake_check_position(int64 lowest_id, int pos, FlakeEncoding encoding)
{
	char		buf[FLAKE_ENCODED_MAX];

	check_position(pos, encode_checked(lowest_id, encoding, buf));
}

/* The text of an id, with a prefix before character pos. */
text *
flake_format_id(int64 id, const text *prefix, int pos, FlakeEncoding encoding)
{
	char		buf[FLAKE_ENCODED_MAX];
	int			len = encode_checked(id, encoding, buf);
	int			prefix_len = VARSIZE_ANY_EXHDR(prefix);
	text	   *result;
	char	   *at;

	check_position(pos, len);
	result = palloc(VARHDRSZ + prefix_len + len);
	SET_VARSIZE(result, VARHDRSZ + prefix_len + len);
	at = VARDATA(result);
	memcpy(at, buf, pos);
	memcpy(at + pos, VARDATA_ANY(prefix), prefix_len);
	memcpy(at + pos + prefix_len, buf + pos, len - pos);
	return result;
}

/*
 * errdetail() for an id of len characters that flake_decode_id() refused because
 * of the character at an offset of value.
 */
static int
errdetail_decode(FlakeDecodeError error, const text *value, size_t offset,
				 int len, FlakeEncoding encoding)
{
	const char *name = flake_encoding_name(encoding);
	const char *str = VARDATA_ANY(value);
	int			rest = VARSIZE_ANY_EXHDR(value) - offset;

	switch (error)
	{
		case FLAKE_DECODE_CHARACTER:
			return errdetail("Character %d, \"%.*s\", is not a digit of encoding \"%s\".",
							 pg_mbstrlen_with_len(str, offset) + 1,
							 Min(pg_mblen(str + offset), rest), str + offset,
							 name);
		case FLAKE_DECODE_LENGTH:
			if (flake_encoding_width(encoding) > 0)
				return errdetail("In encoding \"%s\", an id has %d characters, not %d.",
								 name, flake_encoding_width(encoding), len);
			return errdetail("In encoding \"%s\", an id has 1 to %d characters, not %d.",
							 name, FLAKE_ENCODED_MAX, len);
		case FLAKE_DECODE_LEADING_ZERO:
			return errdetail("In encoding \"%s\", an id has no leading zeros.",
							 name);
		case FLAKE_DECODE_RANGE:
			return errdetail("Its value exceeds %lld.", (long long) PG_INT64_MAX);
		case FLAKE_DECODED:
			break;
	}
	return 0;
}

Datum
flake_encode(PG_FUNCTION_ARGS)
{
	char		buf[FLAKE_ENCODED_MAX];
	int			len = encode_checked(PG_GETARG_INT64(0),
									 flake_encoding_arg(PG_GETARG_TEXT_PP(1)),
									 buf);

	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf, len));
}

Datum
flake_decode(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	FlakeEncoding encoding = flake_encoding_arg(PG_GETARG_TEXT_PP(1));
	int			len = VARSIZE_ANY_EXHDR(value);
	int64		id;
	size_t		offset;
	FlakeDecodeError error = flake_decode_id(VARDATA_ANY(value), len, encoding,
											 &id, &offset);

	if (error != FLAKE_DECODED)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg("invalid id in encoding \"%s\": \"%s\"",
					   flake_encoding_name(encoding), text_to_cstring(value)),
				errdetail_decode(error, value, offset, len, encoding));
	PG_RETURN_INT64(id);
}

Datum
flake_format(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(flake_format_id(PG_GETARG_INT64(0),
									 PG_GETARG_TEXT_PP(1),
									 PG_GETARG_INT32(2),
									 flake_encoding_arg(PG_GETARG_TEXT_PP(3))));
}

/*
 * The id in a text that flake_format() made.  The text without the prefix must
 * be an id.
 */
Datum
flake_unformat(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	text	   *prefix = PG_GETARG_TEXT_PP(1);
	int			pos = PG_GETARG_INT32(2);
	FlakeEncoding encoding = flake_encoding_arg(PG_GETARG_TEXT_PP(3));
	const char *str = VARDATA_ANY(value);
	int			prefix_len = VARSIZE_ANY_EXHDR(prefix);
	int			len = VARSIZE_ANY_EXHDR(value) - prefix_len;
	char	   *digits;
	int64		id;
	size_t		offset;
	FlakeDecodeError error;

	/* the longest text that an id can have */
	check_position(pos, flake_encoding_width(encoding) > 0 ?
				   flake_encoding_width(encoding) : FLAKE_ENCODED_MAX);

	if (len < pos || memcmp(str + pos, VARDATA_ANY(prefix), prefix_len) != 0)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg("invalid id with prefix \"%s\": \"%s\"",
					   text_to_cstring(prefix), text_to_cstring(value)),
				errdetail("The text does not have this prefix at position %d.", pos));

	digits = palloc(len);
	memcpy(digits, str, pos);
	memcpy(digits + pos, str + pos + prefix_len, len - pos);
	error = flake_decode_id(digits, len, encoding, &id, &offset);

	if (error != FLAKE_DECODED)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg("invalid id with prefix \"%s\": \"%s\"",
					   text_to_cstring(prefix), text_to_cstring(value)),
				errdetail_decode(error, value,
								 offset < (size_t) pos ? offset : offset + prefix_len,
								 len, encoding));
	PG_RETURN_INT64(id);
}

/* The shard of an id.  Rows were stored by this formula: never change it. */
Datum
flake_shard(PG_FUNCTION_ARGS)
{
	Datum		id = PG_GETARG_DATUM(0);
	int32		shards = PG_GETARG_INT32(1);
	uint64		hash;

	if (shards < 1)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("number of shards out of range: %d", shards),
				errdetail("Valid numbers are 1 to %d.", PG_INT32_MAX));

	hash = DatumGetUInt64(DirectFunctionCall2(hashint8extended, id,
											  Int64GetDatum(0)));
	PG_RETURN_INT32((int32) (hash % (uint64) shards));
}
