/*
 * refill.c
 *		How a session comes by its next range, and why ids are unique, ordered
 *		and of the right time.
 *
 * Shared state is a handful of 64-bit atomic words per layout and node id: one
 * per slot (the last (tick, sequence) taken from it) and one for the layout's
 * tick.  No lock protects them and none is taken here.  A session is private to
 * its backend.
 *
 * No id twice while the server runs (promise P1):
 *
 *	(a) A slot's word is changed in lanes.c only, by compare-and-swap from a
 *		value read before to a larger one.  So the numbers between the old and
 *		the new value, the old excluded, were nobody's before and belong to the
 *		session whose compare-and-swap succeeded.
 *	(b) All of them lie in one tick: the new word is never past the end of the
 *		tick's sequence field.
 *	(c) An id is the pair (word, slot) written in the layout's bits, plus the
 *		node's part; the mapping is one to one.  Ids of one layout whose node's
 *		parts differ are different.  Where they are the same the node id is,
 *		and one layout and one node id have one set of slots as long as the
 *		server runs, whatever database, extension or statement they are used
 *		from, and however often the node id was changed in between.  (A layout
 *		that does not use the node id has one set.)  So two ids of one layout
 *		are equal only if they are of one set, one slot and one word, and (a)
 *		forbids that.
 *	A crash of the backend at any line loses at most numbers, it repeats none:
 *	a number is given out after the compare-and-swap that took it, and the word
 *	outlives the backend.  After a restart of the server the words begin at
 *	zero; then the mark's part begins, see mark.c.  It needs this: no number of
 *	a tick is taken before flake_mark_covers() was true for that tick's start,
 *	which check_tick() makes sure of before every range; and a tick is later
 *	than the start mark, which find_floor() sees to.  Numbers that are taken or
 *	given out of a tick that was granted before (take_one_more(), what is left
 *	of a range) are of a tick that the mark covers, for nothing lowers a mark;
 *	and flake_session_look() compares it with the start mark once more.
 *	A server whose node id is leased is bound by the lease instead of the start
 *	mark, and for no other life of the server was that granted: see lease.c.
 *
 * A session's ids increase (promise P2):
 *
 *	(d) Between ticks: a range is taken only in a tick equal to or later than
 *		the session's last one: floor < last_tick waits.  After the node id
 *		changed, when the bits below the time may have become smaller, it is a
 *		later tick (min_tick); unless that is further ahead of the clock than
 *		is allowed: then order begins anew under the new node id.
 *	(e) Within a tick: the search starts at the slot that was reached and
 *		only moves to higher ones (one that found nothing in the tick may
 *		start again); within a slot the word only grows.  The slot is directly
 *		above the sequence in every layout that may issue, so (slot, sequence)
 *		orders the ids of a tick.
 *	(f) What is taken of tick floor + 1 leaves the session in that tick, at the
 *		slot it came from, so (d) and (e) hold for what follows.
 *	Without slot bits there is one word, and numbers are taken one by one
 *	(but for whole ranges that a client asked for), so ids of one node id
 *	increase across sessions as well.
 *
 * True time (promise P3): the common path compares the range's tick with the
 * clock before every id, or with the cycle counter while that tells as much
 * (counter.c).  The layout's tick is raised to the clock, to the start mark or
 * to a session's own order, or moved on by one by a session that has waited a
 * whole tick on a clock that nobody can set, so it never gains on real time; a
 * session that was served beside a used-up tick is one further.  All checks of
 * a tick come before any word is moved to it, so a refused time leaves no
 * trace.
 *
 * Nobody waits for anybody (promise P4): a step never loops but to repeat a
 * compare-and-swap that failed because another session's succeeded.  A session
 * waits for the next tick only when no slot has a number for it; one that has
 * come to the end of the slots, having passed over lower ones, begins the next
 * ticks at slot 0 (lanes.c).
 */
#include "postgres.h"

#include "core/lanes.h"
#include "core/refill.h"

/* The outcome of checking a tick before any word is moved to it. */
typedef enum TickCheck
{
	TICK_FREE,
	TICK_NEEDS_MARK,			/* the answer is set */
	TICK_NEEDS_LEASE,			/* the same */
	TICK_TOO_FAR_AHEAD,			/* of the clock, for the moment */
	TICK_PAST_LAST,
} TickCheck;

/*
 * The lead that is allowed in a layout: what is set, but never less than two
 * ticks.
 */
int64
flake_lead_us(const FlakeLayout *layout, int64 setting_us)
{
	return Max(setting_us, 2 * layout->tick_us);
}

/* How far ahead of the clock a tick begins; PG_INT64_MAX: past all times. */
static int64
lead_of(const FlakeLayout *layout, const FlakeRefill *refill, int64 tick)
{
	int64		tick_us;

	if (flake_layout_tick_start(layout, tick, &tick_us) != FLAKE_IN_RANGE)
		return PG_INT64_MAX;
	return tick_us - refill->now.wall_us;
}

/*
 * Raise the floor to the tick after the one that holds "us"; if that is too far
 * ahead of the clock, the answer is going to be "late".
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
 * The floor, which is the earliest tick that an id asked for now may have: the
 * latest of the clock's tick, the layout's tick, the tick after the start mark
 * or the first one that begins in the lease, and after a change of the node id
 * the one after the session's last.
 */
static FlakeAnswer
find_floor(FlakeSession *session, FlakeRefill *refill)
{
	const FlakeLayout *layout = session->layout;
	FlakeAnswer answer;

	refill->now = flake_counter_sample();
	refill->late_answer = FLAKE_CLOCK_BEHIND;
	/* the mark has no times before 1970 */
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
 * mark_need.until_us?  Else the answer is set.
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
 * May ids of this tick be issued now?  Nothing shared has been changed yet,
 * but for the mark.
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
	 * The tick's start is an id's time; after a restart ids begin after the
	 * whole tick that holds the mark.
	 */
	need->until_us = refill->now.wall_us + lead;
	need->wall_us = refill->now.wall_us;
	need->tick_us = layout->tick_us;
	need->lead_us = refill->lead_us;
	need->leased = session->lease != NULL;

	/* a mark is not moved for a tick that is refused all the same */
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

	/* again, for what counts is a look after the mark: see (d) in lease.c */
	return check_lease(session, refill, answer) ? TICK_FREE : TICK_NEEDS_LEASE;
}

/* Raise the layout's tick to "floor", unless it is there already. */
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
 * While a session waits for the tick after "floor": is that over?  It is when
 * the wall clock has passed it, or one tick by the monotonic clock, or when
 * others went on; then all sessions are moved on.
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
		int64		passed_us;	/* when the wall clock has passed the tick */
		int64		rest;

		(void) flake_layout_tick_start(session->layout, refill->floor, &passed_us);
		rest = passed_us + tick_us - flake_clock_us();
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

/* Nothing more of tick "floor" for this session. */
static FlakeAnswer
wait_for_next_tick(FlakeSession *session, FlakeRefill *refill)
{
	pg_atomic_fetch_add_u64(&session->slots->waits, 1);
	refill->waiting = true;
	refill->waiting_since_us = flake_monotonic_us();
	return go_on_waiting(session, refill);
}

/*
 * The clock is behind by more than the allowed lead: wait for it if that
 * takes no longer than the grace, else give up.
 */
static FlakeAnswer
wait_for_clock(FlakeRefill *refill)
{
	int64		now = flake_monotonic_us();
	int64		excess_us = refill->behind_us - refill->lead_us;

	if (refill->behind_since_us == 0)
		refill->behind_since_us = now;

	/* a clock that stands still does not hold us for more than twice that */
	if (excess_us > FLAKE_LEAD_GRACE_US ||
		now - refill->behind_since_us > 2 * FLAKE_LEAD_GRACE_US)
		return refill->late_answer;
	refill->wait_us = excess_us;
	return FLAKE_WAIT;
}

/*
 * Begin to ask for a new range: "need" is how many ids the caller is going to
 * ask for; the range has at least "least", which must not be more than the
 * layout's sequence field holds; "lead_us" is flake_lead_us() of the setting.
 * What is left of the old range is lost.
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
 * One look at everything.
 *
 * FLAKE_GRANTED: the range has what was asked for, to be given out now without
 * another look at the clock.  Other answers say what to do before the next
 * step; time has passed then, so nothing found so far counts.  A refusal is the
 * end, and no word and no tick has been changed.
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
		 * An occasional session is served beside a burst; and one that needs
		 * many ids at once, if it has waited, beside others that take a few
		 * of each tick.  That the next tick is refused is no error: the
		 * present one was not.
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
	/* not of a tick that was borrowed from */
	if (!ahead)
		session->may_follow = Max(FLAKE_COUNTER_MAX_IDS -
								  flake_session_left(session), 0);
	return FLAKE_GRANTED;
}
