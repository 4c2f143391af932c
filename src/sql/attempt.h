/*
 * attempt.h
 *		Calls a function whose errors are reported, not raised.
 */
#ifndef FLAKE_ATTEMPT_H
#define FLAKE_ATTEMPT_H

extern const char *flake_attempt(void (*what) (void *arg), void *arg);

#endif							/* FLAKE_ATTEMPT_H */
