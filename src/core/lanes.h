/*
 * lanes.h
 *		Which slot a session takes numbers from, and how many.
 */
#ifndef FLAKE_LANES_H
#define FLAKE_LANES_H

#include "core/session.h"

extern void flake_lanes_init(FlakeSession *session);
extern bool flake_lanes_take(FlakeSession *session, int64 tick, uint64 need,
							 uint64 least);
extern bool flake_lanes_take_ahead(FlakeSession *session, int64 tick,
								   uint64 count);
extern bool flake_lanes_take_next(FlakeSession *session);

#endif							/* FLAKE_LANES_H */
