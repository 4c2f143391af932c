/*
 * fiber.c
 *		Coroutines: each has its own stack, and runs until it yields.
 *
 * A fiber that is made again begins anew, as if its process had been killed.  The
 * first switch to a fiber uses swapcontext(), which makes two system calls.  Later
 * ones use _setjmp() and _longjmp(), except with the address sanitizer, which must
 * be told about every change of stack.
 */
#include "postgres.h"

#include "fiber.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
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
#define FIRST_FRAME	256			/* the used stack of a new fiber */
#define CLEAN_SIZE	4096		/* the unused stack that is zeroed */

typedef struct Fiber
{
	ucontext_t	context;
	char	   *stack;
	void	   *fake_stack;
	void		(*body) (void *);
	void	   *arg;

	/* its registers, see fiber_state() */
	struct
	{
		jmp_buf		place;		/* where it yielded */
		char	   *low;		/* lowest address of the stack in use */
		bool		begun;
	}			state;
} Fiber;

static Fiber fibers[MAX_FIBERS];
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

void
fiber_make(int number, void (*body) (void *), void *arg)
{
	Fiber	   *fiber = &fibers[number];

	if (fiber->stack == NULL)
		fiber->stack = malloc(STACK_SIZE);
	if (fiber->stack == NULL)
		abort();
	fiber->fake_stack = NULL;
	memset(&fiber->state, 0, sizeof(fiber->state));
	fiber->state.low = fiber->stack + STACK_SIZE - FIRST_FRAME;
	/* zeroed, so that states do not depend on what was there before */
	memset(fiber->state.low - CLEAN_SIZE, 0, CLEAN_SIZE + FIRST_FRAME);
	fiber->body = body;
	fiber->arg = arg;
	getcontext(&fiber->context);
	fiber->context.uc_stack.ss_sp = fiber->stack;
	fiber->context.uc_stack.ss_size = STACK_SIZE;
	fiber->context.uc_link = NULL;
	makecontext(&fiber->context, enter, 0);
}

/* Run a fiber until it yields. */
void
fiber_run(int number)
{
	Fiber	   *fiber = &fibers[number];
#ifdef FIBER_ASAN
	void	   *fake_stack;
#endif

	current = fiber;
	START_SWITCH(&fake_stack, fiber->stack, STACK_SIZE);
	if (!fiber->state.begun)
	{
		fiber->state.begun = true;
		if (JUMPS && _setjmp(scheduler_place) != 0)
			return;
		swapcontext(&scheduler, &fiber->context);
	}
	else if (!JUMPS)
		swapcontext(&scheduler, &fiber->context);
	else if (_setjmp(scheduler_place) == 0)
		_longjmp(fiber->state.place, 1);
	FINISH_SWITCH(fake_stack, NULL, NULL);
	current = NULL;
}

/* An address just below the caller's frame. */
static pg_noinline char *
below_frame(void)
{
	return __builtin_frame_address(0);
}

void
fiber_yield(void)
{
	Fiber	   *fiber = current;

	START_SWITCH(&fiber->fake_stack, scheduler_stack, scheduler_size);
	if (!JUMPS)
		swapcontext(&fiber->context, &scheduler);
	else
	{
		fiber->state.low = below_frame();
		if (_setjmp(fiber->state.place) == 0)
			_longjmp(scheduler_place, 1);
	}
	FINISH_SWITCH(fiber->fake_stack, &scheduler_stack, &scheduler_size);
}

/*
 * The state of a fiber that does not run: the part of its stack that is in use,
 * and its registers.  A search copies both, and restores them to have the fiber
 * where it was.
 */
char *
fiber_live(int number, size_t *size)
{
	Fiber	   *fiber = &fibers[number];

	*size = fiber->stack + STACK_SIZE - fiber->state.low;
	return fiber->state.low;
}

char *
fiber_state(int number, size_t *size)
{
	*size = sizeof(fibers[number].state);
	return (char *) &fibers[number].state;
}

/*
 * Before a fiber runs in a search: zero the stack where its next frames will be,
 * so that states do not depend on what was there before.
 */
void
fiber_clean(int number)
{
	memset(fibers[number].state.low - CLEAN_SIZE, 0, CLEAN_SIZE);
}
