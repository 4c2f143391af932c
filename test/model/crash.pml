/*
 * crash.pml
 *	Many lives of a server: P1 over crash, restart and promotion, any clock.
 *
 * The server may die at any moment, any number of times; each life begins with
 * what the last one made durable, and with a clock that shows anything.
 *
 * With FAILOVER there is a standby, and a life may instead begin with what had
 * reached it.
 */
#define MARK
#define CRASH

/* The clock needs no state: every reading may give any tick. */
#define wall_is_past(tick)	true

inline read_clock(reading)
{
	reading = 0;
	do
	:: reading <= LAST_TICK -> reading++
	:: break
	od
}

#include "issue.pml"

#ifdef FAILOVER
byte standby;					/* the mark as replayed by the standby */
bool reached;					/* ghost: WAL after the watched id did too */
#ifdef BREAK_READ_IN_RECOVERY
byte standby_before;			/* the mark as replayed at some time before */
#define MARK_AT_START	standby_before
#endif
#endif

#if defined(BREAK_START_FORGETS)
#define MARK_AT_START	0
#elif !defined(MARK_AT_START)
#define MARK_AT_START	page
#endif

/* All processes and shared memory are gone; a new life begins. */
inline new_life()
{
	i = 0;
	do
	:: i < SESSIONS -> dead[i] = true; i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < SLOTS -> word[i] = 0; i++
	:: else -> break
	od;
	i = 0;
	ltick = 0;
	mark_lock = false;

	/* What was written but not flushed: it may be there or not. */
	if
	:: durable != page -> page = durable
	:: durable != page -> durable = page
	:: else
	fi;
}

inline read_start_mark()
{
	start_mark = MARK_AT_START;
	mark = start_mark;
	printf("a new life: page %d, start mark %d\n", page, start_mark)
}

init {
	byte i;

	atomic { start_sessions() };
end:
	do
	:: atomic {
			new_life();
			read_start_mark()
		}
#ifdef FAILOVER
	/* Replication: all WAL flushed so far. */
	:: atomic {
			standby != durable || reached != (watched > 0) ->
#ifdef BREAK_READ_IN_RECOVERY
			standby_before = standby;
#endif
			standby = durable;
			reached = (watched > 0)
		}
	/*
	 * Promotion.  An id with no WAL after it on the standby is lost with its
	 * row, and may come again.
	 */
	:: atomic {
			new_life();
			page = standby;
			durable = page;
			if
			:: !reached -> watched = 0
			:: else
			fi;
			read_start_mark()
		}
#endif
	od
}
