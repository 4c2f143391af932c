/*
 * mark.h
 *		The durable mark: what makes ids unique over a restart.
 */
#ifndef FLAKE_MARK_H
#define FLAKE_MARK_H

#include "postgres.h"

#include "port/atomics.h"
#include "storage/lwlock.h"
#include "utils/dsa.h"

#include "core/env.h"

/* How far ahead of the tick asked for the mark is moved. */
#define FLAKE_MARK_AHEAD_US		FLAKE_US_PER_SECOND

/* With less than this left one session moves the mark early. */
#define FLAKE_MARK_EARLY_US		(FLAKE_MARK_AHEAD_US / 2)

/* "No mark": before every time that an id can have. */
#define FLAKE_NO_MARK			PG_INT64_MIN

/*
 * The mark of one database, in shared memory since the database's first id.
 * Times are microseconds since 1970.
 */
typedef struct FlakeMark
{
	/* constant once the entry is in the list */
	Oid			database;
	dsa_pointer next;

	/*
	 * Held while the mark is moved.  Protects how long the last one took, and
	 * writing the fields below; those are read without it.
	 */
	LWLock		lock;
	int64		write_took_us;

	/* which relation the other fields are about: OID << 32 | file; 0: none */
	pg_atomic_uint64 relation;

	/* int64 each: the published mark, and where this database's ids begin */
	pg_atomic_uint64 mark_us;
	pg_atomic_uint64 start_us;

	/* int64: what we wrote to the relation's page last, published or not */
	pg_atomic_uint64 page_us;

	/* since when a session is at an early move, monotonic; 0: none is */
	pg_atomic_uint64 early_since_us;

	/* for reports: how often the mark was moved */
	pg_atomic_uint64 moves;
} FlakeMark;

/* The same for reports. */
typedef struct FlakeMarkState
{
	int64		mark_us;
	int64		start_us;
	int64		moves;
} FlakeMarkState;

extern void flake_mark_init(void);
extern bool flake_mark_state_now(FlakeMarkState *state);
extern void flake_mark_accept_clock(void);
extern void flake_mark_reset_clock(void);

#endif							/* FLAKE_MARK_H */
