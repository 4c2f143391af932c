/*
 * choose.c
 *		Decisions that are not determined.
 *
 * In random runs the answers come from a seed.  In a search the session that
 * asks is interrupted, and goes on once with each answer (search.c).
 */
#include "sim.h"

bool		searching = false;

/* A number from 0 to n - 1. */
int64
choose(int64 n)
{
	uint64		z;

	if (n <= 1)
		return 0;
	if (searching)
	{
		world.alternatives = n;
		fiber_yield();
		return world.answer;
	}
	z = (world.random += UINT64CONST(0x9E3779B97F4A7C15));
	z = (z ^ z >> 30) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64CONST(0x94D049BB133111EB);
	return (int64) ((z ^ z >> 31) % (uint64) n);
}

/* True once in n times; a search tries both. */
bool
one_in(int64 n)
{
	return choose(searching ? 2 : n) == 0;
}

/* The same for a rate of a configuration. */
bool
happens(int rate)
{
	return rate > 0 && choose(1024) < rate;
}
