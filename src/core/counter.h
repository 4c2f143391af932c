/*
 * counter.h
 *		Knowing that a tick lasts without reading the clock.
 *
 * Reading the wall clock is most of what an id costs.  A reading of the
 * processor's cycle counter costs less than half of it: so after each reading
 * of the clock a session computes for how many counts the tick surely lasts,
 * and until then looks at the counter only.
 *
 * What is guaranteed, and what is not: that an id's time is right (P3) then
 * rests on the counter as well, with the precautions of counter.c.  That ids
 * are unique and ordered (P1, P2) does not: a range is a session's own
 * whatever the time is.
 *
 * Built with FLAKE_CLOCK=system, or for another processor than the two below,
 * there is no counter and every id reads the clock.
 */
#ifndef FLAKE_COUNTER_H
#define FLAKE_COUNTER_H

/* However long a tick is, the clock is read at least this often. */
#define FLAKE_COUNTER_MAX_US	INT64CONST(10000)

/* And once per so many ids, should the counter stand still. */
#define FLAKE_COUNTER_MAX_IDS	64

#if defined(FLAKE_SIMULATION)

extern uint64 flake_counter(void);
#define FLAKE_HAVE_COUNTER

#elif defined(FLAKE_CLOCK_SYSTEM)

/* a developer's choice: none */

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

/*
 * A reading of the wall clock together with the counter.
 */
typedef struct FlakeSample
{
	int64		wall_us;		/* microseconds since 1970 */
	uint64		count;			/* the counter, not after that moment */
} FlakeSample;

extern FlakeSample flake_counter_sample(void);
extern uint64 flake_counter_span(int64 us);
extern const char *flake_counter_state(void);

#endif							/* FLAKE_COUNTER_H */
