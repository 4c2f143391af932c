/*
 * issue.pml
 *	Taking ids: slots, the layout's tick, ranges, and what must always hold.
 *
 * Shared by every model in this directory; README.md says how it was cut
 * down and why no behaviour is lost.  The including model has defined
 *
 *	sizes		SESSIONS, SLOTS, NUMBERS (per tick and slot), LAST_TICK, LEAD
 *	properties	ONCE: no id twice; ORDER: a session's ids and true time;
 *				ONE_BY_ONE: order of the server, for layouts without slots
 *	the world	MARK, CRASH, JUMP, NODE_CHANGE, RESERVE; PROMPT: computing takes
 *				no time, see served.pml
 *	read_clock(), and wall_is_past(): has the wall clock passed a tick?
 *
 * A name that begins with BREAK_ takes one protection away, and spin must
 * then find an error.
 *
 * A word is tick * NUMBERS + number as in the C code.  Zero: nothing taken.
 */

#define WORD(tick)	((tick) * NUMBERS)
#define TICK(word)	((word) / NUMBERS)
#define NUMBER(word)	((word) % NUMBERS)
#ifndef HOME_FIRST
#define HOME_FIRST	0
#endif
#define HOME(me)	(((me) + HOME_FIRST) % SLOTS)
#define MAX(a, b)	((a) > (b) -> (a) : (b))

/* The first word after "word" that is not before tick "t". */
#define AFTER(word, t)	MAX((word) + 1, WORD(t))

#ifdef NODE_CHANGE
#define NODES		2
#define NODE		mynode
#else
#define NODES		1
#define NODE		0
#endif

/* Ids in the order of their value: tick, node, slot, number. */
#define ID(t, n, s, q)	((((t) * NODES + (n)) * SLOTS + (s)) * NUMBERS + (q))

#ifdef MARK
#include "mark.pml"
#endif

/* Shared memory of the server. */
byte word[SLOTS];				/* last (tick, number) taken from each slot */
byte ltick;						/* the layout's tick */
#ifdef NODE_CHANGE
byte node = 1;					/* the setting */
#endif

/*
 * A session that waits, and whether a clock that nobody can set has moved
 * on by a whole tick since it began to.  Where nothing measures real time
 * (neither ORDER nor PROMPT), a wait may end at any moment.
 */
#if defined(ORDER) || defined(PROMPT)
#define REAL_TIME
bool waiting[SESSIONS];
bool elapsed[SESSIONS];
#endif

#ifdef CRASH
bool dead[SESSIONS];			/* this process died with the server */
#endif

/*
 * Ghosts: the algorithm never looks at them.
 */
#ifdef ONCE
/*
 * One id that was given out is watched.  It may be any one, so watching one
 * is as good as remembering all.  Zero: none yet (no id is zero, because
 * number 0 of tick 0 is never taken).
 */
byte watched;
#endif
#ifdef ORDER
/*
 * The tick that it would be if no wall clock had ever been set back: a
 * reading that was accepted raises it, and it goes on with real time.
 */
byte true_tick;
#define TOP			(LAST_TICK + 2)		/* where it stops */
#endif
#ifdef ONE_BY_ONE
byte highest;					/* the highest id given out by any session */
#endif

/* The properties by name, so that a counterexample says which it is. */
bool id_given_twice;
bool order_of_session_broken;
bool order_of_server_broken;
bool more_than_allowed_lead;
bool behind_the_clock;
bool faster_than_real_time;
bool refused_time_left_a_trace;

/* Nothing in shared memory is past the true tick, but for borrowed numbers. */
inline check_shared(property)
{
#ifdef ORDER
	d_step {
		property = (ltick > true_tick || TICK(word[0]) > true_tick + 1 ||
					TICK(word[SLOTS - 1]) > true_tick + 1);
		assert(!property)
	}
#else
	true
#endif
}

/* The next number of the range goes to the caller. */
inline give_out()
{
	id = ID(last, NODE, slot, next);
	printf("session %d: id (tick %d, node %d, slot %d, number %d), clock %d\n",
		   me, last, NODE, slot, next, now);

	/* P1 */
#ifdef ONCE
	id_given_twice = (id == watched);
	assert(!id_given_twice);
	if
	:: watched == 0 -> watched = id
	:: true
	fi;
#endif

	/* P3, by the reading that this call went by */
	more_than_allowed_lead = (last > now + LEAD);
	assert(!more_than_allowed_lead);
	behind_the_clock = (last < now);
	assert(!behind_the_clock);

#ifdef ORDER
	faster_than_real_time = (last > true_tick + 1);
	assert(!faster_than_real_time);

	/* P2; "previous" is one more than the last id, zero before the first */
	order_of_session_broken = (id < previous);
	assert(!order_of_session_broken);
	previous = id + 1;
#endif
#ifdef ONE_BY_ONE
	order_of_server_broken = (id < at_begin);
	assert(!order_of_server_broken);
	highest = MAX(highest, id + 1);
#endif

	left--;
	next = (left > 0 -> next + 1 : 0);
	id = 0
}

#ifdef BREAK_PLAIN_STORE
#define STILL_SEEN	true
#else
#define STILL_SEEN	(word[slot] == seen)
#endif

/*
 * A whole tick, or the wall clock has passed the tick, or others have moved
 * the layout's tick, so that there may be room.
 */
#ifdef BREAK_WAIT_TO_THE_END
#define wait_is_over(me, t)	(elapsed[me] || wall_is_past(t))
#else
#define wait_is_over(me, t)	(elapsed[me] || wall_is_past(t) || ltick != (t))
#endif

/* From "next" to the end of the slot, how many numbers to take. */
inline choose_taken()
{
#ifdef ONE_BY_ONE
#ifdef BREAK_RANGE_WITHOUT_SLOTS
	left = NUMBERS - next;
#else
	left = 1;
#endif
#else
	left = 1;
	do
	:: next + left < NUMBERS -> left++
	:: break
	od
#endif
}

#define HAS_ROOM(t)	(TICK(AFTER(seen, t)) == (t))

/* flake_reserve() wants more in one piece than a slot may have left. */
#ifdef RESERVE
#define PASS_OVER	true
#else
#define PASS_OVER	false
#endif

/* Steps 3 and 4: the first slot from "slot" upward with room in "floor". */
inline look()
{
	seen = word[slot];
	do
	:: HAS_ROOM(floor) -> goto take
	:: !HAS_ROOM(floor) && slot + 1 == SLOTS -> climbed = true; break
	:: (!HAS_ROOM(floor) || PASS_OVER) && slot + 1 < SLOTS ->
		slot++;
		climbed = true;
		seen = word[slot]
	:: HAS_ROOM(floor) && PASS_OVER && slot + 1 == SLOTS ->
		climbed = (last == floor);
		goto wait
	od;

	/*
	 * Step 5: the tick is used up; a session with nothing in it borrows.  If
	 * the next tick may not be used yet, it waits: this one was not refused.
	 */
	if
#ifndef BREAK_NO_BORROWING
	:: last < floor -> skip
#endif
	:: else -> goto wait
	fi;
	slot = HOME(me);
	climbed = false;
#ifndef BREAK_BORROWED_UNCHECKED
	if
	:: floor + 1 > now + LEAD || floor + 1 > LAST_TICK -> goto wait
	:: else
	fi;
#endif
#if defined(MARK) && !defined(BREAK_BORROWED_UNCOVERED)
	ask = floor + 1;
	if
	:: mark >= ask -> ask = 0
	:: may_move_mark(ask) -> goto move
	fi;
#endif
	look_home()
}

inline look_home()
{
	seen = word[slot];
	if
	:: HAS_ROOM(floor + 1) -> goto take_borrowed
	:: else -> goto wait
	fi
}

/* All checks are passed: only now anything is moved. */
inline begin_in_floor()
{
#ifdef ORDER
	true_tick = MAX(true_tick, now);
#ifdef MARK
	true_tick = MAX(true_tick, start_mark + 1);
#endif
#endif
	ltick = MAX(ltick, floor);
	check_shared(faster_than_real_time);

	/* A session that has had its one number of a later tick waits. */
	if
	:: last > floor -> goto wait
#ifdef NODE_CHANGE
	:: last <= floor && min_tick > floor -> goto wait
	:: last <= floor && min_tick <= floor
#else
	:: else
#endif
	fi;

	/* Step 2: where to begin. */
	if
#if defined(BREAK_ORDER_IGNORED)
	:: last == floor -> slot = HOME(me)
#elif defined(BREAK_SLOT_ZERO)
	:: last == floor -> slot = 0
#else
	:: last == floor
#endif
	:: last < floor ->
		slot = (last + 1 == floor && climbed -> 0 : HOME(me));
		climbed = false
	fi;
	look()
}

/* The request is over: nothing of it matters any more. */
inline forget_request()
{
	now = 0; floor = 0; seen = 0
}

proctype Session(byte me)
{
	/* What a backend remembers from request to request. */
#ifndef PROMPT
	byte last;					/* tick of the last range; 0: none yet */
#endif
	byte slot = HOME(me);		/* the slot reached within that tick */
	byte next;					/* next number of the range */
	byte left;					/* numbers left in it */
	bool climbed;				/* left a used-up slot within that tick */
#ifdef ORDER
	byte previous;				/* ghost: the last id given out, plus one */
#endif
#ifdef NODE_CHANGE
	byte mynode = 1;
	byte min_tick;				/* the next range is of this tick or later */
#endif

	/* Within a request. */
	byte now;					/* the reading of the wall clock */
#ifndef PROMPT
	byte floor;
#endif
	byte seen;					/* the slot's word as looked at */
	byte id;
#ifdef MARK
	byte ask;					/* the tick that the mark must cover */
#endif
#ifdef ONE_BY_ONE
	byte at_begin;				/* ghost: "highest" when the request began */
#endif

restart:
	{
	goto request;

request:
#ifdef PROMPT
	begin_request();
#endif
#ifdef ONE_BY_ONE
	at_begin = highest;
#endif
again:
	atomic {
#ifdef NODE_CHANGE
		/* Step 6: the setting changed. */
		if
		:: mynode != node ->
			mynode = node;
			left = 0; next = 0;
#ifndef BREAK_NODE_SAME_TICK
			min_tick = last + 1
#endif
		:: else
		fi;
#endif

		/* The common path: one reading of the clock, nothing shared. */
		read_clock(now);
		if
#ifdef BREAK_RANGE_NOT_COMPARED
		:: left > 0 ->
#else
		:: left > 0 && last >= now && last <= now + LEAD ->
#endif
			give_out();
			forget_request();
			goto request
		:: else ->
			left = 0;
			next = 0
		fi;

		/* Step 1: the floor, ... */
#ifdef BREAK_NO_LAYOUT_TICK
		floor = MAX(now, last);
#else
		floor = MAX(now, ltick);
#endif
#ifdef MARK
		floor = MAX(floor, start_mark + 1);
#endif

#ifdef BREAK_TICK_FIRST
		ltick = MAX(ltick, floor);
#endif
#ifdef BREAK_WORD_FIRST
		word[HOME(me)] = MAX(word[HOME(me)], WORD(floor));
#endif

		/* ... its checks: the lead, the layout's end, ... */
		if
		:: floor > now + LEAD || floor > LAST_TICK -> goto refused
		:: else
		fi;

		/* ... the mark.  (A step of its own if there is something to do.) */
#ifdef MARK
		ask = floor;
		if
		:: mark >= ask -> ask = 0
		:: may_move_mark(ask) -> goto move
		fi;
#endif
		if
		:: floor > ltick -> skip
		:: else -> begin_in_floor()
		fi
	}

begin:
	atomic { begin_in_floor() }

	/* Step 3: take numbers by one compare-and-swap. */
take:
	atomic {
		if
		:: STILL_SEEN ->
			last = floor;
			next = NUMBER(AFTER(seen, floor));
			choose_taken();
			word[slot] = WORD(floor) + next + left - 1;
			give_out();
			forget_request();
			goto request
		:: else -> look()
		fi
	}

take_borrowed:
	atomic {
		if
		:: STILL_SEEN ->
			last = floor + 1;
			next = NUMBER(AFTER(seen, floor + 1));
			left = 1;
			word[slot] = WORD(floor + 1) + next;
			give_out();
			forget_request();
			goto request
		:: else -> look_home()
		fi
	}

	/* Step 5: wait for a tick of real time, then move the layout's tick. */
wait:
#ifdef REAL_TIME
	atomic {
		now = 0; seen = 0;
		printf("session %d: waits in tick %d\n", me, floor);
		waiting[me] = true
	}
	atomic {
#ifdef BREAK_NO_WAIT
		elapsed[me] = true;
#else
		wait_is_over(me, floor);
#endif
		waiting[me] = false;
		if
		:: ltick == floor ->
			ltick = floor + 1;
#if defined(ORDER) && !defined(ONLY_ACCEPTED)
			/* the wall clock has passed the tick, so it shows the next */
			true_tick = (elapsed[me] -> true_tick : MAX(true_tick, floor + 1))
#endif
		:: else
		fi;
		elapsed[me] = false;
		forget_request();
		goto again
	}
#else
	atomic {
		now = 0; seen = 0;
		if
		:: ltick == floor -> ltick = floor + 1
		:: true
		fi;
		forget_request();
		goto again
	}
#endif

#ifdef MARK
	/* The mark does not cover the tick, or it is early to move it. */
move:
	move_mark();
	atomic {
		ask = 0;
		forget_request();
		goto again
	}
#endif

	/* An error, or the wait before it: in any case all begins again. */
refused:
	atomic {
		printf("session %d: refused, clock %d\n", me, now);
		check_shared(refused_time_left_a_trace);
		forget_request();
		goto request
	}
	}
#ifdef CRASH
	unless
	{
		atomic {
			dead[me] ->
			dead[me] = false;
			last = 0; slot = HOME(me); next = 0; left = 0; climbed = false;
			id = 0; ask = 0;
			forget_request();
			goto restart
		}
	}
#endif
}

#ifdef REAL_TIME
/* A tick of the clock that nobody can set. */
inline real_tick()
{
#ifdef ORDER
	true_tick = (true_tick < TOP -> true_tick + 1 : TOP);
#endif
#ifdef JUMP
	expected = (expected < TOP -> expected + 1 : TOP);
#endif
	i = 0;
	do
	:: i < SESSIONS -> elapsed[i] = waiting[i]; i++
	:: else -> break
	od;
	i = 0
}
#endif

inline start_sessions()
{
	i = 0;
	do
	:: i < SESSIONS -> run Session(i); i++
	:: else -> break
	od;
	i = 0
}
