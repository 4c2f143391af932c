/*
 * search.c
 *		An exhaustive search of small worlds: every order of steps and events,
 *		within stated bounds, executed by the real code.
 *
 * A world has one to three sessions, one or two slots, one to four numbers, a few
 * ticks of a second, and a budget of events.  A state consists of the clocks,
 * shared memory, the WAL, what the sessions know, the ids given out, and, for a
 * session in the middle of a request, its registers and the used part of its
 * stack.  There is no other memory, so a state can be copied, and restored by
 * copying it back.
 *
 * Events can happen at every point.  But a session that could go on is
 * interrupted by another one only as often as the budget allows ("switches").
 *
 * From each state every alternative is tried, depth first: to run each session
 * that can run up to its next point, or with each answer to its question, to let
 * time pass, to set the clock, to crash, and so on.  The copies of the states on
 * the way, each with its next alternative, are a stack.  A state that was seen
 * before is not explored again.  Only a hash of 64 bits is kept of each state; the
 * probability that two of ten million states have the same one is 3 in a million.
 * States that differ only in garbage on a stack count as different, which costs
 * time but hides nothing.
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
	bool		lists;			/* requests for two ids, also in one piece */
	bool		prompt;			/* time passes only when all sessions wait */
	int			lead;			/* the lead that is allowed, in ticks */
	int			back;			/* the clock is set back by up to this ... */
	int			ahead;			/* ... or ahead by up to this, in ticks */
	int			lease;			/* length of leases in ticks; 0 if none */
	bool		release;		/* a worker releases the lease */
	Budget		budget;
} Small;

/*
 * This proves nothing about larger worlds.  But nothing in the core counts
 * sessions, slots or numbers: every rule is about one word, one tick and the next
 * one.  mutants.sh checks that breaking a rule is noticed at these sizes.
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
	counter_load(&world.backends[0]);	/* the counter is off for all */
}

/* Wait for the session's turn, then make one request. */
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
	/* forget what does not matter any more, for equal states */
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

/* Is the lock that it waits for still taken? */
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

/* Could the session that ran last go on, so that another would interrupt it? */
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
 * The functions below go through the alternatives in a fixed order, count them,
 * and take one.  "number" is how many to skip before that one; it is negative if
 * none is to be taken, or after it was taken.
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

/* The server starts again, with a clock that can have been set back. */
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
		/* unset, before the clock, ahead as far as is allowed, and further */
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

/* The number of alternatives.  Takes one if "number" is not negative. */
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

/* The parts of memory that make up a state. */
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

/* The stack of the states on the way. */
typedef struct Frame
{
	size_t		begin;			/* of its copy, in "copies" */
	int			count;			/* number of alternatives */
	int			taken;			/* the last one that was taken */
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

/*
 * Restore a state.  The sizes of the parts depend on the counts in the first one,
 * so restore that first.
 */
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
		/* and the size of a fiber's stack depends on its registers */
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
	/* the order in which ids were given out does not matter */
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

/* Remember a state; false if it was seen before. */
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

/* Take the same way again and trace it. */
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

		/* the end, or seen before: go back to the last other alternative */
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
