/*
 * shmem.h
 *		flake's shared memory: a small control block and an area behind it.
 */
#ifndef FLAKE_SHMEM_H
#define FLAKE_SHMEM_H

#include "nodes/pg_list.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/dsa.h"

#include "core/session.h"

/*
 * Limits on layouts that are not built in, so that memory has a bound: in one
 * server, and first used in one database.  Anybody may call the functions, so
 * more are allowed for layouts of columns' defaults.
 */
#define FLAKE_MAX_LAYOUTS				256
#define FLAKE_MAX_LAYOUTS_PER_DATABASE	16
#define FLAKE_MAX_DEFAULTS				1024
#define FLAKE_MAX_DEFAULTS_PER_DATABASE	128

/*
 * The control block.  Small, because before PostgreSQL 17 it may have to
 * come from the reserve that all late comers share.
 */
typedef struct FlakeControl
{
	/* constant once the block is there */
	int			tranche;
	bool		preloaded;		/* the area lies behind the block */

	/* protects the making of the area, and the four fields below */
	LWLock		lock;
	bool		have_area;
	dsa_handle	area;			/* unless it was preloaded */
	dsa_pointer layouts;		/* list of layouts, see shmem.c */
	dsa_pointer marks;			/* list of marks, see durable.c */

	/* the log says that the node id is derived */
	pg_atomic_flag node_derived;

	/* for the log and reports, see log.c */
	pg_atomic_uint64 clock_offset;	/* int64: wall clock less boot-time clock */
	pg_atomic_uint64 clock_steps;	/* of a second or more */
	pg_atomic_uint64 node_setting;	/* flake.node_id's hash, node id */

	/* protects the two clock readings at the last move of any mark */
	slock_t		clock_lock;
	int64		moved_wall_us;	/* 0: no mark has been moved yet */
	int64		moved_boot_us;
} FlakeControl;

StaticAssertDecl(sizeof(FlakeControl) < 1024, "the control block is small");

/* One layout and node id in use, for reports. */
typedef struct FlakeSlotsInUse
{
	const char *layout;			/* its text, zero-terminated */
	FlakeSlots *slots;
} FlakeSlotsInUse;

extern void flake_shmem_request(void);
extern FlakeControl *flake_shmem(void);
extern dsa_area *flake_shmem_area(void);
extern bool flake_shmem_is_attached(void);
extern dsa_pointer flake_shmem_allocate(Size size);
extern FlakeSlots *flake_shmem_slots(const FlakeLayout *layout,
									 const char *text, int64 node);
extern List *flake_shmem_all_slots(void);
extern bool flake_shmem_first_derived_node(void);

#endif							/* FLAKE_SHMEM_H */
