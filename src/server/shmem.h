/*
 * shmem.h
 *		flake's shared memory: a small control block and a dynamic area.
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
 * Limits on layouts besides presets, per server and per database where they were
 * first used, so that memory is bounded.  The first two are lower, because
 * anybody can call a function with any layout; the others are for layouts in
 * column defaults.
 */
#define FLAKE_MAX_LAYOUTS				256
#define FLAKE_MAX_LAYOUTS_PER_DATABASE	16
#define FLAKE_MAX_DEFAULTS				1024
#define FLAKE_MAX_DEFAULTS_PER_DATABASE	128

/*
 * The control block.  It is small because before PostgreSQL 17, if flake is not
 * preloaded, it comes from the few spare bytes of the server's shared memory.
 */
typedef struct FlakeControl
{
	/* constant once the block is there */
	int			tranche;
	bool		preloaded;		/* the area follows this block */

	/* protects the four fields below and both lists */
	LWLock		lock;
	bool		have_area;
	dsa_handle	area;			/* not set if preloaded */
	dsa_pointer layouts;		/* list of layouts, see shmem.c */
	dsa_pointer marks;			/* list of marks, see durable.c */

	/* set once the log says that the node id is derived */
	pg_atomic_flag node_derived;

	/* for the log and reports, see log.c */
	pg_atomic_uint64 clock_offset;	/* int64: wall clock less boot-time clock */
	pg_atomic_uint64 clock_steps;	/* steps of a second or more */
	pg_atomic_uint64 node_setting;	/* hash of flake.node_id, and node id */

	/* protects the readings of the clocks at the last move of any mark */
	slock_t		clock_lock;
	int64		moved_wall_us;	/* 0: no mark has been moved yet */
	int64		moved_boot_us;
} FlakeControl;

StaticAssertDecl(sizeof(FlakeControl) < 1024, "the control block is small");

/* The slots of one layout and node id, for reports. */
typedef struct FlakeSlotsInUse
{
	const char *layout;			/* canonical text */
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
