/*
 * fiber.h
 *		Coroutines: each has its own stack, and runs until it yields.
 */
#ifndef FLAKE_FIBER_H
#define FLAKE_FIBER_H

#include <stddef.h>

#define MAX_FIBERS	256

extern void fiber_make(int number, void (*body) (void *), void *arg);
extern void fiber_run(int number);
extern void fiber_yield(void);
extern char *fiber_live(int number, size_t *size);
extern char *fiber_state(int number, size_t *size);
extern void fiber_clean(int number);

#endif							/* FLAKE_FIBER_H */
