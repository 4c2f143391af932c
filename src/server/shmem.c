/*
 * shmem.c
 *		flake's shared memory: a small control block and an area behind it.
 *
 * The control block is found by name and made on first use, so that nothing
 * has to be preloaded.  Everything that needs room (the slots of a layout, a
 * database's mark) lives in a dynamic shared area that the first backend to
 * need it creates.  Nothing in the area is ever freed or moved: once a
 * backend has an address it may keep it as long as it lives, and a backend
 * that exits has nothing to clean up.
 *
 * FlakeControl.lock protects the area's creation, the directory of layouts
 * and the list of marks.  It is a leaf: nothing else is locked, and no
 * catalog is read, while it is held (creating shared memory segments apart).
 * The area grows with the number of layouts and databases only; both are
 * small: 64 bytes per slot, about 200 per database.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "server/compat.h"
#include "server/shmem.h"

#define FLAKE_SHMEM_NAME "flake"

static FlakeControl *control = NULL;
static dsa_area *area = NULL;

#ifdef FLAKE_REQUESTS_MEMORY

static shmem_request_hook_type previous_request_hook = NULL;

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(FlakeControl)));
}

#endif

/*
 * At preloading: have room for the control block set aside, where the server
 * does not keep a registry of such blocks by itself.
 */
void
flake_shmem_request(void)
{
#ifdef FLAKE_REQUESTS_MEMORY
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
#endif
}

static void
init_control(void *memory)
{
	FlakeControl *new = memory;

	memset(new, 0, sizeof(*new));
	new->tranche = flake_new_tranche(FLAKE_SHMEM_NAME);
	LWLockInitialize(&new->lock, new->tranche);
	new->layouts = InvalidDsaPointer;
	new->marks = InvalidDsaPointer;
	pg_atomic_init_u64(&new->generation, 1);
	pg_atomic_init_u32(&new->warned, 0);
	pg_atomic_init_u64(&new->clock_offset, 0);
	pg_atomic_init_u64(&new->clock_steps, 0);
	pg_atomic_init_u64(&new->node_setting, 0);
	SpinLockInit(&new->clock_lock);
}

/* Adds the hint that the server's own message lacks. */
static void
hint_preload(void *arg)
{
	if (geterrcode() == ERRCODE_OUT_OF_MEMORY)
		errhint("Add \"flake\" to \"shared_preload_libraries\" and restart the server.");
}

/*
 * The control block; the first call of a backend finds or makes it.
 */
FlakeControl *
flake_shmem(void)
{
	ErrorContextCallback context;

	if (likely(control != NULL))
		return control;

	context.callback = hint_preload;
	context.arg = NULL;
	context.previous = error_context_stack;
	error_context_stack = &context;
	control = flake_named_memory(FLAKE_SHMEM_NAME, sizeof(FlakeControl),
								 init_control);
	error_context_stack = context.previous;

	if (control == NULL)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("shared memory of extension \"flake\" is not available"),
				errhint("Add \"flake\" to \"shared_preload_libraries\" and restart the server."));
	flake_name_tranche(control->tranche, FLAKE_SHMEM_NAME);
	return control;
}

static dsa_area *
create_area(void)
{
	dsa_area   *new = dsa_create(control->tranche);

	control->layouts = dsa_allocate0(new, FLAKE_MAX_LAYOUTS *
									 sizeof(FlakeLayoutEntry));
	dsa_pin(new);
	control->area = dsa_get_handle(new);
	control->have_area = true;
	return new;
}

/*
 * The area behind the control block; the first call of a backend maps it, for
 * as long as the backend lives.
 */
dsa_area *
flake_shmem_area(void)
{
	MemoryContext old;

	if (likely(area != NULL))
		return area;

	(void) flake_shmem();
	old = MemoryContextSwitchTo(TopMemoryContext);
	LWLockAcquire(&control->lock, LW_EXCLUSIVE);
	area = control->have_area ? dsa_attach(control->area) : create_area();
	LWLockRelease(&control->lock);
	dsa_pin_mapping(area);
	MemoryContextSwitchTo(old);
	return area;
}

/* Makes a layout's slots; each begins on a cache line of its own. */
static dsa_pointer
create_slots(const FlakeGeometry *geometry)
{
	Size		size = offsetof(FlakeSlots, slot) +
		sizeof(FlakeSlot) * ((Size) 1 << geometry->slot_bits);
	dsa_pointer place;

	place = dsa_allocate0(area, size + FLAKE_CACHE_LINE);
	place = TYPEALIGN(FLAKE_CACHE_LINE, place);
	flake_slots_init(dsa_get_address(area, place), geometry);
	return place;
}

/*
 * Looks a layout up in the directory, under the lock; NULL if it has no slots.
 */
static FlakeSlots *
find_slots(const FlakeGeometry *geometry)
{
	FlakeLayoutEntry *layouts = dsa_get_address(area, control->layouts);

	for (int i = 0; i < control->nlayouts; i++)
	{
		FlakeSlots *slots = dsa_get_address(area, layouts[i].slots);

		if (memcmp(&slots->geometry, geometry, sizeof(*geometry)) == 0)
			return slots;
	}
	return NULL;
}

/* The slots of a layout, or NULL if nobody has made ids of it yet. */
FlakeSlots *
flake_shmem_find_slots(const FlakeGeometry *geometry)
{
	FlakeSlots *slots;

	(void) flake_shmem_area();
	LWLockAcquire(&control->lock, LW_SHARED);
	slots = find_slots(geometry);
	LWLockRelease(&control->lock);
	return slots;
}

/* Is there no room for one more layout, made through this database? */
static bool
too_many_layouts(void)
{
	FlakeLayoutEntry *layouts = dsa_get_address(area, control->layouts);
	int			through_database = 0;

	for (int i = 0; i < control->nlayouts; i++)
	{
		if (layouts[i].database == MyDatabaseId)
			through_database++;
	}
	return control->nlayouts == FLAKE_MAX_LAYOUTS ||
		through_database == FLAKE_MAX_LAYOUTS_PER_DATABASE;
}

/*
 * The slots of a layout; the first call in the server makes them.
 */
FlakeSlots *
flake_shmem_slots(const FlakeGeometry *geometry)
{
	FlakeLayoutEntry *entry;
	FlakeSlots *slots;

	(void) flake_shmem_area();
	LWLockAcquire(&control->lock, LW_EXCLUSIVE);
	slots = find_slots(geometry);
	if (slots == NULL && too_many_layouts())
	{
		LWLockRelease(&control->lock);
		ereport(ERROR,
				errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("too many layouts make ids in this server"),
				errdetail("At most %d layouts can be in use in a server since it started, %d of them first used in one database.",
						  FLAKE_MAX_LAYOUTS, FLAKE_MAX_LAYOUTS_PER_DATABASE),
				errhint("Let generators share a layout; a restart of the server forgets the layouts that are no longer used."));
	}
	if (slots == NULL)
	{
		entry = (FlakeLayoutEntry *) dsa_get_address(area, control->layouts) +
			control->nlayouts;
		entry->slots = create_slots(geometry);
		entry->database = MyDatabaseId;
		slots = dsa_get_address(area, entry->slots);
		control->nlayouts++;
	}
	LWLockRelease(&control->lock);
	return slots;
}

/*
 * Gives every layout whose ids are refused, because they would be too far
 * ahead of the clock, new slots that begin at the clock.  Sets *now_us to the
 * clock that this was decided by, and returns a time that no id from the
 * slots then in use is after, not before that.
 *
 * Sessions find the new slots after flake_shmem_end_renewal() only: the lock
 * is held until then, so that marks can be lowered before.  The old slots
 * stay: sessions may be about to use them, see issue.c.
 */
int64
flake_shmem_begin_renewal(int64 *now_us)
{
	FlakeLayoutEntry *layouts;
	int64		latest_us;

	(void) flake_shmem_area();
	LWLockAcquire(&control->lock, LW_EXCLUSIVE);
	/* before the clock: see take_range() in issue.c; a full barrier */
	pg_atomic_fetch_add_u64(&control->generation, 1);
	latest_us = *now_us = flake_clock_us();
	layouts = dsa_get_address(area, control->layouts);
	for (int i = 0; i < control->nlayouts; i++)
	{
		FlakeSlots *slots = dsa_get_address(area, layouts[i].slots);

		if (flake_slots_refused(slots, *now_us))
		{
			dsa_pointer place = create_slots(&slots->geometry);

			flake_slots_renew(dsa_get_address(area, place), slots, *now_us);
			layouts[i].slots = place;
		}
		else
			latest_us = Max(latest_us, flake_slots_latest_us(slots));
	}
	return latest_us;
}

/* Who sees the new generation finds the new slots, and lower marks. */
void
flake_shmem_end_renewal(void)
{
	LWLockRelease(&control->lock);
}

/* True for the first caller since the server started. */
bool
flake_shmem_warn_once(FlakeWarning warning)
{
	return (pg_atomic_fetch_or_u32(&flake_shmem()->warned, warning) &
			warning) == 0;
}
