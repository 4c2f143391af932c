/*
 * refill.h
 *		How a session gets its next range.
 *
 * The caller begins a request by flake_refill_begin(), and then repeats
 * flake_refill_step(), which looks at everything once and answers what to do
 * next.  Sleeping, writing to disk and raising errors are left to the caller
 * (src/server/backend.c).
 *
 * refill.c begins with the argument why no id is issued twice, and why a
 * session's ids increase.
 */
#ifndef FLAKE_REFILL_H
#define FLAKE_REFILL_H

#include "core/session.h"

typedef enum FlakeAnswer
{
	FLAKE_GRANTED,

	/* do this, then repeat the step */
	FLAKE_LOOK_AT_MARK,			/* the mark is another relation's */
	FLAKE_MOVE_MARK,			/* to cover mark_need */
	FLAKE_MOVE_MARK_EARLY,		/* the same, unless somebody else is doing it */
	FLAKE_RENEW_LEASE,			/* to cover lease_need_us, or get another one */
	FLAKE_WAIT,					/* for wait_us; 0: only check for interrupts */

	/* refused; nothing has changed */
	FLAKE_CLOCK_BEFORE_EPOCH,
	FLAKE_PAST_LAST_TICK,
	FLAKE_CLOCK_BEHIND,			/* ids would be too far ahead of the clock */
	FLAKE_MARK_AHEAD,			/* so would they after the start mark */
	FLAKE_LEASE_AHEAD,			/* so would they in the lease */
} FlakeAnswer;

/*
 * One request for a range, from flake_refill_begin() to its end.
 */
typedef struct FlakeRefill
{
	uint64		need;			/* how many ids the caller is going to need */
	uint64		least;			/* the shortest range that it can use */
	int64		lead_us;		/* the lead that is allowed in this layout */

	/* set by the caller before each step: the relation that is the mark */
	uint64		relation;

	/* details of what to do before the next step */
	FlakeMarkNeed mark_need;
	int64		lease_need_us;	/* start of a tick */
	int64		wait_us;

	/* details of a refusal */
	FlakeSample now;
	int64		behind_us;		/* the lead that would be needed */

	/* private to refill.c */
	int64		floor;
	FlakeAnswer late_answer;	/* the refusal if "floor" is too far ahead */
	bool		early_asked;	/* an early move of the mark was asked for */
	int			moves_asked;	/* how often another move was asked for */
	int64		behind_since_us;	/* monotonic clock; 0: not waiting for the
									 * wall clock */
	bool		waiting;		/* for the tick after "floor" */
	int64		waiting_since_us;	/* monotonic clock */
} FlakeRefill;

extern int64 flake_lead_us(const FlakeLayout *layout, int64 setting_us);
extern void flake_refill_begin(FlakeSession *session, FlakeRefill *refill,
							   uint64 need, uint64 least, int64 lead_us);
extern FlakeAnswer flake_refill_step(FlakeSession *session,
									 FlakeRefill *refill);

#endif							/* FLAKE_REFILL_H */
