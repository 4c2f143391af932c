/*
 * sql_layout.c
 *		The SQL type flake_layout, and what a layout can do.
 *
 * A value is stored as its canonical text: it can be read by every later
 * version, output is a copy, and equal layouts are equal bytes.  Whatever
 * computes with one parses it, once per query (flake_layout_arg).
 *
 * All functions are immutable: the text form does not depend on any setting.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "server/compat.h"
#include "core/layout.h"
#include "sql/layout.h"

PG_FUNCTION_INFO_V1(flake_layout_in);
PG_FUNCTION_INFO_V1(flake_layout_out);
PG_FUNCTION_INFO_V1(flake_layout_recv);
PG_FUNCTION_INFO_V1(flake_layout_send);
PG_FUNCTION_INFO_V1(flake_layout_eq);
PG_FUNCTION_INFO_V1(flake_layout_ne);
PG_FUNCTION_INFO_V1(flake_layout_hash);
PG_FUNCTION_INFO_V1(flake_layout_hash_extended);
PG_FUNCTION_INFO_V1(flake_layout_info);

/*
 * Reads the text form.  On failure reports to escontext, and returns false if
 * that keeps errors; NULL keeps none.
 */
static bool
parse_layout(const char *str, size_t len, FlakeLayout *layout, Node *escontext)
{
	FlakeLayoutError error;

	if (flake_layout_parse(str, len, layout, &error))
		return true;
	FLAKE_SOFT_ERROR(escontext, false,
					 errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("%s", error.message),
					 error.detail[0] ? errdetail("%s", error.detail) : 0,
					 error.hint[0] ? errhint("%s", error.hint) : 0);
}

char *
flake_layout_to_string(const FlakeLayout *layout)
{
	char		buf[FLAKE_LAYOUT_TEXT_MAX];

	flake_layout_format(layout, buf, sizeof(buf));
	return pstrdup(buf);
}

/* The SQL value of a layout. */
Datum
flake_layout_datum(const FlakeLayout *layout)
{
	char		buf[FLAKE_LAYOUT_TEXT_MAX];
	size_t		len = flake_layout_format(layout, buf, sizeof(buf));

	return PointerGetDatum(cstring_to_text_with_len(buf, (int) len));
}

static bool
same_bytes(struct varlena *a, struct varlena *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/*
 * flake_layout_arg gives the layout that is argument argno of an SQL function.
 *
 * It lives in fn_extra, as a FlakeLayoutCache.  A function that has more to
 * keep puts there, before the first call, a zeroed struct that begins with one.
 */
const FlakeLayout *
flake_layout_arg(FunctionCallInfo fcinfo, int argno)
{
	FlakeLayoutCache *cache = fcinfo->flinfo->fn_extra;
	struct varlena *value = PG_GETARG_VARLENA_PP(argno);

	if (cache == NULL)
		cache = fcinfo->flinfo->fn_extra =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
								   sizeof(FlakeLayoutCache));

	if (cache->value == NULL || !same_bytes(cache->value, value))
	{
		struct varlena *copy;

		if (cache->value != NULL)
		{
			pfree(cache->value);
			cache->value = NULL;	/* should what follows fail */
		}
		parse_layout(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value),
					 &cache->layout, NULL);
		copy = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, VARSIZE_ANY(value));
		memcpy(copy, value, VARSIZE_ANY(value));
		cache->value = copy;
	}
	return &cache->layout;
}

/*----------
 * The type
 *----------
 */

Datum
flake_layout_in(PG_FUNCTION_ARGS)
{
	char	   *str = PG_GETARG_CSTRING(0);
	FlakeLayout layout;

	if (!parse_layout(str, strlen(str), &layout, fcinfo->context))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(flake_layout_datum(&layout));
}

Datum
flake_layout_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(TextDatumGetCString(PG_GETARG_DATUM(0)));
}

/* The binary form is the text. */
Datum
flake_layout_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			len;
	char	   *str = pq_getmsgtext(buf, buf->len - buf->cursor, &len);
	FlakeLayout layout;

	parse_layout(str, len, &layout, NULL);
	PG_RETURN_DATUM(flake_layout_datum(&layout));
}

Datum
flake_layout_send(PG_FUNCTION_ARGS)
{
	struct varlena *value = PG_GETARG_VARLENA_PP(0);
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendtext(&buf, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

Datum
flake_layout_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(same_bytes(PG_GETARG_VARLENA_PP(0),
							  PG_GETARG_VARLENA_PP(1)));
}

Datum
flake_layout_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!same_bytes(PG_GETARG_VARLENA_PP(0),
							   PG_GETARG_VARLENA_PP(1)));
}

Datum
flake_layout_hash(PG_FUNCTION_ARGS)
{
	struct varlena *value = PG_GETARG_VARLENA_PP(0);

	PG_RETURN_UINT32(hash_bytes((unsigned char *) VARDATA_ANY(value),
								VARSIZE_ANY_EXHDR(value)));
}

Datum
flake_layout_hash_extended(PG_FUNCTION_ARGS)
{
	struct varlena *value = PG_GETARG_VARLENA_PP(0);
	uint64		seed = (uint64) PG_GETARG_INT64(1);

	PG_RETURN_UINT64(hash_bytes_extended((unsigned char *) VARDATA_ANY(value),
										 VARSIZE_ANY_EXHDR(value), seed));
}

/*----------
 * What a layout can do
 *----------
 */

/* Ids per second, to six decimals; the product can exceed an int64. */
static Datum
ids_per_second(int64 ids_per_tick, int64 tick_us)
{
	Datum		product = DirectFunctionCall2(numeric_mul,
											  NumericGetDatum(int64_to_numeric(ids_per_tick)),
											  NumericGetDatum(int64_to_numeric(USECS_PER_SEC)));
	Datum		quotient = DirectFunctionCall2(numeric_div, product,
											   NumericGetDatum(int64_to_numeric(tick_us)));

	return DirectFunctionCall1(numeric_trim_scale,
							   DirectFunctionCall2(numeric_round, quotient,
												   Int32GetDatum(6)));
}

Datum
flake_layout_info(PG_FUNCTION_ARGS)
{
	const FlakeLayout *layout = flake_layout_arg(fcinfo, 0);
	int64		ids_per_tick = INT64CONST(1) << (layout->slot_bits + layout->seq_bits);
	int64		max_tick = flake_layout_max_tick(layout);
	Interval   *tick = palloc0(sizeof(Interval));
	TupleDesc	tupdesc;
	TimestampTz first;
	TimestampTz last;
	Datum		values[10];
	bool		nulls[10] = {false};
	FlakeLayoutError error;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	tick->time = layout->tick_us;
	flake_layout_tick_start_pg(layout, 0, &first);
	nulls[7] = flake_layout_tick_start_pg(layout, max_tick, &last) != FLAKE_IN_RANGE ||
		!IS_VALID_TIMESTAMP(last);

	values[0] = Int32GetDatum(layout->time_bits + layout->time_shift);
	values[1] = Int64GetDatum(flake_layout_max_node(layout) + 1);
	values[2] = Int64GetDatum(flake_mask(layout->slot_bits) + 1);
	values[3] = Int64GetDatum(ids_per_tick);
	values[4] = ids_per_second(ids_per_tick, layout->tick_us);
	values[5] = IntervalPGetDatum(tick);
	values[6] = TimestampTzGetDatum(first);
	values[7] = TimestampTzGetDatum(last);
	values[8] = BoolGetDatum(layout->time_bits + layout->time_shift <= 53);
	values[9] = BoolGetDatum(flake_layout_issuable(layout, &error));

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}
