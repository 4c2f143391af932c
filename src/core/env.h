/*
 * clock.h
 *		The only reader of the system's clocks.
 *
 * Wall-clock time is microseconds since 1970-01-01T00:00:00Z, as in the rest
 * of flake; it may step in either direction at any moment and nothing here
 * hides that.  The other two clocks cannot be set by anybody: the monotonic
 * one measures waits, the boot-time one (which also counts while the machine
 * sleeps) tells a wrong wall clock from a long pause.
 *
 * In the simulation (test/sim) the same functions read a clock that
 * the simulation moves.
 */
#ifndef FLAKE_CLOCK_H
#define FLAKE_CLOCK_H

#include "postgres.h"

#include <time.h>

#define FLAKE_US_PER_SECOND		INT64CONST(1000000)

#ifndef FLAKE_SIMULATION

static inline int64
flake_read_clock(clockid_t clock)
{
	struct timespec now;

	(void) clock_gettime(clock, &now);
	return (int64) now.tv_sec * FLAKE_US_PER_SECOND + now.tv_nsec / 1000;
}

/* The wall clock, microseconds since 1970. */
static inline int64
flake_clock_us(void)
{
	return flake_read_clock(CLOCK_REALTIME);
}

/* Microseconds on a clock that nobody can set; for the length of waits. */
static inline int64
flake_monotonic_us(void)
{
	return flake_read_clock(CLOCK_MONOTONIC);
}

/* Nanoseconds on such a clock, to measure short times with. */
static inline int64
flake_monotonic_ns(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * (FLAKE_US_PER_SECOND * 1000) + now.tv_nsec;
}

/* Microseconds, going on while the machine is suspended where there is such. */
static inline int64
flake_boottime_us(void)
{
#ifdef CLOCK_BOOTTIME
	return flake_read_clock(CLOCK_BOOTTIME);
#else
	return flake_read_clock(CLOCK_MONOTONIC);
#endif
}

#else

extern int64 flake_clock_us(void);
extern int64 flake_monotonic_us(void);
extern int64 flake_boottime_us(void);

static inline int64
flake_monotonic_ns(void)
{
	return flake_monotonic_us() * 1000;
}

#endif							/* FLAKE_SIMULATION */

#endif							/* FLAKE_CLOCK_H */
