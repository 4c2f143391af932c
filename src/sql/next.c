/*
 * next.c
 *		SQL functions that make ids.
 *
 * flake_next_id() has to be fast.  While the session's range lasts, a call reads
 * the cycle counter or the clock, compares twice and adds; in a layout without
 * slots it also does a compare-and-swap.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "core/env.h"
#include "server/backend.h"
#include "server/compat.h"
#include "sql/layout.h"
#include "sql/row.h"
#include "sql/text.h"

PG_FUNCTION_INFO_V1(flake_next_id);
PG_FUNCTION_INFO_V1(flake_next_ids);
PG_FUNCTION_INFO_V1(flake_reserve);
PG_FUNCTION_INFO_V1(flake_prefixed);

/*
 * The session of the layout in argument argno.  Raises an error if no ids can
 * be made with the layout.
 */
static FlakeSession *
find_session(FunctionCallInfo fcinfo, int argno, const char *function)
{
	struct varlena *value = PG_GETARG_VARLENA_PP(argno);
	const char *text = VARDATA_ANY(value);
	size_t		length = VARSIZE_ANY_EXHDR(value);
	FlakeSession *session = flake_backend_session(text, length);
	FlakeLayout layout;

	if (session != NULL)
		return session;
	flake_layout_read(text, length, &layout);
	flake_layout_check_issuable(&layout);
	return flake_backend_new_session(&layout, pnstrdup(text, length), function);
}

/*
 * The same, but kept in fn_extra where the layout is a constant.  Sessions live
 * as long as the backend.
 */
static inline FlakeSession *
kept_session(FunctionCallInfo fcinfo, int argno, const char *function)
{
	FlakeSession *session = fcinfo->flinfo->fn_extra;

	if (likely(session != NULL))
		return session;
	session = find_session(fcinfo, argno, function);
	if (flake_layout_arg_is_constant(fcinfo, argno))
		fcinfo->flinfo->fn_extra = session;
	return session;
}

static pg_noinline int64
next_id_slowly(FunctionCallInfo fcinfo, int argno, const char *function)
{
	FlakeSession *session = kept_session(fcinfo, argno, function);

	if (!flake_session_ready(session))
		flake_backend_grant(session, 1, 1, function);
	return flake_session_give(session);
}

static inline int64
next_id(FunctionCallInfo fcinfo, int argno, const char *function)
{
	FlakeSession *session = fcinfo->flinfo->fn_extra;
	int64		id;

	if (likely(session != NULL && flake_session_next(session, &id)))
		return id;
	return next_id_slowly(fcinfo, argno, function);
}

/* flake_next_id(layout) */
Datum
flake_next_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(next_id(fcinfo, 0, "flake_next_id()"));
}

/* What flake_next_ids() keeps from row to row. */
typedef struct NextIds
{
	FlakeSession *session;
	int64		rest;			/* number of ids still to return */
} NextIds;

static NextIds *
begin_next_ids(FunctionCallInfo fcinfo, const char *function)
{
	int64		count = PG_GETARG_INT64(0);
	FuncCallContext *context;
	NextIds    *state;

	if (count < 0)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("count %lld is out of range", (long long) count),
				errdetail("It must be greater than or equal to zero."));
	context = SRF_FIRSTCALL_INIT();
	state = MemoryContextAlloc(context->multi_call_memory_ctx, sizeof(NextIds));
	state->session = find_session(fcinfo, 1, function);
	state->rest = count;
	context->user_fctx = state;
	return state;
}

/*
 * flake_next_ids(count, layout)
 *
 * The rows are taken from the session's range one by one.  So ids that other
 * calls make between two rows are in order, too, and each id has the time at
 * which its row was fetched.
 */
Datum
flake_next_ids(PG_FUNCTION_ARGS)
{
	static const char *const function = "flake_next_ids()";
	FuncCallContext *context;
	NextIds    *state;
	int64		id;

	if (SRF_IS_FIRSTCALL())
		(void) begin_next_ids(fcinfo, function);
	context = fcinfo->flinfo->fn_extra; /* as SRF_PERCALL_SETUP(), inline */
	state = context->user_fctx;
	if (state->rest == 0)
		SRF_RETURN_DONE(context);

	if (unlikely(!flake_session_next(state->session, &id)))
	{
		flake_backend_grant(state->session, state->rest, 1, function);
		id = flake_session_give(state->session);
	}
	state->rest--;
	SRF_RETURN_NEXT(context, Int64GetDatum(id));
}

/* flake_reserve(count, layout): (first_id, last_id, step) */
Datum
flake_reserve(PG_FUNCTION_ARGS)
{
	static const char *const function = "flake_reserve()";
	int64		count = PG_GETARG_INT64(0);
	FlakeSession *session = kept_session(fcinfo, 1, function);
	int64		most = flake_session_field(session);
	int64		first_id;
	Row			row;

	if (count < 1 || count > most)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("count %lld is out of range", (long long) count),
				errdetail("Layout \"%s\" can give 1 to %lld ids at once.",
						  flake_layout_to_string(session->layout),
						  (long long) most));

	if (flake_session_left(session) < count || !flake_session_ready(session))
		flake_backend_grant(session, count, count, function);
	first_id = (int64) session->next_id;
	session->next_id += (uint64) count * session->step;

	/* only now, because reading the catalogs can empty the range */
	begin_row(fcinfo, &row);
	add(&row, Int64GetDatum(first_id));
	add(&row, Int64GetDatum(first_id + (count - 1) * (int64) session->step));
	add(&row, Int64GetDatum((int64) session->step));
	PG_RETURN_DATUM(end_row(&row));
}

/*
 * flake_prefixed(prefix, pos, encoding, layout)
 *
 * The position is checked against the lowest id of the present tick first, so
 * that a wrong position takes no id.
 */
Datum
flake_prefixed(PG_FUNCTION_ARGS)
{
	static const char *const function = "flake_prefixed()";
	text	   *prefix = PG_GETARG_TEXT_PP(0);
	int32		position = PG_GETARG_INT32(1);
	FlakeEncoding encoding = flake_encoding_arg(PG_GETARG_TEXT_PP(2));
	const FlakeLayout *layout = kept_session(fcinfo, 3, function)->layout;
	int64		tick;

	/* all ids have these positions, so the clock need not be read */
	if ((position < 0 || position > Max(flake_encoding_width(encoding), 1)) &&
		flake_layout_tick_at(layout, flake_clock_us(), &tick) == FLAKE_IN_RANGE)
		flake_check_position(flake_layout_min_id(layout, tick), position, encoding);
	PG_RETURN_TEXT_P(flake_format_id(next_id(fcinfo, 3, function), prefix,
									 position, encoding));
}
