/*
 * session.h
 *		Slots in shared memory, sessions with their ranges, and the common path.
 *
 * A session is the state that one backend keeps for one layout.  Its range is
 * the sequence numbers of one tick and slot that the session has taken and not
 * given out yet.  While the range lasts, making an id is an addition and a look
 * at the cycle counter; refill.h is about getting the next range.
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

/* In place of a node id, for slots of a layout that does not use it. */
#define FLAKE_NO_NODE			(-1)

/*
 * One slot, alone on its cache line.  Zero means that nothing has been taken.
 */
typedef struct FlakeSlot
{
	/* the last number taken: tick << sequence bits | sequence */
	pg_atomic_uint64 word;

	/* for reports: numbers taken, and ticks in which all of them were taken */
	pg_atomic_uint64 taken;
	pg_atomic_uint64 used_up;

	char		pad[FLAKE_CACHE_LINE - 3 * sizeof(pg_atomic_uint64)];
} FlakeSlot;

StaticAssertDecl(sizeof(FlakeSlot) == FLAKE_CACHE_LINE,
				 "a slot fills one cache line");

/*
 * Layouts of the same geometry could issue the same ids under one node id, so
 * they share their slots.  The geometry leaves out the parts of the node: their
 * names do not matter, and if their fixed values differ the ids differ anyway.
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
 * The slots of a layout and a node id, in shared memory.  They exist as long as
 * the server runs.  Everything that changes is atomic and needs no lock.
 */
typedef struct FlakeSlots
{
	/* constant once published */
	int64		node;			/* or FLAKE_NO_NODE */
	char		pad1[FLAKE_CACHE_LINE - sizeof(int64)];

	/* the layout's tick: the latest one that sessions have gone on to */
	pg_atomic_uint64 tick;
	char		pad2[FLAKE_CACHE_LINE - sizeof(pg_atomic_uint64)];

	/* for reports: how often sessions waited for a tick, and how long */
	pg_atomic_uint64 waits;
	pg_atomic_uint64 waited_us;
	char		pad3[FLAKE_CACHE_LINE - 2 * sizeof(pg_atomic_uint64)];

	FlakeSlot	slot[FLEXIBLE_ARRAY_MEMBER];	/* 1 << slot bits */
} FlakeSlots;

typedef struct FlakeSession
{
	/*
	 * The range, on one cache line for the common path: ids from next_id up
	 * to but not including end_id, a step apart.  Those below ready_id can be
	 * given out while the counter is in [counted_from, counted_from +
	 * counted_span).  Otherwise the wall clock must be in [usable_from_us,
	 * usable_from_us + usable_us).
	 */
	uint64		next_id;		/* unsigned: end_id can be 2^63 */
	uint64		ready_id;
	uint64		counted_from;
	uint64		counted_span;
	uint64		step;
	uint64		end_id;
	int64		usable_from_us; /* start of the tick, less the allowed lead */
	uint64		usable_us;		/* length of the tick, plus the allowed lead */

	/* What keeps its ids in order */
	int64		last_tick;		/* tick of the last range; -1 if none */
	int64		min_tick;		/* the next range is of this tick or later */
	uint32		slot;			/* slot reached within last_tick */
	uint32		may_follow;		/* how many more numbers of last_tick can be
								 * taken before the tick is checked again */

	/* Competition for its slots, see lanes.c */
	uint32		home;			/* first slot of its lane */
	uint32		want;			/* length of the last range while alone */
	uint32		one_by_one;		/* numbers still to be taken one by one */
	uint32		score;			/* rises when a compare-and-swap fails */
	uint64		left_word;		/* the word of its slot as it left it */
	int64		crowded_until;	/* tick from which it shares again */
	int64		low_until;		/* tick from which it keeps to its lane again */

	/* What it takes from, and for which database */
	const FlakeLayout *layout;
	FlakeSlots *slots;
	FlakeLease *lease;			/* of the node id; NULL if it is not leased */
	FlakeMark  *mark;
	uint32		nslots;
	int64		node_part;		/* an id with only the node set */

	struct FlakeSession *next;	/* in the list of the backend's sessions */
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

/* The list of this backend's sessions */
extern void flake_sessions_add(FlakeSession *session);
extern void flake_sessions_forget_ranges(void);

/* The length of the longest possible range: all ids of one tick and slot. */
static inline int64
flake_session_field(const FlakeSession *session)
{
	return flake_mask(session->layout->seq_bits) + 1;
}

/*
 * Ids must be later than this time; FLAKE_NO_TIME if there is no such limit.
 * The start mark is there because of earlier lives of the server.  A lease
 * belongs to this life alone, so a session with a lease need not look at the
 * start mark, which a wrong clock may have put far ahead.
 */
static inline int64
flake_session_start_us(const FlakeSession *session)
{
	return session->lease != NULL ? FLAKE_NO_TIME :
		flake_mark_start_us(session->mark);
}

/* The number of ids left in the range. */
static inline int64
flake_session_left(const FlakeSession *session)
{
	return (int64) ((session->end_id - session->next_id) >>
					session->layout->seq_shift);
}

/*
 * Does the range have an id that can be given out now?  Reads the clock only if
 * the counter does not tell.
 */
static inline bool
flake_session_ready(FlakeSession *session)
{
	if (likely(session->next_id < session->ready_id &&
			   flake_counter() - session->counted_from < session->counted_span))
		return true;
	return flake_session_look(session);
}

/* Give out the next id, after flake_session_ready(). */
static inline int64
flake_session_give(FlakeSession *session)
{
	int64		id = (int64) session->next_id;

	session->next_id += session->step;
	return id;
}

/* The common path: give out the next id if the range has one. */
static inline bool
flake_session_next(FlakeSession *session, int64 *id)
{
	if (unlikely(!flake_session_ready(session)))
		return false;
	*id = flake_session_give(session);
	return true;
}

/*
 * Empty the range.  The numbers in it are lost; the session's ids still
 * increase.  Its tick is checked again before another number is taken.
 */
static inline void
flake_session_forget_range(FlakeSession *session)
{
	session->ready_id = session->end_id = session->next_id;
	session->may_follow = 0;
}

#endif							/* FLAKE_SESSION_H */
