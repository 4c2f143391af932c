/*
 * citus.c
 *		SQL functions that tell flake_check() about a Citus cluster.
 *
 * The nodes are asked for their node ids through Citus, which connects to them as
 * the current user.  That can fail in many ways, and whatever happens becomes a
 * row.  A node that can't be connected to is given up after CONNECT_TIMEOUT; one
 * that hangs later holds up the query as it does any other query of Citus, until
 * statement_timeout.  Where a whole server stands still that does not help either:
 * Citus waits for it when it cancels what it has asked.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/guc.h"
#include "utils/tuplestore.h"

#include "server/citus.h"
#include "sql/attempt.h"
#include "sql/row.h"

PG_FUNCTION_INFO_V1(flake_citus_state);
PG_FUNCTION_INFO_V1(flake_citus_nodes);

#define CONNECT_TIMEOUT		"2s"

/*
 * What a node is asked: its node id in a layout that has room for every number
 * with which ids can be made, so that whole numbers are compared.
 */
#define QUESTION \
	"SELECT pg_catalog.format('%s %s', node_id, source)" \
	" FROM pg_catalog.flake_node('time:41 node:22'::pg_catalog.flake_layout)"

/*
 * The columns of flake.citus_nodes(), with the nodes' answers: (nodeid, success,
 * result), success is NULL for a node that Citus would ask.  The coordinator asks
 * itself even if it has no row.  A standby makes no ids.
 */
#define NODES(answers) \
	"SELECT coalesce(n.nodename || ':' || n.nodeport, 'coordinator')," \
	" coalesce(n.groupid, 0), t.answer[1]::integer, t.answer[2]," \
	" CASE WHEN a.nodeid IS NULL" \
	" THEN format('Citus does not ask it (isactive: %s, noderole: %s)'," \
	" n.isactive::text, n.noderole)" \
	" WHEN a.success IS NOT NULL AND t.answer IS NULL" \
	" THEN coalesce(a.result, '') END" \
	" FROM pg_dist_node AS n" \
	" FULL JOIN " answers " AS a (nodeid, success, result) USING (nodeid)" \
	" LEFT JOIN LATERAL regexp_match(a.result, '^([0-9]+) (.+)$') AS t (answer)" \
	" ON a.success" \
	" WHERE a.nodeid IS NOT NULL OR n.noderole <> 'secondary'"

#define ASKED \
	"run_command_on_all_nodes($1)"
#define NOT_ASKED \
	"(SELECT nodeid, NULL::boolean, NULL::text FROM pg_dist_node" \
	" WHERE isactive AND noderole = 'primary')"

/* For the current function only. */
static void
set_option(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* What put_nodes() is called with. */
typedef struct NodesQuery
{
	ReturnSetInfo *rsinfo;
	const char *text;			/* $1 is QUESTION */
} NodesQuery;

/* Returns what a query finds. */
static void
put_nodes(void *arg)
{
	const NodesQuery *query = arg;
	ReturnSetInfo *rsinfo = query->rsinfo;
	int			settings = NewGUCNestLevel();
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(QUESTION)};

	set_option("search_path", "pg_catalog, pg_temp");
	set_option("citus.node_connection_timeout", CONNECT_TIMEOUT);
	if (SPI_connect() != SPI_OK_CONNECT ||
		SPI_execute_with_args(query->text, 1, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not ask the nodes");
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(rsinfo->setResult, SPI_tuptable->vals[i]);
	SPI_finish();
	AtEOXact_GUC(true, settings);
}

/*
 * The same, but an error does not get through: its message is returned, and no
 * rows.
 */
static const char *
put_nodes_safely(ReturnSetInfo *rsinfo, const char *text)
{
	NodesQuery	query = {.rsinfo = rsinfo,.text = text};
	const char *problem = flake_attempt(put_nodes, &query);

	if (problem != NULL)
		tuplestore_clear(rsinfo->setResult);
	return problem;
}

static void
put_problem(ReturnSetInfo *rsinfo, const char *problem)
{
	Row			row = {.desc = rsinfo->setDesc};

	add_null(&row);
	add_null(&row);
	add_null(&row);
	add_null(&row);
	add_text(&row, problem);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values,
						 row.nulls);
}

/*
 * flake_citus_nodes(): for each node of the Citus cluster (node, group_id, node_id,
 * source, problem)
 *
 * problem says why node_id and source are not known, or, where node is NULL, why
 * no node could be asked.
 */
Datum
flake_citus_nodes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	FlakeCitus	citus;
	const char *problem;

	InitMaterializedSRF(fcinfo, 0);
	flake_citus_read(&citus);
	/* a parallel operation can't begin a subtransaction */
	if (citus.error != NULL || !citus.has_workers || IsInParallelMode())
		return (Datum) 0;

	problem = put_nodes_safely(rsinfo, NODES(ASKED));
	if (problem != NULL)
	{
		/* their groups are known all the same */
		(void) put_nodes_safely(rsinfo, NODES(NOT_ASKED));
		put_problem(rsinfo, problem);
	}
	return (Datum) 0;
}

/*
 * flake_citus_state(): (group_id, has_workers, highest_group)
 *
 * All are NULL in a database that does not belong to a node of a Citus cluster.
 */
Datum
flake_citus_state(PG_FUNCTION_ARGS)
{
	FlakeCitus	citus;
	Row			row;

	flake_citus_read(&citus);
	begin_row(fcinfo, &row);
	if (citus.error == NULL && citus.is_node)
	{
		add(&row, Int32GetDatum(citus.group));
		add(&row, BoolGetDatum(citus.has_workers));
		add(&row, Int32GetDatum(citus.highest_group));
	}
	else
	{
		add_null(&row);
		add_null(&row);
		add_null(&row);
	}
	PG_RETURN_DATUM(end_row(&row));
}
