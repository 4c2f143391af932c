/*
 * env.h
 *		The system's clocks.
 *
 * Besides these and the processor's cycle counter (counter.h) the core reads
 * nothing of its surroundings: its callers pass it settings, the durable mark
 * and shared memory.  In the simulation (test/sim) these functions read clocks
 * that the simulation moves.
 *
 * The wall clock counts microseconds since 1970-01-01T00:00:00Z, and can step
 * forward or back at any moment.  Nobody can set the other two clocks: the
 * monotonic one measures waits; the boot-time one, which also counts while the
 * machine is suspended, tells a wrong wall clock from a long pause.
 */
#ifndef FLAKE_ENV_H
#define FLAKE_ENV_H

#include <time.h>

#define FLAKE_US_PER_SECOND		INT64CONST(1000000)
#define FLAKE_NS_PER_US			INT64CONST(1000)

/* No time is known; less than every time that an id can have. */
#define FLAKE_NO_TIME			PG_INT64_MIN

#ifndef FLAKE_SIMULATION

static inline int64
flake_read_clock(clockid_t clock)
{
	struct timespec now;

	(void) clock_gettime(clock, &now);
	return (int64) now.tv_sec * FLAKE_US_PER_SECOND + now.tv_nsec / FLAKE_NS_PER_US;
}

/* The wall clock, microseconds since 1970. */
static inline int64
flake_clock_us(void)
{
	return flake_read_clock(CLOCK_REALTIME);
}

/* Microseconds on a clock that nobody can set, to measure waits. */
static inline int64
flake_monotonic_us(void)
{
	return flake_read_clock(CLOCK_MONOTONIC);
}

/* The same clock in nanoseconds, to measure the rate of the cycle counter. */
static inline int64
flake_monotonic_ns(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * (FLAKE_US_PER_SECOND * FLAKE_NS_PER_US) + now.tv_nsec;
}

/*
 * Microseconds on a clock that nobody can set and that goes on while the
 * machine is suspended, if the system has such a clock.
 */
static inline int64
flake_boottime_us(void)
{
#ifdef CLOCK_BOOTTIME
	return flake_read_clock(CLOCK_BOOTTIME);
#else
	return flake_read_clock(CLOCK_MONOTONIC);
#endif
}

#define FLAKE_POINT()	((void) 0)

#else

extern int64 flake_clock_us(void);
extern int64 flake_monotonic_us(void);

static inline int64
flake_monotonic_ns(void)
{
	return flake_monotonic_us() * FLAKE_NS_PER_US;
}

/* In the simulation another session may run at each of these points. */
extern void flake_sim_point(void);

#define FLAKE_POINT()	flake_sim_point()

#endif							/* FLAKE_SIMULATION */

#endif							/* FLAKE_ENV_H */
