/*
 * counter.h
 *		The processor's cycle counter, to read the clock less often.
 *
 * Reading the wall clock is most of the cost of an id; reading the cycle
 * counter costs less than half as much.  So after each reading of the clock a
 * session computes a number of counts during which the tick cannot end, and
 * until they have passed it reads only the counter.
 *
 * An id's time (P3) then depends on the counter as well; counter.c says which
 * precautions are taken.  Uniqueness and order (P1, P2) do not depend on it: a
 * range belongs to its session whatever the time is.
 *
 * There is no counter, and every id reads the clock, if flake is built with
 * FLAKE_CLOCK=system or for a processor other than the two below.
 */
#ifndef FLAKE_COUNTER_H
#define FLAKE_COUNTER_H

/* The clock is read at least this often, however long a tick is ... */
#define FLAKE_COUNTER_MAX_US	INT64CONST(10000)

/* ... and once per this many ids, in case the counter stands still. */
#define FLAKE_COUNTER_MAX_IDS	64

#if defined(FLAKE_SIMULATION)

extern uint64 flake_counter(void);
#define FLAKE_HAVE_COUNTER

#elif defined(FLAKE_CLOCK_SYSTEM)

/* the developer wants none */

#elif defined(__x86_64__) && defined(__GNUC__)

#define FLAKE_HAVE_COUNTER

/* The processor's time stamp counter. */
static inline uint64
flake_counter(void)
{
	return __builtin_ia32_rdtsc();
}

#elif defined(__aarch64__) && defined(__GNUC__)

#define FLAKE_HAVE_COUNTER

/* A macro, because pgindent misreads the colon. */
#define READ_VIRTUAL_COUNT(count) \
	__asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(count))

/* The virtual count of the generic timer. */
static inline uint64
flake_counter(void)
{
	uint64		count;

	READ_VIRTUAL_COUNT(count);
	return count;
}

#endif

#ifndef FLAKE_HAVE_COUNTER
static inline uint64
flake_counter(void)
{
	return 0;
}
#endif

/* A reading of the counter and, right after it, of the wall clock. */
typedef struct FlakeSample
{
	int64		wall_us;		/* microseconds since 1970 */
	uint64		count;
} FlakeSample;

extern FlakeSample flake_counter_sample(void);
extern uint64 flake_counter_span(int64 us);
extern const char *flake_counter_state(void);

#endif							/* FLAKE_COUNTER_H */
