/*
 * layout.c
 *		The SQL type flake_layout, and flake_layout_info().
 *
 * A value is stored as its canonical text.  So later versions can read it,
 * layouts are equal if their bytes are, and they are ordered by their bytes.
 * Functions that use a layout parse it once per query (flake_layout_arg).
 *
 * All functions are immutable: the text does not depend on any setting, and
 * presets never change.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "core/layout.h"
#include "server/compat.h"
#include "sql/layout.h"
#include "sql/row.h"

PG_FUNCTION_INFO_V1(flake_layout_in);
PG_FUNCTION_INFO_V1(flake_layout_out);
PG_FUNCTION_INFO_V1(flake_layout_recv);
PG_FUNCTION_INFO_V1(flake_layout_send);
PG_FUNCTION_INFO_V1(flake_layout_eq);
PG_FUNCTION_INFO_V1(flake_layout_ne);
PG_FUNCTION_INFO_V1(flake_layout_lt);
PG_FUNCTION_INFO_V1(flake_layout_le);
PG_FUNCTION_INFO_V1(flake_layout_ge);
PG_FUNCTION_INFO_V1(flake_layout_gt);
PG_FUNCTION_INFO_V1(flake_layout_cmp);
PG_FUNCTION_INFO_V1(flake_layout_hash);
PG_FUNCTION_INFO_V1(flake_layout_hash_extended);
PG_FUNCTION_INFO_V1(flake_layout_info);

/*
 * Parses the text of a layout.  An error is raised, or saved in escontext if
 * that is an ErrorSaveContext; then the result is false.
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

/* Parses the text of a layout, or raises an error. */
void
flake_layout_read(const char *text, size_t length, FlakeLayout *layout)
{
	(void) parse_layout(text, length, layout, NULL);
}

/*
 * Does argument argno stay the same as long as fn_extra does?  A parameter does
 * not: PL/pgSQL evaluates an expression again with other values.
 */
bool
flake_layout_arg_is_constant(FunctionCallInfo fcinfo, int argno)
{
	Node	   *call = fcinfo->flinfo->fn_expr;

	return call != NULL && IsA(call, FuncExpr) &&
		argno < list_length(((FuncExpr *) call)->args) &&
		IsA(list_nth(((FuncExpr *) call)->args, argno), Const);
}

/* Raises an error if no ids can be made with a layout. */
void
flake_layout_check_issuable(const FlakeLayout *layout)
{
	FlakeLayoutError error;

	if (!flake_layout_issuable(layout, &error))
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("%s: \"%s\"", error.message,
					   flake_layout_to_string(layout)),
				errdetail("%s", error.detail));
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

/* Compares the two arguments of an operator, as bytes. */
static int
compare_args(FunctionCallInfo fcinfo)
{
	struct varlena *a = PG_GETARG_VARLENA_PP(0);
	struct varlena *b = PG_GETARG_VARLENA_PP(1);
	int			len_a = VARSIZE_ANY_EXHDR(a);
	int			len_b = VARSIZE_ANY_EXHDR(b);
	int			order = memcmp(VARDATA_ANY(a), VARDATA_ANY(b),
							   Min(len_a, len_b));

	return order != 0 ? order : len_a - len_b;
}

/*
 * The layout in argument argno of an SQL function.
 *
 * It is kept in fn_extra as a FlakeLayoutCache.  A function that keeps more in
 * fn_extra must first set it to a zeroed struct that begins with one.
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
			cache->value = NULL;	/* in case of an error below */
		}
		flake_layout_read(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value),
						  &cache->layout);
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
flake_layout_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) < 0);
}

Datum
flake_layout_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) <= 0);
}

Datum
flake_layout_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) >= 0);
}

Datum
flake_layout_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) > 0);
}

Datum
flake_layout_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_args(fcinfo));
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

/* Ids per second to six decimals, as numeric: the product can exceed int64. */
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

/*
 * flake_layout_info(layout): (layout, bits, nodes, slots, ids_per_tick,
 * ids_per_second, tick, first_timestamp, last_timestamp, below_2_53, can_issue)
 */
Datum
flake_layout_info(PG_FUNCTION_ARGS)
{
	const FlakeLayout *layout = flake_layout_arg(fcinfo, 0);
	int64		ids_per_tick = flake_layout_max_number(layout) + 1;
	char		full[FLAKE_LAYOUT_TEXT_MAX];
	TimestampTz first;
	TimestampTz last;
	FlakeLayoutError error;
	Row			row;

	flake_layout_format_full(layout, full, sizeof(full));

	/* a time beyond int64 becomes PG_INT64_MAX, which is no valid timestamp */
	flake_layout_tick_start_pg(layout, 0, &first);
	flake_layout_tick_start_pg(layout, flake_layout_max_tick(layout), &last);

	begin_row(fcinfo, &row);
	add(&row, CStringGetTextDatum(full));
	add(&row, Int32GetDatum(layout->time_bits + layout->time_shift));
	add(&row, Int64GetDatum(flake_layout_max_node(layout) + 1));
	add(&row, Int64GetDatum(flake_mask(layout->slot_bits) + 1));
	add(&row, Int64GetDatum(ids_per_tick));
	add(&row, ids_per_second(ids_per_tick, layout->tick_us));
	add_interval(&row, layout->tick_us);
	add_timestamp(&row, first);
	add_timestamp(&row, last);
	add(&row, BoolGetDatum(layout->time_bits + layout->time_shift <= 53));
	add(&row, BoolGetDatum(flake_layout_issuable(layout, &error)));
	PG_RETURN_DATUM(end_row(&row));
}
