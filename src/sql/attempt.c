/*
 * attempt.c
 *		Doing something whose errors are to be reported, not raised.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "sql/attempt.h"

/*
 * Calls a function; returns the message of its error, or NULL if there was none.
 * In a subtransaction, for that is what cleans up after an error: not to be called
 * in a parallel operation, which can't begin one.
 *
 * A query that is cancelled stays so.  And an error at the begin of the
 * subtransaction is raised, as everywhere: there is nothing then that could be
 * rolled back.
 */
const char *
flake_attempt(void (*what) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	const char *volatile problem = NULL;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		what(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		problem = error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return problem;
}
