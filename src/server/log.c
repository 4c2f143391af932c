/*
 * log.c
 *		Lines in the server's log, and times for messages.
 *
 * Every session can notice an event, but only the one whose compare-and-swap
 * changes the shared word reports it.  The level is LOG_SERVER_ONLY, so that
 * nothing is sent to clients.
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

/* Smaller steps of the clock are not reported */
#define STEP_US		FLAKE_US_PER_SECOND

/* Smaller changes are normal, as the clock is adjusted all the time */
#define SLEW_US		(FLAKE_US_PER_SECOND / 100)

/* A time in microseconds since 1970 as text, palloc'd if finite. */
const char *
flake_time_text(int64 unix_us)
{
	int64		epoch_us = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

	/* a time that is out of range for a timestamp is shown as infinite */
	if (unix_us < PG_INT64_MIN + epoch_us ||
		!IS_VALID_TIMESTAMP(unix_us - epoch_us))
		return unix_us < 0 ? "-infinity" : "infinity";
	return pstrdup(timestamptz_to_str(unix_us - epoch_us));
}

/* A time span in seconds with milliseconds as text, palloc'd. */
const char *
flake_seconds_text(int64 us)
{
	return psprintf("%.3f", (double) us / FLAKE_US_PER_SECOND);
}

/*
 * Read the wall clock and the boot-time clock at the same moment.  Try again if
 * the process lost the processor in between.
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
 * Report a step of the clock, which changes its distance from a clock that nobody
 * can set.
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
	/* the first look, or a step that is not worth a line */
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
 * A session makes ids under node id "node" from now on.  Report it if a change of
 * the setting has changed the node id.  The shared word holds a hash of the
 * setting, and the node id.
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
 * Report a start mark that is far ahead of the clock.  Up to a second is normal
 * after a quick restart, because the mark is moved ahead of the clock.
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
