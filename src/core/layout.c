/*
 * layout.c
 *		The arithmetic of layouts: times and ticks, node ids and bits.
 *
 * Pure, see layout.h.  Conversions of times accept every int64: nothing
 * overflows, and a result that does not fit is reported.
 */
#include "postgres.h"

#include "common/int.h"

#include "core/layout.h"

/* Use libc's, because pg_snprintf() would have to be linked. */
#undef snprintf

/*
 * flake_layout_issuable tells whether a layout can issue ids, and not only read
 * them.  If not, *error says why.
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
		/* or a session that goes on to the next slot could get lower ids */
		snprintf(error->detail, sizeof(error->detail),
				 "In a layout that issues ids, field \"slot\" is directly above field \"sequence\".");
	}
	else if (layout->tick_us > FLAKE_MAX_ISSUE_TICK_US)
	{
		/*
		 * Each start of the server can put ids ahead of the clock by a tick,
		 * and all layouts of the database with them, since they share the
		 * mark.
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
 * Find the tick that contains a time.  The epoch and the time count from the
 * same day.  The difference is unsigned, because it can exceed an int64.
 */
static FlakeRange
tick_between(const FlakeLayout *layout, int64 epoch, int64 time, int64 *tick)
{
	uint64		tick_us = (uint64) layout->tick_us;
	uint64		ticks;

	if (time < epoch)
	{
		/* round towards the past */
		ticks = ((uint64) epoch - (uint64) time - 1) / tick_us + 1;
		*tick = ticks > (uint64) PG_INT64_MAX ? PG_INT64_MIN : -(int64) ticks;
		return FLAKE_BEFORE;
	}

	ticks = ((uint64) time - (uint64) epoch) / tick_us;
	*tick = ticks > (uint64) PG_INT64_MAX ? PG_INT64_MAX : (int64) ticks;
	return ticks > (uint64) flake_layout_max_tick(layout) ?
		FLAKE_AFTER : FLAKE_IN_RANGE;
}

/* Find when a tick begins, counted from the same day as the epoch. */
static FlakeRange
tick_start(const FlakeLayout *layout, int64 epoch, int64 tick, int64 *time)
{
	uint64		distance;

	if (tick < 0)
	{
		/* the result must not be below PG_INT64_MIN */
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

	/* nor above PG_INT64_MAX */
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
 * flake_layout_tick_at finds the tick that contains a time in microseconds since
 * 1970.  *tick is set even if the layout does not have that tick: it is negative
 * before the epoch, and is clamped to the range of an int64.
 */
FlakeRange
flake_layout_tick_at(const FlakeLayout *layout, int64 unix_us, int64 *tick)
{
	return tick_between(layout, layout->epoch_us, unix_us, tick);
}

/*
 * flake_layout_tick_start finds when a tick begins, in microseconds since 1970.
 * The layout need not have that tick.  If the time does not fit an int64,
 * *unix_us is clamped.
 */
FlakeRange
flake_layout_tick_start(const FlakeLayout *layout, int64 tick, int64 *unix_us)
{
	return tick_start(layout, layout->epoch_us, tick, unix_us);
}

/*
 * The same two functions for a timestamptz, whose epoch is 2000, so that it can
 * hold times that do not fit an int64 when counted from 1970.
 */
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
 * flake_layout_node extracts the node from an id: all its parts, free and fixed.
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
 * flake_layout_node_part returns an id with only the node's parts set: the free
 * parts to a server's node id, which must be at most flake_layout_max_node(),
 * and the fixed parts to their values.
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
