/*
 * log.c
 *		Events that are worth a line in the server's log, and how times are
 *		measured and written for messages.
 *
 * An event is seen by every session, but said once: whoever changes the
 * shared word by compare-and-swap says it.  Lines are at level
 * LOG_SERVER_ONLY: they never go to clients.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "datatype/timestamp.h"
#include "utils/timestamp.h"

#include "core/env.h"
#include "core/mark.h"
#include "server/log.h"
#include "server/settings.h"
#include "server/shmem.h"

/* Smaller steps of the clock are not reported. */
#define STEP_US		FLAKE_US_PER_SECOND

/* Less than this is how the clock is kept right, and not looked at. */
#define SLEW_US		(FLAKE_US_PER_SECOND / 100)

/* A time in microseconds since 1970, allocated. */
const char *
flake_time_text(int64 unix_us)
{
	int64		epoch_us = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

	/* what no timestamp can hold is shown as an infinity */
	if (unix_us < PG_INT64_MIN + epoch_us ||
		!IS_VALID_TIMESTAMP(unix_us - epoch_us))
		return unix_us < 0 ? "-infinity" : "infinity";
	return pstrdup(timestamptz_to_str(unix_us - epoch_us));
}

/* A time span as seconds with milliseconds, allocated. */
const char *
flake_seconds_text(int64 us)
{
	return psprintf("%.3f", (double) us / FLAKE_US_PER_SECOND);
}

/*
 * Read the wall clock and the boot-time clock at one moment: not with a pause
 * in between, as when the process loses the processor.
 */
void
flake_sample_clocks(int64 *wall_us, int64 *boot_us)
{
	for (int i = 0; i < 10; i++)
	{
		*boot_us = flake_boottime_us();
		*wall_us = flake_clock_us();
		if (flake_boottime_us() - *boot_us < SLEW_US)
			return;
	}
}

/*
 * Has the clock been stepped?  Its distance from a clock that nobody can set
 * tells.
 */
void
flake_log_clock(void)
{
	FlakeControl *control = flake_shmem();
	int64		wall_us = flake_clock_us();
	int64		boot_us = flake_boottime_us();
	uint64		seen = pg_atomic_read_u64(&control->clock_offset);
	int64		offset;
	int64		step = wall_us - boot_us - (int64) seen;

	if (likely(step < SLEW_US && step > -SLEW_US))
		return;
	flake_sample_clocks(&wall_us, &boot_us);
	offset = wall_us - boot_us;
	step = offset - (int64) seen;
	if (!pg_atomic_compare_exchange_u64(&control->clock_offset, &seen,
										(uint64) offset))
		return;
	/* the first look, or many small steps that add up over time */
	if (seen == 0 || (step < STEP_US && step > -STEP_US))
		return;

	pg_atomic_fetch_add_u64(&control->clock_steps, 1);
	if (step > 0)
		ereport(LOG_SERVER_ONLY,
				errmsg("clock stepped forward by %s seconds",
					   flake_seconds_text(step)));
	else
		ereport(LOG_SERVER_ONLY,
				errmsg("clock stepped back by %s seconds",
					   flake_seconds_text(-step)));
}

/*
 * This session makes ids of a layout under node id "node" from now on: has the
 * setting changed?  The shared word holds a hash of the setting and the node id
 * that it gave.
 */
void
flake_log_node(const FlakeLayout *layout, int64 node)
{
	FlakeControl *control = flake_shmem();
	uint64		hash = hash_bytes((const unsigned char *) flake_setting_node_id,
								  strlen(flake_setting_node_id)) | 1;
	uint64		seen = pg_atomic_read_u64(&control->node_setting);
	int64		seen_node = (int64) (seen & PG_UINT32_MAX);

	if (layout->free_node_bits == 0 || (seen >> 32) == hash ||
		!pg_atomic_compare_exchange_u64(&control->node_setting, &seen,
										(hash << 32) | (uint64) node) ||
		seen == 0 || seen_node == node)
		return;
	ereport(LOG_SERVER_ONLY,
			errmsg("node id changed from %lld to %lld",
				   (long long) seen_node, (long long) node));
}

/*
 * The start mark as it was found.  Up to a second ahead is what it is moved
 * by, and usual after a quick restart.
 */
void
flake_log_start(int64 mark_us)
{
	int64		now_us = flake_clock_us();

	if (mark_us == FLAKE_NO_TIME || mark_us - now_us <= FLAKE_MARK_AHEAD_US)
		return;
	ereport(LOG_SERVER_ONLY,
			errmsg("durable mark is %s seconds ahead of the clock",
				   flake_seconds_text(mark_us - now_us)),
			errdetail("The clock shows %s.  Ids of this database start after %s.",
					  flake_time_text(now_us), flake_time_text(mark_us)));
}
