/*
 * lease.h
 *		The lease of a node id: what it allows, and when it is renewed.
 *
 * A lease is the right to put a node id into ids whose ticks begin in
 * [from, until).  A registry of node ids grants it, never two that overlap of
 * one node id, and never takes it back; so holders need not know when others
 * get the same node id.  Asking the registry is the server's part.
 *
 * The argument why ids of different holders differ is at the top of lease.c.
 * Times are microseconds since 1970.
 */
#ifndef FLAKE_LEASE_H
#define FLAKE_LEASE_H

#include "port/atomics.h"

#include "core/env.h"
#include "core/mark.h"

/* The first lease of a holder; each renewal asks for twice as much. */
#define FLAKE_FIRST_LEASE_US	(30 * FLAKE_US_PER_SECOND)

/*
 * A lease, in shared memory.  It stays where it is as long as the server runs;
 * one process changes it, the lease worker.
 */
typedef struct FlakeLease
{
	/* constant once the lease is published */
	int64		node;
	int64		from_us;

	/* int64: raised by renewals, lowered before a release */
	pg_atomic_uint64 until_us;
} FlakeLease;

extern void flake_lease_init(FlakeLease *lease, int64 node, int64 from_us,
							 int64 until_us);
extern void flake_lease_extend(FlakeLease *lease, int64 until_us);
extern void flake_lease_end(FlakeLease *lease, int64 mark_us);
extern int64 flake_lease_unused_from(const FlakeLease *lease, int64 mark_us);
extern int64 flake_lease_ask(int64 now_us, int64 wanted_us, int64 length_us);
extern int64 flake_lease_length(int64 last_us, int64 longest_us);
extern int64 flake_lease_renewal(int64 length_us, uint32 chance);

/* End of the lease. */
static inline int64
flake_lease_until_us(FlakeLease *lease)
{
	return flake_time_read(&lease->until_us);
}

/*
 * May ids of a tick that begins then be taken?  What counts is the answer after
 * flake_mark_covers() was true of that time; see (d) in lease.c.
 */
static inline bool
flake_lease_covers(FlakeLease *lease, int64 tick_us)
{
	FLAKE_POINT();
	pg_memory_barrier();
	return tick_us >= lease->from_us && tick_us < flake_lease_until_us(lease);
}

#endif							/* FLAKE_LEASE_H */
