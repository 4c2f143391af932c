/*
 * registry_guard.c
 *		The trigger that guards the tables of a registry of node ids, their
 *		privileges, and reports about the registry.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "server/relation.h"
#include "sql/registry_table.h"
#include "sql/row.h"

PG_FUNCTION_INFO_V1(flake_registry_guard);
PG_FUNCTION_INFO_V1(flake_registry_close);
PG_FUNCTION_INFO_V1(flake_registry_state);
PG_FUNCTION_INFO_V1(flake_registry_findings);

/*
 * The row to insert when a dump is restored, or somebody inserts one: it
 * keeps the rules, but the registry is not accepted.  NULL (insert nothing)
 * if there is a registry already.
 */
static HeapTuple
restored_registry(TriggerData *trigger)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	HeapTuple	tuple = trigger->tg_trigtuple;
	static const char *const identity[] = {
		"system_identifier", "timeline", "database", "control_inode", "control_born"
	};
	Registry	registry;
	bool		exists;

	SPI_connect();
	exists = registry_read(&registry);
	SPI_finish();
	if (exists)
		return NULL;
	for (size_t i = 0; i < lengthof(identity); i++)
	{
		int			number = SPI_fnumber(desc, identity[i]);
		Datum		value = (Datum) 0;
		bool		isnull = true;

		tuple = heap_modify_tuple_by_cols(tuple, desc, 1, &number, &value, &isnull);
	}
	return tuple;
}

/*
 * flake_registry_guard(): the trigger on flake.node and flake.node_registry
 *
 * Lets the registry's functions write, and a superuser change the rules.  A
 * row from elsewhere says nothing about this registry.  Rows from logical
 * replication are skipped, because an error would stop it.  Of the rows in a
 * dump only the registry's own is taken, see restored_registry().
 */
Datum
flake_registry_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	tuple;
	bool		is_registry;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("flake_registry_guard() must be called as a trigger"));
	tuple = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple :
		trigger->tg_trigtuple;
	if (registry_is_writing())
		return PointerGetDatum(tuple);
	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event) &&
		SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
		return PointerGetDatum(NULL);

	is_registry = strcmp(RelationGetRelationName(trigger->tg_relation),
						 "node_registry") == 0;
	if (is_registry && TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		return PointerGetDatum(restored_registry(trigger));
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("table \"%s.%s\" can be written only by the registry's functions",
				   FLAKE_SCHEMA, RelationGetRelationName(trigger->tg_relation)),
			is_registry ?
			errhint("Only the columns max_lease, max_clock_offset, grace, gap and fsync_off can be changed.") :
			errhint("Use flake_create_nodes(), flake_drop_nodes() and flake_reserve_node()."));
	return PointerGetDatum(NULL);
}

/*
 * flake_registry_close(): revokes all privileges on the extension's tables,
 * views and functions from everybody but their owner
 *
 * ALTER DEFAULT PRIVILEGES may have granted some, but a table of credentials
 * needs better protection.  Only the extension's script calls this, before
 * anybody can have used the privileges.
 */
Datum
flake_registry_close(PG_FUNCTION_ARGS)
{
	static const char *const rights =
		"SELECT format('REVOKE ALL ON %s FROM %s', object,"
		" CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)"
		" FROM (SELECT d.deptype, d.refclassid, d.refobjid, 'TABLE ' || c.oid::regclass AS object,"
		" c.relowner AS owner, (aclexplode(c.relacl)).grantee"
		" FROM pg_depend AS d JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid"
		" UNION SELECT d.deptype, d.refclassid, d.refobjid, 'FUNCTION ' || p.oid::regprocedure,"
		" p.proowner, (aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))).grantee"
		" FROM pg_depend AS d JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid) AS g"
		" WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass AND refobjid = $1 AND grantee <> owner";
	Oid			types[1] = {OIDOID};
	Datum		values[1];
	SPITupleTable *found;

	if (!creating_extension)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("flake_registry_close() can only be called by an extension's script"));
	values[0] = ObjectIdGetDatum(CurrentExtensionObject);
	SPI_connect();
	if (SPI_execute_with_args(rights, 1, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read what is granted");
	found = SPI_tuptable;
	for (uint64 i = 0; i < found->numvals; i++)
	{
		if (SPI_execute(SPI_getvalue(found->vals[i], found->tupdesc, 1), false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not revoke what is granted");
	}
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * flake_registry_state(): (problem, detail, hint)
 *
 * "problem" says why the registry refuses to answer; NULL if it does answer,
 * and on a standby.
 */
Datum
flake_registry_state(PG_FUNCTION_ARGS)
{
	const FlakeError *error = NULL;
	MemoryContext context = CurrentMemoryContext;
	Registry	registry;
	Row			row;

	if (!RecoveryInProgress())
	{
		SPI_connect();
		if (registry_read(&registry))
		{
			MemoryContextSwitchTo(context);
			error = registry_refusal_to_holders(&registry);
		}
		SPI_finish();
	}
	begin_row(fcinfo, &row);
	add_text(&row, error == NULL ? NULL : error->message);
	add_text(&row, error == NULL ? NULL : error->detail);
	add_text(&row, error == NULL ? NULL : error->hint);
	PG_RETURN_DATUM(end_row(&row));
}

/*
 * flake_registry_findings(): what flake_check() says about the registry in
 * this database, if there is one
 */
Datum
flake_registry_findings(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *name = list_make2(makeString(FLAKE_SCHEMA),
								  makeString("check_registry"));

	InitMaterializedSRF(fcinfo, 0);
	if (!OidIsValid(LookupFuncName(name, 0, NULL, true)))
		return (Datum) 0;
	SPI_connect();
	if (SPI_execute("SELECT severity, what, why, what_to_do FROM flake.check_registry()",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not call flake.check_registry()");
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(rsinfo->setResult, SPI_tuptable->vals[i]);
	SPI_finish();
	return (Datum) 0;
}
