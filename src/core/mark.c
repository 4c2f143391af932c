/*
 * mark.c
 *		The durable mark: what is decided about it.
 *
 * Why no id of a database comes again after a crash, a restart, a promotion or
 * a step of the clock (the second half of promise P1):
 *
 *	(a) Before an id of a tick is taken, flake_mark_covers() has seen a
 *		published mark, about the session's own relation, not earlier than the
 *		tick's start, which is the id's time (refill.c).
 *	(b) A mark is published, under the mark's lock, after the page holds it or
 *		a later one and the WAL of that is flushed: by the session that has
 *		flushed it, or after an early move by whoever finds that others have,
 *		see below.  So at every moment a crash leaves a page that is not
 *		earlier than any published mark.  (If others set it back, only from
 *		when that is repaired, which the next session that wants a range sees
 *		to.  And a crash takes a relation whose transaction had not ended, with
 *		the ids that only this transaction could have made.)
 *	(c) After a start the page is read before the first id: it is the start
 *		mark, and ids begin after the whole tick that holds it.  It is not read
 *		during recovery: a session that was open on a standby reads it after
 *		the promotion, when all WAL has been replayed.
 *	(d) Nothing lowers a mark: what is written is never less than the published
 *		mark, nor than what the page holds.
 *	(e) Others may change the page: setval(), a restore, a subscription to all
 *		sequences.  Whenever it is not as we left it, ids go on after what it
 *		says (start_us), for there may be rows with ids up to then.  A session
 *		peeks at the page before each range; page_ns and next_ns, which it
 *		compares with, change only after start_us did (flake_mark_prepare), so a
 *		session that finds the page to be ours knows the start mark that came
 *		from it.  What the page held before we wrote is not ours any more when
 *		its lock is released (flake_mark_written): somebody may set it to that
 *		again.
 *		A value further ahead of the clock than ids may be is not taken over:
 *		ids are refused while it stands on the page, and whoever set it can set
 *		it back.  Where the node id is leased the start mark does not bind, so
 *		all that can be written down is taken over; the mark is
 *		kept up for releases (lease.c) and for the day when the node id is fixed.
 *	(f) The relation can be exchanged (DROP and CREATE EXTENSION, also rolled
 *		back, ALTER SEQUENCE).  A session whose relation is not the one that
 *		the shared values are about takes it over first: raises its page to
 *		the published mark, flushes, publishes the relation.  So where the
 *		published relation is the session's own, its page is not earlier than
 *		any mark published before.  Writers publish relation before mark,
 *		readers read mark before relation.
 *
 * Early moves
 *
 * While ids are made, the mark is moved early by one session, which writes the
 * page and leaves it to the WAL writer, or to anybody's commit, to flush that.
 * Until then the new mark is pending: "pending" says how far the WAL must be
 * flushed, page_ns what may be published then.  Both are set before the mark's
 * lock is released, and the session can't be cancelled or end in between; a
 * backend that is killed takes the shared memory along.  Pending is only what was
 * written on a page that was as we left it, and so of the relation that the shared
 * values are about; each further write ends that, before it touches the page
 * (flake_mark_prepare).  So under the lock what is pending is what we wrote last,
 * and the relation was neither taken over nor its page repaired meanwhile.  If
 * others have changed the page, whoever looks next repairs it first.  Whether a
 * crash comes before the flush, and leaves the old page, or after it, the
 * published mark is not later than the page.  A server that was promoted has
 * nothing pending, for a standby makes no ids.
 *
 * Behind a slow disk early moves flush themselves, to learn how slow it is; so
 * does one session when the WAL writer is late.
 *
 * How far the mark is moved
 *
 * After a start ids begin after the mark, so what it is ahead of the clock is
 * what they are ahead then.  Moved a second beyond the *time asked for*, starts
 * that follow each other quickly would add up; moved a second beyond the
 * *clock*, sessions whose ids are further ahead than that would write it for
 * each tick.  So it is moved to the later of the clock and a second, and the
 * time asked for and a bit; the bit is nothing at first and while ids are at
 * the clock, and doubles from a tick to a second while they are ahead of it.
 * (Where every tick is used up from one start to the next, ids can't fall back
 * to the clock in between, and each start may add that bit.)
 *
 * When a write takes long, the mark is moved further by twice that time, or the
 * clock would have passed it before the write is done.  It is never moved beyond
 * what a start could use at once or within the grace, however slow the disk once
 * was.  Only a request that the clock has overtaken even so may go beyond that
 * limit; otherwise it might never end.
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

/* Is a flush so slow that the clock might pass the mark meanwhile? */
static bool
is_slow(FlakeMark *mark)
{
	return flake_time_read(&mark->write_us) > FLAKE_MARK_EARLY_US / 2;
}

/* Where the mark would be moved to now. */
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
 * Is it time to move the mark early?  Not while that is pending, but when it has
 * been so for too long.
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
 * What the published mark says of a time, to a session whose relation is
 * "relation".
 */
FlakeCover
flake_mark_covers(FlakeMark *mark, uint64 relation, const FlakeMarkNeed *need)
{
	int64		mark_us = flake_time_read(&mark->mark_us);

	FLAKE_POINT();
	/* the mark before the relation: see (f) */
	pg_read_barrier();
	if (pg_atomic_read_u64(&mark->relation) != relation)
		return FLAKE_OTHER_MARK;
	if (unlikely(mark_us < need->until_us))
		return FLAKE_NOT_COVERED;
	return is_time(mark, mark_us, need) ? FLAKE_COVERED_BARELY : FLAKE_COVERED;
}

/* The bit that the mark is moved beyond the time asked for next. */
static int64
next_ahead(FlakeMark *mark, const FlakeMarkNeed *need)
{
	if (need->until_us <= need->wall_us + need->tick_us)
		return 0;
	return Min(Max(2 * flake_time_read(&mark->ahead_us), need->tick_us),
			   FLAKE_MARK_AHEAD_US);
}

/*
 * What is to be done, given what was found under the lock.  Changes nothing.
 *
 * Without a time to be covered: see only that the shared values are about this
 * relation, and that what others left on the page is taken over.
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
	/* rounded up, as the first tick after it must be */
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
		/* no id has been issued yet: nothing that must be on the page */
		if (published == FLAKE_NO_TIME)
			return plan;
		if (plan.as_we_left_it && new_us == plan.page_us)
			return plan;
	}
	else
	{
		if (found->early)
		{
			/* what others have changed is repaired by whoever looks next */
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
		 * A page that covers enough may do so only in memory, after a
		 * setval() whose WAL is not flushed: so what is to be published is
		 * written here.
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
 * Before the page is written, and before its lock is released: the start mark,
 * then what the page is going to hold.  See (e).
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
 * After the page was written, and before its lock is released: what it held
 * before is not ours any more.  What others have changed stays different until
 * it is repaired for good, so that all sessions wait for that.
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
 * After the page was written and flushed, where that was planned: the
 * relation, then its mark.  See (f).
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

/* After what is pending was flushed: the mark.  See (b). */
void
flake_mark_publish_pending(FlakeMark *mark)
{
	flake_time_write(&mark->mark_us,
					 flake_time_read(&mark->page_ns) / FLAKE_NS_PER_US);
	pg_atomic_write_u64(&mark->pending, 0);
}
