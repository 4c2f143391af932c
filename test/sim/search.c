/*
 * search.c
 *		Small worlds, searched exhaustively: every order of steps, and everything
 *		that can happen, within stated bounds, run by the real code.
 *
 * A world is two or three sessions, one or two slots, one or two numbers, a few
 * ticks of a second, and a budget of things that happen.  A state is all of it:
 * the clocks, shared memory, the WAL, what the sessions know, the ids given
 * out, and for a session in the middle of a request its registers and the part
 * of its stack that is in use.  Nothing else is remembered anywhere, so a state
 * can be copied, and put back by copying it to where it was.
 *
 * A session that could go on is interrupted by another at most so often as the
 * budget says ("switches"); by everything else at every point.
 *
 * From each state every alternative is tried: each session that can run, up to
 * its next point, or with each answer to its question; time passing; the clock
 * set; a crash; and so on.  Depth first: the copies of the states on the way,
 * and which alternative is next in each, are an odometer.  A state that was
 * seen before is not gone on from.  Of seen states only a hash of 64 bits is
 * kept; two among ten million states have the same with a probability of 3 in a
 * million.  Two states may differ in what is left over on a stack; that costs
 * time, and hides nothing.
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Small
{
	const char *name;
	int			sessions;
	int			slot_bits;
	int			seq_bits;
	int			requests;		/* of each session */
	bool		hasty;			/* crowded after one failed compare-and-swap */
	bool		lists;			/* also of two ids, also in one piece */
	bool		prompt;			/* time passes when all sessions wait */
	int			lead;			/* allowed, in ticks */
	int			back;			/* the clock is set so many ticks back ... */
	int			ahead;			/* ... or ahead */
	int			lease;			/* the node id is leased for so many ticks */
	bool		release;		/* which are given back at some time */
	Budget		budget;
} Small;

/*
 * These sizes are no proof for all, but nothing in the core counts sessions,
 * slots or numbers: every rule is about one word, one tick and the next one, and
 * that each rule's breaking shows at these sizes is what mutants.sh is for.
 */
static const Small smalls[] =
{
	{.name = "two sessions, two slots",
		.sessions = 2, .slot_bits = 1, .seq_bits = 1, .requests = 2,
		.hasty = true, .lead = 2,
	.budget = {.ticks = 1, .switches = 2}},
	{.name = "lists, the clock is set",
		.sessions = 2, .slot_bits = 1, .seq_bits = 1, .requests = 1,
		.lists = true, .lead = 2, .back = 1,
	.budget = {.ticks = 1, .steps = 1, .switches = 2}},
	{.name = "one session, the clock is set twice",
		.sessions = 1, .slot_bits = 1, .seq_bits = 1, .requests = 3,
		.lists = true, .lead = 2, .back = 2, .ahead = 1,
	.budget = {.ticks = 2, .steps = 2}},
	{.name = "no slots: order across sessions",
		.sessions = 2, .seq_bits = 2, .requests = 2, .lists = true, .lead = 2,
	.budget = {.ticks = 1, .switches = 2}},
	{.name = "three sessions, time passes when all wait",
		.sessions = 3, .slot_bits = 1, .seq_bits = 1, .requests = 4,
		.prompt = true, .lead = 4,
	.budget = {.ticks = 6, .switches = 1}},
	{.name = "crash",
		.sessions = 2, .requests = 2, .lead = 3, .back = 2,
	.budget = {.ticks = 1, .crashes = 1, .switches = 1}},
	{.name = "crash after crash",
		.sessions = 1, .requests = 3, .lead = 3, .back = 2,
	.budget = {.ticks = 2, .crashes = 2}},
	{.name = "a standby takes over",
		.sessions = 2, .requests = 2, .lead = 3, .back = 2,
	.budget = {.ticks = 1, .promotions = 1, .switches = 1}},
	{.name = "node id changes and comes back",
		.sessions = 2, .requests = 2, .lead = 2,
	.budget = {.ticks = 1, .nodes = 2, .switches = 1}},
	{.name = "node id changes, the clock is set",
		.sessions = 1, .requests = 3, .lead = 2, .back = 3,
	.budget = {.ticks = 1, .steps = 1, .nodes = 2}},
	{.name = "others set the mark",
		.sessions = 2, .requests = 1, .lead = 2,
	.budget = {.ticks = 1, .others = 1, .switches = 2}},
	{.name = "others set the mark, crash",
		.sessions = 1, .seq_bits = 1, .requests = 3, .lead = 2, .back = 1,
	.budget = {.ticks = 1, .crashes = 1, .others = 2}},
	{.name = "relations are exchanged, time passes",
		.sessions = 2, .requests = 2, .lead = 2,
	.budget = {.ticks = 2, .exchanges = 1, .switches = 1}},
	{.name = "relations are exchanged, crash",
		.sessions = 2, .requests = 3, .lead = 2, .back = 1,
	.budget = {.crashes = 1, .exchanges = 2, .switches = 1}},
	{.name = "early moves, crash",
		.sessions = 2, .requests = 2, .lead = 2,
	.budget = {.ticks = 2, .crashes = 1, .flushes = 1, .switches = 1}},
	{.name = "early moves, others set the mark, crash",
		.sessions = 1, .requests = 4, .lead = 2,
	.budget = {.ticks = 2, .crashes = 1, .others = 1, .flushes = 1}},
	{.name = "early moves, relations are exchanged, crash",
		.sessions = 2, .requests = 2, .lead = 2,
	.budget = {.ticks = 2, .crashes = 1, .exchanges = 1, .flushes = 1}},
	{.name = "lease: it is renewed, or another one comes",
		.sessions = 2, .requests = 2, .lead = 2, .lease = 1,
	.budget = {.ticks = 1, .leases = 1, .switches = 1}},
	{.name = "lease: it is renewed, or another one comes, crash",
		.sessions = 1, .requests = 3, .lead = 2, .back = 1, .lease = 1,
	.budget = {.ticks = 1, .crashes = 1, .leases = 2}},
	{.name = "lease: the node id is leased or not",
		.sessions = 1, .requests = 3, .lead = 2, .lease = 2,
	.budget = {.ticks = 1, .nodes = 2, .leases = 1}},
	{.name = "release",
		.sessions = 2, .requests = 1, .lead = 2, .lease = 8, .release = true,
	.budget = {.crashes = 1, .switches = 3}},
	{.name = "release, time passes",
		.sessions = 2, .requests = 2, .lead = 2, .lease = 8, .release = true,
	.budget = {.ticks = 1, .switches = 1}},
};

#define TICK_US		FLAKE_US_PER_SECOND
#define EPOCH_US	INT64CONST(1700000000000000)

static const Small *small;

bool
keeps_wal(void)
{
	return !searching || small->budget.promotions > 0;
}

/* --------------------------------------------------------------- the world */

static void
make_small_world(void)
{
	static const Config nothing = {.name = "search"};
	static const Config prompt = {.name = "search", .wait_ticks = 2};
	FlakeLayout *layout = &world.layout;
	int			below = 2 + small->slot_bits + small->seq_bits + 1;

	memset(&world, 0, offsetof(World, backends));
	world.config = small->prompt ? &prompt : &nothing;
	world.left = small->budget;
	world.last = -1;

	layout->epoch_us = EPOCH_US;
	layout->tick_us = TICK_US;
	layout->time_bits = FLAKE_ID_BITS - below;
	layout->slot_bits = small->slot_bits;
	layout->seq_bits = small->seq_bits;
	layout->node_bits = layout->free_node_bits = 3;
	layout->time_shift = below;
	below += layout->time_bits;
	add_field(FLAKE_FIELD_TIME, "time", layout->time_bits, &below);
	add_field(FLAKE_FIELD_NODE, "high", 2, &below);
	add_field(FLAKE_FIELD_SLOT, "slot", layout->slot_bits, &below);
	layout->slot_shift = layout->slot_bits > 0 ? below : 0;
	add_field(FLAKE_FIELD_SEQUENCE, "sequence", layout->seq_bits, &below);
	layout->seq_shift = layout->seq_bits > 0 ? below : 0;
	add_field(FLAKE_FIELD_NODE, "low", 1, &below);

	world.mono_us = TICK_US;
	world.nservers = 1;
	world.servers[0].wall_offset_us = start_of(10) - world.mono_us;
	world.servers[0].node = small->lease > 0 ? LEASED : 1;
	world.nleasable = small->lease > 0 ? 2 : 0;
	world.lease_us = small->lease * TICK_US;
	world.lead_us = small->lead * TICK_US;
	for (int i = 0; i < MAX_DATABASES; i++)
		world.databases[i].exchanger = -1;
	begin_wal();
	begin_server(&world.servers[0]);
	world.nbackends = small->sessions + small->release;
	for (int i = 0; i < world.nbackends; i++)
	{
		Backend    *backend = &world.backends[i];

		memset(backend, 0, sizeof(*backend));
		backend->number = i;
		backend->home = world.nbackends - 1 - i;
		backend->leases = i >= small->sessions;
		backend->requests_left = backend->leases ? 1 : small->requests;
		backend_start(backend);
		if (small->hasty)
			backend->session.score = PG_INT32_MAX;
	}
	counter_load(&world.backends[0]);	/* off, for all of them */
}

/* One request of a session, when it is its turn. */
void
search_request(Backend *backend)
{
	backend->busy = false;
	turn_over();
	backend->busy = true;
	backend->requests_left--;
	if (backend->leases)
	{
		release_lease(server_of(backend->database));
		if (choose(2) == 1)
			next_lease(server_of(backend->database));
		return;
	}
	begin_statement(backend);
	if (world.left.exchanges > 0 && choose(2) == 1)
	{
		Database   *database = &world.databases[backend->database];

		world.left.exchanges--;
		if (database->exchanger < 0)
			begin_exchange(backend, 0);
		else
			end_exchange(backend, choose(2) == 0);
	}
	switch (small->lists ? choose(3) : 0)
	{
		case 0:
			(void) take_one(backend, 1);
			break;
		case 1:
			if (take_one(backend, 2))
				(void) take_one(backend, 1);
			break;
		default:
			take_run(backend, 2);
			break;
	}
	/* nothing of it matters any more */
	backend->asked_us = backend->read_us = backend->read_mono_us = 0;
	backend->known_us = 0;
	backend->moved = backend->ids_since_read = 0;
}

/* ------------------------------------------------------------ alternatives */

static void
run_session(Backend *backend)
{
	world.last = backend->number;
	world.running = backend;
	fiber_clean(backend->number);
	fiber_run(backend->number);
	world.running = NULL;
}

/* Is the lock still taken that it waits for? */
static bool
is_blocked(const Backend *backend)
{
	const Database *database = &world.databases[backend->database];

	return backend->blocked &&
		(database->locked_by >= 0 ||
		 (database->exchanger >= 0 && database->exchanger != backend->number));
}

static bool
can_run(const Backend *backend)
{
	return backend->wake_us <= world.mono_us && !is_blocked(backend) &&
		(backend->busy || backend->requests_left > 0);
}

/* It ran last, and could go on: another one would interrupt it. */
static bool
is_interrupted(void)
{
	const Backend *last = &world.backends[world.last];

	return world.last >= 0 && last->busy && can_run(last);
}

static bool
nobody_can_run(void)
{
	for (int i = 0; i < world.nbackends; i++)
	{
		if (can_run(&world.backends[i]))
			return false;
	}
	return true;
}

static bool
somebody_is_left(void)
{
	for (int i = 0; i < world.nbackends; i++)
	{
		if (world.backends[i].busy || world.backends[i].requests_left > 0)
			return true;
	}
	return false;
}

/*
 * The alternatives are gone through in one order, whether they are counted or
 * one is taken.  "number" is how many are to be passed over before that one;
 * negative: none is taken, or it was already.
 */
static bool
is_it(int *number)
{
	return (*number)-- == 0;
}

static int
alternatives_of_session(int number, int *count)
{
	bool		interrupted = is_interrupted();

	for (int i = 0; i < world.nbackends; i++)
	{
		Backend    *backend = &world.backends[i];
		bool		other = interrupted && i != world.last;

		if (!can_run(backend) || (other && world.left.switches == 0))
			continue;
		(*count)++;
		if (!is_it(&number))
			continue;
		if (other)
			world.left.switches--;
		run_session(backend);
		return -1;
	}
	return number;
}

static int
alternatives_of_clock(int number, int *count)
{
	if (world.left.ticks > 0 && (!small->prompt || nobody_can_run()))
	{
		(*count)++;
		if (is_it(&number))
		{
			world.left.ticks--;
			advance(TICK_US);
			trace("a tick passes");
			return -1;
		}
	}
	if (world.left.steps > 0)
	{
		for (int by = -small->back; by <= small->ahead; by++)
		{
			if (by == 0)
				continue;
			(*count)++;
			if (!is_it(&number))
				continue;
			world.left.steps--;
			world.servers[0].wall_offset_us += by * TICK_US;
			trace("clock is set by %d ticks", by);
			return -1;
		}
	}
	return number;
}

/* The server comes up again, with a clock that may have been set back. */
static int
alternatives_of_restart(int number, int *count)
{
	int			from = world.left.promotions > 0 ? MAX_DATABASES : world.nflushed;

	if (world.left.promotions == 0 && world.left.crashes == 0)
		return number;
	for (int n = from; n <= world.nrecords; n++)
	{
		int8	   *left = n < world.nflushed ? &world.left.promotions :
			&world.left.crashes;

		if (*left == 0)
			continue;
		for (int back = 0; back <= small->back; back++)
		{
			(*count)++;
			if (!is_it(&number))
				continue;
			(*left)--;
			world.servers[0].wall_offset_us -= back * TICK_US;
			trace(n < world.nflushed ? "a standby takes over" : "crash");
			world.last = -1;
			restart_from(&world.servers[0], n);
			return -1;
		}
	}
	return number;
}

static int
alternatives_of_others(int number, int *count)
{
	if (world.left.flushes > 0 && world.nflushed < world.nrecords)
	{
		(*count)++;
		if (is_it(&number))
		{
			world.left.flushes--;
			flush_all();
			return -1;
		}
	}
	if (world.left.nodes > 0)
	{
		(*count)++;
		if (is_it(&number))
		{
			world.left.nodes--;
			world.servers[0].node = small->lease == 0 ?
				1 - world.servers[0].node :
				world.servers[0].node == LEASED ? 1 : LEASED;
			trace("node id is set to %lld", (long long) world.servers[0].node);
			return -1;
		}
	}
	if (world.left.leases > 0)
	{
		Server	   *server = &world.servers[0];

		(*count)++;
		if (is_it(&number))
		{
			world.left.leases--;
			(void) extend_lease(server->lease,
								server->lease->granted_us + TICK_US);
			return -1;
		}
		(*count)++;
		if (is_it(&number))
		{
			world.left.leases--;
			first_lease(server);
			return -1;
		}
	}
	if (world.left.others > 0 && !world.databases[0].page_locked &&
		world.databases[0].exchanger < 0)
	{
		/* unset, before the clock, ahead by as much as may be, by more */
		const int64 values[] = {0, wall_us() - TICK_US,
			wall_us() + world.lead_us,
		wall_us() + world.lead_us + FLAKE_LEAD_GRACE_US + 1};

		for (int i = 0; i < 2 * (int) lengthof(values); i++)
		{
			(*count)++;
			if (!is_it(&number))
				continue;
			world.left.others--;
			set_mark(0, values[i / 2] * FLAKE_NS_PER_US, i % 2 == 0);
			return -1;
		}
	}
	return number;
}

/* How many alternatives there are; with a number, that one is taken. */
static int
alternatives(int number)
{
	int			count = 0;

	if (world.alternatives > 0)
	{
		count = world.alternatives;
		if (number >= 0)
		{
			world.alternatives = 0;
			world.answer = number;
			run_session(&world.backends[world.last]);
		}
		return count;
	}
	if (!somebody_is_left())
		return 0;
	number = alternatives_of_session(number, &count);
	number = alternatives_of_clock(number, &count);
	number = alternatives_of_restart(number, &count);
	(void) alternatives_of_others(number, &count);
	return count;
}

/* ----------------------------------------------------------------- states */

#define WORLD_PARTS	6
#define MAX_PARTS	(WORLD_PARTS + 2 * MAX_BACKENDS)

typedef struct Part
{
	char	   *place;
	size_t		size;
} Part;

static void
add_part(Part **part, void *place, size_t size)
{
	(*part)->place = place;
	(*part)->size = size;
	(*part)++;
}

/* All that makes a state, where it is in memory. */
static int
list_parts(Part *parts)
{
	Part	   *part = parts;
	size_t		size;
	char	   *place;

	add_part(&part, &world, offsetof(World, backends));
	add_part(&part, world.backends, world.nbackends * sizeof(Backend));
	add_part(&part, world.sets[0], world.servers[0].nsets * sizeof(SlotSet));
	add_part(&part, world.leases, world.nleases * sizeof(Lease));
	add_part(&part, world.ids, world.nids * sizeof(GivenOut));
	add_part(&part, world.wal, world.nrecords * sizeof(Record));
	for (int i = 0; i < world.nbackends; i++)
	{
		place = fiber_state(i, &size);
		add_part(&part, place, size);
		place = fiber_live(i, &size);
		add_part(&part, place, size);
	}
	return part - parts;
}

/* The states on the way, one after the other. */
typedef struct Frame
{
	size_t		begin;			/* of its copy */
	int			count;			/* alternatives */
	int			taken;			/* those up to this one */
} Frame;

static char *copies;
static size_t copies_size;
static size_t copies_used;
static Frame *frames;
static int	max_frames;
static int	nframes;

static void *
grow(void *memory, size_t size)
{
	memory = realloc(memory, size);
	if (memory == NULL)
		abort();
	return memory;
}

static void
push(int count)
{
	Part		parts[MAX_PARTS];
	int			n = list_parts(parts);
	Frame	   *frame;

	if (nframes == max_frames)
	{
		max_frames = 2 * max_frames + 64;
		frames = grow(frames, max_frames * sizeof(Frame));
	}
	frame = &frames[nframes++];
	frame->begin = copies_used;
	frame->count = count;
	frame->taken = 0;
	for (int i = 0; i < n; i++)
	{
		if (copies_used + parts[i].size > copies_size)
		{
			copies_size = 2 * copies_size + (1 << 20);
			copies = grow(copies, copies_size);
		}
		memcpy(copies + copies_used, parts[i].place, parts[i].size);
		copies_used += parts[i].size;
	}
}

/* The counts in the first part tell how long the others are, and so on. */
static void
put_back(const Frame *frame)
{
	Part		parts[MAX_PARTS];
	const char *from = copies + frame->begin;
	bool		traced = world.trace;

	(void) list_parts(parts);
	memcpy(parts[0].place, from, parts[0].size);
	from += parts[0].size;
	(void) list_parts(parts);
	for (int i = 1; i < WORLD_PARTS + 2 * world.nbackends; i++)
	{
		/* a fiber's registers come before its stack, and say how long it is */
		if (i >= WORLD_PARTS)
			(void) list_parts(parts);
		memcpy(parts[i].place, from, parts[i].size);
		from += parts[i].size;
	}
	world.trace = traced;
}

/* ------------------------------------------------------------- seen before */

static uint64 *seen;
static uint64 seen_size;
static uint64 nseen;

static inline uint64
mix(uint64 h, uint64 v)
{
	h = (h ^ v) * UINT64CONST(0x9E3779B97F4A7C15);
	return h ^ h >> 29;
}

static uint64
hash_bytes(uint64 h, const void *bytes, size_t size)
{
	const char *p = bytes;
	uint64		v;

	for (; size >= 8; size -= 8, p += 8)
	{
		memcpy(&v, p, 8);
		h = mix(h, v);
	}
	v = 0;
	memcpy(&v, p, size);
	return mix(h, v);
}

static uint64
hash_backend(uint64 h, const Backend *backend)
{
	Backend		copy = *backend;
	FlakeSession *session = &copy.session;
	size_t		size;
	char	   *place;

	if (session->next_id == session->end_id)
	{
		session->next_id = session->end_id = session->ready_id = 0;
		session->usable_from_us = session->usable_us = 0;
	}
	session->counted_from = 0;
	h = hash_bytes(h, &copy, sizeof(copy));
	if (!backend->busy)
		return h;
	place = fiber_state(backend->number, &size);
	h = hash_bytes(h, place, size);
	place = fiber_live(backend->number, &size);
	return hash_bytes(h, place, size);
}

static uint64
hash_set(uint64 h, const SlotSet *set)
{
	h = mix(h, set->shared.slots.node);
	h = mix(h, set->seen_tick);
	for (int i = 0; i < 1 << world.layout.slot_bits; i++)
		h = mix(h, set->seen_words[i]);
	h = mix(h, set->high_us);
	return mix(h, set->last_single);
}

static uint64
hash_state(void)
{
	uint64		h = 1;
	uint64		ids = 0;

	h = hash_bytes(h, &world.mono_us,
				   offsetof(World, backends) - offsetof(World, mono_us));
	for (int i = 0; i < world.nbackends; i++)
		h = hash_backend(h, &world.backends[i]);
	for (int i = 0; i < world.servers[0].nsets; i++)
		h = hash_set(h, &world.sets[0][i]);
	h = hash_bytes(h, world.leases, world.nleases * sizeof(Lease));
	h = hash_bytes(h, world.wal, world.nrecords * sizeof(Record));
	/* in whatever order they were given out */
	for (int i = 0; i < world.nids; i++)
	{
		const GivenOut *entry = &world.ids[i];
		uint64		e = mix(7, entry->id);

		e = mix(e, entry->run == world.servers[0].run);
		e = mix(e, keeps_wal() ? entry->flushed : 0);
		ids += mix(e, entry->databases << 8 | (entry->unsure & 0xff));
	}
	h = mix(h, ids);
	return h == 0 ? 1 : h;
}

static bool
remember(uint64 *table, uint64 size, uint64 h)
{
	uint64		place = h >> 7;

	for (;; place++)
	{
		uint64	   *entry = &table[place & (size - 1)];

		if (*entry == h)
			return false;
		if (*entry == 0)
		{
			*entry = h;
			return true;
		}
	}
}

/* False: it was seen before. */
static bool
is_new(uint64 h)
{
	if (2 * nseen >= seen_size)
	{
		uint64		size = Max(2 * seen_size, 1 << 16);
		uint64	   *larger = calloc(size, sizeof(uint64));

		if (larger == NULL)
			abort();
		for (uint64 i = 0; i < seen_size; i++)
		{
			if (seen[i] != 0)
				(void) remember(larger, size, seen[i]);
		}
		free(seen);
		seen = larger;
		seen_size = size;
	}
	if (!remember(seen, seen_size, h))
		return false;
	nseen++;
	return true;
}

/* ------------------------------------------------------------- the search */

/* The same way again, told step by step. */
static void
tell(void)
{
	int		   *way = grow(NULL, (nframes + 1) * sizeof(int));
	int			n = nframes;
	int			step = 0;

	for (int i = 0; i < n; i++)
		way[i] = frames[i].taken;
	make_small_world();
	world.trace = true;
	for (;;)
	{
		int			count = alternatives(-1);

		if (count == 0 || world.failed || (count > 1 && step == n))
			break;
		world.turn++;
		(void) alternatives(count > 1 ? way[step++] : 0);
	}
	free(way);
}

/* True: no failure. */
static bool
search(bool quick)
{
	uint64		transitions = 0;
	int			deepest = 0;
	bool		found = false;

	searching = true;
	nframes = 0;
	copies_used = nseen = seen_size = 0;
	free(seen);
	seen = NULL;
	make_small_world();
	for (;;)
	{
		int			count = alternatives(-1);

		transitions++;
		if (world.failed)
		{
			found = true;
			break;
		}
		if (count == 1 || (count > 1 && is_new(hash_state())))
		{
			if (count > 1)
				push(count);
			deepest = Max(deepest, nframes);
			(void) alternatives(0);
			continue;
		}

		/* the end, or seen before: the next alternative of the last state */
		while (nframes > 0 &&
			   frames[nframes - 1].taken + 1 == frames[nframes - 1].count)
			copies_used = frames[--nframes].begin;
		if (nframes == 0)
			break;
		put_back(&frames[nframes - 1]);
		(void) alternatives(++frames[nframes - 1].taken);
	}
	if (found)
	{
		printf("not ok - search: %s\n#   %s\n", small->name, world.failure);
		fflush(stdout);
		if (!quick)
			tell();
	}
	else if (!quick)
		printf("ok - search: %s\n#   %llu states, %llu steps, at most %d choices on the way\n",
			   small->name, (unsigned long long) nseen,
			   (unsigned long long) transitions, deepest);
	fflush(stdout);
	searching = false;
	return !found;
}

bool
search_all(const char *only, bool quick)
{
	bool		ok = true;

	for (int i = 0; i < (int) lengthof(smalls); i++)
	{
		small = &smalls[i];
		if (only != NULL && strstr(small->name, only) == NULL)
			continue;
		ok = search(quick) && ok;
		if (!ok && quick)
			break;
	}
	return ok;
}
