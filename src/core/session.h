/*
 * session.h
 *		Slots in shared memory, a session's range, and the common path.
 *
 * A session is what one backend remembers about one layout.  Its range is the
 * sequence numbers of one tick and slot that belong to it and have not been
 * given out yet.  While that lasts an id is an addition and a look at the
 * cycle counter; refill.h says how a session comes by the next range.
 */
#ifndef FLAKE_SESSION_H
#define FLAKE_SESSION_H

#include "port/atomics.h"

#include "core/counter.h"
#include "core/env.h"
#include "core/layout.h"
#include "core/lease.h"
#include "core/mark.h"

#define FLAKE_CACHE_LINE		64

/* The node id of slots whose layout does not use it. */
#define FLAKE_NO_NODE			(-1)

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
 * What makes two layouts issue the same ids under one node id.  The names of
 * the node's parts do not matter, and where they are fixed at different values
 * the ids differ anyway: such layouts share their slots.
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
 * The slots of a layout and a node id, in shared memory.  Nothing here is ever
 * given back while the server runs; all that changes is atomic and needs no
 * lock.
 */
typedef struct FlakeSlots
{
	/* constant once published */
	int64		node;			/* FLAKE_NO_NODE: the layout does not use it */
	char		pad1[FLAKE_CACHE_LINE - sizeof(int64)];

	/* the layout's tick: the one that ids are being taken from */
	pg_atomic_uint64 tick;
	char		pad2[FLAKE_CACHE_LINE - sizeof(pg_atomic_uint64)];

	/* for reports: how often a session waited for a tick, and how long */
	pg_atomic_uint64 waits;
	pg_atomic_uint64 waited_us;
	char		pad3[FLAKE_CACHE_LINE - 2 * sizeof(pg_atomic_uint64)];

	FlakeSlot	slot[FLEXIBLE_ARRAY_MEMBER];	/* 1 << slot bits */
} FlakeSlots;

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
	uint32		may_follow;		/* numbers of last_tick that may be taken one
								 * by one before it is checked again */

	/* How it gets on with others in its slots, see lanes.c. */
	uint32		home;			/* the slot where its lane begins */
	uint32		want;			/* length of the last range while alone */
	uint32		one_by_one;		/* numbers still to be taken one by one */
	uint32		score;			/* how much others get in its way */
	uint64		left_word;		/* what it last left in its slot's word */
	int64		crowded_until;	/* the tick when it shares again */
	int64		low_until;		/* and when it keeps to its lane again */

	/* What it takes from, and for which database. */
	const FlakeLayout *layout;
	FlakeSlots *slots;
	FlakeLease *lease;			/* of the node id; NULL: it is not leased */
	FlakeMark  *mark;
	uint32		nslots;
	int64		node_part;		/* of its ids: the node id in its place */

	struct FlakeSession *next;	/* the backend's sessions */
} FlakeSession;

extern Size flake_slots_size(const FlakeLayout *layout);
extern void flake_slots_init(FlakeSlots *slots, const FlakeLayout *layout,
							 int64 node);
extern int64 flake_slots_node(const FlakeLayout *layout, int64 node);
extern void flake_layout_geometry(const FlakeLayout *layout,
								  FlakeGeometry *geometry);
extern void flake_session_init(FlakeSession *session,
							   const FlakeLayout *layout, FlakeSlots *slots,
							   FlakeLease *lease, FlakeMark *mark, int64 node,
							   uint32 home);
extern void flake_session_bind(FlakeSession *session, FlakeSlots *slots,
							   FlakeLease *lease, int64 node);
extern void flake_session_open(FlakeSession *session, FlakeSample now,
							   int64 lead_us);
extern bool flake_session_look(FlakeSession *session);
extern bool flake_session_keep(FlakeSession *session, int64 least);

/* All sessions of this backend. */
extern void flake_sessions_add(FlakeSession *session);
extern void flake_sessions_forget_ranges(void);

/* Ids of one tick and slot: the longest range there can be. */
static inline int64
flake_session_field(const FlakeSession *session)
{
	return flake_mask(session->layout->seq_bits) + 1;
}

/*
 * Time after which ids begin; FLAKE_NO_TIME: anywhere.  The start mark is about
 * earlier lives of the server.  It has a lease for this one alone, so there the
 * lease decides, and what a wrong clock has left is forgotten.
 */
static inline int64
flake_session_start_us(const FlakeSession *session)
{
	return session->lease != NULL ? FLAKE_NO_TIME :
		flake_mark_start_us(session->mark);
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

#endif							/* FLAKE_SESSION_H */
