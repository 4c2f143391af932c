/*
 * answers.c
 *		What the pure part says about many layouts, ids, times and texts: the
 *		output must be the same on all processors, whatever their byte order
 *		and whether their plain char has a sign.  (P7)
 */
#include "postgres.h"

#include <stdio.h>

#include "core/encoding.h"
#include "core/layout.h"
#include "core/layout_text.h"

/* libc's: the server's are not linked. */
#undef printf

#define IDS		500				/* of each layout */
#define TEXTS	20000

/* The headers were made on another machine: what they say is true here. */
StaticAssertDecl(sizeof(void *) == SIZEOF_VOID_P, "size of a pointer");
StaticAssertDecl(sizeof(size_t) == SIZEOF_SIZE_T, "size of size_t");
StaticAssertDecl(sizeof(long) == SIZEOF_LONG, "size of long");
#ifdef WORDS_BIGENDIAN
StaticAssertDecl(__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__, "byte order");
#else
StaticAssertDecl(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "byte order");
#endif

/* Besides the presets: each kind of field, the ends of ranges, and mistakes. */
static const char *const layouts[] = {
	"time:63",
	"time:1 node:31 slot:31",
	"time:41 region:3 host:5 slot:6 sequence:8 epoch=1970-01-01",
	"time:40 shard:13=5 sequence:10 epoch=2011-08-24",
	"time:41 sequence:9 seed:5=31 pid:8 epoch=9999-12-31T23:59:59.999999Z",
	"time:31 sequence:1 slot:31 epoch=0001-01-01 tick=86400s",
	"time:50 node:5 sequence:8 epoch=1969-12-31T23:59:59.5-05:30 tick=7us",
	"",
	"time:64",
	"time:41 node:8 node:8",
	"time:41 knöten:8",
	"time:41 node:8=256",
	"time:41 node:8 epoch=2023-02-29",
	"time:41 node:8 tick=0",
};

static uint64 state = 1;

/* splitmix64: well-spread numbers, and of any size. */
static uint64
next_random(void)
{
	uint64		z = (state += UINT64CONST(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static int64
random_int64(void)
{
	uint64		bits = next_random() % 64;

	return (int64) (next_random() >> bits);
}

static void
say_number(int64 number)
{
	printf(" %lld", (long long) number);
}

static void
say_time(FlakeRange range, int64 value)
{
	printf(" %d", range);
	if (range == FLAKE_IN_RANGE)
		say_number(value);
}

static void
say_id(const FlakeLayout *layout, int64 id)
{
	int64		tick = flake_layout_tick(layout, id);
	int64		us;
	FlakeRange	range;

	say_number(id);
	say_number(tick);
	say_number(flake_layout_node(layout, id));
	say_number(flake_layout_slot(layout, id));
	say_number(flake_layout_sequence(layout, id));
	say_number(flake_layout_min_id(layout, tick));
	say_number(flake_layout_max_id_of(layout, tick));
	range = flake_layout_tick_start(layout, tick, &us);
	say_time(range, us);
	range = flake_layout_tick_start_pg(layout, tick, &us);
	say_time(range, us);
	printf("\n");
}

/* Its own text, or the error; then ids and times. */
static void
say_layout(const char *text)
{
	char		buf[FLAKE_LAYOUT_TEXT_MAX];
	FlakeLayout layout;
	FlakeLayoutError error;

	printf("layout \"%s\"\n", text);
	if (!flake_layout_parse(text, strlen(text), &layout, &error))
	{
		printf("%s\n%s\n%s\n", error.message, error.detail, error.hint);
		return;
	}
	flake_layout_format(&layout, buf, sizeof(buf));
	printf("%s\n", buf);
	flake_layout_format_full(&layout, buf, sizeof(buf));
	printf("%s\n", buf);
	if (!flake_layout_issuable(&layout, &error))
		printf("%s\n%s\n%s\n", error.message, error.detail, error.hint);

	for (int i = 0; i < IDS; i++)
	{
		int64		time = random_int64();
		int64		tick;
		FlakeRange	range;

		say_id(&layout, random_int64() & flake_layout_max_id(&layout));
		say_number(flake_layout_node_part(&layout,
										  random_int64() & flake_layout_max_node(&layout)));
		say_number(time);
		range = flake_layout_tick_at(&layout, time, &tick);
		say_time(range, tick);
		range = flake_layout_tick_at_pg(&layout, time, &tick);
		say_time(range, tick);
		printf("\n");
	}
}

/* An id in an encoding, and what is read when a byte of it is another. */
static void
say_text(void)
{
	FlakeEncoding encoding = (FlakeEncoding) (next_random() % FLAKE_ENCODING_COUNT);
	char		text[FLAKE_ENCODED_MAX];
	int64		id = random_int64() & PG_INT64_MAX;
	int			len = flake_encode_id(id, encoding, text);
	size_t		offset = 0;
	FlakeDecodeError error;

	printf("%s %.*s", flake_encoding_name(encoding), len, text);
	text[next_random() % len] = (char) next_random();
	error = flake_decode_id(text, len, encoding, &id, &offset);
	printf(" %d %d", error, (int) offset);
	if (error == FLAKE_DECODED)
		say_number(id);
	printf("\n");
}

int
main(void)
{
	for (int i = 0; i < flake_layout_preset_count; i++)
		say_layout(flake_layout_presets[i].name);
	for (int i = 0; i < (int) lengthof(layouts); i++)
		say_layout(layouts[i]);
	for (int i = 0; i < TEXTS; i++)
		say_text();
	return 0;
}
