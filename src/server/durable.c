/*
 * mark.c
 *		The durable mark: what makes ids unique over a restart.
 *
 * The mark of a database is a time, and the statement "no id of this database
 * with a later time was ever issued".  It is the last_value of the sequence
 * flake_mark that belongs to the extension, in microseconds since 1970, so
 * that WAL replay, standbys, pg_dump and pg_upgrade carry it along.  It is
 * written under generic WAL: that needs no transaction id and works in
 * read-only transactions and parallel workers.
 *
 * Why it holds
 *
 *	(a) Before an id of a tick is taken, flake_mark_covers() has seen a
 *		published mark not earlier than the tick's start, which is the id's
 *		time (issue.c).
 *	(b) A mark is published, in move_mark() only, after the page holds it or
 *		a later one and the WAL of that is flushed.  So at every moment a
 *		crash leaves a page that is not earlier than any published mark.
 *		(When the relation was made by a transaction that is still open and
 *		wal_level is minimal there is no WAL; a crash then takes the relation
 *		and everything the transaction did with it.)
 *	(c) After a start the page is read before the first id: it is the start
 *		mark, and ids begin after the whole tick that holds it.  So no id
 *		from before the crash can come again, wherever the clock is.
 *	(d) It is not read during recovery: a session that was open on a standby
 *		reads it after the promotion, when all WAL has been replayed.
 *	(e) The relation can be exchanged (DROP and CREATE EXTENSION, also rolled
 *		back, ALTER SEQUENCE).  Every session knows the relation it means, as
 *		its OID and file, and shared memory says which one the published mark
 *		is about.  A session whose relation is another takes it over first:
 *		raises the page to the published mark, flushes, publishes the
 *		relation.  So where the published relation is the session's own, its
 *		page is not earlier than any mark published before.  Writers publish
 *		relation before mark, readers read mark before relation.
 *
 * The full page is logged each time: nextval() and setval() log a state of
 * the page that differs from the one they leave in the buffer, so a delta
 * computed against the buffer could bring back an older value.
 *
 * Others may change the page with setval(): a restore, or a subscription to
 * all sequences.  A value later than the published mark becomes the start
 * mark: ids go on after it.  An earlier one is overwritten.  Each session
 * peeks at the page, without a lock, whenever it takes a new range (without
 * slots: at least once for FLAKE_COUNTER_MAX_IDS ids of a tick), so this is
 * noticed by the next range; the peek is a hint, the decision is made under the
 * locks.
 *
 * Locks, in this order, and all released at once: the relation (RowExclusive,
 * as nextval() takes it), FlakeMark.lock, the buffer's content lock,
 * FlakeControl.clock_lock.  FlakeControl.lock is taken alone, or last.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "server/relation.h"
#include "server/compat.h"
#include "core/refill.h"
#include "server/durable.h"
#include "server/backend.h"
#include "server/settings.h"
#include "server/shmem.h"
#include "server/log.h"

#define FLAKE_MARK_RELATION "flake_mark"

/* What this backend knows about its database's mark. */
static FlakeMark *shared_mark = NULL;
static Oid	mark_relid = InvalidOid;	/* the relation, while it is known */
static uint64 my_relation = 0;	/* as in FlakeMark.relation; 0: look it up */
static FlakeFileLocator mark_file;	/* for peeking at the page */
static Buffer mark_buffer = InvalidBuffer;	/* where the page was last seen */

/* A 64-bit atomic that holds a signed time. */
static inline int64
read_time(pg_atomic_uint64 *time)
{
	return (int64) pg_atomic_read_u64(time);
}

static inline void
write_time(pg_atomic_uint64 *time, int64 us)
{
	pg_atomic_write_u64(time, (uint64) us);
}

/*
 * Finds the database's entry in shared memory; the first session makes it.
 */
static FlakeMark *
find_entry(void)
{
	FlakeControl *control = flake_shmem();
	dsa_area   *area = flake_shmem_area();
	FlakeMark  *entry;
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

	place = dsa_allocate0(area, sizeof(FlakeMark));
	entry = dsa_get_address(area, place);
	entry->database = MyDatabaseId;
	LWLockInitialize(&entry->lock, control->tranche);
	pg_atomic_init_u64(&entry->relation, 0);
	pg_atomic_init_u64(&entry->mark_us, (uint64) FLAKE_NO_MARK);
	pg_atomic_init_u64(&entry->start_us, (uint64) FLAKE_NO_MARK);
	pg_atomic_init_u64(&entry->page_us, (uint64) FLAKE_NO_MARK);
	pg_atomic_init_u64(&entry->early_since_us, 0);
	pg_atomic_init_u64(&entry->moves, 0);
	entry->next = control->marks;
	control->marks = place;
	LWLockRelease(&control->lock);
	return entry;
}

/* Called for every relation whose definition changed, or InvalidOid for all. */
static void
relation_changed(Datum arg, Oid relid)
{
	if (my_relation == 0 || (relid != InvalidOid && relid != mark_relid))
		return;
	my_relation = 0;
	flake_sessions_forget_ranges();
}

void
flake_mark_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
}

/*
 * Opens and locks the mark's relation.  NULL only if "wait" is false and the
 * lock is not to be had at once.
 */
static Relation
open_relation(bool wait)
{
	Relation	rel = flake_open_relation(FLAKE_MARK_RELATION, RowExclusiveLock,
										  wait);

	if (rel != NULL &&
		(rel->rd_rel->relkind != RELKIND_SEQUENCE ||
		 rel->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("\"%s\" is not a permanent, logged sequence",
					   FLAKE_MARK_RELATION),
				errdetail("Without it ids could repeat after a crash."),
				errhint("Use ALTER SEQUENCE %s SET LOGGED.",
						FLAKE_MARK_RELATION));
	return rel;
}

static inline uint64
relation_identity(Relation rel)
{
	return ((uint64) RelationGetRelid(rel) << 32) | flake_relation_file(rel);
}

/* The sequence's tuple on its page, or an error if there is none. */
static Form_pg_sequence_data
sequence_on(Page page)
{
	HeapTupleHeader tuple;

	if (PageIsNew(page) ||
		PageGetMaxOffsetNumber(page) < FirstOffsetNumber ||
		!ItemIdIsNormal(PageGetItemId(page, FirstOffsetNumber)))
		ereport(ERROR,
				errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("sequence \"%s\" has no valid page", FLAKE_MARK_RELATION));
	tuple = (HeapTupleHeader)
		PageGetItem(page, PageGetItemId(page, FirstOffsetNumber));
	return (Form_pg_sequence_data) ((char *) tuple + tuple->t_hoff);
}

/*
 * Takes the locks for a move: relation, then the mark's.  NULL only if "wait"
 * is false and one is not to be had at once.
 */
static Relation
lock_mark(bool wait)
{
	Relation	rel = open_relation(wait);

	if (rel == NULL)
		return NULL;
	if (wait)
		LWLockAcquire(&shared_mark->lock, LW_EXCLUSIVE);
	else if (!LWLockConditionalAcquire(&shared_mark->lock, LW_EXCLUSIVE))
	{
		relation_close(rel, RowExclusiveLock);
		return NULL;
	}
	return rel;
}

static void
unlock_mark(Relation rel)
{
	LWLockRelease(&shared_mark->lock);
	relation_close(rel, RowExclusiveLock);
}

/* The page of the mark, locked exclusively. */
static Buffer
lock_page(Relation rel)
{
	Buffer		buffer = ReadBuffer(rel, 0);

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	mark_buffer = buffer;
	mark_file = FlakeRelationLocator(rel);
	return buffer;
}

/* Writes a value to the locked page, unlocks it, and makes it durable. */
static void
write_page(Relation rel, Buffer buffer, int64 value_us)
{
	GenericXLogState *state = GenericXLogStart(rel);
	Page		page = GenericXLogRegisterBuffer(state, buffer,
												 GENERIC_XLOG_FULL_IMAGE);
	Form_pg_sequence_data sequence = sequence_on(page);
	int64		start_us = flake_monotonic_us();
	XLogRecPtr	lsn;

	sequence->last_value = value_us;
	sequence->is_called = true;
	sequence->log_cnt = 0;
	write_time(&shared_mark->page_us, value_us);
	lsn = GenericXLogFinish(state);
	UnlockReleaseBuffer(buffer);

	/* no WAL: made in this transaction, with wal_level = minimal */
	if (!XLogRecPtrIsInvalid(lsn))
		XLogFlush(lsn);
	shared_mark->write_took_us = flake_monotonic_us() - start_us;
	pg_atomic_fetch_add_u64(&shared_mark->moves, 1);
}

/*
 * How far ahead of the time asked for the mark is moved.  Where the disk is so
 * slow that this would be over when it is written, further.
 */
static int64
ahead(const FlakeMark *mark)
{
	if (mark->write_took_us <= FLAKE_MARK_EARLY_US / 2)
		return FLAKE_MARK_AHEAD_US;
	return FLAKE_MARK_AHEAD_US + 2 * mark->write_took_us;
}

/*
 * How far has the clock jumped forward since the last move of any mark,
 * against a clock that nobody can set?  0 where that is not known.
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

/* Remembers that the clocks were found to be right. */
static void
remember_clocks(int64 wall_us, int64 boot_us)
{
	FlakeControl *control = flake_shmem();

	SpinLockAcquire(&control->clock_lock);
	control->moved_wall_us = wall_us;
	control->moved_boot_us = boot_us;
	SpinLockRelease(&control->clock_lock);
}

static bool
jump_is_allowed(int64 jump_us)
{
	return flake_setting_max_clock_jump == 0 ||
		jump_us <= flake_setting_max_clock_jump * FLAKE_US_PER_SECOND;
}

static void
refuse_jump(int64 wall_us, int64 jump_us)
{
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("clock jumped forward by %.3f seconds",
				   (double) jump_us / FLAKE_US_PER_SECOND),
			errdetail("It shows %s.  \"flake.max_clock_jump\" allows a jump of %d seconds.",
					  flake_time_text(wall_us), flake_setting_max_clock_jump),
			errhint("If the clock is right now, run flake_accept_clock(), else set it right."));
}

/*
 * Moves the mark and publishes it, or finds that another session did.
 *
 * With until_us = FLAKE_NO_MARK nothing need be covered: see only that the
 * published mark is about this session's relation, and that what somebody
 * else wrote to the page is taken up.  "early": the mark covers until_us, but
 * not for much longer; give up rather than wait.  Returns false if it gave up.
 */
static bool
move_mark(int64 until_us, bool early)
{
	FlakeMark  *mark = shared_mark;
	int64		wall_us;
	int64		boot_us;
	Relation	rel;
	Buffer		buffer;
	int64		page_us;
	int64		published_us;
	int64		new_us;
	bool		exchanged;		/* the page is not as we left it */
	bool		write;
	bool		first_look;		/* since the server started */

	rel = lock_mark(!early);
	if (rel == NULL)
		return false;

	buffer = lock_page(rel);
	wall_us = flake_clock_us();
	boot_us = flake_boottime_us();
	page_us = sequence_on(BufferGetPage(buffer))->last_value;
	published_us = read_time(&mark->mark_us);
	exchanged = page_us != read_time(&mark->page_us) ||
		pg_atomic_read_u64(&mark->relation) != relation_identity(rel);

	new_us = Max(page_us, published_us);
	if (until_us == FLAKE_NO_MARK)
		write = published_us != FLAKE_NO_MARK &&
			(exchanged || new_us != page_us);
	else
	{
		if (new_us < until_us + (early ? FLAKE_MARK_EARLY_US : 0))
			new_us = until_us + ahead(mark);

		/*
		 * A page that covers enough may do so only in memory, after a
		 * setval() whose WAL is not flushed: so what is to be published is
		 * written here.
		 */
		write = exchanged || new_us != page_us || new_us > published_us;
		if (write && !jump_is_allowed(clock_jump(wall_us, boot_us)))
		{
			UnlockReleaseBuffer(buffer);
			unlock_mark(rel);
			if (early)
				return false;
			refuse_jump(wall_us, clock_jump(wall_us, boot_us));
		}
	}

	/* the first look since the start, or set later by others: begin there */
	if (page_us > published_us && page_us > read_time(&mark->start_us))
		write_time(&mark->start_us, page_us);

	if (write)
		write_page(rel, buffer, new_us);
	else
	{
		write_time(&mark->page_us, page_us);
		UnlockReleaseBuffer(buffer);
	}

	first_look = read_time(&mark->start_us) == page_us &&
		pg_atomic_read_u64(&mark->relation) == 0;

	/* first the relation, then its mark: see the header comment */
	my_relation = relation_identity(rel);
	mark_relid = RelationGetRelid(rel);
	pg_write_barrier();
	pg_atomic_write_u64(&mark->relation, my_relation);
	if (write)
	{
		pg_write_barrier();
		write_time(&mark->mark_us, new_us);
		if (until_us != FLAKE_NO_MARK)
			remember_clocks(wall_us, boot_us);
	}
	unlock_mark(rel);
	if (first_look)
		flake_watch_start(page_us);
	return true;
}

/*
 * Has somebody else changed the page?  A look without any lock: only a hint,
 * and no more than a pin if the page is where it was.
 */
static bool
page_changed(void)
{
	int64		page_us;
	int64		ours_us = read_time(&shared_mark->page_us);

	if (!ReadRecentBuffer(mark_file, MAIN_FORKNUM, 0, mark_buffer))
		return true;
	page_us = *(volatile int64 *)
		&sequence_on(BufferGetPage(mark_buffer))->last_value;
	ReleaseBuffer(mark_buffer);
	return page_us != ours_us && page_us != read_time(&shared_mark->page_us);
}

/*
 * The time after which ids of this database begin.
 */
int64
flake_mark_start_us(void)
{
	int64		start_us;

	if (unlikely(shared_mark == NULL))
		shared_mark = find_entry();

	if (my_relation == 0 ||
		pg_atomic_read_u64(&shared_mark->relation) != my_relation ||
		page_changed())
		(void) move_mark(FLAKE_NO_MARK, false);

	pg_read_barrier();
	start_us = read_time(&shared_mark->start_us);
	return start_us;
}

/*
 * Moves the mark ahead of need, if no other session is at it.  One that was
 * terminated in the middle counts no more after a second.
 */
static bool
move_early(int64 until_us)
{
	pg_atomic_uint64 *since = &shared_mark->early_since_us;
	uint64		other = pg_atomic_read_u64(since);
	uint64		now = flake_monotonic_us();
	bool		moved = false;

	if (other != 0 && now - other < FLAKE_MARK_AHEAD_US)
		return false;
	if (!pg_atomic_compare_exchange_u64(since, &other, now))
		return false;

	PG_TRY();
	{
		moved = move_mark(until_us, true);
	}
	PG_FINALLY();
	{
		pg_atomic_write_u64(since, 0);
	}
	PG_END_TRY();
	return moved;
}

/*
 * Are ids of the time "until_us" covered by the durable mark?  True: yes, and
 * no time has passed.  False: it is now, or the relation is another one;
 * time has passed, so look at everything again.
 */
bool
flake_mark_covers(int64 until_us)
{
	int64		mark_us = read_time(&shared_mark->mark_us);

	/* the mark before the relation: see the header comment */
	pg_read_barrier();
	if (my_relation == 0 ||
		pg_atomic_read_u64(&shared_mark->relation) != my_relation)
		return false;

	if (unlikely(mark_us < until_us))
	{
		(void) move_mark(until_us, false);
		return false;
	}
	if (unlikely(mark_us - until_us < FLAKE_MARK_EARLY_US))
	{
		/* what it looked at may have told that the relation is another one */
		return !move_early(until_us) && my_relation != 0;
	}
	return true;
}

/*
 * The mark of this database for reports.  False if no id was made here since
 * the server started.  Not during recovery.
 */
bool
flake_mark_state_now(FlakeMarkState *state)
{
	if (shared_mark == NULL)
		shared_mark = find_entry();
	state->mark_us = read_time(&shared_mark->mark_us);
	state->start_us = read_time(&shared_mark->start_us);
	state->moves = pg_atomic_read_u64(&shared_mark->moves);
	return state->mark_us != FLAKE_NO_MARK;
}

/*
 * Takes the clock as it is for the true time, after a jump forward.
 */
void
flake_mark_accept_clock(void)
{
	remember_clocks(flake_clock_us(), flake_boottime_us());
}

/*
 * Brings what is refused because it is too far ahead of the clock back to it:
 * slots of the whole server, mark and start mark of this database.
 *
 * What is not refused stays as it is: sessions may have made ids there under
 * the new node id, and it goes on by itself.  The lower mark is published
 * before the page goes back, so that no session finds a tick covered that is
 * not; it covers what was taken from the slots that stay.
 */
void
flake_mark_reset_clock(void)
{
	FlakeMark  *mark;
	Relation	rel;
	int64		now_us;
	int64		latest_us;
	int64		new_us = FLAKE_NO_MARK;

	(void) flake_mark_start_us();
	mark = shared_mark;
	rel = lock_mark(true);
	latest_us = flake_shmem_begin_renewal(&now_us);

	if (read_time(&mark->start_us) - now_us > flake_allowed_lead_us())
		write_time(&mark->start_us, now_us);
	if (read_time(&mark->mark_us) - now_us >
		flake_allowed_lead_us() + FLAKE_MARK_AHEAD_US ||
		read_time(&mark->page_us) - now_us > flake_allowed_lead_us())
	{
		int64		last_us = Max(read_time(&mark->mark_us),
							  read_time(&mark->page_us));

		/* published only lower than before: the page is written later */
		new_us = Min(Max(latest_us, read_time(&mark->start_us)) +
					 FLAKE_MARK_AHEAD_US, last_us);
		write_time(&mark->mark_us, Min(read_time(&mark->mark_us), new_us));
	}
	flake_shmem_end_renewal();
	remember_clocks(now_us, flake_boottime_us());
	if (new_us != FLAKE_NO_MARK)
		write_page(rel, lock_page(rel), new_us);
	unlock_mark(rel);
}
