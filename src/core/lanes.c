/*
 * lanes.c
 *		Which slot a session takes numbers from, and how many.
 *
 * All that changes a slot's word is here.  The caller (refill.c) has checked
 * the tick; why no number is taken twice, and why a session's ids increase, is
 * argued there, from these rules:
 *
 *	- A word is moved by compare-and-swap only, from the value that was read to
 *	  a larger one of the tick that was asked for, at most to the tick's end.
 *	  What lies between is the session's range.
 *	- In a tick that is new to it a session may begin at any slot.  Within a
 *	  tick it goes on at the slot that it has reached, or at a higher one.
 *
 * The rest is about speed and neighbourhood, not about correctness.  Rows that
 * are made one after the other should have ids one after the other, whichever
 * sessions make them: then a primary key's index is filled from the left to the
 * right and its pages stay full.  So all sessions take from slot 0 as long as
 * they can, and spill to the next slot when it is used up.  How many numbers a
 * session takes at once depends on whether it is
 *
 *	alone		Nobody else has taken from its slots lately.  Its range has one
 *				number at first and twice as many with each further request in
 *				the same tick.
 *	shared		Somebody has: the word was not as the session left it, or a slot
 *				that it came to had been used in this tick.  SHARED_NUMBERS numbers
 *				are taken one by one, in the order in which sessions ask
 *				(flake_lanes_take_next() is the quick way to do that), or as many
 *				at once as the caller is sure to need.  If nobody else is seen
 *				meanwhile it is alone again.  Without slot bits a session is always
 *				in this state, and takes one at a time whatever the caller needs:
 *				its ids promise that order.
 *	crowded		Too many of its compare-and-swaps failed: sessions want numbers
 *				faster than one word can be passed from processor to processor.
 *				For CROWDED_US it keeps to a lane of its own, its home slot and
 *				those above, where its ranges grow as if it were alone; order and
 *				density are lost anyway.
 *
 * A session that comes to the end of the last slot in its lane begins at slot 0
 * for as long, still as a crowded one, for there may be room below: so it does not
 * wait in two ticks that follow each other while lower slots have numbers.
 */
#include "postgres.h"

#include "core/lanes.h"

/* After others were seen, so many numbers are taken one by one. */
#define SHARED_NUMBERS	64

/*
 * A compare-and-swap that fails adds to a score, one that succeeds takes one
 * point off: it rises to the limit where more than one in FAILED_POINTS + 1
 * fail for a while.
 */
#define FAILED_POINTS	8
#define CROWDED_POINTS	48

/* How long a session is crowded before it tries to share again. */
#define CROWDED_US		64000

/* Nothing is known about others. */
void
flake_lanes_init(FlakeSession *session)
{
	session->want = 1;
	session->one_by_one = 0;
	session->score = 0;
	session->left_word = 0;
	session->crowded_until = 0;
	session->low_until = 0;
}

/* The first tick that begins CROWDED_US after the end of this one, or later. */
static inline int64
tick_after(const FlakeSession *session, int64 tick)
{
	return tick + 2 + CROWDED_US / session->layout->tick_us;
}

static inline bool
is_crowded(const FlakeSession *session, int64 tick)
{
	return tick < session->crowded_until;
}

static inline bool
is_shared(const FlakeSession *session, int64 tick)
{
	return session->nslots == 1 ||
		(session->one_by_one > 0 && !is_crowded(session, tick));
}

/* Does the session pass over the slots below its home slot? */
static inline bool
keeps_to_lane(const FlakeSession *session, int64 tick)
{
	return is_crowded(session, tick) && tick >= session->low_until;
}

/* How many numbers of "tick" to take at once. */
static inline uint64
wanted(const FlakeSession *session, int64 tick, uint64 need, uint64 least)
{
	if (session->nslots == 1)
		return least;
	if (is_shared(session, tick))
		return need;
	return Max(session->want, need);
}

/*
 * The word of a slot has been read: has somebody else taken from it?  Of a slot
 * at which the session was not last, only numbers of this tick tell.
 */
static inline void
look_for_others(FlakeSession *session, uint32 slot, int64 tick, uint64 word)
{
	if (slot == session->slot ? word != session->left_word :
		word >> session->layout->seq_bits == (uint64) tick)
		session->one_by_one = SHARED_NUMBERS;
}

/* A compare-and-swap has succeeded, or failed. */
static inline void
count_success(FlakeSession *session)
{
	if (session->score > 0)
		session->score--;
}

static inline void
count_failure(FlakeSession *session, int64 tick)
{
	session->score += FAILED_POINTS;
	if (session->score > CROWDED_POINTS)
	{
		session->crowded_until = tick_after(session, tick);
		session->score = 0;
	}
}

/*
 * The last "count" numbers up to "word" have been taken: they are the session's
 * range.
 */
static void
own_range(FlakeSession *session, uint32 slot, uint64 word, uint64 count)
{
	const FlakeLayout *layout = session->layout;
	FlakeSlot  *place = &session->slots->slot[slot];
	uint64		mask = (uint64) flake_mask(layout->seq_bits);
	uint64		last = word & mask;
	int64		tick = word >> layout->seq_bits;

	pg_atomic_fetch_add_u64(&place->taken, count);
	if (last == mask)
		pg_atomic_fetch_add_u64(&place->used_up, 1);

	session->one_by_one -= Min(session->one_by_one, count);
	session->left_word = word;
	session->last_tick = tick;
	session->slot = slot;
	session->end_id = ((uint64) flake_layout_min_id(layout, tick) |
					   (uint64) session->node_part |
					   ((uint64) slot << layout->slot_shift) |
					   (last << layout->seq_shift)) + session->step;
	session->next_id = session->end_id - count * session->step;
}

/*
 * Take a range of a slot's numbers of "tick".  False: it has less than "least",
 * or the session leaves it for its home slot.
 */
static bool
take_from(FlakeSession *session, uint32 slot, int64 tick, uint64 need,
		  uint64 least)
{
	const FlakeLayout *layout = session->layout;
	FlakeSlot  *place = &session->slots->slot[slot];
	uint64		first_word = (uint64) tick << layout->seq_bits;
	uint64		last_word = first_word | (uint64) flake_mask(layout->seq_bits);
	uint64		word = pg_atomic_read_u64(&place->word);

	while (slot >= session->home || !keeps_to_lane(session, tick))
	{
		uint64		next = Max(word + 1, first_word);
		uint64		count;

		look_for_others(session, slot, tick, word);
		if (next > last_word || last_word - next + 1 < least)
			return false;
		count = Min(wanted(session, tick, need, least), last_word - next + 1);

		FLAKE_POINT();
		/* on failure "word" is what it is now */
		if (pg_atomic_compare_exchange_u64(&place->word, &word,
										   next + count - 1))
		{
			count_success(session);
			own_range(session, slot, next + count - 1, count);
			return true;
		}
		count_failure(session, tick);
	}
	return false;
}

/*
 * The same of the first slot from "slot" on that has them.
 */
static bool
take_upward(FlakeSession *session, uint32 slot, int64 tick, uint64 need,
			uint64 least)
{
	for (; slot < session->nslots; slot++)
	{
		if (keeps_to_lane(session, tick))
			slot = Max(slot, session->home);
		if (take_from(session, slot, tick, need, least))
			return true;
		FLAKE_POINT();
	}
	return false;
}

/*
 * Take a range of "tick" for a session that is going to want "need" ids and
 * can't use fewer than "least".  False: no slot has so many; or if the session
 * has been in this tick before, none from the one on that it has reached.
 */
bool
flake_lanes_take(FlakeSession *session, int64 tick, uint64 need, uint64 least)
{
	bool		first = tick > session->last_tick;

	if (first)
		session->want = 1;
	else if (session->want < (UINT32_C(1) << FLAKE_MAX_SEQUENCE_BITS))
		session->want *= 2;

	if (take_upward(session, first ? 0 : session->slot, tick, need, least))
		return true;
	if (!keeps_to_lane(session, tick))
		return false;

	/* the end of its lane, but perhaps there is room below */
	session->low_until = tick_after(session, tick);
	return first && take_upward(session, 0, tick, need, least);
}

/*
 * The tick before "tick" is used up and the session has nothing in it: take as
 * many numbers as it can't do without.
 */
bool
flake_lanes_take_ahead(FlakeSession *session, int64 tick, uint64 count)
{
	session->want = 1;
	return take_upward(session, 0, tick, count, count);
}

/*
 * The quick way to take numbers one by one: the next one of the session's last
 * tick and slot.  False: there is none, or the session is not to take them so.
 */
bool
flake_lanes_take_next(FlakeSession *session)
{
	const FlakeLayout *layout = session->layout;
	FlakeSlot  *place = &session->slots->slot[session->slot];
	uint64		mask = (uint64) flake_mask(layout->seq_bits);
	uint64		word = pg_atomic_read_u64(&place->word);

	while (is_shared(session, session->last_tick) &&
		   word >> layout->seq_bits == (uint64) session->last_tick &&
		   (word & mask) != mask)
	{
		look_for_others(session, session->slot, session->last_tick, word);
		FLAKE_POINT();
		/* on failure "word" is what it is now */
		if (pg_atomic_compare_exchange_u64(&place->word, &word, word + 1))
		{
			count_success(session);
			own_range(session, session->slot, word + 1, 1);
			return true;
		}
		count_failure(session, session->last_tick);
	}
	return false;
}
