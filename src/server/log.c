/*
 * watch.c
 *		Events that are worth a line in the server's log.
 *
 * An event is seen by every session, but said once: whoever changes the
 * shared word by compare-and-swap says it.  Lines are at level LOG, which
 * goes to the server's log and not to clients.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "server/relation.h"
#include "core/env.h"
#include "server/durable.h"
#include "server/settings.h"
#include "server/shmem.h"
#include "server/log.h"

/* A step of the clock is said from here on. */
#define STEP_US		FLAKE_US_PER_SECOND

/* Less than this is how the clock is kept right, and not looked at. */
#define SLEW_US		(FLAKE_US_PER_SECOND / 100)

/*
 * Has the clock been stepped?  Its distance from a clock that nobody can set
 * tells.
 */
void
flake_watch_clock(void)
{
	FlakeControl *control = flake_shmem();
	int64		offset = flake_clock_us() - flake_boottime_us();
	uint64		seen = pg_atomic_read_u64(&control->clock_offset);
	int64		step = offset - (int64) seen;

	if (likely(step < SLEW_US && step > -SLEW_US))
		return;
	if (!pg_atomic_compare_exchange_u64(&control->clock_offset, &seen,
										(uint64) offset))
		return;
	/* the first look, or many small steps that add up over time */
	if (seen == 0 || (step < STEP_US && step > -STEP_US))
		return;

	pg_atomic_fetch_add_u64(&control->clock_steps, 1);
	if (step > 0)
		ereport(LOG,
				errmsg("clock stepped forward by %.3f seconds",
					   (double) step / FLAKE_US_PER_SECOND));
	else
		ereport(LOG,
				errmsg("clock stepped back by %.3f seconds",
					   (double) -step / FLAKE_US_PER_SECOND));
}

/*
 * This session uses node id "node" from now on: has the setting changed?  The
 * shared word holds a hash of the setting and the node id that it gave.
 */
void
flake_watch_node(int64 node)
{
	FlakeControl *control = flake_shmem();
	const char *setting = flake_setting_node_id ? flake_setting_node_id : "";
	uint64		hash = hash_bytes((const unsigned char *) setting,
								  strlen(setting)) | 1;
	uint64		seen = pg_atomic_read_u64(&control->node_setting);
	int64		seen_node = (int64) (seen & PG_UINT32_MAX);

	if ((seen >> 32) == hash ||
		!pg_atomic_compare_exchange_u64(&control->node_setting, &seen,
										(hash << 32) | (uint64) node) ||
		seen == 0 || seen_node == node)
		return;
	ereport(LOG,
			errmsg("node id changed from %lld to %lld",
				   (long long) seen_node, (long long) node));
}

/*
 * The start mark as it was found.  Up to a second ahead is what it is moved
 * by, and usual after a quick restart.
 */
void
flake_watch_start(int64 mark_us)
{
	int64		now_us = flake_clock_us();
	int64		ahead_us = mark_us - now_us;

	if (ahead_us > FLAKE_MARK_AHEAD_US)
		ereport(LOG,
				errmsg("durable mark is %.3f seconds ahead of the clock",
					   (double) ahead_us / FLAKE_US_PER_SECOND),
				errdetail("The clock shows %s; ids go on after %s.",
						  pstrdup(flake_time_text(now_us)),
						  flake_time_text(mark_us)));
}
