/*
 * lanes.c
 *		Which slot a session takes numbers from, and how many.
 *
 * Only this file changes the words of slots.  The caller (refill.c) has checked
 * the tick.  The argument there, why no number is taken twice and why a
 * session's ids increase, depends on these rules:
 *
 *	- A word is changed only by compare-and-swap, from the value that was read
 *	  to a larger one, which is in the requested tick.  The numbers in between
 *	  are the session's range.
 *	- In a tick that is new to it a session can begin at any slot.  Within a
 *	  tick it goes on at the slot that it has reached, or at a higher one.
 *
 * Everything else is for speed, and to keep ids close together.  Rows that are
 * inserted one after the other should have successive ids, whichever sessions
 * insert them: then the index of a primary key grows at its right end and its
 * pages stay full.  So all sessions take from slot 0 as long as they can, and
 * go on to the next slot when it is used up.  How many numbers a session takes
 * at once depends on its state:
 *
 *	alone		Nobody else has taken from its slots lately.  Its range has one
 *				number at first, and twice as many with each further request in
 *				the same tick.
 *	shared		Somebody has: the word is not as the session left it, or the
 *				session has come to a slot that was used in this tick.  It takes
 *				the next SHARED_NUMBERS numbers one by one, in the order in which
 *				sessions ask (quickly, by flake_lanes_take_next()), or as many at
 *				once as the caller is sure to need.  If it meets nobody else
 *				meanwhile, it is alone again.  Without slot bits a session is
 *				always in this state and never takes more than the caller must
 *				have in one piece, because ids are to increase across sessions.
 *	crowded		Too many of its compare-and-swaps have failed: sessions want
 *				numbers faster than processors can pass the word around.  For
 *				CROWDED_US it keeps to a lane of its own, the slots from its home
 *				slot up, and takes numbers as if it were alone.
 *
 * When a crowded session has used up its lane, there may still be numbers in the
 * slots below.  So it begins at slot 0 for the next CROWDED_US, and never waits
 * in two successive ticks while lower slots have numbers.
 */
#include "postgres.h"

#include "core/lanes.h"

/* How many numbers are taken one by one after others have been met */
#define SHARED_NUMBERS	64

/*
 * A compare-and-swap that fails adds FAILED_POINTS to the session's score, one
 * that succeeds takes off one.  So the score reaches CROWDED_POINTS if more than
 * one in FAILED_POINTS + 1 fail for a while.
 */
#define FAILED_POINTS	8
#define CROWDED_POINTS	48

/* How long a session is crowded before it tries to share again */
#define CROWDED_US		64000

/* Forget what is known about other sessions. */
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

/* A tick that begins at least CROWDED_US after the end of this one. */
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

/* Does the session skip the slots below its home slot? */
static inline bool
keeps_to_lane(const FlakeSession *session, int64 tick)
{
	return is_crowded(session, tick) && tick >= session->low_until;
}

/* How many numbers to take at once. */
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
 * The word of a slot has been read: has somebody else taken from it?  If it is
 * not the session's last slot, that is so only if it was used in this tick.
 */
static inline void
look_for_others(FlakeSession *session, uint32 slot, int64 tick, uint64 word)
{
	if (slot == session->slot ? word != session->left_word :
		word >> session->layout->seq_bits == (uint64) tick)
		session->one_by_one = SHARED_NUMBERS;
}

/* Keep the score, after each compare-and-swap. */
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

/* The last "count" numbers up to "word" are the session's range now. */
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
 * Take a range from one slot.  False if it has fewer than "least" numbers of the
 * tick, or if the session has become crowded and must leave it for its lane.
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
		/* on failure this updates "word" */
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

/* Take a range from "slot" or the first one above it that has enough. */
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
 * Take a range of "tick", for a caller that is going to need "need" ids and
 * cannot use a range of fewer than "least".  False if no slot has that many
 * numbers left; or, if the session has taken from this tick before, neither the
 * slot that it has reached nor a higher one.
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

	/* its lane is used up, but perhaps not the slots below */
	session->low_until = tick_after(session, tick);
	return first && take_upward(session, 0, tick, need, least);
}

/*
 * Take "count" numbers of a tick that is ahead of the layout's tick, and no more
 * than the caller cannot do without.
 */
bool
flake_lanes_take_ahead(FlakeSession *session, int64 tick, uint64 count)
{
	session->want = 1;
	return take_upward(session, 0, tick, count, count);
}

/*
 * The quick way to take numbers one by one: take the next number of the
 * session's last tick and slot.  False if there is none, or if the session is
 * not in the shared state.
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
		/* on failure this updates "word" */
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
