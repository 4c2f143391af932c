/*
 * planner.c
 *		Planner support: how COPY calls flake's functions, and how many rows
 *		flake_next_ids() returns.
 *
 * COPY inserts rows in batches, but not if the default of a column is volatile,
 * because that could read the table.  It exempts only nextval().  flake's
 * functions do not read the table either, and without batches COPY takes 1.5
 * times as long and writes 1.4 times as much WAL.  So while COPY plans a
 * default, their support function replaces them with stable aliases: the same
 * C functions, called for each row as before, but declared STABLE.
 *
 * Elsewhere a stable function could be called once for many rows, or twice for
 * one row.  Therefore
 *
 *	- they are replaced in COPY only.  Queries, also that of COPY TO, are planned
 *	  with a PlannerInfo, the defaults of COPY without one.  Nor is there one in
 *	  ALTER TABLE ADD COLUMN, which would give one id to all rows; but only COPY
 *	  plans defaults in its own memory context, and no statement that runs during
 *	  COPY, as in a trigger, is planned in that.
 *	- an alias is not duplicated.  A SQL function that uses an argument twice is
 *	  inlined with two copies of it, if the argument is neither volatile nor
 *	  more expensive than ten operators.  The COST of an alias is 1000, which is
 *	  more, unless cpu_operator_cost is zero or infinite.
 *
 * If a server does any of this differently, COPY inserts row by row.  The last
 * argument of an alias is of type internal, so no query can call it.
 */
#include "postgres.h"

#include <math.h>

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

/* The name of COPY's memory context. */
#define COPY_CONTEXT	"COPY"

/* The suffix of an alias's name, and its COST in the install script. */
#define ALIAS_SUFFIX	"_in_copy"
#define ALIAS_COST		1000

PG_FUNCTION_INFO_V1(flake_copy_support);
PG_FUNCTION_INFO_V1(flake_next_ids_support);

/* Is COPY planning a default, and are aliases expensive? */
static bool
planning_copy(const SupportRequestSimplify *request)
{
	return request->root == NULL && cpu_operator_cost > 0 &&
		isfinite(ALIAS_COST * cpu_operator_cost) &&
		strcmp(CurrentMemoryContext->name, COPY_CONTEXT) == 0;
}

/*
 * A call of the function's alias, which is in the same schema and has one more
 * argument.  NULL if there is none that the user may execute.
 */
static Node *
call_of_alias(const FuncExpr *call)
{
	Oid			types[FUNC_MAX_ARGS];
	int			ntypes = 0;
	ListCell   *cell;
	char	   *name = psprintf("%s" ALIAS_SUFFIX, get_func_name(call->funcid));
	Const	   *extra = makeConst(INTERNALOID, -1, InvalidOid, sizeof(Datum),
								  (Datum) 0, false, true);
	Oid			alias;

	foreach(cell, call->args)
		types[ntypes++] = exprType(lfirst(cell));
	types[ntypes++] = INTERNALOID;

	/* not LookupFuncName(), which requires USAGE on the schema */
	alias = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							CStringGetDatum(name),
							PointerGetDatum(buildoidvector(types, ntypes)),
							ObjectIdGetDatum(get_func_namespace(call->funcid)));
	if (!OidIsValid(alias) || !flake_may_execute(alias))
		return NULL;
	return (Node *) makeFuncExpr(alias, call->funcresulttype,
								 lappend(list_copy(call->args), extra),
								 call->funccollid, call->inputcollid,
								 COERCE_EXPLICIT_CALL);
}

/*
 * flake_copy_support(internal): planner support of functions with an alias
 *
 * Without EXECUTE on the function or the alias, the call is left as it is.
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
			result = call_of_alias(simplify->fcall);
	}
	PG_RETURN_POINTER(result);
}

/* flake_next_ids_support(internal): it returns as many rows as its argument. */
Datum
flake_next_ids_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	SupportRequestRows *rows = (SupportRequestRows *) request;
	Node	   *count;

	if (!IsA(request, SupportRequestRows) || !is_funcclause(rows->node))
		PG_RETURN_POINTER(NULL);
	count = estimate_expression_value(rows->root,
									  linitial(((FuncExpr *) rows->node)->args));
	if (!IsA(count, Const))
		PG_RETURN_POINTER(NULL);
	/* NULL gives no rows */
	rows->rows = ((Const *) count)->constisnull ? 0 :
		(double) DatumGetInt64(((Const *) count)->constvalue);
	PG_RETURN_POINTER(request);
}
