/*
 * mark.c
 *		The durable mark: decisions about it.
 *
 * Why no id of a database comes again after a crash, a restart, a promotion or
 * a step of the clock (the second half of promise P1):
 *
 *	(a) Before an id is taken from a tick, flake_mark_covers() has seen a
 *		published mark of the session's own relation that is not earlier than
 *		the start of the tick, which is the id's time (refill.c).
 *	(b) A mark is published under the mark's lock, and only after the page holds
 *		it or a later one and the WAL of that has been flushed.  The session that
 *		flushed it publishes it; after an early move, see below, whoever finds it
 *		flushed.  So after a crash at any moment the page is not earlier than any
 *		published mark.  There are two exceptions.  If others set the page back,
 *		this holds again once the next session that wants a range has repaired
 *		it.  And a crash removes a relation whose transaction had not committed,
 *		but with it the ids that only this transaction could have made.
 *	(c) After a start the page is read before the first id is made.  Its value is
 *		the start mark: ids begin in the tick after the one that contains it.
 *		The page is not read during recovery.  A session that was open on a
 *		standby reads it after the promotion, when all WAL has been replayed.
 *	(d) A mark is never lowered: what is written is not less than the published
 *		mark and the value of the page.
 *	(e) Others can change the page: setval(), a restore, a subscription to all
 *		sequences.  If it is not as we left it, there can be rows with ids up to
 *		its value, so the start mark is raised to that.  A session peeks at the
 *		page before each range and compares it with page_ns and next_ns.  These
 *		are changed after start_us (flake_mark_prepare), so a session that finds
 *		the page to be ours also sees the start mark that came from it.  When the
 *		page's lock is released, the value that was there before we wrote is no
 *		longer ours (flake_mark_written), because others can set it again.
 *		A value that is further ahead of the clock than ids can be is not taken
 *		over.  No ids are made while it is on the page, and whoever set it can
 *		set it back.  If the node id is leased, the start mark does not count,
 *		so every value that fits the page is taken over; the mark is still kept,
 *		for releases (lease.c) and for the time when the node id is not leased
 *		any more.
 *	(f) The relation can be replaced by DROP and CREATE EXTENSION, which can be
 *		rolled back, or by ALTER SEQUENCE.  A session whose relation is not the
 *		one that the shared values are about takes its own over first: it raises
 *		the page to the published mark, flushes, and publishes the relation.  So
 *		if the published relation is the session's own, the page is not earlier
 *		than any mark published before.  The relation is published before the
 *		mark, and the mark is read before the relation.
 *
 * Early moves
 *
 * While ids are made, one session moves the mark early: it writes the page, and
 * leaves the flush to the WAL writer or to anybody's commit.  Until the flush the
 * move is pending: "pending" says how far the WAL must be flushed, and page_ns
 * what can be published then.  Both are set before the mark's lock is released,
 * and the session cannot be cancelled in between.  (If a backend is killed, the
 * server starts again with new shared memory.)
 *
 * A move is left pending only if the page was as we left it, so it is about the
 * relation that the shared values are about.  Each further write ends the pending
 * state before it changes the page (flake_mark_prepare).  So under the lock the
 * pending move is the last one, and since then the relation has not been taken
 * over nor its page repaired.  If others have changed the page, whoever looks next
 * repairs it first.  A crash before the flush leaves the old page, and a crash
 * after it the new one; neither is earlier than the published mark.  After a
 * promotion nothing is pending, because a standby makes no ids.
 *
 * If the disk is slow, early moves flush the WAL themselves, to measure how slow
 * it is.  So does one session if the WAL writer is late.
 *
 * How far the mark is moved
 *
 * After a start ids are as far ahead of the clock as the mark was.  If the mark
 * were moved a second beyond the time that is needed, starts in quick succession
 * would add up.  If it were moved a second beyond the clock, sessions whose ids
 * are further ahead would have to move it in each tick.  So it is moved to the
 * later of the clock plus a second and the needed time plus ahead_us, which is
 * zero while ids are at the clock, and doubles with each move from a tick to a
 * second while they are ahead of it.  (If every tick is used up from one start to
 * the next, ids cannot fall back to the clock in between, and each start can add
 * ahead_us.)
 *
 * If writes take long, the mark is moved further by twice the time of the last
 * one, or the clock would pass it before the write is done.  But it is not moved
 * further ahead than ids could be after a start, at once or after a short wait
 * (FLAKE_LEAD_GRACE_US), unless the needed time is later, or the clock has
 * overtaken two moves for the same request, which might never end otherwise.
 */
#include "postgres.h"

#include "core/mark.h"

void
flake_mark_init(FlakeMark *mark)
{
	pg_atomic_init_u64(&mark->relation, 0);
	pg_atomic_init_u64(&mark->mark_us, (uint64) FLAKE_NO_TIME);
	pg_atomic_init_u64(&mark->start_us, (uint64) FLAKE_NO_TIME);
	pg_atomic_init_u64(&mark->page_ns, (uint64) FLAKE_NO_TIME);
	pg_atomic_init_u64(&mark->next_ns, (uint64) FLAKE_NO_TIME);
	pg_atomic_init_u64(&mark->pending, 0);
	pg_atomic_init_u64(&mark->ahead_us, 0);
	pg_atomic_init_u64(&mark->write_us, 0);
}

/* Is a flush so slow that the clock could pass the mark meanwhile? */
static bool
is_slow(FlakeMark *mark)
{
	return flake_time_read(&mark->write_us) > FLAKE_MARK_EARLY_US / 2;
}

/* The time that the mark would be moved to now. */
static int64
target(FlakeMark *mark, const FlakeMarkNeed *need)
{
	int64		limit = need->wall_us + need->lead_us + FLAKE_LEAD_GRACE_US -
		2 * need->tick_us;
	int64		us;

	us = Max(need->wall_us + FLAKE_MARK_AHEAD_US,
			 need->until_us + flake_time_read(&mark->ahead_us));
	if (is_slow(mark))
		us += 2 * flake_time_read(&mark->write_us);
	if (!need->overtaken)
		us = Max(Min(us, limit), need->until_us);
	return Min(us, FLAKE_MARK_MAX_US);
}

/*
 * Is it time to move the mark early?  Not if an early move is pending already,
 * unless the mark will be needed soon.
 */
static bool
is_time(FlakeMark *mark, int64 mark_us, const FlakeMarkNeed *need)
{
	int64		left_us = mark_us - need->until_us;
	uint64		pending;

	if (likely(left_us >= FLAKE_MARK_EARLY_US))
		return false;
	pending = pg_atomic_read_u64(&mark->pending);
	if (pending != 0 &&
		(pending == FLAKE_MARK_MOVING || left_us >= FLAKE_MARK_LATE_US))
		return false;
	return target(mark, need) - mark_us >= FLAKE_MARK_EARLY_US;
}

/*
 * Does the published mark cover need->until_us, for a session whose relation is
 * "relation"?
 */
FlakeCover
flake_mark_covers(FlakeMark *mark, uint64 relation, const FlakeMarkNeed *need)
{
	int64		mark_us = flake_time_read(&mark->mark_us);

	FLAKE_POINT();
	/* read the mark before the relation, see (f) */
	pg_read_barrier();
	if (pg_atomic_read_u64(&mark->relation) != relation)
		return FLAKE_OTHER_MARK;
	if (unlikely(mark_us < need->until_us))
		return FLAKE_NOT_COVERED;
	return is_time(mark, mark_us, need) ? FLAKE_COVERED_BARELY : FLAKE_COVERED;
}

/* How far beyond the needed time the next move goes. */
static int64
next_ahead(FlakeMark *mark, const FlakeMarkNeed *need)
{
	if (need->until_us <= need->wall_us + need->tick_us)
		return 0;
	return Min(Max(2 * flake_time_read(&mark->ahead_us), need->tick_us),
			   FLAKE_MARK_AHEAD_US);
}

/*
 * Decide what to do, given what was found under the lock.  Changes nothing.
 *
 * If no time has to be covered, the purpose is only to make the shared values
 * this relation's, and to take over what others left on the page.
 */
FlakeMarkPlan
flake_mark_plan(FlakeMark *mark, const FlakeMarkFound *found,
				const FlakeMarkNeed *need)
{
	int64		published = flake_time_read(&mark->mark_us);
	int64		start_us = flake_time_read(&mark->start_us);
	FlakeMarkPlan plan = {.verdict = FLAKE_MARK_KEEP};
	int64		new_us;

	plan.as_we_left_it = flake_mark_is_ours(mark, found->page_ns) &&
		found->relation == pg_atomic_read_u64(&mark->relation);
	plan.relation = found->relation;
	plan.first = pg_atomic_read_u64(&mark->relation) == 0;
	/* round up, because ids must be later */
	plan.page_us = found->page_ns <= 0 ? FLAKE_NO_TIME :
		(found->page_ns - 1) / FLAKE_NS_PER_US + 1;
	plan.start_us = plan.as_we_left_it ? start_us : Max(start_us, plan.page_us);
	plan.write_ns = found->page_ns;
	plan.flush = true;
	plan.mark_us = published;
	plan.ahead_us = flake_time_read(&mark->ahead_us);

	if (!plan.as_we_left_it && plan.page_us != FLAKE_NO_TIME &&
		(plan.page_us > FLAKE_MARK_MAX_US ||
		 (!need->leased && plan.page_us - need->wall_us >
		  need->lead_us + FLAKE_LEAD_GRACE_US)))
	{
		plan.verdict = FLAKE_MARK_TOO_FAR;
		return plan;
	}

	new_us = Max(plan.page_us, published);
	if (need->until_us == FLAKE_NO_TIME)
	{
		/* no id has been made yet, so nothing needs to be on the page */
		if (published == FLAKE_NO_TIME)
			return plan;
		if (plan.as_we_left_it && new_us == plan.page_us)
			return plan;
	}
	else
	{
		if (found->early)
		{
			/* if others have changed the page, the next look repairs it */
			if (!plan.as_we_left_it || !is_time(mark, published, need))
			{
				plan.verdict = FLAKE_MARK_NOT_WORTH_IT;
				return plan;
			}
			new_us = Max(new_us, target(mark, need));
			plan.flush = flake_mark_pending(mark) != 0 || is_slow(mark);
		}
		else if (new_us < need->until_us)
		{
			new_us = Max(new_us, target(mark, need));
			plan.ahead_us = next_ahead(mark, need);
		}

		/*
		 * Even if the page covers enough, it is written again before it is
		 * published: the WAL of somebody's setval() may not be flushed yet.
		 */
		if (plan.as_we_left_it && new_us == plan.page_us && new_us == published)
			return plan;
		if (found->max_jump_us != 0 && found->jump_us > found->max_jump_us)
		{
			plan.verdict = found->early ? FLAKE_MARK_NOT_WORTH_IT :
				FLAKE_MARK_CLOCK_JUMPED;
			return plan;
		}
	}

	plan.verdict = FLAKE_MARK_WRITE;
	plan.mark_us = new_us;
	plan.write_ns = new_us * FLAKE_NS_PER_US;
	return plan;
}

/*
 * Before the page is written: set the start mark, then what the page is going to
 * hold, see (e).  The page is locked.
 */
void
flake_mark_prepare(FlakeMark *mark, const FlakeMarkPlan *plan)
{
	flake_time_write(&mark->start_us, plan->start_us);
	FLAKE_POINT();
	pg_write_barrier();
	if (plan->verdict != FLAKE_MARK_WRITE)
		flake_time_write(&mark->page_ns, plan->write_ns);
	if (plan->verdict != FLAKE_MARK_WRITE || plan->as_we_left_it)
		flake_time_write(&mark->next_ns, plan->write_ns);
	if (plan->verdict == FLAKE_MARK_WRITE)
		pg_atomic_write_u64(&mark->pending, FLAKE_MARK_MOVING);
}

/*
 * After the page was written, but before its lock is released: forget its
 * previous value, see (e).  If others had changed the page, page_ns is left
 * alone until the repair is flushed, so that all sessions wait for that.
 */
void
flake_mark_written(FlakeMark *mark, const FlakeMarkPlan *plan, uint64 wal_end)
{
	if (plan->as_we_left_it)
		flake_time_write(&mark->page_ns, plan->write_ns);
	if (!plan->flush && wal_end != 0)
		pg_atomic_write_u64(&mark->pending, wal_end);
}

/*
 * After the page was written and flushed, if that was planned: publish the
 * relation, then the mark, see (f).
 */
void
flake_mark_publish(FlakeMark *mark, const FlakeMarkPlan *plan)
{
	pg_write_barrier();
	pg_atomic_write_u64(&mark->relation, plan->relation);
	if (plan->verdict != FLAKE_MARK_WRITE)
		return;
	FLAKE_POINT();
	pg_write_barrier();
	flake_time_write(&mark->mark_us, plan->mark_us);
	flake_time_write(&mark->page_ns, plan->write_ns);
	flake_time_write(&mark->next_ns, plan->write_ns);
	flake_time_write(&mark->ahead_us, plan->ahead_us);
	pg_atomic_write_u64(&mark->pending, 0);
}

/* After a pending move was flushed: publish the mark, see (b). */
void
flake_mark_publish_pending(FlakeMark *mark)
{
	flake_time_write(&mark->mark_us,
					 flake_time_read(&mark->page_ns) / FLAKE_NS_PER_US);
	pg_atomic_write_u64(&mark->pending, 0);
}
