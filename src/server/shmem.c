/*
 * shmem.c
 *		flake's shared memory: a small control block and a dynamic area.
 *
 * The control block is found by name, and created on first use, so that flake
 * need not be preloaded.  The slots of a layout and node id and the marks of
 * databases are in a dynamic shared area.  If flake is preloaded, the area begins
 * with memory that is reserved when the server starts, enough for all presets
 * under two node ids.  Otherwise the first backend that needs the area
 * creates it.
 *
 * Nothing in the area is ever freed or moved.  So a backend can keep addresses,
 * and has nothing to clean up when it exits.  Slots that stay are also what makes
 * ids unique whatever happens to databases, extensions and node ids (refill.c).
 * To bound the memory, the number of layouts is limited (shmem.h): a slot takes
 * 64 bytes under each node id that was used, and a database takes about 130.
 *
 * FlakeControl.lock protects the creation of the area and both lists.  While it
 * is held no other lock is taken, except by the area itself, and no catalog is
 * read.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "server/compat.h"
#include "server/defaults.h"
#include "server/shmem.h"

#define FLAKE_SHMEM_NAME "flake"

/* Size of the area's reserved memory if preloaded */
#define PRELOADED_SIZE	(1024 * 1024)

/* A layout in use; others of the same geometry share the entry. */
typedef struct LayoutEntry
{
	dsa_pointer next;
	dsa_pointer slots;			/* list of SlotsEntry */
	FlakeGeometry geometry;
	Oid			database;		/* where it was first used; InvalidOid: preset */
	bool		is_default;		/* it was in the default of a column then */
	char		text[FLEXIBLE_ARRAY_MEMBER];
} LayoutEntry;

/* The slots of a layout under one node id; begins on a cache line. */
typedef struct SlotsEntry
{
	dsa_pointer next;
	char		pad[FLAKE_CACHE_LINE - sizeof(dsa_pointer)];
	FlakeSlots	slots;
} SlotsEntry;

static FlakeControl *control = NULL;
static dsa_area *area = NULL;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

/* If preloaded, the area follows the control block, on a cache line. */
#define AREA_OFFSET		TYPEALIGN(FLAKE_CACHE_LINE, sizeof(FlakeControl))

static void *
preloaded_area(void)
{
	return (char *) control + AREA_OFFSET;
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
	pg_atomic_init_flag(&new->node_derived);
	pg_atomic_init_u64(&new->clock_offset, 0);
	pg_atomic_init_u64(&new->clock_steps, 0);
	pg_atomic_init_u64(&new->node_setting, 0);
	SpinLockInit(&new->clock_lock);
}

/*----------
 * Preloading
 *----------
 */

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(AREA_OFFSET + PRELOADED_SIZE);
}

static void
make_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	control = ShmemInitStruct(FLAKE_SHMEM_NAME, AREA_OFFSET + PRELOADED_SIZE,
							  &found);
	if (!found)
	{
		dsa_area   *new;

		init_control(control);
		control->preloaded = true;
		control->have_area = true;
		new = dsa_create_in_place(preloaded_area(), PRELOADED_SIZE,
								  control->tranche, NULL);
		dsa_pin(new);
		/* the postmaster does not use it */
		dsa_detach(new);
	}
	LWLockRelease(AddinShmemInitLock);
	flake_name_tranche(control->tranche, FLAKE_SHMEM_NAME);
}

/* Reserve memory, while flake is preloaded. */
void
flake_shmem_request(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = make_memory;
}

/*----------
 * Finding and creating it
 *----------
 */

/* Add a hint to the server's messages about a lack of memory. */
static void
hint_memory(void *arg)
{
	int			code = geterrcode();

	if (code == ERRCODE_OUT_OF_MEMORY || code == ERRCODE_DISK_FULL ||
		code == ERRCODE_INSUFFICIENT_RESOURCES)
		errhint("flake needs a megabyte of shared memory: add \"flake\" to \"shared_preload_libraries\" or raise \"min_dynamic_shared_memory\", and restart the server; or enlarge /dev/shm.");
}

static void
push_hint(ErrorContextCallback *context)
{
	context->callback = hint_memory;
	context->arg = NULL;
	context->previous = error_context_stack;
	error_context_stack = context;
}

static void
pop_hint(const ErrorContextCallback *context)
{
	error_context_stack = context->previous;
}

/*
 * The control block, which is created if need be.
 */
FlakeControl *
flake_shmem(void)
{
	ErrorContextCallback context;

	if (likely(control != NULL))
		return control;

	push_hint(&context);
	control = flake_named_memory(FLAKE_SHMEM_NAME, sizeof(FlakeControl),
								 init_control);
	pop_hint(&context);

	flake_name_tranche(control->tranche, FLAKE_SHMEM_NAME);
	return control;
}

static dsa_area *
create_area(void)
{
	dsa_area   *new = dsa_create(control->tranche);

	dsa_pin(new);
	control->area = dsa_get_handle(new);
	control->have_area = true;
	return new;
}

/*
 * The dynamic area, which is created if need be.  The first call maps it for the
 * rest of the backend's life.
 */
dsa_area *
flake_shmem_area(void)
{
	ErrorContextCallback context;
	MemoryContext old;

	if (likely(area != NULL))
		return area;

	(void) flake_shmem();
	push_hint(&context);
	old = MemoryContextSwitchTo(TopMemoryContext);
	LWLockAcquire(&control->lock, LW_EXCLUSIVE);
	if (control->preloaded)
	{
		area = dsa_attach_in_place(preloaded_area(), NULL);
		on_shmem_exit(dsa_on_shmem_exit_release_in_place,
					  PointerGetDatum(preloaded_area()));
	}
	else
		area = control->have_area ? dsa_attach(control->area) : create_area();
	LWLockRelease(&control->lock);
	dsa_pin_mapping(area);
	MemoryContextSwitchTo(old);
	pop_hint(&context);
	return area;
}

/* Has this backend mapped the area? */
bool
flake_shmem_is_attached(void)
{
	return area != NULL;
}

/* Allocate zeroed memory, never to be freed.  Needs FlakeControl.lock. */
dsa_pointer
flake_shmem_allocate(Size size)
{
	ErrorContextCallback context;
	dsa_pointer place;

	push_hint(&context);
	place = dsa_allocate0(area, size);
	pop_hint(&context);
	return place;
}

/*----------
 * The slots of layouts and node ids
 *----------
 */

/* The canonical text of a preset is its name, and that of others has fields. */
static bool
is_built_in(const char *text)
{
	return strchr(text, ':') == NULL;
}

/*
 * Has the server or this database reached the limit of layouts?  Layouts in
 * defaults of columns are counted separately.
 */
static bool
too_many_layouts(bool is_default)
{
	LayoutEntry *entry;
	int			in_server = 0;
	int			in_database = 0;

	for (dsa_pointer place = control->layouts; DsaPointerIsValid(place);
		 place = entry->next)
	{
		entry = dsa_get_address(area, place);
		if (!OidIsValid(entry->database) || entry->is_default != is_default)
			continue;
		in_server++;
		in_database += entry->database == MyDatabaseId;
	}
	if (is_default)
		return in_server >= FLAKE_MAX_DEFAULTS ||
			in_database >= FLAKE_MAX_DEFAULTS_PER_DATABASE;
	return in_server >= FLAKE_MAX_LAYOUTS ||
		in_database >= FLAKE_MAX_LAYOUTS_PER_DATABASE;
}

/* The entry of a geometry, or NULL. */
static LayoutEntry *
find_layout(const FlakeGeometry *geometry)
{
	LayoutEntry *entry;

	for (dsa_pointer place = control->layouts; DsaPointerIsValid(place);
		 place = entry->next)
	{
		entry = dsa_get_address(area, place);
		if (memcmp(&entry->geometry, geometry, sizeof(*geometry)) == 0)
			return entry;
	}
	return NULL;
}

static LayoutEntry *
make_layout(const FlakeGeometry *geometry, const char *text, bool is_default)
{
	dsa_pointer place = flake_shmem_allocate(offsetof(LayoutEntry, text) +
											 strlen(text) + 1);
	LayoutEntry *entry = dsa_get_address(area, place);

	entry->next = control->layouts;
	entry->slots = InvalidDsaPointer;
	entry->geometry = *geometry;
	entry->database = is_built_in(text) ? InvalidOid : MyDatabaseId;
	entry->is_default = is_default;
	strcpy(entry->text, text);
	control->layouts = place;
	return entry;
}

/* The slots of a layout under a node id, which are created if need be. */
static FlakeSlots *
slots_of(LayoutEntry *of, const FlakeLayout *layout, int64 node)
{
	SlotsEntry *entry;
	dsa_pointer place;

	node = flake_slots_node(layout, node);
	for (place = of->slots; DsaPointerIsValid(place); place = entry->next)
	{
		entry = dsa_get_address(area, place);
		if (entry->slots.node == node)
			return &entry->slots;
	}

	place = flake_shmem_allocate(offsetof(SlotsEntry, slots) +
								 flake_slots_size(layout) + FLAKE_CACHE_LINE);
	place = TYPEALIGN(FLAKE_CACHE_LINE, place);
	entry = dsa_get_address(area, place);
	flake_slots_init(&entry->slots, layout, node);
	entry->next = of->slots;
	of->slots = place;
	return &entry->slots;
}

/*
 * The slots of a layout and node id.  NULL if the layout has no entry yet, and
 * "may_make" or a limit does not allow one.
 */
static FlakeSlots *
find_slots(const FlakeLayout *layout, const char *text, int64 node,
		   bool may_make, bool is_default)
{
	FlakeGeometry geometry;
	LayoutEntry *entry;
	FlakeSlots *slots;

	flake_layout_geometry(layout, &geometry);
	LWLockAcquire(&control->lock, LW_EXCLUSIVE);
	entry = find_layout(&geometry);
	if (entry == NULL && may_make &&
		(is_built_in(text) || !too_many_layouts(is_default)))
		entry = make_layout(&geometry, text, is_default);
	slots = entry == NULL ? NULL : slots_of(entry, layout, node);
	LWLockRelease(&control->lock);
	return slots;
}

/*
 * The slots of a layout, whose canonical text is "text", under a node id.  They
 * are created if need be.  Raises an error if there are too many layouts.
 */
FlakeSlots *
flake_shmem_slots(const FlakeLayout *layout, const char *text, int64 node)
{
	FlakeSlots *slots;

	(void) flake_shmem_area();
	slots = find_slots(layout, text, node, is_built_in(text), false);
	if (slots == NULL)
		slots = find_slots(layout, text, node, true, flake_layout_is_default(text));
	if (slots == NULL)
		ereport(ERROR,
				errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("too many layouts in use on this server"),
				errdetail("Between two starts, a server can make ids of at most %d layouts besides presets, and of %d that were first used in the same database.  For layouts in column defaults the limits are %d and %d.",
						  FLAKE_MAX_LAYOUTS, FLAKE_MAX_LAYOUTS_PER_DATABASE,
						  FLAKE_MAX_DEFAULTS, FLAKE_MAX_DEFAULTS_PER_DATABASE),
				errhint("Use the same layout for several tables, or use it in a column default.  After a restart, layouts that are no longer used do not count."));
	return slots;
}

/* The slots of all layouts and node ids, as a list of FlakeSlotsInUse. */
List *
flake_shmem_all_slots(void)
{
	List	   *result = NIL;
	LayoutEntry *layout;
	SlotsEntry *entry;

	(void) flake_shmem_area();
	LWLockAcquire(&control->lock, LW_SHARED);
	for (dsa_pointer l = control->layouts; DsaPointerIsValid(l); l = layout->next)
	{
		layout = dsa_get_address(area, l);
		for (dsa_pointer s = layout->slots; DsaPointerIsValid(s); s = entry->next)
		{
			FlakeSlotsInUse *one = palloc(sizeof(FlakeSlotsInUse));

			entry = dsa_get_address(area, s);
			one->layout = layout->text;
			one->slots = &entry->slots;
			result = lappend(result, one);
		}
	}
	LWLockRelease(&control->lock);
	return result;
}

/* True only for the first call since the server started. */
bool
flake_shmem_first_derived_node(void)
{
	return pg_atomic_test_set_flag(&flake_shmem()->node_derived);
}
