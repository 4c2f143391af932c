/*
 * backend.h
 *		This backend's sessions: one per layout that it makes ids of.
 */
#ifndef FLAKE_BACKEND_H
#define FLAKE_BACKEND_H

#include "core/session.h"

extern FlakeSession *flake_backend_session(const char *text, size_t length);
extern FlakeSession *flake_backend_new_session(const FlakeLayout *layout,
											   const char *text,
											   const char *function);
extern void flake_backend_grant(FlakeSession *session, int64 need, int64 least,
								const char *function);
extern void flake_backend_refuse(const char *function);

#endif							/* FLAKE_BACKEND_H */
