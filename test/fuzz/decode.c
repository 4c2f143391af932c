/*
 * decode.c
 *		Fuzz target: decoding ids in all encodings.
 *
 * The first byte of the input chooses the encoding, and the rest is the text.
 */
#include "fuzz.h"

#include "core/encoding.h"

/* Is a decoded text the id's own, apart from other spellings of digits? */
static bool
same_text(const char *text, const char *own, int len, FlakeEncoding encoding)
{
	for (int i = 0; i < len; i++)
	{
		char		c = text[i];

		if (encoding == FLAKE_HEX && c >= 'A' && c <= 'F')
			c += 'a' - 'A';
		if (encoding == FLAKE_BASE32)
		{
			if (c >= 'a' && c <= 'z')
				c -= 'a' - 'A';
			c = c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c;
		}
		if (c != own[i])
			return false;
	}
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FlakeEncoding encoding;
	const char *text = (const char *) data + 1;
	size_t		len = size - 1;
	size_t		offset = 0;
	int64		id = -1;

	if (size == 0)
		return 0;
	encoding = (FlakeEncoding) (data[0] % FLAKE_ENCODING_COUNT);

	if (flake_decode_id(text, len, encoding, &id, &offset) == FLAKE_DECODED)
	{
		char		own[FLAKE_ENCODED_MAX];

		REQUIRE(id >= 0);
		REQUIRE(flake_encode_id(id, encoding, own) == (int) len);
		REQUIRE(same_text(text, own, (int) len, encoding));
	}
	else
	{
		REQUIRE(id == -1);
		REQUIRE(offset <= len);
	}

	/* take the input as an id, encode and decode it */
	if (len >= sizeof(int64))
	{
		char		own[FLAKE_ENCODED_MAX];
		int64		again;

		memcpy(&id, text, sizeof(id));
		id &= PG_INT64_MAX;
		len = flake_encode_id(id, encoding, own);
		REQUIRE(len <= FLAKE_ENCODED_MAX);
		REQUIRE(flake_encoding_width(encoding) == 0 ||
				flake_encoding_width(encoding) == (int) len);
		REQUIRE(flake_decode_id(own, len, encoding, &again, &offset) == FLAKE_DECODED);
		REQUIRE(again == id);
	}

	/* and as the name of an encoding */
	if (flake_encoding_by_name(text, size - 1, &encoding))
		REQUIRE(strlen(flake_encoding_name(encoding)) == size - 1);
	return 0;
}
