/*
 * world.c
 *		What the server does around the core: clocks, shared memory, the page of
 *		the mark with its locks and its WAL, and the points where another session
 *		can run.
 *
 * look_at_mark() and move_mark() take the steps of src/server/durable.c.  The
 * decisions are those of src/core/mark.c.
 */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

World		world;

void
trace(const char *fmt, ...)
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

/* A time for traces, counted from the epoch. */
static long long
since_epoch(int64 us)
{
	return us == FLAKE_NO_TIME ? -1 : (long long) (us - world.layout.epoch_us);
}

/* ------------------------------------------------------- clocks and points */

int64
wall_of(const Server *server)
{
	return world.mono_us + server->wall_offset_us;
}

/* The wall clock of the running session; if none runs, the first server's. */
int64
wall_us(void)
{
	return wall_of(server_of(world.running == NULL ? 0 :
							 world.running->database));
}

void
advance(int64 us)
{
	world.mono_us += us;
	for (int i = 0; world.frozen && i < world.nservers; i++)
		world.servers[i].wall_offset_us -= us;
}

/* Find and check what the running session has changed in shared memory. */
void
observe(void)
{
	Backend    *backend = world.running;
	SlotSet    *set = backend->set;
	FlakeSlots *slots = &set->shared.slots;
	Database   *database = &world.databases[backend->database];
	uint64		now = pg_atomic_read_u64(&slots->tick);

	if (unlikely(now != set->seen_tick))
	{
		uint64		old = set->seen_tick;

		set->seen_tick = now;
		trace("layout's tick %llu -> %llu", (unsigned long long) old,
			  (unsigned long long) now);
		check_tick_moved(backend, old, now);
	}
	for (int i = 0; i < 1 << world.layout.slot_bits; i++)
	{
		now = pg_atomic_read_u64(&slots->slot[i].word);
		if (unlikely(now != set->seen_words[i]))
		{
			uint64		old = set->seen_words[i];
			int			bits = world.layout.seq_bits;

			set->seen_words[i] = now;
			trace("slot %d: %llu.%llu -> %llu.%llu", i,
				  (unsigned long long) old >> bits,
				  (unsigned long long) (old & flake_mask(bits)),
				  (unsigned long long) now >> bits,
				  (unsigned long long) (now & flake_mask(bits)));
			check_word(backend, i, old, now);
		}
	}
	if (unlikely(flake_time_read(&database->mark.mark_us) !=
				 database->seen_mark_us))
		check_mark(database);
}

/* The running session yields. */
void
turn_over(void)
{
	observe();
	fiber_yield();
}

void
flake_sim_point(void)
{
	if (searching || --world.points_left <= 0)
		turn_over();
	else
		observe();
}

/* A point that a search does not need. */
static void
extra_point(void)
{
	if (!searching)
		flake_sim_point();
}

int64
flake_clock_us(void)
{
	int64		now_us;

	flake_sim_point();
	now_us = wall_us();
	saw_clock(world.running, now_us);
	extra_point();
	return now_us;
}

int64
flake_monotonic_us(void)
{
	int64		now_us;

	extra_point();
	now_us = world.mono_us;
	extra_point();
	return now_us;
}

void
sleep_us(int64 us)
{
	if (us < 0)
		fail("asked to wait %lld us", (long long) us);
	if (us > 0)
		trace("waits %lld us", (long long) us);
	world.running->wake_us = world.mono_us + us;
	turn_over();
}

/* ----------------------------------------------------------- shared memory */

/* The slots of the session's node id; created if need be. */
SlotSet *
find_set(const Backend *backend)
{
	Server	   *server = server_of(backend->database);
	SlotSet    *sets = world.sets[server - world.servers];
	SlotSet    *set = sets;
	int64		node = flake_slots_node(&world.layout, backend->node);

	for (; set < sets + server->nsets; set++)
	{
		if (set->shared.slots.node == node)
			return set;
	}
	server->nsets++;
	memset(set, 0, sizeof(*set));
	flake_slots_init(&set->shared.slots, &world.layout, backend->node);
	set->leased = backend->lease != NULL;
	set->high_us = PG_INT64_MIN / 2;
	set->last_single = -1;
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		int64		start_us = flake_mark_start_us(&world.databases[i].mark);

		if (start_us != FLAKE_NO_TIME && server_of(i) == server && !set->leased)
			saw_time(set, start_of(tick_of(start_us) + 1));
	}
	return set;
}

/* ------------------------------------------------------------ page and WAL */

/* What the page of a database held when the WAL had nrecords records. */
const Record *
page_at(int database, int nrecords)
{
	while (world.wal[--nrecords].database != database)
		continue;
	return &world.wal[nrecords];
}

static void
write_record(int database, Record record)
{
	record.database = database;
	if (world.nrecords == MAX_RECORDS)
		fail("too many records");
	else
		world.wal[world.nrecords++] = record;
}

/*
 * The end of the WAL's first nrecords records.  It must differ from 0 and from
 * FLAKE_MARK_MOVING.
 */
static uint64
wal_end(int nrecords)
{
	return FLAKE_MARK_MOVING + 1 + nrecords;
}

/* A record is dropped, so all counts that include it are reduced. */
static void
forget_record(int number)
{
	for (int b = 0; b < world.nbackends; b++)
		world.backends[b].page_seen -= world.backends[b].page_seen > number;
	for (int d = 0; d < MAX_DATABASES; d++)
	{
		Database   *database = &world.databases[d];
		uint64		pending = pg_atomic_read_u64(&database->mark.pending);

		database->in_flight -= database->in_flight > number;
		if (pending > wal_end(number))
			pg_atomic_write_u64(&database->mark.pending, pending - 1);
	}
}

/*
 * Flush the first nrecords records, which then cannot be lost.  Unless a standby
 * can take over, older records do not matter any more and are dropped, so that a
 * search meets the same states again.
 */
static void
flush(int nrecords)
{
	const Record *durable[MAX_DATABASES];
	int			kept = 0;

	world.nflushed = Max(world.nflushed, nrecords);
	if (keeps_wal())
		return;
	for (int i = 0; i < MAX_DATABASES; i++)
		durable[i] = page_at(i, world.nflushed);
	for (int i = 0; i < world.nrecords; i++)
	{
		if (i >= world.nflushed ||
			&world.wal[i] == durable[world.wal[i].database])
		{
			world.wal[kept++] = world.wal[i];
			continue;
		}
		forget_record(kept);
	}
	world.nflushed -= world.nrecords - kept;
	world.nrecords = kept;
}

/* The WAL writer flushes, or somebody's commit. */
void
flush_all(void)
{
	trace("all WAL is flushed");
	flush(world.nrecords);
}

/* Create the databases, whose marks are unset. */
void
begin_wal(void)
{
	const Record unset = {.foreign = true};

	world.nrecords = 0;
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		world.databases[i].relation = ++world.last_relation;
		write_record(i, unset);
	}
	flush(world.nrecords);
}

/* Start a server, which knows only its pages. */
void
begin_server(Server *server)
{
	server->run = world.last_run++;
	server->nsets = 0;
	server->lease = NULL;
	server->wanted_us = 0;
	world.running = NULL;
	world.waits_from_us = world.mono_us;
	world.moved_wall_us = 0;
	if (world.nleasable > 0)
		first_lease(server);
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		Database   *database = &world.databases[i];
		Record	   *page = unconstify(Record *, page_at(i, world.nrecords));

		if (server_of(i) != server)
			continue;
		if (page->hole)
			forget_ids(i, -1, false);
		page->hole = false;
		page->foreign = true;
		flake_mark_init(&database->mark);
		database->relation_users = 0;
		database->locked_by = -1;
		database->page_locked = false;
		if (database->exchanger >= 0)
		{
			forget_ids(i, -1, true);
			settle_ids(i);
		}
		database->exchanger = -1;
		database->demand_ns = database->promised_ns = 0;
		database->seen_mark_us = FLAKE_NO_TIME;
	}
}

/*
 * A server starts with the first nrecords records of the WAL.  That is at least
 * what was flushed, or less if a standby takes over, which need not have received
 * everything.  (Two servers share one WAL here.  Each flushes all of it, and loses
 * only its own records.)
 */
void
restart_from(Server *server, int nrecords)
{
	int			kept = nrecords;

	for (int i = 0; i < MAX_DATABASES && nrecords < world.nflushed; i++)
		forget_ids(i, nrecords, false);
	for (int i = nrecords; i < world.nrecords; i++)
	{
		if (server_of(world.wal[i].database) == server)
			forget_record(kept);
		else
			world.wal[kept++] = world.wal[i];
	}
	world.nrecords = kept;
	world.nflushed = nrecords;
	begin_server(server);
	for (int i = 0; i < world.nbackends; i++)
	{
		if (server_of(world.backends[i].database) == server)
			backend_start(&world.backends[i]);
	}
}

/* The page that a session sees. */
static Record *
page_of(Backend *backend)
{
	Database   *database = &world.databases[backend->database];

	if (database->exchanger == backend->number)
		return &database->new_page;
	return unconstify(Record *, page_at(backend->database, world.nrecords));
}

static uint64
relation_of(Backend *backend)
{
	Database   *database = &world.databases[backend->database];

	return database->exchanger == backend->number ?
		database->new_relation : database->relation;
}

/* ------------------------------------------------ others' hands on the mark */

/*
 * Others set the mark as setval() does: a restore, a script, a subscription.  Does
 * nothing if the page or the relation is locked.
 */
void
set_mark(int number, int64 ns, bool flushed)
{
	Database   *database = &world.databases[number];
	Record		record = {.ns = ns, .hole = ns < database->promised_ns};

	if (database->exchanger >= 0 || database->page_locked)
		return;
	trace("others set the mark of database %d to %+lld", number,
		  since_epoch(us_of(ns)));
	if (pg_atomic_read_u64(&database->mark.relation) == 0)
	{
		/* only the page tells what was issued before the start */
		record.foreign = true;
		if (ns < page_at(number, world.nrecords)->ns)
			forget_ids(number, -1, false);
	}
	else
	{
		const Record *page = page_at(number, world.nrecords);

		/* it is not possible to tell who set a value that was there already */
		record.foreign = ns == page->ns ? page->foreign :
			!flake_mark_is_ours(&database->mark, ns);
	}
	write_record(number, record);
	if (flushed)
		flush(world.nrecords);
}

/*
 * A transaction drops the relation and creates another one, whose value is unset
 * or comes from a dump.
 */
void
begin_exchange(Backend *backend, int64 ns)
{
	Database   *database = &world.databases[backend->database];
	const Record page = {.ns = ns, .foreign = true};

	if (database->exchanger >= 0 ||
		(database->relation_users & ~(1u << backend->number)) != 0)
		return;
	/* only the old page tells what was issued before the start */
	if (pg_atomic_read_u64(&database->mark.relation) == 0)
		forget_ids(backend->database, -1, false);
	database->exchanger = backend->number;
	database->new_relation = ++world.last_relation;
	database->new_page = page;
	backend->invalidated = true;
	hear_of_relation(backend);
	trace("exchanges the relation of database %d", backend->database);
}

void
end_exchange(Backend *backend, bool commit)
{
	Database   *database = &world.databases[backend->database];
	Record		record = database->new_page;

	if (database->exchanger != backend->number)
		return;
	trace("%s the exchange", commit ? "commits" : "rolls back");
	database->exchanger = -1;
	backend->invalidated = true;
	hear_of_relation(backend);
	if (!commit)
	{
		/* it is behind what was published for the other relation */
		for (int i = 0; i < world.nrecords; i++)
		{
			if (world.wal[i].database == backend->database &&
				world.wal[i].ns < database->promised_ns)
				world.wal[i].hole = true;
		}
		settle_ids(backend->database);
		return;
	}
	database->relation = database->new_relation;
	record.hole = record.ns < database->promised_ns;
	write_record(backend->database, record);
	flush(world.nrecords);
	settle_ids(backend->database);
	for (int i = 0; i < world.nbackends; i++)
	{
		if (world.backends[i].database == backend->database)
			world.backends[i].invalidated = true;
	}
}

/* Process messages about changed relations. */
void
hear_of_relation(Backend *backend)
{
	if (!backend->invalidated)
		return;
	backend->invalidated = false;
	backend->relation = 0;
	flake_session_forget_range(&backend->session);
}

/* ---------------------------------------------------------------- the mark */

/* Lock the relation, then the mark.  If "early", return false rather than wait. */
static bool
lock_mark(Backend *backend, bool early)
{
	Database   *database = &world.databases[backend->database];
	uint32		me = 1u << backend->number;

	while (database->exchanger >= 0 && database->exchanger != backend->number)
	{
		if (early)
			return false;
		backend->blocked = true;
		turn_over();
	}
	database->relation_users |= me;
	hear_of_relation(backend);
	while (database->locked_by >= 0)
	{
		if (early)
		{
			database->relation_users &= ~me;
			return false;
		}
		backend->blocked = true;
		turn_over();
	}
	backend->blocked = false;
	database->locked_by = backend->number;
	return true;
}

static void
unlock_mark(Backend *backend)
{
	Database   *database = &world.databases[backend->database];

	database->page_locked = false;
	database->locked_by = -1;
	database->relation_users &= ~(1u << backend->number);
	backend->blocked = false;
}

/*
 * Write the page as planned and unlock it, and flush if that is planned.  Returns
 * false if it was not flushed, or if the flush failed.
 */
static bool
write_and_flush(Backend *backend, const FlakeMarkPlan *plan)
{
	Database   *database = &world.databases[backend->database];
	int64		since_us = world.mono_us;
	const Record record = {.ns = plan->write_ns};
	bool		logged;

	if (database->exchanger == backend->number)
		database->new_page = record;
	else
		write_record(backend->database, record);
	database->in_flight = backend->page_seen = world.nrecords;
	flake_sim_point();
	/* with wal_level = minimal there is no WAL for a new relation */
	logged = searching || database->exchanger != backend->number || one_in(2);
	flake_mark_written(&database->mark, plan,
					   logged ? wal_end(database->in_flight) : 0);
	database->page_locked = false;
	check_move();
	if (!logged)
		return true;
	if (!plan->flush)
		return false;
	check_flush(backend);
	sleep_us(world.flush_us);
	if (happens(world.config->fail_rate))
	{
		trace("flush fails");
		return false;
	}
	flush(database->in_flight);
	flake_sim_point();
	flake_time_write(&database->mark.write_us, world.mono_us - since_us);
	return true;
}

/*
 * Move the mark as flake_mark_plan() decides, or only take over this session's
 * relation and page.
 */
FlakeMarkVerdict
move_mark(Backend *backend, FlakeMarkNeed need, bool early)
{
	Database   *database = &world.databases[backend->database];
	FlakeMark  *mark = &database->mark;
	FlakeMarkFound found = {.early = early, .max_jump_us = world.max_jump_us};
	Server	   *server = server_of(backend->database);
	FlakeMarkPlan plan;
	Record	   *page;
	bool		written = true;

	if (!lock_mark(backend, early))
		return FLAKE_MARK_NOT_WORTH_IT;
	flake_sim_point();
	database->page_locked = true;
	page = page_of(backend);
	need.wall_us = wall_us();
	found.relation = relation_of(backend);
	found.page_ns = page->ns;
	if (world.moved_wall_us != 0)
		found.jump_us = wall_us() - world.moved_wall_us -
			(world.mono_us - world.moved_mono_us);
	plan = flake_mark_plan(mark, &found, &need);
	if (plan.verdict != FLAKE_MARK_KEEP && plan.verdict != FLAKE_MARK_WRITE)
	{
		check_mark_refused(backend, plan.verdict, &found, &need);
		unlock_mark(backend);
		return plan.verdict;
	}

	check_plan(backend, &plan, &found, &need, page->foreign,
			   flake_time_read(&mark->mark_us));
	database->promised_ns = Max(database->promised_ns, plan.write_ns);
	if (plan.start_us != FLAKE_NO_TIME)
	{
		SlotSet    *sets = world.sets[server - world.servers];

		for (int i = 0; i < server->nsets; i++)
		{
			if (!sets[i].leased)
				saw_time(&sets[i], start_of(tick_of(plan.start_us) + 1));
		}
	}
	extra_point();
	flake_mark_prepare(mark, &plan);
	page = page_of(backend);	/* a flush moves it */
	if (page->foreign)
		database->demand_ns = Max(database->demand_ns, page->ns);
	page->foreign = false;
	backend->page_seen = world.nrecords;
	backend->demand_ns = database->demand_ns;
	if (plan.verdict == FLAKE_MARK_WRITE)
	{
		written = write_and_flush(backend, &plan);
		if (need.until_us != FLAKE_NO_TIME && world.max_jump_us > 0)
		{
			world.moved_wall_us = need.wall_us;
			world.moved_mono_us = world.mono_us;
		}
	}
	else
		database->page_locked = false;
	if (written)
	{
		flake_mark_publish(mark, &plan);
		backend->relation = plan.relation;
		trace("mark of database %d is %+lld, start mark %+lld",
			  backend->database, since_epoch(plan.mark_us),
			  since_epoch(plan.start_us));
	}
	unlock_mark(backend);
	flake_sim_point();
	return plan.verdict;
}

/* Have others changed the page?  Read without a lock. */
static bool
page_changed(Backend *backend)
{
	Database   *database = &world.databases[backend->database];
	FlakeMark  *mark = &database->mark;
	bool		changed = true;

	for (int i = 0; changed && i < 2; i++)
	{
		const Record *page;
		int64		page_ns;

		flake_sim_point();
		if (backend->relation != relation_of(backend))
			return true;
		page = page_of(backend);
		page_ns = page->ns;
		backend->demand_ns = page->foreign ?
			Max(database->demand_ns, page_ns) : database->demand_ns;
		backend->page_seen = world.nrecords;
		extra_point();
		changed = !flake_mark_is_ours(mark, page_ns);
	}
	return changed;
}

/* Is a move pending, and has it been flushed? */
static bool
is_flushed(uint64 pending)
{
	return pending != 0 && pending <= wal_end(world.nflushed);
}

/* Publish a pending move if it was flushed, unless the mark is locked. */
static void
publish_pending(Backend *backend)
{
	Database   *database = &world.databases[backend->database];
	FlakeMark  *mark = &database->mark;

	if (!is_flushed(flake_mark_pending(mark)))
		return;
	flake_sim_point();
	if (database->locked_by >= 0)
		return;
	database->locked_by = backend->number;
	if (is_flushed(flake_mark_pending(mark)))
	{
		flake_mark_publish_pending(mark);
		trace("mark of database %d is %+lld", backend->database,
			  since_epoch(flake_time_read(&mark->mark_us)));
	}
	flake_sim_point();
	database->locked_by = -1;
}

/*
 * Before each step of a request: make sure that the shared values are about this
 * session's relation and page.  Returns false if the mark is refused.
 */
bool
look_at_mark(Backend *backend, int64 lead_us, FlakeMarkVerdict *verdict)
{
	FlakeMark  *mark = &world.databases[backend->database].mark;
	FlakeMarkNeed need = {.until_us = FLAKE_NO_TIME};

	if (backend->relation != 0 &&
		pg_atomic_read_u64(&mark->relation) == backend->relation &&
		!page_changed(backend))
	{
		publish_pending(backend);
		return true;
	}
	need.wall_us = flake_clock_us();
	need.tick_us = world.layout.tick_us;
	need.lead_us = lead_us;
	need.leased = backend->lease != NULL;
	*verdict = move_mark(backend, need, false);
	return *verdict == FLAKE_MARK_KEEP || *verdict == FLAKE_MARK_WRITE;
}
