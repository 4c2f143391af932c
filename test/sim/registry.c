/*
 * registry.c
 *		The registry of node ids, and each server's worker that leases from it.
 *
 * The registry grants intervals of a node id that do not overlap, and remembers
 * them when servers restart.  Anything can happen between a request and what the
 * registry does, and between that and the answer; for example the worker can end,
 * and another one go on with what is in shared memory.
 */
#include "sim.h"

#include <string.h>

/* ------------------------------------------------------------ the registry */

/* Grant a node id from a time on, or from when it becomes free. */
static Lease *
grant(int64 node, int64 from_us, int64 until_us)
{
	Lease	   *lease = &world.leases[world.nleases];

	if (world.nleases == MAX_LEASES)
	{
		fail("too many leases");
		return lease - 1;
	}
	for (Lease *other = world.leases; other < lease; other++)
	{
		if (other->shared.node != node)
			continue;
		from_us = Max(from_us, other->granted_us);
		other->over = true;
	}
	world.nleases++;
	memset(lease, 0, sizeof(*lease));
	lease->from_us = from_us;
	lease->granted_us = Max(until_us, from_us + 1);
	lease->known_us = lease->latest_us = lease->granted_us;
	lease->back_us = lease->taken_us = FLAKE_NO_TIME;
	flake_lease_init(&lease->shared, node, from_us, lease->granted_us);
	trace("node id %lld is leased from %+lld until %+lld", (long long) node,
		  (long long) (from_us - world.layout.epoch_us),
		  (long long) (lease->granted_us - world.layout.epoch_us));
	return lease;
}

/* Renew a lease; false if it is over.  Nothing that was granted is taken back. */
static bool
renew(Lease *lease, int64 until_us)
{
	if (!lease->over)
		lease->granted_us = Max(lease->granted_us, until_us);
	return !lease->over;
}

/* A message arrives that the lease is released, perhaps for the second time. */
static void
take_back(Lease *lease)
{
	if (lease->over || lease->back_us == FLAKE_NO_TIME)
		return;
	lease->over = true;
	lease->granted_us = Min(Max(lease->back_us, lease->from_us),
							lease->granted_us);
	trace("node id %lld is given back from %+lld on",
		  (long long) lease->shared.node,
		  (long long) (lease->granted_us - world.layout.epoch_us));
	check_released(lease);
}

/* When is a node id free? */
static int64
used_until(int64 node)
{
	int64		until_us = FLAKE_NO_TIME;

	for (int i = 0; i < world.nleases; i++)
	{
		if (world.leases[i].shared.node == node)
			until_us = Max(until_us, world.leases[i].granted_us);
	}
	return until_us;
}

/* -------------------------------------------------------------- the worker */

/* That time, or a time at or next to the start of its tick. */
static int64
about(int64 us)
{
	return searching || one_in(2) ? us :
		start_of(tick_of(us)) + choose(3) - 1;
}

/* The end of the lease that the worker asks for. */
static int64
wanted_end(const Server *server, int64 now_us)
{
	int64		until_us = flake_lease_ask(now_us, server->wanted_us,
										   world.lease_us);

	if (until_us <= server->wanted_us)
		fail("a lease is asked for that ends before what sessions want");
	return about(until_us);
}

/* Lease any node id, or the one that is free first. */
static Lease *
claim(const Server *server)
{
	int64		now_us = about(wall_of(server));
	int64		node = FIRST_LEASED;

	if (!searching && one_in(2))
		node += choose(world.nleasable);
	else
	{
		for (int i = 1; i < world.nleasable; i++)
		{
			if (used_until(FIRST_LEASED + i) < used_until(node))
				node = FIRST_LEASED + i;
		}
	}
	return grant(node, now_us,
				 wanted_end(server, Max(now_us, used_until(node))));
}

static void
begin_lease(Server *server, Lease *lease)
{
	server->lease = lease;
	server->released = false;
	server->wanted_us = 0;
}

/* The lease that a server has when its sessions begin. */
void
first_lease(Server *server)
{
	begin_lease(server, claim(server));
}

/* Another lease; sessions use the old one until they notice. */
void
next_lease(Server *server)
{
	Lease	   *lease;

	flake_sim_point();
	lease = claim(server);
	flake_sim_point();
	begin_lease(server, lease);
}

/* Renew; false if that is refused.  "until_us" can be before the present end. */
bool
extend_lease(Lease *lease, int64 until_us)
{
	if (!renew(lease, until_us))
		return false;
	if (!searching)
		flake_sim_point();
	flake_lease_extend(&lease->shared, until_us);
	lease->known_us = Max(lease->known_us, until_us);
	lease->latest_us = Max(lease->latest_us, until_us);
	trace("node id %lld is leased until %+lld", (long long) lease->shared.node,
		  (long long) (lease->known_us - world.layout.epoch_us));
	return true;
}

/* The latest published mark of a server's databases, read while they move on. */
static int64
latest_mark(const Server *server)
{
	int64		mark_us = FLAKE_NO_TIME;

	for (int i = 0; i < MAX_DATABASES; i++)
	{
		FlakeMark  *mark = &world.databases[i].mark;

		if (server_of(i) != server)
			continue;
		flake_sim_point();
		mark_us = Max(mark_us, flake_time_read(&mark->mark_us));
	}
	return mark_us;
}

/* Release the rest of the lease, while sessions go on. */
void
release_lease(Server *server)
{
	Lease	   *lease = server->lease;
	int64		mark_us = latest_mark(server);

	lease->known_us = Min(lease->known_us, mark_us + 1);
	flake_lease_end(&lease->shared, mark_us);
	trace("node id %lld ends", (long long) lease->shared.node);
	/* nothing could be sent, so the lease can still be renewed */
	if (!searching && one_in(4))
		return;
	mark_us = latest_mark(server);
	/* from here on it must not be renewed */
	server->released = true;
	lease->back_us = flake_lease_unused_from(&lease->shared, mark_us);
	flake_sim_point();
	/* otherwise the message arrives later, see late_releases() */
	if (searching || !one_in(4))
		take_back(lease);
}

/* Messages about releases arrive, whatever has become of the worker. */
void
late_releases(void)
{
	for (int i = 0; i < world.nleases; i++)
		take_back(&world.leases[i]);
}

/*
 * One round of the worker.  It renews the lease when sessions need that and
 * sometimes earlier, and gets another one if that is refused.  Now and then it
 * releases the lease, or gets another one for no reason, but not while draining.
 */
void
work_for_leases(Backend *worker)
{
	Server	   *server = server_of(worker->database);
	int64		until_us;

	/* blocked, as if by a lock, until sessions ask for something */
	worker->blocked = server->wanted_us < server->lease->known_us;
	turn_over();
	worker->blocked = false;
	if (!world.draining && !server->released && one_in(16))
		release_lease(server);
	if (server->wanted_us < server->lease->known_us &&
		(world.draining || !one_in(4)))
		return;
	if (!server->released && (world.draining || !one_in(8)))
	{
		until_us = wanted_end(server, wall_us());
		flake_sim_point();
		if (extend_lease(server->lease, until_us))
		{
			server->wanted_us = 0;
			return;
		}
	}
	next_lease(server);
}
