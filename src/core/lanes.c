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
 *	- A tick that is new to a session begins at its home slot.  Within a tick it
 *	  goes on at the slot that it has reached; a slot without room is passed over
 *	  for the next higher one: the session spills.
 *	- A session that spilled begins the next tick at slot 0 and takes whole
 *	  slots: so one bulk load can use the whole server's capacity.
 *	- Otherwise a range has one number at first, and twice as many with each
 *	  further request in the same tick.  Without slots it has one always, so
 *	  that ids come in the order in which sessions ask.
 */
#include "postgres.h"

#include "core/lanes.h"

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
		(uint64) session->node_part |
		((uint64) slot << layout->slot_shift) |
		(sequence << layout->seq_shift);
	session->end_id = session->next_id + count * session->step;
}

/*
 * Move a slot's word forward within "tick", by at least "least" and at most
 * "most" numbers.  False: it has not so many left.
 */
static bool
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
			return false;
		count = Min(most, last_word - next + 1);

		FLAKE_POINT();
		/* on failure "word" is what it is now */
		if (pg_atomic_compare_exchange_u64(&shared->word, &word,
										   next + count - 1))
		{
			own_range(session, slot, tick, next - first_word, count);
			return true;
		}
	}
}

/*
 * Take a range of "tick" for a session that is going to want "need" ids and
 * can't use fewer than "least".  False: no slot from the session's own upward
 * has so many.
 */
bool
flake_lanes_take(FlakeSession *session, int64 tick, uint64 need, uint64 least)
{
	uint32		slot = session->slot;
	uint64		most;

	if (tick > session->last_tick)
	{
		session->whole_slots = session->spilled &&
			session->last_tick == tick - 1;
		session->spilled = false;
		session->want = 1;
		slot = session->whole_slots ? 0 : session->home;
	}
	else if (session->want < (UINT32_C(1) << FLAKE_MAX_SEQUENCE_BITS))
		session->want *= 2;

	most = session->nslots == 1 ? least :
		session->whole_slots ? PG_UINT64_MAX : Max(session->want, need);
	for (; slot < session->nslots; slot++)
	{
		if (move_word(session, slot, tick, least, most))
			return true;
		session->spilled = true;
		FLAKE_POINT();
	}
	return false;
}

/*
 * The tick before "tick" is used up and the session has nothing in it: take as
 * many numbers as it can't do without, from its home slot.
 */
bool
flake_lanes_take_ahead(FlakeSession *session, int64 tick, uint64 count)
{
	if (!move_word(session, session->home, tick, count, count))
		return false;
	session->spilled = false;
	session->whole_slots = false;
	session->want = 1;
	return true;
}

/*
 * Without slots: take the next number of the session's last tick.  False: the
 * word has gone on, or the tick has no more.
 */
bool
flake_lanes_take_next(FlakeSession *session)
{
	const FlakeLayout *layout = session->layout;
	FlakeSlot  *shared = &session->slots->slot[0];
	uint64		mask = (uint64) flake_mask(layout->seq_bits);
	uint64		word = pg_atomic_read_u64(&shared->word);

	while (word >> layout->seq_bits == (uint64) session->last_tick &&
		   (word & mask) != mask)
	{
		FLAKE_POINT();
		/* on failure "word" is what it is now */
		if (pg_atomic_compare_exchange_u64(&shared->word, &word, word + 1))
		{
			own_range(session, 0, session->last_tick, (word & mask) + 1, 1);
			return true;
		}
	}
	return false;
}
