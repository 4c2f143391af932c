/*
 * session.c
 *		Slots in shared memory, and sessions with their ranges.
 */
#include "postgres.h"

#include "core/lanes.h"
#include "core/session.h"

/* All sessions of this backend. */
static FlakeSession *sessions = NULL;

void
flake_layout_geometry(const FlakeLayout *layout, FlakeGeometry *geometry)
{
	memset(geometry, 0, sizeof(*geometry));
	geometry->epoch_us = layout->epoch_us;
	geometry->tick_us = layout->tick_us;
	geometry->time_bits = layout->time_bits;
	geometry->time_shift = layout->time_shift;
	geometry->slot_bits = layout->slot_bits;
	geometry->slot_shift = layout->slot_shift;
	geometry->seq_bits = layout->seq_bits;
	geometry->seq_shift = layout->seq_shift;
}

/* The node id to look for the slots of a layout with. */
int64
flake_slots_node(const FlakeLayout *layout, int64 node)
{
	return layout->free_node_bits > 0 ? node : FLAKE_NO_NODE;
}

/* The size of a layout's slots. */
Size
flake_slots_size(const FlakeLayout *layout)
{
	return offsetof(FlakeSlots, slot) +
		sizeof(FlakeSlot) * ((Size) 1 << layout->slot_bits);
}

void
flake_slots_init(FlakeSlots *slots, const FlakeLayout *layout, int64 node)
{
	slots->node = flake_slots_node(layout, node);
	pg_atomic_init_u64(&slots->tick, 0);
	pg_atomic_init_u64(&slots->waits, 0);
	pg_atomic_init_u64(&slots->waited_us, 0);
	for (uint32 i = 0; i < (UINT32_C(1) << layout->slot_bits); i++)
	{
		pg_atomic_init_u64(&slots->slot[i].word, 0);
		pg_atomic_init_u64(&slots->slot[i].taken, 0);
		pg_atomic_init_u64(&slots->slot[i].used_up, 0);
	}
}

/*
 * Initialize a session.  "layout" must live as long as the session.  "slots" are
 * those of the layout and the node id; "lease" is the node id's, or NULL.
 */
void
flake_session_init(FlakeSession *session, const FlakeLayout *layout,
				   FlakeSlots *slots, FlakeLease *lease, FlakeMark *mark,
				   int64 node, uint32 home)
{
	memset(session, 0, sizeof(*session));
	session->layout = layout;
	session->mark = mark;
	session->nslots = UINT32_C(1) << layout->slot_bits;
	session->step = UINT64CONST(1) << layout->seq_shift;
	session->last_tick = -1;
	session->home = home % session->nslots;
	flake_session_bind(session, slots, lease, node);
}

/*
 * Use another node id or lease and its slots from now on.  The rest of the range
 * has the old node id and is lost.  The next range is of a later tick, because a
 * smaller node id makes smaller ids.
 */
void
flake_session_bind(FlakeSession *session, FlakeSlots *slots,
				   FlakeLease *lease, int64 node)
{
	session->slots = slots;
	session->lease = lease;
	session->node_part = flake_layout_node_part(session->layout, node);
	session->min_tick = session->last_tick + 1;
	flake_lanes_init(session);
	flake_session_forget_range(session);
}

void
flake_sessions_add(FlakeSession *session)
{
	session->next = sessions;
	sessions = session;
}

void
flake_sessions_forget_ranges(void)
{
	for (FlakeSession *session = sessions; session != NULL;
		 session = session->next)
		flake_session_forget_range(session);
}

/* The range is usable at this moment; compute for how long that is certain. */
static void
trust_counter(FlakeSession *session, FlakeSample now)
{
	uint64		passed_us = (uint64) now.wall_us -
		(uint64) session->usable_from_us;
	uint64		rest_us = session->usable_us - passed_us;

	session->counted_from = now.count;
	session->counted_span =
		flake_counter_span(Min(rest_us, (uint64) session->layout->tick_us));
	session->ready_id = Min(session->end_id, session->next_id +
							FLAKE_COUNTER_MAX_IDS * session->step);
}

/* A range of last_tick has just been taken; set the times when it is usable. */
void
flake_session_open(FlakeSession *session, FlakeSample now, int64 lead_us)
{
	const FlakeLayout *layout = session->layout;
	int64		tick_us;

	(void) flake_layout_tick_start(layout, session->last_tick, &tick_us);
	session->usable_from_us = tick_us - lead_us;
	session->usable_us = lead_us + layout->tick_us;
	trust_counter(session, now);
}

/*
 * Can the tick of the last range be used now?  Reads the clock.
 *
 * If the tick is ahead of the clock, the range can be usable for a long time, and
 * somebody may have changed the mark on disk since.  So the answer is no unless
 * the caller has looked at the mark.
 */
static bool
look_at_clock(FlakeSession *session, bool looked_at_mark)
{
	FlakeSample now = flake_counter_sample();
	int64		tick_us = session->usable_from_us +
		(int64) session->usable_us - session->layout->tick_us;

	if ((uint64) now.wall_us - (uint64) session->usable_from_us >=
		session->usable_us)
		return false;
	if (now.wall_us < tick_us && !looked_at_mark)
		return false;
	/* the start mark may have been raised */
	if (flake_session_start_us(session) >= tick_us)
		return false;
	trust_counter(session, now);
	return true;
}

/*
 * A quick way to get the next number, for sessions that take numbers one by one:
 * take it from the session's last tick and slot.  The checks of that tick hold
 * as long as the tick can be used; they are repeated once per
 * FLAKE_COUNTER_MAX_IDS numbers.
 */
static bool
take_one_more(FlakeSession *session)
{
	if (session->may_follow == 0)
		return false;
	if (flake_counter() - session->counted_from >= session->counted_span &&
		!look_at_clock(session, false))
		return false;
	if (!flake_lanes_take_next(session))
		return false;
	session->ready_id = session->end_id;
	session->may_follow--;
	return true;
}

/*
 * The counter does not tell: can the range be used now?  If it is empty, try to
 * take another number of the same tick.
 */
bool
flake_session_look(FlakeSession *session)
{
	if (session->next_id < session->end_id)
		return look_at_clock(session, false);
	return take_one_more(session);
}

/*
 * After a look at the mark on disk: does the range have "least" ids, and can it
 * be used now?
 */
bool
flake_session_keep(FlakeSession *session, int64 least)
{
	return flake_session_left(session) >= least && look_at_clock(session, true);
}
