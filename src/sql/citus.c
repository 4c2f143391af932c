/*
 * citus.c
 *		SQL functions that tell flake_check() about a Citus cluster.
 *
 * The nodes are asked for their node ids through Citus, which connects to them as
 * the current user.  That can fail in many ways, and a node that does not answer
 * must hold up nobody for long: whatever happens becomes a row, after
 * ASK_TIMEOUT_MS at the latest.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timeout.h"
#include "utils/tuplestore.h"

#include "server/citus.h"
#include "sql/row.h"

PG_FUNCTION_INFO_V1(flake_citus_state);
PG_FUNCTION_INFO_V1(flake_citus_nodes);

/* For all nodes together, and for connecting to one of them. */
#define ASK_TIMEOUT_MS		5000
#define CONNECT_TIMEOUT		"2s"

/*
 * What a node is asked: its node id in a layout that has room for every number
 * with which ids can be made, so that whole numbers are compared.
 */
#define QUESTION \
	"SELECT pg_catalog.format('%s %s', node_id, source)" \
	" FROM pg_catalog.flake_node('time:41 node:22'::pg_catalog.flake_layout)"

#define ASK_NODES \
	"SELECT n.nodename::text, n.nodeport::text, a.success, a.result" \
	" FROM pg_catalog.run_command_on_all_nodes($1) AS a" \
	" LEFT JOIN pg_catalog.pg_dist_node AS n ON n.nodeid = a.nodeid"

typedef struct Answer
{
	const char *node;			/* "host:port"; NULL: of no row of pg_dist_node */
	bool		success;
	const char *text;			/* an answer to QUESTION or an error */
} Answer;

static volatile sig_atomic_t timed_out = false;

/* A signal handler: cancels the query as a statement's timeout does. */
static void
out_of_time(void)
{
	timed_out = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

static void
start_timer(TimeoutId *timeout)
{
	static TimeoutId registered = MAX_TIMEOUTS;

	if (registered == MAX_TIMEOUTS)
		registered = RegisterTimeout(USER_TIMEOUT, out_of_time);
	*timeout = registered;
	timed_out = false;
	enable_timeout_after(registered, ASK_TIMEOUT_MS);
}

/* Also takes back what the timer did if it has come too late for a query. */
static void
stop_timer(TimeoutId timeout)
{
	disable_timeout(timeout, false);
	if (timed_out)
		QueryCancelPending = false;
}

/* For the current function only. */
static void
set_option(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* A list of Answers, allocated in "context". */
static List *
ask_nodes(MemoryContext context)
{
	int			settings = NewGUCNestLevel();
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(QUESTION)};
	List	   *answers = NIL;

	set_option("search_path", "pg_catalog, pg_temp");
	set_option("citus.node_connection_timeout", CONNECT_TIMEOUT);
	if (SPI_connect() != SPI_OK_CONNECT ||
		SPI_execute_with_args(ASK_NODES, 1, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not ask the nodes");

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		const char *host = SPI_getvalue(tuple, desc, 1);
		const char *port = SPI_getvalue(tuple, desc, 2);
		const char *success = SPI_getvalue(tuple, desc, 3);
		const char *text = SPI_getvalue(tuple, desc, 4);
		MemoryContext caller = MemoryContextSwitchTo(context);
		Answer	   *answer = palloc(sizeof(Answer));

		answer->node = host && port ? psprintf("%s:%s", host, port) : NULL;
		answer->success = success != NULL && success[0] == 't';
		answer->text = pstrdup(text ? text : "");
		answers = lappend(answers, answer);
		MemoryContextSwitchTo(caller);
	}
	SPI_finish();
	AtEOXact_GUC(true, settings);
	return answers;
}

/*
 * The same, but an error does not get through: it becomes the text "problem".
 */
static List *
ask_nodes_safely(const char **problem)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	List	   *volatile answers = NIL;
	TimeoutId	timeout;

	*problem = NULL;
	BeginInternalSubTransaction(NULL);
	start_timer(&timeout);
	PG_TRY();
	{
		answers = ask_nodes(context);
		stop_timer(timeout);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		stop_timer(timeout);
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && !timed_out)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		*problem = timed_out ?
			psprintf("no answer within %d seconds", ASK_TIMEOUT_MS / 1000) :
			error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return answers;
}

static void
put_row(ReturnSetInfo *rsinfo, const char *node, const char *node_id,
		const char *source, const char *problem)
{
	Row			row = {.desc = rsinfo->setDesc};

	add_text(&row, node);
	if (node_id != NULL)
		add(&row, Int32GetDatum((int32) strtol(node_id, NULL, 10)));
	else
		add_null(&row);
	add_text(&row, source);
	add_text(&row, problem);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values,
						 row.nulls);
}

/*
 * flake_citus_nodes(): for each node of the Citus cluster (node, node_id, source,
 * problem)
 *
 * problem says why nothing else is known of a node, or, where node is NULL, why
 * no node could be asked.
 */
Datum
flake_citus_nodes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	FlakeCitus	citus;
	List	   *answers;
	const char *problem;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	flake_citus_read(&citus);
	/* a parallel operation can't begin a subtransaction */
	if (citus.error != NULL || !citus.has_workers || IsInParallelMode())
		return (Datum) 0;

	answers = ask_nodes_safely(&problem);
	if (problem != NULL)
		put_row(rsinfo, NULL, NULL, NULL, problem);
	foreach(cell, answers)
	{
		Answer	   *answer = lfirst(cell);
		const char *node = answer->node ? answer->node : "coordinator";
		const char *space = strchr(answer->text, ' ');

		if (answer->success && space != NULL)
			put_row(rsinfo, node, answer->text, space + 1, NULL);
		else
			put_row(rsinfo, node, NULL, NULL, answer->text);
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
