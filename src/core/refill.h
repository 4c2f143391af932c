/*
 * issue.h
 *		Taking ids: slots, the layout's tick, and a session's range.
 *
 * Vocabulary (see layout.h for the fields of an id):
 *
 *	slot		a lane of the server for ids of one layout; one 64-bit atomic
 *				word holds the last (tick, sequence) taken from it
 *	layout's tick	the tick that ids are being taken from, one shared word
 *				beside the slots
 *	session		what one backend remembers about one layout
 *	range		the sequence numbers of one tick and slot that belong to one
 *				session and have not been given out yet
 *	floor		the earliest tick that an id asked for now may have
 *	lead		how far an id's time is ahead of the wall clock
 *	mark		the durable promise that no id after it was issued; mark.h
 *
 * The argument why no id is given twice, and why a session's ids increase,
 * stands at the top of issue.c.
 */
#ifndef FLAKE_ISSUE_H
#define FLAKE_ISSUE_H

#include "postgres.h"

#include "port/atomics.h"

#include "core/env.h"
#include "core/counter.h"
#include "core/layout.h"

#define FLAKE_CACHE_LINE		64

/* Beyond the allowed lead a session waits this long before it gives up. */
#define FLAKE_LEAD_GRACE_US		FLAKE_US_PER_SECOND

/*
 * One slot, alone on its cache line.  Zero is a valid start: nothing taken.
 */
typedef struct FlakeSlot
{
	/* last (tick, sequence) taken: tick << sequence bits | sequence */
	pg_atomic_uint64 word;

	/* for reports: numbers taken, and ticks in which all of them were */
	pg_atomic_uint64 taken;
	pg_atomic_uint64 used_up;

	char		pad[FLAKE_CACHE_LINE - 3 * sizeof(pg_atomic_uint64)];
} FlakeSlot;

StaticAssertDecl(sizeof(FlakeSlot) == FLAKE_CACHE_LINE,
				 "a slot fills one cache line");

/*
 * What makes two layouts issue the same ids.  The names of the node's parts
 * do not matter, so layouts that differ only in them share their slots.
 */
typedef struct FlakeGeometry
{
	int64		epoch_us;
	int64		tick_us;
	uint8		time_bits;
	uint8		time_shift;
	uint8		slot_bits;
	uint8		slot_shift;
	uint8		seq_bits;
	uint8		seq_shift;
	uint8		unused[2];		/* zero, so that memcmp() compares */
} FlakeGeometry;

/*
 * A layout's part of shared memory.  Nothing here is ever given back while
 * the server runs; everything but the geometry is atomic and needs no lock.
 */
typedef struct FlakeSlots
{
	FlakeGeometry geometry;		/* constant once published */
	char		pad1[FLAKE_CACHE_LINE - sizeof(FlakeGeometry)];

	/* the tick that ids are being taken from */
	pg_atomic_uint64 tick;
	char		pad2[FLAKE_CACHE_LINE - sizeof(pg_atomic_uint64)];

	/* for reports: how often a session waited for a tick, and how long */
	pg_atomic_uint64 waits;
	pg_atomic_uint64 waited_us;
	char		pad3[FLAKE_CACHE_LINE - 2 * sizeof(pg_atomic_uint64)];

	FlakeSlot	slot[FLEXIBLE_ARRAY_MEMBER];	/* 1 << slot bits */
} FlakeSlots;

/*
 * What one backend remembers about one layout.
 */
typedef struct FlakeSession
{
	/*
	 * The range, which is what the common path uses, on one cache line: ids
	 * from next_id up to but not including end_id, a step apart.  Those below
	 * ready_id may be given out while the counter is in [counted_from,
	 * counted_from + counted_span); else look at the wall clock, which must
	 * be in [usable_from_us, usable_from_us + usable_us).
	 */
	uint64		next_id;		/* unsigned: end_id can be 2^63 */
	uint64		ready_id;
	uint64		counted_from;
	uint64		counted_span;
	uint64		step;
	uint64		end_id;
	int64		usable_from_us; /* the tick's start less the allowed lead */
	uint64		usable_us;		/* the allowed lead and the tick */

	/* Order: where in which tick this session is. */
	int64		last_tick;		/* of the last range; -1: none yet */
	int64		min_tick;		/* the next range is of this tick or later */
	uint32		slot;			/* slot reached within last_tick */
	uint32		want;			/* numbers asked for by the last refill */
	uint32		may_follow;		/* without slots: numbers of last_tick to be had
								 * before it is checked again */
	bool		climbed;		/* left a used-up slot within last_tick */
	bool		greedy;			/* began last_tick at slot 0: whole slots */
	uint64		generation;		/* of the slots, see flake_generation() */

	/* Set when the session is made, or when the node id changes. */
	const FlakeLayout *layout;
	FlakeSlots *slots;
	uint32		home;			/* this backend's home slot */
	uint32		nslots;
	int64		node_bits;		/* the node id at its place in an id */
} FlakeSession;

/* How asking for a range can end. */
typedef enum FlakeVerdict
{
	FLAKE_GRANTED,
	FLAKE_SLOTS_REPLACED,
	FLAKE_CLOCK_BEFORE_EPOCH,
	FLAKE_PAST_LAST_TICK,
	FLAKE_CLOCK_BEHIND,			/* by more than is allowed */
} FlakeVerdict;

/* What a refusal was about, for the error message. */
typedef struct FlakeRefusal
{
	int64		now_us;			/* the clock reading that was refused */
	int64		behind_us;		/* FLAKE_CLOCK_BEHIND: the lead needed */
	int64		allowed_us;		/* FLAKE_CLOCK_BEHIND: the lead allowed */
} FlakeRefusal;

extern void flake_slots_init(FlakeSlots *slots, const FlakeGeometry *geometry);
extern bool flake_slots_refused(const FlakeSlots *slots, int64 now_us);
extern int64 flake_slots_latest_us(const FlakeSlots *slots);
extern void flake_slots_renew(FlakeSlots *slots, FlakeSlots *old, int64 now_us);
extern void flake_session_init(FlakeSession *session,
							   const FlakeLayout *layout, FlakeSlots *slots,
							   uint64 generation, uint32 home, int64 node);
extern void flake_session_bind(FlakeSession *session, FlakeSlots *slots,
							   uint64 generation);
extern void flake_session_set_node(FlakeSession *session, int64 node);
extern bool flake_session_look(FlakeSession *session);
extern FlakeVerdict flake_session_refill(FlakeSession *session, int64 need,
										 FlakeRefusal *refusal);
extern FlakeVerdict flake_session_refill_whole(FlakeSession *session,
											   int64 count,
											   FlakeRefusal *refusal);
extern void flake_layout_geometry(const FlakeLayout *layout,
								  FlakeGeometry *geometry);

/*
 * What the issuing code asks of its surroundings: session.c and mark.c in
 * the server, the simulation's own in test/sim.
 */

/* Time after which ids of this database begin, from its start mark. */
extern int64 flake_mark_start_us(void);

/*
 * Are ids of the time "until_us" covered by the durable mark?  True: yes.
 * False: they are now, or things changed, but time has passed; look again.
 */
extern bool flake_mark_covers(int64 until_us);

/* Raised after slots were replaced by others that begin at the clock. */
extern uint64 flake_generation(void);

/* The lead that is allowed at the moment, before the layout's two ticks. */
extern int64 flake_allowed_lead_us(void);

/* Sleep about so long, or not at all; a cancelled or terminated one leaves. */
extern void flake_wait_us(int64 us);

/* In the simulation another session may run at each of these points. */
#ifdef FLAKE_SIMULATION
extern void flake_sim_point(void);
#define FLAKE_POINT()	flake_sim_point()
#else
#define FLAKE_POINT()	((void) 0)
#endif

/* Ids of one tick and slot: the longest range there can be. */
static inline int64
flake_session_field(const FlakeSession *session)
{
	return flake_mask(session->layout->seq_bits) + 1;
}

/* Ids left in the range. */
static inline int64
flake_session_left(const FlakeSession *session)
{
	return (int64) ((session->end_id - session->next_id) >>
					session->layout->seq_shift);
}

/*
 * Does the range have an id for this moment?  A look at the counter, and only
 * if that is not enough at the clock.
 */
static inline bool
flake_session_ready(FlakeSession *session)
{
	if (likely(session->next_id < session->ready_id &&
			   flake_counter() - session->counted_from < session->counted_span))
		return true;
	return flake_session_look(session);
}

/* The next id of a range that has one. */
static inline int64
flake_session_give(FlakeSession *session)
{
	int64		id = (int64) session->next_id;

	session->next_id += session->step;
	return id;
}

/*
 * The common path: the next id of the range, if it has one for this moment.
 */
static inline bool
flake_session_next(FlakeSession *session, int64 *id)
{
	if (unlikely(!flake_session_ready(session)))
		return false;
	*id = flake_session_give(session);
	return true;
}

/*
 * Empty the range; the numbers in it are lost, the order is kept.  Its tick is
 * to be checked again before another number is taken.
 */
static inline void
flake_session_forget_range(FlakeSession *session)
{
	session->ready_id = session->end_id = session->next_id;
	session->may_follow = 0;
}

#endif							/* FLAKE_ISSUE_H */
