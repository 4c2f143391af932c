/*
 * sim.h
 *		A deterministic simulation of many sessions that take ids.
 *
 * The code under test is src/core itself (session, refill, lanes, mark, lease,
 * counter, layout), compiled with -DFLAKE_SIMULATION.  Nothing of the server is
 * linked, and none of the core's decisions is copied here.  Sessions are
 * coroutines, which others can interrupt at each FLAKE_POINT() and in each wait.
 * (The simulation cannot find a missing memory barrier, because all sessions see
 * writes at once and in order.)
 *
 * Whatever is not determined is decided by choose().  In random runs the answers
 * come from a seed, so that a run that failed can be repeated and traced.  A
 * search tries all answers, one after the other, from the same state.
 *
 *	fiber.c		coroutines
 *	world.c		clocks, pages, WAL, locks: what the server does around the core
 *	registry.c	the registry of node ids, and the worker that leases from it
 *	counter.c	the processor's cycle counter
 *	choose.c	decisions that are not determined
 *	backend.c	what a session does
 *	check.c		the properties that must hold
 *	schedule.c	random runs: the world, who runs next, what happens to the
 *				clock and to the server
 *	search.c	small worlds, searched exhaustively
 *	main.c		options, configurations, results
 *
 * Times: "wall" is the clock that can be set, microseconds since 1970; "mono"
 * only advances.
 */
#ifndef FLAKE_SIM_H
#define FLAKE_SIM_H

#include "postgres.h"

#include "core/refill.h"
#include "fiber.h"

/* use libc's, because the server's are not linked */
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
#define MAX_LEASES		64		/* a run ends when it has half of these */
#define MAX_IDS			2048
#define MAX_RECORDS		2048
#define NODE_BITS		4
#define MAX_SETS		(1 << NODE_BITS)

/* Node ids from here on are leased; lower ones are set by hand. */
#define FIRST_LEASED	4
#define LEASED			(-1)	/* value of flake.node_id */

/* What can happen in a random configuration.  Rates are per 1024 turns. */
typedef struct Config
{
	const char *name;
	int			databases;
	int			turns;			/* length of a run */
	bool		prompt;			/* no stalls, so that waits can be measured */
	bool		spread;			/* successive home slots */
	bool		no_slots;		/* only layouts without slot bits */
	bool		ends;			/* begin near the epoch or the last tick */
	bool		crowd;			/* at least as many sessions as ids per tick */
	bool		long_ranges;	/* many sequence bits */
	bool		starts;			/* check the true time over many starts */
	bool		flushes;		/* check the moves of the mark per second */
	bool		steady;			/* check that no call flushes */
	bool		leases;			/* one or two servers lease node ids */
	int			step_rate;		/* the wall clock is set */
	int			back_rate;		/* it is set back, within the allowed lead */
	int			freeze_rate;	/* it stands still, or goes on */
	int			jump_rate;		/* it jumps by about as much as is allowed */
	int			kill_rate;		/* a backend vanishes */
	int			restart_rate;	/* the server does */
	int			promote_rate;	/* a standby takes over */
	int			node_rate;		/* a reload changes the node id, or leases it */
	int			lead_rate;		/* a reload changes the allowed lead */
	int			others_rate;	/* others set a mark */
	int			exchange_rate;	/* a session exchanges the mark's relation */
	int			slow_rate;		/* the time that flushes take changes */
	int			fail_rate;		/* flushes fail */
	int			writer_rate;	/* the WAL writer flushes, or somebody's
								 * commit */
	int			counter_rate;	/* the cycle counter goes wrong */
	int			wait_ticks;		/* no wait may be longer; 0: not checked */
} Config;

/*
 * A record in the WAL, about the page of a database's mark.  The page is as the
 * last record says.
 */
typedef struct Record
{
	int64		ns;
	int8		database;
	bool		foreign;		/* written by others */
	bool		hole;			/* others set the page back, so that a crash
								 * would forget ids */
} Record;

/* A database: its mark in shared memory, its relation, and who has locked it. */
typedef struct Database
{
	FlakeMark	mark;			/* in the memory of server number % nservers */
	uint64		relation;		/* the committed one */
	uint32		relation_users; /* a bit per session that has locked it */
	int			locked_by;		/* who has the mark's lock, or -1 */
	bool		page_locked;

	/* DROP and CREATE EXTENSION in an open transaction */
	int			exchanger;		/* whose, or -1 */
	uint64		new_relation;
	Record		new_page;

	/* for the checks */
	int64		demand_ns;		/* value of others that was taken over */
	int			in_flight;		/* records that a move is going to flush */
	int64		promised_ns;	/* latest value that flake wrote or took over */
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
	bool		leased;			/* the node id is leased */
	uint64		seen_words[MAX_SLOTS];
	uint64		seen_tick;
	int64		high_us;		/* highest reading less mono, see check.c */
	int64		last_single;	/* last id without slot bits, less its node */
} SlotSet;

/* A lease of a node id. */
typedef struct Lease
{
	FlakeLease	shared;			/* in its holder's memory */

	/* in the registry */
	int64		from_us;		/* ticks that begin from here ... */
	int64		granted_us;		/* ... to before here are the holder's */
	bool		over;			/* released, or leased again */

	/* a release that has been sent, or FLAKE_NO_TIME */
	int64		back_us;		/* where the released part begins */

	/* for the checks */
	int64		known_us;		/* its end as the holder knows it */
	int64		latest_us;		/* the latest value of known_us */
	int64		taken_us;		/* latest start of a tick that was taken from */
} Lease;

/* A server: its clock, and what all its sessions share. */
typedef struct Server
{
	int			run;			/* differs for each server and each start */
	int64		wall_offset_us; /* wall clock less mono */
	int64		node;			/* flake.node_id */
	int			nsets;

	/* shared by sessions and the lease worker */
	Lease	   *lease;			/* the latest one; NULL if there is no
								 * registry */
	bool		released;		/* its release has been sent */
	int64		wanted_us;		/* latest start of a tick that sessions need */
} Server;

/* The static variables of src/core/counter.c in one process. */
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
	bool		leases;			/* it is its server's lease worker */
	FlakeSession session;
	SlotSet    *set;			/* the slots that the session uses */
	int64		node;
	Lease	   *lease;			/* of the node id; NULL if it is not leased */
	CounterMemory counter;

	/* habits */
	int			leisure;		/* how long it rests between requests, 0 to 3 */
	int			statement;		/* requests until it looks at the settings */
	int			requests_left;	/* in a search */

	/* its mark */
	uint64		relation;		/* the one that it uses; 0 if not known */
	bool		invalidated;	/* a message about the relation is waiting */

	/* scheduling */
	int64		wake_us;		/* mono; asleep until then */
	int64		stalled_until;	/* turn; not picked before */
	int			priority;
	bool		blocked;		/* waits for a lock */

	/* for the checks */
	bool		busy;			/* in the middle of a request */
	bool		asking;			/* it has asked for a range */
	bool		asked_whole;	/* in one piece */
	int64		asked_us;		/* mono, when it asked */
	int64		read_us;		/* its last reading of the wall clock */
	int64		read_mono_us;	/* mono at that moment */
	int64		known_us;		/* the time that it knows from the counter */
	int			ids_since_read;
	int64		allowed_us;		/* the lead that it was last allowed */
	int64		start_us;		/* the start mark at its last reading */
	int64		demand_ns;		/* Database.demand_ns when it saw the page */
	int64		lead_us;		/* the setting as it knows it */
	int			page_seen;		/* number of records when it saw the page */
	int			pair_jumps;		/* jumps of the counter when it read that */
	int			read_jumps;		/* the same before its last reading */
	int			moved;			/* words moved since it asked */
	int64		whole_tick;		/* where it asked for several in one piece */
	int64		waited_tick;	/* where it waited while a slot had a number */
	int64		range_tick;		/* tick of its range */
	int64		range_node;
	int64		last_id;		/* -1 if none */
	bool		bound_anew;		/* the node id has changed since last_id */
	bool		order_anew;		/* and last_id was too far ahead */
} Backend;

/* An id that was given out. */
typedef struct GivenOut
{
	int64		id;
	int16		run;			/* of the server */
	bool		leased;			/* its node id was leased */
	int16		flushed;		/* number of records flushed then */
	int8		databases;		/* bits, see forget_ids() */
	int8		session;
	int8		unsure;			/* bits of databases whose relation was not
								 * committed then */
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
	int8		flushes;		/* by the WAL writer or somebody's commit */
	int8		switches;		/* a session is interrupted that could go on */
} Budget;

typedef struct World
{
	/* the run */
	const Config *config;
	uint64		random;
	bool		trace;
	bool		draining;		/* nobody begins a request */
	int			points_left;	/* until the running session is interrupted */
	int64		turn;
	int			style;			/* of scheduling */
	Backend    *running;
	bool		failed;
	char		failure[512];

	/* for the checks of random runs */
	int64		longest_wait_us;
	int64		waits_from_us;	/* mono; waits of later requests are bounded */
	int64		start_mono_us;	/* mono at the last start of the server */
	int64		start_excess_us;	/* lead from starts in quick succession */
	int64		window_us;		/* mono when counting flushes began */
	int			window_flushes;
	int64		writer_us;		/* mono when the WAL writer flushed last */
	int64		last_id_us;		/* mono when the last id was given out */
	int64		steady_us;		/* mono when ids began to be made steadily */
	int			last_run;		/* incremented by each start of a server */

	/* clocks; the state of a search consists of these and all that follows */
	int64		mono_us;
	int64		true_offset_us; /* wall clock less mono, at the beginning */
	bool		frozen;			/* the wall clocks stand still */
	double		count_rate;		/* of the cycle counter, per microsecond */
	bool		count_frozen;
	bool		count_wrong;	/* its rate was, at some time */
	int			count_jumps;
	uint64		count_base;
	int64		dt_us;			/* longest usual time between turns */

	/* the servers */
	FlakeLayout layout;
	int64		lead_us;		/* flake.max_clock_lead */
	int64		max_jump_us;	/* flake.max_clock_jump */
	int64		moved_wall_us;	/* the clocks when a mark was moved last */
	int64		moved_mono_us;
	int64		flush_us;		/* duration of a flush */
	int64		lease_us;		/* length of leases */
	uint64		last_relation;

	/* a search */
	Budget		left;
	int8		alternatives;	/* how many choose() has; 0: nobody asked it */
	int8		answer;
	int8		last;			/* who ran last */

	Server		servers[MAX_SERVERS];
	Database	databases[MAX_DATABASES];
	int			nservers;
	int			nbackends;
	int			nleasable;		/* node ids in the registry; 0 if there is
								 * none */
	int			nleases;		/* including those that are over */
	int			nids;
	int			nrecords;
	int			nflushed;		/* of these; a crash leaves at least as many */

	/* a state of a search has only the entries that are in use */
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

/* The server of a database. */
static inline Server *
server_of(int database)
{
	return &world.servers[database % world.nservers];
}

/* The start of a tick, computed without the code under test. */
static inline int64
start_of(int64 tick)
{
	return world.layout.epoch_us + tick * world.layout.tick_us;
}

/* The tick that contains a time. */
static inline int64
tick_of(int64 us)
{
	int64		since = us - world.layout.epoch_us;
	int64		tick = since / world.layout.tick_us;

	return tick - (since % world.layout.tick_us < 0 ? 1 : 0);
}

/* The start of a lease's first tick. */
static inline int64
first_of(const Lease *lease)
{
	return start_of(tick_of(lease->from_us - 1) + 1);
}

/* A time on the page in microseconds, rounded up. */
static inline int64
us_of(int64 ns)
{
	return ns / 1000 + (ns % 1000 > 0 ? 1 : 0);
}

/* The lead that is allowed for a setting of flake.max_clock_lead. */
static inline int64
lead_in_force(int64 setting_us)
{
	return Max(setting_us, 2 * world.layout.tick_us);
}

#endif							/* FLAKE_SIM_H */
