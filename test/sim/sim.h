/*
 * sim.h
 *		A deterministic simulation of many sessions that take ids.
 *
 * The code under test is src/issue.c, src/counter.c and src/layout.c
 * themselves, compiled with -DFLAKE_SIMULATION; nothing of the server is
 * linked.  Sessions are
 * coroutines that another one may interrupt at every FLAKE_POINT(), at every
 * reading of a clock or of the mark, and in every wait.  All chance comes from
 * one seed, so a schedule that failed can be run again and watched.
 *
 *	fiber.c		coroutines
 *	world.c		the clocks, the mark and everything else that issue.h asks of
 *				its surroundings
 *	counter.c	the processor's cycle counter
 *	backend.c	what a session does all day
 *	schedule.c	who runs next, what happens to the clock and the server
 *	check.c		the properties that must hold
 *	main.c		options, seeds, results
 *
 * Times: "wall" is the clock that anybody may set, microseconds since 1970;
 * "mono" only advances.
 */
#ifndef FLAKE_SIM_H
#define FLAKE_SIM_H

#include "postgres.h"

#include "core/refill.h"

/* the server's own are not linked */
#undef printf
#undef fprintf
#undef vprintf
#undef vfprintf
#undef snprintf
#undef vsnprintf

#define MAX_BACKENDS	12
#define MAX_SLOTS		8
#define MAX_DATABASES	2
#define MAX_IDS			4096	/* of one schedule, then it ends */
#define NODE_BITS		4
#define MAX_SETS		(MAX_DATABASES * (1 << NODE_BITS) + 1)

typedef struct Fiber Fiber;

/* What a named configuration lets happen.  Rates are per 1024 turns. */
typedef struct Config
{
	const char *name;
	bool		prompt;			/* no stalls: waits are measured */
	bool		spread;			/* home slots one after the other, else any */
	bool		no_slots;		/* layouts without slot bits only */
	bool		ends;			/* begin near the epoch or the last tick */
	bool		crowd;			/* at least as many sessions as ids per tick */
	bool		long_ranges;	/* many sequence bits */
	int			databases;
	int			turns;			/* length of a schedule */
	int			step_rate;		/* the wall clock is set */
	int			back_rate;		/* it is set back, within the allowed lead */
	int			freeze_rate;	/* it stands still, or goes on */
	int			crash_rate;		/* a backend vanishes */
	int			restart_rate;	/* the server does */
	int			node_rate;		/* a reload changes the node id */
	int			reset_rate;		/* flake_reset_clock() */
	bool		reset_any_time; /* also when ids are not refused */
	int			restore_rate;	/* setval() on a mark, as a restore does */
	int			counter_rate;	/* the cycle counter goes wrong */
	int			wait_ticks;		/* no wait is longer; 0: not looked at */
} Config;

/* The durable mark of one database; see src/mark.c. */
typedef struct Mark
{
	int64		page_us;		/* in the buffer */
	int64		durable_us;		/* what a crash leaves at least */
	int64		mark_us;		/* published */
	int64		start_us;
	int			locked_by;		/* a backend's number; -1: nobody */
} Mark;

/*
 * The slots of the layout.  A reset of the clock replaces them by a new set;
 * the old one stays, and sessions that have not noticed may still use it.
 */
typedef struct SlotSet
{
	FlakeSlots *slots;
	uint32		given_up;		/* node ids that were when it was made: bits */

	/* for the checks */
	uint64		seen_words[MAX_SLOTS];
	uint64		seen_tick;
	int64		high_us;		/* highest reading - mono; see check.c */
	int64		last_single;	/* last id without slot bits, less its node */
} SlotSet;

/* What src/counter.c knows in one process. */
typedef struct CounterMemory
{
	int			state;
	const char *reason;
	uint64		pair_count;
	uint64		pair_gap;
	int64		pair_ns;
	double		rate;
} CounterMemory;

typedef struct Backend
{
	/* who */
	int			number;
	uint32		home;
	int			database;
	Fiber	   *fiber;
	FlakeSession session;
	SlotSet    *set;			/* whose slots the session uses */
	int64		node;
	CounterMemory counter;

	/* habits: 0 asks at once again .. 3 asks now and then */
	int			leisure;

	/* scheduling */
	int64		wake_us;		/* mono; asleep until then */
	int64		stalled_until;	/* turn; not picked before */
	int			priority;

	/* for the checks */
	bool		asking;			/* inside flake_session_refill() */
	bool		asked_whole;	/* for a range of at least so many */
	int64		asked_us;		/* mono */
	int64		read_us;		/* its last reading of the wall clock */
	int64		read_mono_us;
	int64		known_us;		/* the time it knows from the counter */
	int			ids_since_read;
	int64		allowed_us;		/* the lead that it was told last */
	int64		start_us;		/* the start mark that it was told last */
	uint64		start_generation;	/* the generation then */
	int			pair_jumps;		/* of the counter, when it read that last */
	int			read_jumps;		/* the same, and then the clock */
	int			moved;			/* words moved since it asked */
	int64		range_tick;		/* of the range it has */
	int64		range_node;
	SlotSet    *range_set;
	bool		range_given_up; /* taken with a node id that was given up */
	int64		last_id;		/* -1: none */
	SlotSet    *last_set;
} Backend;

typedef struct World
{
	const Config *config;
	uint64		seed;
	uint64		random;
	bool		trace;

	/* clocks */
	int64		mono_us;
	int64		wall_offset_us; /* wall - mono */
	int64		true_offset_us; /* at the beginning */
	bool		frozen;			/* the wall clock stands still */
	double		count_rate;		/* of the cycle counter, per microsecond */
	bool		count_frozen;
	bool		count_wrong;	/* its rate was, at some time */
	int			count_jumps;
	uint64		count_base;
	int64		dt_us;			/* what a turn takes at most, mostly */

	/* the server */
	FlakeLayout layout;
	SlotSet		sets[MAX_SETS];
	SlotSet    *set;			/* in the directory; those before it are old */
	bool		directory_locked;
	Mark		marks[MAX_DATABASES];
	int64		mark_ahead_us;
	uint64		generation;
	int64		allowed_us;		/* flake.max_clock_lead */
	int64		node;			/* flake.node_id */
	uint32		retired_nodes;	/* bits: given up by a reset */
	bool		giving_up;		/* resetting it in all databases */
	int			run;			/* raised by a restart */
	bool		draining;		/* nobody asks anew */

	/* sessions */
	int			nbackends;
	Backend		backends[MAX_BACKENDS];
	Backend    *running;
	int			points_left;	/* until the running one is interrupted */
	int64		turn;
	int			style;			/* of scheduling */

	/* for the checks */
	bool		failed;
	char		failure[512];
	int			nids;
	int64		longest_wait_us;
	int64		waits_from_us;	/* mono; the bound holds for later questions */
} World;

extern World world;

/* fiber.c */
extern Fiber *fiber_make(int number, void (*body) (void *), void *arg);
extern void fiber_run(Fiber *fiber);
extern void fiber_yield(void);

/* world.c */
extern int64 wall_us(void);
extern void advance(int64 us);
extern void observe(void);
extern void turn_over(void);
extern SlotSet *current_set(void);
extern void begin_set(SlotSet *set, int64 high_us);
extern void reset_clock(int database);
extern void trace(const char *fmt,...) pg_attribute_printf(1, 2);

/* counter.c */
extern void counter_begin(Backend *backend);
extern void counter_load(const Backend *backend);
extern void counter_save(Backend *backend);
extern void counter_fault(void);

/* backend.c */
extern void backend_start(Backend *backend);

/* schedule.c */
extern uint64 random_bits(void);
extern int64 random_below(int64 n);
extern bool one_in(int64 n);
extern void run_schedule(const Config *config, uint64 seed, bool traced);

/* check.c */
extern void fail(const char *fmt,...) pg_attribute_printf(1, 2);
extern void check_begin(void);
extern void check_word(Backend *backend, int slot, uint64 old, uint64 new);
extern void check_tick_moved(Backend *backend, uint64 old, uint64 new);
extern void check_granted(Backend *backend);
extern void check_renewed(const SlotSet *old, const SlotSet *new, int64 now_us);
extern void check_refused(Backend *backend, FlakeVerdict verdict,
						  const FlakeRefusal *refusal);
extern void check_id(Backend *backend, int64 id);

/* Begins and ends of ticks, without the code under test. */
static inline int64
start_of(int64 tick)
{
	return world.layout.epoch_us + tick * world.layout.tick_us;
}

/* Rounded towards the past. */
static inline int64
tick_of(int64 us)
{
	int64		since = us - world.layout.epoch_us;
	int64		tick = since / world.layout.tick_us;

	return tick - (since % world.layout.tick_us < 0 ? 1 : 0);
}

/* The lead in force for a setting of flake.max_clock_lead. */
static inline int64
lead_in_force(int64 setting_us)
{
	return Max(setting_us, 2 * world.layout.tick_us);
}

#endif							/* FLAKE_SIM_H */
