/*
 * durable.h
 *		The durable mark on disk: the page, the WAL and the locks.
 */
#ifndef FLAKE_DURABLE_H
#define FLAKE_DURABLE_H

#include "core/mark.h"

/* The result of a look at the mark, or of a move. */
typedef struct FlakeMarkOutcome
{
	FlakeMarkVerdict verdict;
	uint64		relation;		/* the relation that is the mark now */

	/* details of FLAKE_MARK_TOO_FAR and FLAKE_MARK_CLOCK_JUMPED */
	int64		page_us;
	int64		wall_us;
	int64		jump_us;
} FlakeMarkOutcome;

/* The mark of this database for reports. */
typedef struct FlakeMarkState
{
	int64		mark_us;		/* FLAKE_NO_TIME if no id was made since the
								 * server started */
	int64		start_us;
	int64		moves;			/* how often it was written */

	/* the latest start mark of all databases */
	int64		latest_start_us;
	Oid			latest_database;
} FlakeMarkState;

extern void flake_durable_relation_changed(Oid relid);
extern FlakeMark *flake_durable_mark(void);
extern bool flake_durable_is_attached(void);
extern FlakeMarkOutcome flake_durable_look(const FlakeMarkNeed *need);
extern FlakeMarkOutcome flake_durable_move(const FlakeMarkNeed *need, bool early);
extern FlakeMarkState flake_durable_state(void);
extern int64 flake_durable_latest_mark_us(void);
extern void flake_durable_accept_clock(void);

#endif							/* FLAKE_DURABLE_H */
