/*
 * session.h
 *		This backend's sessions: one per layout that it makes ids of.
 */
#ifndef FLAKE_SESSION_H
#define FLAKE_SESSION_H

#include "postgres.h"

#include "core/refill.h"

extern void flake_refuse_on_standby(const char *function);
extern FlakeSession *flake_session_for(const FlakeLayout *layout);
extern void flake_session_grant(FlakeSession *session, int64 need,
								const char *function);
extern int64 flake_session_take_run(FlakeSession *session, int64 most,
									const char *function, int64 *first_id);
extern void flake_sessions_forget_ranges(void);
extern void flake_node_changed(void);

#endif							/* FLAKE_SESSION_H */
