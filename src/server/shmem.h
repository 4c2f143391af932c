/*
 * shmem.h
 *		flake's shared memory: a small control block and an area behind it.
 */
#ifndef FLAKE_SHMEM_H
#define FLAKE_SHMEM_H

#include "postgres.h"

#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/dsa.h"

#include "core/refill.h"

/* Limits on layouts that have slots, so that memory has a bound. */
#define FLAKE_MAX_LAYOUTS				256 /* in one server */
#define FLAKE_MAX_LAYOUTS_PER_DATABASE	16	/* made through one database */

/* Warnings that are given once per server start. */
typedef enum FlakeWarning
{
	FLAKE_WARN_NODE_DERIVED = 1 << 0,
	FLAKE_WARN_ADDRESS_CUT = 1 << 1,
} FlakeWarning;

/*
 * The control block.  Small, because before PostgreSQL 17 it may have to
 * come from the reserve that all late comers share.
 */
typedef struct FlakeControl
{
	/* constant once the block is there */
	int			tranche;

	/* protects the making of the area and the fields up to the next comment */
	LWLock		lock;
	bool		have_area;
	dsa_handle	area;
	dsa_pointer layouts;		/* FlakeLayoutEntry[FLAKE_MAX_LAYOUTS] */
	int			nlayouts;
	dsa_pointer marks;			/* list of FlakeMark, one per database */

	/* raised when slots are replaced by others that begin at the clock */
	pg_atomic_uint64 generation;

	/* FlakeWarning bits already given */
	pg_atomic_uint32 warned;

	/* for the log and reports, see watch.c */
	pg_atomic_uint64 clock_offset;	/* int64: wall clock less boot-time clock */
	pg_atomic_uint64 clock_steps;	/* of a second or more */
	pg_atomic_uint64 node_setting;	/* flake.node_id's hash, node id */

	/* protects the two clock readings at the last move of any mark */
	slock_t		clock_lock;
	int64		moved_wall_us;	/* 0: no mark has been moved yet */
	int64		moved_boot_us;
} FlakeControl;

StaticAssertDecl(sizeof(FlakeControl) < 1024, "the control block is small");

/* One layout that has slots. */
typedef struct FlakeLayoutEntry
{
	dsa_pointer slots;			/* FlakeSlots */
	Oid			database;		/* through which they were made */
} FlakeLayoutEntry;

extern void flake_shmem_request(void);
extern FlakeControl *flake_shmem(void);
extern dsa_area *flake_shmem_area(void);
extern FlakeSlots *flake_shmem_slots(const FlakeGeometry *geometry);
extern FlakeSlots *flake_shmem_find_slots(const FlakeGeometry *geometry);
extern bool flake_shmem_warn_once(FlakeWarning warning);
extern int64 flake_shmem_begin_renewal(int64 *now_us);
extern void flake_shmem_end_renewal(void);

#endif							/* FLAKE_SHMEM_H */
