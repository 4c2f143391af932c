/*
 * model.c
 *		A model of many processors that take ids, more than can be measured here:
 *		how often do sessions get in each other's way?
 *
 * The sessions execute src/core itself (session, refill, lanes, mark, layout),
 * each on a processor of its own.  The model's time is in nanoseconds.  It
 * passes for
 *
 *	- a session's own work between two ids: 0.5 to 1.5 times the given time, at
 *	  random from a fixed seed;
 *	- a refill, an atomic change of a line that the processor owns, and a sleep
 *	  that ends late: the constants below;
 *	- the transfer of a cache line from one processor to another.
 *
 * A processor can read a line while it has a copy, and change it while nobody
 * else has one, at no further cost.  Otherwise the line has to be transferred,
 * to one processor at a time, in the order of their requests.  The previous owner
 * loses the line, or the right to change it, when half of the transfer is done.
 * If all copies are the same, reading takes as long but delays nobody else.
 *
 * Some processors make a line that was changed elsewhere their own even if they
 * only read it.  That is an option (-r).
 */
#include "postgres.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/layout_text.h"
#include "core/refill.h"
#include "fiber.h"

/* use libc's, because the server's are not linked */
#undef printf
#undef fprintf

#define MAX_SESSIONS	MAX_FIBERS
#define NOBODY			(-1)

/* Nanoseconds. */
#define ATOMIC_NS		5		/* an atomic change of a line that is owned */
#define REFILL_NS		100		/* a step in src/server/backend.c */
#define OVERSLEPT_NS	60000	/* how late pg_usleep() returns */

/* Counting begins when sessions have found their states, see lanes.c. */
#define BEGIN_NS		(INT64CONST(100) * 1000 * 1000)

/* A cache line: who has copies, and who may change it. */
typedef struct Line
{
	int64		free_at;		/* end of the last transfer in the queue */
	bool		reading;		/* which is for reading */
	int			owner;			/* who has the only copy, or NOBODY */
	bool		changed;		/* the owner has changed it */
	bool		copies[MAX_SESSIONS];
} Line;

/* A session on its processor. */
typedef struct Processor
{
	FlakeSession session;
	int64		now;
	uint64		random;
} Processor;

/* What has happened since BEGIN_NS. */
typedef struct Count
{
	int64		ids;
	int64		failures;		/* of compare-and-swap */
	int64		transfers;
	int64		waits_ns;		/* for ticks */
	uint64		taken[1 << FLAKE_MAX_ISSUE_SLOT_BITS];	/* at BEGIN_NS, by slot */
} Count;

/* The options */
static int64 work_ns = 20;
static int64 transfer_ns = 100;
static int64 length_ns = INT64CONST(100) * 1000 * 1000;
static int	nsessions = 1;
static bool reading_moves = false;

static FlakeLayout layout;
static Processor processors[MAX_SESSIONS];
static Processor *running;
static Count count;
static int64 stop_ns = BEGIN_NS;	/* when run() stops */

/* The shared memory (the mark, then slots) and its cache lines */
static char *memory;
static FlakeMark *mark;
static FlakeSlots *slots;
static Line *lines;
static int	nlines;

/* Who runs next: a heap of processors, the earliest first. */
static Processor *heap[MAX_SESSIONS];
static int	heap_size;

static bool
is_earlier(const Processor *a, const Processor *b)
{
	return a->now < b->now || (a->now == b->now && a < b);
}

static void
heap_add(Processor *processor)
{
	int			i = heap_size++;

	for (; i > 0 && is_earlier(processor, heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = processor;
}

static Processor *
heap_remove(void)
{
	Processor  *first = heap[0];
	Processor  *last = heap[--heap_size];
	int			i = 0;

	for (;;)
	{
		int			child = 2 * i + 1;

		if (child + 1 < heap_size && is_earlier(heap[child + 1], heap[child]))
			child++;
		if (child >= heap_size || !is_earlier(heap[child], last))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = last;
	return first;
}

/* Yield if another processor is behind, or if it is time to stop. */
static void
catch_up(void)
{
	if (running->now >= stop_ns || (heap_size > 0 && is_earlier(heap[0], running)))
		fiber_yield();
}

static void
pass_until(int64 ns)
{
	if (ns > running->now)
		running->now = ns;
	catch_up();
}

static void
count_one(int64 *what)
{
	if (running->now >= BEGIN_NS)
		(*what)++;
}

/*----------
 * What src/core calls: see atomics.h, core/env.h and core/counter.h
 *----------
 */

static Line *
line_of(const void *address)
{
	return &lines[((const char *) address - memory) / FLAKE_CACHE_LINE];
}

/* Queue a transfer; returns when half of it will be done. */
static int64
queue_up(Line *line, bool reading)
{
	int64		begin = Max(running->now, line->free_at);

	line->free_at = begin + transfer_ns;
	line->reading = reading;
	return begin + transfer_ns / 2;
}

/* Make sure that the running processor may change the line. */
static void
own(Line *line)
{
	int			me = running - processors;

	if (line->owner != me)
	{
		int64		lost = queue_up(line, false);
		int64		done = line->free_at;

		count_one(&count.transfers);
		pass_until(lost);
		line->owner = NOBODY;
		memset(line->copies, 0, sizeof(line->copies));
		pass_until(done);
		line->owner = me;
		line->copies[me] = true;
		line->changed = false;
	}
}

uint64
model_read(pg_atomic_uint64 *atomic)
{
	Line	   *line = line_of(atomic);
	int			me = running - processors;
	int64		done;
	uint64		value;

	catch_up();
	if (line->copies[me])
		return atomic->value;
	if (reading_moves && line->changed)
	{
		own(line);
		return atomic->value;
	}

	count_one(&count.transfers);
	done = running->now + transfer_ns;
	if (!line->reading)
	{
		pass_until(queue_up(line, true));
		line->owner = NOBODY;
	}
	/* others that ask to read meanwhile do not have to queue */
	pass_until(line->free_at);
	line->copies[me] = true;
	value = atomic->value;
	pass_until(done);
	return value;
}

/* An atomic operation that changes the line, or could have. */
static void
change(Line *line)
{
	catch_up();
	own(line);
	line->changed = true;
	running->now += ATOMIC_NS;
}

bool
model_compare_exchange(pg_atomic_uint64 *atomic, uint64 *expected,
					   uint64 value)
{
	change(line_of(atomic));
	if (atomic->value == *expected)
	{
		atomic->value = value;
		return true;
	}
	count_one(&count.failures);
	*expected = atomic->value;
	return false;
}

uint64
model_fetch_add(pg_atomic_uint64 *atomic, int64 more)
{
	uint64		value;

	change(line_of(atomic));
	value = atomic->value;
	atomic->value += more;
	return value;
}

/* All clocks show the same time, a day after the epoch. */
int64
flake_monotonic_us(void)
{
	return layout.epoch_us + INT64CONST(86400) * FLAKE_US_PER_SECOND +
		running->now / FLAKE_NS_PER_US;
}

int64
flake_clock_us(void)
{
	return flake_monotonic_us();
}

/* In place of src/core/counter.c: an exact counter of nanoseconds. */
uint64
flake_counter(void)
{
	return running->now;
}

FlakeSample
flake_counter_sample(void)
{
	FlakeSample sample;

	sample.wall_us = flake_clock_us();
	sample.count = running->now - running->now % FLAKE_NS_PER_US;
	return sample;
}

uint64
flake_counter_span(int64 us)
{
	return Min(us, FLAKE_COUNTER_MAX_US) * FLAKE_NS_PER_US;
}

/* Sessions yield only where they access shared memory. */
void
flake_sim_point(void)
{
}

/*----------
 * A session
 *----------
 */

/* A random time, from 0.5 to 1.5 times "ns". */
static int64
about(int64 ns)
{
	running->random = running->random * UINT64CONST(6364136223846793005) +
		UINT64CONST(1442695040888963407);
	return ns / 2 + (int64) ((running->random >> 33) % (uint64) (ns + 1));
}

/* The loop of src/server/backend.c, with a mark that is far ahead. */
static void
refill(FlakeSession *session)
{
	int64		lead_us = flake_lead_us(&layout, FLAKE_US_PER_SECOND);
	FlakeRefill refill;
	FlakeAnswer answer;

	running->now += REFILL_NS;
	if (flake_session_keep(session, 1))
		return;
	flake_refill_begin(session, &refill, 1, 1, lead_us);
	while ((answer = flake_refill_step(session, &refill)) != FLAKE_GRANTED)
	{
		int64		begin = running->now;

		if (answer != FLAKE_WAIT)
			abort();
		if (refill.wait_us > 0)
		{
			pass_until(begin + refill.wait_us * FLAKE_NS_PER_US + OVERSLEPT_NS);
			if (begin >= BEGIN_NS)
				count.waits_ns += running->now - begin;
		}
		running->now += REFILL_NS;
	}
}

static void
run_session(void *arg)
{
	FlakeSession *session = &running->session;
	int64		id;

	for (;;)
	{
		running->now += about(work_ns);
		/* as src/sql/next.c */
		if (!flake_session_next(session, &id))
		{
			if (!flake_session_ready(session))
				refill(session);
			(void) flake_session_give(session);
		}
		count_one(&count.ids);
	}
}

/* Run all sessions until stop_ns. */
static void
run(void)
{
	while (heap[0]->now < stop_ns)
	{
		running = heap_remove();
		fiber_run(running - processors);
		heap_add(running);
	}
}

/*----------
 * Options and result
 *----------
 */

static void
set_up(const char *name)
{
	FlakeLayoutError error;
	Size		mark_size = TYPEALIGN(FLAKE_CACHE_LINE, sizeof(FlakeMark));
	Size		size;

	for (int i = 0; i < flake_layout_preset_count; i++)
		if (strcmp(flake_layout_presets[i].name, name) == 0)
			name = flake_layout_presets[i].text;
	if (!flake_layout_parse(name, strlen(name), &layout, &error))
	{
		fprintf(stderr, "model: %s\n", error.message);
		exit(2);
	}

	size = mark_size + TYPEALIGN(FLAKE_CACHE_LINE, flake_slots_size(&layout));
	nlines = size / FLAKE_CACHE_LINE;
	memory = aligned_alloc(FLAKE_CACHE_LINE, size);
	lines = calloc(nlines, sizeof(Line));
	if (memory == NULL || lines == NULL)
		abort();
	for (int i = 0; i < nlines; i++)
	{
		lines[i].reading = true;
		lines[i].owner = NOBODY;
	}
	mark = (FlakeMark *) memory;
	slots = (FlakeSlots *) (memory + mark_size);
	flake_mark_init(mark);
	pg_atomic_write_u64(&mark->mark_us, FLAKE_MARK_MAX_US);
	flake_slots_init(slots, &layout, 1);

	for (int i = 0; i < nsessions; i++)
	{
		running = &processors[i];
		running->random = i;
		flake_session_init(&running->session, &layout, slots, NULL, mark, 1, i);
		running->now = about(FLAKE_NS_PER_US * layout.tick_us);
		fiber_make(i, run_session, NULL);
		heap_add(running);
	}
}

static void
print_result(void)
{
	double		thousands = count.ids / 1000.0;
	double		seconds = length_ns / 1e9;
	double		capacity = (flake_layout_max_number(&layout) + 1) * 1e6 /
		layout.tick_us;
	uint64		most = 0;
	uint64		all = 0;

	for (uint32 i = 0; i < processors[0].session.nslots; i++)
	{
		uint64		taken = slots->slot[i].taken.value - count.taken[i];

		most = Max(most, taken);
		all += taken;
	}
	printf("%.1f\t%.1f\t%.3f\t%.1f\t%.1f\t%.1f\n",
		   count.failures / thousands, count.transfers / thousands,
		   count.ids / seconds / 1e6, 100 * count.ids / seconds / capacity,
		   100.0 * count.waits_ns / length_ns / nsessions,
		   100.0 * most / all);
}

int
main(int argc, char **argv)
{
	const char *name = "flake";
	int			c;

	while ((c = getopt(argc, argv, "l:n:w:t:m:r")) != -1)
	{
		switch (c)
		{
			case 'l':
				name = optarg;
				break;
			case 'n':
				nsessions = atoi(optarg);
				break;
			case 'w':
				work_ns = atoll(optarg);
				break;
			case 't':
				transfer_ns = atoll(optarg);
				break;
			case 'm':
				length_ns = atoll(optarg) * 1000000;
				break;
			case 'r':
				reading_moves = true;
				break;
			default:
				return 2;
		}
	}
	if (nsessions < 1 || nsessions > MAX_SESSIONS)
	{
		fprintf(stderr, "model: %d sessions, 1 to %d are possible\n", nsessions,
				MAX_SESSIONS);
		return 2;
	}
	set_up(name);
	run();
	for (uint32 i = 0; i < processors[0].session.nslots; i++)
		count.taken[i] = slots->slot[i].taken.value;
	stop_ns += length_ns;
	run();
	print_result();
	return 0;
}
