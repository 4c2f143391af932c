/*
 * backend.c
 *		What a session does: it asks for ids as the SQL functions do, takes the
 *		steps of src/server/backend.c, follows changes of the node id, and rests
 *		in between.
 */
#include "sim.h"

static void
give_out(Backend *backend)
{
	check_id(backend, flake_session_give(&backend->session));
}

/* The lease that the session should have, or NULL, and the node id. */
static Lease *
current_lease(const Server *server, int64 *node)
{
	Lease	   *lease = server->node == LEASED ? server->lease : NULL;

	*node = lease == NULL ? server->node : lease->shared.node;
	return lease;
}

/* Is the session bound to the current node id and lease? */
static bool
follows_node(const Backend *backend)
{
	int64		node;

	return current_lease(server_of(backend->database), &node) == backend->lease &&
		node == backend->node;
}

static void
follow_node(Backend *backend)
{
	int64		old = backend->node;

	backend->lease = current_lease(server_of(backend->database), &backend->node);
	trace("node id %lld -> %lld%s", (long long) old, (long long) backend->node,
		  backend->lease != NULL ? ", leased" : "");
	if (world.layout.free_node_bits == 0)
		return;
	backend->set = find_set(backend);
	backend->bound_anew = true;
	flake_session_bind(&backend->session, &backend->set->shared.slots,
					   backend->lease != NULL ? &backend->lease->shared : NULL,
					   backend->node);
}

/*
 * The lease does not allow a tick, so wait until the worker has renewed it or has
 * got another one.  Returns false if the session gives up.
 */
static bool
wait_for_lease(Backend *backend, int64 need_us)
{
	Server	   *server = server_of(backend->database);

	for (;;)
	{
		if (!searching)
			server->wanted_us = Max(server->wanted_us, need_us);
		flake_sim_point();
		if (!follows_node(backend))
		{
			follow_node(backend);
			return true;
		}
		if (flake_lease_until_us(&backend->lease->shared) > need_us)
			return true;
		/* give up, as if the registry did not answer */
		if (searching || (!world.draining && one_in(16)))
			return false;
		backend->blocked = true;
		turn_over();
		backend->blocked = false;
	}
}

/*
 * Between statements the session processes messages about relations and notices
 * new settings, perhaps only later; during a long statement it does not notice
 * them.
 */
void
begin_statement(Backend *backend)
{
	if (backend->invalidated && !one_in(8))
		hear_of_relation(backend);
	if (backend->lead_us != world.lead_us && !one_in(8))
	{
		backend->lead_us = world.lead_us;
		flake_session_forget_range(&backend->session);
	}
	if (follows_node(backend))
		return;
	if (backend->statement > 0)
	{
		backend->statement--;
		return;
	}
	if (!searching && one_in(8))
	{
		backend->statement = choose(60);
		return;
	}
	if (searching && one_in(2))
		return;
	follow_node(backend);
}

/*
 * The loop of src/server/backend.c.  Returns false if it is refused.  Sets *kept
 * if the old range can be used.
 */
static bool
refill(Backend *backend, int64 need, int64 least, bool *kept)
{
	int64		lead_us = flake_lead_us(&world.layout, backend->lead_us);
	FlakeRefill refill;
	FlakeMarkVerdict verdict;
	FlakeAnswer answer;

	backend->allowed_us = lead_in_force(backend->lead_us);
	if (!look_at_mark(backend, lead_us, &verdict))
	{
		flake_session_forget_range(&backend->session);
		return false;
	}
	*kept = flake_session_keep(&backend->session, least);
	if (*kept)
		return true;

	flake_refill_begin(&backend->session, &refill, need, least, lead_us);
	for (;;)
	{
		refill.relation = backend->relation;
		answer = flake_refill_step(&backend->session, &refill);
		observe();
		switch (answer)
		{
			case FLAKE_GRANTED:
				return true;
			case FLAKE_LOOK_AT_MARK:
				break;
			case FLAKE_MOVE_MARK:
				verdict = move_mark(backend, refill.mark_need, false);
				if (verdict != FLAKE_MARK_KEEP && verdict != FLAKE_MARK_WRITE)
					return false;
				break;
			case FLAKE_MOVE_MARK_EARLY:
				/* ignore a refusal until the move is needed */
				(void) move_mark(backend, refill.mark_need, true);
				break;
			case FLAKE_RENEW_LEASE:
				check_lease_refused(backend, &refill);
				if (!wait_for_lease(backend, refill.lease_need_us))
					return false;
				flake_refill_begin(&backend->session, &refill, need, least,
								   lead_us);
				break;
			case FLAKE_WAIT:
				check_turn(backend, &refill);
				sleep_us(refill.wait_us);
				break;
			default:
				check_refused(backend, answer, &refill);
				return false;
		}
		if (!look_at_mark(backend, lead_us, &verdict))
			return false;
	}
}

/* Ask for a range; if "whole", of all ids in one piece. */
static bool
grant(Backend *backend, int64 need, bool whole)
{
	bool		kept = false;
	bool		granted;

	trace("asks for %lld%s", (long long) need, whole ? ", whole" : "");
	backend->moved = 0;
	backend->asked_us = world.mono_us;
	backend->asking = true;
	backend->asked_whole = whole;
	granted = refill(backend, need, whole ? need : 1, &kept);
	backend->asking = false;
	if (granted && !kept)
		check_granted(backend);
	return granted;
}

/* Does the range have an id?  If it is empty, this can take a number. */
static bool
ready(Backend *backend)
{
	bool		has;

	backend->moved = 0;
	backend->asked_us = world.mono_us;
	backend->asking = flake_session_left(&backend->session) == 0;
	backend->asked_whole = false;
	has = flake_session_ready(&backend->session);
	if (backend->asking)
		observe();
	backend->asking = false;
	if (backend->moved > 0)
	{
		if (!has)
			fail("session %d took a number and does not give it out",
				 backend->number);
		check_granted(backend);
	}
	return has;
}

/* flake_next_id() */
bool
take_one(Backend *backend, int64 need)
{
	if (ready(backend))
	{
		if (++backend->ids_since_read > FLAKE_COUNTER_MAX_IDS)
			fail("session %d did not look at the clock for %d ids",
				 backend->number, backend->ids_since_read);
		give_out(backend);
		return true;
	}
	if (!grant(backend, need, false))
		return false;
	give_out(backend);
	return true;
}

/* flake_next_ids() */
static void
take_list(Backend *backend, int64 count)
{
	for (; count > 0 && !world.draining; count--)
	{
		if (!take_one(backend, count))
			return;
		flake_sim_point();
	}
}

/*
 * The most ids that a session asks for in one piece.  If waits are measured, it
 * is the session's share of a tick.
 */
static int64
most_at_once(int64 capacity)
{
	return world.config->wait_ticks > 0 ? capacity / world.nbackends :
		2 * capacity;
}

/* flake_reserve() */
void
take_run(Backend *backend, int64 count)
{
	FlakeSession *session = &backend->session;

	count = Min(count, flake_session_field(session));
	if ((flake_session_left(session) < count ||
		 !ready(backend)) &&
		!grant(backend, count, true))
		return;
	if (flake_session_left(session) < count)
		fail("session %d was granted %lld ids, %lld it needs",
			 backend->number, (long long) flake_session_left(session),
			 (long long) count);
	for (; count > 0; count--)
		give_out(backend);
}

/*
 * The promises hold whatever a session has recorded about others, so set that to
 * anything.  (But a session that keeps to its lane for no reason waits longer.)
 */
static void
believe(Backend *backend)
{
	FlakeSession *session = &backend->session;

	session->home = choose(session->nslots);
	session->want = 1 << choose(6);
	session->one_by_one = choose(3);
	session->score = choose(64);
	session->left_word = choose(2) ? session->left_word : 0;
	session->crowded_until = backend->range_tick + choose(4);
	session->low_until = backend->range_tick + choose(4);
}

static void
rest(Backend *backend)
{
	int64		tick_us = world.layout.tick_us;

	if (backend->leisure == 0 || !one_in(4 - backend->leisure))
		return;
	backend->wake_us = world.mono_us + choose(tick_us * backend->leisure);
	turn_over();
}

/* Begin or end to exchange the mark's relation. */
static void
exchange(Backend *backend)
{
	Database   *database = &world.databases[backend->database];

	if (!happens(world.config->exchange_rate))
		return;
	if (database->exchanger < 0)
		begin_exchange(backend, one_in(2) ? 0 : (wall_us() +
												 choose(world.layout.tick_us)) * FLAKE_NS_PER_US);
	else if (database->exchanger == backend->number)
		end_exchange(backend, one_in(2));
}

static void
work(void *arg)
{
	Backend    *backend = arg;
	int64		capacity = INT64CONST(1) <<
		(world.layout.slot_bits + world.layout.seq_bits);

	for (;;)
	{
		if (searching)
		{
			search_request(backend);
			continue;
		}
		if (backend->leases)
		{
			work_for_leases(backend);
			continue;
		}
		rest(backend);
		while (world.draining)
		{
			end_exchange(backend, true);
			backend->wake_us = PG_INT64_MAX;
			turn_over();
		}

		begin_statement(backend);
		exchange(backend);
		if (world.config->wait_ticks == 0 && one_in(16))
			believe(backend);
		if (world.config->starts)
			(void) take_one(backend, 1);
		else if (one_in(8))
			take_list(backend, 1 + choose(2 * capacity));
		else if (one_in(8))
			take_run(backend, 1 + choose(most_at_once(capacity)));
		else
			(void) take_one(backend, 1);
		flake_sim_point();
	}
}

/* Start a new process in place of the old one. */
void
backend_start(Backend *backend)
{
	Backend    *running = world.running;
	Database   *database = &world.databases[backend->database];

	if (database->exchanger == backend->number)
		end_exchange(backend, false);
	database->relation_users &= ~(1u << backend->number);
	backend->lease = current_lease(server_of(backend->database), &backend->node);
	backend->statement = 0;
	backend->relation = 0;
	backend->invalidated = false;
	backend->wake_us = 0;
	backend->blocked = backend->busy = backend->asking = false;
	backend->last_id = -1;
	backend->range_tick = -1;
	backend->whole_tick = backend->waited_tick = -2;
	backend->bound_anew = backend->order_anew = false;
	backend->demand_ns = 0;
	backend->lead_us = world.lead_us;
	backend->page_seen = 0;
	backend->start_us = FLAKE_NO_TIME;
	backend->leisure = searching ? 0 : world.config->starts ? 3 : choose(4);
	counter_begin(backend);
	world.running = backend;
	backend->set = find_set(backend);
	flake_session_init(&backend->session, &world.layout,
					   &backend->set->shared.slots,
					   backend->lease != NULL ? &backend->lease->shared : NULL,
					   &database->mark, backend->node, backend->home);
	world.running = running;
	fiber_make(backend->number, work, backend);
}
