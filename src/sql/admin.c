/*
 * admin.c
 *		SQL functions about this server: its node id, its clock, and a check
 *		for the install script.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "utils/builtins.h"

#include "server/backend.h"
#include "server/compat.h"
#include "server/durable.h"
#include "server/lease.h"
#include "server/node.h"
#include "server/relation.h"
#include "sql/layout.h"
#include "sql/row.h"

PG_FUNCTION_INFO_V1(flake_node);
PG_FUNCTION_INFO_V1(flake_accept_clock);
PG_FUNCTION_INFO_V1(flake_check_schema);

/*
 * flake_node(layout): (node_id, source, read_from, lease_end)
 *
 * This claims no lease, so where there is none yet, node_id is NULL.
 */
Datum
flake_node(PG_FUNCTION_ARGS)
{
	const FlakeLayout *layout = flake_layout_arg(fcinfo, 0);
	FlakeNode	node;
	int64		node_id = 0;
	const FlakeError *error;
	Row			row;

	if (flake_lease_is_on())
		(void) flake_lease_control();
	flake_node_read(&node);
	error = flake_node_in(&node, layout, &node_id);
	if (error != NULL)
		flake_raise(error);

	begin_row(fcinfo, &row);
	if (node_id >= 0)
		add(&row, Int32GetDatum((int32) node_id));
	else
		add_null(&row);
	add_text(&row, node.error == NULL ? flake_node_source_text(node.source) : NULL);
	add_text(&row, node.error == NULL ? node.read_from : NULL);
	if (node.lease != NULL)
		add_time(&row, flake_lease_until_us(node.lease));
	else
		add_null(&row);
	PG_RETURN_DATUM(end_row(&row));
}

/* flake_accept_clock() */
Datum
flake_accept_clock(PG_FUNCTION_ARGS)
{
	flake_backend_refuse("flake_accept_clock()");
	flake_durable_accept_clock();
	PG_RETURN_VOID();
}

/*
 * flake_check_schema(): raises an error if the extension's schema exists.
 *
 * The install script calls and drops it.
 */
Datum
flake_check_schema(PG_FUNCTION_ARGS)
{
	if (OidIsValid(get_namespace_oid(FLAKE_SCHEMA, true)))
		ereport(ERROR,
				errcode(ERRCODE_DUPLICATE_SCHEMA),
				errmsg("schema \"%s\" already exists", FLAKE_SCHEMA),
				errdetail("Extension \"flake\" creates a schema of this name for its own objects."),
				errhint("Rename or drop the schema, then create the extension again."));
	PG_RETURN_VOID();
}
