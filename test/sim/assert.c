/*
 * assert.c
 *		What a failed assertion calls, for servers built with assertions.
 *
 * In a file of its own, without postgres.h, because the function's arguments
 * differ between PostgreSQL's versions.  The first one is always the condition.
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
