/*
 * layout.c
 *		Fuzz target: the parser of layouts, and the arithmetic of every layout
 *		that it accepts.
 *
 * The input is the text of a layout.  Ids and times are derived from it, so that
 * the same input always does the same.
 */
#include "fuzz.h"

#include "core/layout.h"

#define MIN_EPOCH_US	INT64CONST(-62135596800000000)	/* 0001-01-01 */
#define MAX_EPOCH_US	INT64CONST(253402300799999999)	/* 9999-12-31 */

/* splitmix64 */
static uint64
next_random(uint64 *state)
{
	uint64		z = (*state += UINT64CONST(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* A number of random size, often near the limits of an int64. */
static int64
random_int64(uint64 *state)
{
	uint64		r = next_random(state);
	int64		small = (int64) (next_random(state) >> (r % 64));

	switch (r >> 61)
	{
		case 0:
			return PG_INT64_MIN + (small & 0xFF);
		case 1:
			return PG_INT64_MAX - (small & 0xFF);
		case 2:
			return -(small & PG_INT64_MAX);
		default:
			return small;
	}
}

static void
check_error(const FlakeLayoutError *error)
{
	REQUIRE(memchr(error->message, '\0', sizeof(error->message)) != NULL);
	REQUIRE(memchr(error->detail, '\0', sizeof(error->detail)) != NULL);
	REQUIRE(memchr(error->hint, '\0', sizeof(error->hint)) != NULL);
	REQUIRE(error->message[0] != '\0');
}

/* What must hold for every layout. */
static void
check_rules(const FlakeLayout *layout)
{
	int			bits = 0;
	int			node_bits = 0;
	int			free_node_bits = 0;
	int64		fixed_id = 0;

	REQUIRE(layout->nfields >= 1 && layout->nfields <= FLAKE_MAX_FIELDS);
	REQUIRE(layout->fields[0].kind == FLAKE_FIELD_TIME);
	REQUIRE(layout->epoch_us >= MIN_EPOCH_US && layout->epoch_us <= MAX_EPOCH_US);
	REQUIRE(layout->tick_us >= 1 && layout->tick_us <= FLAKE_MAX_TICK_US);

	for (int i = layout->nfields - 1; i >= 0; i--)
	{
		const FlakeField *field = &layout->fields[i];

		REQUIRE(field->bits >= 1 && field->shift == bits);
		REQUIRE((field->kind == FLAKE_FIELD_TIME) == (i == 0));
		bits += field->bits;
		node_bits += field->kind == FLAKE_FIELD_NODE ? field->bits : 0;
		free_node_bits += field->kind == FLAKE_FIELD_NODE && !field->fixed ?
			field->bits : 0;
		REQUIRE(!field->fixed || field->kind == FLAKE_FIELD_NODE);
		REQUIRE(field->value >= 0 && field->value <= flake_mask(field->bits));
		REQUIRE(field->fixed || field->value == 0);
		fixed_id |= field->value << field->shift;
	}
	REQUIRE(bits <= FLAKE_ID_BITS);
	REQUIRE(bits == layout->time_bits + layout->time_shift);
	REQUIRE(node_bits == layout->node_bits && node_bits <= FLAKE_MAX_NODE_BITS);
	REQUIRE(free_node_bits == layout->free_node_bits);
	REQUIRE(fixed_id == layout->fixed_id);
	REQUIRE(layout->slot_bits <= FLAKE_MAX_SLOT_BITS);
	REQUIRE(layout->seq_bits <= FLAKE_MAX_SEQUENCE_BITS);
}

/* Its text must be parsed to the same layout, which must have the same text. */
static void
check_text(const FlakeLayout *layout,
		   size_t (*format) (const FlakeLayout *, char *, size_t))
{
	char		once[FLAKE_LAYOUT_TEXT_MAX];
	char		twice[FLAKE_LAYOUT_TEXT_MAX];
	char		cut[16];
	size_t		len = format(layout, once, sizeof(once));
	FlakeLayout again;
	FlakeLayoutError error;

	REQUIRE(len < sizeof(once) && strlen(once) == len);
	REQUIRE(flake_layout_parse(once, len, &again, &error));
	REQUIRE(memcmp(&again, layout, sizeof(again)) == 0);
	REQUIRE(format(&again, twice, sizeof(twice)) == len);
	REQUIRE(strcmp(once, twice) == 0);
	REQUIRE(format(layout, cut, sizeof(cut)) == len);
	REQUIRE(strlen(cut) == Min(len, sizeof(cut) - 1));
}

/* The canonical text must be a single word only if it is the name of a preset. */
static void
check_preset(const FlakeLayout *layout)
{
	char		text[FLAKE_LAYOUT_TEXT_MAX];
	char		full[FLAKE_LAYOUT_TEXT_MAX];
	bool		is_name;

	flake_layout_format(layout, text, sizeof(text));
	flake_layout_format_full(layout, full, sizeof(full));
	is_name = strchr(text, ':') == NULL;
	REQUIRE(is_name == (strchr(text, ' ') == NULL));
	REQUIRE(is_name == (strcmp(text, full) != 0));
	REQUIRE(!is_name || layout->node_bits == layout->free_node_bits);
}

/* An id must be the sum of its fields, if fixed parts have their values. */
static void
check_id(const FlakeLayout *layout, int64 id)
{
	int64		tick = flake_layout_tick(layout, id);
	int64		node = flake_layout_node(layout, id);
	int64		slot = flake_layout_slot(layout, id);
	int64		sequence = flake_layout_sequence(layout, id);
	int64		lowest = flake_layout_min_id(layout, tick);
	int64		highest = flake_layout_max_id_of(layout, tick);
	int64		server = 0;
	int64		fixed_mask = 0;
	int64		part;

	for (int i = 0; i < layout->nfields; i++)
	{
		const FlakeField *field = &layout->fields[i];

		if (field->fixed)
			fixed_mask |= flake_mask(field->bits) << field->shift;
		else if (field->kind == FLAKE_FIELD_NODE)
			server = server << field->bits |
				(id >> field->shift & flake_mask(field->bits));
	}
	REQUIRE(server <= flake_layout_max_node(layout));
	part = flake_layout_node_part(layout, server);

	REQUIRE(flake_layout_has(layout, id));
	REQUIRE(tick >= 0 && tick <= flake_layout_max_tick(layout));
	REQUIRE(node >= 0 && node <= flake_mask(layout->node_bits));
	REQUIRE((lowest | part | slot << layout->slot_shift |
			 sequence << layout->seq_shift) ==
			((id & ~fixed_mask) | layout->fixed_id));
	REQUIRE(fixed_mask != 0 || flake_layout_node(layout, part) == node);
	REQUIRE((layout->fixed_id & ~fixed_mask) == 0);
	REQUIRE(lowest <= id && id <= highest);
	REQUIRE(flake_layout_tick(layout, lowest) == tick);
	REQUIRE(flake_layout_tick(layout, highest) == tick);
	REQUIRE(!flake_layout_has(layout, -1));
	REQUIRE(flake_layout_max_id(layout) == PG_INT64_MAX ||
			!flake_layout_has(layout, flake_layout_max_id(layout) + 1));
}

/* Convert a time to a tick and back, by one of the two pairs of functions. */
static void
check_time(const FlakeLayout *layout, int64 time,
		   FlakeRange (*tick_at) (const FlakeLayout *, int64, int64 *),
		   FlakeRange (*tick_start) (const FlakeLayout *, int64, int64 *))
{
	int64		tick;
	int64		start;
	int64		next;
	FlakeRange	range = tick_at(layout, time, &tick);

	REQUIRE((range == FLAKE_BEFORE) == (tick < 0));
	REQUIRE((range == FLAKE_AFTER) == (tick > flake_layout_max_tick(layout) ||
									   (range == FLAKE_AFTER && tick == PG_INT64_MAX)));
	if (tick == PG_INT64_MAX || tick == PG_INT64_MIN)
		return;					/* clamped, perhaps */

	/* the tick must have begun (perhaps before what fits an int64) ... */
	range = tick_start(layout, tick, &start);
	REQUIRE(range == FLAKE_IN_RANGE || (range == FLAKE_BEFORE && tick < 0));
	REQUIRE(start <= time);
	/* ... and the next one must not */
	range = tick_start(layout, tick + 1, &next);
	REQUIRE(range != FLAKE_BEFORE);
	REQUIRE(range == FLAKE_AFTER || next > time);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FlakeLayout layout;
	FlakeLayoutError error;
	uint64		state = UINT64CONST(14695981039346656037);

	if (!flake_layout_parse((const char *) data, size, &layout, &error))
	{
		check_error(&error);
		return 0;
	}

	check_rules(&layout);
	check_text(&layout, flake_layout_format);
	check_text(&layout, flake_layout_format_full);
	check_preset(&layout);
	if (!flake_layout_issuable(&layout, &error))
		check_error(&error);

	for (size_t i = 0; i < size; i++)
		state = (state ^ data[i]) * UINT64CONST(1099511628211);
	check_id(&layout, 0);
	check_id(&layout, flake_layout_max_id(&layout));
	for (int i = 0; i < 8; i++)
	{
		int64		start;

		check_id(&layout, (int64) (next_random(&state) >> 1) & flake_layout_max_id(&layout));
		check_time(&layout, random_int64(&state),
				   flake_layout_tick_at, flake_layout_tick_start);
		check_time(&layout, random_int64(&state),
				   flake_layout_tick_at_pg, flake_layout_tick_start_pg);
		/* these accept any tick */
		flake_layout_tick_start(&layout, random_int64(&state), &start);
		flake_layout_tick_start_pg(&layout, random_int64(&state), &start);
	}
	return 0;
}
