/*
 * layout.c
 *		The arithmetic of layouts: between times and ticks, between nodes and
 *		the bits of an id.
 *
 * Pure, as layout.h says.  Every function is right for every int64: what does
 * not fit is reported, and nothing overflows.  The text form of layouts is in
 * layout_text.c.
 */
#include "postgres.h"

#include "common/int.h"

#include "core/layout.h"

/* libc's: the server's own pg_snprintf() would have to be linked. */
#undef snprintf

/*
 * flake_layout_issuable tells whether ids can be issued by a layout, and not
 * merely read; if not, *error says why.
 */
bool
flake_layout_issuable(const FlakeLayout *layout, FlakeLayoutError *error)
{
	memset(error, 0, sizeof(*error));
	if (layout->node_bits > FLAKE_MAX_ISSUE_NODE_BITS)
		snprintf(error->detail, sizeof(error->detail),
				 "It has %d node bits; a layout that issues ids has at most %d.",
				 layout->node_bits, FLAKE_MAX_ISSUE_NODE_BITS);
	else if (layout->slot_bits > FLAKE_MAX_ISSUE_SLOT_BITS)
		snprintf(error->detail, sizeof(error->detail),
				 "It has %d slot bits; a layout that issues ids has at most %d.",
				 layout->slot_bits, FLAKE_MAX_ISSUE_SLOT_BITS);
	else if (layout->slot_bits > 0 && layout->seq_bits > 0 &&
			 layout->slot_shift != layout->seq_shift + layout->seq_bits)
	{
		/* else ids of a session that spills to the next slot could fall */
		snprintf(error->detail, sizeof(error->detail),
				 "In a layout that issues ids, field \"slot\" is directly above field \"sequence\".");
	}
	else if (layout->tick_us > FLAKE_MAX_ISSUE_TICK_US)
	{
		/*
		 * Each start of the server may put ids a tick ahead of the clock, and
		 * with them, by the mark, those of all layouts in the database.
		 */
		snprintf(error->detail, sizeof(error->detail),
				 "A layout that issues ids has a tick of at most %d ms.",
				 (int) (FLAKE_MAX_ISSUE_TICK_US / 1000));
	}
	else
		return true;
	snprintf(error->message, sizeof(error->message),
			 "layout cannot issue ids");
	return false;
}

/*
 * The tick that holds a time, both counted from the same day.  Unsigned, for
 * two such times can be further apart than an int64 can say.
 */
static FlakeRange
tick_between(const FlakeLayout *layout, int64 epoch, int64 time, int64 *tick)
{
	uint64		tick_us = (uint64) layout->tick_us;
	uint64		ticks;

	if (time < epoch)
	{
		/* rounded up, towards the past */
		ticks = ((uint64) epoch - (uint64) time - 1) / tick_us + 1;
		*tick = ticks > (uint64) PG_INT64_MAX ? PG_INT64_MIN : -(int64) ticks;
		return FLAKE_BEFORE;
	}

	ticks = ((uint64) time - (uint64) epoch) / tick_us;
	*tick = ticks > (uint64) PG_INT64_MAX ? PG_INT64_MAX : (int64) ticks;
	return ticks > (uint64) flake_layout_max_tick(layout) ?
		FLAKE_AFTER : FLAKE_IN_RANGE;
}

/* When a tick begins, counted from the same day as the epoch given. */
static FlakeRange
tick_start(const FlakeLayout *layout, int64 epoch, int64 tick, int64 *time)
{
	uint64		distance;

	if (tick < 0)
	{
		/* from PG_INT64_MIN up to the epoch */
		if (pg_mul_u64_overflow(0 - (uint64) tick, (uint64) layout->tick_us,
								&distance) ||
			distance > (uint64) epoch - (uint64) PG_INT64_MIN)
		{
			*time = PG_INT64_MIN;
			return FLAKE_BEFORE;
		}
		*time = (int64) ((uint64) epoch - distance);
		return FLAKE_IN_RANGE;
	}

	/* from the epoch up to PG_INT64_MAX */
	if (pg_mul_u64_overflow((uint64) tick, (uint64) layout->tick_us,
							&distance) ||
		distance > (uint64) PG_INT64_MAX - (uint64) epoch)
	{
		*time = PG_INT64_MAX;
		return FLAKE_AFTER;
	}
	*time = (int64) ((uint64) epoch + distance);
	return FLAKE_IN_RANGE;
}

/*
 * flake_layout_tick_at finds the tick that holds a time in microseconds since
 * 1970.  *tick is set also when it is outside the layout: a negative number
 * before the epoch, and never beyond what an int64 holds.
 */
FlakeRange
flake_layout_tick_at(const FlakeLayout *layout, int64 unix_us, int64 *tick)
{
	return tick_between(layout, layout->epoch_us, unix_us, tick);
}

/*
 * flake_layout_tick_start tells when a tick begins, in microseconds since
 * 1970, for any tick.  Out of range is only what an int64 does not hold; then
 * *unix_us is the int64 nearest to it.
 */
FlakeRange
flake_layout_tick_start(const FlakeLayout *layout, int64 tick, int64 *unix_us)
{
	return tick_start(layout, layout->epoch_us, tick, unix_us);
}

/* The same two with a timestamptz, which reaches 29 years beyond Unix time. */
FlakeRange
flake_layout_tick_at_pg(const FlakeLayout *layout, int64 pg_us, int64 *tick)
{
	return tick_between(layout, layout->epoch_us - FLAKE_PG_EPOCH_US, pg_us, tick);
}

FlakeRange
flake_layout_tick_start_pg(const FlakeLayout *layout, int64 tick, int64 *pg_us)
{
	return tick_start(layout, layout->epoch_us - FLAKE_PG_EPOCH_US, tick, pg_us);
}

/*
 * flake_layout_node puts the parts of an id's node together, free and fixed,
 * as they are in the id.
 */
int64
flake_layout_node(const FlakeLayout *layout, int64 id)
{
	int64		node = 0;

	for (int i = 0; i < layout->nfields; i++)
	{
		const FlakeField *field = &layout->fields[i];

		if (field->kind == FLAKE_FIELD_NODE)
			node = node << field->bits |
				(id >> field->shift & flake_mask(field->bits));
	}
	return node;
}

/*
 * flake_layout_node_part gives an id of a server, 0 in all fields but the
 * node's: its node id is spread over the free parts, the fixed ones have their
 * values.  The node id must be at most flake_layout_max_node().
 */
int64
flake_layout_node_part(const FlakeLayout *layout, int64 node)
{
	int64		id = layout->fixed_id;

	for (int i = layout->nfields - 1; i >= 0; i--)
	{
		const FlakeField *field = &layout->fields[i];

		if (field->kind == FLAKE_FIELD_NODE && !field->fixed)
		{
			id |= (node & flake_mask(field->bits)) << field->shift;
			node >>= field->bits;
		}
	}
	return id;
}
