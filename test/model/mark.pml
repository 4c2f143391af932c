/*
 * mark.pml
 *	The durable mark: "no id with a tick after the mark was ever given out".
 *
 * Shared by the models with MARK.  The including model has defined AHEAD, how
 * many ticks the mark is moved past the tick asked for.  Ticks stand for the
 * microseconds of the C code: the mark covers whole ticks here.
 *
 * What is written is in "page" (a shared buffer and WAL not yet flushed);
 * what would survive a crash is in "durable".  WAL may be flushed at any
 * moment by others, which is why a crash chooses between the two.
 */

byte mark;						/* shared memory: the published mark */
byte start_mark;				/* shared memory: the page as of the start */
bool mark_lock;

byte page;
byte durable;

#ifdef JUMP
byte expected;					/* wall clock at the last move, gone on since */
#define too_far(reading)	((reading) > expected + JUMP)
#else
#define too_far(reading)	false
#endif

/* Needed; or little is left of it and nobody else moves it: early. */
#define may_move_mark(tick)	(mark < (tick) || (mark == (tick) && !mark_lock))

/* Move it so that it covers the tick "ask".  Goes to "refused" if it can't. */
inline move_mark()
{
	if
#ifdef BREAK_LOWER_MARK
	/* The lock, but no second look, and only what is asked for. */
	:: atomic {
			!mark_lock && !too_far(now) ->
			mark_lock = true;
			page = ask + AHEAD
		};
#else
	/* The lock; look again: somebody else has moved it. */
	:: atomic { !mark_lock && mark > ask -> skip }
	:: atomic { !mark_lock && mark <= ask && too_far(now) -> ask = 0; goto refused }

	/* The lock; write the page and its WAL. */
	:: atomic {
			!mark_lock && mark <= ask && !too_far(now) ->
			mark_lock = true;
			page = MAX(MAX(page, mark), ask + AHEAD)
		};
#endif

#ifdef BREAK_PUBLISH_FIRST
		mark = page;
#endif

#ifndef BREAK_NO_FLUSH
		/* Flush. */
		durable = page;
#endif

		/* Publish, release. */
		atomic {
			mark = page;
			printf("session %d: mark %d, durable %d\n", me, mark, durable);
#ifdef JUMP
			expected = now;
#endif
			mark_lock = false
		}
	fi
}
