/*
 * report.c
 *		The SQL functions that flake.layouts and flake_check() read.
 *
 * Figures are read without a lock, so those of one row can be of different
 * moments.
 *
 * Monitoring has to work while something is wrong, so problems are returned in
 * columns and not raised as errors.
 */
#include "postgres.h"

#ifdef __linux__
#include <sys/timex.h>
#endif

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "nodes/nodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "core/env.h"
#include "server/compat.h"
#include "server/defaults.h"
#include "server/durable.h"
#include "server/lease.h"
#include "server/node.h"
#include "server/relation.h"
#include "server/settings.h"
#include "server/shmem.h"
#include "sql/attempt.h"
#include "sql/layout.h"
#include "sql/row.h"

PG_FUNCTION_INFO_V1(flake_layout_states);
PG_FUNCTION_INFO_V1(flake_mark_state);
PG_FUNCTION_INFO_V1(flake_node_state);
PG_FUNCTION_INFO_V1(flake_lease_state_row);
PG_FUNCTION_INFO_V1(flake_version_state);
PG_FUNCTION_INFO_V1(flake_kernel_clock);
PG_FUNCTION_INFO_V1(flake_layout_in_default);

static void
attach_shared_memory(void *arg)
{
	(void) flake_shmem_area();
	if (!RecoveryInProgress())
		(void) flake_durable_mark();
	if (flake_lease_is_on())
		(void) flake_lease_control();
}

/* Is all shared memory that reports need attached already? */
static bool
has_shared_memory(void)
{
	return flake_shmem_is_attached() &&
		(RecoveryInProgress() || flake_durable_is_attached()) &&
		(!flake_lease_is_on() || flake_lease_is_attached());
}

/*
 * Why shared memory cannot be attached, or NULL.  In parallel mode, which allows
 * no subtransaction, the error is raised.
 */
static const char *
shared_memory_error(void)
{
	if (has_shared_memory())
		return NULL;
	if (IsInParallelMode())
	{
		attach_shared_memory(NULL);
		return NULL;
	}
	return flake_attempt(attach_shared_memory, NULL);
}

/* The highest id taken from any slot; false if there is none. */
static bool
highest_id(const FlakeLayout *layout, FlakeSlots *slots, int64 *id)
{
	int64		node = slots->node == FLAKE_NO_NODE ? 0 : slots->node;
	bool		found = false;

	*id = 0;
	for (uint32 i = 0; i < (UINT32_C(1) << layout->slot_bits); i++)
	{
		uint64		word = pg_atomic_read_u64(&slots->slot[i].word);
		int64		last = flake_layout_min_id(layout, word >> layout->seq_bits) |
			flake_layout_node_part(layout, node) |
			((int64) i << layout->slot_shift) |
			(int64) ((word & flake_mask(layout->seq_bits)) << layout->seq_shift);

		if (pg_atomic_read_u64(&slots->slot[i].taken) > 0 &&
			(!found || last > *id))
		{
			*id = last;
			found = true;
		}
	}
	return found;
}

/* One row of flake_layout_states(). */
static void
add_layout(Row *row, const FlakeSlotsInUse *one)
{
	FlakeLayout layout;
	FlakeSlots *slots = one->slots;
	FlakeLease *lease = flake_lease_is_on() ? flake_lease_current() : NULL;
	uint64		taken = 0;
	uint64		used_up = 0;
	int64		id;
	int64		id_us;

	flake_layout_read(one->layout, strlen(one->layout), &layout);
	for (uint32 i = 0; i < (UINT32_C(1) << layout.slot_bits); i++)
	{
		taken += pg_atomic_read_u64(&slots->slot[i].taken);
		used_up += pg_atomic_read_u64(&slots->slot[i].used_up);
	}

	add(row, flake_layout_datum(&layout));
	if (slots->node == FLAKE_NO_NODE)
		add_null(row);
	else
		add(row, Int32GetDatum((int32) slots->node));
	add(row, Int64GetDatum(taken));
	if (highest_id(&layout, slots, &id) &&
		flake_layout_tick_start(&layout, flake_layout_tick(&layout, id),
								&id_us) == FLAKE_IN_RANGE)
	{
		add(row, Int64GetDatum(id));
		add_time(row, id_us);
		add_interval(row, Max(id_us - flake_clock_us(), 0));
	}
	else
	{
		add_null(row);
		add_null(row);
		add_null(row);
	}
	add(row, Int64GetDatum(pg_atomic_read_u64(&slots->waits)));
	add_interval(row, pg_atomic_read_u64(&slots->waited_us));
	add(row, Int64GetDatum(used_up));
	if (lease != NULL && lease->node == slots->node)
		add_time(row, flake_lease_until_us(lease));
	else
		add_null(row);
}

/*
 * flake_layout_states(): a row (layout, node_id, ids_taken, last_id, last_time,
 * lead, waits, wait_time, slots_used_up, lease_end) for each layout and node id
 * used since the server started
 */
Datum
flake_layout_states(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	if (shared_memory_error() != NULL)
		return (Datum) 0;
	foreach(cell, flake_shmem_all_slots())
	{
		Row			row = {.desc = rsinfo->setDesc};

		add_layout(&row, lfirst(cell));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values,
							 row.nulls);
	}
	return (Datum) 0;
}

/*
 * flake_mark_state(): (mark, start_mark, mark_moves, clock_steps, max_lead,
 * latest_start_mark, latest_database, problem)
 *
 * mark and start_mark are NULL if no id was made in this database since the
 * server started.  latest_start_mark is the latest of all databases, and
 * latest_database is the one it belongs to.  problem says why nothing is known,
 * or is NULL.
 */
Datum
flake_mark_state(PG_FUNCTION_ARGS)
{
	FlakeMarkState state = {
		.mark_us = FLAKE_NO_TIME,
		.start_us = FLAKE_NO_TIME,
		.latest_start_us = FLAKE_NO_TIME,
	};
	const char *problem = shared_memory_error();
	Row			row;

	if (problem == NULL && !RecoveryInProgress())
		state = flake_durable_state();

	begin_row(fcinfo, &row);
	add_time(&row, state.mark_us);
	add_time(&row, state.start_us);
	add(&row, Int64GetDatum(state.moves));
	if (problem == NULL)
		add(&row, Int64GetDatum(pg_atomic_read_u64(&flake_shmem()->clock_steps)));
	else
		add_null(&row);
	add_interval(&row, (int64) flake_setting_max_clock_lead * 1000);
	add_time(&row, state.latest_start_us);
	add_text(&row, get_database_name(state.latest_database));
	add_text(&row, problem);
	PG_RETURN_DATUM(end_row(&row));
}

/*
 * flake_node_state(layout): (node_id, source, read_from, problem, detail, hint)
 *
 * problem says why no ids of the layout can be made with this node id, or is
 * NULL.
 */
Datum
flake_node_state(PG_FUNCTION_ARGS)
{
	const FlakeLayout *layout = flake_layout_arg(fcinfo, 0);
	FlakeNode	node;
	int64		node_id = 0;
	const FlakeError *error;
	Row			row;

	/* flake_mark_state() reports it if there is no shared memory */
	if (flake_lease_is_on())
		(void) shared_memory_error();
	flake_node_read(&node);
	error = flake_node_to_issue(&node, layout, &node_id);

	begin_row(fcinfo, &row);
	if (error == NULL && node_id >= 0)
		add(&row, Int32GetDatum((int32) node_id));
	else
		add_null(&row);
	add_text(&row, node.error == NULL ? flake_node_source_text(node.source) : NULL);
	add_text(&row, node.error == NULL ? node.read_from : NULL);
	add_text(&row, error == NULL ? NULL : error->message);
	add_text(&row, error == NULL ? NULL : error->detail);
	add_text(&row, error == NULL ? NULL : error->hint);
	PG_RETURN_DATUM(end_row(&row));
}

/*
 * flake_lease_state_row(): (node_id, valid_from, valid_until, renewed, worker,
 * late, failing_since, problem, detail, hint, connection_error)
 *
 * Where the node id is not leased, late is false and all else is NULL.  late is
 * true if two thirds of the lease are over, so that a renewal is overdue.
 */
Datum
flake_lease_state_row(PG_FUNCTION_ARGS)
{
	FlakeLeaseState state;
	const FlakeError *error = NULL;
	bool		known = flake_lease_is_on() && shared_memory_error() == NULL;
	Row			row;

	memset(&state, 0, sizeof(state));
	if (known)
		flake_lease_state(&state);
	if (state.failure.kind != FLAKE_LEASE_NO_FAILURE)
		error = flake_lease_error(&state.failure, flake_lease_current());

	begin_row(fcinfo, &row);
	if (state.leased)
	{
		const FlakeLeaseGrant *grant = &state.grant;

		add(&row, Int32GetDatum((int32) state.node));
		add_time(&row, state.from_us);
		add_time(&row, state.until_us);
		add_time(&row, grant->granted_us);
	}
	else
	{
		for (int i = 0; i < 4; i++)
			add_null(&row);
	}
	if (state.worker_pid != 0)
		add(&row, Int32GetDatum(state.worker_pid));
	else
		add_null(&row);
	add(&row, BoolGetDatum(state.leased && flake_lease_is_late(&state.grant)));
	if (error != NULL)
		add_time(&row, state.failure.since_us);
	else
		add_null(&row);
	add_text(&row, error == NULL ? NULL : error->message);
	add_text(&row, error == NULL ? NULL : error->detail);
	add_text(&row, error == NULL ? NULL : error->hint);
	add_text(&row, error == NULL || state.failure.libpq_words[0] == '\0' ? NULL :
			 state.failure.libpq_words);
	PG_RETURN_DATUM(end_row(&row));
}

/*
 * flake_version_state(): (problem, hint)
 *
 * problem says how the library and the extension in this database disagree, or
 * is NULL.
 */
Datum
flake_version_state(PG_FUNCTION_ARGS)
{
	const FlakeError *error = flake_version_error();
	Row			row;

	begin_row(fcinfo, &row);
	add_text(&row, error == NULL ? NULL : error->message);
	add_text(&row, error == NULL ? NULL : error->hint);
	PG_RETURN_DATUM(end_row(&row));
}

/* Reads the state of the kernel's clock; false if it is not known. */
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

/*
 * flake_layout_in_default(pg_node_tree): the first constant layout of an
 * expression, or NULL
 */
Datum
flake_layout_in_default(PG_FUNCTION_ARGS)
{
	Const	   *layout =
		flake_find_layout(stringToNode(TextDatumGetCString(PG_GETARG_DATUM(0))));

	if (layout == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(layout->constvalue);
}
