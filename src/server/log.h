/*
 * watch.h
 *		Events that are worth a line in the server's log.
 */
#ifndef FLAKE_WATCH_H
#define FLAKE_WATCH_H

#include "postgres.h"

extern void flake_watch_clock(void);
extern void flake_watch_node(int64 node);
extern void flake_watch_start(int64 mark_us);

#endif							/* FLAKE_WATCH_H */
