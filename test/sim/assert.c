/*
 * assert.c
 *		For servers that were built with assertions: what a failed one calls.
 *
 * Apart from the others, because the function's arguments differ between
 * PostgreSQL's versions; the first one is the condition in all of them.
 */
#include <stdio.h>
#include <stdlib.h>

void		ExceptionalCondition(const char *condition);

void
ExceptionalCondition(const char *condition)
{
	fprintf(stderr, "assertion failed: %s\n", condition);
	abort();
}
