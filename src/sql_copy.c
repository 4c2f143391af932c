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
 * That must happen in COPY only.  Elsewhere the label decides whether a call
 * may be evaluated once for many rows: by the planner, and by ALTER TABLE ADD
 * COLUMN, where it would give one id to all rows.  The planner has a
 * PlannerInfo.  ALTER TABLE has none, as COPY; but COPY plans its defaults
 * while its own memory context is the current one, and no statement that is
 * executed meanwhile, as by a trigger, ever runs with that.  Should a server
 * do this in another way, COPY takes the slow path.
 *
 * A twin's last argument is of type internal, so no query can call it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/memnodes.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "parser/parse_func.h"
#include "utils/lsyscache.h"

#include "compat.h"

/* What COPY calls its memory context, and how a twin's name ends. */
#define COPY_CONTEXT	"COPY"
#define TWIN_SUFFIX		"_in_copy"

PG_FUNCTION_INFO_V1(flake_copy_support);

/* Is this COPY, planning the defaults of its table? */
static bool
planning_copy(const SupportRequestSimplify *request)
{
	return request->root == NULL &&
		strcmp(CurrentMemoryContext->name, COPY_CONTEXT) == 0;
}

/*
 * A call of the function's twin: in the same schema, with one argument more.
 * NULL if there is none.
 */
static Node *
call_of_twin(const FuncExpr *call)
{
	Oid			types[FUNC_MAX_ARGS];
	int			ntypes = 0;
	ListCell   *cell;
	char	   *schema = get_namespace_name(get_func_namespace(call->funcid));
	char	   *name = psprintf("%s" TWIN_SUFFIX, get_func_name(call->funcid));
	Const	   *extra = makeConst(INTERNALOID, -1, InvalidOid, sizeof(Datum),
								  (Datum) 0, false, true);
	Oid			twin;

	foreach(cell, call->args)
		types[ntypes++] = exprType(lfirst(cell));
	types[ntypes++] = INTERNALOID;

	twin = LookupFuncName(list_make2(makeString(schema), makeString(name)),
						  ntypes, types, true);
	if (!OidIsValid(twin))
		return NULL;
	return (Node *) makeFuncExpr(twin, call->funcresulttype,
								 lappend(list_copy(call->args), extra),
								 call->funccollid, call->inputcollid,
								 COERCE_EXPLICIT_CALL);
}

/*
 * flake_copy_support(internal): planner support of functions with a twin.
 *
 * Whoever may not execute the function is left with it, and gets its error.
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
