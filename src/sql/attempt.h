/*
 * attempt.h
 *		Doing something whose errors are to be reported, not raised.
 */
#ifndef FLAKE_ATTEMPT_H
#define FLAKE_ATTEMPT_H

extern const char *flake_attempt(void (*what) (void *arg), void *arg);

#endif							/* FLAKE_ATTEMPT_H */
