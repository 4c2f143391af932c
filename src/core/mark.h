/*
 * mark.h
 *		The durable mark: decisions about it.
 *
 * The mark of a database is a time on disk, which says that no id of this
 * database with a later time was ever issued.  This is the pure part: whether
 * the mark covers a time, how far to move it, what a value found on disk means,
 * and in which order the shared values change.  src/server/durable.c reads,
 * writes and flushes the page.  mark.c begins with the argument why ids do not
 * come again.
 *
 * Times are in microseconds since 1970, on the page in nanoseconds.
 */
#ifndef FLAKE_MARK_H
#define FLAKE_MARK_H

#include "port/atomics.h"

#include "core/env.h"

/* How far ahead of the clock the mark is moved */
#define FLAKE_MARK_AHEAD_US		FLAKE_US_PER_SECOND

/* With less than this left, one session moves it early, if by at least as much */
#define FLAKE_MARK_EARLY_US		(FLAKE_MARK_AHEAD_US / 2)

/* With less than this left, a session flushes an early move itself */
#define FLAKE_MARK_LATE_US		(FLAKE_MARK_AHEAD_US / 10)

/* A clock that is behind by this much more than is allowed is waited for */
#define FLAKE_LEAD_GRACE_US		FLAKE_US_PER_SECOND

/* The last time that fits the page, 2262-04-11 */
#define FLAKE_MARK_MAX_US		(PG_INT64_MAX / FLAKE_NS_PER_US)

/*
 * The mark of one database, in shared memory.  It is read without a lock, and
 * changed under the mark's lock (durable.c).
 */
typedef struct FlakeMark
{
	/* identity of the relation that the other values are about; 0: none yet */
	pg_atomic_uint64 relation;

	/* int64: the published mark */
	pg_atomic_uint64 mark_us;

	/* int64: the start mark; ids of this database begin after it */
	pg_atomic_uint64 start_us;

	/*
	 * int64, in nanoseconds: what we left on the relation's page, and what we
	 * are writing there; the same if nobody is writing
	 */
	pg_atomic_uint64 page_ns;
	pg_atomic_uint64 next_ns;

	/*
	 * how far the WAL must be flushed before page_ns can be published; 0 if
	 * that was done, FLAKE_MARK_MOVING while somebody is moving the mark
	 */
	pg_atomic_uint64 pending;

	/* how far beyond an id's time to move the mark next, see mark.c */
	pg_atomic_uint64 ahead_us;

	/* how long the last write with a flush took */
	pg_atomic_uint64 write_us;
} FlakeMark;

#define FLAKE_MARK_MOVING		1

/* What a session needs the mark for. */
typedef struct FlakeMarkNeed
{
	int64		until_us;		/* time to be covered, or FLAKE_NO_TIME */
	bool		overtaken;		/* two moves were too slow for the clock */
	int64		wall_us;		/* the wall clock */
	int64		tick_us;		/* length of the layout's tick */
	int64		lead_us;		/* the lead that is allowed */
	bool		leased;			/* the node id is, so no start mark counts */
} FlakeMarkNeed;

/* Does the published mark cover a time? */
typedef enum FlakeCover
{
	FLAKE_COVERED,
	FLAKE_COVERED_BARELY,		/* it is time to move the mark early */
	FLAKE_NOT_COVERED,
	FLAKE_OTHER_MARK,			/* it is another relation's */
} FlakeCover;

/* What a session that moves the mark has found under the lock. */
typedef struct FlakeMarkFound
{
	uint64		relation;
	int64		page_ns;
	bool		early;			/* an early move, which is not urgent */
	int64		jump_us;		/* jump of the clock since the last move */
	int64		max_jump_us;	/* the jump that is allowed; 0: any */
} FlakeMarkFound;

typedef enum FlakeMarkVerdict
{
	FLAKE_MARK_KEEP,			/* prepare and publish, write nothing */
	FLAKE_MARK_WRITE,			/* prepare, write the page, call
								 * flake_mark_written(); if "flush" is set,
								 * flush and publish */
	FLAKE_MARK_NOT_WORTH_IT,	/* an early move that would gain too little */
	FLAKE_MARK_TOO_FAR,			/* refused: others set the mark too far ahead */
	FLAKE_MARK_CLOCK_JUMPED,	/* refused */
} FlakeMarkVerdict;

typedef struct FlakeMarkPlan
{
	FlakeMarkVerdict verdict;
	bool		as_we_left_it;	/* nobody else has changed the page */
	uint64		relation;
	int64		page_us;		/* found on the page, or FLAKE_NO_TIME */
	int64		start_us;		/* the start mark from now on */
	int64		write_ns;		/* value of the page from now on */
	bool		flush;			/* if not set, the move is left pending */
	int64		mark_us;		/* to be published */
	int64		ahead_us;
	bool		first;			/* first look since the server started */
} FlakeMarkPlan;

extern void flake_mark_init(FlakeMark *mark);
extern FlakeCover flake_mark_covers(FlakeMark *mark, uint64 relation,
									const FlakeMarkNeed *need);
extern FlakeMarkPlan flake_mark_plan(FlakeMark *mark,
									 const FlakeMarkFound *found,
									 const FlakeMarkNeed *need);
extern void flake_mark_prepare(FlakeMark *mark, const FlakeMarkPlan *plan);
extern void flake_mark_written(FlakeMark *mark, const FlakeMarkPlan *plan,
							   uint64 wal_end);
extern void flake_mark_publish(FlakeMark *mark, const FlakeMarkPlan *plan);
extern void flake_mark_publish_pending(FlakeMark *mark);

/* Access to a 64-bit atomic that holds a signed time. */
static inline int64
flake_time_read(pg_atomic_uint64 *time)
{
	return (int64) pg_atomic_read_u64(time);
}

static inline void
flake_time_write(pg_atomic_uint64 *time, int64 us)
{
	pg_atomic_write_u64(time, (uint64) us);
}

/* The end of the WAL of a pending move, or 0. */
static inline uint64
flake_mark_pending(FlakeMark *mark)
{
	uint64		pending = pg_atomic_read_u64(&mark->pending);

	return pending == FLAKE_MARK_MOVING ? 0 : pending;
}

/* Is that what a session left on the page, or is writing there? */
static inline bool
flake_mark_is_ours(FlakeMark *mark, int64 page_ns)
{
	return page_ns == flake_time_read(&mark->page_ns) ||
		page_ns == flake_time_read(&mark->next_ns);
}

/* Ids of the database begin after this time; FLAKE_NO_TIME if it has none. */
static inline int64
flake_mark_start_us(FlakeMark *mark)
{
	return flake_time_read(&mark->start_us);
}

#endif							/* FLAKE_MARK_H */
