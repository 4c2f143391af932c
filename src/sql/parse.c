/*
 * parse.c
 *		SQL functions that take ids apart, and that go from times to ids.
 *
 * All are immutable.  A field that the layout does not have has no bits, so its
 * value is 0; flake_fields() shows which fields there are.
 *
 * All functions that take an id refuse the same ids: those with bits that the
 * layout does not have, and those whose time timestamptz cannot hold.  An id
 * whose fixed parts differ from the layout's is accepted: it is an id of another
 * shard or tenant.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "core/layout.h"
#include "server/compat.h"
#include "sql/layout.h"
#include "sql/row.h"

PG_FUNCTION_INFO_V1(flake_parse);
PG_FUNCTION_INFO_V1(flake_timestamp);
PG_FUNCTION_INFO_V1(flake_unix_ms);
PG_FUNCTION_INFO_V1(flake_node_id);
PG_FUNCTION_INFO_V1(flake_fields);
PG_FUNCTION_INFO_V1(flake_min_id);
PG_FUNCTION_INFO_V1(flake_max_id);
PG_FUNCTION_INFO_V1(flake_id_at);

/* An id that is valid in its layout. */
typedef struct CheckedId
{
	int64		id;
	const FlakeLayout *layout;
	TimestampTz created_at;		/* when its tick began */
} CheckedId;

/* What flake_parse() keeps between calls. */
typedef struct ParseCache
{
	FlakeLayoutCache cache;		/* MUST BE FIRST, for flake_layout_arg() */
	TupleDesc	tupdesc;
} ParseCache;

/*----------
 * Ids taken apart
 *----------
 */

/* Reads and checks the arguments (id, layout). */
static CheckedId
get_id(FunctionCallInfo fcinfo)
{
	CheckedId	checked;

	checked.id = PG_GETARG_INT64(0);
	checked.layout = flake_layout_arg(fcinfo, 1);

	if (!flake_layout_has(checked.layout, checked.id))
		ereport(ERROR,
				errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				errmsg("id out of range: %lld", (long long) checked.id),
				errdetail("Ids of layout \"%s\" range from 0 to %lld.",
						  flake_layout_to_string(checked.layout),
						  (long long) flake_layout_max_id(checked.layout)));

	if (flake_layout_tick_start_pg(checked.layout,
								   flake_layout_tick(checked.layout, checked.id),
								   &checked.created_at) != FLAKE_IN_RANGE ||
		!IS_VALID_TIMESTAMP(checked.created_at))
		ereport(ERROR,
				errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				errmsg("time of id out of range: %lld", (long long) checked.id),
				errdetail("In layout \"%s\", its time is later than type %s can hold.",
						  flake_layout_to_string(checked.layout),
						  "timestamp with time zone"));
	return checked;
}

/* Milliseconds since 1970, rounded down also before that. */
static int64
unix_ms_of(TimestampTz time)
{
	return time / 1000 - (time % 1000 < 0) + FLAKE_PG_EPOCH_US / 1000;
}

/*
 * flake_parse(id, layout): (created_at, unix_ms, tick, node_id, slot, sequence)
 */
Datum
flake_parse(PG_FUNCTION_ARGS)
{
	ParseCache *state = fcinfo->flinfo->fn_extra;
	CheckedId	checked;
	const FlakeLayout *layout;
	Datum		values[6];
	bool		nulls[6] = {false};

	if (state == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		state = palloc0(sizeof(ParseCache));
		state->tupdesc = row_type(fcinfo);
		fcinfo->flinfo->fn_extra = state;
		MemoryContextSwitchTo(old);
	}

	checked = get_id(fcinfo);
	layout = checked.layout;

	values[0] = TimestampTzGetDatum(checked.created_at);
	values[1] = Int64GetDatum(unix_ms_of(checked.created_at));
	values[2] = Int64GetDatum(flake_layout_tick(layout, checked.id));
	values[3] = Int32GetDatum((int32) flake_layout_node(layout, checked.id));
	values[4] = Int32GetDatum((int32) flake_layout_slot(layout, checked.id));
	values[5] = Int32GetDatum((int32) flake_layout_sequence(layout, checked.id));

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

/*
 * flake_fields(id, layout): (field, bits, value), one row per field, the most
 * significant first
 */
Datum
flake_fields(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CheckedId	checked = get_id(fcinfo);

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
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

/*----------
 * From times to ids
 *----------
 */

/*
 * The tick that contains a time.  Infinite times are outside every layout;
 * -infinity needs no check, because its value is before every epoch.
 */
static FlakeRange
tick_at(const FlakeLayout *layout, TimestampTz time, int64 *tick)
{
	if (TIMESTAMP_IS_NOEND(time))
		return FLAKE_AFTER;
	return flake_layout_tick_at_pg(layout, time, tick);
}

/*
 * flake_min_id(created_at, layout)
 *
 * Never raises an error, so that queries can compare with any time.  A time
 * before the first tick gives the lowest id, 0; a time after the last tick gives
 * the highest id plus 1, unless that is beyond bigint.
 */
Datum
flake_min_id(PG_FUNCTION_ARGS)
{
	const FlakeLayout *layout = flake_layout_arg(fcinfo, 1);
	int64		last = flake_layout_max_id(layout);
	int64		tick;

	switch (tick_at(layout, PG_GETARG_TIMESTAMPTZ(0), &tick))
	{
		case FLAKE_BEFORE:
			PG_RETURN_INT64(0);
		case FLAKE_AFTER:
			PG_RETURN_INT64(last < PG_INT64_MAX ? last + 1 : last);
		case FLAKE_IN_RANGE:
			break;
	}
	PG_RETURN_INT64(flake_layout_min_id(layout, tick));
}

/* flake_max_id(created_at, layout): -1 before the first tick */
Datum
flake_max_id(PG_FUNCTION_ARGS)
{
	const FlakeLayout *layout = flake_layout_arg(fcinfo, 1);
	int64		tick;

	switch (tick_at(layout, PG_GETARG_TIMESTAMPTZ(0), &tick))
	{
		case FLAKE_BEFORE:
			PG_RETURN_INT64(-1);
		case FLAKE_AFTER:
			PG_RETURN_INT64(flake_layout_max_id(layout));
		case FLAKE_IN_RANGE:
			break;
	}
	PG_RETURN_INT64(flake_layout_max_id_of(layout, tick));
}

/* Raises the error that the layout has no tick for a time. */
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
			errdetail("Times of layout \"%s\" range from %s to %s.",
					  flake_layout_to_string(layout),
					  first_shown, timestamptz_to_str(last)));
}

/*
 * flake_id_at(created_at, n, node_id, layout)
 *
 * An id that a server could have made: n counts its ids of a tick in their
 * order, so its bits are the slot followed by the sequence.  Layouts that can
 * issue ids have these fields side by side; others are refused.
 */
Datum
flake_id_at(PG_FUNCTION_ARGS)
{
	TimestampTz time = PG_GETARG_TIMESTAMPTZ(0);
	int64		n = PG_GETARG_INT64(1);
	int32		node = PG_GETARG_INT32(2);
	const FlakeLayout *layout = flake_layout_arg(fcinfo, 3);
	int64		slot = n >> layout->seq_bits;
	int64		sequence = n & flake_mask(layout->seq_bits);
	int64		tick;

	flake_layout_check_issuable(layout);
	if (tick_at(layout, time, &tick) != FLAKE_IN_RANGE)
		report_time_out_of_range(layout, time);
	if (n < 0 || n > flake_layout_max_number(layout))
		ereport(ERROR,
				errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				errmsg("number of id in its tick out of range: %lld",
					   (long long) n),
				errdetail("In layout \"%s\", the ids of one server in a tick are numbered from 0 to %lld.",
						  flake_layout_to_string(layout),
						  (long long) flake_layout_max_number(layout)));
	if (node < 0 || node > flake_layout_max_node(layout))
		ereport(ERROR,
				errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				errmsg("node id out of range: %d", node),
				errdetail("Node ids of layout \"%s\" range from 0 to %lld.",
						  flake_layout_to_string(layout),
						  (long long) flake_layout_max_node(layout)));

	PG_RETURN_INT64(flake_layout_min_id(layout, tick) |
					flake_layout_node_part(layout, node) |
					slot << layout->slot_shift |
					sequence << layout->seq_shift);
}
