/*
 * durable.c
 *		The durable mark on disk: the page, the WAL and the locks.
 *
 * src/core/mark.c decides about the mark, and has the argument why ids do not
 * come again.  This file reads, writes and flushes.
 *
 * The mark is the last_value of the extension's sequence flake.mark, so that WAL
 * replay, standbys, pg_dump and pg_upgrade preserve it.  It is in nanoseconds
 * since 1970, because scripts that prepare a switchover add a margin to every
 * sequence: a margin of 10^9 is a second, where in microseconds it would be a
 * quarter of an hour.
 *
 * It is written with generic WAL, which needs no transaction id and works in
 * read-only transactions.  The full page is logged each time.  nextval() and
 * setval() can log another state of the page than they leave in the buffer, so
 * that replaying a delta computed from the buffer could restore an older value.
 *
 * To notice what others have written, a session peeks at the page, without a
 * lock, before each new range, or at least once per FLAKE_COUNTER_MAX_IDS ids if
 * it takes numbers one by one.  The peek is a hint; decisions are made under the
 * locks.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/htup_details.h"
#include "access/xlog.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/condition_variable.h"
#include "utils/rel.h"

#include "core/session.h"
#include "server/compat.h"
#include "server/durable.h"
#include "server/log.h"
#include "server/relation.h"
#include "server/settings.h"
#include "server/shmem.h"

/* Retry after this time, because a holder that fails wakes nobody. */
#define LOCK_TIMEOUT_MS	100

/* The mark of one database, in shared memory. */
typedef struct MarkEntry
{
	/* constant once the entry is in the list */
	Oid			database;
	dsa_pointer next;

	LWLock		lock;			/* held while the mark is moved */
	ConditionVariable unlocked;
	pg_atomic_uint64 moves;		/* for reports: how often it was written */
	FlakeMark	mark;
} MarkEntry;

/* What this backend knows about its database's mark. */
static MarkEntry *my_entry = NULL;
static Oid	mark_relid = InvalidOid;	/* valid if my_relation is not 0 */
static uint64 my_relation = 0;	/* as FlakeMark.relation; 0 if not known */
static FlakeFileLocator mark_file;	/* for peeking at the page */
static Buffer mark_buffer = InvalidBuffer;	/* where the page was last */

/* Called for each relation that has changed; InvalidOid stands for all. */
void
flake_durable_relation_changed(Oid relid)
{
	if (my_relation == 0 || (relid != InvalidOid && relid != mark_relid))
		return;
	my_relation = 0;
	flake_sessions_forget_ranges();
}

/* Find this database's entry; create it if need be. */
static MarkEntry *
find_entry(void)
{
	FlakeControl *control = flake_shmem();
	dsa_area   *area = flake_shmem_area();
	MarkEntry  *entry;
	dsa_pointer place;

	LWLockAcquire(&control->lock, LW_EXCLUSIVE);
	for (place = control->marks; DsaPointerIsValid(place); place = entry->next)
	{
		entry = dsa_get_address(area, place);
		if (entry->database == MyDatabaseId)
		{
			LWLockRelease(&control->lock);
			return entry;
		}
	}

	place = flake_shmem_allocate(sizeof(MarkEntry));
	entry = dsa_get_address(area, place);
	entry->database = MyDatabaseId;
	LWLockInitialize(&entry->lock, control->tranche);
	ConditionVariableInit(&entry->unlocked);
	pg_atomic_init_u64(&entry->moves, 0);
	flake_mark_init(&entry->mark);
	entry->next = control->marks;
	control->marks = place;
	LWLockRelease(&control->lock);
	return entry;
}

/* This database's mark.  Its address is valid as long as the server runs. */
FlakeMark *
flake_durable_mark(void)
{
	if (unlikely(my_entry == NULL))
		my_entry = find_entry();
	return &my_entry->mark;
}

/* Has this backend found its database's mark yet? */
bool
flake_durable_is_attached(void)
{
	return my_entry != NULL;
}

static inline uint64
relation_identity(Relation rel)
{
	return ((uint64) RelationGetRelid(rel) << 32) | flake_relation_file(rel);
}

/* The sequence's tuple on its page.  Raises an error if there is none. */
static Form_pg_sequence_data
sequence_on(Page page)
{
	HeapTupleHeader tuple;

	if (PageIsNew(page) ||
		PageGetMaxOffsetNumber(page) < FirstOffsetNumber ||
		!ItemIdIsNormal(PageGetItemId(page, FirstOffsetNumber)))
		ereport(ERROR,
				errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("sequence \"%s.%s\" has no valid page",
					   FLAKE_SCHEMA, FLAKE_MARK_NAME));
	tuple = (HeapTupleHeader)
		PageGetItem(page, PageGetItemId(page, FirstOffsetNumber));
	return (Form_pg_sequence_data) ((char *) tuple + tuple->t_hoff);
}

/*
 * Take the locks for a move: the relation's, then the mark's.  NULL if "wait" is
 * false and one of them is not available at once.
 *
 * The holder of the mark's lock may be flushing.  A wait for a lightweight lock
 * cannot be interrupted, so wait for a condition variable instead.
 */
static Relation
lock_mark(bool wait)
{
	static uint32 event = 0;
	Relation	rel;

	rel = flake_mark_relation_open(wait);
	if (rel == NULL)
		return NULL;
	if (LWLockConditionalAcquire(&my_entry->lock, LW_EXCLUSIVE))
		return rel;
	if (!wait)
	{
		flake_mark_relation_close(rel);
		return NULL;
	}

	if (event == 0)
		event = flake_wait_event("FlakeWaitForMark");
	ConditionVariablePrepareToSleep(&my_entry->unlocked);
	while (!LWLockConditionalAcquire(&my_entry->lock, LW_EXCLUSIVE))
		(void) ConditionVariableTimedSleep(&my_entry->unlocked, LOCK_TIMEOUT_MS,
										   event);
	ConditionVariableCancelSleep();
	return rel;
}

static void
unlock_mark(Relation rel)
{
	LWLockRelease(&my_entry->lock);
	ConditionVariableBroadcast(&my_entry->unlocked);
	flake_mark_relation_close(rel);
}

/* Lock the page of the mark exclusively. */
static Buffer
lock_page(Relation rel)
{
	Buffer		buffer = ReadBuffer(rel, 0);

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	mark_buffer = buffer;
	mark_file = FlakeRelationLocator(rel);
	return buffer;
}

/*
 * Write the locked page as planned and unlock it.  Returns true if the page is
 * durable; if not, the WAL writer has been asked to flush it.  Everything that can
 * raise an error comes before the shared values are changed.
 */
static bool
write_page(Relation rel, Buffer buffer, const FlakeMarkPlan *plan)
{
	int64		start_us = flake_monotonic_us();
	GenericXLogState *state = GenericXLogStart(rel);
	Page		page = GenericXLogRegisterBuffer(state, buffer,
												 GENERIC_XLOG_FULL_IMAGE);
	Form_pg_sequence_data sequence = sequence_on(page);
	XLogRecPtr	lsn;

	flake_mark_prepare(&my_entry->mark, plan);
	sequence->last_value = plan->write_ns;
	sequence->is_called = true;
	sequence->log_cnt = 0;
	lsn = GenericXLogFinish(state);
	flake_mark_written(&my_entry->mark, plan, lsn);
	UnlockReleaseBuffer(buffer);
	pg_atomic_fetch_add_u64(&my_entry->moves, 1);

	/* no WAL, if the sequence is new and wal_level is minimal */
	if (XLogRecPtrIsInvalid(lsn))
		return true;
	if (!plan->flush)
	{
		XLogSetAsyncXactLSN(lsn);
		return false;
	}
	XLogFlush(lsn);
	flake_time_write(&my_entry->mark.write_us, flake_monotonic_us() - start_us);
	return true;
}

/*
 * How far has the wall clock jumped forward since the last move of any mark,
 * compared with a clock that nobody can set?  0 if no mark has been moved.
 */
static int64
clock_jump(int64 wall_us, int64 boot_us)
{
	FlakeControl *control = flake_shmem();
	int64		jump_us = 0;

	SpinLockAcquire(&control->clock_lock);
	if (control->moved_wall_us != 0)
		jump_us = (wall_us - control->moved_wall_us) -
			(boot_us - control->moved_boot_us);
	SpinLockRelease(&control->clock_lock);
	return jump_us;
}

/* Remember the clocks, which are right, for the next clock_jump(). */
static void
remember_clocks(int64 wall_us, int64 boot_us)
{
	FlakeControl *control = flake_shmem();

	SpinLockAcquire(&control->clock_lock);
	control->moved_wall_us = wall_us;
	control->moved_boot_us = boot_us;
	SpinLockRelease(&control->clock_lock);
}

/*
 * Move the mark if and as flake_mark_plan() decides.  If "early" is set, give up
 * rather than wait for a lock.
 */
FlakeMarkOutcome
flake_durable_move(const FlakeMarkNeed *asked, bool early)
{
	FlakeMark  *mark = flake_durable_mark();
	FlakeMarkOutcome outcome = {.verdict = FLAKE_MARK_NOT_WORTH_IT};
	FlakeMarkNeed need = *asked;
	FlakeMarkFound found = {.early = early};
	FlakeMarkPlan plan;
	Relation	rel;
	Buffer		buffer;
	int64		boot_us;
	bool		durable = true;

	rel = lock_mark(!early);
	if (rel == NULL)
		return outcome;

	buffer = lock_page(rel);
	flake_sample_clocks(&need.wall_us, &boot_us);
	found.relation = relation_identity(rel);
	found.page_ns = sequence_on(BufferGetPage(buffer))->last_value;
	found.jump_us = clock_jump(need.wall_us, boot_us);
	found.max_jump_us = flake_setting_max_clock_jump * FLAKE_US_PER_SECOND;
	plan = flake_mark_plan(mark, &found, &need);

	outcome.verdict = plan.verdict;
	outcome.relation = plan.relation;
	outcome.page_us = plan.page_us;
	outcome.wall_us = need.wall_us;
	outcome.jump_us = found.jump_us;
	if (plan.verdict != FLAKE_MARK_WRITE && plan.verdict != FLAKE_MARK_KEEP)
	{
		UnlockReleaseBuffer(buffer);
		unlock_mark(rel);
		return outcome;
	}

	if (plan.verdict == FLAKE_MARK_WRITE)
		durable = write_page(rel, buffer, &plan);
	else
	{
		flake_mark_prepare(mark, &plan);
		UnlockReleaseBuffer(buffer);
	}
	if (durable)
		flake_mark_publish(mark, &plan);
	my_relation = plan.relation;
	mark_relid = RelationGetRelid(rel);
	if (plan.verdict == FLAKE_MARK_WRITE && need.until_us != FLAKE_NO_TIME)
		remember_clocks(need.wall_us, boot_us);
	unlock_mark(rel);
	if (plan.first)
		flake_log_start(plan.page_us);
	return outcome;
}

/*
 * Has somebody else changed the page?  The page is read without a lock, so the
 * answer is a hint.  Costs no more than a pin if the page is in the same buffer
 * as before.
 */
static bool
page_changed(FlakeMark *mark)
{
	volatile int64 *page_ns;
	bool		changed = true;

	if (!ReadRecentBuffer(mark_file, MAIN_FORKNUM, 0, mark_buffer))
		return true;
	page_ns = &sequence_on(BufferGetPage(mark_buffer))->last_value;
	/* try twice, in case it was just being written */
	for (int i = 0; changed && i < 2; i++)
	{
		int64		ns = *page_ns;

		pg_read_barrier();
		changed = !flake_mark_is_ours(mark, ns);
	}
	ReleaseBuffer(mark_buffer);
	return changed;
}

/* Publish a pending move if it was flushed, unless the mark is locked. */
static void
publish_pending(FlakeMark *mark)
{
	uint64		wal_end = flake_mark_pending(mark);

	if (likely(wal_end == 0) || XLogNeedsFlush(wal_end) ||
		!LWLockConditionalAcquire(&my_entry->lock, LW_EXCLUSIVE))
		return;
	wal_end = flake_mark_pending(mark);
	if (wal_end != 0 && !XLogNeedsFlush(wal_end))
		flake_mark_publish_pending(mark);
	LWLockRelease(&my_entry->lock);
	ConditionVariableBroadcast(&my_entry->unlocked);
}

/*
 * Before each step of a request: make sure that the shared values are about this
 * session's relation, and that what others left on the page is taken over.
 */
FlakeMarkOutcome
flake_durable_look(const FlakeMarkNeed *need)
{
	FlakeMark  *mark = flake_durable_mark();
	FlakeMarkOutcome outcome = {.verdict = FLAKE_MARK_KEEP};

	outcome.relation = my_relation;
	if (my_relation == 0 ||
		pg_atomic_read_u64(&mark->relation) != my_relation ||
		page_changed(mark))
		outcome = flake_durable_move(need, false);
	else
		publish_pending(mark);
	/* the page is read before the start mark, see (e) in mark.c */
	pg_read_barrier();
	return outcome;
}

/* The mark of this database, for reports.  Not to be used during recovery. */
FlakeMarkState
flake_durable_state(void)
{
	FlakeControl *control = flake_shmem();
	dsa_area   *area = flake_shmem_area();
	FlakeMark  *mark = flake_durable_mark();
	MarkEntry  *entry;
	FlakeMarkState state;

	state.mark_us = flake_time_read(&mark->mark_us);
	state.start_us = flake_time_read(&mark->start_us);
	state.moves = (int64) pg_atomic_read_u64(&my_entry->moves);

	state.latest_start_us = FLAKE_NO_TIME;
	state.latest_database = InvalidOid;
	LWLockAcquire(&control->lock, LW_SHARED);
	for (dsa_pointer place = control->marks; DsaPointerIsValid(place);
		 place = entry->next)
	{
		entry = dsa_get_address(area, place);
		if (flake_mark_start_us(&entry->mark) > state.latest_start_us)
		{
			state.latest_start_us = flake_mark_start_us(&entry->mark);
			state.latest_database = entry->database;
		}
	}
	LWLockRelease(&control->lock);
	return state;
}

/* The latest published mark of all databases, or FLAKE_NO_TIME. */
int64
flake_durable_latest_mark_us(void)
{
	FlakeControl *control = flake_shmem();
	dsa_area   *area = flake_shmem_area();
	MarkEntry  *entry;
	int64		latest_us = FLAKE_NO_TIME;

	LWLockAcquire(&control->lock, LW_SHARED);
	for (dsa_pointer place = control->marks; DsaPointerIsValid(place);
		 place = entry->next)
	{
		entry = dsa_get_address(area, place);
		latest_us = Max(latest_us, flake_time_read(&entry->mark.mark_us));
	}
	LWLockRelease(&control->lock);
	return latest_us;
}

/* After a jump of the clock: accept the time that it shows now. */
void
flake_durable_accept_clock(void)
{
	int64		wall_us;
	int64		boot_us;

	flake_sample_clocks(&wall_us, &boot_us);
	remember_clocks(wall_us, boot_us);
}
