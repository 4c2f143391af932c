/*
 * planner.c
 *		What the planner is told about flake's functions: how COPY may call
 *		them, and how many rows flake_next_ids() gives.
 *
 * COPY inserts rows in batches, unless a column's default is volatile: that
 * could look at the table.  nextval(), which does not, is let through by its
 * name; flake's functions do not either, but row by row a load takes half as
 * long again and writes 1.4 times the WAL.  So while COPY plans a default,
 * their support function replaces them by stable aliases: the same C function,
 * called for each row as before, but declared STABLE.
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
 *	  nor expensive: more than ten operators.  The aliases' COST is a thousand,
 *	  which is more unless an operator costs nothing, or infinitely much.
 *
 * Should a server do any of this in another way, COPY takes the slow path.
 * An alias's last argument is of type internal, so no query can call it.
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

/* What COPY calls its memory context. */
#define COPY_CONTEXT	"COPY"

/* How the name of a stable alias ends, and its COST in the install script. */
#define ALIAS_SUFFIX	"_in_copy"
#define ALIAS_COST		1000

PG_FUNCTION_INFO_V1(flake_copy_support);
PG_FUNCTION_INFO_V1(flake_next_ids_support);

/* Is this COPY, planning the defaults of its table, with aliases that cost? */
static bool
planning_copy(const SupportRequestSimplify *request)
{
	return request->root == NULL && cpu_operator_cost > 0 &&
		isfinite(ALIAS_COST * cpu_operator_cost) &&
		strcmp(CurrentMemoryContext->name, COPY_CONTEXT) == 0;
}

/*
 * A call of the function's alias: in the same schema, with one argument more.
 * NULL if there is none that the user may execute.
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

	/* not LookupFuncName(), which asks for USAGE of the schema */
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
 * flake_copy_support(internal): planner support of functions with an alias.
 *
 * Whoever may not execute the function is left with it, and gets its error;
 * whoever may not execute the alias is left with it as well.
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

/*
 * flake_next_ids_support(internal): it gives as many rows as its argument says.
 */
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
