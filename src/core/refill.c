/*
 * refill.c
 *		How a session gets its next range, and why ids are unique, ordered and
 *		true to time.
 *
 * The shared state is a few 64-bit atomic words per layout and node id: one per
 * slot, which is the last (tick, sequence) taken from it, and one for the
 * layout's tick.  No lock protects them, and none is taken here.  A session is
 * private to its backend.
 *
 * No id is issued twice while the server runs (promise P1):
 *
 *	(a) A slot's word is changed only in lanes.c, by compare-and-swap from a
 *		value that was read before to a larger one.  So the numbers after the
 *		old value, up to the new one, had not been taken by anybody, and belong
 *		to the session whose compare-and-swap succeeded.
 *	(b) They all lie in one tick, because the new word is never past the end of
 *		the tick's sequence field.
 *	(c) An id consists of the slot's word, the slot and the parts of the node,
 *		each in bits of its own.  So two ids of one layout can be equal only if
 *		their nodes are equal, and thus their node ids.  A layout and a node id
 *		have one set of slots as long as the server runs, whichever database,
 *		extension or statement uses them and however often the node id changes.
 *		(A layout that does not use the node id has one set.)  So equal ids
 *		would have the same set, slot and word, and (a) rules that out.
 *	A backend that crashes can lose numbers, but none is repeated: a number is
 *	given out only after the compare-and-swap that took it, and the word outlives
 *	the backend.  After a restart of the server the words begin at zero, and the
 *	mark prevents repetition, see mark.c.  That depends on two rules.  No number
 *	of a tick is taken before flake_mark_covers() was true of the tick's start:
 *	check_tick() makes sure of that for every range.  And the tick is later than
 *	the start mark, see find_floor().  Numbers of a tick that was granted before
 *	(those of take_one_more(), and the rest of a range) are covered by the mark
 *	because a mark is never lowered; and flake_session_look() compares the tick
 *	with the start mark again.
 *	If the node id is leased, the lease takes the place of the start mark.  It
 *	was granted to no other life of the server, see lease.c.
 *
 * A session's ids increase (promise P2):
 *
 *	(d) From tick to tick: a range is never taken from a tick before the
 *		session's last one; while floor < last_tick the session waits.  After a
 *		change of the node id, which can make the bits below the time smaller,
 *		the range is taken from a later tick (min_tick).  If that tick is further
 *		ahead of the clock than is allowed, the order begins anew under the new
 *		node id.
 *	(e) Within a tick: a session goes on at the slot that it has reached or at a
 *		higher one (if it has taken nothing from the tick, it can begin again),
 *		and the word of a slot only grows.  In every layout that can issue ids
 *		the slot is directly above the sequence, so the ids of a tick are in the
 *		order of (slot, sequence).
 *	(f) A session that takes numbers from tick floor + 1 is then in that tick, at
 *		that slot, so (d) and (e) hold for its next range.
 *	Without slot bits there is one word, and numbers are taken one by one unless
 *	the caller must have several in one piece.  So ids of one node id increase
 *	across sessions, too.
 *
 * Ids have the true time (promise P3): before each id the common path compares
 * the range's tick with the clock, or with the cycle counter while that is
 * sufficient (counter.c).  The layout's tick is raised to the clock, to the first
 * tick after the start mark or in the lease, or for the order of a session whose
 * node id has changed.  Otherwise it moves on by one when a session has waited
 * for a whole tick, by a clock that nobody can set, so it never runs faster than
 * real time.  A session that takes numbers from tick floor + 1 is one tick ahead
 * of it.  All checks of a tick come before any word is moved to it, so a time
 * that is refused leaves no trace.
 *
 * No session blocks another (promise P4): a step loops only to repeat a
 * compare-and-swap that failed because another session's succeeded.  A session
 * waits for the next tick only if no slot has a number that it can use.  If it
 * could not use lower slots because it had skipped them, it begins at slot 0 in
 * the next ticks (lanes.c).
 */
#include "postgres.h"

#include "core/lanes.h"
#include "core/refill.h"

/* The result of check_tick() */
typedef enum TickCheck
{
	TICK_FREE,
	TICK_NEEDS_MARK,			/* *answer says what to do */
	TICK_NEEDS_LEASE,			/* the same */
	TICK_TOO_FAR_AHEAD,			/* of the clock, at the moment */
	TICK_PAST_LAST,
} TickCheck;

/*
 * The lead that is allowed in a layout: the setting, but at least two ticks.
 */
int64
flake_lead_us(const FlakeLayout *layout, int64 setting_us)
{
	return Max(setting_us, 2 * layout->tick_us);
}

/*
 * How far ahead of the clock a tick begins; PG_INT64_MAX if that time does not
 * fit an int64.
 */
static int64
lead_of(const FlakeLayout *layout, const FlakeRefill *refill, int64 tick)
{
	int64		tick_us;

	if (flake_layout_tick_start(layout, tick, &tick_us) != FLAKE_IN_RANGE)
		return PG_INT64_MAX;
	return tick_us - refill->now.wall_us;
}

/*
 * Raise the floor to the tick after the one that contains "us".  If that turns
 * out to be too far ahead of the clock, the answer will be "late".
 */
static FlakeAnswer
begin_after(const FlakeLayout *layout, FlakeRefill *refill, int64 us,
			FlakeAnswer late)
{
	int64		tick;

	switch (flake_layout_tick_at(layout, us, &tick))
	{
		case FLAKE_BEFORE:
			break;
		case FLAKE_AFTER:
			return FLAKE_PAST_LAST_TICK;
		case FLAKE_IN_RANGE:
			if (tick >= refill->floor)
			{
				refill->floor = tick + 1;
				refill->late_answer = late;
			}
			break;
	}
	return FLAKE_GRANTED;
}

/*
 * Find the floor, the earliest tick that the next range can have.  It is the
 * latest of the clock's tick, the layout's tick, the tick after the start mark
 * or the first one that begins in the lease, and, after a change of the node id,
 * the tick after the session's last one.
 */
static FlakeAnswer
find_floor(FlakeSession *session, FlakeRefill *refill)
{
	const FlakeLayout *layout = session->layout;
	FlakeAnswer answer;

	refill->now = flake_counter_sample();
	refill->late_answer = FLAKE_CLOCK_BEHIND;
	/* the mark cannot hold times before 1970 */
	if (refill->now.wall_us < 0)
		return FLAKE_CLOCK_BEFORE_EPOCH;
	switch (flake_layout_tick_at(layout, refill->now.wall_us, &refill->floor))
	{
		case FLAKE_BEFORE:
			return FLAKE_CLOCK_BEFORE_EPOCH;
		case FLAKE_AFTER:
			return FLAKE_PAST_LAST_TICK;
		case FLAKE_IN_RANGE:
			break;
	}

	refill->floor = Max(refill->floor,
						(int64) pg_atomic_read_u64(&session->slots->tick));
	FLAKE_POINT();
	if (session->lease != NULL)
		answer = begin_after(layout, refill, session->lease->from_us - 1,
							 FLAKE_LEASE_AHEAD);
	else
		answer = begin_after(layout, refill, flake_mark_start_us(session->mark),
							 FLAKE_MARK_AHEAD);
	if (answer != FLAKE_GRANTED)
		return answer;

	if (session->min_tick > refill->floor)
	{
		if (lead_of(layout, refill, session->min_tick) <= refill->lead_us)
			refill->floor = session->min_tick;
		else
		{
			session->min_tick = 0;
			session->last_tick = -1;
		}
	}
	return FLAKE_GRANTED;
}

/*
 * Does the lease, if there is one, allow the tick that begins at
 * mark_need.until_us?  If not, set *answer.
 */
static bool
check_lease(FlakeSession *session, FlakeRefill *refill, FlakeAnswer *answer)
{
	int64		tick_us = refill->mark_need.until_us;

	if (session->lease == NULL || flake_lease_covers(session->lease, tick_us))
		return true;
	refill->lease_need_us = tick_us;
	*answer = FLAKE_RENEW_LEASE;
	return false;
}

/*
 * Can ids of this tick be issued now?  This comes before any word is moved to
 * the tick.
 */
static TickCheck
check_tick(FlakeSession *session, FlakeRefill *refill, int64 tick,
		   FlakeAnswer *answer)
{
	const FlakeLayout *layout = session->layout;
	FlakeMarkNeed *need = &refill->mark_need;
	int64		lead = lead_of(layout, refill, tick);

	if (tick > flake_layout_max_tick(layout) || lead == PG_INT64_MAX ||
		refill->now.wall_us + lead > FLAKE_MARK_MAX_US)
		return TICK_PAST_LAST;
	if (lead > refill->lead_us)
	{
		refill->behind_us = lead;
		return TICK_TOO_FAR_AHEAD;
	}

	/*
	 * It is enough to cover the start of the tick, because after a restart
	 * ids begin in the tick after the one that contains the mark.
	 */
	need->until_us = refill->now.wall_us + lead;
	need->wall_us = refill->now.wall_us;
	need->tick_us = layout->tick_us;
	need->lead_us = refill->lead_us;
	need->leased = session->lease != NULL;

	/* don't move the mark for a tick that the lease does not allow */
	if (!check_lease(session, refill, answer))
		return TICK_NEEDS_LEASE;
	FLAKE_POINT();
	switch (flake_mark_covers(session->mark, refill->relation, need))
	{
		case FLAKE_COVERED:
			break;
		case FLAKE_COVERED_BARELY:
			if (refill->early_asked)
				break;
			refill->early_asked = true;
			*answer = FLAKE_MOVE_MARK_EARLY;
			return TICK_NEEDS_MARK;
		case FLAKE_NOT_COVERED:
			need->overtaken = refill->moves_asked++ >= 2;
			*answer = FLAKE_MOVE_MARK;
			return TICK_NEEDS_MARK;
		case FLAKE_OTHER_MARK:
			*answer = FLAKE_LOOK_AT_MARK;
			return TICK_NEEDS_MARK;
	}

	/* again, because the lease must be read after the mark: (d) in lease.c */
	return check_lease(session, refill, answer) ? TICK_FREE : TICK_NEEDS_LEASE;
}

/* Raise the layout's tick to at least "floor". */
static void
raise_tick(FlakeSlots *slots, int64 floor)
{
	uint64		tick = pg_atomic_read_u64(&slots->tick);

	while (tick < (uint64) floor)
	{
		FLAKE_POINT();
		if (pg_atomic_compare_exchange_u64(&slots->tick, &tick, floor))
			return;
	}
}

/*
 * Wait for the tick after "floor", until the wall clock has reached it, or the
 * monotonic clock has advanced by a tick, or another session has moved the
 * layout's tick on.  Then move it on if need be, for all sessions.
 */
static FlakeAnswer
go_on_waiting(FlakeSession *session, FlakeRefill *refill)
{
	FlakeSlots *slots = session->slots;
	int64		tick_us = session->layout->tick_us;
	uint64		tick = refill->floor;
	int64		waited = flake_monotonic_us() - refill->waiting_since_us;

	if (waited < tick_us)
	{
		int64		start_us;
		int64		rest;

		(void) flake_layout_tick_start(session->layout, refill->floor, &start_us);
		rest = start_us + tick_us - flake_clock_us();
		if (rest > 0 && pg_atomic_read_u64(&slots->tick) == tick)
		{
			refill->wait_us = Min(rest, tick_us - waited);
			return FLAKE_WAIT;
		}
	}
	refill->waiting = false;
	pg_atomic_fetch_add_u64(&slots->waited_us, waited);

	FLAKE_POINT();
	(void) pg_atomic_compare_exchange_u64(&slots->tick, &tick,
										  refill->floor + 1);
	refill->wait_us = 0;
	return FLAKE_WAIT;
}

/* This session gets nothing more from tick "floor". */
static FlakeAnswer
wait_for_next_tick(FlakeSession *session, FlakeRefill *refill)
{
	pg_atomic_fetch_add_u64(&session->slots->waits, 1);
	refill->waiting = true;
	refill->waiting_since_us = flake_monotonic_us();
	return go_on_waiting(session, refill);
}

/*
 * The clock is behind by more than the allowed lead.  Wait for it if the excess
 * is at most FLAKE_LEAD_GRACE_US, otherwise give up.
 */
static FlakeAnswer
wait_for_clock(FlakeRefill *refill)
{
	int64		now = flake_monotonic_us();
	int64		excess_us = refill->behind_us - refill->lead_us;

	if (refill->behind_since_us == 0)
		refill->behind_since_us = now;

	/* don't wait any longer for a clock that stands still */
	if (excess_us > FLAKE_LEAD_GRACE_US ||
		now - refill->behind_since_us > 2 * FLAKE_LEAD_GRACE_US)
		return refill->late_answer;
	refill->wait_us = excess_us;
	return FLAKE_WAIT;
}

/*
 * Begin a request.  "need" is how many ids the caller is going to need; the range
 * will have at least "least", which must fit the layout's sequence field;
 * "lead_us" is flake_lead_us() of the setting.  The rest of the old range is lost.
 */
void
flake_refill_begin(FlakeSession *session, FlakeRefill *refill, uint64 need,
				   uint64 least, int64 lead_us)
{
	Assert(least <= (uint64) flake_session_field(session));
	memset(refill, 0, sizeof(*refill));
	refill->need = need;
	refill->least = least;
	refill->lead_us = lead_us;
	flake_session_forget_range(session);
}

/*
 * Take a range, or tell what prevents that.
 *
 * After FLAKE_GRANTED the first id can be given out without another look at the
 * clock.  Other answers say what to do before the next step, which begins from
 * scratch because time has passed.  A refusal ends the request; the step that
 * refuses has changed no word and no tick.
 */
FlakeAnswer
flake_refill_step(FlakeSession *session, FlakeRefill *refill)
{
	FlakeAnswer answer;
	bool		ahead = false;

	if (refill->waiting)
		return go_on_waiting(session, refill);

	answer = find_floor(session, refill);
	if (answer != FLAKE_GRANTED)
		return answer;
	switch (check_tick(session, refill, refill->floor, &answer))
	{
		case TICK_FREE:
			break;
		case TICK_NEEDS_MARK:
		case TICK_NEEDS_LEASE:
			return answer;
		case TICK_TOO_FAR_AHEAD:
			return wait_for_clock(refill);
		case TICK_PAST_LAST:
			return FLAKE_PAST_LAST_TICK;
	}
	raise_tick(session->slots, refill->floor);
	if (refill->floor < session->last_tick)
		return wait_for_next_tick(session, refill);

	if (!flake_lanes_take(session, refill->floor, refill->need, refill->least))
	{
		/*
		 * Take from the next tick if the session has nothing from this one,
		 * so that it need not wait beside others' bursts.  If it needs
		 * several ids in one piece it must have waited once, but then it is
		 * not kept waiting by others that take a few from each tick.  If the
		 * next tick is refused, wait for it: that is no error, since this one
		 * was not.
		 */
		if (session->last_tick == refill->floor ||
			(refill->least > 1 && refill->waiting_since_us == 0))
			return wait_for_next_tick(session, refill);
		switch (check_tick(session, refill, refill->floor + 1, &answer))
		{
			case TICK_FREE:
				break;
			case TICK_NEEDS_MARK:
				return answer;
			case TICK_NEEDS_LEASE:
			case TICK_TOO_FAR_AHEAD:
			case TICK_PAST_LAST:
				return wait_for_next_tick(session, refill);
		}
		ahead = flake_lanes_take_ahead(session, refill->floor + 1,
									   refill->least);
		if (!ahead)
			return wait_for_next_tick(session, refill);
	}

	flake_session_open(session, refill->now, refill->lead_us);
	/* but take no more from a tick ahead of the layout's */
	if (!ahead)
		session->may_follow = Max(FLAKE_COUNTER_MAX_IDS -
								  flake_session_left(session), 0);
	return FLAKE_GRANTED;
}
