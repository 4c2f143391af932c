/*
 * counter.c
 *		Is the processor's counter one that src/core/counter.c can use, and is
 *		what it promises true?  (P3)
 *
 *	counter yes|no		whether this processor is meant to have one
 *
 * Nothing depends on how fast the machine is: what takes longer than expected
 * only makes the counter count further.
 */
#include "postgres.h"

#include <stdio.h>

#include "core/counter.h"
#include "core/env.h"

/* libc's: the server's are not linked. */
#undef fprintf
#undef printf

#define TRUST_US	(30 * FLAKE_US_PER_SECOND)	/* until it must be trusted */
#define SPAN_US		INT64CONST(1000)
#define SPANS		50

static int
result(bool ok, const char *what)
{
	printf("%s - %s\n", ok ? "ok" : "not ok", what);
	return ok ? 0 : 1;
}

/* Does it grow within a second? */
static bool
grows(void)
{
	int64		until = flake_monotonic_us() + FLAKE_US_PER_SECOND;
	uint64		first = flake_counter();

	while (flake_counter() == first)
	{
		if (flake_monotonic_us() > until)
			return false;
	}
	return flake_counter() > first;
}

/* Do measurements of its rate agree, as they must before it is used? */
static bool
trusted(void)
{
	int64		until = flake_monotonic_us() + TRUST_US;

	do
		(void) flake_counter_sample();
	while (flake_counter_span(SPAN_US) == 0 && flake_monotonic_us() < until);
	return flake_counter_span(SPAN_US) > 0;
}

/* Is a span over before the time is that it stands for? */
static bool
spans_end(void)
{
	for (int i = 0; i < SPANS; i++)
	{
		FlakeSample sample = flake_counter_sample();
		int64		until = flake_monotonic_us() + SPAN_US;
		uint64		span = flake_counter_span(SPAN_US);

		while (flake_monotonic_us() < until)
			;
		if (flake_counter() - sample.count <= span)
			return false;
	}
	return true;
}

int
main(int argc, char **argv)
{
	int			failed = 0;

	if (argc > 1 && strcmp(argv[1], "yes") == 0)
	{
		failed += result(grows(), "counter: grows");
		failed += result(trusted(), "counter: runs at one rate");
		failed += result(spans_end(), "counter: a span ends in time");
		if (failed > 0)
			printf("#   %s\n", flake_counter_state());
	}
	else
	{
		(void) flake_counter_sample();
		failed += result(flake_counter() == 0 && flake_counter_span(SPAN_US) == 0,
						 "counter: none, each id reads the clock");
	}
	return failed > 0 ? 1 : 0;
}
