/*
 * counter.c
 *		Knowing that a tick lasts without reading the clock: the counter's rate.
 *
 * The counter is used only where the processor says that it runs at one rate
 * whatever the processor does: by cpuid on x86-64; by definition on 64-bit
 * Arm.  That rate is never assumed.  It is measured, in each process, when the
 * wall clock is read anyway, and again all the time, against the monotonic
 * clock: the wall clock may be stepped or stand still.
 *
 *	- A measurement goes from one pair of counter and clock to another at
 *	  least MEASURE_NS later.  The counter is read before and after the clock;
 *	  the two gaps together must be less than 1/PAIR_PART of the way, so a
 *	  process that lost the processor between them measures nothing wrong.
 *	- The counter is used when two measurements that follow each other agree
 *	  within RATE_TOLERANCE.  The rate is then always that of the last one.
 *	- When a later one does not agree (the counter jumped, stood still or
 *	  changed its rate), it is not used any more in this process.
 *
 * On the safe side: a span is shortened by more than the rate can be off, and
 * by a microsecond; it begins at the counter's value before the clock was
 * read; a counter that goes back ends it at once (the difference is unsigned);
 * it never lasts longer than a tick, FLAKE_COUNTER_MAX_US or
 * FLAKE_COUNTER_MAX_IDS ids, so a step of the clock is noticed within a tick
 * and a counter that stands still within so many ids.
 */
#include "postgres.h"

#include <math.h>

#include "core/env.h"
#include "core/counter.h"

#if defined(FLAKE_HAVE_COUNTER) && defined(__x86_64__)
#include <cpuid.h>
#endif

/* A rate is taken over at least so long ... */
#define MEASURE_NS			2000000

/* ... of which the time for reading pairs is at most this part ... */
#define PAIR_PART			256

/* ... must be one that a counter can have, per nanosecond ... */
#define LOWEST_RATE			0.001
#define HIGHEST_RATE		20.0

/* ... and may differ from the last one by this part of it. */
#define RATE_TOLERANCE		(1.0 / 128)

/* A span is shortened by this part (twice the tolerance) and so much. */
#define SPAN_PART			(1.0 - 2 * RATE_TOLERANCE)
#define SPAN_MARGIN_NS		1000

typedef enum CounterState
{
	COUNTER_BEGIN,				/* waiting for a first pair */
	COUNTER_MEASURING,			/* no two rates that agree yet */
	COUNTER_TRUSTED,
	COUNTER_OFF,				/* not to be used, and why: see reason */
} CounterState;

/* One per process: the processor's counter is the same for all sessions. */
static CounterState state = COUNTER_BEGIN;
static const char *reason = NULL;
static uint64 pair_count;		/* the pair that the next is measured from */
static uint64 pair_gap;			/* counts that passed while it was read */
static int64 pair_ns;
static double rate;				/* counts per nanosecond; 0: none yet */

/*
 * Does the processor say that its counter never changes its rate?  In a virtual
 * machine it takes tens of microseconds to answer.
 */
static bool
counter_is_invariant(void)
{
#if defined(FLAKE_SIMULATION)
	return true;
#elif defined(FLAKE_HAVE_COUNTER) && defined(__x86_64__)
	unsigned int a,
				b,
				c,
				d;

	/* leaf 80000007H, EDX bit 8: invariant time stamp counter */
	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1 << 8)) != 0;
#elif defined(FLAKE_HAVE_COUNTER)
	return true;
#else
	return false;
#endif
}

static void
turn_off(const char *why)
{
	state = COUNTER_OFF;
	reason = why;
}

/* Learn from another pair of counter and clock. */
static void
learn(uint64 count, uint64 gap, int64 ns)
{
	int64		passed_ns = ns - pair_ns;
	uint64		counted = count - pair_count;
	double		measured;
	bool		agrees;

	if (state != COUNTER_BEGIN)
	{
		if (count < pair_count)
		{
			turn_off("counter went back");
			return;
		}
		if (passed_ns < MEASURE_NS)
			return;
		/* not before, so that a session's first id does not wait for it */
		if (rate == 0 && !counter_is_invariant())
		{
			turn_off("processor has no counter of a constant rate");
			return;
		}
		measured = (double) counted / (double) passed_ns;
		if (measured < LOWEST_RATE || measured > HIGHEST_RATE)
		{
			turn_off("counter runs at no plausible rate");
			return;
		}
		if (gap + pair_gap > counted / PAIR_PART)
			return;

		agrees = fabs(measured - rate) <= rate * RATE_TOLERANCE;
		if (state == COUNTER_TRUSTED && !agrees)
		{
			turn_off("counter and clock disagree");
			return;
		}
		state = agrees ? COUNTER_TRUSTED : COUNTER_MEASURING;
		rate = measured;
	}
	else
		state = COUNTER_MEASURING;

	pair_count = count;
	pair_gap = gap;
	pair_ns = ns;
}

/*
 * Read the wall clock, and what the counter was just before.
 */
FlakeSample
flake_counter_sample(void)
{
	FlakeSample sample;
	int64		ns;

	sample.count = flake_counter();
	sample.wall_us = flake_clock_us();
	if (state == COUNTER_OFF)
		return sample;

	ns = flake_monotonic_ns();
	learn(sample.count, flake_counter() - sample.count, ns);
	return sample;
}

/*
 * A number of counts that surely takes less than "us" from a reading just
 * made.  0: the counter is not to be trusted.
 */
uint64
flake_counter_span(int64 us)
{
	double		ns;

	if (state != COUNTER_TRUSTED)
		return 0;
	ns = (double) Min(us, FLAKE_COUNTER_MAX_US) * FLAKE_NS_PER_US * SPAN_PART -
		SPAN_MARGIN_NS;
	return ns > 0 ? (uint64) (ns * rate) : 0;
}

/* For reports: is the counter used in this process, and why not. */
const char *
flake_counter_state(void)
{
	switch (state)
	{
		case COUNTER_OFF:
			return reason;
		case COUNTER_BEGIN:
		case COUNTER_MEASURING:
			return "counter is being measured";
		case COUNTER_TRUSTED:
			return "counter is used";
	}
	return NULL;				/* not reached */
}
