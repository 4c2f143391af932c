/*
 * lease.h
 *		The lease of a node id: what it allows, and when it is renewed.
 *
 * A lease is the right to put a node id into ids whose ticks begin in
 * [from, until).  A registry of node ids grants leases.  It never grants
 * overlapping leases of one node id, and never revokes one, so a holder need
 * not know when another one gets the same node id.  How to ask the registry
 * is left to the server.
 *
 * lease.c explains why ids of different holders differ.  Times are
 * microseconds since 1970.
 */
#ifndef FLAKE_LEASE_H
#define FLAKE_LEASE_H

#include "port/atomics.h"

#include "core/env.h"
#include "core/mark.h"

/* Length of a holder's first lease; each renewal asks for twice as much. */
#define FLAKE_FIRST_LEASE_US	(30 * FLAKE_US_PER_SECOND)

/*
 * A lease, in shared memory.  It is not moved or freed while the server runs.
 * Only the lease worker changes it.
 */
typedef struct FlakeLease
{
	/* constant once the lease has been published */
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

static inline int64
flake_lease_until_us(FlakeLease *lease)
{
	return flake_time_read(&lease->until_us);
}

/*
 * May numbers of a tick that begins at tick_us be taken?  Only an answer that
 * was obtained after flake_mark_covers() was true for that time counts; see
 * (d) in lease.c.
 */
static inline bool
flake_lease_covers(FlakeLease *lease, int64 tick_us)
{
	FLAKE_POINT();
	pg_memory_barrier();
	return tick_us >= lease->from_us && tick_us < flake_lease_until_us(lease);
}

#endif							/* FLAKE_LEASE_H */
