/*
 * counter.c
 *		The processor's cycle counter: its rate, and when to trust it.
 *
 * The counter is used only if its rate is constant: x86-64 processors report
 * that by cpuid, and 64-bit Arm defines it so.  The rate itself is never
 * assumed.  Each process measures it whenever it reads the wall clock, against
 * the monotonic clock, because the wall clock can step or stand still.
 *
 *	- A measurement takes two pairs of counter and clock, at least MEASURE_NS
 *	  apart.  For each pair the counter is read before and after the clock.  If
 *	  the two gaps together are more than 1/PAIR_PART of the counts between the
 *	  pairs, because the process lost the processor, there is no measurement.
 *	- The counter is trusted once two successive measurements agree within
 *	  RATE_TOLERANCE.  The rate in use is always the latest one.
 *	- If a later measurement disagrees, because the counter jumped, stood still
 *	  or changed its rate, this process never uses the counter again.
 *
 * A span, the number of counts for which the tick is taken to last, errs on the
 * short side.  It is shortened by more than the rate can be wrong, and by a
 * microsecond more.  It begins at the counter's value before the clock was
 * read.  It ends at once if the counter goes back, because the difference is
 * unsigned.  It is never longer than a tick or FLAKE_COUNTER_MAX_US, and never
 * used for more than FLAKE_COUNTER_MAX_IDS ids: a step of the clock is noticed
 * within a tick, and a counter that stands still within that many ids.
 */
#include "postgres.h"

#include <math.h>

#include "core/env.h"
#include "core/counter.h"

#if defined(FLAKE_HAVE_COUNTER) && defined(__x86_64__)
#include <cpuid.h>
#endif

/* The shortest time over which the rate is measured */
#define MEASURE_NS			2000000

/* At most 1/PAIR_PART of it may pass while the two pairs are read */
#define PAIR_PART			256

/* Rates that a counter can have, in counts per nanosecond */
#define LOWEST_RATE			0.001
#define HIGHEST_RATE		20.0

/* Two rates agree if they differ by at most this part of the first */
#define RATE_TOLERANCE		(1.0 / 128)

/* A span is this part of the time that is left, less SPAN_MARGIN_NS */
#define SPAN_PART			(1.0 - 2 * RATE_TOLERANCE)
#define SPAN_MARGIN_NS		1000

typedef enum CounterState
{
	COUNTER_BEGIN,				/* no pair has been read yet */
	COUNTER_MEASURING,			/* no two rates have agreed yet */
	COUNTER_TRUSTED,
	COUNTER_OFF,				/* never to be used, for the reason given */
} CounterState;

/* All sessions of a process share one counter. */
static CounterState state = COUNTER_BEGIN;
static const char *reason = NULL;
static uint64 pair_count;		/* the first pair of the next measurement */
static uint64 pair_gap;			/* counts that passed while it was read */
static int64 pair_ns;
static double rate;				/* counts per nanosecond; 0 if not measured */

/*
 * Does the processor say that the counter's rate is constant?  In a virtual
 * machine cpuid takes tens of microseconds.
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

/* Measure the rate with another pair of counter and clock. */
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
		/* only now, so that a session's first id does not wait for cpuid */
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

/* Read the counter and the wall clock, and learn about the rate. */
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
 * A number of counts that takes less than "us"; 0 if the counter cannot be
 * trusted.
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

/* Is the counter used in this process, or why not?  For tests. */
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
