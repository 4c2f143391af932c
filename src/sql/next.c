/*
 * sql_issue.c
 *		SQL functions that make ids.
 *
 * flake_next_id() is the path that counts: while the session's range lasts it
 * is a reading of the counter or the clock, two comparisons and an addition;
 * without slots, a compare-and-swap.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "core/env.h"
#include "server/compat.h"
#include "sql/generator.h"
#include "server/backend.h"
#include "sql/text.h"

/*
 * flake_next_ids() gives out this many ids of a range between two looks at the
 * counter or the clock; fewer when the client has come back for more, as from
 * a cursor.
 */
#define IDS_PER_LOOK 16

PG_FUNCTION_INFO_V1(flake_next_id);
PG_FUNCTION_INFO_V1(flake_next_id_of);
PG_FUNCTION_INFO_V1(flake_next_ids);
PG_FUNCTION_INFO_V1(flake_reserve);
PG_FUNCTION_INFO_V1(flake_last_id);
PG_FUNCTION_INFO_V1(flake_last_id_of);
PG_FUNCTION_INFO_V1(flake_prefixed);

/* The generator that gave out an id last in this process. */
static FlakeGenerator *last_generator = NULL;

static inline int64
given_out(FlakeGenerator *generator, int64 id)
{
	generator->last_id = id;
	generator->has_last = true;
	last_generator = generator;
	return id;
}

static pg_noinline int64
next_id_slowly(FlakeGenerator *generator)
{
	static const char *const function = "flake_next_id()";
	FlakeSession *session;

	generator = flake_generator_again(generator);
	session = flake_generator_session(generator, function);
	if (!flake_session_ready(session))
		flake_session_grant(session, 1, function);
	return given_out(generator, flake_session_give(session));
}

static inline int64
next_id(FlakeGenerator *generator)
{
	int64		id;

	if (unlikely(generator->session == NULL ||
				 !flake_session_next(generator->session, &id)))
		return next_id_slowly(generator);
	return given_out(generator, id);
}

/*
 * The generator named by an argument.  Within one call site of a statement
 * the name is mostly the same, so the last one is kept there.
 */
static inline FlakeGenerator *
generator_arg(FunctionCallInfo fcinfo, int argno)
{
	text	   *name = PG_GETARG_TEXT_PP(argno);
	FlakeGenerator *generator = fcinfo->flinfo->fn_extra;

	if (likely(generator != NULL && flake_generator_is(generator, name)))
		return generator;
	generator = flake_generator(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	fcinfo->flinfo->fn_extra = generator;
	return generator;
}

/* flake_next_id() */
Datum
flake_next_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(next_id(flake_default_generator()));
}

/* flake_next_id(generator) */
Datum
flake_next_id_of(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(next_id(generator_arg(fcinfo, 0)));
}

static int64
count_arg(int64 count)
{
	if (count < 0)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("count %lld is out of range", (long long) count),
				errdetail("It must be greater than or equal to zero."));
	return count;
}

/* What the two set-returning functions keep from row to row. */
typedef struct RunState
{
	FlakeGenerator *generator;
	FlakeSession *session;
	int64		rest;			/* ids still to be given out */
	int			unlooked;		/* ids until the next look at the time */
	TimestampTz statement;		/* when the client asked for these rows */
} RunState;

/* The first call of such a function: (count [, generator]). */
static RunState *
begin_run(FunctionCallInfo fcinfo, const char *function)
{
	FuncCallContext *context = SRF_FIRSTCALL_INIT();
	RunState   *state = MemoryContextAllocZero(context->multi_call_memory_ctx,
											   sizeof(RunState));

	state->rest = count_arg(PG_GETARG_INT64(0));
	if (PG_NARGS() > 1)
	{
		text	   *name = PG_GETARG_TEXT_PP(1);

		state->generator = flake_generator(VARDATA_ANY(name),
										   VARSIZE_ANY_EXHDR(name));
	}
	else
		state->generator = flake_default_generator();
	state->generator = flake_generator_again(state->generator);
	state->session = flake_generator_session(state->generator, function);
	context->user_fctx = state;
	return state;
}

/* flake_next_ids(count [, generator]) */
Datum
flake_next_ids(PG_FUNCTION_ARGS)
{
	static const char *const function = "flake_next_ids()";
	FuncCallContext *context;
	RunState   *state;
	FlakeSession *session;
	int64		id;

	if (SRF_IS_FIRSTCALL())
		(void) begin_run(fcinfo, function);
	context = fcinfo->flinfo->fn_extra;	/* as SRF_PERCALL_SETUP(), inline */
	state = context->user_fctx;
	if (state->rest == 0)
		SRF_RETURN_DONE(context);

	/*
	 * The rows come out of the session's own range one by one, so other calls
	 * between two rows keep their place in the order.
	 */
	session = state->session;
	if (state->unlooked > 0 && session->next_id < session->end_id &&
		state->statement == GetCurrentStatementStartTimestamp())
		state->unlooked--;
	else
	{
		if (!flake_session_ready(session))
			flake_session_grant(session, state->rest, function);
		state->unlooked = IDS_PER_LOOK - 1;
		state->statement = GetCurrentStatementStartTimestamp();
	}
	id = flake_session_give(session);
	state->rest--;
	SRF_RETURN_NEXT(context, Int64GetDatum(given_out(state->generator, id)));
}

/* flake_reserve(count [, generator]): (first_id, last_id, step) */
Datum
flake_reserve(PG_FUNCTION_ARGS)
{
	static const char *const function = "flake_reserve()";
	FuncCallContext *context;
	RunState   *state;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	int64		first;
	int64		last;
	int64		count;

	if (SRF_IS_FIRSTCALL())
	{
		TupleDesc	row_type;
		MemoryContext old;

		(void) begin_run(fcinfo, function);
		context = SRF_PERCALL_SETUP();
		old = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		context->tuple_desc = BlessTupleDesc(row_type);
		MemoryContextSwitchTo(old);
	}
	context = SRF_PERCALL_SETUP();
	state = context->user_fctx;
	if (state->rest == 0)
		SRF_RETURN_DONE(context);

	count = flake_session_take_run(state->session, state->rest, function, &first);
	last = first + (int64) ((uint64) (count - 1) * state->session->step);
	state->rest -= count;
	(void) given_out(state->generator, last);

	values[0] = Int64GetDatum(first);
	values[1] = Int64GetDatum(last);
	values[2] = Int64GetDatum((int64) state->session->step);
	SRF_RETURN_NEXT(context,
					HeapTupleGetDatum(heap_form_tuple(context->tuple_desc,
													  values, nulls)));
}

static int64
last_id(const FlakeGenerator *generator)
{
	if (generator == NULL || !generator->has_last)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("flake_last_id is not yet defined in this session"),
				errhint("Make an id first, for example with flake_next_id()."));
	return generator->last_id;
}

/* flake_last_id() */
Datum
flake_last_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(last_id(last_generator));
}

/* flake_last_id(generator) */
Datum
flake_last_id_of(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(last_id(generator_arg(fcinfo, 0)));
}

/*
 * flake_prefixed(prefix, pos, encoding, generator)
 *
 * The position is checked against the lowest id that could come now, so that
 * a wrong one uses up no id.
 */
Datum
flake_prefixed(PG_FUNCTION_ARGS)
{
	text	   *prefix = PG_GETARG_TEXT_PP(0);
	int32		position = PG_GETARG_INT32(1);
	FlakeEncoding encoding = flake_encoding_arg(PG_GETARG_TEXT_PP(2));
	FlakeGenerator *generator = generator_arg(fcinfo, 3);
	int64		tick;
	int64		lowest = 0;

	if (flake_layout_tick_at(&generator->layout, flake_clock_us(), &tick) ==
		FLAKE_IN_RANGE)
		lowest = flake_layout_min_id(&generator->layout, tick);
	flake_check_position(lowest, position, encoding);
	PG_RETURN_TEXT_P(flake_format_id(next_id(generator), prefix, position,
									 encoding));
}
