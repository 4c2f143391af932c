/*
 * served.pml
 *	Whoever waits is served, within WAITS ticks of real time.
 *
 * Here computing takes no time: a tick passes only when every session waits
 * or has no request.  Time does not end: when the model has gone on far
 * enough, one is taken from every tick in it, and all is as before.
 *
 * The clock is right, or it is set back or forward at the beginning of a tick,
 * as far as the allowed lead lets ids be made at all.
 */
#define PROMPT
#define LAST_TICK	30			/* never reached */

byte wall;

/* What a session remembers, where it can be shifted in time. */
byte last_of[SESSIONS];
byte floor_of[SESSIONS];
#define last	last_of[me]
#define floor	floor_of[me]

bool busy[SESSIONS];			/* has a request */
byte waited[SESSIONS];			/* ticks that passed since it began */
bool waited_too_long;

#define wall_is_past(tick)	(wall > (tick))

inline read_clock(reading)
{
	reading = wall
}

/* The next request comes at once or at any time later. */
inline begin_request()
{
	atomic {
		busy[me] = false;
		waited[me] = 0
	}
	atomic {
		true ->
		busy[me] = true
	}
}

#include "issue.pml"

#undef last
#undef floor
#define SETTLED(s)	(!busy[s] || (waiting[s] && !wait_is_over(s, floor_of[s])))
#if SESSIONS == 2
#define ALL_SETTLED	(SETTLED(0) && SETTLED(1))
#else
#define ALL_SETTLED	(SETTLED(0) && SETTLED(1) && SETTLED(2))
#endif

#define EARLIER(tick)	tick = ((tick) > 0 -> (tick) - 1 : 0)

inline next_tick()
{
	real_tick();
	wall++;
#ifdef STEP_BACK
	/*
	 * Or set to anything from STEP_BACK ticks before the layout's tick, which
	 * sessions that have waited now move by one, to one after it.
	 */
	if
	:: true
	:: wall = (ltick > STEP_BACK + 1 -> ltick + 1 - STEP_BACK : 2);
		do
		:: wall <= ltick -> wall++
		:: break
		od
	fi;
#endif

	printf("a tick passed: clock %d, layout's tick %d\n", wall, ltick);
	i = 0;
	do
	:: i < SESSIONS ->
		if
		:: busy[i] ->
			printf("session %d: has waited %d\n", i, waited[i] + 1);
			waited[i]++;
			waited_too_long = (waited[i] > WAITS);
			assert(!waited_too_long)
		:: else
		fi;
		i++
	:: else -> break
	od;

	/* One tick less everywhere; nothing is asked of ticks 0 and 1 any more. */
	do
	:: wall > 4 || ltick > 4 ->
		EARLIER(wall);
		EARLIER(ltick);
		i = 0;
		do
		:: i < SESSIONS ->
			EARLIER(last_of[i]);
			EARLIER(floor_of[i]);
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < SLOTS ->
			word[i] = (TICK(word[i]) > 0 -> word[i] - NUMBERS : 0);
			i++
		:: else -> break
		od
	:: else -> break
	od;
	i = 0
}

init {
	byte i;

	atomic {
		wall = 2;
		start_sessions()
	};
end:
	do
	:: atomic { ALL_SETTLED -> next_tick() }
	od
}
