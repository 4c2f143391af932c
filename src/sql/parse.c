/*
 * sql_parse.c
 *		SQL functions that take ids apart, and that make the lowest and the
 *		highest id of a time.
 *
 * Each comes twice: with a layout as the second argument, then it depends on
 * its arguments alone and is IMMUTABLE; or without, then the layout is that of
 * the generator "default" and it is STABLE.  A field that the layout does not
 * have has no bits, so its value is 0; flake_fields() tells what there is.
 *
 * All functions of ids refuse the same ids: those that have bits which the
 * layout does not (22003), and those whose time timestamptz can't hold (22008).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "server/compat.h"
#include "sql/generator.h"
#include "core/layout.h"
#include "sql/layout.h"

PG_FUNCTION_INFO_V1(flake_parse);
PG_FUNCTION_INFO_V1(flake_timestamp);
PG_FUNCTION_INFO_V1(flake_unix_ms);
PG_FUNCTION_INFO_V1(flake_node_id);
PG_FUNCTION_INFO_V1(flake_slot);
PG_FUNCTION_INFO_V1(flake_sequence);
PG_FUNCTION_INFO_V1(flake_fields);
PG_FUNCTION_INFO_V1(flake_min_id);
PG_FUNCTION_INFO_V1(flake_max_id);

/* An id that was found to be one of its layout. */
typedef struct CheckedId
{
	int64		id;
	const FlakeLayout *layout;
	TimestampTz created_at;		/* when its tick began */
} CheckedId;

/* What flake_parse() keeps between calls. */
typedef struct KeptByParse
{
	FlakeLayoutCache cache;		/* MUST BE FIRST, for flake_layout_arg() */
	TupleDesc	tupdesc;
} KeptByParse;

static const FlakeLayout *
get_layout(FunctionCallInfo fcinfo)
{
	return PG_NARGS() > 1 ? flake_layout_arg(fcinfo, 1) : flake_default_layout();
}

/* The id that is the first argument, checked against the layout. */
static CheckedId
get_id(FunctionCallInfo fcinfo)
{
	CheckedId	checked;

	checked.id = PG_GETARG_INT64(0);
	checked.layout = get_layout(fcinfo);

	if (!flake_layout_has(checked.layout, checked.id))
		ereport(ERROR,
				errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				errmsg("id out of range: %lld", (long long) checked.id),
				errdetail("Ids of layout \"%s\" are from 0 to %lld.",
						  flake_layout_to_string(checked.layout),
						  (long long) flake_layout_max_id(checked.layout)));

	if (flake_layout_tick_start_pg(checked.layout,
								   flake_layout_tick(checked.layout, checked.id),
								   &checked.created_at) != FLAKE_IN_RANGE ||
		!IS_VALID_TIMESTAMP(checked.created_at))
		ereport(ERROR,
				errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				errmsg("time of id out of range: %lld", (long long) checked.id),
				errdetail("With layout \"%s\", its time is later than type %s can hold.",
						  flake_layout_to_string(checked.layout),
						  "timestamp with time zone"));
	return checked;
}

/* Rounds down: 1 ms before 1970 and a bit more is -2. */
static int64
unix_ms_of(TimestampTz time)
{
	int64		pg_ms = time / 1000 - (time % 1000 < 0);

	return pg_ms + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
		(USECS_PER_DAY / 1000);
}

Datum
flake_parse(PG_FUNCTION_ARGS)
{
	KeptByParse *state = fcinfo->flinfo->fn_extra;
	CheckedId	checked;
	const FlakeLayout *layout;
	Datum		values[7];
	bool		nulls[7] = {false};

	if (state == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		TupleDesc	tupdesc;

		if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		state = palloc0(sizeof(KeptByParse));
		state->tupdesc = BlessTupleDesc(tupdesc);
		fcinfo->flinfo->fn_extra = state;
		MemoryContextSwitchTo(old);
	}

	checked = get_id(fcinfo);
	layout = checked.layout;

	values[0] = Int64GetDatum(checked.id);
	values[1] = TimestampTzGetDatum(checked.created_at);
	values[2] = Int64GetDatum(unix_ms_of(checked.created_at));
	values[3] = Int64GetDatum(flake_layout_tick(layout, checked.id));
	values[4] = Int32GetDatum((int32) flake_layout_node(layout, checked.id));
	values[5] = Int32GetDatum((int32) flake_layout_slot(layout, checked.id));
	values[6] = Int32GetDatum((int32) flake_layout_sequence(layout, checked.id));

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(state->tupdesc,
													  values, nulls)));
}

Datum
flake_timestamp(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(get_id(fcinfo).created_at);
}

Datum
flake_unix_ms(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(unix_ms_of(get_id(fcinfo).created_at));
}

Datum
flake_node_id(PG_FUNCTION_ARGS)
{
	CheckedId	checked = get_id(fcinfo);

	PG_RETURN_INT32((int32) flake_layout_node(checked.layout, checked.id));
}

Datum
flake_slot(PG_FUNCTION_ARGS)
{
	CheckedId	checked = get_id(fcinfo);

	PG_RETURN_INT32((int32) flake_layout_slot(checked.layout, checked.id));
}

Datum
flake_sequence(PG_FUNCTION_ARGS)
{
	CheckedId	checked = get_id(fcinfo);

	PG_RETURN_INT32((int32) flake_layout_sequence(checked.layout, checked.id));
}

/* One row per field, the most significant first. */
Datum
flake_fields(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CheckedId	checked = get_id(fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < checked.layout->nfields; i++)
	{
		const FlakeField *field = &checked.layout->fields[i];
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = CStringGetTextDatum(field->name);
		values[1] = Int32GetDatum(field->bits);
		values[2] = Int64GetDatum(checked.id >> field->shift &
								  flake_mask(field->bits));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* Refuses a time that the layout has no tick for. */
static void
report_time_out_of_range(const FlakeLayout *layout, TimestampTz time)
{
	TimestampTz first;
	TimestampTz last;
	char	   *first_shown;

	/* the last microsecond of the last tick, as far as the type reaches */
	flake_layout_tick_start_pg(layout, 0, &first);
	if (flake_layout_tick_start_pg(layout, flake_layout_max_tick(layout),
								   &last) != FLAKE_IN_RANGE ||
		last > END_TIMESTAMP - layout->tick_us)
		last = END_TIMESTAMP - 1;
	else
		last += layout->tick_us - 1;

	first_shown = pstrdup(timestamptz_to_str(first));
	ereport(ERROR,
			errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
			errmsg("timestamp out of range: \"%s\"",
				   pstrdup(timestamptz_to_str(time))),
			errdetail("Times of layout \"%s\" are from %s to %s.",
					  flake_layout_to_string(layout),
					  first_shown, timestamptz_to_str(last)));
}

/* The tick that holds the time which is the first argument. */
static int64
get_tick(FunctionCallInfo fcinfo, const FlakeLayout *layout)
{
	TimestampTz time = PG_GETARG_TIMESTAMPTZ(0);
	int64		tick = 0;

	if (TIMESTAMP_NOT_FINITE(time) ||
		flake_layout_tick_at_pg(layout, time, &tick) != FLAKE_IN_RANGE)
		report_time_out_of_range(layout, time);
	return tick;
}

Datum
flake_min_id(PG_FUNCTION_ARGS)
{
	const FlakeLayout *layout = get_layout(fcinfo);

	PG_RETURN_INT64(flake_layout_min_id(layout, get_tick(fcinfo, layout)));
}

Datum
flake_max_id(PG_FUNCTION_ARGS)
{
	const FlakeLayout *layout = get_layout(fcinfo);

	PG_RETURN_INT64(flake_layout_max_id_of(layout, get_tick(fcinfo, layout)));
}
