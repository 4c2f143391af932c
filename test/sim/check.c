/*
 * check.c
 *		What must hold, whatever happens: the promises of issue.h's callers,
 *		and the bounds that make them true.
 *
 * The lead of an id is bounded twice.  By the setting: no id and no word is
 * ahead of the clock reading it was made from by more than is allowed.  And by
 * what has happened: a reading of the clock says "mono + h is the time"; time
 * in the ids may go on at the pace of the clock that nobody can set from the
 * highest such h (SlotSet.high_us), not faster.  So the layout's tick never
 * begins after mono + h, and an id's tick at most one later.  With a clock
 * that is right this says: at most one tick ahead; after a step back: by what
 * it was set back, and one tick.  The tick after a start mark counts as a
 * reading.  New slots begin at a reading, whatever the old ones had come to.
 */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Every id that was given out: in which run of the server, which databases. */
#define TABLE_SIZE	(4 * MAX_IDS)

typedef struct GivenOut
{
	int64		id;
	uint64		schedule;		/* entries of other schedules are empty */
	int			run;
	uint32		databases;		/* bits */
	int			session;
} GivenOut;

static GivenOut given_out[TABLE_SIZE];
static uint64 schedule = 0;

void
check_begin(void)
{
	schedule++;
}

/* The schedule ends here; the first failure counts. */
void
fail(const char *fmt,...)
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

/* How far ahead of all that their sessions have read does this tick begin? */
static int64
ahead_of_all(const SlotSet *set, int64 tick)
{
	return start_of(tick) - (world.mono_us + set->high_us);
}

/* Had the slots been replaced when the session last began to look for an id? */
static bool
looked_at_old_slots(const Backend *backend)
{
	return backend->session.generation != backend->start_generation;
}

static bool
is_given_up(int64 node)
{
	return (world.retired_nodes & 1u << node) != 0;
}

void
check_word(Backend *backend, int slot, uint64 old, uint64 new)
{
	int64		tick = new >> world.layout.seq_bits;
	Mark	   *mark = &world.marks[backend->database];

	backend->moved++;
	if (!backend->asking)
		fail("session %d moved slot %d without asking for a range",
			 backend->number, slot);
	if (looked_at_old_slots(backend))
		fail("session %d moved slot %d and did not see that it was replaced",
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
	if (backend->start_us != PG_INT64_MIN && tick <= tick_of(backend->start_us))
		fail("session %d moved slot %d to a tick that the start mark reaches into",
			 backend->number, slot);
	if (ahead_of_all(backend->set, tick) > world.layout.tick_us)
		fail("session %d moved slot %d to a tick that no time leads to (%lld us)",
			 backend->number, slot, (long long) ahead_of_all(backend->set, tick));
	if (is_given_up(backend->node))
		return;
	if (mark->mark_us < start_of(tick))
		fail("session %d moved slot %d to a tick that the mark does not cover",
			 backend->number, slot);
	if (Min(mark->page_us, mark->durable_us) < start_of(tick))
		fail("session %d moved slot %d to a tick that a crash would forget",
			 backend->number, slot);
}

void
check_tick_moved(Backend *backend, uint64 old, uint64 new)
{
	if (new <= old)
		fail("session %d moved the layout's tick back", backend->number);
	if (ahead_of_all(backend->set, new) > 0)
		fail("session %d moved the layout's tick faster than time goes (%lld us)",
			 backend->number, (long long) ahead_of_all(backend->set, new));
	/* after a wait: the next tick, which is looked at afterwards */
	if (new > old + 1 &&
		start_of(new) - backend->read_us > backend->allowed_us)
		fail("session %d moved the layout's tick to a time that was refused",
			 backend->number);
}

static void
check_wait(Backend *backend)
{
	int64		waited_us = world.mono_us - backend->asked_us;
	int64		bound_us = world.config->wait_ticks * world.layout.tick_us;

	if (bound_us == 0 || backend->asked_whole || backend->asked_us < world.waits_from_us)
		return;
	world.longest_wait_us = Max(world.longest_wait_us, waited_us);
	if (waited_us > bound_us)
		fail("session %d waited %lld us, more than %d ticks",
			 backend->number, (long long) waited_us,
			 world.config->wait_ticks);
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
	backend->range_node = backend->node;
	backend->range_set = backend->set;
	backend->range_given_up = is_given_up(backend->node);
}

/* Slots that were replaced: their place is taken by some that begin now. */
void
check_renewed(const SlotSet *old, const SlotSet *new, int64 now_us)
{
	uint64		tick = pg_atomic_read_u64(&new->slots->tick);

	if ((int64) tick != tick_of(now_us))
		fail("new slots do not begin at the clock, but %lld ticks after it",
			 (long long) tick - tick_of(now_us));
	if (memcmp(&old->slots->geometry, &new->slots->geometry,
			   sizeof(FlakeGeometry)) != 0)
		fail("new slots have another geometry");
	for (int i = 0; i < 1 << world.layout.slot_bits; i++)
	{
		if (pg_atomic_read_u64(&new->slots->slot[i].word) != 0)
			fail("new slots have been used");
		if (pg_atomic_read_u64(&new->slots->slot[i].taken) !=
			pg_atomic_read_u64(&old->slots->slot[i].taken))
			fail("new slots forget what is for reports");
	}
}

void
check_refused(Backend *backend, FlakeVerdict verdict,
			  const FlakeRefusal *refusal)
{
	static const char *const name[] = {"granted", "slots replaced",
	"clock before epoch", "past last tick", "clock behind"};
	int64		last = flake_layout_max_tick(&world.layout);
	int64		start_us = world.marks[backend->database].start_us;
	bool		right = false;

	trace("refused: %s", name[verdict]);
	if (backend->moved != 0)
		fail("session %d was refused, and yet it moved %d words",
			 backend->number, backend->moved);
	if (verdict == FLAKE_SLOTS_REPLACED)
	{
		if (backend->session.generation == world.generation)
			fail("session %d was told that its slots were replaced",
				 backend->number);
		return;
	}
	if (looked_at_old_slots(backend))
		fail("session %d was refused and did not see that its slots were replaced",
			 backend->number);
	if (refusal->now_us != backend->read_us)
		fail("session %d: the refusal is not about its reading of the clock",
			 backend->number);

	switch (verdict)
	{
		case FLAKE_GRANTED:
		case FLAKE_SLOTS_REPLACED:
			break;
		case FLAKE_CLOCK_BEFORE_EPOCH:
			right = backend->read_us < world.layout.epoch_us;
			break;
		case FLAKE_PAST_LAST_TICK:
			right = tick_of(backend->read_us) > last ||
				(start_us != PG_INT64_MIN && tick_of(start_us) >= last) ||
				(int64) backend->set->seen_tick > last;
			break;
		case FLAKE_CLOCK_BEHIND:
			right = refusal->behind_us > refusal->allowed_us &&
				refusal->allowed_us == backend->allowed_us &&
				(refusal->behind_us >
				 refusal->allowed_us + FLAKE_LEAD_GRACE_US ||
				 world.mono_us - backend->asked_us > 2 * FLAKE_LEAD_GRACE_US);
			break;
	}
	if (!right)
		fail("session %d was refused without reason: %s",
			 backend->number, name[verdict]);
	if (world.config->wait_ticks > 0 &&
		backend->asked_us >= world.waits_from_us)
		fail("session %d was refused: %s", backend->number, name[verdict]);
}

/*
 * No two equal ones: not in one run of the server, not in one database.  For
 * a node id that was given up, the mark does not tell any more what was made
 * before a restart.
 */
static void
check_unique(Backend *backend, int64 id)
{
	uint64		place = (uint64) id * UINT64CONST(0x9E3779B97F4A7C15) >> 40;
	GivenOut   *entry;

	for (;; place++)
	{
		entry = &given_out[place % TABLE_SIZE];
		if (entry->schedule != schedule)
			break;
		if (entry->id != id)
			continue;
		if (entry->run == world.run ||
			(!backend->range_given_up &&
			 (entry->databases & 1u << backend->database)))
			fail("session %d was given an id again that session %d had%s: tick %lld slot %lld sequence %lld",
				 backend->number, entry->session,
				 entry->run == world.run ? "" : " before a restart",
				 (long long) flake_layout_tick(&world.layout, id),
				 (long long) flake_layout_slot(&world.layout, id),
				 (long long) flake_layout_sequence(&world.layout, id));
		entry->run = world.run;
		entry->databases |= 1u << backend->database;
		return;
	}
	entry->id = id;
	entry->schedule = schedule;
	entry->run = world.run;
	entry->databases = 1u << backend->database;
	entry->session = backend->number;
	world.nids++;
}

void
check_id(Backend *backend, int64 id)
{
	const FlakeLayout *layout = &world.layout;
	int64		tick = flake_layout_tick(layout, id);
	SlotSet    *set = backend->range_set;

	trace("id %lld.%lld.%lld node %lld", (long long) tick,
		  (long long) flake_layout_slot(layout, id),
		  (long long) flake_layout_sequence(layout, id),
		  (long long) flake_layout_node(layout, id));

	if (!flake_layout_has(layout, id))
		fail("session %d was given an id that the layout does not have: %lld",
			 backend->number, (long long) id);
	if (tick != backend->range_tick ||
		flake_layout_node(layout, id) != backend->range_node)
		fail("session %d was given an id of another tick or node",
			 backend->number);

	/* in new slots the node id from before may repeat */
	if ((set->given_up & 1u << backend->range_node) == 0)
		check_unique(backend, id);

	if (id <= backend->last_id &&
		backend->last_set == set)
		fail("session %d was given an id that is not above its last one: %lld.%lld.%lld after %lld.%lld.%lld",
			 backend->number, (long long) tick,
			 (long long) flake_layout_slot(layout, id),
			 (long long) flake_layout_sequence(layout, id),
			 (long long) flake_layout_tick(layout, backend->last_id),
			 (long long) flake_layout_slot(layout, backend->last_id),
			 (long long) flake_layout_sequence(layout, backend->last_id));
	backend->last_id = id;
	backend->last_set = set;

	if (layout->slot_bits == 0)
	{
		int64		single = id - flake_layout_node_bits_of(layout,
															backend->range_node);

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

	/*
	 * A counter that jumps between two readings makes its rate wrong, and
	 * that must be noticed; one that jumps after the last reading can't be.
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
