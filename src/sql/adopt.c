/*
 * adopt.c
 *		flake_adopt(): the statements that change the default of an existing
 *		column to flake_next_id().
 *
 * The function changes nothing.  It raises an error if the column cannot be
 * adopted, else it returns the statements, each with one that undoes it.  A
 * table is adopted together with its partitions or child tables, because all
 * of them must use the same layout.
 *
 * The function runs with search_path set to pg_catalog, so that the server
 * prints other names with their schemas.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "nodes/primnodes.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#include "core/env.h"
#include "server/compat.h"
#include "server/defaults.h"
#include "server/node.h"
#include "server/settings.h"
#include "sql/layout.h"
#include "sql/row.h"

PG_FUNCTION_INFO_V1(flake_adopt);

/* The column to adopt, and what it gets. */
typedef struct Adoption
{
	const FlakeLayout *layout;
	const char *layout_name;
	const char *expression;		/* the new default */
	char	   *column;
	char	   *quoted_column;
	Oid			root;			/* the table */
	const char *root_name;
	List	   *tables;			/* OIDs of the table and its descendants */
	Oid			next_id;		/* function flake_next_id() */
	int64		now_id;			/* lower bound of the ids made from now on */
	int64		later_id;		/* upper bound of the ids made until now */
} Adoption;

static char *
qualified_name(Relation rel)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
									  RelationGetRelationName(rel));
}

/*----------
 * Queries
 *----------
 */

/*
 * Runs a query whose parameters are the OIDs of the tables, the root first, and
 * the column's name.  Its rows are in SPI_tuptable.
 */
static uint64
query_tables(const Adoption *adoption, const char *query)
{
	Oid			types[2] = {OIDARRAYOID, NAMEOID};
	Datum		values[2];
	Datum	   *oids = palloc(list_length(adoption->tables) * sizeof(Datum));
	NameData	column;
	ListCell   *cell;
	int			n = 0;

	foreach(cell, adoption->tables)
		oids[n++] = ObjectIdGetDatum(lfirst_oid(cell));
	namestrcpy(&column, adoption->column);
	values[0] = PointerGetDatum(construct_array(oids, n, OIDOID, sizeof(Oid),
												true, TYPALIGN_INT));
	values[1] = NameGetDatum(&column);
	if (SPI_execute_with_args(query, 2, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the catalogs");
	return SPI_processed;
}

static uint64
run_query(const char *query)
{
	if (SPI_execute(query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\"", query);
	return SPI_processed;
}

/* A value of the last query as text, or NULL; columns count from 1. */
static char *
result(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

/*----------
 * Columns that cannot be adopted
 *----------
 */

static void
check_table(const Adoption *adoption, Relation rel)
{
	if (rel->rd_rel->relkind != RELKIND_RELATION &&
		rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("%s is not a table", adoption->root_name));
	if (rel->rd_rel->relispartition)
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("table %s is a partition", adoption->root_name),
				errdetail("A table and its partitions must use the same layout."),
				errhint("Adopt the column of the partitioned table instead."));
}

static void
check_column(const Adoption *adoption, Relation rel)
{
	HeapTuple	tuple = SearchSysCacheAttName(adoption->root, adoption->column);
	Form_pg_attribute att;

	if (!HeapTupleIsValid(tuple) ||
		((Form_pg_attribute) GETSTRUCT(tuple))->attnum < 0)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("column \"%s\" of table %s does not exist",
					   adoption->column, adoption->root_name));
	att = (Form_pg_attribute) GETSTRUCT(tuple);
	if (att->atttypid != INT8OID)
		ereport(ERROR,
				errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("column \"%s\" of table %s is of type %s, not bigint",
					   adoption->column, adoption->root_name,
					   format_type_be(att->atttypid)),
				errdetail("Ids are 64-bit numbers."),
				get_typtype(att->atttypid) == TYPTYPE_DOMAIN &&
				getBaseType(att->atttypid) == INT8OID ?
				errhint("Change the type to bigint first; the table is not rewritten.") :
				errhint("Change the type to bigint first; flake's documentation shows a way without downtime."));
	if (att->attgenerated != '\0')
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("column \"%s\" of table %s is a generated column",
					   adoption->column, adoption->root_name),
				errdetail("Its values are computed from other columns."));
	if (att->attinhcount > 0)
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("column \"%s\" of table %s is inherited",
					   adoption->column, adoption->root_name),
				errdetail("A table and its child tables must use the same layout."),
				errhint("Adopt the column of the parent table instead."));
	ReleaseSysCache(tuple);
}

/*
 * The column must not reference another table, and the columns that reference
 * it must have room for ids.
 */
static void
check_foreign_keys(const Adoption *adoption)
{
	StringInfoData narrow;
	uint64		nrows;

	nrows = query_tables(adoption,
						 "SELECT k.conname, k.conrelid::regclass, k.confrelid::regclass"
						 " FROM pg_constraint AS k"
						 " JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)"
						 " WHERE k.contype = 'f' AND k.conrelid = ANY ($1) AND a.attname = $2"
						 " ORDER BY k.conrelid = ($1)[1] DESC, k.conname COLLATE \"C\"");
	if (nrows > 0)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("column \"%s\" of table %s is a foreign key",
					   adoption->column, result(0, 2)),
				errdetail("Constraint \"%s\" references table %s, which does not have the new ids.",
						  result(0, 1), result(0, 3)),
				errhint("Adopt the referenced column instead."));

	nrows = query_tables(adoption,
						 "SELECT format('Column \"%s\" of table %s is of type %s.', a.attname, k.conrelid::regclass, format_type(a.atttypid, a.atttypmod))"
						 " FROM pg_constraint AS k, unnest(k.conkey, k.confkey) AS u (own, referenced), pg_attribute AS a, pg_attribute AS r"
						 " WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = ANY ($1)"
						 " AND a.attrelid = k.conrelid AND a.attnum = u.own"
						 " AND r.attrelid = k.confrelid AND r.attnum = u.referenced AND r.attname = $2"
						 " AND a.atttypid <> 'bigint'::regtype"
						 " ORDER BY k.conrelid::regclass::text COLLATE \"C\", a.attname COLLATE \"C\"");
	if (nrows == 0)
		return;
	initStringInfo(&narrow);
	for (uint64 i = 0; i < nrows; i++)
		appendStringInfo(&narrow, "%s%s", i == 0 ? "" : "\n", result(i, 1));
	ereport(ERROR,
			errcode(ERRCODE_DATATYPE_MISMATCH),
			errmsg("columns that reference column \"%s\" of table %s are not of type bigint",
				   adoption->column, adoption->root_name),
			errdetail_internal("%s", narrow.data),
			errhint("Change their types to bigint first; flake's documentation shows a way without downtime."));
}

/*
 * The index of the partition that takes an id, or -1.  Further columns of the
 * key do not matter, because a new id is not a bound.
 */
static int
partition_for(PartitionKey key, PartitionDesc partitions, int64 id)
{
	PartitionBoundInfo bounds = partitions->boundinfo;
	Datum		value = Int64GetDatum(id);
	bool		equal = true;
	int			bound;
	int			index = -1;

	if (partitions->nparts == 0)
		return -1;
	if (key->strategy == PARTITION_STRATEGY_RANGE)
	{
		bound = partition_range_datum_bsearch(key->partsupfunc, key->partcollation,
											  bounds, 1, &value, &equal);
		index = bounds->indexes[bound + 1];
	}
	else
	{
		bound = partition_list_bsearch(key->partsupfunc, key->partcollation,
									   bounds, value, &equal);
		if (bound >= 0 && equal)
			index = bounds->indexes[bound];
	}
	return index >= 0 ? index : bounds->default_index;
}

/*
 * Where a table of the tree is partitioned by ranges or lists of the column, it
 * must have a partition for new ids.  Only that partition is checked further.
 */
static void
check_partitions(const Adoption *adoption, Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	PartitionKey key = RelationGetPartitionKey(rel);
	PartitionDesc partitions;
	int			first = 0;
	int			last;

	if (key == NULL)
	{
		relation_close(rel, NoLock);
		return;
	}
	partitions = RelationGetPartitionDesc(rel, true);
	last = partitions->nparts - 1;
	if (key->strategy != PARTITION_STRATEGY_HASH &&
		key->partattrs[0] == get_attnum(relid, adoption->column) &&
		key->partsupfunc[0].fn_oid == F_BTINT8CMP)
	{
		first = last = partition_for(key, partitions, adoption->now_id);
		if (first < 0)
			ereport(ERROR,
					errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("table %s has no partition for new ids",
						   qualified_name(rel)),
					errdetail("New ids begin at %lld.",
							  (long long) adoption->now_id),
					errhint("Create a partition with bounds made by flake_min_id()."));
	}
	for (int i = first; i <= last; i++)
		check_partitions(adoption, partitions->oids[i]);
	relation_close(rel, NoLock);
}

/*
 * New ids must be above all values.  Ids that flake has made can be ahead of
 * the clock by flake.max_clock_lead.
 */
static void
check_highest_id(const Adoption *adoption)
{
	char	   *highest;

	(void) run_query(psprintf("SELECT max(%s) FROM %s",
							  adoption->quoted_column, adoption->root_name));
	highest = result(0, 1);
	if (highest == NULL || pg_strtoint64(highest) < adoption->later_id)
		return;
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("column \"%s\" of table %s has values above new ids",
				   adoption->column, adoption->root_name),
			errdetail("The highest value is %s; new ids of layout \"%s\" begin at %lld.",
					  highest, adoption->layout_name,
					  (long long) adoption->now_id),
			errhint("Use a layout whose ids are higher, such as one with an earlier epoch."));
}

/* Warns of what may refuse or cut off new ids. */
static void
warn_of_limits(const Adoption *adoption)
{
	uint64		nrows;

	nrows = query_tables(adoption,
						 "SELECT k.conname, k.conrelid::regclass, pg_get_constraintdef(k.oid)"
						 " FROM pg_constraint AS k JOIN pg_attribute AS a ON a.attrelid = k.conrelid"
						 " WHERE k.contype = 'c' AND k.coninhcount = 0 AND k.conrelid = ANY ($1)"
						 " AND a.attname = $2 AND a.attnum = ANY (k.conkey)"
						 " ORDER BY k.conrelid::regclass::text COLLATE \"C\", k.conname COLLATE \"C\"");
	for (uint64 i = 0; i < nrows; i++)
		ereport(WARNING,
				errmsg("column \"%s\" of table %s has check constraint \"%s\"",
					   adoption->column, result(i, 2), result(i, 1)),
				errdetail_internal("%s", result(i, 3)),
				errhint("Make sure that it accepts ids from %lld on.",
						(long long) adoption->now_id));

	nrows = query_tables(adoption,
						 "SELECT p.pubname, r.prrelid::regclass, pg_get_expr(r.prqual, r.prrelid)"
						 " FROM pg_publication_rel AS r"
						 " JOIN pg_publication AS p ON p.oid = r.prpubid"
						 " JOIN pg_attribute AS a ON a.attrelid = r.prrelid AND a.attname = $2"
						 " WHERE r.prrelid = ANY ($1) AND r.prqual IS NOT NULL"
						 " AND EXISTS (SELECT FROM pg_depend AS d"
						 "  WHERE d.classid = 'pg_publication_rel'::regclass AND d.objid = r.oid"
						 "  AND d.refclassid = 'pg_class'::regclass AND d.refobjid = r.prrelid AND d.refobjsubid = a.attnum)"
						 " ORDER BY p.pubname COLLATE \"C\", r.prrelid::regclass::text COLLATE \"C\"");
	for (uint64 i = 0; i < nrows; i++)
		ereport(WARNING,
				errmsg("publication \"%s\" filters the rows of table %s by column \"%s\"",
					   result(i, 1), result(i, 2), adoption->column),
				errdetail_internal("%s", result(i, 3)),
				errhint("Make sure that it accepts ids from %lld on.",
						(long long) adoption->now_id));

	nrows = query_tables(adoption,
						 "SELECT DISTINCT t.pubname COLLATE \"C\" FROM pg_publication_tables AS t"
						 " JOIN pg_namespace AS n ON n.nspname = t.schemaname"
						 " JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.tablename"
						 " WHERE c.oid = ANY ($1) AND $2 = ANY (t.attnames) ORDER BY 1");
	for (uint64 i = 0; i < nrows; i++)
		ereport(NOTICE,
				errmsg("publication \"%s\" publishes table %s",
					   result(i, 1), adoption->root_name),
				errhint("Make sure that the column, and the columns that reference it, are of type bigint on the subscribers too."));
}

/*----------
 * Statements
 *----------
 */

static bool
calls_function(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == *(Oid *) context)
		return true;
	return flake_walk_expression(node, calls_function, context);
}

/* The default of a column as an expression, or NULL. */
static Node *
default_of(Relation rel, AttrNumber attnum)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;

	for (int i = 0; constr != NULL && i < constr->num_defval; i++)
	{
		if (constr->defval[i].adnum == attnum)
			return stringToNode(constr->defval[i].adbin);
	}
	return NULL;
}

/*
 * Does the default already make ids of this layout?  Ids of another layout are
 * an error.
 */
static bool
is_adopted(const Adoption *adoption, Relation rel, Node *expression)
{
	Oid			next_id = adoption->next_id;
	Const	   *layout;
	const char *name = "flake";

	if (!calls_function(expression, &next_id))
		return false;
	layout = flake_find_layout(expression);
	if (layout != NULL)
		name = TextDatumGetCString(layout->constvalue);
	if (strcmp(name, adoption->layout_name) != 0)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("column \"%s\" of table %s makes ids of layout \"%s\", not \"%s\"",
					   adoption->column, qualified_name(rel), name,
					   adoption->layout_name),
				errdetail("Ids of different layouts can be equal."));
	return true;
}

/*
 * The statements that make a column an identity column again, or NULL if it has
 * no sequence of its own: from PostgreSQL 17 on, partitions share that of the
 * partitioned table.
 *
 * DROP IDENTITY drops the sequence, so it is created again with the same
 * options.  It continues after its last value, and after the values that were
 * inserted since then and are not ids of flake.  Ids of flake are told apart by
 * their time: it is not in the first day of the layout.
 */
static char *
identity_undo(const Adoption *adoption, Relation rel, Form_pg_attribute att,
			  const char *target)
{
	const char *column = adoption->quoted_column;
	const char *sequence;
	const char *options;
	const char *lowest;
	const char *last;
	const char *called = "true";
	bool		descending;
	int64		highest;
	int64		bound;

	if (run_query(psprintf("SELECT format('%%s.%%I', c.relnamespace::regnamespace, c.relname),"
						   " format('START WITH %%s INCREMENT BY %%s MINVALUE %%s MAXVALUE %%s CACHE %%s%%s',"
						   "  s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,"
						   "  CASE WHEN s.seqcycle THEN ' CYCLE' END),"
						   " s.seqmin, s.seqmax, s.seqincrement"
						   " FROM pg_depend AS d JOIN pg_sequence AS s ON s.seqrelid = d.objid"
						   " JOIN pg_class AS c ON c.oid = s.seqrelid"
						   " WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
						   " AND d.refobjid = %u AND d.refobjsubid = %d AND d.deptype = 'i'",
						   RelationGetRelid(rel), att->attnum)) != 1)
		return NULL;
	sequence = result(0, 1);
	options = result(0, 2);
	lowest = result(0, 3);
	highest = pg_strtoint64(result(0, 4));
	descending = result(0, 5)[0] == '-';
	(void) run_query(psprintf("SELECT last_value, is_called FROM %s", sequence));
	last = result(0, 1);
	if (result(0, 2)[0] == 'f')
		called = psprintf("coalesce(%s(%s) %s %s, false)",
						  descending ? "min" : "max", column,
						  descending ? "<=" : ">=", last);

	bound = flake_layout_min_id(adoption->layout,
								Min(USECS_PER_DAY / adoption->layout->tick_us,
									flake_layout_max_tick(adoption->layout)));
	if (bound > adoption->now_id || pg_strtoint64(last) >= bound)
		bound = adoption->now_id;

	return psprintf("ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT,"
					" ALTER COLUMN %s ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s %s);"
					" SELECT setval(%s, %s(%s, %s(%s)), %s) FROM %s WHERE %s BETWEEN %s AND %lld",
					target, column, column,
					att->attidentity == ATTRIBUTE_IDENTITY_ALWAYS ?
					"ALWAYS" : "BY DEFAULT",
					sequence, options,
					quote_literal_cstr(sequence),
					descending ? "least" : "greatest", last,
					descending ? "min" : "max", column,
					called, target, column,
					lowest, (long long) Min(highest, bound - 1));
}

/* Makes the row (statement, undo) of one table; false if it needs none. */
static bool
adopt_table(const Adoption *adoption, Relation rel, Row *row)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(rel), adoption->column);
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	Node	   *old = default_of(rel, attnum);
	const char *table = qualified_name(rel);
	const char *column = adoption->quoted_column;
	const char *target;
	const char *set_default;

	/* no other session can alter it */
	if (RELATION_IS_OTHER_TEMP(rel))
		return false;

	/*
	 * From PostgreSQL 17 on, the identity of a partitioned table is that of
	 * its partitions, and cannot be dropped from it ONLY.
	 */
	if (list_length(adoption->tables) == 1 ||
		(att->attidentity != '\0' &&
		 rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE))
		target = table;
	else
		target = psprintf("ONLY %s", table);

	set_default = psprintf("ALTER COLUMN %s SET DEFAULT %s", column,
						   adoption->expression);
	if (att->attidentity != '\0')
	{
		char	   *undo = identity_undo(adoption, rel, att, target);

		if (undo == NULL)
			return false;
		add_text(row, psprintf("ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY, %s",
							   target, column, set_default));
		add_text(row, undo);
		return true;
	}
	if (is_adopted(adoption, rel, old))
		return false;
	add_text(row, psprintf("ALTER TABLE %s %s", target, set_default));
	if (old == NULL)
		add_text(row, psprintf("ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT",
							   target, column));
	else
		add_text(row, psprintf("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s",
							   target, column,
							   deparse_expression(old,
												  deparse_context_for(RelationGetRelationName(rel),
																	  RelationGetRelid(rel)),
												  false, false)));
	return true;
}

/*
 * Finds the bounds of new ids.  Errors if this server can make no ids of the
 * layout.
 */
static void
find_new_ids(Adoption *adoption)
{
	const FlakeLayout *layout = adoption->layout;
	int64		now_us = flake_clock_us();
	int64		tick;
	FlakeNode	node;
	int64		node_id;
	const FlakeError *error;

	flake_layout_check_issuable(layout);
	flake_node_read(&node);
	error = flake_node_to_issue(&node, layout, &node_id);
	if (error != NULL)
		flake_raise(error);
	if (flake_layout_tick_at(layout, now_us, &tick) != FLAKE_IN_RANGE)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("layout \"%s\" has no ids for the current time",
					   adoption->layout_name),
				errhint("flake_layout_info() shows the first and last time of a layout."));
	adoption->now_id = flake_layout_min_id(layout, tick);

	/* after a start, ids can be two ticks and a second further ahead */
	now_us += (int64) flake_setting_max_clock_lead * 1000 +
		2 * layout->tick_us + USECS_PER_SEC;
	if (flake_layout_tick_at(layout, now_us, &tick) == FLAKE_IN_RANGE)
		adoption->later_id = flake_layout_min_id(layout, tick);
	else
		adoption->later_id = flake_layout_max_id(layout);
}

/* Returns the rows of all tables; false if there are none. */
static bool
adopt_tables(const Adoption *adoption, ReturnSetInfo *rsinfo)
{
	bool		found = false;

	/* descendants first: ALTER TABLE of their parent may change them as well */
	for (int i = list_length(adoption->tables) - 1; i >= 0; i--)
	{
		Relation	rel = relation_open(list_nth_oid(adoption->tables, i), NoLock);
		Row			row = {.desc = rsinfo->setDesc};

		if (adopt_table(adoption, rel, &row))
		{
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values,
								 row.nulls);
			found = true;
		}
		relation_close(rel, NoLock);
	}
	return found;
}

/* flake_adopt(table, column, layout): rows (statement, undo) */
Datum
flake_adopt(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Adoption	adoption;
	Relation	rel;

	InitMaterializedSRF(fcinfo, 0);
	adoption.root = PG_GETARG_OID(0);
	adoption.column = pstrdup(NameStr(*PG_GETARG_NAME(1)));
	adoption.quoted_column = pstrdup(quote_identifier(adoption.column));
	adoption.layout = flake_layout_arg(fcinfo, 2);
	adoption.layout_name = flake_layout_to_string(adoption.layout);
	adoption.expression = strcmp(adoption.layout_name, "flake") == 0 ?
		"flake_next_id()" :
		psprintf("flake_next_id(%s::flake_layout)",
				 quote_literal_cstr(adoption.layout_name));
	adoption.next_id = DatumGetObjectId(DirectFunctionCall1(regprocedurein,
															CStringGetDatum("flake_next_id(flake_layout)")));

	rel = relation_open(adoption.root, AccessShareLock);
	adoption.root_name = qualified_name(rel);
	check_table(&adoption, rel);
	check_column(&adoption, rel);
	relation_close(rel, NoLock);
	adoption.tables = find_all_inheritors(adoption.root, AccessShareLock, NULL);
	find_new_ids(&adoption);
	check_partitions(&adoption, adoption.root);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	check_foreign_keys(&adoption);
	check_highest_id(&adoption);
	if (adopt_tables(&adoption, rsinfo))
		warn_of_limits(&adoption);
	else
		ereport(NOTICE,
				errmsg("column \"%s\" of table %s already makes ids of layout \"%s\"",
					   adoption.column, adoption.root_name,
					   adoption.layout_name));
	SPI_finish();
	return (Datum) 0;
}
