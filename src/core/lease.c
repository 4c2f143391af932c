/*
 * lease.c
 *		The lease of a node id: what it allows, and when it is renewed.
 *
 * Why servers that lease from one registry, or from several whose node ids are
 * disjoint, never make the same id (promise P1 between servers):
 *
 *	(a) The registry grants each node id for intervals of ids' time that do not
 *		overlap, not even two of one holder, and it takes nothing back but what
 *		the holder gives back itself.
 *	(b) A holder is one life of a server's shared memory.  Nothing about its
 *		leases is on disk.  So a server that was started again, promoted,
 *		restored or copied has none, and asks for its own; while it lives, a
 *		node id has one set of slots, whose numbers are not taken twice
 *		(refill.c).
 *	(c) No number of a tick is taken before flake_lease_covers() was true of the
 *		tick's start, for the lease whose node id is put into the id; numbers
 *		that are taken later without another look are of the same tick.  That
 *		the lease may have ended meanwhile, by whatever clock, does no harm: the
 *		tick lies in the interval, which is the holder's for ever, however long
 *		it sleeps between the look and the taking.
 *	So two ids with the same node id and the same time were made by one holder.
 *	No clock decides anything here.
 *
 * Giving back is the one exception to "for ever": a holder that gives back what
 * lies from a time on must not have taken a number from there on, and must never
 * do so.  Sessions may be anywhere in between, so flake_lease_end() lowers the
 * end first, and the marks are read after that:
 *
 *	(d) A session that takes numbers of a tick has seen a published mark that
 *		covers the tick's start, and then the lease's end.  If it saw the end
 *		before that was lowered, the mark that it saw was published before, and
 *		whoever reads all marks afterwards finds this one or a later one.  Else
 *		the tick's start is below the lowered end, which is one past a mark,
 *		too.  In both cases it is below flake_lease_unused_from().  The barriers
 *		between the two reads here and there are full ones.
 *	Marks that are far ahead (anybody may set his database's) only make that
 *	later, and what is given back less.
 *
 * How long
 *
 * A holder's first lease is short, so that servers which crash again and again
 * use up few node ids; each renewal doubles it, up to what is set, so that a
 * registry may be away for as long.  Renewals begin when a third has passed,
 * and a bit earlier by chance, so that many holders do not ask at once.
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
 * Before a release: let it end right after "mark_us", the latest mark of any
 * database that is published now.
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
 * After that: from when on no number of it was or will be taken.  "mark_us" is
 * the latest published mark, read anew.
 */
int64
flake_lease_unused_from(const FlakeLease *lease, int64 mark_us)
{
	return Max(mark_us + 1, lease->from_us);
}

/*
 * How long the next lease or renewal shall be, after one of "last_us" (0: there
 * was none).
 */
int64
flake_lease_length(int64 last_us, int64 longest_us)
{
	return Min(last_us == 0 ? FLAKE_FIRST_LEASE_US : 2 * last_us, longest_us);
}

/*
 * Until when to ask for it: sessions want ids with times up to "wanted_us", which
 * can be ahead of the clock.
 */
int64
flake_lease_ask(int64 now_us, int64 wanted_us, int64 length_us)
{
	return Max(now_us, wanted_us) + length_us;
}

/* How long after a grant of that length to ask for the next one. */
int64
flake_lease_renewal(int64 length_us, uint32 chance)
{
	int64		third = length_us / 3;

	return third - (int64) ((double) third / 4 * chance / PG_UINT32_MAX);
}
