/*
 * log.h
 *		Lines in the server's log, and times for messages.
 */
#ifndef FLAKE_LOG_H
#define FLAKE_LOG_H

#include "core/layout.h"

extern const char *flake_time_text(int64 unix_us);
extern const char *flake_seconds_text(int64 us);
extern void flake_sample_clocks(int64 *wall_us, int64 *boot_us);
extern void flake_log_clock(void);
extern void flake_log_node(const FlakeLayout *layout, int64 node);
extern void flake_log_start(int64 mark_us);

#endif							/* FLAKE_LOG_H */
