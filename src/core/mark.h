/*
 * mark.h
 *		The durable mark: what is decided about it.
 *
 * The mark of a database is a time on disk, and the statement "no id of this
 * database with a later time was ever issued".  Here is the pure part: when it
 * covers a time, where it is moved, what a value found on disk means, and in
 * which order the shared values change.  Reading, writing and flushing the
 * page is src/server/durable.c.  The argument why it all holds is at the top
 * of mark.c.
 *
 * Times are microseconds since 1970; on the page it is nanoseconds.
 */
#ifndef FLAKE_MARK_H
#define FLAKE_MARK_H

#include "port/atomics.h"

#include "core/env.h"

/* How far ahead of the clock the mark is moved. */
#define FLAKE_MARK_AHEAD_US		FLAKE_US_PER_SECOND

/* With less than this left, one session moves it early, if that gains as much. */
#define FLAKE_MARK_EARLY_US		(FLAKE_MARK_AHEAD_US / 2)

/* With less than this left, a session flushes what others should have. */
#define FLAKE_MARK_LATE_US		(FLAKE_MARK_AHEAD_US / 10)

/* A session waits this long for a clock that is behind by more than allowed. */
#define FLAKE_LEAD_GRACE_US		FLAKE_US_PER_SECOND

/* The last time that can be written down: 2262-04-11. */
#define FLAKE_MARK_MAX_US		(PG_INT64_MAX / FLAKE_NS_PER_US)

/*
 * The mark of one database, in shared memory.  All of it is read without a
 * lock; whoever moves the mark holds one (durable.c).
 */
typedef struct FlakeMark
{
	/* which relation the rest is about, as the server names it; 0: none yet */
	pg_atomic_uint64 relation;

	/*
	 * int64: the published mark, and after which time this database's ids
	 * begin
	 */
	pg_atomic_uint64 mark_us;
	pg_atomic_uint64 start_us;

	/*
	 * int64: what we left on the relation's page, in nanoseconds, and what is
	 * being written there; the same while nobody writes
	 */
	pg_atomic_uint64 page_ns;
	pg_atomic_uint64 next_ns;

	/*
	 * How far the WAL must be flushed before page_ns may be published; 0: it
	 * has been; FLAKE_MARK_MOVING: somebody is going to
	 */
	pg_atomic_uint64 pending;

	/*
	 * how far ahead of an id's time it is moved while ids are ahead of the
	 * clock
	 */
	pg_atomic_uint64 ahead_us;

	/* how long the last write took, with its flush */
	pg_atomic_uint64 write_us;
} FlakeMark;

#define FLAKE_MARK_MOVING		1

/* What is known when somebody asks for ids of a tick. */
typedef struct FlakeMarkNeed
{
	int64		until_us;		/* the time to be covered; FLAKE_NO_TIME: none */
	bool		overtaken;		/* by the clock, twice, while it was written */
	int64		wall_us;		/* the wall clock */
	int64		tick_us;		/* length of the layout's tick */
	int64		lead_us;		/* the lead that is allowed */
	bool		leased;			/* the start mark does not bind who asks */
} FlakeMarkNeed;

/* What the published mark says of a time. */
typedef enum FlakeCover
{
	FLAKE_COVERED,
	FLAKE_COVERED_BARELY,		/* it pays to move it early */
	FLAKE_NOT_COVERED,
	FLAKE_OTHER_MARK,			/* it is about another relation */
} FlakeCover;

/* What a session has found that wants to move the mark, under the lock. */
typedef struct FlakeMarkFound
{
	uint64		relation;
	int64		page_ns;
	bool		early;			/* covered for now; give up if it gains
								 * nothing */
	int64		jump_us;		/* how far the clock has jumped since the last
								 * move */
	int64		max_jump_us;	/* how far it may; 0: as it likes */
} FlakeMarkFound;

typedef enum FlakeMarkVerdict
{
	FLAKE_MARK_KEEP,			/* nothing to write: publish */
	FLAKE_MARK_WRITE,			/* prepare, write the page, written; and if
								 * "flush", flush and publish */
	FLAKE_MARK_NOT_WORTH_IT,	/* an early move that would gain nothing */
	FLAKE_MARK_TOO_FAR,			/* what others left on the page is refused */
	FLAKE_MARK_CLOCK_JUMPED,	/* refused */
} FlakeMarkVerdict;

typedef struct FlakeMarkPlan
{
	FlakeMarkVerdict verdict;
	bool		as_we_left_it;	/* the page */
	uint64		relation;
	int64		page_us;		/* found there; FLAKE_NO_TIME: nothing */
	int64		start_us;
	int64		write_ns;		/* what is on the page from now on */
	bool		flush;			/* else it is pending until others did */
	int64		mark_us;		/* to be published */
	int64		ahead_us;
	bool		first;			/* the first look since the server started */
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

/* A 64-bit atomic that holds a signed time. */
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

/* Up to where the WAL must be flushed to publish what is pending; 0: nothing is. */
static inline uint64
flake_mark_pending(FlakeMark *mark)
{
	uint64		pending = pg_atomic_read_u64(&mark->pending);

	return pending == FLAKE_MARK_MOVING ? 0 : pending;
}

/* Is that what we left on the page, or what one of us is writing there? */
static inline bool
flake_mark_is_ours(FlakeMark *mark, int64 page_ns)
{
	return page_ns == flake_time_read(&mark->page_ns) ||
		page_ns == flake_time_read(&mark->next_ns);
}

/* Time after which ids of the database begin; FLAKE_NO_TIME: anywhere. */
static inline int64
flake_mark_start_us(FlakeMark *mark)
{
	return flake_time_read(&mark->start_us);
}

#endif							/* FLAKE_MARK_H */
