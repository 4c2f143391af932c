/*
 * flake_bench.c
 *		What the benchmark compares flake with, and its stopwatch.
 *
 * bench_constant() does nothing: no function called from SQL is faster.
 * bench_clock() reads the clock.
 */
#include "postgres.h"

#include <time.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_constant);
PG_FUNCTION_INFO_V1(bench_clock);
PG_FUNCTION_INFO_V1(bench_latency);

/* What the calls return is freed after this many of them. */
#define CALLS_PER_RESET	1024

/*
 * Without gaps between the calls, the loop pauses ten times, so that it lasts
 * long enough for flake to move its mark.
 */
#define PAUSES			10
#define PAUSE_US		150000L

static int64
read_clock_ns(clockid_t clock)
{
	struct timespec now;

	(void) clock_gettime(clock, &now);
	return now.tv_sec * INT64CONST(1000000000) + now.tv_nsec;
}

static int
compare_int64(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
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

/*
 * bench_latency(function regprocedure, argument anyelement, calls bigint, gap_us bigint)
 *
 * Calls a function, with that argument if it has one, and returns the median
 * and the 99th and 99.9th percentile of the time that a call took, in
 * nanoseconds.  This includes the time to read the clock.
 */
Datum
bench_latency(PG_FUNCTION_ARGS)
{
	int64		calls = PG_GETARG_INT64(2);
	int64		gap_us = PG_GETARG_INT64(3);
	int64	   *took = palloc_extended(calls * sizeof(int64), MCXT_ALLOC_HUGE);

	LOCAL_FCINFO(call, 1);
	FmgrInfo	flinfo;
	Const	   *constant;
	MemoryContext results;
	MemoryContext caller;
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	fmgr_info(PG_GETARG_OID(0), &flinfo);
	InitFunctionCallInfoData(*call, &flinfo, flinfo.fn_nargs, InvalidOid, NULL, NULL);
	call->args[0].value = PG_GETARG_DATUM(1);
	call->args[0].isnull = false;
	/* as a query would tell it whose argument is a constant */
	constant = makeNullConst(get_fn_expr_argtype(fcinfo->flinfo, 1), -1, InvalidOid);
	fmgr_info_set_expr((Node *) makeFuncExpr(flinfo.fn_oid, INT8OID, list_make1(constant),
											 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
					   &flinfo);

	results = AllocSetContextCreate(CurrentMemoryContext, "flake_bench results",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(results);
	for (int64 i = 0; i < calls; i++)
	{
		int64		start = read_clock_ns(CLOCK_MONOTONIC);

		(void) FunctionCallInvoke(call);
		took[i] = read_clock_ns(CLOCK_MONOTONIC) - start;

		if (i % CALLS_PER_RESET == 0)
		{
			MemoryContextReset(results);
			CHECK_FOR_INTERRUPTS();
		}
		if (gap_us > 0)
			pg_usleep(gap_us);
		else if (i % (calls / PAUSES) == 0)
			pg_usleep(PAUSE_US);
	}
	MemoryContextSwitchTo(caller);

	qsort(took, calls, sizeof(int64), compare_int64);
	values[0] = Int64GetDatum(took[calls / 2]);
	values[1] = Int64GetDatum(took[calls / 100 * 99]);
	values[2] = Int64GetDatum(took[calls / 1000 * 999]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
