/*
 * check.c
 *		What must always hold: the promises, and the rules that they depend on.
 *
 * The lead of an id has two bounds.  One is the setting: no id and no word is
 * further ahead of the reading of the clock that it was made from than is allowed.
 * The other depends on the past.  A reading of the clock says that the time is
 * mono + h.  From the highest such h (SlotSet.high_us) the time of ids can go on
 * only at the pace of mono.  So the layout's tick never begins after mono + h, and
 * the tick of an id is at most one later.  If the clock is right, ids are thus at
 * most one tick ahead of it, and after a step back by one tick more than the step.
 *
 * Three other times count as readings: the start of the tick after the start mark
 * (how far ahead that can be is checked separately), of the first tick of the
 * lease if the node id is leased, and, after a change of the node id, of the tick
 * after the session's last one.
 *
 * Whenever a word is moved, each state of the WAL that a crash could leave must
 * cover the tick.  If others have set the page back, it does not until a session
 * looks again.  Such records are holes, and the promise ends with a crash that
 * leaves one.
 *
 * An id whose node id is leased never comes again, on any server, and nothing ends
 * that promise.  Also, a number is taken only if its tick is in what the registry
 * has granted to the server at that moment; and what is released was not used.
 */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>

/* Ids are made steadily while there is at most this time between them */
#define WITHOUT_PAUSE_US	100000

/* End the run.  The first failure counts. */
void
fail(const char *fmt, ...)
{
	va_list		args;

	if (world.failed)
		return;
	world.failed = true;
	va_start(args, fmt);
	vsnprintf(world.failure, sizeof(world.failure), fmt, args);
	va_end(args);
	trace("FAILED: %s", world.failure);
	if (world.running != NULL)
		fiber_yield();
}

/* ------------------------------------------------------------- true time */

/* A time counts as a reading. */
void
saw_time(SlotSet *set, int64 us)
{
	set->high_us = Max(set->high_us, us - world.mono_us);
}

/* A session has read the wall clock. */
void
saw_clock(Backend *backend, int64 us)
{
	backend->read_us = us;
	backend->read_mono_us = world.mono_us;
	backend->known_us = us;
	backend->ids_since_read = 0;
	backend->read_jumps = backend->pair_jumps;
	backend->start_us = backend->lease != NULL ? FLAKE_NO_TIME :
		flake_mark_start_us(&world.databases[backend->database].mark);
	saw_time(backend->set, us);
	if (backend->asking && backend->lease != NULL &&
		first_of(backend->lease) - us <= backend->allowed_us)
		saw_time(backend->set, first_of(backend->lease));

	/* another node id: on in a later tick, if that is not too far ahead */
	if (backend->asking && backend->bound_anew)
	{
		int64		next_us = start_of(backend->range_tick + 1);

		if (next_us - us > backend->allowed_us)
			backend->order_anew = true;
		else
			saw_time(backend->set, next_us);
	}
}

/* How far ahead of the highest reading does this tick begin? */
static int64
ahead_of_all(const SlotSet *set, int64 tick)
{
	return start_of(tick) - (world.mono_us + set->high_us);
}

void
check_tick_moved(Backend *backend, uint64 old, uint64 new)
{
	if (new <= old)
		fail("session %d moved the layout's tick back", backend->number);
	if (ahead_of_all(backend->set, new) > 0)
		fail("session %d moved the layout's tick faster than time goes (%lld us)",
			 backend->number, (long long) ahead_of_all(backend->set, new));
	/* after a wait it moves on by one, and that tick is checked later */
	if (new > old + 1 &&
		start_of(new) - backend->read_us > backend->allowed_us)
		fail("session %d moved the layout's tick to a time that was refused",
			 backend->number);
}

/*
 * If the clock is right, ids are ahead of it only because of the mark at a start:
 * by a second and two ticks, and a tick more for each start that follows another
 * one within a tick.
 */
static void
check_start(Backend *backend, int64 tick)
{
	int64		lead_us = start_of(tick) - backend->read_us;
	int64		bound_us = FLAKE_MARK_AHEAD_US + 2 * world.layout.tick_us +
		world.start_excess_us;

	if (lead_us > bound_us)
		fail("session %d was given an id %lld us ahead of a clock that was never wrong; starts may leave %lld",
			 backend->number, (long long) lead_us, (long long) bound_us);
}

/* A call flushes.  While ids are made steadily, the WAL writer should do that. */
void
check_flush(Backend *backend)
{
	if (world.config->steady &&
		world.mono_us - world.last_id_us < WITHOUT_PAUSE_US &&
		world.mono_us - world.steady_us > 2 * FLAKE_MARK_AHEAD_US)
		fail("session %d flushed the mark in its call", backend->number);
}

/* Count the moves of the mark in a second. */
void
check_move(void)
{
	if (!world.config->flushes)
		return;
	if (world.mono_us - world.window_us >= FLAKE_US_PER_SECOND)
	{
		world.window_us = world.mono_us;
		world.window_flushes = 0;
	}

	/*
	 * Two, and as many as it takes to double from a tick of 10 ms to a
	 * second; a window can contain the end of one such series and the next
	 * one.
	 */
	if (++world.window_flushes > 15)
		fail("the mark was moved %d times within a second",
			 world.window_flushes);
}

/* -------------------------------------------------------------- the mark */

/*
 * Would a crash at this moment forget that ids up to "us" were made?  A session
 * that saw the page when there were "seen" records is not to blame for a later
 * hole, nor for one that somebody has begun to repair.
 */
static bool
would_forget(int database, int64 us, int seen)
{
	bool		filled = false;

	for (int n = world.nrecords; n >= world.nflushed; n--)
	{
		const Record *page = page_at(database, n);

		if (!page->hole)
			filled = true;
		if (page->ns < us * FLAKE_NS_PER_US &&
			!(page->hole && (filled || page - world.wal >= seen)))
			return true;
	}
	return false;
}

/* The published mark has changed. */
void
check_mark(Database *database)
{
	int64		mark_us = flake_time_read(&database->mark.mark_us);
	int			number = database - world.databases;

	if (mark_us < database->seen_mark_us)
		fail("the mark of database %d was lowered", number);
	database->seen_mark_us = mark_us;
	if (database->exchanger < 0 && would_forget(number, mark_us, 0))
		fail("a mark of database %d was published that a crash would forget",
			 number);
}

/*
 * A plan that is carried out must not be one that should have been refused, nor
 * serve a tick that the lease never covered, nor move the mark further ahead than
 * ids could be after a start, unless the needed time is later.
 */
void
check_plan(Backend *backend, const FlakeMarkPlan *plan,
		   const FlakeMarkFound *found, const FlakeMarkNeed *need,
		   bool foreign, int64 published_us)
{
	int64		page_us = us_of(found->page_ns);
	int64		most_us = need->wall_us + need->lead_us + FLAKE_LEAD_GRACE_US;

	if (foreign && found->page_ns > 0 &&
		page_us > (backend->lease != NULL ? FLAKE_MARK_MAX_US : most_us))
		fail("session %d took over a mark that is too far ahead",
			 backend->number);
	if (plan->verdict != FLAKE_MARK_WRITE || need->until_us == FLAKE_NO_TIME)
		return;
	if (backend->lease != NULL && need->until_us >= backend->lease->latest_us)
		fail("session %d moved the mark for a tick after its lease",
			 backend->number);
	if (found->max_jump_us > 0 && found->jump_us > found->max_jump_us)
		fail("session %d moved the mark by a clock that jumped",
			 backend->number);
	most_us = Max(Max(most_us, need->until_us), Max(page_us, published_us));
	if (need->overtaken)
		most_us = Max(most_us, Max(need->wall_us, need->until_us) +
					  FLAKE_MARK_AHEAD_US + 2 * (int64)
					  pg_atomic_read_u64(&world.databases[backend->database].mark.write_us));
	if (plan->mark_us > most_us)
		fail("session %d moved the mark further than a start could use (%lld us)",
			 backend->number, (long long) (plan->mark_us - most_us));
}

void
check_mark_refused(Backend *backend, FlakeMarkVerdict verdict,
				   const FlakeMarkFound *found, const FlakeMarkNeed *need)
{
	int64		ahead_us = us_of(found->page_ns) - need->wall_us;
	bool		right = false;

	switch (verdict)
	{
		case FLAKE_MARK_KEEP:
		case FLAKE_MARK_WRITE:
			break;
		case FLAKE_MARK_NOT_WORTH_IT:
			right = found->early;
			break;
		case FLAKE_MARK_TOO_FAR:
			trace("refused: mark too far");
			right = (backend->lease == NULL &&
					 ahead_us > need->lead_us + FLAKE_LEAD_GRACE_US) ||
				us_of(found->page_ns) > FLAKE_MARK_MAX_US;
			break;
		case FLAKE_MARK_CLOCK_JUMPED:
			trace("refused: clock jumped");
			right = found->max_jump_us > 0 &&
				found->jump_us > found->max_jump_us;
			break;
	}
	if (!right)
		fail("session %d may not move the mark, without reason",
			 backend->number);
	if (world.config->wait_ticks > 0 && !found->early)
		fail("session %d was refused by its mark", backend->number);
}

/* ----------------------------------------------------------------- words */

/* Does any slot have a number of this tick left? */
static bool
left_in(SlotSet *set, int64 tick)
{
	uint64		last = (uint64) (tick + 1) << world.layout.seq_bits;

	for (int i = 0; i < 1 << world.layout.slot_bits; i++)
		if (pg_atomic_read_u64(&set->shared.slots.slot[i].word) + 1 < last)
			return true;
	return false;
}

/* The lease must contain the start of a tick that numbers are taken from. */
static void
check_lease(Backend *backend, int64 us)
{
	Lease	   *lease = backend->lease;

	if (lease == NULL)
		return;
	if (us < lease->from_us)
		fail("session %d uses node id %lld before its lease begins (%lld us)",
			 backend->number, (long long) backend->node,
			 (long long) (lease->from_us - us));
	if (us >= lease->granted_us)
		fail("session %d uses node id %lld after its lease (%lld us)",
			 backend->number, (long long) backend->node,
			 (long long) (us - lease->granted_us));
	lease->taken_us = Max(lease->taken_us, us);
}

/* The registry has heard of a release. */
void
check_released(const Lease *lease)
{
	if (lease->granted_us <= lease->taken_us)
		fail("node id %lld was given back from a time on of which numbers were taken (%lld us)",
			 (long long) lease->shared.node,
			 (long long) (lease->taken_us - lease->granted_us));
}

/* A session asks for a renewal. */
void
check_lease_refused(Backend *backend, const FlakeRefill *refill)
{
	trace("asks for a renewal");
	if (backend->moved != 0)
		fail("session %d asks for a renewal, and yet it moved %d words",
			 backend->number, backend->moved);
	if (backend->lease == NULL ||
		refill->lease_need_us < backend->lease->known_us)
		fail("session %d asks for a renewal without reason", backend->number);
}

void
check_word(Backend *backend, int slot, uint64 old, uint64 new)
{
	int64		tick = new >> world.layout.seq_bits;
	Database   *database = &world.databases[backend->database];

	backend->moved++;
	if (!backend->asking)
		fail("session %d moved slot %d without asking for a range",
			 backend->number, slot);
	if (new <= old)
		fail("session %d moved slot %d back", backend->number, slot);
	if (tick > flake_layout_max_tick(&world.layout))
		fail("session %d moved slot %d past the last tick",
			 backend->number, slot);
	if (start_of(tick) - backend->read_us > backend->allowed_us)
		fail("session %d moved slot %d ahead of the clock by %lld us, allowed is %lld",
			 backend->number, slot,
			 (long long) (start_of(tick) - backend->read_us),
			 (long long) backend->allowed_us);
	if (tick < tick_of(backend->read_us))
		fail("session %d moved slot %d in a tick that is past",
			 backend->number, slot);
	if (backend->start_us != FLAKE_NO_TIME && tick <= tick_of(backend->start_us))
		fail("session %d moved slot %d to a tick that the start mark reaches into",
			 backend->number, slot);
	check_lease(backend, start_of(tick));
	if (backend->lease == NULL && backend->demand_ns > 0 &&
		tick <= tick_of(us_of(backend->demand_ns)))
		fail("session %d moved slot %d to a tick that others' mark reaches into",
			 backend->number, slot);
	if (ahead_of_all(backend->set, tick) > world.layout.tick_us)
		fail("session %d moved slot %d to a tick that no time leads to (%lld us)",
			 backend->number, slot, (long long) ahead_of_all(backend->set, tick));
	if (tick > (int64) pg_atomic_read_u64(&backend->set->shared.slots.tick) &&
		!backend->asked_whole && left_in(backend->set, tick - 1))
		fail("session %d borrowed a number of slot %d though the tick before has one",
			 backend->number, slot);
	if (flake_time_read(&database->mark.mark_us) < start_of(tick))
		fail("session %d moved slot %d to a tick that the mark does not cover",
			 backend->number, slot);
	if (database->exchanger != backend->number &&
		would_forget(backend->database, start_of(tick), backend->page_seen))
		fail("session %d moved slot %d to a tick that a crash would forget",
			 backend->number, slot);
}

/* ------------------------------------------------------------- requests */

static void
check_wait(Backend *backend)
{
	int64		waited_us = world.mono_us - backend->asked_us;
	int64		bound_us = world.config->wait_ticks * world.layout.tick_us;

	if (bound_us == 0 || backend->asked_whole ||
		backend->asked_us < world.waits_from_us)
		return;
	world.longest_wait_us = Max(world.longest_wait_us, waited_us);
	if (waited_us > bound_us)
		fail("session %d waited %lld us, more than %d ticks",
			 backend->number, (long long) waited_us,
			 world.config->wait_ticks);
}

/*
 * A session waits.  It must not wait for the end of two successive ticks while
 * slots that it has skipped have numbers.
 */
void
check_turn(Backend *backend, const FlakeRefill *refill)
{
	int64		tick = refill->floor;

	if (world.config->wait_ticks == 0)
		return;
	if (backend->asked_whole)
		backend->whole_tick = tick;
	if (!refill->waiting || refill->wait_us == 0 ||
		backend->waited_tick == tick || backend->whole_tick == tick ||
		!left_in(backend->set, tick))
		return;
	trace("waits, and slots have numbers");
	if (backend->waited_tick == tick - 1)
		fail("session %d waited in two ticks while slots had numbers",
			 backend->number);
	backend->waited_tick = tick;
}

void
check_granted(Backend *backend)
{
	const FlakeSession *session = &backend->session;
	int64		left = flake_session_left(session);

	if (left < 1 || left > INT64CONST(1) << world.layout.seq_bits)
	{
		fail("session %d was granted %lld ids", backend->number,
			 (long long) left);
		return;
	}
	if (backend->moved != 1)
		fail("session %d moved %d words for one range",
			 backend->number, backend->moved);
	check_wait(backend);
	backend->range_tick = session->last_tick;
	if (world.config->wait_ticks > 0 && backend->asked_whole)
		backend->whole_tick = session->last_tick;
	backend->range_node = backend->node;
}

void
check_refused(Backend *backend, FlakeAnswer answer, const FlakeRefill *refill)
{
	static const char *const name[] = {"granted", "look", "move", "move early",
		"renew lease", "wait", "clock before epoch", "past last tick", "clock behind",
	"mark ahead", "lease ahead"};
	int64		last = flake_layout_max_tick(&world.layout);
	int64		tick_us = start_of(backend->set->seen_tick);
	FlakeMark  *mark = &world.databases[backend->database].mark;
	int64		start_us = flake_mark_start_us(mark);	/* it only rises */
	bool		right = false;

	if (backend->lease != NULL)
		start_us = first_of(backend->lease);
	else if (start_us != FLAKE_NO_TIME)
		start_us = start_of(tick_of(start_us) + 1);
	trace("refused: %s", name[answer]);
	if (backend->moved != 0)
		fail("session %d was refused, and yet it moved %d words",
			 backend->number, backend->moved);
	if (refill->now.wall_us != backend->read_us)
		fail("session %d: the refusal is not about its reading of the clock",
			 backend->number);

	switch (answer)
	{
		case FLAKE_CLOCK_BEFORE_EPOCH:
			right = backend->read_us < world.layout.epoch_us ||
				backend->read_us < 0;
			break;
		case FLAKE_PAST_LAST_TICK:
			right = tick_of(backend->read_us) > last ||
				start_us > Min(start_of(last), FLAKE_MARK_MAX_US) ||
				tick_us > start_of(last) ||
				(backend->bound_anew && backend->range_tick >= last);
			break;
		case FLAKE_CLOCK_BEHIND:
		case FLAKE_MARK_AHEAD:
		case FLAKE_LEASE_AHEAD:
			right = refill->behind_us > backend->allowed_us &&
				(refill->behind_us > backend->allowed_us + FLAKE_LEAD_GRACE_US ||
				 world.mono_us - backend->asked_us > 2 * FLAKE_LEAD_GRACE_US) &&
				backend->read_us + refill->behind_us <=
				(answer == FLAKE_CLOCK_BEHIND ? tick_us : start_us) &&
				(backend->lease != NULL ? answer != FLAKE_MARK_AHEAD :
				 answer != FLAKE_LEASE_AHEAD);
			break;
		default:
			break;
	}
	if (!right)
		fail("session %d was refused without reason: %s",
			 backend->number, name[answer]);
	if (world.config->wait_ticks > 0 &&
		backend->asked_us >= world.waits_from_us)
		fail("session %d was refused: %s", backend->number, name[answer]);
}

/* ------------------------------------------------------------------ ids */

/*
 * End a database's promise that ids do not come again: of those given out when
 * more than "after_flushed" records were flushed, or of those of a relation that
 * does not exist any more.  Within one run they still must not.
 */
void
forget_ids(int database, int after_flushed, bool unsure_only)
{
	for (int i = 0; i < world.nids; i++)
	{
		GivenOut   *entry = &world.ids[i];

		if (unsure_only ? (entry->unsure & 1 << database) != 0 :
			entry->flushed > after_flushed)
			entry->databases &= ~(1 << database);
	}
}

/* The transaction has ended in which ids of an uncommitted relation were made. */
void
settle_ids(int database)
{
	for (int i = 0; i < world.nids; i++)
	{
		GivenOut   *entry = &world.ids[i];

		if ((entry->unsure & 1 << database) == 0)
			continue;
		entry->unsure &= ~(1 << database);
		entry->flushed = world.nflushed;
	}
}

/*
 * No two ids are equal in one run of a server or in one database, and no two
 * anywhere whose node ids are leased.
 */
static void
check_unique(Backend *backend, int64 id)
{
	const FlakeLayout *layout = &world.layout;
	Database   *database = &world.databases[backend->database];
	int			run = server_of(backend->database)->run;
	GivenOut   *entry = world.ids + world.nids;

	while (--entry >= world.ids && entry->id != id)
		continue;
	if (entry < world.ids)
	{
		if (world.nids == MAX_IDS)
		{
			fail("too many ids");
			return;
		}
		entry = &world.ids[world.nids++];
		entry->databases = entry->unsure = 0;
		entry->id = id;
	}
	else if (entry->run == run || (entry->leased && backend->lease != NULL) ||
			 (entry->databases & 1 << backend->database) != 0)
		fail("session %d was given an id again that session %d had%s: tick %lld slot %lld sequence %lld",
			 backend->number, entry->session,
			 entry->run == run ? "" : " before a restart, or on another server",
			 (long long) flake_layout_tick(layout, id),
			 (long long) flake_layout_slot(layout, id),
			 (long long) flake_layout_sequence(layout, id));
	entry->run = run;
	entry->leased = backend->lease != NULL;
	entry->databases |= 1 << backend->database;
	entry->session = backend->number;
	entry->flushed = world.nflushed;
	if (database->exchanger == backend->number)
		entry->unsure |= 1 << backend->database;
	else
		entry->unsure &= ~(1 << backend->database);
}

void
check_id(Backend *backend, int64 id)
{
	const FlakeLayout *layout = &world.layout;
	int64		tick = flake_layout_tick(layout, id);
	SlotSet    *set = backend->set;

	trace("id %lld.%lld.%lld node %lld", (long long) tick,
		  (long long) flake_layout_slot(layout, id),
		  (long long) flake_layout_sequence(layout, id),
		  (long long) flake_layout_node(layout, id));

	if (!flake_layout_has(layout, id))
		fail("session %d was given an id that the layout does not have: %lld",
			 backend->number, (long long) id);
	if (tick != backend->range_tick ||
		flake_layout_node(layout, id) !=
		(layout->free_node_bits > 0 ? backend->range_node :
		 flake_layout_node(layout, layout->fixed_id)))
		fail("session %d was given an id of another tick or node",
			 backend->number);
	check_lease(backend, start_of(tick));
	check_unique(backend, id);
	if (world.mono_us - world.last_id_us >= WITHOUT_PAUSE_US)
		world.steady_us = world.mono_us;
	world.last_id_us = world.mono_us;

	if (id <= backend->last_id && !backend->order_anew)
		fail("session %d was given an id that is not above its last one: %lld.%lld.%lld after %lld.%lld.%lld",
			 backend->number, (long long) tick,
			 (long long) flake_layout_slot(layout, id),
			 (long long) flake_layout_sequence(layout, id),
			 (long long) flake_layout_tick(layout, backend->last_id),
			 (long long) flake_layout_slot(layout, backend->last_id),
			 (long long) flake_layout_sequence(layout, backend->last_id));
	backend->last_id = id;
	backend->bound_anew = backend->order_anew = false;

	if (layout->slot_bits == 0)
	{
		int64		single = id - flake_layout_node_part(layout, backend->node);

		if (single <= set->last_single)
			fail("session %d was given an id that is not above another session's",
				 backend->number);
		set->last_single = single;
	}

	if (start_of(tick) - backend->read_us > backend->allowed_us)
		fail("session %d was given an id ahead of the clock by %lld us, allowed is %lld",
			 backend->number, (long long) (start_of(tick) - backend->read_us),
			 (long long) backend->allowed_us);
	if (tick < tick_of(backend->read_us))
		fail("session %d was given an id of a tick that is past",
			 backend->number);
	if (backend->start_us != FLAKE_NO_TIME && start_of(tick) <= backend->start_us)
		fail("session %d was given an id that is not after the start mark",
			 backend->number);
	if (world.config->starts)
		check_start(backend, tick);

	/*
	 * A counter that jumps between two pairs changes the measured rate, which
	 * must be noticed.  A jump after the last reading cannot be noticed.
	 */
	if (!world.count_wrong && world.count_jumps <= 1 &&
		world.count_jumps == backend->read_jumps &&
		tick < tick_of(backend->known_us))
		fail("session %d was given an id of a tick that is past by the counter",
			 backend->number);
	if (ahead_of_all(set, tick) > layout->tick_us)
		fail("session %d was given an id that no time leads to (%lld us)",
			 backend->number, (long long) ahead_of_all(set, tick));
}
