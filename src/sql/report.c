/*
 * sql_report.c
 *		What the server knows about its ids: for flake_generators and
 *		flake_check().
 *
 * Everything is read without a lock while sessions go on, so the figures of
 * one row need not be of the same instant.
 */
#include "postgres.h"

#ifdef __linux__
#include <sys/timex.h>
#endif

#include "access/htup_details.h"
#include "access/xlog.h"
#include "common/int.h"
#include "datatype/timestamp.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/env.h"
#include "server/compat.h"
#include "sql/generator.h"
#include "server/durable.h"
#include "server/node.h"
#include "server/shmem.h"
#include "sql/layout.h"

PG_FUNCTION_INFO_V1(flake_layout_state);
PG_FUNCTION_INFO_V1(flake_mark_state);
PG_FUNCTION_INFO_V1(flake_kernel_clock);

/* A row that is being built, field by field. */
typedef struct Row
{
	TupleDesc	desc;
	int			nfields;
	Datum		values[16];
	bool		nulls[16];
} Row;

static void
begin_row(FunctionCallInfo fcinfo, Row *row)
{
	if (get_call_result_type(fcinfo, NULL, &row->desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	Assert(row->desc->natts <= lengthof(row->values));
	row->nfields = 0;
	memset(row->nulls, true, sizeof(row->nulls));
}

static void
add(Row *row, Datum value)
{
	row->nulls[row->nfields] = false;
	row->values[row->nfields++] = value;
}

static void
add_null(Row *row)
{
	row->nfields++;
}

static Datum
end_row(Row *row)
{
	Assert(row->nfields == row->desc->natts);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row->desc),
											 row->values, row->nulls));
}

/* A time in microseconds since 1970, NULL if timestamptz can't hold it. */
static void
add_time(Row *row, int64 unix_us)
{
	TimestampTz time;

	if (pg_sub_s64_overflow(unix_us, (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
							USECS_PER_DAY, &time) ||
		!IS_VALID_TIMESTAMP(time))
		add_null(row);
	else
		add(row, TimestampTzGetDatum(time));
}

static void
add_interval(Row *row, int64 us)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = us;
	add(row, IntervalPGetDatum(interval));
}

/*
 * The latest id taken from any slot; false if there is none.  Its node is the
 * one now in force.
 */
static bool
latest_id(const FlakeLayout *layout, FlakeSlots *slots, int64 node, int64 *id)
{
	uint64		latest = 0;
	uint32		slot = 0;

	for (uint32 i = 0; i < (UINT32_C(1) << layout->slot_bits); i++)
	{
		uint64		word = pg_atomic_read_u64(&slots->slot[i].word);

		if (pg_atomic_read_u64(&slots->slot[i].taken) > 0 && word >= latest)
		{
			latest = word;
			slot = i;
		}
	}
	*id = flake_layout_min_id(layout, latest >> layout->seq_bits) |
		flake_layout_node_bits_of(layout, node) |
		((int64) slot << layout->slot_shift) |
		(int64) ((latest & flake_mask(layout->seq_bits)) << layout->seq_shift);
	return latest > 0;
}

/*
 * flake_layout_state(layout): (node_id, node_source, node_fits, ids_taken,
 * last_id, last_time, ahead, waits, wait_time, used_up)
 */
Datum
flake_layout_state(PG_FUNCTION_ARGS)
{
	const FlakeLayout *layout = flake_layout_arg(fcinfo, 0);
	bool		fits = flake_node_fits(layout);
	FlakeNodeSource source = FLAKE_NODE_SETTING;
	int64		node = fits ? flake_node(layout, &source) : 0;
	FlakeGeometry geometry;
	FlakeSlots *slots;
	uint64		taken = 0;
	uint64		used_up = 0;
	int64		id;
	int64		id_us;
	Row			row;

	flake_layout_geometry(layout, &geometry);
	slots = flake_shmem_find_slots(&geometry);

	begin_row(fcinfo, &row);
	if (fits)
		add(&row, Int32GetDatum(node));
	else
		add_null(&row);
	add(&row, CStringGetTextDatum(flake_node_source_text(source)));
	add(&row, BoolGetDatum(fits));

	for (uint32 i = 0; slots != NULL && i < (UINT32_C(1) << layout->slot_bits); i++)
	{
		taken += pg_atomic_read_u64(&slots->slot[i].taken);
		used_up += pg_atomic_read_u64(&slots->slot[i].used_up);
	}
	add(&row, Int64GetDatum(taken));
	if (slots != NULL && latest_id(layout, slots, node, &id) &&
		flake_layout_tick_start(layout, flake_layout_tick(layout, id),
								&id_us) == FLAKE_IN_RANGE)
	{
		add(&row, Int64GetDatum(id));
		add_time(&row, id_us);
		add_interval(&row, Max(id_us - flake_clock_us(), 0));
	}
	else
	{
		add_null(&row);
		add_null(&row);
		add_null(&row);
	}
	add(&row, Int64GetDatum(slots ? pg_atomic_read_u64(&slots->waits) : 0));
	add_interval(&row, slots ? pg_atomic_read_u64(&slots->waited_us) : 0);
	add(&row, Int64GetDatum(used_up));
	PG_RETURN_DATUM(end_row(&row));
}

/*
 * flake_mark_state(): (mark, start_mark, moves, clock_steps)
 *
 * The marks are NULL if no id was made in this database since the server
 * started.
 */
Datum
flake_mark_state(PG_FUNCTION_ARGS)
{
	FlakeMarkState state = {.moves = 0};
	bool		published = !RecoveryInProgress() && flake_mark_state_now(&state);
	Row			row;

	begin_row(fcinfo, &row);
	if (published)
	{
		add_time(&row, state.mark_us);
		add_time(&row, state.start_us);
	}
	else
	{
		add_null(&row);
		add_null(&row);
	}
	add(&row, Int64GetDatum(state.moves));
	add(&row, Int64GetDatum(pg_atomic_read_u64(&flake_shmem()->clock_steps)));
	PG_RETURN_DATUM(end_row(&row));
}

/*
 * What the kernel says about its clock; false where it does not say.
 */
static bool
ask_kernel(bool *synchronized, int64 *error_us)
{
#ifdef __linux__
	struct timex kernel = {.modes = 0};
	int			status = adjtimex(&kernel);

	*synchronized = status != TIME_ERROR && (kernel.status & STA_UNSYNC) == 0;
	*error_us = kernel.esterror;
	return status >= 0;
#else
	return false;
#endif
}

/* flake_kernel_clock(): (synchronized, estimated_error) */
Datum
flake_kernel_clock(PG_FUNCTION_ARGS)
{
	bool		synchronized = false;
	int64		error_us = 0;
	Row			row;

	begin_row(fcinfo, &row);
	if (ask_kernel(&synchronized, &error_us))
	{
		add(&row, BoolGetDatum(synchronized));
		add_interval(&row, error_us);
	}
	else
	{
		add_null(&row);
		add_null(&row);
	}
	PG_RETURN_DATUM(end_row(&row));
}
