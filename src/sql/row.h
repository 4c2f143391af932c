/*
 * row.h
 *		Builds the rows that SQL functions return, column by column.
 */
#ifndef FLAKE_SQL_ROW_H
#define FLAKE_SQL_ROW_H

#include "access/htup_details.h"
#include "common/int.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/layout.h"

#define ROW_MAX_COLUMNS 16

typedef struct Row
{
	TupleDesc	desc;
	int			ncolumns;		/* added so far */
	Datum		values[ROW_MAX_COLUMNS];
	bool		nulls[ROW_MAX_COLUMNS];
} Row;

/* The row type that a function returns. */
static inline TupleDesc
row_type(FunctionCallInfo fcinfo)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return BlessTupleDesc(desc);
}

static inline void
begin_row(FunctionCallInfo fcinfo, Row *row)
{
	row->desc = row_type(fcinfo);
	row->ncolumns = 0;
	Assert(row->desc->natts <= ROW_MAX_COLUMNS);
}

static inline void
add(Row *row, Datum value)
{
	row->nulls[row->ncolumns] = false;
	row->values[row->ncolumns++] = value;
}

static inline void
add_null(Row *row)
{
	row->nulls[row->ncolumns] = true;
	row->values[row->ncolumns++] = (Datum) 0;
}

/* A text, or NULL. */
static inline void
add_text(Row *row, const char *text)
{
	if (text == NULL)
		add_null(row);
	else
		add(row, CStringGetTextDatum(text));
}

/* A timestamptz, or NULL if it is out of range. */
static inline void
add_timestamp(Row *row, TimestampTz time)
{
	if (IS_VALID_TIMESTAMP(time))
		add(row, TimestampTzGetDatum(time));
	else
		add_null(row);
}

/* The same, from microseconds since 1970. */
static inline void
add_time(Row *row, int64 unix_us)
{
	TimestampTz time;

	if (pg_sub_s64_overflow(unix_us, FLAKE_PG_EPOCH_US, &time))
		add_null(row);
	else
		add_timestamp(row, time);
}

static inline void
add_interval(Row *row, int64 us)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = us;
	add(row, IntervalPGetDatum(interval));
}

static inline Datum
end_row(Row *row)
{
	Assert(row->ncolumns == row->desc->natts);
	return HeapTupleGetDatum(heap_form_tuple(row->desc, row->values,
											 row->nulls));
}

#endif							/* FLAKE_SQL_ROW_H */
