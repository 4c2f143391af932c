/*
 * defaults.c
 *		Layouts in the defaults of columns.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "server/compat.h"
#include "server/defaults.h"

/* A search for a layout in an expression. */
typedef struct LayoutSearch
{
	Oid			type;			/* flake_layout */
	Const	   *found;
} LayoutSearch;

static bool
find_layout(Node *node, void *context)
{
	LayoutSearch *search = context;

	if (node == NULL)
		return false;
	if (IsA(node, Const) && ((Const *) node)->consttype == search->type &&
		!((Const *) node)->constisnull)
	{
		search->found = (Const *) node;
		return true;
	}
	return flake_walk_expression(node, find_layout, context);
}

/* The first layout that is a constant in an expression, or NULL. */
Const *
flake_find_layout(Node *expression)
{
	LayoutSearch search = {.found = NULL};

	search.type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
								  CStringGetDatum("flake_layout"),
								  ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
	if (OidIsValid(search.type))
		(void) find_layout(expression, &search);
	return search.found;
}

/* Does this table still exist, and is it not temporary? */
static bool
is_kept(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		kept;

	if (!HeapTupleIsValid(tuple))
		return false;
	kept = ((Form_pg_class) GETSTRUCT(tuple))->relpersistence != RELPERSISTENCE_TEMP;
	ReleaseSysCache(tuple);
	return kept;
}

/*
 * Does a table of this database that is not temporary have a default with the
 * layout whose canonical text is "name"?  Reads all defaults.
 */
bool
flake_layout_is_default(const char *name)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "flake defaults",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	rel = table_open(AttrDefaultRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	MemoryContext each = AllocSetContextCreate(context, "flake default",
											   ALLOCSET_DEFAULT_SIZES);
	bool		found = false;
	HeapTuple	tuple;

	MemoryContextSwitchTo(each);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		is_null;
		Datum		expression = heap_getattr(tuple, Anum_pg_attrdef_adbin,
											  RelationGetDescr(rel), &is_null);
		Const	   *layout = NULL;

		CHECK_FOR_INTERRUPTS();
		if (!is_null)
			layout = flake_find_layout(stringToNode(TextDatumGetCString(expression)));
		found = layout != NULL &&
			strcmp(TextDatumGetCString(layout->constvalue), name) == 0 &&
			is_kept(((Form_pg_attrdef) GETSTRUCT(tuple))->adrelid);
		MemoryContextReset(each);
	}
	MemoryContextSwitchTo(old);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	MemoryContextDelete(context);
	return found;
}
