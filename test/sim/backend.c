/*
 * backend.c
 *		What a session does all day: it asks for ids in the ways that the SQL
 *		functions do, follows changes of the node id, and rests in between.
 */
#include "sim.h"

static void
give_out(Backend *backend)
{
	check_id(backend, flake_session_give(&backend->session));
}

/* As in src/session.c.  A reload may reach the session later. */
static void
prepare(Backend *backend)
{
	uint64		generation = flake_generation();
	SlotSet    *set;

	if (backend->node != world.node && !one_in(8))
	{
		trace("node id %lld -> %lld", (long long) backend->node,
			  (long long) world.node);
		backend->node = world.node;
		flake_session_set_node(&backend->session, backend->node);
	}
	flake_sim_point();
	if (backend->session.generation != generation)
	{
		set = current_set();
		trace("uses %s slots", set == backend->set ? "the same" : "other");
		flake_session_bind(&backend->session, set->slots, generation);
		backend->set = set;
	}
}

/*
 * As flake_session_grant() in src/session.c does it, and with "whole" as
 * flake_session_take_run() does.
 */
static bool
grant(Backend *backend, int64 need, bool whole)
{
	FlakeRefusal refusal = {0};
	FlakeVerdict verdict;

	trace("asks for %lld%s", (long long) need, whole ? ", whole" : "");
	backend->moved = 0;
	backend->asked_us = world.mono_us;
	backend->asking = true;
	backend->asked_whole = whole;
	do
	{
		prepare(backend);
		if (whole)
			verdict = flake_session_refill_whole(&backend->session, need,
												 &refusal);
		else
			verdict = flake_session_refill(&backend->session, need, &refusal);
		observe();
		if (verdict == FLAKE_SLOTS_REPLACED)
			check_refused(backend, verdict, &refusal);
	} while (verdict == FLAKE_SLOTS_REPLACED);
	backend->asking = false;
	if (verdict != FLAKE_GRANTED)
	{
		check_refused(backend, verdict, &refusal);
		return false;
	}
	check_granted(backend);
	return true;
}

/* Has the range an id?  Without slots one may be taken on the way. */
static bool
ready(Backend *backend)
{
	bool		has;

	backend->moved = 0;
	backend->asked_us = world.mono_us;
	backend->start_generation = world.generation;
	backend->asking = world.layout.slot_bits == 0;
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
static bool
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

/* flake_reserve() */
static void
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

static void
rest(Backend *backend)
{
	int64		tick_us = world.layout.tick_us;

	if (backend->leisure == 0 || !one_in(4 - backend->leisure))
		return;
	backend->wake_us = world.mono_us + random_below(tick_us * backend->leisure);
	turn_over();
}

/* Has the clock gone back so far that no more ids are made? */
static bool
time_is_refused(void)
{
	return start_of(world.set->seen_tick) - wall_us() >
		lead_in_force(world.allowed_us);
}

/*
 * flake_reset_clock() in every database, after the node id was changed to one
 * that was never in use.  The clock has been set right before that.
 */
static void
give_up_time(void)
{
	uint32		used = world.retired_nodes | 1u << world.node;
	int64		node = world.node;

	while (node < 1 << NODE_BITS && (used & 1u << node))
		node++;
	if (node == 1 << NODE_BITS || world.giving_up ||
		wall_us() < world.layout.epoch_us)
		return;
	if (!world.config->reset_any_time && !time_is_refused())
		return;
	world.giving_up = true;
	world.retired_nodes = used;
	world.node = node;
	trace("node id is set to %lld", (long long) node);
	flake_sim_point();
	for (int i = 0; i < world.config->databases; i++)
		reset_clock(i);
	world.giving_up = false;
}

static void
work(void *arg)
{
	Backend    *backend = arg;
	int64		capacity = INT64CONST(1) <<
		(world.layout.slot_bits + world.layout.seq_bits);

	for (;;)
	{
		rest(backend);
		while (world.draining)
		{
			backend->wake_us = PG_INT64_MAX;
			turn_over();
		}

		if (one_in(8))
			take_list(backend, 1 + random_below(2 * capacity));
		else if (one_in(8))
			take_run(backend, 1 + random_below(2 * capacity));
		else
			(void) take_one(backend, 1);
		flake_sim_point();
		if (world.config->reset_rate > 0 &&
			random_below(1024) < world.config->reset_rate)
			give_up_time();
	}
}

/* A new process begins, in the place of whoever was there. */
void
backend_start(Backend *backend)
{
	Backend    *running = world.running;

	backend->node = world.node;
	backend->wake_us = 0;
	backend->asking = false;
	backend->last_id = -1;
	backend->leisure = random_below(4);
	counter_begin(backend);
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		if (world.marks[i].locked_by == backend->number)
			world.marks[i].locked_by = -1;
	}
	world.running = backend;
	backend->set = world.set;
	flake_session_init(&backend->session, &world.layout, world.set->slots,
					   world.generation, backend->home, backend->node);
	world.running = running;
	backend->fiber = fiber_make(backend->number, work, backend);
}
