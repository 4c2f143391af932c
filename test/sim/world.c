/*
 * world.c
 *		What the issuing code finds around it: clocks, the mark, the settings,
 *		and the points at which another session may run.
 *
 * The mark is src/mark.c in small: the page is written before the mark is
 * published, under a lock, and a crash leaves the page or, where that was not
 * flushed yet, what was published.
 */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

World		world;

void
trace(const char *fmt,...)
{
	va_list		args;

	if (!world.trace)
		return;
	printf("#   %6lld  mono %+lld  wall %+lld (tick %lld)  ",
		   (long long) world.turn,
		   (long long) (world.mono_us - FLAKE_US_PER_SECOND),
		   (long long) (wall_us() - world.layout.epoch_us),
		   (long long) tick_of(wall_us()));
	if (world.running != NULL)
		printf("session %d: ", world.running->number);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

int64
wall_us(void)
{
	return world.mono_us + world.wall_offset_us;
}

void
advance(int64 us)
{
	world.mono_us += us;
	if (world.frozen)
		world.wall_offset_us -= us;
}

/* Compare the shared words with what they were: the running one moved them. */
void
observe(void)
{
	SlotSet    *set = world.running->set;
	const char *of = set == world.set ? "" : "old ";
	uint64		now = pg_atomic_read_u64(&set->slots->tick);

	if (unlikely(now != set->seen_tick))
	{
		uint64		old = set->seen_tick;

		set->seen_tick = now;
		trace("%slayout's tick %llu -> %llu", of, (unsigned long long) old,
			  (unsigned long long) now);
		check_tick_moved(world.running, old, now);
	}
	for (int i = 0; i < 1 << world.layout.slot_bits; i++)
	{
		now = pg_atomic_read_u64(&set->slots->slot[i].word);
		if (unlikely(now != set->seen_words[i]))
		{
			uint64		old = set->seen_words[i];
			int			bits = world.layout.seq_bits;

			set->seen_words[i] = now;
			trace("%sslot %d: %llu.%llu -> %llu.%llu", of, i,
				  (unsigned long long) old >> bits,
				  (unsigned long long) (old & flake_mask(bits)),
				  (unsigned long long) now >> bits,
				  (unsigned long long) (now & flake_mask(bits)));
			check_word(world.running, i, old, now);
		}
	}
}

/* The running session lets others run, whatever is planned. */
void
turn_over(void)
{
	observe();
	fiber_yield();
}

void
flake_sim_point(void)
{
	if (--world.points_left <= 0)
		turn_over();
	else
		observe();
}

/* A session has come to know a time, and may act on it. */
static void
saw_time(int64 us)
{
	SlotSet    *set = world.running->set;

	set->high_us = Max(set->high_us, us - world.mono_us);
}

int64
flake_clock_us(void)
{
	Backend    *backend = world.running;
	int64		now_us;

	flake_sim_point();
	now_us = wall_us();
	backend->read_us = now_us;
	backend->read_mono_us = world.mono_us;
	backend->known_us = now_us;
	backend->ids_since_read = 0;
	backend->read_jumps = backend->pair_jumps;
	saw_time(now_us);
	flake_sim_point();
	return now_us;
}

int64
flake_monotonic_us(void)
{
	int64		now_us;

	flake_sim_point();
	now_us = world.mono_us;
	flake_sim_point();
	return now_us;
}

int64
flake_boottime_us(void)
{
	return flake_monotonic_us();
}

uint64
flake_generation(void)
{
	return world.generation;
}

int64
flake_allowed_lead_us(void)
{
	world.running->allowed_us = lead_in_force(world.allowed_us);
	return world.allowed_us;
}

void
flake_wait_us(int64 us)
{
	if (us < 0)
		fail("asked to wait %lld us", (long long) us);
	if (us > 0)
		trace("waits %lld us", (long long) us);
	world.running->wake_us = world.mono_us + us;
	turn_over();
}

static void
lock_mark(Mark *mark)
{
	while (mark->locked_by >= 0)
		turn_over();
	mark->locked_by = world.running->number;
}

static void
move_mark(Mark *mark, int64 until_us, bool early)
{
	int64		new_us = Max(mark->page_us, mark->mark_us);

	if (new_us < until_us + (early ? world.mark_ahead_us / 2 : 0))
		new_us = until_us + world.mark_ahead_us;
	mark->page_us = new_us;
	flake_sim_point();
	mark->durable_us = new_us;
	flake_sim_point();
	mark->mark_us = new_us;
	trace("mark of database %d moved to %+lld", world.running->database,
		  (long long) (new_us - world.layout.epoch_us));
	mark->locked_by = -1;
}

int64
flake_mark_start_us(void)
{
	Mark	   *mark = &world.marks[world.running->database];
	int64		start_us;

	world.running->start_generation = world.generation;
	flake_sim_point();
	start_us = mark->start_us;
	world.running->start_us = start_us;

	/* ids begin in the tick after it, so it is a reading of a clock, too */
	if (start_us != PG_INT64_MIN)
		saw_time(start_of(tick_of(start_us) + 1));
	flake_sim_point();
	return start_us;
}

bool
flake_mark_covers(int64 until_us)
{
	Mark	   *mark = &world.marks[world.running->database];
	int64		mark_us;

	flake_sim_point();
	mark_us = mark->mark_us;
	flake_sim_point();
	if (mark_us < until_us)
	{
		lock_mark(mark);
		if (mark->mark_us < until_us)
			move_mark(mark, until_us, false);
		else
			mark->locked_by = -1;
		flake_sim_point();
		return false;
	}
	if (mark_us - until_us < world.mark_ahead_us / 2 && mark->locked_by < 0)
	{
		mark->locked_by = world.running->number;
		move_mark(mark, until_us, true);
		flake_sim_point();
		return false;
	}
	return true;
}

/* The slots that sessions find; they wait while these are exchanged. */
SlotSet *
current_set(void)
{
	while (world.directory_locked)
		turn_over();
	return world.set;
}

/* What is known about slots that were just made. */
void
begin_set(SlotSet *set, int64 high_us)
{
	set->given_up = world.retired_nodes;
	set->seen_tick = pg_atomic_read_u64(&set->slots->tick);
	memset(set->seen_words, 0, sizeof(set->seen_words));
	set->high_us = high_us;
	set->last_single = -1;
}

/* As in src/shmem.c. */
static int64
renew_slots(int64 *now)
{
	int64		now_us;
	SlotSet    *old = current_set();
	SlotSet    *new = old + 1;
	int64		latest_us;

	world.directory_locked = true;
	world.generation++;
	flake_sim_point();
	latest_us = now_us = *now = wall_us();
	if (flake_slots_refused(old->slots, now_us))
	{
		if (new == world.sets + MAX_SETS)
			fail("too many resets");
		flake_sim_point();
		flake_slots_renew(new->slots, old->slots, now_us);
		begin_set(new, now_us - world.mono_us);
		check_renewed(old, new, now_us);
		trace("slots are replaced");
		world.set = new;
	}
	else
	{
		flake_sim_point();
		latest_us = Max(latest_us, flake_slots_latest_us(old->slots));
	}
	flake_sim_point();
	return latest_us;
}

/* Is this time ahead of the clock by more than that?  Not if there is none. */
static bool
is_ahead(int64 us, int64 now_us, int64 lead_us)
{
	return us != PG_INT64_MIN && us - now_us > lead_us;
}

/*
 * flake_reset_clock(), run by the running session, in the order in which
 * src/mark.c does it.
 */
void
reset_clock(int database)
{
	Mark	   *mark = &world.marks[database];
	int64		lead_us = world.allowed_us;
	int64		now_us;
	int64		latest_us;

	lock_mark(mark);
	trace("resets the clock of database %d", database);
	latest_us = renew_slots(&now_us);

	flake_sim_point();
	if (is_ahead(mark->start_us, now_us, lead_us))
		mark->start_us = now_us;
	flake_sim_point();
	if (is_ahead(mark->mark_us, now_us, lead_us + world.mark_ahead_us) ||
		is_ahead(mark->page_us, now_us, lead_us))
	{
		int64		new_us = Max(latest_us, mark->start_us) + world.mark_ahead_us;

		new_us = Min(new_us, Max(mark->mark_us, mark->page_us));
		mark->mark_us = Min(mark->mark_us, new_us);
		world.directory_locked = false;
		trace("mark of database %d is lowered to %+lld", database,
			  (long long) (new_us - world.layout.epoch_us));
		flake_sim_point();
		mark->page_us = new_us;
		flake_sim_point();
		mark->durable_us = new_us;
	}
	world.directory_locked = false;
	mark->locked_by = -1;
	trace("reset is done");
}
