/*
 * sql_copy.c
 *		COPY into a table whose default makes an id, at the speed of COPY.
 *
 * COPY inserts rows in batches, unless a column's default is volatile: that
 * could look at the table.  nextval(), which does not, is let through by its
 * name; flake's functions do not either, but row by row a load takes half as
 * long again and writes 1.4 times the WAL.  So while COPY plans a default,
 * their support function replaces them by twins: the same C function, called
 * for each row as before, but declared STABLE.
 *
 * Elsewhere that label would let a call be evaluated once for many rows or
 * twice for one, so it must be seen to that
 *
 *	- it happens in COPY only.  The planner, which may do the former, has a
 *	  PlannerInfo (so has the query of a COPY TO).  ALTER TABLE ADD COLUMN, which
 *	  would give one id to all rows, has none, as COPY; but COPY plans its
 *	  defaults while its own memory context is the current one, and no
 *	  statement that is executed meanwhile, as by a trigger, runs with that.
 *	- the default does not call it twice.  A function in SQL that uses an
 *	  argument twice is inlined with two copies of it, if it is neither volatile
 *	  nor dear: more than ten operators.  The twins' COST is a thousand, which
 *	  is more unless an operator costs nothing.
 *
 * Should a server do any of this in another way, COPY takes the slow path.
 * A twin's last argument is of type internal, so no query can call it.
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/memnodes.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "server/compat.h"

/* What COPY calls its memory context, and how a twin's name ends. */
#define COPY_CONTEXT	"COPY"
#define TWIN_SUFFIX		"_in_copy"

PG_FUNCTION_INFO_V1(flake_copy_support);

/* Is this COPY, planning the defaults of its table, with twins that cost? */
static bool
planning_copy(const SupportRequestSimplify *request)
{
	return request->root == NULL && cpu_operator_cost > 0 &&
		strcmp(CurrentMemoryContext->name, COPY_CONTEXT) == 0;
}

/*
 * A call of the function's twin: in the same schema, with one argument more.
 * NULL if there is none that the user may execute.
 */
static Node *
call_of_twin(const FuncExpr *call)
{
	Oid			types[FUNC_MAX_ARGS];
	int			ntypes = 0;
	ListCell   *cell;
	char	   *name = psprintf("%s" TWIN_SUFFIX, get_func_name(call->funcid));
	Const	   *extra = makeConst(INTERNALOID, -1, InvalidOid, sizeof(Datum),
								  (Datum) 0, false, true);
	Oid			twin;

	foreach(cell, call->args)
		types[ntypes++] = exprType(lfirst(cell));
	types[ntypes++] = INTERNALOID;

	/* not LookupFuncName(), which asks for USAGE of the schema */
	twin = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(types, ntypes)),
						   ObjectIdGetDatum(get_func_namespace(call->funcid)));
	if (!OidIsValid(twin) || !flake_may_execute(twin))
		return NULL;
	return (Node *) makeFuncExpr(twin, call->funcresulttype,
								 lappend(list_copy(call->args), extra),
								 call->funccollid, call->inputcollid,
								 COERCE_EXPLICIT_CALL);
}

/*
 * flake_copy_support(internal): planner support of functions with a twin.
 *
 * Whoever may not execute the function is left with it, and gets its error;
 * whoever may not execute the twin is left with it as well.
 */
Datum
flake_copy_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *result = NULL;

	if (IsA(request, SupportRequestSimplify))
	{
		SupportRequestSimplify *simplify = (SupportRequestSimplify *) request;

		if (planning_copy(simplify) &&
			flake_may_execute(simplify->fcall->funcid))
			result = call_of_twin(simplify->fcall);
	}
	PG_RETURN_POINTER(result);
}
