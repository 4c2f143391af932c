/*
 * order.pml
 *	One life of a server, and any clock: P1, P2 and P3.
 *
 * A reading of the wall clock may give any tick, up to one past the layout's
 * last.  A clock that can be set to anything at any moment does no worse.
 */
#ifdef JUMP
#define MARK
#endif

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

init {
	byte i;

	atomic { start_sessions() };
end:
	do
#ifdef REAL_TIME
	:: atomic { real_tick() }
#endif
#ifdef NODE_CHANGE
	:: atomic { node == 1 -> node = 0 }
#endif
	:: false
	od
}
