/*
 * sql_generator.c
 *		SQL functions that make and drop generators, and their table's trigger.
 *
 * The functions run with the caller's rights on the table flake_generator:
 * who may insert into it may make a generator, by them or by INSERT.  What
 * makes a row right is therefore checked by the trigger.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "server/relation.h"
#include "core/env.h"
#include "server/compat.h"
#include "sql/generator.h"
#include "sql/layout.h"

PG_FUNCTION_INFO_V1(flake_create_generator);
PG_FUNCTION_INFO_V1(flake_drop_generator);
PG_FUNCTION_INFO_V1(flake_generator_layout);
PG_FUNCTION_INFO_V1(flake_generator_changed);

/*
 * Runs "command", with %s for the table's name, on behalf of the caller.
 * Returns the number of rows that it changed.
 */
static uint64
change_table(const char *command, int nargs, Oid *types, Datum *values)
{
	Relation	rel = flake_open_relation(FLAKE_GENERATOR_RELATION,
										  RowExclusiveLock, true);
	char	   *table =
		quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
								   RelationGetRelationName(rel));
	uint64		changed;

	relation_close(rel, NoLock);
	SPI_connect();
	if (SPI_execute_with_args(psprintf(command, table), nargs, types, values,
							  NULL, false, 0) < 0)
		elog(ERROR, "could not change table %s", table);
	changed = SPI_processed;
	SPI_finish();
	return changed;
}

/* flake_create_generator(name, layout) */
Datum
flake_create_generator(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);
	Oid			types[2] = {TEXTOID, get_fn_expr_argtype(fcinfo->flinfo, 1)};
	Datum		values[2] = {PointerGetDatum(name), PG_GETARG_DATUM(1)};

	if (change_table("INSERT INTO %s (name, layout) VALUES ($1, $2) ON CONFLICT DO NOTHING",
					 2, types, values) == 0)
		ereport(ERROR,
				errcode(ERRCODE_DUPLICATE_OBJECT),
				errmsg("generator \"%s\" already exists", text_to_cstring(name)));
	PG_RETURN_VOID();
}

/* flake_drop_generator(name) */
Datum
flake_drop_generator(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {PointerGetDatum(name)};

	if (change_table("DELETE FROM %s WHERE name OPERATOR(pg_catalog.=) $1", 1, types, values) == 0)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("generator \"%s\" does not exist", text_to_cstring(name)));
	PG_RETURN_VOID();
}

/* flake_generator_layout(name) */
Datum
flake_generator_layout(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);

	return flake_layout_datum(&flake_generator(VARDATA_ANY(name),
											   VARSIZE_ANY_EXHDR(name))->layout);
}

/* Error unless the row can be a generator. */
static void
check_row(HeapTuple row, TupleDesc desc)
{
	bool		is_null;
	Datum		value;
	FlakeLayout layout;
	text	   *name;
	struct varlena *layout_text;

	value = heap_getattr(row, FLAKE_GENERATOR_NAME, desc, &is_null);
	if (is_null)
		return;					/* the table's constraint says so */
	name = DatumGetTextPP(value);
	if (VARSIZE_ANY_EXHDR(name) < 1 || VARSIZE_ANY_EXHDR(name) >= NAMEDATALEN)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("name of a generator must have 1 to %d bytes, not %d",
					   NAMEDATALEN - 1, (int) VARSIZE_ANY_EXHDR(name)));

	value = heap_getattr(row, FLAKE_GENERATOR_LAYOUT, desc, &is_null);
	if (is_null)
		return;
	layout_text = PG_DETOAST_DATUM_PACKED(value);
	flake_generator_parse_layout(VARDATA_ANY(layout_text),
								 VARSIZE_ANY_EXHDR(layout_text), &layout);
	if (layout.epoch_us > flake_clock_us())
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("epoch of the layout is in the future"),
				errdetail("It is %s; a generator could make no ids before.",
						  flake_time_text(layout.epoch_us)));
}

/*
 * Trigger on flake_generator, for each row and at a TRUNCATE: checks what
 * comes in, and has every session look its generators up again.
 */
Datum
flake_generator_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	row;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("flake_generator_changed() can only be called as a trigger"));

	/* what follows trusts the columns to be of the types that they are there */
	if (RelationGetRelid(trigger->tg_relation) !=
		flake_relation_oid(FLAKE_GENERATOR_RELATION))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("flake_generator_changed() is a trigger of \"%s\", not of \"%s\"",
					   FLAKE_GENERATOR_RELATION,
					   RelationGetRelationName(trigger->tg_relation)));

	row = trigger->tg_trigtuple;
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("a generator cannot be changed"),
				errdetail("Ids that it has made would be read wrongly."),
				errhint("Drop it and make another one."));
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		check_row(row, RelationGetDescr(trigger->tg_relation));

	CacheInvalidateRelcache(trigger->tg_relation);
	return PointerGetDatum(row);
}
