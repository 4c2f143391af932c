/*
 * fiber.c
 *		Coroutines: each session runs on a stack of its own and gives way only
 *		where it says so.
 *
 * A fiber that is made again begins anew; what it was doing is forgotten, as
 * when a process is killed.  Address sanitizer is told about every change of
 * stack.
 */
#include "sim.h"

#include <stdlib.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN
#endif

#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#define START_SWITCH(save, bottom, size) \
	__sanitizer_start_switch_fiber(save, bottom, size)
#define FINISH_SWITCH(save, bottom, size) \
	__sanitizer_finish_switch_fiber(save, bottom, size)
#else
#define START_SWITCH(save, bottom, size)	((void) 0)
#define FINISH_SWITCH(save, bottom, size)	((void) 0)
#endif

#define STACK_SIZE	(256 * 1024)

struct Fiber
{
	ucontext_t	context;
	char	   *stack;
	void	   *fake_stack;
	void		(*body) (void *);
	void	   *arg;
};

static Fiber fibers[MAX_BACKENDS];
static Fiber *current = NULL;
static ucontext_t scheduler;
static const void *scheduler_stack;
static size_t scheduler_size;

static void
enter(void)
{
	FINISH_SWITCH(NULL, &scheduler_stack, &scheduler_size);
	current->body(current->arg);
	for (;;)
		fiber_yield();
}

Fiber *
fiber_make(int number, void (*body) (void *), void *arg)
{
	Fiber	   *fiber = &fibers[number];

	if (fiber->stack == NULL)
		fiber->stack = malloc(STACK_SIZE);
	if (fiber->stack == NULL)
		abort();
	fiber->fake_stack = NULL;
	fiber->body = body;
	fiber->arg = arg;
	getcontext(&fiber->context);
	fiber->context.uc_stack.ss_sp = fiber->stack;
	fiber->context.uc_stack.ss_size = STACK_SIZE;
	fiber->context.uc_link = NULL;
	makecontext(&fiber->context, enter, 0);
	return fiber;
}

/* Run it until it yields. */
void
fiber_run(Fiber *fiber)
{
#ifdef FIBER_ASAN
	void	   *fake_stack;
#endif

	current = fiber;
	START_SWITCH(&fake_stack, fiber->stack, STACK_SIZE);
	swapcontext(&scheduler, &fiber->context);
	FINISH_SWITCH(fake_stack, NULL, NULL);
	current = NULL;
}

void
fiber_yield(void)
{
	Fiber	   *fiber = current;

	START_SWITCH(&fiber->fake_stack, scheduler_stack, scheduler_size);
	swapcontext(&fiber->context, &scheduler);
	FINISH_SWITCH(fiber->fake_stack, &scheduler_stack, &scheduler_size);
}
