/*
 * sim.h
 *		A deterministic simulation of many sessions that take ids.
 *
 * The code under test is src/core itself (session, refill, lanes, mark, lease,
 * counter, layout), compiled with -DFLAKE_SIMULATION; nothing of the server is
 * linked, and no decision is made here a second time.  Sessions are coroutines
 * that another one may interrupt at every FLAKE_POINT() and in every wait.
 * (Where a memory barrier is missing can't be seen here: all that was written
 * before is seen, in that order.)
 *
 * Everything that can go one way or another is asked of choose().  In random
 * runs chance answers, from one seed, so a run that failed can be run again and
 * watched.  In a search each answer is tried after the other, from the very
 * same state, until there is none left.
 *
 *	fiber.c		coroutines
 *	world.c		clocks, pages, WAL, locks: what the server does around the core
 *	registry.c	the registry of node ids, and the worker that leases from it
 *	counter.c	the processor's cycle counter
 *	choose.c	what is not determined
 *	backend.c	what a session does all day
 *	check.c		the properties that must hold
 *	schedule.c	random runs: the world, who runs next, what happens to the
 *				clock and to the server
 *	search.c	small worlds, searched exhaustively
 *	main.c		options, configurations, results
 *
 * Times: "wall" is the clock that anybody may set, microseconds since 1970;
 * "mono" only advances.
 */
#ifndef FLAKE_SIM_H
#define FLAKE_SIM_H

#include "postgres.h"

#include "core/refill.h"
#include "fiber.h"

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
#define MAX_SERVERS		2
#define MAX_LEASES		64		/* of one run, then it ends */
#define MAX_IDS			2048	/* of one run, then it ends */
#define MAX_RECORDS		2048	/* the same */
#define NODE_BITS		4
#define MAX_SETS		(1 << NODE_BITS)

/* Below are node ids that a server is given by hand. */
#define FIRST_LEASED	4
#define LEASED			(-1)	/* flake.node_id */

/* What a random configuration lets happen.  Rates are per 1024 turns. */
typedef struct Config
{
	const char *name;
	int			databases;
	int			turns;			/* length of a run */
	bool		prompt;			/* no stalls: waits are measured */
	bool		spread;			/* home slots one after the other, else any */
	bool		no_slots;		/* layouts without slot bits only */
	bool		ends;			/* begin near the epoch or the last tick */
	bool		crowd;			/* at least as many sessions as ids per tick */
	bool		long_ranges;	/* many sequence bits */
	bool		starts;			/* true time over many starts is measured */
	bool		flushes;		/* moves of the mark per second are counted */
	bool		steady;			/* nobody flushes in a call: is looked at */
	bool		leases;			/* node ids are leased, by two servers or one */
	int			step_rate;		/* the wall clock is set */
	int			back_rate;		/* it is set back, within the allowed lead */
	int			freeze_rate;	/* it stands still, or goes on */
	int			jump_rate;		/* it jumps by more than may be */
	int			kill_rate;		/* a backend vanishes */
	int			restart_rate;	/* the server does */
	int			promote_rate;	/* a standby takes over */
	int			node_rate;		/* a reload changes the node id, or leases it */
	int			lead_rate;		/* a reload changes the allowed lead */
	int			others_rate;	/* others set a mark */
	int			exchange_rate;	/* a session exchanges the mark's relation */
	int			slow_rate;		/* flushes take long, or do not any more */
	int			fail_rate;		/* flushes fail */
	int			writer_rate;	/* the WAL writer flushes, or somebody's
								 * commit */
	int			counter_rate;	/* the cycle counter goes wrong */
	int			wait_ticks;		/* no wait is longer; 0: not looked at */
} Config;

/*
 * What is in the WAL about the page of a database's mark; the last record is
 * what the page holds.
 */
typedef struct Record
{
	int64		ns;
	int8		database;
	bool		foreign;		/* not as flake left it */
	bool		hole;			/* others set it back: a crash would forget
								 * ids */
} Record;

/* A database: its mark in shared memory, its relation, and who has locked it. */
typedef struct Database
{
	FlakeMark	mark;			/* in the memory of server number % nservers */
	uint64		relation;		/* the one that is committed */
	uint32		relation_users; /* who has locked it: bits */
	int			locked_by;		/* the mark's lock; -1: nobody */
	bool		page_locked;

	/* DROP and CREATE EXTENSION in a transaction that is open */
	int			exchanger;		/* whose; -1: nobody's */
	uint64		new_relation;
	Record		new_page;

	/* for the checks */
	int64		demand_ns;		/* ids must be later: others' values taken
								 * over */
	int			in_flight;		/* records that a move is going to flush */
	int64		promised_ns;	/* the latest that the page was known to hold */
	int64		seen_mark_us;
} Database;

/* The slots of the layout and a node id. */
typedef struct SlotSet
{
	union
	{
		FlakeSlots	slots;
		char		space[offsetof(FlakeSlots, slot) +
						  MAX_SLOTS * sizeof(FlakeSlot)];
	}			shared;

	/* for the checks */
	bool		leased;			/* the node id is */
	uint64		seen_words[MAX_SLOTS];
	uint64		seen_tick;
	int64		high_us;		/* highest reading - mono; see check.c */
	int64		last_single;	/* last id without slot bits, less its node */
} SlotSet;

/* A lease of a node id. */
typedef struct Lease
{
	FlakeLease	shared;			/* in its holder's memory */

	/* in the registry */
	int64		from_us;		/* what begins between these is the holder's */
	int64		granted_us;
	bool		over;			/* given back, or somebody has the next one */

	/* on its way there; FLAKE_NO_TIME: nothing is */
	int64		back_us;		/* given back from then on */

	/* for the checks */
	int64		known_us;		/* its end, as far as the holder knows */
	int64		latest_us;		/* the latest that this was */
	int64		taken_us;		/* latest start of a tick that was taken from */
} Lease;

/* A server: its clock, and what all its sessions share. */
typedef struct Server
{
	int			run;			/* no two servers and lives have the same */
	int64		wall_offset_us; /* wall - mono */
	int64		node;			/* flake.node_id */
	int			nsets;

	/* between sessions and the lease worker */
	Lease	   *lease;			/* the latest one; NULL: nothing is ever
								 * leased */
	bool		released;		/* at least the registry was told so */
	int64		wanted_us;		/* latest start of a tick that sessions need */
} Server;

/* What src/core/counter.c knows in one process. */
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
	bool		leases;			/* no session, but its server's lease worker */
	FlakeSession session;
	SlotSet    *set;			/* whose slots the session uses */
	int64		node;
	Lease	   *lease;			/* of the node id; NULL: it is not leased */
	CounterMemory counter;

	/* habits */
	int			leisure;		/* 0 asks at once again .. 3 now and then */
	int			statement;		/* requests until it looks at the settings */
	int			requests_left;	/* in a search */

	/* its mark */
	uint64		relation;		/* the one that it means; 0: not known */
	bool		invalidated;	/* it is going to hear of another one */

	/* scheduling */
	int64		wake_us;		/* mono; asleep until then */
	int64		stalled_until;	/* turn; not picked before */
	int			priority;
	bool		blocked;		/* waits for a lock */

	/* for the checks */
	bool		busy;			/* in the middle of a request */
	bool		asking;			/* for a range */
	bool		asked_whole;	/* of at least so many */
	int64		asked_us;		/* mono */
	int64		read_us;		/* its last reading of the wall clock */
	int64		read_mono_us;
	int64		known_us;		/* the time it knows from the counter */
	int			ids_since_read;
	int64		allowed_us;		/* the lead that it was told last */
	int64		start_us;		/* the start mark at its last reading */
	int64		demand_ns;		/* others' values when it last saw the page */
	int64		lead_us;		/* the setting as it knows it */
	int			page_seen;		/* records then */
	int			pair_jumps;		/* of the counter, when it read that last */
	int			read_jumps;		/* the same, and then the clock */
	int			moved;			/* words moved since it asked */
	int64		whole_tick;		/* in which it asked for many in one piece */
	int64		waited_tick;	/* in which it waited, and a slot had a number */
	int64		range_tick;		/* of the range it has */
	int64		range_node;
	int64		last_id;		/* -1: none */
	bool		bound_anew;		/* the node id changed since */
	bool		order_anew;		/* and the last id was too far ahead */
} Backend;

/* An id that was given out. */
typedef struct GivenOut
{
	int64		id;
	int16		run;			/* of the server; -1: forgotten */
	bool		leased;			/* its node id was */
	int16		flushed;		/* records in the WAL then */
	int8		databases;		/* bits; see forget_ids() */
	int8		session;
	int8		unsure;			/* bits: its relation is not committed */
} GivenOut;

/* How often things may still happen in a search. */
typedef struct Budget
{
	int8		ticks;			/* time passes */
	int8		steps;			/* the clock is set */
	int8		crashes;
	int8		promotions;
	int8		nodes;			/* the node id changes */
	int8		leases;			/* the lease is renewed, or another one comes */
	int8		others;			/* others set the mark */
	int8		exchanges;		/* of the mark's relation */
	int8		flushes;		/* by the WAL writer, or somebody's commit */
	int8		switches;		/* a session is interrupted */
} Budget;

typedef struct World
{
	/* the run */
	const Config *config;
	uint64		random;
	bool		trace;
	bool		draining;		/* nobody asks anew */
	int			points_left;	/* until the running one is interrupted */
	int64		turn;
	int			style;			/* of scheduling */
	Backend    *running;
	bool		failed;
	char		failure[512];

	/* for the checks of random runs */
	int64		longest_wait_us;
	int64		waits_from_us;	/* mono; the bound holds for later questions */
	int64		start_mono_us;	/* of the server */
	int64		start_excess_us;	/* more than a start alone makes of lead */
	int64		window_us;		/* mono; flushes are counted from there */
	int			window_flushes;
	int64		writer_us;		/* mono; the WAL writer flushed */
	int64		last_id_us;		/* mono; an id was given out */
	int64		steady_us;		/* mono; from then on without a pause */
	int			last_run;		/* raised by each start of a server */

	/* clocks; from here on it is what makes one state of a search */
	int64		mono_us;
	int64		true_offset_us; /* wall - mono, at the beginning */
	bool		frozen;			/* the wall clocks stand still */
	double		count_rate;		/* of the cycle counter, per microsecond */
	bool		count_frozen;
	bool		count_wrong;	/* its rate was, at some time */
	int			count_jumps;
	uint64		count_base;
	int64		dt_us;			/* what a turn takes at most, mostly */

	/* the servers */
	FlakeLayout layout;
	int64		lead_us;		/* flake.max_clock_lead */
	int64		max_jump_us;	/* flake.max_clock_jump */
	int64		moved_wall_us;	/* the clocks when a mark was moved last */
	int64		moved_mono_us;
	int64		flush_us;		/* what a flush takes */
	int64		lease_us;		/* how long leases are */
	uint64		last_relation;

	/* a search */
	Budget		left;
	int8		alternatives;	/* a session asked choose(); 0: none did */
	int8		answer;
	int8		last;			/* who ran last */

	Server		servers[MAX_SERVERS];
	Database	databases[MAX_DATABASES];
	int			nservers;
	int			nbackends;
	int			nleasable;		/* node ids in the registry; 0: there is none */
	int			nleases;		/* of all times */
	int			nids;
	int			nrecords;
	int			nflushed;		/* of them: a crash leaves at least these */

	/* as many as are used */
	Backend		backends[MAX_BACKENDS];
	SlotSet		sets[MAX_SERVERS][MAX_SETS] pg_attribute_aligned(64);
	Lease		leases[MAX_LEASES];
	GivenOut	ids[MAX_IDS];
	Record		wal[MAX_RECORDS];
} World;

extern World world;

/* world.c */
extern int64 wall_us(void);
extern int64 wall_of(const Server *server);
extern void advance(int64 us);
extern void observe(void);
extern void turn_over(void);
extern void sleep_us(int64 us);
extern SlotSet *find_set(const Backend *backend);
extern const Record *page_at(int database, int nrecords);
extern bool look_at_mark(Backend *backend, int64 lead_us,
						 FlakeMarkVerdict *verdict);
extern FlakeMarkVerdict move_mark(Backend *backend, FlakeMarkNeed need,
								  bool early);
extern void hear_of_relation(Backend *backend);
extern void set_mark(int database, int64 ns, bool flushed);
extern void flush_all(void);
extern void begin_exchange(Backend *backend, int64 ns);
extern void end_exchange(Backend *backend, bool commit);
extern void begin_server(Server *server);
extern void restart_from(Server *server, int nrecords);
extern void begin_wal(void);
extern void trace(const char *fmt, ...) pg_attribute_printf(1, 2);

/* registry.c */
extern void first_lease(Server *server);
extern void next_lease(Server *server);
extern bool extend_lease(Lease *lease, int64 until_us);
extern void release_lease(Server *server);
extern void late_releases(void);
extern void work_for_leases(Backend *worker);

/* counter.c */
extern void counter_begin(Backend *backend);
extern void counter_load(const Backend *backend);
extern void counter_save(Backend *backend);
extern void counter_fault(void);

/* backend.c */
extern void backend_start(Backend *backend);
extern bool take_one(Backend *backend, int64 need);
extern void take_run(Backend *backend, int64 count);
extern void begin_statement(Backend *backend);

/* schedule.c */
extern void run_schedule(const Config *config, uint64 seed, bool traced);
extern void add_field(FlakeFieldKind kind, const char *name, int bits,
					  int *below);

/* choose.c */
extern bool searching;
extern int64 choose(int64 n);
extern bool one_in(int64 n);
extern bool happens(int rate);

/* search.c */
extern bool keeps_wal(void);
extern void search_request(Backend *backend);
extern bool search_all(const char *only, bool quick);


/* check.c */
extern void fail(const char *fmt, ...) pg_attribute_printf(1, 2);
extern void check_word(Backend *backend, int slot, uint64 old, uint64 new);
extern void check_tick_moved(Backend *backend, uint64 old, uint64 new);
extern void check_mark(Database *database);
extern void check_granted(Backend *backend);
extern void check_turn(Backend *backend, const FlakeRefill *refill);
extern void check_lease_refused(Backend *backend, const FlakeRefill *refill);
extern void check_released(const Lease *lease);
extern void check_refused(Backend *backend, FlakeAnswer answer,
						  const FlakeRefill *refill);
extern void check_plan(Backend *backend, const FlakeMarkPlan *plan,
					   const FlakeMarkFound *found,
					   const FlakeMarkNeed *need, bool foreign,
					   int64 published_us);
extern void check_mark_refused(Backend *backend, FlakeMarkVerdict verdict,
							   const FlakeMarkFound *found,
							   const FlakeMarkNeed *need);
extern void check_id(Backend *backend, int64 id);
extern void check_move(void);
extern void check_flush(Backend *backend);
extern void forget_ids(int database, int after_flushed, bool unsure_only);
extern void settle_ids(int database);
extern void saw_time(SlotSet *set, int64 us);
extern void saw_clock(Backend *backend, int64 us);

/* Whose memory a database's mark is in, and what a session shares. */
static inline Server *
server_of(int database)
{
	return &world.servers[database % world.nservers];
}

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

/* The first tick of a lease begins then. */
static inline int64
first_of(const Lease *lease)
{
	return start_of(tick_of(lease->from_us - 1) + 1);
}

/* From the page's unit, rounded up. */
static inline int64
us_of(int64 ns)
{
	return ns / 1000 + (ns % 1000 > 0 ? 1 : 0);
}

/* The lead in force for a setting of flake.max_clock_lead. */
static inline int64
lead_in_force(int64 setting_us)
{
	return Max(setting_us, 2 * world.layout.tick_us);
}

#endif							/* FLAKE_SIM_H */
