/*
 * adopt.c
 *		flake_adopt(): how an existing column comes to make flake's ids.
 *
 * It changes nothing.  It raises what stands in the way, and returns the
 * statements with those that lead back.  A column of a tree of partitions or
 * children is adopted as a whole, because the ids of one table need one layout.
 *
 * The function's own search_path has no schema but pg_catalog, so every name
 * that the server prints here is qualified, and the statements mean the same
 * under any search_path.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "nodes/primnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
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

#define SECOND_US	INT64CONST(1000000)
#define DAY_US		(86400 * SECOND_US)

/* What is asked for. */
typedef struct Adoption
{
	const FlakeLayout *layout;
	const char *layout_name;
	const char *expression;		/* the new default */
	char	   *column;
	char	   *quoted_column;
	Oid			root;			/* the table */
	const char *root_name;
	List	   *tables;			/* OIDs of it and its descendants, it first */
	Oid			next_id;		/* function flake_next_id() */
	int64		now_id;			/* ids made from now on are not below */
	int64		later_id;		/* ids made until now are below */
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
 * A query with the OIDs of the tables as $1 and the column's name as $2.  Its
 * rows are in SPI_tuptable.
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
query_text(const char *query)
{
	if (SPI_execute(query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\"", query);
	return SPI_processed;
}

/* A value of the last query's rows as text, NULL for NULL; columns from 1. */
static char *
result(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

/*----------
 * What stands in the way
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
				errdetail("The ids of one table need one layout, in all of its partitions."),
				errhint("Name the partitioned table instead."));
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
				errhint("Change its type to bigint; from a domain over bigint that does not rewrite the table.") :
				errhint("Change its type to bigint first.  flake's documentation has a way without downtime."));
	if (att->attgenerated != '\0')
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("column \"%s\" of table %s is a generated column",
					   adoption->column, adoption->root_name),
				errdetail("Its values are those of an expression."));
	if (att->attinhcount > 0)
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("column \"%s\" of table %s is inherited",
					   adoption->column, adoption->root_name),
				errdetail("The ids of one table need one layout, in all of its child tables."),
				errhint("Name the parent table instead."));
	ReleaseSysCache(tuple);
}

/* Columns that hold ids of other tables, and those that hold this one's. */
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
				errdetail("By constraint \"%s\" it holds ids of table %s, which new ids would not be.",
						  result(0, 1), result(0, 3)),
				errhint("Adopt the key of that table instead."));

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
			errhint("Change their types to bigint first.  flake's documentation has a way without downtime."));
}

/*
 * Where the column is the partition key, is there a partition for new ids?
 * The bounds are tried out: they are expressions of bigint alone.
 */
static void
check_partitions(const Adoption *adoption)
{
	uint64		nrows;
	StringInfoData any;

	nrows = query_tables(adoption,
						 "SELECT pg_get_partition_constraintdef(i.inhrelid)"
						 " FROM pg_partitioned_table AS p"
						 " JOIN pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]"
						 " LEFT JOIN pg_inherits AS i ON i.inhparent = p.partrelid"
						 " WHERE p.partrelid = ($1)[1] AND p.partnatts = 1 AND a.attname = $2");
	if (nrows == 0)
		return;
	initStringInfo(&any);
	appendStringInfo(&any, "SELECT false");
	for (uint64 i = 0; i < nrows; i++)
	{
		/* NULL is the bound of a default partition that is alone */
		char	   *bound = result(i, 1);

		if (bound != NULL)
			appendStringInfo(&any, " OR (%s)", bound);
	}
	appendStringInfo(&any, " FROM (SELECT '%lld'::bigint AS %s) AS new",
					 (long long) adoption->now_id, adoption->quoted_column);
	if (nrows == 1 && result(0, 1) == NULL &&
		OidIsValid(get_default_partition_oid(adoption->root)))
		return;
	(void) query_text(any.data);
	if (strcmp(result(0, 1), "t") == 0)
		return;
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("no partition of table %s takes the ids that are made now",
				   adoption->root_name),
			errdetail("They begin at %lld.", (long long) adoption->now_id),
			errhint("Create a partition with bounds made by flake_min_id()."));
}

/*
 * New ids must not meet values that exist.  Those which flake made can be ahead
 * of the clock by as much as is allowed.
 */
static void
check_highest_id(const Adoption *adoption)
{
	char	   *highest;

	(void) query_text(psprintf("SELECT max(%s) FROM %s",
							   adoption->quoted_column, adoption->root_name));
	highest = result(0, 1);
	if (highest == NULL || pg_strtoint64(highest) < adoption->later_id)
		return;
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("column \"%s\" of table %s has values among which new ids would fall",
				   adoption->column, adoption->root_name),
			errdetail("The highest is %s; ids of layout \"%s\" begin at %lld now.",
					  highest, adoption->layout_name,
					  (long long) adoption->now_id),
			errhint("Use a layout whose ids are higher, such as one with an earlier epoch."));
}

/* What may be right, and has to be looked at. */
static void
warn_of_others(const Adoption *adoption)
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
				errhint("See that it lets ids from %lld on through.",
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
				errhint("See that it lets ids from %lld on through.",
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
				errhint("See that the column, and those that reference it, are of type bigint on the subscribers too."));
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

/* The expression that is the default of a column; NULL if there is none. */
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
 * Does the default make ids of that layout already?  Error if they are ids of
 * another one.
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
 * What brings back an identity column.  Its sequence goes with it, so it is made
 * anew.  It goes on after what it had given, and after those values in the table
 * that are no ids of flake: those which were inserted between this call and the
 * statement are among them.
 *
 * Ids of flake are known by their time, which is after the layout's first day.
 */
static char *
identity_undo(const Adoption *adoption, Relation rel, Form_pg_attribute att,
			  const char *target)
{
	const char *sequence;
	const char *options;
	const char *increment;
	const char *next;
	bool		descending;
	int64		bound;

	if (query_text(psprintf("SELECT s.seqrelid::regclass, s.seqincrement,"
							" format('SEQUENCE NAME %%s START WITH %%s INCREMENT BY %%s MINVALUE %%s MAXVALUE %%s CACHE %%s%%s',"
							"  s.seqrelid::regclass, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,"
							"  CASE WHEN s.seqcycle THEN ' CYCLE' END)"
							" FROM pg_depend AS d JOIN pg_sequence AS s ON s.seqrelid = d.objid"
							" WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
							" AND d.refobjid = %u AND d.refobjsubid = %d AND d.deptype = 'i'",
							RelationGetRelid(rel), att->attnum)) != 1)
		elog(ERROR, "no sequence found for identity column \"%s\" of table %s",
			 adoption->column, qualified_name(rel));
	sequence = result(0, 1);
	increment = result(0, 2);
	options = result(0, 3);
	descending = increment[0] == '-';
	(void) query_text(psprintf("SELECT CASE WHEN is_called THEN last_value::numeric + %s ELSE last_value END FROM %s",
							   increment, sequence));
	next = result(0, 1);

	bound = flake_layout_min_id(adoption->layout,
								Min(DAY_US / adoption->layout->tick_us,
									flake_layout_max_tick(adoption->layout)));
	if (bound > adoption->now_id || strtod(next, NULL) >= (double) bound)
		bound = adoption->now_id;

	return psprintf("ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT,"
					" ALTER COLUMN %s ADD GENERATED %s AS IDENTITY (%s);"
					" SELECT setval(%s, %s(%s, (SELECT %s(%s) + %s FROM %s WHERE %s < %lld)), false)",
					target, adoption->quoted_column, adoption->quoted_column,
					att->attidentity == ATTRIBUTE_IDENTITY_ALWAYS ?
					"ALWAYS" : "BY DEFAULT",
					options,
					quote_literal_cstr(sequence),
					descending ? "least" : "greatest", next,
					descending ? "min" : "max", adoption->quoted_column,
					increment, target, adoption->quoted_column,
					(long long) bound);
}

/*
 * The row (statement, undo) for one of the tables; false if it needs none.
 */
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

	/*
	 * Where an identity is that of the partitions too, from 17 on, it can be
	 * dropped from all at once only.
	 */
	if (att->attidentity != '\0' && rel->rd_rel->relispartition)
		return false;
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
		add_text(row, psprintf("ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY, %s",
							   target, column, set_default));
		add_text(row, identity_undo(adoption, rel, att, target));
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
 * Between which ids those lie that are made now.  Errors: this server can make
 * no ids of the layout.
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
				errmsg("layout \"%s\" has no ids for the present time",
					   adoption->layout_name),
				errhint("flake_layout_info() tells the first and the last time of a layout."));
	adoption->now_id = flake_layout_min_id(layout, tick);

	/* two ticks and a second more, as ids can have just after a start */
	now_us += (int64) flake_setting_max_clock_lead * 1000 +
		2 * layout->tick_us + SECOND_US;
	if (flake_layout_tick_at(layout, now_us, &tick) == FLAKE_IN_RANGE)
		adoption->later_id = flake_layout_min_id(layout, tick);
	else
		adoption->later_id = flake_layout_max_id(layout);
}

/*
 * flake_adopt(table, column, layout): rows (statement, undo)
 */
Datum
flake_adopt(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Adoption	adoption;
	Relation	rel;
	bool		found = false;

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

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	check_foreign_keys(&adoption);
	check_partitions(&adoption);
	check_highest_id(&adoption);

	/* Children first: what is done to their parent may reach them as well. */
	for (int i = list_length(adoption.tables) - 1; i >= 0; i--)
	{
		Row			row = {.desc = rsinfo->setDesc};

		rel = relation_open(list_nth_oid(adoption.tables, i), NoLock);
		if (adopt_table(&adoption, rel, &row))
		{
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values,
								 row.nulls);
			found = true;
		}
		relation_close(rel, NoLock);
	}
	if (found)
		warn_of_others(&adoption);
	else
		ereport(NOTICE,
				errmsg("column \"%s\" of table %s makes ids of layout \"%s\" already",
					   adoption.column, adoption.root_name,
					   adoption.layout_name));
	SPI_finish();
	return (Datum) 0;
}
