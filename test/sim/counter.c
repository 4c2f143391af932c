/*
 * counter.c
 *		The processor's cycle counter, and the variables of
 *		src/core/counter.c for each session.
 *
 * src/core/counter.c has static variables, because each process has one counter.
 * Here all sessions are in one process.  So that file is included here, and its
 * variables are saved and loaded whenever another session runs.
 */
#include "sim.h"

/* The counter as flake_counter_sample() reads it, together with the clock. */
static uint64 pair_counter(void);

#define flake_counter	pair_counter
#include "../../src/core/counter.c"
#undef flake_counter

static uint64
count_now(void)
{
	if (world.count_frozen)
		return world.count_base;
	return world.count_base + (uint64) (world.mono_us * world.count_rate);
}

static uint64
pair_counter(void)
{
	if (searching)
		return 0;
	flake_sim_point();
	world.running->pair_jumps = world.count_jumps;
	return count_now();
}

/*
 * The counter as it is read to know whether a tick lasts: now the session can
 * know how much time has passed since its last reading of the clock.
 */
uint64
flake_counter(void)
{
	Backend    *backend = world.running;
	uint64		count;

	if (searching)
		return 0;
	flake_sim_point();
	count = count_now();
	backend->known_us = backend->read_us +
		(world.mono_us - backend->read_mono_us);
	flake_sim_point();
	return count;
}

/* In a search the counter is off, and each id reads the clock. */
void
counter_begin(Backend *backend)
{
	memset(&backend->counter, 0, sizeof(backend->counter));
	backend->counter.state = searching ? COUNTER_OFF : COUNTER_BEGIN;
	backend->known_us = PG_INT64_MIN / 2;
	backend->read_us = PG_INT64_MIN / 2;
	backend->read_mono_us = 0;
	backend->ids_since_read = 0;
}

void
counter_load(const Backend *backend)
{
	state = backend->counter.state;
	reason = backend->counter.reason;
	pair_count = backend->counter.pair_count;
	pair_gap = backend->counter.pair_gap;
	pair_ns = backend->counter.pair_ns;
	rate = backend->counter.rate;
}

void
counter_save(Backend *backend)
{
	if (state != (CounterState) backend->counter.state)
		trace("session %d: %s", backend->number, flake_counter_state());
	backend->counter.state = state;
	backend->counter.reason = reason;
	backend->counter.pair_count = pair_count;
	backend->counter.pair_gap = pair_gap;
	backend->counter.pair_ns = pair_ns;
	backend->counter.rate = rate;
}

/* The counter stops or goes on, jumps, or changes its rate. */
void
counter_fault(void)
{
	uint64		now = count_now();

	switch (choose(3))
	{
		case 0:
			world.count_wrong = true;
			world.count_frozen = !world.count_frozen;
			break;
		case 1:
			world.count_jumps++;
			now += choose(2000000) - 1000000;
			break;
		default:
			world.count_wrong = true;
			world.count_rate *= one_in(2) ? 0.5 : 2;
			break;
	}
	world.count_base = world.count_frozen ? now :
		now - (uint64) (world.mono_us * world.count_rate);
	trace("cycle counter goes wrong");
}
