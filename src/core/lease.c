/*
 * lease.c
 *		The lease of a node id: what it allows, and when it is renewed.
 *
 * Why servers never make the same id (promise P1 between servers) if they
 * lease from one registry, or from several that have no node id in common:
 *
 *	(a) The registry grants a node id for intervals of ids' times that do not
 *		overlap, not even for one holder.  It takes back only what a holder
 *		releases.
 *	(b) A holder is one life of a server's shared memory.  Nothing about its
 *		leases is on disk, so a server that was restarted, promoted, restored
 *		or copied has no lease and claims its own.  During the life of shared
 *		memory, a node id has one set of slots, whose numbers are not taken
 *		twice (refill.c).
 *	(c) No number of a tick is taken before flake_lease_covers() was true for
 *		the tick's start and the lease whose node id goes into the id.
 *		Numbers that are taken later without another check belong to the same
 *		tick.  It does not matter if the lease has ended in the meantime, by
 *		any clock: the tick lies in an interval that is the holder's forever,
 *		however long it sleeps between the check and the taking.
 *	So two ids with the same node id and the same time were made by one holder.
 *	This does not depend on any clock.
 *
 * A release is the one exception to "forever".  A holder that releases the
 * part of a lease from a certain time on must have taken no number from there
 * on, and must never do so later.  Sessions may be anywhere between the check
 * and the taking, so flake_lease_end() first lowers the end, and the marks
 * are read after that:
 *
 *	(d) A session that takes numbers of a tick has seen first a published mark
 *		that covers the tick's start, and then the lease's end.  If it saw the
 *		end as it was before it was lowered, then the mark was published
 *		before that, and whoever reads all marks afterwards finds this one or
 *		a later one.  Otherwise the tick's start is before the lowered end,
 *		which is one past a mark as well.  In both cases it is before
 *		flake_lease_unused_from().  On both sides there is a full barrier
 *		between the two accesses.
 *	A mark that is far ahead (a database's owner can set it) only means that
 *	less is released.
 *
 * Length of leases
 *
 * A holder's first lease is short, so that a server that keeps crashing uses
 * up few node ids.  Each renewal doubles it, up to the configured length, so
 * that the server can do without the registry for that long.  Renewals begin
 * when a third of the lease has passed, or a bit earlier at random, so that
 * many holders do not ask at once.
 */
#include "postgres.h"

#include "core/lease.h"

void
flake_lease_init(FlakeLease *lease, int64 node, int64 from_us, int64 until_us)
{
	lease->node = node;
	lease->from_us = from_us;
	pg_atomic_init_u64(&lease->until_us, (uint64) until_us);
}

/* The registry has renewed it. */
void
flake_lease_extend(FlakeLease *lease, int64 until_us)
{
	flake_time_write(&lease->until_us,
					 Max(until_us, flake_lease_until_us(lease)));
}

/*
 * Before a release: let the lease end right after "mark_us", the latest mark
 * that any database has published so far.
 */
void
flake_lease_end(FlakeLease *lease, int64 mark_us)
{
	flake_time_write(&lease->until_us,
					 Min(mark_us + 1, flake_lease_until_us(lease)));
	FLAKE_POINT();
	pg_memory_barrier();
}

/*
 * After that: the time from which no number was or will be taken under the
 * lease.  "mark_us" is the latest published mark, read again.
 */
int64
flake_lease_unused_from(const FlakeLease *lease, int64 mark_us)
{
	return Max(mark_us + 1, lease->from_us);
}

/* Length of the next lease or renewal, after one of "last_us" (0: none). */
int64
flake_lease_length(int64 last_us, int64 longest_us)
{
	return Min(last_us == 0 ? FLAKE_FIRST_LEASE_US : 2 * last_us, longest_us);
}

/*
 * The end of the lease to ask for.  Sessions want ids with times up to
 * "wanted_us", which can be ahead of the clock.
 */
int64
flake_lease_ask(int64 now_us, int64 wanted_us, int64 length_us)
{
	return Max(now_us, wanted_us) + length_us;
}

/*
 * How long after a grant of that length to renew it; "chance" is any number.
 */
int64
flake_lease_renewal(int64 length_us, uint32 chance)
{
	int64		third = length_us / 3;

	return third - (int64) ((double) third / 4 * chance / PG_UINT32_MAX);
}
