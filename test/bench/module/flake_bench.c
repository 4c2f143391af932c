/*
 * flake_bench.c
 *		What the benchmark measures flake against, and its stopwatch for
 *		single calls.
 *
 * bench_constant() is the floor of every function called from SQL: it does
 * nothing.  bench_clock() is the floor of every function that tells the time.
 * bench_latency() calls a function again and again and tells how long the
 * calls took, from the fastest to the slowest.
 *
 * Built by test/bench/run and never installed.
 */
#include "postgres.h"

#include <time.h>

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_constant);
PG_FUNCTION_INFO_V1(bench_clock);
PG_FUNCTION_INFO_V1(bench_latency);

#define NS_PER_SECOND	INT64CONST(1000000000)

/*
 * A histogram of durations in nanoseconds: exact below FINE_BINS, then in
 * microseconds.  What lies beyond is counted in the last bin; the maximum is
 * kept apart.
 */
#define FINE_BINS		50000
#define COARSE_BINS		100000
#define COARSE_NS		1000

typedef struct Histogram
{
	int64		fine[FINE_BINS];
	int64		coarse[COARSE_BINS];
	int64		count;
	int64		sum;
	int64		max;
} Histogram;

/* Results that a function allocates are freed after so many calls. */
#define CALLS_PER_RESET	1024

/*
 * The loop stops this often for so long, so that it takes seconds, in which
 * flake moves its mark a few times.  The pauses are not measured.
 */
#define PAUSES			10
#define PAUSE_US		150000L

static inline int64
read_clock_ns(clockid_t clock)
{
	struct timespec now;

	(void) clock_gettime(clock, &now);
	return (int64) now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

Datum
bench_constant(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(INT64CONST(1730678523123456789));
}

Datum
bench_clock(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(read_clock_ns(CLOCK_REALTIME));
}

static void
add_duration(Histogram *h, int64 ns)
{
	if (ns < FINE_BINS)
		h->fine[Max(ns, 0)]++;
	else
		h->coarse[Min(ns / COARSE_NS, COARSE_BINS - 1)]++;
	h->count++;
	h->sum += ns;
	h->max = Max(h->max, ns);
}

/* The duration that the given share of all calls did not exceed. */
static int64
quantile(const Histogram *h, double share)
{
	int64		wanted = (int64) (share * (double) h->count);
	int64		seen = 0;

	for (int i = 0; i < FINE_BINS; i++)
		if ((seen += h->fine[i]) > wanted)
			return i;
	for (int i = 0; i < COARSE_BINS - 1; i++)
		if ((seen += h->coarse[i]) > wanted)
			return Min((int64) i * COARSE_NS, h->max);
	return h->max;
}

/*
 * Calls a function, each time "gap_us" after the last one, and notes the time that
 * each call took.  The time of reading the clock is part of it, the histogram's
 * bookkeeping is not.
 */
static void
measure_calls(Histogram *h, FunctionCallInfo fcinfo, int64 calls, int64 gap_us)
{
	MemoryContext results;
	MemoryContext caller;
	int64		pause_after;

	results = AllocSetContextCreate(CurrentMemoryContext, "flake_bench results",
									ALLOCSET_DEFAULT_SIZES);

	pause_after = Max(calls / PAUSES, 1);
	caller = MemoryContextSwitchTo(results);
	for (int64 i = 0; i < calls; i++)
	{
		int64		start = read_clock_ns(CLOCK_MONOTONIC);

		(void) FunctionCallInvoke(fcinfo);
		add_duration(h, read_clock_ns(CLOCK_MONOTONIC) - start);

		if (i % CALLS_PER_RESET == 0)
		{
			MemoryContextReset(results);
			CHECK_FOR_INTERRUPTS();
		}
		if (gap_us > 0)
			pg_usleep(gap_us);
		else if (i % pause_after == pause_after - 1)
			pg_usleep(PAUSE_US);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(results);
}

/*
 * The constant that "text" is as an argument of a type.
 */
static Const *
constant_of(Oid type, char *text)
{
	Oid			input;
	Oid			param;
	int16		length;
	bool		by_value;
	Datum		value;

	getTypeInputInfo(type, &input, &param);
	value = OidInputFunctionCall(input, text, param, -1);
	get_typlenbyval(type, &length, &by_value);
	return makeConst(type, -1, InvalidOid, length, value, false, by_value);
}

/*
 * bench_latency(function regprocedure, argument text, calls bigint, gap_us bigint,
 *		OUT p50, OUT p99, OUT p999, OUT max, OUT mean: all bigint, in ns)
 *
 * The function has no argument, then "argument" is NULL, or one.  It is called
 * as by a query in which its argument is a constant.
 */
Datum
bench_latency(PG_FUNCTION_ARGS)
{
	Oid			function = PG_GETARG_OID(0);
	int64		calls = PG_GETARG_INT64(2);
	Histogram  *h = palloc0(sizeof(Histogram));
	FmgrInfo	flinfo;
	List	   *arguments = NIL;
	Oid		   *types;
	int			nargs;
	Oid			result_type = get_func_signature(function, &types, &nargs);
	TupleDesc	tupdesc;
	Datum		values[5];
	bool		nulls[5] = {false};

	LOCAL_FCINFO(call, 1);

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (nargs != (PG_ARGISNULL(1) ? 0 : 1) || calls < 1)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("the function must have at most one argument, and be called at least once"));

	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*call, &flinfo, nargs, InvalidOid, NULL, NULL);
	if (nargs == 1)
	{
		Const	   *constant = constant_of(types[0],
										   text_to_cstring(PG_GETARG_TEXT_PP(1)));

		call->args[0].value = constant->constvalue;
		call->args[0].isnull = false;
		arguments = list_make1(constant);
	}
	fmgr_info_set_expr((Node *) makeFuncExpr(function, result_type, arguments,
											 InvalidOid, InvalidOid,
											 COERCE_EXPLICIT_CALL),
					   &flinfo);

	measure_calls(h, call, calls, PG_GETARG_INT64(3));
	values[0] = Int64GetDatum(quantile(h, 0.5));
	values[1] = Int64GetDatum(quantile(h, 0.99));
	values[2] = Int64GetDatum(quantile(h, 0.999));
	values[3] = Int64GetDatum(h->max);
	values[4] = Int64GetDatum(h->sum / h->count);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
