/*
 * session.c
 *		This backend's sessions: one per layout that it makes ids of.
 *
 * This is where the issuing algorithm (issue.c) meets the server: a session
 * is bound to its layout's slots in shared memory and to the node id, and
 * what the algorithm refuses becomes an error here.  Sessions are private to
 * the backend and live as long as it does; there is one per layout, however
 * many generators use it, so that ids of one layout increase within the
 * backend.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "server/relation.h"
#include "server/compat.h"
#include "server/node.h"
#include "server/backend.h"
#include "server/settings.h"
#include "server/shmem.h"
#include "server/log.h"

/* A longer sleep leaves the processor by the latch, which has no less. */
#define LATCH_WAIT_US 1000

typedef struct SessionEntry
{
	FlakeSession session;		/* must be first */
	FlakeLayout layout;
	FlakeGeometry geometry;
	uint64		node_version;	/* for which the node id was looked up */
	struct SessionEntry *next;
} SessionEntry;

static SessionEntry *sessions = NULL;

/* Raised when the node id may have become another one. */
static uint64 node_version = 1;

void
flake_sessions_forget_ranges(void)
{
	for (SessionEntry *entry = sessions; entry != NULL; entry = entry->next)
		flake_session_forget_range(&entry->session);
}

/* The setting has changed, or what a node id is derived from. */
void
flake_node_changed(void)
{
	node_version++;
	flake_sessions_forget_ranges();
}

static SessionEntry *
make_session(const FlakeLayout *layout, const FlakeGeometry *geometry)
{
	int64		node = flake_node_for_issuing(layout);
	uint64		generation = flake_generation();
	FlakeSlots *slots = flake_shmem_slots(geometry);
	SessionEntry *entry;

	/* the range, which is what the common path uses, on one cache line */
	entry = (SessionEntry *)
		TYPEALIGN(FLAKE_CACHE_LINE,
				  MemoryContextAllocZero(TopMemoryContext,
										 sizeof(SessionEntry) + FLAKE_CACHE_LINE));
	entry->layout = *layout;
	entry->geometry = *geometry;
	entry->node_version = node_version;
	flake_watch_node(node);
	flake_session_init(&entry->session, &entry->layout, slots, generation,
					   flake_process_number(), node);
	entry->next = sessions;
	sessions = entry;
	return entry;
}

/*
 * Error on a standby, where ids can't be made; its text is nextval()'s.
 */
void
flake_refuse_on_standby(const char *function)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				errmsg("cannot execute %s in a read-only transaction", function),
				errdetail("This server is a standby in recovery; ids are made on its primary."));
}

/*
 * This backend's session of a layout.  Error if the node id does not fit or
 * can't be derived, or if there are too many layouts.  Not for a standby.
 */
FlakeSession *
flake_session_for(const FlakeLayout *layout)
{
	FlakeGeometry geometry;

	flake_layout_geometry(layout, &geometry);
	for (SessionEntry *entry = sessions; entry != NULL; entry = entry->next)
	{
		if (memcmp(&entry->geometry, &geometry, sizeof(geometry)) == 0)
			return &entry->session;
	}
	return &make_session(layout, &geometry)->session;
}

static const char *
seconds_text(int64 us)
{
	return psprintf("%.3f", (double) us / FLAKE_US_PER_SECOND);
}

static void
raise_refusal(const FlakeSession *session, FlakeVerdict verdict,
			  const FlakeRefusal *refusal)
{
	const FlakeLayout *layout = session->layout;

	switch (verdict)
	{
		case FLAKE_GRANTED:
		case FLAKE_SLOTS_REPLACED:
			break;
		case FLAKE_CLOCK_BEFORE_EPOCH:
			ereport(ERROR,
					errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("clock is before the epoch of the layout"),
					errdetail("It shows %s, %s seconds too early.",
							  flake_time_text(refusal->now_us),
							  seconds_text(layout->epoch_us - refusal->now_us)),
					errhint("Set the clock right."));
			break;
		case FLAKE_PAST_LAST_TICK:
			ereport(ERROR,
					errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
					errmsg("time is past the last tick of the layout"),
					errdetail("The layout has %d bits of time.  The clock shows %s.",
							  layout->time_bits,
							  flake_time_text(refusal->now_us)),
					errhint("If the clock is right, use a layout with a later epoch or more bits of time; if it was wrong before, see flake_reset_clock()."));
			break;
		case FLAKE_CLOCK_BEHIND:
			ereport(ERROR,
					errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("clock is %s seconds behind the ids already made",
						   seconds_text(refusal->behind_us)),
					errdetail("It shows %s.  Ids may be ahead of it by %s seconds.",
							  flake_time_text(refusal->now_us),
							  seconds_text(refusal->allowed_us)),
					errhint("Set the clock right or wait for it, raise \"flake.max_clock_lead\", or, if it was wrong before, see flake_reset_clock()."));
			break;
	}
}

/* What has to be seen to before a session asks for a range. */
static void
prepare(SessionEntry *entry, const char *function)
{
	uint64		generation = flake_generation();

	flake_refuse_on_standby(function);
	flake_check_settings();
	if (entry->node_version != node_version)
	{
		uint64		version = node_version;
		int64		node = flake_node_for_issuing(&entry->layout);

		flake_watch_node(node);
		flake_session_set_node(&entry->session, node);
		entry->node_version = version;
	}
	if (entry->session.generation != generation)
		flake_session_bind(&entry->session, flake_shmem_slots(&entry->geometry),
						   generation);
	flake_watch_clock();
}

/*
 * Has the session take a new range: one of exactly "need" ids if "whole", else
 * of one or more.  "function" is named in the error on a standby.
 */
static void
grant(FlakeSession *session, int64 need, bool whole, const char *function)
{
	FlakeVerdict verdict;
	FlakeRefusal refusal;

	do
	{
		prepare((SessionEntry *) session, function);
		verdict = whole ? flake_session_refill_whole(session, need, &refusal) :
			flake_session_refill(session, need, &refusal);
	} while (verdict == FLAKE_SLOTS_REPLACED);
	raise_refusal(session, verdict, &refusal);
}

/*
 * Give the session a new range, of at least one id.  "need" is how many the
 * caller is going to want; "function" is named in the error on a standby.
 */
void
flake_session_grant(FlakeSession *session, int64 need, const char *function)
{
	grant(session, need, false, function);
}

/*
 * Take ids that follow each other, a step apart: "most" of them, or as many as
 * one tick and slot have if that is less.  Returns how many.
 */
int64
flake_session_take_run(FlakeSession *session, int64 most, const char *function,
					   int64 *first_id)
{
	int64		count = Min(most, flake_session_field(session));

	if (flake_session_left(session) < count || !flake_session_ready(session))
		grant(session, count, true, function);
	*first_id = (int64) session->next_id;
	session->next_id += (uint64) count * session->step;
	return count;
}

/* What issue.c asks of the server. */

uint64
flake_generation(void)
{
	return pg_atomic_read_u64(&flake_shmem()->generation);
}

int64
flake_allowed_lead_us(void)
{
	return (int64) flake_setting_max_clock_lead * 1000;
}

/*
 * Sleep about so long.  The waits of a tick of a millisecond are shorter than
 * a latch can measure; a cancelled query or a terminated backend leaves
 * within one.
 */
void
flake_wait_us(int64 us)
{
	static uint32 event = 0;

	CHECK_FOR_INTERRUPTS();
	if (event == 0)
		event = flake_wait_event("FlakeWaitForClock");

	if (us > LATCH_WAIT_US)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(us / 1000, 60 * 1000), event);
		ResetLatch(MyLatch);
	}
	else if (us > 0)
	{
		pgstat_report_wait_start(event);
		pg_usleep(us);
		pgstat_report_wait_end();
	}
	CHECK_FOR_INTERRUPTS();
}
