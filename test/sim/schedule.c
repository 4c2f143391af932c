/*
 * schedule.c
 *		Who runs next, and what happens to the clock and to the server.
 *
 * A schedule is made from a configuration and a seed: first a world (a
 * layout, sessions, habits), then turns.  In each turn something may happen to
 * the clock or the server, time may pass, and one session runs until it is
 * interrupted.  In the end nobody asks anew, the clock is left alone, and
 * everybody who has asked must be answered.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum
{
	ANYONE,						/* each turn another */
	BURSTS,						/* one runs for long, then another */
	PRIORITIES,					/* the first that can, with rare changes */
	STYLES
};

uint64
random_bits(void)
{
	uint64		z = (world.random += UINT64CONST(0x9E3779B97F4A7C15));

	z = (z ^ z >> 30) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64CONST(0x94D049BB133111EB);
	return z ^ z >> 31;
}

int64
random_below(int64 n)
{
	return n <= 1 ? 0 : (int64) (random_bits() % (uint64) n);
}

bool
one_in(int64 n)
{
	return random_below(n) == 0;
}

static bool
happens(int rate)
{
	return rate > 0 && random_below(1024) < rate;
}

/* ------------------------------------------------------------ the world */

static void
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
	int			low = random_below(3);	/* node bits below the others */
	int			below;

	memset(layout, 0, sizeof(*layout));
	layout->tick_us = tick_us[random_below(lengthof(tick_us))];
	if (config->prompt)
		layout->tick_us = Max(layout->tick_us, 1000);
	layout->epoch_us = one_in(2) ? INT64CONST(1735689600000000) :
		random_below(1000000) - 500000;
	layout->slot_bits = config->no_slots ? 0 : random_below(4);
	layout->seq_bits = config->long_ranges ? 7 : random_below(3);
	layout->node_bits = NODE_BITS;
	below = NODE_BITS + layout->slot_bits + layout->seq_bits;
	layout->time_bits = config->ends ? 4 + random_below(4) :
		FLAKE_ID_BITS - below;

	below += layout->time_bits;
	add_field(FLAKE_FIELD_TIME, "time", layout->time_bits, &below);
	layout->time_shift = below;
	add_field(FLAKE_FIELD_NODE, "high", NODE_BITS - low, &below);
	add_field(FLAKE_FIELD_SLOT, "slot", layout->slot_bits, &below);
	layout->slot_shift = layout->slot_bits > 0 ? below : 0;
	add_field(FLAKE_FIELD_SEQUENCE, "sequence", layout->seq_bits, &below);
	layout->seq_shift = layout->seq_bits > 0 ? below : 0;
	add_field(FLAKE_FIELD_NODE, "low", low, &below);
}

static void
begin_server(void)
{
	FlakeGeometry geometry;

	flake_layout_geometry(&world.layout, &geometry);
	flake_slots_init(world.sets[0].slots, &geometry);
	begin_set(&world.sets[0], world.set->high_us);
	world.set = &world.sets[0];
	world.directory_locked = false;
	world.running = NULL;
	world.waits_from_us = world.mono_us;
}

static void
make_backends(const Config *config)
{
	int			capacity = 1 << (world.layout.slot_bits +
								 world.layout.seq_bits);
	int			nslots = 1 << world.layout.slot_bits;
	uint32		first = random_below(nslots);
	int			home_style = random_below(3);

	if (config->wait_ticks > 0)
	{
		/* at most as many sessions as a tick has ids */
		world.nbackends = 1 + random_below(Min(capacity, MAX_BACKENDS));
		if (one_in(2))
			world.nbackends = Min(capacity, MAX_BACKENDS);
	}
	else if (config->crowd)
		world.nbackends = Min(capacity + random_below(4), MAX_BACKENDS);
	else
		world.nbackends = 1 + random_below(6);

	for (int i = 0; i < world.nbackends; i++)
	{
		Backend    *backend = &world.backends[i];

		memset(backend, 0, sizeof(*backend));
		backend->number = i;
		backend->priority = random_below(1000);
		backend->database = random_below(config->databases);
		if (config->spread || home_style == 0)
			backend->home = first + i;
		else if (home_style == 1)
			backend->home = first;
		else
			backend->home = random_below(100);
		backend_start(backend);
	}
}

static void
make_world(const Config *config, uint64 seed, bool traced)
{
	static char *memory = NULL;
	const size_t size = offsetof(FlakeSlots, slot) +
		MAX_SLOTS * sizeof(FlakeSlot);
	static const int64 lead_ticks[] = {0, 1, 2, 3, 8};
	static const double count_rates[] = {24, 54, 1000, 3000};
	int64		tick_us;
	int64		wall;

	if (memory == NULL)
	{
		memory = calloc(1, MAX_SETS * size + FLAKE_CACHE_LINE);
		if (memory == NULL)
			abort();
	}
	memset(&world, 0, offsetof(World, backends));
	world.config = config;
	world.seed = seed;
	world.random = seed;
	world.trace = traced;
	for (int i = 0; i < MAX_SETS; i++)
		world.sets[i].slots = (FlakeSlots *)
			(TYPEALIGN(FLAKE_CACHE_LINE, memory) + i * size);
	world.set = &world.sets[0];
	world.set->high_us = PG_INT64_MIN / 2;
	world.failed = false;
	world.mono_us = FLAKE_US_PER_SECOND;
	world.run = 0;
	world.draining = false;
	world.generation = 1;
	world.retired_nodes = 0;
	world.style = random_below(STYLES);
	world.turn = 0;
	world.nids = 0;
	world.longest_wait_us = 0;

	make_layout(config);
	tick_us = world.layout.tick_us;
	world.dt_us = one_in(3) ? tick_us / 3 : one_in(2) ? tick_us / 30 : 2 * tick_us;
	world.dt_us = Max(world.dt_us, 1);
	world.mark_ahead_us = one_in(2) ? FLAKE_US_PER_SECOND : 8 * tick_us;
	world.allowed_us = one_in(2) ? 5 * FLAKE_US_PER_SECOND :
		lead_ticks[random_below(lengthof(lead_ticks))] * tick_us;
	if (config->prompt)
	{
		/* room for a restart, a step back, and the ticks beyond */
		world.allowed_us = 5 * FLAKE_US_PER_SECOND + 40 * tick_us;
	}
	world.count_rate = count_rates[random_below(lengthof(count_rates))];
	world.node = config->node_rate > 0 ? random_below(1 << NODE_BITS) : 0;

	if (!config->ends)
		wall = start_of(1000000) + random_below(3 * tick_us);
	else if (one_in(2))
		wall = start_of(0) + random_below(4 * tick_us) - 2 * tick_us;
	else
		wall = start_of(flake_layout_max_tick(&world.layout)) +
			random_below(4 * tick_us) - 3 * tick_us;
	world.wall_offset_us = wall - world.mono_us;
	world.true_offset_us = world.wall_offset_us;

	for (int i = 0; i < MAX_DATABASES; i++)
	{
		Mark	   *mark = &world.marks[i];

		mark->page_us = mark->durable_us = PG_INT64_MIN;
		mark->mark_us = mark->start_us = PG_INT64_MIN;
		mark->locked_by = -1;
	}
	check_begin();
	begin_server();
	make_backends(config);
	trace("%s: tick %lld us, slot bits %d, sequence bits %d, time bits %d, %d sessions, lead %lld us, mark ahead %lld us",
		  config->name, (long long) tick_us, world.layout.slot_bits,
		  world.layout.seq_bits, world.layout.time_bits, world.nbackends,
		  (long long) lead_in_force(world.allowed_us),
		  (long long) world.mark_ahead_us);
	for (int i = 0; i < world.nbackends; i++)
		trace("session %d: home slot %u, database %d, leisure %d", i,
			  world.backends[i].session.home, world.backends[i].database,
			  world.backends[i].leisure);
}

/* ------------------------------------------------------ what happens to it */

/* Anywhere: on the boundaries of ticks, of the lead, of the grace, far off. */
static void
set_clock(void)
{
	int64		tick_us = world.layout.tick_us;
	int64		lead = lead_in_force(world.allowed_us);
	int64		now = wall_us();
	int64		used = start_of(world.set->seen_tick); /* the layout's tick */
	int64		to;

	switch (random_below(10))
	{
		case 0:
			to = now + random_below(7) - 3;
			break;
		case 1:
			to = start_of(tick_of(now)) + random_below(3) - 1;
			break;
		case 2:
			to = start_of(tick_of(now) + 1) + random_below(3) - 1;
			break;
		case 3:
			to = now + (random_below(9) - 4) * tick_us;
			break;
		case 4:					/* the lead is just allowed, or not */
			to = used - lead + random_below(3) - 1;
			break;
		case 5:
			to = used - lead + (random_below(5) - 2) * tick_us;
			break;
		case 6:					/* it is just worth waiting for, or not */
			to = used - lead - FLAKE_LEAD_GRACE_US + random_below(3) - 1;
			break;
		case 7:
			to = now - random_below(2 * lead);
			break;
		case 8:
			to = now + random_below(one_in(2) ? 4 * lead : 4 * tick_us);
			break;
		default:
			to = world.mono_us + world.true_offset_us;
			break;
	}
	world.wall_offset_us = to - world.mono_us;
	trace("clock is set by %+lld us", (long long) (to - now));
}

/* How far may the clock go back, and ids still go on without a break? */
static int64
room_for_lead(void)
{
	int64		lead = Max(world.set->high_us, world.wall_offset_us) -
		world.wall_offset_us;

	return lead_in_force(world.allowed_us) - 20 * world.layout.tick_us - lead;
}

static void
set_clock_back(void)
{
	int64		room = room_for_lead();
	int64		by = random_below(one_in(2) ? 3 * world.layout.tick_us :
								  Max(room, 0) / 2);

	if (by > room)
		return;
	world.wall_offset_us -= by;
	trace("clock is set by %+lld us", (long long) -by);
}

static void
restart(const Config *config)
{
	trace("server is restarted");
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		Mark	   *mark = &world.marks[i];
		int64		page_us = one_in(2) ? mark->page_us : mark->durable_us;

		mark->page_us = mark->durable_us = mark->start_us = page_us;
		mark->mark_us = PG_INT64_MIN;
		mark->locked_by = -1;
	}
	world.run++;
	world.giving_up = false;
	if (config->step_rate > 0)
		set_clock();
	advance(random_below(2 * world.layout.tick_us));
	begin_server();
	for (int i = 0; i < world.nbackends; i++)
		backend_start(&world.backends[i]);
}

/* A restore sets a later mark with setval(); the next move takes it up. */
static void
restore(Mark *mark)
{
	int64		later = mark->mark_us + random_below(3 * world.layout.tick_us);

	if (mark->mark_us == PG_INT64_MIN || mark->locked_by >= 0)
		return;
	trace("restore sets a mark to %+lld",
		  (long long) (later - world.layout.epoch_us));
	mark->page_us = mark->durable_us = later;
	mark->start_us = mark->mark_us = later;
}

static void
something_happens(const Config *config)
{
	Backend    *backend = &world.backends[random_below(world.nbackends)];

	if (happens(config->step_rate) && !world.giving_up)
		set_clock();
	if (happens(config->back_rate))
		set_clock_back();
	if (config->prompt && world.frozen && room_for_lead() < 0)
		world.frozen = false;
	else if (happens(config->freeze_rate))
	{
		world.frozen = !world.frozen;
		trace("clock %s", world.frozen ? "stands still" : "goes on");
	}
	if (happens(config->counter_rate))
		counter_fault();
	if (happens(config->node_rate))
		world.node = random_below(1 << NODE_BITS);
	if (happens(config->restore_rate))
		restore(&world.marks[random_below(config->databases)]);
	if (happens(config->crash_rate) && !world.giving_up)
	{
		trace("session %d is gone, another begins", backend->number);
		backend_start(backend);
	}
	if (happens(config->restart_rate) &&
		(!config->prompt || room_for_lead() > 2 * world.mark_ahead_us))
		restart(config);
}

/* ------------------------------------------------------------- the turns */

static void
time_passes(bool prompt)
{
	int64		tick_us = world.layout.tick_us;

	/* prompt: a tick lasts for some hundred turns */
	if (prompt && tick_us >= 1000)
		advance(random_below(tick_us / 300));
	else if (prompt)
		advance(one_in(1 + 500 / tick_us) ? 1 : 0);
	else if (one_in(4))
		advance(random_below(world.dt_us) + 1);
	else if (one_in(64))
		advance(random_below(5 * tick_us));
}

static bool
can_run(const Backend *backend)
{
	return backend->wake_us <= world.mono_us &&
		(backend->stalled_until <= world.turn || world.draining);
}

/* NULL: all sleep or are stalled. */
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

/* Everybody sleeps: on to the first who wakes. */
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
		world.points_left = 1 + random_below(3);
	else if (world.style == BURSTS)
		world.points_left = 1 + random_below(one_in(2) ? 8 : 80);
	else
		world.points_left = 1 + random_below(12);

	world.running = backend;
	counter_load(backend);
	fiber_run(backend->fiber);
	counter_save(backend);
	world.running = NULL;

	if (prompt)
		return;
	if (one_in(32))
		backend->stalled_until = world.turn + random_below(one_in(4) ? 300 : 30);
	if (one_in(16))
		backend->priority = random_below(1000);
}

static void
take_turn(bool prompt)
{
	Backend    *backend;

	world.turn++;
	time_passes(prompt);
	backend = pick(prompt);
	if (backend != NULL)
		run(backend, prompt);
	else
		sleep_on();
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

/* Whoever has asked is answered: nobody waits for ever. */
static void
drain(void)
{
	int64		until_us = world.mono_us + 5 * FLAKE_LEAD_GRACE_US +
		(world.nbackends + 10) * world.layout.tick_us;

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
		   world.nids < MAX_IDS / 2)
	{
		something_happens(config);
		take_turn(config->prompt);
	}
	if (!world.failed)
		drain();
}
