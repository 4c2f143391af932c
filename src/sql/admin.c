/*
 * sql_server.c
 *		SQL functions about this server: its node id and its clock.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "server/compat.h"
#include "sql/generator.h"
#include "server/durable.h"
#include "server/node.h"
#include "server/backend.h"

PG_FUNCTION_INFO_V1(flake_node_sql);
PG_FUNCTION_INFO_V1(flake_accept_clock);
PG_FUNCTION_INFO_V1(flake_reset_clock);

/* flake_node(): (node_id, source) */
Datum
flake_node_sql(PG_FUNCTION_ARGS)
{
	FlakeNodeSource source;
	TupleDesc	row_type;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int32GetDatum(flake_node(flake_default_layout(), &source));
	values[1] = CStringGetTextDatum(flake_node_source_text(source));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type),
													  values, nulls)));
}

/* flake_accept_clock() */
Datum
flake_accept_clock(PG_FUNCTION_ARGS)
{
	flake_refuse_on_standby("flake_accept_clock()");
	flake_mark_accept_clock();
	PG_RETURN_VOID();
}

/* flake_reset_clock() */
Datum
flake_reset_clock(PG_FUNCTION_ARGS)
{
	flake_refuse_on_standby("flake_reset_clock()");
	flake_mark_reset_clock();
	PG_RETURN_VOID();
}
