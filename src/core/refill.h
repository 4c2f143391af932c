/*
 * refill.h
 *		How a session comes by its next range: questions and answers.
 *
 * The caller begins a request and then asks, step by step, what is to be done;
 * flake_refill_step() looks at everything once and answers.  It neither sleeps
 * nor writes to disk nor raises errors: that is the caller's part
 * (src/server/backend.c).
 *
 * The argument why no id is given twice, and why a session's ids increase,
 * stands at the top of refill.c.
 */
#ifndef FLAKE_REFILL_H
#define FLAKE_REFILL_H

#include "core/session.h"

typedef enum FlakeAnswer
{
	FLAKE_GRANTED,

	/* do that, then ask again */
	FLAKE_LOOK_AT_MARK,			/* it is about another relation */
	FLAKE_MOVE_MARK,			/* to cover mark_need */
	FLAKE_MOVE_MARK_EARLY,		/* the same, if nobody else is at it */
	FLAKE_RENEW_LEASE,			/* to cover lease_need_us, or get another one */
	FLAKE_WAIT,					/* about wait_us; 0: let interrupts in */

	/* refused; nothing has changed */
	FLAKE_CLOCK_BEFORE_EPOCH,
	FLAKE_PAST_LAST_TICK,
	FLAKE_CLOCK_BEHIND,			/* by more than is allowed */
	FLAKE_MARK_AHEAD,			/* the same, because of the start mark */
	FLAKE_LEASE_AHEAD,			/* the same, because of the lease's beginning */
} FlakeAnswer;

/*
 * One request for a range, from flake_refill_begin() to its end.
 */
typedef struct FlakeRefill
{
	uint64		need;			/* ids that the caller is going to want */
	uint64		least;			/* a range of fewer is of no use */
	int64		lead_us;		/* the lead that is allowed in this layout */

	/* set by the caller before each step: the relation that it means */
	uint64		relation;

	/* what is to be done before the next step */
	FlakeMarkNeed mark_need;
	int64		lease_need_us;	/* start of a tick */
	int64		wait_us;

	/* what a refusal was about */
	FlakeSample now;
	int64		behind_us;		/* the lead that would be needed */

	/* private to refill.c */
	int64		floor;
	FlakeAnswer late_answer;	/* what to say if that is too far ahead */
	bool		early_asked;
	int			moves_asked;	/* needed ones */
	int64		behind_since_us;	/* monotonic; 0: not waiting for the clock */
	bool		waiting;		/* for the tick after "floor" */
	int64		waiting_since_us;	/* monotonic */
} FlakeRefill;

extern int64 flake_lead_us(const FlakeLayout *layout, int64 setting_us);
extern void flake_refill_begin(FlakeSession *session, FlakeRefill *refill,
							   uint64 need, uint64 least, int64 lead_us);
extern FlakeAnswer flake_refill_step(FlakeSession *session,
									 FlakeRefill *refill);

#endif							/* FLAKE_REFILL_H */
