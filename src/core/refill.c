/*
 * issue.c
 *		The issuing algorithm: how a session comes by the next ids.
 *
 * Shared state is a handful of 64-bit atomic words per layout: one per slot
 * (the last (tick, sequence) taken from it) and one for the layout's tick.
 * No lock protects them and none is taken here.  A session is private to its
 * backend.  This file also runs outside the server, in the simulation of
 * test/sim, so it knows its surroundings only through the few functions that
 * issue.h declares.
 *
 * No id twice while the server runs (promise P1):
 *
 *	(a) A slot's word is changed in two places only, move_word() and, where
 *		there are no slot bits, take_one_more(), by compare-and-swap from a
 *		value read before to a larger one.  So the numbers between the old and
 *		the new value, the old excluded, were nobody's before and belong to
 *		the session whose compare-and-swap succeeded.
 *	(b) All of them lie in one tick: the new word is never taken past the end
 *		of the tick's sequence field.
 *	(c) An id is the pair (word, slot) written in the layout's bits, plus the
 *		node id; the mapping is one to one.  So two ids of one layout are
 *		equal only if slot, word and node are, and (a) forbids that.
 *	A crash of the backend at any line loses at most numbers, it repeats
 *	none: a number is given out after the compare-and-swap that took it, and
 *	the word outlives the backend.  After a restart of the server the words
 *	begin at zero; then the mark's part begins, see mark.c.  It needs this:
 *	no number of a tick is taken before flake_mark_covers() was true for that
 *	tick's start, which check_tick() makes sure of before every move_word();
 *	take_one_more() stays in a tick that the session was granted by it.
 *
 * A session's ids increase (promise P2):
 *
 *	(d) Between ticks: a range is taken only in a tick equal to or later than
 *		the session's last one.  floor < last_tick waits, as does
 *		floor < min_tick (after the node id changed, when the bits below the
 *		time may have become smaller).
 *	(e) Within a tick: the search goes on at the slot that was reached and
 *		only climbs; within a slot the word only grows.  The slot is directly
 *		above the sequence in every layout that may issue, so (slot, sequence)
 *		orders the ids of a tick.
 *	(f) The one number of tick floor + 1 comes from the home slot and leaves
 *		the session there, with last_tick = floor + 1, so (d) and (e) hold
 *		for what follows.
 *	Without slot bits there is one word, and numbers are taken one at a time
 *	(but for whole ranges that a client asked for), so ids increase across
 *	sessions as well.
 *
 * True time (promise P3): the common path compares the range's tick with the
 * clock before every id, or with the cycle counter while that tells as much
 * (counter.c).  The layout's tick is raised to the clock or moved
 * on by one by a session that has waited a whole tick on a clock that nobody
 * can set, so it never gains on real time; a session that was served beside
 * a used-up tick is one further.  All checks of a tick come before any word
 * is moved to it, so a refused time leaves no trace.
 *
 * After the clock was wrong a layout can be given new slots, which begin at
 * the clock (flake_slots_renew).  The old ones stay as they were: a session
 * that is in the middle of taking a number there takes one that nobody else
 * has there.  The generation tells sessions at their next request.  That an
 * id of the new slots is none of the old is left to the node id, which the
 * caller has made another one, and to this: slots whose ids are not refused
 * are not replaced, so none have been made under the new node id.  That is
 * decided after the generation was raised, and a session compares the
 * generation once more between its reading of the clock and its first change
 * of a word.
 */
#include "postgres.h"

#include "core/refill.h"

/* Where a search for room in a tick ends. */
typedef enum TakeResult
{
	TAKEN,
	USED_UP,					/* no slot from the session's own upward */
	LOOK_AGAIN,					/* time has passed */
} TakeResult;

/* The outcome of checking a tick before any word is moved to it. */
typedef enum CheckResult
{
	TICK_FREE,
	TICK_REFUSED,				/* verdict and refusal are set */
	TICK_TOO_FAR_AHEAD,			/* of the clock, for the moment */
	TICK_LOOK_AGAIN,			/* time has passed */
} CheckResult;

/*
 * What one request for a range asks for, and has found out so far.
 */
typedef struct Refill
{
	uint64		need;			/* ids that the caller is going to want */
	uint64		least;			/* a range of fewer is of no use */

	FlakeReading now;			/* the clock */
	int64		floor;
	int64		excess_us;		/* TICK_TOO_FAR_AHEAD: by how much */
	int64		behind_since_us;	/* monotonic; 0: not waiting for the clock */
	FlakeVerdict verdict;
	FlakeRefusal *refusal;
} Refill;

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

void
flake_slots_init(FlakeSlots *slots, const FlakeGeometry *geometry)
{
	slots->geometry = *geometry;
	pg_atomic_init_u64(&slots->tick, 0);
	pg_atomic_init_u64(&slots->waits, 0);
	pg_atomic_init_u64(&slots->waited_us, 0);
	for (uint32 i = 0; i < (UINT32_C(1) << geometry->slot_bits); i++)
	{
		pg_atomic_init_u64(&slots->slot[i].word, 0);
		pg_atomic_init_u64(&slots->slot[i].taken, 0);
		pg_atomic_init_u64(&slots->slot[i].used_up, 0);
	}
}

/* The start of the layout's tick. */
static int64
layout_tick_us(const FlakeSlots *slots)
{
	return slots->geometry.epoch_us +
		(int64) pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &slots->tick)) *
		slots->geometry.tick_us;
}

/* The lead that ids of a layout with such a tick may have. */
static int64
allowed_lead(int64 tick_us)
{
	return Max(flake_allowed_lead_us(), 2 * tick_us);
}

/*
 * Are ids from these slots refused, because they would be too far ahead of
 * the clock?
 */
bool
flake_slots_refused(const FlakeSlots *slots, int64 now_us)
{
	return layout_tick_us(slots) - now_us >
		allowed_lead(slots->geometry.tick_us);
}

/*
 * A time that no id taken from these slots so far is after: one tick ahead of
 * the layout's can have been borrowed.
 */
int64
flake_slots_latest_us(const FlakeSlots *slots)
{
	return layout_tick_us(slots) + slots->geometry.tick_us;
}

/*
 * Make slots that take the place of others, beginning at the clock.  What is
 * only for reports goes along.
 */
void
flake_slots_renew(FlakeSlots *slots, FlakeSlots *old, int64 now_us)
{
	const FlakeGeometry *geometry = &old->geometry;

	flake_slots_init(slots, geometry);
	if (now_us > geometry->epoch_us)
		pg_atomic_write_u64(&slots->tick,
							(now_us - geometry->epoch_us) / geometry->tick_us);

	pg_atomic_write_u64(&slots->waits, pg_atomic_read_u64(&old->waits));
	pg_atomic_write_u64(&slots->waited_us, pg_atomic_read_u64(&old->waited_us));
	for (uint32 i = 0; i < (UINT32_C(1) << geometry->slot_bits); i++)
	{
		pg_atomic_write_u64(&slots->slot[i].taken,
							pg_atomic_read_u64(&old->slot[i].taken));
		pg_atomic_write_u64(&slots->slot[i].used_up,
							pg_atomic_read_u64(&old->slot[i].used_up));
	}
}

/*
 * Make a session of a layout.  "layout" must live as long as the session;
 * "generation" was read before "slots" were looked up.
 */
void
flake_session_init(FlakeSession *session, const FlakeLayout *layout,
				   FlakeSlots *slots, uint64 generation, uint32 home,
				   int64 node)
{
	memset(session, 0, sizeof(*session));
	session->layout = layout;
	session->nslots = UINT32_C(1) << layout->slot_bits;
	session->home = home % session->nslots;
	session->step = UINT64CONST(1) << layout->seq_shift;
	session->node_bits = flake_layout_node_bits_of(layout, node);
	flake_session_bind(session, slots, generation);
}

/*
 * Use these slots from now on.  If they are others than before, nothing of the
 * session's past counts.
 */
void
flake_session_bind(FlakeSession *session, FlakeSlots *slots, uint64 generation)
{
	session->generation = generation;
	if (session->slots == slots)
		return;
	session->slots = slots;
	session->last_tick = -1;
	session->min_tick = 0;
	session->climbed = false;
	flake_session_forget_range(session);
}

/*
 * The node id has changed: what is left of the range has the old one.  A
 * smaller node id makes smaller ids, so go on in a later tick only.
 */
void
flake_session_set_node(FlakeSession *session, int64 node)
{
	int64		node_bits = flake_layout_node_bits_of(session->layout, node);

	if (node_bits == session->node_bits)
		return;
	session->node_bits = node_bits;
	session->min_tick = session->last_tick + 1;
	flake_session_forget_range(session);
}

/*
 * The floor: the latest of the clock's tick, the layout's tick and the tick
 * after the start mark.  False: the verdict is set.
 */
static bool
find_floor(const FlakeSession *session, Refill *refill)
{
	const FlakeLayout *layout = session->layout;
	int64		start_us = flake_mark_start_us();
	int64		tick;

	refill->now = flake_counter_reading();
	refill->refusal->now_us = refill->now.wall_us;
	switch (flake_layout_tick_at(layout, refill->now.wall_us, &refill->floor))
	{
		case FLAKE_BEFORE:
			refill->verdict = FLAKE_CLOCK_BEFORE_EPOCH;
			return false;
		case FLAKE_AFTER:
			refill->verdict = FLAKE_PAST_LAST_TICK;
			return false;
		case FLAKE_IN_RANGE:
			break;
	}

	refill->floor = Max(refill->floor,
						(int64) pg_atomic_read_u64(&session->slots->tick));
	switch (flake_layout_tick_at(layout, start_us, &tick))
	{
		case FLAKE_BEFORE:
			break;
		case FLAKE_AFTER:
			refill->verdict = FLAKE_PAST_LAST_TICK;
			return false;
		case FLAKE_IN_RANGE:
			refill->floor = Max(refill->floor, tick + 1);
			break;
	}
	return true;
}

/*
 * May ids of this tick be issued now?  Nothing shared has been changed yet,
 * but for the mark.
 */
static CheckResult
check_tick(const FlakeSession *session, Refill *refill, int64 tick)
{
	const FlakeLayout *layout = session->layout;
	int64		tick_us;
	int64		lead;
	int64		allowed = allowed_lead(layout->tick_us);

	if (tick > flake_layout_max_tick(layout) ||
		flake_layout_tick_start(layout, tick, &tick_us) != FLAKE_IN_RANGE)
	{
		refill->verdict = FLAKE_PAST_LAST_TICK;
		return TICK_REFUSED;
	}

	lead = tick_us - refill->now.wall_us;
	if (lead > allowed)
	{
		refill->excess_us = lead - allowed;
		refill->refusal->behind_us = lead;
		refill->refusal->allowed_us = allowed;
		return TICK_TOO_FAR_AHEAD;
	}

	/*
	 * The tick's start is an id's time; after a restart ids begin after the
	 * whole tick that holds the mark.
	 */
	FLAKE_POINT();
	return flake_mark_covers(tick_us) ? TICK_FREE : TICK_LOOK_AGAIN;
}

/*
 * The "count" numbers of a tick and slot from "sequence" on have been taken:
 * they are the session's range.
 */
static void
own_range(FlakeSession *session, uint32 slot, int64 tick, uint64 sequence,
		  uint64 count)
{
	const FlakeLayout *layout = session->layout;
	FlakeSlot  *shared = &session->slots->slot[slot];

	pg_atomic_fetch_add_u64(&shared->taken, count);
	if (sequence + count > (uint64) flake_mask(layout->seq_bits))
		pg_atomic_fetch_add_u64(&shared->used_up, 1);

	session->last_tick = tick;
	session->slot = slot;
	session->next_id = (uint64) flake_layout_min_id(layout, tick) |
		(uint64) session->node_bits |
		((uint64) slot << layout->slot_shift) |
		(sequence << layout->seq_shift);
	session->end_id = session->next_id + count * session->step;
}

/*
 * Move a slot's word forward within "tick", by at least "least" and at most
 * "most" numbers.
 */
static TakeResult
move_word(FlakeSession *session, uint32 slot, int64 tick, uint64 least,
		  uint64 most)
{
	const FlakeLayout *layout = session->layout;
	FlakeSlot  *shared = &session->slots->slot[slot];
	uint64		first_word = (uint64) tick << layout->seq_bits;
	uint64		last_word = first_word | (uint64) flake_mask(layout->seq_bits);
	uint64		word = pg_atomic_read_u64(&shared->word);

	for (;;)
	{
		uint64		next = Max(word + 1, first_word);
		uint64		count;

		if (next > last_word || last_word - next + 1 < least)
			return USED_UP;
		count = Min(most, last_word - next + 1);

		FLAKE_POINT();
		/* on failure "word" is what it is now */
		if (pg_atomic_compare_exchange_u64(&shared->word, &word,
										   next + count - 1))
		{
			own_range(session, slot, tick, next - first_word, count);
			return TAKEN;
		}
	}
}

/*
 * Take a range of tick "floor": from the slot the session has reached, or,
 * in a tick that is new to it, from its home slot, or from slot 0 in whole
 * slots if it had to climb in the tick before.
 */
static TakeResult
take_in_floor(FlakeSession *session, const Refill *refill)
{
	int64		floor = refill->floor;
	bool		fresh = floor > session->last_tick;
	bool		single = session->layout->slot_bits == 0;
	uint32		slot = session->slot;

	if (fresh)
	{
		session->greedy = session->climbed && session->last_tick == floor - 1;
		session->climbed = false;
		session->want = 1;
		slot = session->greedy ? 0 : session->home;
	}
	else if (session->want < (UINT32_C(1) << FLAKE_MAX_SEQUENCE_BITS))
		session->want *= 2;

	for (; slot < session->nslots; slot++)
	{
		uint64		most = session->greedy ? PG_UINT64_MAX :
			Max(session->want, refill->need);
		TakeResult	result = move_word(session, slot, floor, refill->least,
									   single ? refill->least : most);

		if (result != USED_UP)
			return result;
		session->climbed = true;
		FLAKE_POINT();
	}
	return USED_UP;
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
 * Nothing more of tick "floor" for this session: wait until the wall clock
 * has passed it, or for one tick by the monotonic clock, then move all
 * sessions on to the next.
 */
static void
wait_for_next_tick(FlakeSession *session, const Refill *refill)
{
	FlakeSlots *slots = session->slots;
	int64		tick_us = session->layout->tick_us;
	uint64		tick = refill->floor;
	int64		start = flake_monotonic_us();
	int64		waited = 0;
	int64		passed_us;		/* when the wall clock has passed the tick */

	(void) flake_layout_tick_start(session->layout, refill->floor, &passed_us);
	passed_us += tick_us;
	pg_atomic_fetch_add_u64(&slots->waits, 1);

	while (waited < tick_us)
	{
		int64		rest = passed_us - flake_clock_us();

		if (rest <= 0 || pg_atomic_read_u64(&slots->tick) != tick)
			break;
		flake_wait_us(Min(rest, tick_us - waited));
		waited = flake_monotonic_us() - start;
	}
	pg_atomic_fetch_add_u64(&slots->waited_us, flake_monotonic_us() - start);

	FLAKE_POINT();
	(void) pg_atomic_compare_exchange_u64(&slots->tick, &tick,
										  refill->floor + 1);
}

/*
 * The clock is behind by more than the allowed lead: wait for it if that
 * takes no longer than the grace, else give up.  False: give up.
 */
static bool
wait_for_clock(Refill *refill)
{
	int64		now = flake_monotonic_us();

	if (refill->behind_since_us == 0)
		refill->behind_since_us = now;

	/* a clock that stands still does not hold us for more than twice that */
	if (refill->excess_us > FLAKE_LEAD_GRACE_US ||
		now - refill->behind_since_us > 2 * FLAKE_LEAD_GRACE_US)
	{
		refill->verdict = FLAKE_CLOCK_BEHIND;
		return false;
	}
	flake_wait_us(refill->excess_us);
	return true;
}

/*
 * Tick "floor" is used up and the session has nothing in it: one number of
 * the next tick, so that an occasional session is served beside a burst.
 */
static TakeResult
take_one_ahead(FlakeSession *session, Refill *refill)
{
	TakeResult	result;

	switch (check_tick(session, refill, refill->floor + 1))
	{
		case TICK_FREE:
			break;
		case TICK_LOOK_AGAIN:
			return LOOK_AGAIN;
		case TICK_REFUSED:
		case TICK_TOO_FAR_AHEAD:
			/* not an error: the present tick has not been refused */
			return USED_UP;
	}
	result = move_word(session, session->home, refill->floor + 1, 1, 1);
	if (result == TAKEN)
	{
		session->climbed = false;
		session->greedy = false;
		session->want = 1;
	}
	return result;
}

/*
 * From a reading of the clock at which the range may be used: until when does
 * the counter tell as much?
 */
static void
trust_counter(FlakeSession *session, FlakeReading now)
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

/* Look at the clock: can the last range's tick be used now? */
static bool
look_at_clock(FlakeSession *session)
{
	FlakeReading now = flake_counter_reading();

	if ((uint64) now.wall_us - (uint64) session->usable_from_us >=
		session->usable_us)
		return false;
	trust_counter(session, now);
	return true;
}

/*
 * Without slots every number is taken alone, so that must be quick: one more of
 * the session's last tick.  The checks of that tick that were made when the
 * session came to it hold as long as the tick can be used; they are made again
 * for each FLAKE_COUNTER_MAX_IDS numbers.  What remains to be done is what follows
 * them in take_range(), too: the generation is compared after a look at the
 * time.
 */
static bool
take_one_more(FlakeSession *session)
{
	const FlakeLayout *layout = session->layout;
	FlakeSlot  *shared = &session->slots->slot[0];
	uint64		mask = (uint64) flake_mask(layout->seq_bits);
	uint64		word;

	if (session->may_follow == 0)
		return false;
	if (flake_counter() - session->counted_from >= session->counted_span &&
		!look_at_clock(session))
		return false;
	FLAKE_POINT();
	pg_read_barrier();
	if (flake_generation() != session->generation)
		return false;

	word = pg_atomic_read_u64(&shared->word);
	while (word >> layout->seq_bits == (uint64) session->last_tick &&
		   (word & mask) != mask)
	{
		FLAKE_POINT();
		/* on failure "word" is what it is now */
		if (pg_atomic_compare_exchange_u64(&shared->word, &word, word + 1))
		{
			own_range(session, 0, session->last_tick, (word & mask) + 1, 1);
			session->ready_id = session->end_id;
			session->may_follow--;
			return true;
		}
	}
	return false;
}

/*
 * Look at the clock: can the range be used now?  Without slots, where a range
 * is one number: can another be had in the same tick?
 */
bool
flake_session_look(FlakeSession *session)
{
	if (session->next_id < session->end_id)
		return look_at_clock(session);
	return session->nslots == 1 && take_one_more(session);
}

/*
 * Set in which readings of the clock the range just taken may be used, and
 * whether more of its tick may follow: not of one that was borrowed from.
 */
static void
open_range(FlakeSession *session, const Refill *refill)
{
	const FlakeLayout *layout = session->layout;
	int64		tick_us;
	int64		lead = allowed_lead(layout->tick_us);

	(void) flake_layout_tick_start(layout, session->last_tick, &tick_us);
	session->usable_from_us = tick_us - lead;
	session->usable_us = lead + layout->tick_us;
	session->may_follow = session->last_tick == refill->floor ?
		FLAKE_COUNTER_MAX_IDS - 1 : 0;
	trust_counter(session, refill->now);
}

/*
 * Take a new range for the session, as one request asks for it.
 */
static FlakeVerdict
take_range(FlakeSession *session, Refill refill)
{
	flake_session_forget_range(session);

	for (;;)
	{
		TakeResult	result;

		if (flake_generation() != session->generation)
			return FLAKE_SLOTS_REPLACED;
		if (!find_floor(session, &refill))
			return refill.verdict;

		switch (check_tick(session, &refill, refill.floor))
		{
			case TICK_FREE:
				break;
			case TICK_REFUSED:
				return refill.verdict;
			case TICK_TOO_FAR_AHEAD:
				if (!wait_for_clock(&refill))
					return refill.verdict;
				continue;
			case TICK_LOOK_AGAIN:
				/* the mark was moved, however slow that is: let go */
				flake_wait_us(0);
				continue;
		}
		/* after the clock: slots are replaced by whoever raised it before */
		pg_read_barrier();
		if (flake_generation() != session->generation)
			return FLAKE_SLOTS_REPLACED;
		raise_tick(session->slots, refill.floor);

		if (refill.floor < session->last_tick ||
			refill.floor < session->min_tick)
		{
			wait_for_next_tick(session, &refill);
			continue;
		}

		result = take_in_floor(session, &refill);
		if (result == USED_UP && session->last_tick < refill.floor &&
			refill.least == 1)
			result = take_one_ahead(session, &refill);
		if (result == TAKEN)
		{
			open_range(session, &refill);
			return FLAKE_GRANTED;
		}
		if (result == USED_UP)
			wait_for_next_tick(session, &refill);
	}
}

/*
 * Take a new range for the session.
 *
 * "need" is how many ids the caller is going to ask for, at least 1; the
 * range may have fewer or more.  What is left of the old range is lost.
 *
 * FLAKE_GRANTED: the range has at least one id, to be given out now without
 * another look at the clock.  FLAKE_SLOTS_REPLACED: bind the session to the
 * new slots and ask again.  Else the clock was refused, "refusal" says how,
 * and nothing has changed.
 */
FlakeVerdict
flake_session_refill(FlakeSession *session, int64 need, FlakeRefusal *refusal)
{
	return take_range(session, (Refill)
					  {
						  .need = need, .least = 1, .refusal = refusal
					  });
}

/*
 * The same, but the range has at least "count" ids, which must not be more
 * than the layout's sequence field holds.  Slots with fewer left are passed
 * over, so this may wait for the next tick where a single id is to be had.
 */
FlakeVerdict
flake_session_refill_whole(FlakeSession *session, int64 count,
						   FlakeRefusal *refusal)
{
	Assert(count <= flake_session_field(session));
	return take_range(session, (Refill)
					  {
						  .need = count, .least = count, .refusal = refusal
					  });
}
