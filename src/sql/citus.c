/*
 * citus.c
 *		What flake_check() needs to know of a Citus cluster.
 *
 * Citus connects to the nodes as the current user and asks them for their node
 * ids.  An error becomes a row of the result.  A node that does not accept the
 * connection within CONNECT_TIMEOUT is given up.  A node that hangs later blocks
 * the query until statement_timeout, as it does for any query of Citus; if its
 * whole server hangs, even that does not help, because Citus waits for it to
 * cancel the query there.
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
 * The query that a node is asked: its node id in a layout with room for every
 * node id, so that complete numbers are compared.
 */
#define QUESTION \
	"SELECT pg_catalog.format('%s %s', node_id, source)" \
	" FROM pg_catalog.flake_node('time:41 node:22'::pg_catalog.flake_layout)"

/*
 * The rows of flake.citus_nodes(), from answers (nodeid, success, result).  In
 * NOT_ASKED, success is NULL.  The coordinator asks itself even if pg_dist_node
 * has no row for it.  A standby that is not asked is left out, because it makes
 * no ids.
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

/* Sets an option until AtEOXact_GUC(). */
static void
set_option(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* The argument of put_nodes(). */
typedef struct NodesQuery
{
	ReturnSetInfo *rsinfo;
	const char *sql;			/* $1 is QUESTION */
} NodesQuery;

/* Runs a query and adds its rows to the result. */
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
		SPI_execute_with_args(query->sql, 1, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not ask the nodes");
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(rsinfo->setResult, SPI_tuptable->vals[i]);
	SPI_finish();
	AtEOXact_GUC(true, settings);
}

/* The same; after an error there are no rows, and its message is returned. */
static const char *
put_nodes_safely(ReturnSetInfo *rsinfo, const char *sql)
{
	NodesQuery	query = {.rsinfo = rsinfo, .sql = sql};
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
 * flake_citus_nodes(): a row (node, group_id, node_id, source, problem) for each
 * node of the Citus cluster
 *
 * problem says why node_id and source are not known, or, in a row where node is
 * NULL, why no node could be asked.
 */
Datum
flake_citus_nodes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	FlakeCitus	citus;
	const char *problem;

	InitMaterializedSRF(fcinfo, 0);
	flake_citus_read(&citus);
	/* parallel mode allows no subtransaction */
	if (citus.error != NULL || !citus.has_workers || IsInParallelMode())
		return (Datum) 0;

	problem = put_nodes_safely(rsinfo, NODES(ASKED));
	if (problem != NULL)
	{
		/* their groups are known even so */
		(void) put_nodes_safely(rsinfo, NODES(NOT_ASKED));
		put_problem(rsinfo, problem);
	}
	return (Datum) 0;
}

/*
 * flake_citus_state(): (group_id, has_workers, highest_group)
 *
 * All are NULL if this database is not a node of a Citus cluster.
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
