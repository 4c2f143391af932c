/*
 * fiber.c
 *		Coroutines: each session runs on a stack of its own and gives way only
 *		where it says so.
 *
 * A fiber that is made again begins anew; what it was doing is forgotten, as
 * when a process is killed.  The first switch to a fiber is swapcontext(); as
 * that makes two system calls, the later ones are _setjmp() and _longjmp(),
 * but for address sanitizer, which is told about every change of stack.
 */
#include "sim.h"

#include <setjmp.h>
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
#define JUMPS	false
#define START_SWITCH(save, bottom, size) \
	__sanitizer_start_switch_fiber(save, bottom, size)
#define FINISH_SWITCH(save, bottom, size) \
	__sanitizer_finish_switch_fiber(save, bottom, size)
#else
#define JUMPS	true
#define START_SWITCH(save, bottom, size)	((void) 0)
#define FINISH_SWITCH(save, bottom, size)	((void) 0)
#endif

#define STACK_SIZE	(64 * 1024)

struct Fiber
{
	ucontext_t	context;
	jmp_buf		place;			/* where it yielded */
	bool		begun;
	char	   *stack;
	void	   *fake_stack;
	void		(*body) (void *);
	void	   *arg;
};

static Fiber fibers[MAX_BACKENDS];
static Fiber *current = NULL;
static ucontext_t scheduler;
static jmp_buf scheduler_place;
#ifdef FIBER_ASAN
static const void *scheduler_stack;
static size_t scheduler_size;
#endif

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
	fiber->begun = false;
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
	if (!fiber->begun)
	{
		fiber->begun = true;
		if (JUMPS && _setjmp(scheduler_place) != 0)
			return;
		swapcontext(&scheduler, &fiber->context);
	}
	else if (!JUMPS)
		swapcontext(&scheduler, &fiber->context);
	else if (_setjmp(scheduler_place) == 0)
		_longjmp(fiber->place, 1);
	FINISH_SWITCH(fake_stack, NULL, NULL);
	current = NULL;
}

void
fiber_yield(void)
{
	Fiber	   *fiber = current;

	START_SWITCH(&fiber->fake_stack, scheduler_stack, scheduler_size);
	if (!JUMPS)
		swapcontext(&fiber->context, &scheduler);
	else if (_setjmp(fiber->place) == 0)
		_longjmp(scheduler_place, 1);
	FINISH_SWITCH(fiber->fake_stack, &scheduler_stack, &scheduler_size);
}
