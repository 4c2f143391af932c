/*
 * schedule.c
 *		Random runs: who runs next, and what happens to the clock and the server.
 *
 * A configuration and a seed determine a schedule: first a world (a layout,
 * sessions, habits), then turns.  In each turn something can happen to the clock
 * or the server, time can pass, and one session runs until it is interrupted.  In
 * the end no session begins a request, the clock is left alone, and every request
 * must be answered.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

/* wal_writer_delay, in configurations that are "steady" */
#define WRITER_DELAY_US	200000

enum
{
	ANYONE,						/* short turns of any session */
	BURSTS,						/* turns that can be long */
	PRIORITIES,					/* the session with the highest priority */
	STYLES
};

/* ------------------------------------------------------------ the world */

void
add_field(FlakeFieldKind kind, const char *name, int bits, int *below)
{
	FlakeField *field = &world.layout.fields[world.layout.nfields];

	if (bits == 0)
		return;
	*below -= bits;
	strcpy(field->name, name);
	field->kind = kind;
	field->bits = bits;
	field->shift = *below;
	world.layout.nfields++;
}

static void
make_layout(const Config *config)
{
	static const int64 tick_us[] = {1, 7, 1000, 1000, 1000, 100000, 1000000};
	FlakeLayout *layout = &world.layout;
	int			low = choose(3);	/* node bits below the others */
	int			below;

	memset(layout, 0, sizeof(*layout));
	layout->tick_us = tick_us[choose(lengthof(tick_us))];
	if (config->prompt)
		layout->tick_us = Max(layout->tick_us, 1000);
	if (config->starts || config->flushes)
		layout->tick_us = one_in(2) || config->steady ? 10000 : 100000;
	layout->epoch_us = one_in(2) ? INT64CONST(1735689600000000) :
		choose(1000000) - 500000;
	layout->slot_bits = config->no_slots ? 0 : choose(4);
	layout->seq_bits = config->long_ranges ? 7 : choose(3);
	if (config->starts)
		layout->seq_bits = 5;
	layout->node_bits = NODE_BITS;
	below = NODE_BITS + layout->slot_bits + layout->seq_bits;
	layout->time_bits = config->ends ? 4 + choose(4) : FLAKE_ID_BITS - below;

	below += layout->time_bits;
	add_field(FLAKE_FIELD_TIME, "time", layout->time_bits, &below);
	layout->time_shift = below;
	add_field(FLAKE_FIELD_NODE, "high", NODE_BITS - low, &below);
	add_field(FLAKE_FIELD_SLOT, "slot", layout->slot_bits, &below);
	layout->slot_shift = layout->slot_bits > 0 ? below : 0;
	add_field(FLAKE_FIELD_SEQUENCE, "sequence", layout->seq_bits, &below);
	layout->seq_shift = layout->seq_bits > 0 ? below : 0;
	add_field(FLAKE_FIELD_NODE, "low", low, &below);

	/* all parts of the node fixed: the node id is not used */
	layout->free_node_bits = NODE_BITS;
	if (!config->leases && one_in(8))
	{
		layout->free_node_bits = 0;
		for (int i = 0; i < layout->nfields; i++)
		{
			FlakeField *field = &layout->fields[i];

			if (field->kind != FLAKE_FIELD_NODE)
				continue;
			field->fixed = true;
			field->value = 1;
			layout->fixed_id |= field->value << field->shift;
		}
	}
}

/* The lease worker of a server. */
static void
make_worker(int server)
{
	Backend    *backend = &world.backends[world.nbackends];

	memset(backend, 0, sizeof(*backend));
	backend->number = world.nbackends++;
	backend->priority = choose(1000);
	backend->database = server;
	backend->leases = true;
	backend_start(backend);
}

static void
make_backends(const Config *config)
{
	int			capacity = 1 << (world.layout.slot_bits +
								 world.layout.seq_bits);
	int			nslots = 1 << world.layout.slot_bits;
	uint32		first = choose(nslots);
	int			home_style = choose(3);

	if (config->wait_ticks > 0)
	{
		/* at most as many sessions as a tick has ids */
		world.nbackends = 1 + choose(Min(capacity, MAX_BACKENDS));
		if (one_in(2))
			world.nbackends = Min(capacity, MAX_BACKENDS);
	}
	else if (config->crowd)
		world.nbackends = Min(capacity + choose(4), MAX_BACKENDS);
	else
		world.nbackends = 1 + choose(6);

	for (int i = 0; i < world.nbackends; i++)
	{
		Backend    *backend = &world.backends[i];

		memset(backend, 0, sizeof(*backend));
		backend->number = i;
		backend->priority = choose(1000);
		backend->database = choose(config->databases);
		if (config->spread || home_style == 0)
			backend->home = first + i;
		else if (home_style == 1)
			backend->home = first;
		else
			backend->home = choose(100);
		backend_start(backend);
		if (config->wait_ticks > 0 && one_in(2))
			backend->session.crowded_until = tick_of(wall_us()) + choose(200);
	}
	for (int i = 0; world.nleasable > 0 && i < world.nservers; i++)
		make_worker(i);
}

/* A setting of flake.node_id; two servers do not get the same one by hand. */
static int64
any_node(int server)
{
	if (world.nleasable > 0)
		return one_in(4) ? choose(2) + 2 * server : LEASED;
	if (world.config->node_rate == 0)
		return 0;
	return one_in(2) ? choose(1 << NODE_BITS) : choose(2);
}

/* A setting of flake.max_clock_lead. */
static int64
any_lead(void)
{
	static const int64 lead_ticks[] = {0, 1, 2, 3, 8};

	return one_in(2) ? 5 * FLAKE_US_PER_SECOND :
		lead_ticks[choose(lengthof(lead_ticks))] * world.layout.tick_us;
}

static void
make_world(const Config *config, uint64 seed, bool traced)
{
	static const double count_rates[] = {24, 54, 1000, 3000};
	int64		tick_us;
	int64		wall;

	memset(&world, 0, offsetof(World, backends));
	world.config = config;
	world.random = seed;
	world.trace = traced;
	world.mono_us = FLAKE_US_PER_SECOND;
	world.style = config->starts || config->flushes ? BURSTS : choose(STYLES);

	make_layout(config);
	tick_us = world.layout.tick_us;
	world.dt_us = one_in(3) ? tick_us / 3 : one_in(2) ? tick_us / 30 : 2 * tick_us;
	if (config->starts || config->flushes)
		world.dt_us = tick_us / 2;
	world.dt_us = Max(world.dt_us, 1);
	world.lead_us = any_lead();
	/* room for a restart, a step back, and some ticks */
	if (config->prompt || config->starts)
		world.lead_us = 5 * FLAKE_US_PER_SECOND + 40 * tick_us;
	if (config->jump_rate > 0)
		world.max_jump_us = 10 * FLAKE_US_PER_SECOND;
	world.count_rate = count_rates[choose(lengthof(count_rates))];
	world.nservers = 1;
	if (config->leases)
	{
		world.nservers += choose(MAX_SERVERS);
		world.nleasable = 1 + choose(3);
		world.lease_us = 1 + choose(6 * tick_us);
	}

	if (!config->ends)
		wall = start_of(1000000) + choose(3 * tick_us);
	else if (one_in(2))
		wall = start_of(0) + choose(4 * tick_us) - 2 * tick_us;
	else
		wall = start_of(flake_layout_max_tick(&world.layout)) +
			choose(4 * tick_us) - 3 * tick_us;
	world.true_offset_us = wall - world.mono_us;

	for (int i = 0; i < MAX_DATABASES; i++)
		world.databases[i].exchanger = -1;
	begin_wal();
	for (int i = 0; i < world.nservers; i++)
	{
		world.servers[i].wall_offset_us = world.true_offset_us;
		world.servers[i].node = any_node(i);
		begin_server(&world.servers[i]);
	}
	make_backends(config);
	trace("%s: tick %lld us, slot bits %d, sequence bits %d, time bits %d, %d sessions, lead %lld us",
		  config->name, (long long) tick_us, world.layout.slot_bits,
		  world.layout.seq_bits, world.layout.time_bits, world.nbackends,
		  (long long) lead_in_force(world.lead_us));
	for (int i = 0; i < world.nbackends; i++)
		trace("session %d: home slot %u, database %d, leisure %d", i,
			  world.backends[i].session.home, world.backends[i].database,
			  world.backends[i].leisure);
}

/* ------------------------------------------------------ what happens to it */

static Server *
any_server(void)
{
	return &world.servers[choose(world.nservers)];
}

/* The slots of some node id in use. */
static SlotSet *
any_set(const Server *server)
{
	return &world.sets[server - world.servers][choose(server->nsets)];
}

/* Set the clock to limits of ticks, of the lead or of the grace, or far away. */
static void
set_clock(Server *server)
{
	int64		tick_us = world.layout.tick_us;
	int64		lead = lead_in_force(world.lead_us);
	int64		now = wall_of(server);
	int64		used = start_of(any_set(server)->seen_tick);
	int64		to;

	switch (choose(10))
	{
		case 0:
			to = now + choose(7) - 3;
			break;
		case 1:
			to = start_of(tick_of(now)) + choose(3) - 1;
			break;
		case 2:
			to = start_of(tick_of(now) + 1) + choose(3) - 1;
			break;
		case 3:
			to = now + (choose(9) - 4) * tick_us;
			break;
		case 4:					/* the lead is just allowed or not */
			to = used - lead + choose(3) - 1;
			break;
		case 5:
			to = used - lead + (choose(5) - 2) * tick_us;
			break;
		case 6:					/* it is just within the grace or not */
			to = used - lead - FLAKE_LEAD_GRACE_US + choose(3) - 1;
			break;
		case 7:
			to = now - choose(2 * lead);
			break;
		case 8:
			to = now + choose(one_in(2) ? 4 * lead : 4 * tick_us);
			break;
		default:
			to = world.mono_us + world.true_offset_us;
			break;
	}
	server->wall_offset_us = to - world.mono_us;
	trace("clock is set by %+lld us", (long long) (to - now));
}

/* How far can the clock go back without ids being refused? */
static int64
room_for_lead(void)
{
	const Server *server = &world.servers[0];
	int64		high = server->wall_offset_us;

	for (int i = 0; i < server->nsets; i++)
		high = Max(high, world.sets[0][i].high_us);
	return lead_in_force(world.lead_us) - 20 * world.layout.tick_us -
		(high - server->wall_offset_us);
}

static void
set_clock_back(void)
{
	int64		room = room_for_lead();
	int64		by = choose(one_in(2) ? 3 * world.layout.tick_us :
							Max(room, 0) / 2);

	if (by > room)
		return;
	world.servers[0].wall_offset_us -= by;
	trace("clock is set by %+lld us", (long long) -by);
}

/* A crash leaves what was flushed, and perhaps more. */
static void
restart(const Config *config)
{
	int			more = world.nrecords - world.nflushed;
	int64		since_us = world.mono_us - world.start_mono_us;
	Server	   *server = any_server();

	trace("server %d is restarted", (int) (server - world.servers));
	world.start_excess_us = Max(world.start_excess_us - since_us, 0) +
		world.layout.tick_us;
	if (config->step_rate > 0)
		set_clock(server);
	advance(choose(2 * world.layout.tick_us));
	world.start_mono_us = world.mono_us;
	restart_from(server, world.nflushed + choose(more + 1));
}

/* A standby takes over that has received only part of what was flushed. */
static void
promote(void)
{
	int			less = Min(world.nflushed - MAX_DATABASES, 4);

	trace("standby takes over");
	if (one_in(2))
		set_clock(&world.servers[0]);
	restart_from(&world.servers[0], world.nflushed - choose(less + 1));
}

/* Others set a mark: to a time near the old one, ahead, or back, or unset it. */
static void
others(const Config *config)
{
	int			number = choose(config->databases);
	int64		tick_us = world.layout.tick_us;
	int64		lead = lead_in_force(world.lead_us);
	int64		old_ns = page_at(number, world.nrecords)->ns;
	int64		now = wall_of(server_of(number));
	int64		ns;

	switch (choose(10))
	{
		case 0:
			ns = old_ns + choose(2000000);
			break;
		case 1:
			ns = old_ns + choose(3 * tick_us) * FLAKE_NS_PER_US;
			break;
		case 2:
			ns = (now + choose(lead)) * FLAKE_NS_PER_US;
			break;
		case 3:					/* it is just taken over or not */
			ns = (now + lead + FLAKE_LEAD_GRACE_US + choose(3) - 1) *
				FLAKE_NS_PER_US;
			break;
		case 4:
			ns = (now + lead + choose(2 * FLAKE_US_PER_SECOND)) *
				FLAKE_NS_PER_US;
			break;
		case 5:
			ns = PG_INT64_MAX - choose(2000);
			break;
		case 6:
			ns = (now - choose(3 * lead)) * FLAKE_NS_PER_US;
			break;
		case 7:
			ns = old_ns - choose(2000);
			break;
		case 8:					/* a recent value */
			ns = page_at(number, world.nrecords -
						 choose(Min(world.nrecords - MAX_DATABASES, 4)))->ns;
			break;
		default:
			ns = choose(2);
			break;
	}
	set_mark(number, Max(ns, 0), one_in(2));
}

static void
slow_disk(void)
{
	static const int64 times_us[] = {0, 100, 1000, 200000, 600000, 3000000};

	world.flush_us = times_us[choose(lengthof(times_us))];
	trace("a flush takes %lld us", (long long) world.flush_us);
}

static bool
may_be_killed(const Backend *backend)
{
	/* the holder of the mark's lock would take the server down */
	return world.databases[backend->database].locked_by != backend->number;
}

static void
something_happens(const Config *config)
{
	Backend    *backend = &world.backends[choose(world.nbackends)];

	if (happens(config->step_rate))
		set_clock(any_server());
	if (happens(config->back_rate))
		set_clock_back();
	if (config->prompt && world.frozen && room_for_lead() < 0)
		world.frozen = false;
	else if (happens(config->freeze_rate))
	{
		world.frozen = !world.frozen;
		trace("clock %s", world.frozen ? "stands still" : "goes on");
	}
	if (happens(config->jump_rate))
	{
		world.servers[0].wall_offset_us += world.max_jump_us + choose(5) - 2;
		trace("clock jumps");
	}
	if (happens(config->counter_rate))
		counter_fault();
	if (happens(config->node_rate))
	{
		int			server = choose(world.nservers);

		world.servers[server].node = any_node(server);
	}
	if (happens(config->lead_rate))
		world.lead_us = any_lead();
	if (happens(config->others_rate))
		others(config);
	if (happens(config->slow_rate))
		slow_disk();
	if (happens(config->writer_rate) ||
		(config->steady && world.mono_us - world.writer_us >= WRITER_DELAY_US))
	{
		world.writer_us = world.mono_us;
		flush_all();
	}
	if (config->leases && one_in(64))
		late_releases();
	if (happens(config->kill_rate) && may_be_killed(backend))
	{
		trace("session %d is gone, another begins", backend->number);
		backend_start(backend);
	}
	if (happens(config->restart_rate) &&
		(!config->prompt || room_for_lead() > 2 * FLAKE_MARK_AHEAD_US))
		restart(config);
	if (happens(config->promote_rate))
		promote();
}

/* ------------------------------------------------------------- the turns */

static void
time_passes(bool prompt)
{
	int64		tick_us = world.layout.tick_us;
	bool		even = world.config->starts || world.config->flushes;

	/* prompt: a tick lasts for several hundred turns */
	if (prompt && tick_us >= 1000)
		advance(choose(tick_us / 300));
	else if (prompt)
		advance(one_in(1 + 500 / tick_us) ? 1 : 0);
	else if (one_in(4))
		advance(choose(world.dt_us) + 1);
	else if (!even && one_in(64))
		advance(choose(5 * tick_us));
}

static bool
can_run(const Backend *backend)
{
	return backend->wake_us <= world.mono_us &&
		(backend->stalled_until <= world.turn || world.draining);
}

/* The session to run next; NULL if all sleep or are stalled. */
static Backend *
pick(bool prompt)
{
	Backend    *best = NULL;
	int			n = 0;

	for (int i = 0; i < world.nbackends; i++)
	{
		Backend    *backend = &world.backends[i];

		if (!can_run(backend))
			continue;
		n++;
		if (best == NULL ||
			(world.style == PRIORITIES && !prompt ?
			 backend->priority > best->priority : one_in(n)))
			best = backend;
	}
	return best;
}

/* Everybody sleeps or waits: let time pass until the first one wakes. */
static void
sleep_on(void)
{
	int64		first = PG_INT64_MAX;

	for (int i = 0; i < world.nbackends; i++)
	{
		if (world.backends[i].wake_us > world.mono_us)
			first = Min(first, world.backends[i].wake_us);
	}
	if (first != PG_INT64_MAX)
		advance(first - world.mono_us);
}

static void
run(Backend *backend, bool prompt)
{
	if (prompt || world.style == ANYONE)
		world.points_left = 1 + choose(3);
	else if (world.style == BURSTS)
		world.points_left = 1 + choose(one_in(2) ? 8 : 80);
	else
		world.points_left = 1 + choose(12);

	world.running = backend;
	counter_load(backend);
	fiber_run(backend->number);
	counter_save(backend);
	world.running = NULL;

	if (prompt || world.config->starts || world.config->flushes)
		return;
	if (one_in(32))
		backend->stalled_until = world.turn + choose(one_in(4) ? 300 : 30);
	if (one_in(16))
		backend->priority = choose(1000);
}

/* Does every session sleep or wait for a lock? */
static bool
all_wait(void)
{
	for (int i = 0; i < world.nbackends; i++)
	{
		if (can_run(&world.backends[i]) && !world.backends[i].blocked)
			return false;
	}
	return true;
}

static void
take_turn(bool prompt)
{
	Backend    *backend;

	world.turn++;
	time_passes(prompt);
	if (all_wait())
		sleep_on();
	backend = pick(prompt);
	if (backend != NULL)
		run(backend, prompt);
}

static bool
someone_asks(void)
{
	for (int i = 0; i < world.nbackends; i++)
	{
		if (world.backends[i].asking)
			return true;
	}
	return false;
}

/* Every request must be answered in the end. */
static void
drain(void)
{
	int64		until_us = world.mono_us + 5 * FLAKE_LEAD_GRACE_US +
		(world.nbackends + 10) * world.layout.tick_us +
		8 * world.nbackends * world.flush_us;

	trace("nobody asks anew");
	world.draining = true;
	world.frozen = false;
	world.count_frozen = false;
	while (!world.failed && someone_asks())
	{
		if (world.mono_us > until_us)
			fail("a session that asked was not answered in the end");
		take_turn(true);
	}
}

void
run_schedule(const Config *config, uint64 seed, bool traced)
{
	make_world(config, seed, traced);
	while (!world.failed && world.turn < config->turns &&
		   world.nids < MAX_IDS / 2 && world.nrecords < MAX_RECORDS / 2 &&
		   world.nleases < MAX_LEASES / 2)
	{
		something_happens(config);
		take_turn(config->prompt);
	}
	if (!world.failed)
		drain();
}
