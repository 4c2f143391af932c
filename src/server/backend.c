/*
 * backend.c
 *		This backend's sessions: one per layout that it makes ids of.
 *
 * This connects the issuing algorithm (src/core/refill.c) with the server: it
 * binds sessions to slots in shared memory and to the node id, does what the
 * algorithm asks for, and raises an error if it refuses.
 *
 * Sessions are private to the backend and exist as long as it does.  There is
 * one per layout, so that a backend's ids of a layout increase.
 */
#include "postgres.h"

#include <limits.h>

#include "access/parallel.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "core/refill.h"
#include "server/backend.h"
#include "server/compat.h"
#include "server/durable.h"
#include "server/lease.h"
#include "server/log.h"
#include "server/node.h"
#include "server/relation.h"
#include "server/settings.h"
#include "server/shmem.h"

/* The shortest timeout of a latch */
#define LATCH_WAIT_US 1000

/* The canonical text of a layout. */
typedef struct LayoutText
{
	const char *text;
	size_t		length;
} LayoutText;

typedef struct SessionEntry
{
	FlakeSession session;		/* must be first */
	uint64		node_version;	/* flake_node_version when it was bound */
	LayoutText	text;
} SessionEntry;

/*
 * Sessions by the text of their layouts.  A hash table, because there can be
 * thousands of layouts that differ in their fixed parts.
 */
typedef struct SessionByText
{
	LayoutText	text;			/* key; must be first */
	SessionEntry *entry;
} SessionByText;

static HTAB *sessions_by_text = NULL;

/* The last result of flake_backend_session() */
static SessionEntry *last_entry = NULL;

/*
 * Raise an error if ids cannot be made here: on a standby, where the message is
 * nextval()'s, or in a parallel worker, where a function that is wrongly marked
 * PARALLEL SAFE has called one of ours.
 */
void
flake_backend_refuse(const char *function)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				errmsg("cannot execute %s in a read-only transaction", function),
				errdetail("This server is a standby in recovery; ids are made on its primary."));
	if (IsParallelWorker())
		ereport(ERROR,
				errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				errmsg("cannot execute %s in a parallel worker", function),
				errhint("Mark the function that calls it PARALLEL RESTRICTED."));
}

static bool
is_text(const LayoutText *a, const LayoutText *b)
{
	return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

static uint32
hash_text(const void *key, Size size)
{
	const LayoutText *text = key;

	return hash_bytes((const unsigned char *) text->text, (int) text->length);
}

static int
match_text(const void *a, const void *b, Size size)
{
	return is_text(a, b) ? 0 : 1;
}

/*
 * This backend's session for the layout with this canonical text, or NULL.
 */
FlakeSession *
flake_backend_session(const char *text, size_t length)
{
	LayoutText	key = {.text = text, .length = length};
	SessionByText *found;

	if (last_entry != NULL && is_text(&last_entry->text, &key))
		return &last_entry->session;
	if (sessions_by_text == NULL)
		return NULL;
	found = hash_search(sessions_by_text, &key, HASH_FIND, NULL);
	if (found == NULL)
		return NULL;
	last_entry = found->entry;
	return &last_entry->session;
}

/* A copy for the life of the backend, without the unused fields. */
static FlakeLayout *
copy_layout(const FlakeLayout *layout)
{
	Size		size = offsetof(FlakeLayout, fields) +
		layout->nfields * sizeof(FlakeField);

	return memcpy(MemoryContextAlloc(TopMemoryContext, size), layout, size);
}

/*
 * Create a session for a layout, which must be one that can issue ids.
 */
FlakeSession *
flake_backend_new_session(const FlakeLayout *layout, const char *text,
						  const char *function)
{
	SessionEntry *entry;
	FlakeSlots *slots;
	FlakeLease *lease;
	FlakeMark  *mark;
	uint64		version = flake_node_version;
	int64		node;

	flake_backend_refuse(function);
	flake_check_version();
	node = flake_node_for_issuing(layout, &lease);
	slots = flake_shmem_slots(layout, text, node);
	mark = flake_durable_mark();
	flake_log_node(layout, node);

	if (sessions_by_text == NULL)
	{
		HASHCTL		control = {
			.keysize = sizeof(LayoutText),
			.entrysize = sizeof(SessionByText),
			.hash = hash_text,
			.match = match_text,
			.hcxt = TopMemoryContext,
		};

		sessions_by_text = hash_create("flake sessions", 16, &control,
									   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
									   HASH_CONTEXT);
	}

	/* align the session, so that its range is on one cache line */
	entry = (SessionEntry *)
		TYPEALIGN(FLAKE_CACHE_LINE,
				  MemoryContextAllocZero(TopMemoryContext,
										 sizeof(SessionEntry) + FLAKE_CACHE_LINE));
	entry->text.text = MemoryContextStrdup(TopMemoryContext, text);
	entry->text.length = strlen(text);
	entry->node_version = version;
	flake_session_init(&entry->session, copy_layout(layout), slots, lease, mark,
					   node, flake_process_number());
	((SessionByText *) hash_search(sessions_by_text, &entry->text, HASH_ENTER,
								   NULL))->entry = entry;
	flake_sessions_add(&entry->session);
	return &entry->session;
}

/* Has the session's lease been replaced by another one? */
static bool
lease_is_replaced(const FlakeSession *session)
{
	return session->lease != NULL && session->lease != flake_lease_current();
}

/*
 * Bind the session to the current node id and lease.  Returns true if one of them
 * has changed, so that what was found out before is void.
 */
static bool
follow_node(SessionEntry *entry)
{
	const FlakeLayout *layout = entry->session.layout;
	uint64		version = flake_node_version;
	FlakeSlots *slots;
	FlakeLease *lease;
	int64		node;
	bool		changed;

	if (likely(entry->node_version == version &&
			   !lease_is_replaced(&entry->session)))
		return false;
	node = flake_node_for_issuing(layout, &lease);
	slots = flake_shmem_slots(layout, entry->text.text, node);
	changed = slots != entry->session.slots || lease != entry->session.lease;
	if (changed)
		flake_session_bind(&entry->session, slots, lease, node);
	flake_log_node(layout, node);
	entry->node_version = version;
	return changed;
}

/* Before a session asks for a range: notice what has changed. */
static void
prepare(SessionEntry *entry, const char *function)
{
	flake_backend_refuse(function);
	/* a statement that locks no relation does not do this by itself */
	AcceptInvalidationMessages();
	(void) follow_node(entry);
	flake_log_clock();
}

/*
 * Sleep for about this long.  Timeouts of latches are in milliseconds, so for
 * shorter waits, such as those for a tick of a millisecond, interrupts have to
 * wait until the end.
 */
static void
wait_us(int64 us)
{
	static uint32 event = 0;

	CHECK_FOR_INTERRUPTS();
	if (event == 0)
		event = flake_wait_event("FlakeWaitForClock");

	if (us > LATCH_WAIT_US)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 us / 1000, event);
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

/*----------
 * Refusals
 *----------
 */

/*
 * The part of a hint that suggests to allow a lead of this length; empty if the
 * setting cannot be that large.
 */
static const char *
raise_lead_text(int64 us)
{
	int64		seconds = (us - 1) / FLAKE_US_PER_SECOND + 1;

	return seconds > INT_MAX / 1000 ? "" :
		psprintf("; or raise \"%s\" to %d s to allow ids that are ahead of the clock",
				 FLAKE_MAX_CLOCK_LEAD, (int) seconds);
}

static void
raise_mark_ahead(int64 mark_us, int64 now_us, int64 allowed_us)
{
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("durable mark is %s seconds ahead of the clock",
				   flake_seconds_text(mark_us - now_us)),
			errdetail("The clock shows %s.  Ids of this database start after %s, and may be ahead of the clock by %s seconds.",
					  flake_time_text(now_us), flake_time_text(mark_us),
					  flake_seconds_text(allowed_us)),
			errhint("If the clock is wrong, set it right.  If somebody has set sequence \"flake.mark\" ahead, set it back.  Otherwise wait until %s%s.",
					flake_time_text(mark_us - allowed_us),
					raise_lead_text(mark_us - now_us + FLAKE_US_PER_SECOND)));
}

static void
raise_lease_ahead(const FlakeLease *lease, int64 now_us, int64 allowed_us)
{
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("lease of node id %lld begins %s seconds ahead of the clock",
				   (long long) lease->node,
				   flake_seconds_text(lease->from_us - now_us)),
			errdetail("The clock shows %s.  Ids may be ahead of it by %s seconds.",
					  flake_time_text(now_us), flake_seconds_text(allowed_us)),
			errhint("If the clock is wrong, set it right.  Otherwise wait until %s%s.",
					flake_time_text(lease->from_us - allowed_us),
					raise_lead_text(lease->from_us - now_us + FLAKE_US_PER_SECOND)));
}

static void
raise_clock_jumped(const FlakeMarkOutcome *outcome)
{
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("clock jumped forward by %s seconds",
				   flake_seconds_text(outcome->jump_us)),
			errdetail("It shows %s.  \"flake.max_clock_jump\" allows a jump of %d seconds.",
					  flake_time_text(outcome->wall_us),
					  flake_setting_max_clock_jump),
			errhint("If the clock is right now, run flake_accept_clock(); otherwise set it right."));
}

static void
raise_refusal(const FlakeSession *session, FlakeAnswer answer,
			  const FlakeRefill *refill)
{
	const FlakeLayout *layout = session->layout;
	int64		now_us = refill->now.wall_us;
	int64		end_us;

	switch (answer)
	{
		case FLAKE_CLOCK_BEFORE_EPOCH:
			ereport(ERROR,
					errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("clock is before the epoch of the layout"),
					errdetail("It shows %s.  Ids of the layout can be made from %s on.",
							  flake_time_text(now_us),
							  flake_time_text(Max(layout->epoch_us, 0))),
					errhint("Set the clock right."));
			break;
		case FLAKE_PAST_LAST_TICK:
			if (flake_layout_tick_start(layout, flake_layout_max_tick(layout),
										&end_us) != FLAKE_IN_RANGE ||
				end_us > FLAKE_MARK_MAX_US - layout->tick_us)
				end_us = FLAKE_MARK_MAX_US;
			else
				end_us += layout->tick_us;
			ereport(ERROR,
					errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
					errmsg("time is past the last tick of the layout"),
					errdetail("The layout's %d bits of time end at %s.  The clock shows %s.",
							  layout->time_bits,
							  flake_time_text(end_us),
							  flake_time_text(now_us)),
					errhint("Use a layout with more bits of time, or for new tables one with a later epoch."));
			break;
		case FLAKE_CLOCK_BEHIND:
			ereport(ERROR,
					errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("clock is %s seconds behind the ids already made",
						   flake_seconds_text(refill->behind_us)),
					errdetail("It shows %s.  Ids may be ahead of it by %s seconds.",
							  flake_time_text(now_us),
							  flake_seconds_text(refill->lead_us)),
					errhint("If the clock is wrong, set it right.  If it is right and was ahead before, wait until %s%s%s.",
							flake_time_text(now_us + refill->behind_us - refill->lead_us),
							raise_lead_text(refill->behind_us),
							layout->free_node_bits == 0 ? "" :
							"; or change \"flake.node_id\" to a number that was never used, so that ids have the true time"));
			break;
		case FLAKE_MARK_AHEAD:
			raise_mark_ahead(flake_mark_start_us(session->mark), now_us,
							 refill->lead_us);
			break;
		case FLAKE_LEASE_AHEAD:
			raise_lease_ahead(session->lease, now_us, refill->lead_us);
			break;
		case FLAKE_GRANTED:
		case FLAKE_LOOK_AT_MARK:
		case FLAKE_MOVE_MARK:
		case FLAKE_MOVE_MARK_EARLY:
		case FLAKE_RENEW_LEASE:
		case FLAKE_WAIT:
			Assert(false);		/* not a refusal */
			break;
	}
}

/*
 * After a look at the mark or a move: return the relation that is the mark, or
 * raise an error.
 */
static uint64
mark_relation(FlakeMarkOutcome outcome, int64 lead_us)
{
	switch (outcome.verdict)
	{
		case FLAKE_MARK_TOO_FAR:
			raise_mark_ahead(outcome.page_us, outcome.wall_us, lead_us);
			break;
		case FLAKE_MARK_CLOCK_JUMPED:
			raise_clock_jumped(&outcome);
			break;
		case FLAKE_MARK_KEEP:
		case FLAKE_MARK_WRITE:
		case FLAKE_MARK_NOT_WORTH_IT:
			break;
	}
	return outcome.relation;
}

/*
 * Look at the mark on disk, and return the relation that is the mark.  If it is
 * refused, the session's range must not be used either.
 */
static uint64
look_at_mark(FlakeSession *session, int64 lead_us)
{
	FlakeMarkNeed nothing = {
		.until_us = FLAKE_NO_TIME,
		.tick_us = session->layout->tick_us,
		.lead_us = lead_us,
		.leased = session->lease != NULL,
	};
	FlakeMarkOutcome outcome = flake_durable_look(&nothing);

	if (outcome.verdict == FLAKE_MARK_TOO_FAR)
		flake_session_forget_range(session);
	return mark_relation(outcome, lead_us);
}

/*
 * Get a range of at least "least" ids for the session.  "need" is how many the
 * caller is going to need; "function" is the name for errors.
 */
void
flake_backend_grant(FlakeSession *session, int64 need, int64 least,
					const char *function)
{
	int64		lead_us = flake_lead_us(session->layout,
										(int64) flake_setting_max_clock_lead * 1000);
	SessionEntry *entry = (SessionEntry *) session;
	uint64		relation;
	FlakeRefill refill;
	FlakeAnswer answer;

	do
	{
		prepare(entry, function);
		/* this can wait, and process invalidations meanwhile */
		relation = look_at_mark(session, lead_us);
	} while (follow_node(entry));
	if (flake_session_keep(session, least))
		return;

	flake_refill_begin(session, &refill, need, least, lead_us);
	refill.relation = relation;
	while ((answer = flake_refill_step(session, &refill)) != FLAKE_GRANTED)
	{
		switch (answer)
		{
			case FLAKE_LOOK_AT_MARK:
				/* the look is below */
				wait_us(0);
				break;
			case FLAKE_MOVE_MARK:
				(void) mark_relation(flake_durable_move(&refill.mark_need, false),
									 lead_us);
				wait_us(0);
				break;
			case FLAKE_MOVE_MARK_EARLY:
				(void) mark_relation(flake_durable_move(&refill.mark_need, true),
									 lead_us);
				break;
			case FLAKE_RENEW_LEASE:
				flake_lease_wait(session->lease, refill.lease_need_us);
				break;
			case FLAKE_WAIT:
				wait_us(refill.wait_us);
				break;
			default:
				raise_refusal(session, answer, &refill);
		}
		refill.relation = look_at_mark(session, lead_us);
		if (follow_node(entry))
		{
			/* begin again: the request was about another node id or lease */
			flake_backend_grant(session, need, least, function);
			return;
		}
	}
}
