/*
 * lease.c
 *		The lease of the server's node id, as sessions see it.
 *
 * A session that needs a lease, or one that ends later, says so in shared
 * memory, starts the worker (lease_worker.c) if there is none, wakes it, and
 * sleeps until the worker has an answer.  It does not talk to a registry
 * itself: a cancelled statement would leave a grant in doubt, and a hundred
 * sessions would send a hundred requests.
 *
 * A published lease is never moved, and its node id and beginning never
 * change; another lease is another object.  So a session can compare
 * addresses to tell whether its lease is still the current one.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"

#include "server/compat.h"
#include "server/lease.h"
#include "server/log.h"
#include "server/shmem.h"

#define LEASE_BLOCK_NAME	"flake lease"

/* A failure that is no older than this is the answer to a request. */
#define RECENT_US			(10 * FLAKE_US_PER_SECOND)

/* By then a running worker has tried both registries. */
#define PATIENCE_US			(30 * FLAKE_US_PER_SECOND)

/*
 * How long to try, and how often, if all slots for workers are taken: a
 * worker's slot becomes free only some time after it has ended, and parallel
 * queries hold slots for a short time.
 */
#define NO_SLOT_US			(3 * FLAKE_US_PER_SECOND)
#define NO_SLOT_MS			100

/* How often a waiting session checks that there is a worker. */
#define LOOK_AGAIN_MS		1000

static FlakeLeaseControl *block = NULL;

static void
init_block(void *memory)
{
	FlakeLeaseControl *new = memory;

	memset(new, 0, sizeof(*new));
	pg_atomic_init_u64(&new->current, InvalidDsaPointer);
	pg_atomic_init_u64(&new->wanted_us, 0);
	pg_atomic_init_u64(&new->asked_mono_us, 0);
	pg_atomic_init_u64(&new->failed_mono_us, 0);
	pg_atomic_init_u64(&new->failed_settings, 0);
	ConditionVariableInit(&new->answered);
	LWLockInitialize(&new->lock, flake_shmem()->tranche);
}

/*
 * The block; the first call of a process finds or makes it.
 */
FlakeLeaseControl *
flake_lease_control(void)
{
	if (likely(block != NULL))
		return block;
	/* flake_lease_current() needs it as soon as the block is known */
	(void) flake_shmem_area();
	block = flake_named_memory(LEASE_BLOCK_NAME, sizeof(FlakeLeaseControl),
							   init_block);
	return block;
}

/* Has this process found the block? */
bool
flake_lease_is_attached(void)
{
	return block != NULL;
}

/* Does flake.node_id ask for a lease? */
bool
flake_lease_is_on(void)
{
	return strcmp(flake_setting_node_id, "lease") == 0;
}

static uint64
hash_setting(const char *setting, uint64 seed)
{
	return hash_bytes_extended((const unsigned char *) setting,
							   (int) strlen(setting), seed);
}

/* A hash of the settings that decide whether and where to lease. */
uint64
flake_lease_settings(void)
{
	uint64		hash = hash_setting(flake_setting_node_id, 0);

	for (int i = 0; i < FLAKE_REGISTRIES; i++)
		hash = hash_setting(flake_setting_registry[i], hash);
	return hash;
}

/*
 * The current lease, which may have ended; NULL if there is none, or if this
 * process has not found the block yet.
 */
FlakeLease *
flake_lease_current(void)
{
	dsa_pointer place;

	if (block == NULL)
		return NULL;
	place = (dsa_pointer) pg_atomic_read_u64(&block->current);
	pg_read_barrier();
	return DsaPointerIsValid(place) ?
		dsa_get_address(flake_shmem_area(), place) : NULL;
}

/*----------
 * Asking for a lease
 *----------
 */

/* Start the worker if there is none, and wake it.  False: no slot is free. */
static bool
call_worker(void)
{
	bool		registered;

	LWLockAcquire(&block->lock, LW_EXCLUSIVE);
	registered = block->registered;
	if (!registered)
	{
		BackgroundWorker worker = {
			.bgw_flags = BGWORKER_SHMEM_ACCESS,
			.bgw_start_time = BgWorkerStart_RecoveryFinished,
			.bgw_restart_time = 1,
		};

		strlcpy(worker.bgw_name, "flake lease worker", BGW_MAXLEN);
		strlcpy(worker.bgw_type, "flake lease worker", BGW_MAXLEN);
		strlcpy(worker.bgw_library_name, "flake", sizeof(worker.bgw_library_name));
		strlcpy(worker.bgw_function_name, "flake_lease_worker_main",
				sizeof(worker.bgw_function_name));
		registered = RegisterDynamicBackgroundWorker(&worker, NULL);
		block->registered = registered;
	}
	if (block->worker_latch != NULL)
		SetLatch(block->worker_latch);
	LWLockRelease(&block->lock);
	return registered;
}

/*
 * Ask for a lease that covers that time.  False: no slot is free for the
 * worker.
 */
static bool
ask(int64 need_us)
{
	uint64		wanted = pg_atomic_read_u64(&block->wanted_us);

	while ((int64) wanted < need_us)
	{
		if (pg_atomic_compare_exchange_u64(&block->wanted_us, &wanted,
										   (uint64) need_us))
			break;
	}
	pg_atomic_write_u64(&block->asked_mono_us, (uint64) flake_monotonic_us());
	return call_worker();
}

/*
 * Does the lease cover that time by now?  Or is there another one, so that the
 * caller has to begin again?
 */
static bool
is_there(const FlakeLease *had, int64 need_us)
{
	FlakeLease *lease = flake_lease_current();

	return lease != NULL &&
		(lease != had || need_us < flake_lease_until_us(lease));
}

/*
 * Has the worker failed recently?  A failure with other settings than this
 * session's does not count yet: the worker or the session has still to reload.
 */
static bool
has_failed(int64 asked_mono_us)
{
	int64		failed_us = (int64) pg_atomic_read_u64(&block->failed_mono_us);
	int64		now_us = flake_monotonic_us();
	uint64		settings = pg_atomic_read_u64(&block->failed_settings);

	if (failed_us == 0)
		return false;
	if (settings == flake_lease_settings())
		return now_us - failed_us < RECENT_US;
	return failed_us >= asked_mono_us &&
		(settings == FLAKE_LEASE_ANY_SETTINGS || now_us - asked_mono_us > RECENT_US);
}

/* Raise the worker's failure, unless it has succeeded in the meantime. */
static void
raise_failure(const FlakeLease *had, int64 need_us)
{
	FlakeLeaseFailure failure;

	LWLockAcquire(&block->lock, LW_SHARED);
	failure = block->failure;
	LWLockRelease(&block->lock);
	if (failure.kind != FLAKE_LEASE_NO_FAILURE && !is_there(had, need_us))
		flake_raise(flake_lease_error(&failure, flake_lease_current()));
}

/*
 * Wait until the lease "had" covers a tick that begins at need_us, or there
 * is another lease.  Raise an error if the worker cannot get either.  No
 * locks may be held.
 */
void
flake_lease_wait(const FlakeLease *had, int64 need_us)
{
	static uint32 event = 0;
	int64		asked_us = flake_monotonic_us();
	bool		has_slot;

	CHECK_FOR_INTERRUPTS();
	(void) flake_lease_control();
	if (IsBinaryUpgrade)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("cannot lease a node id during a binary upgrade"));
	if (!IsUnderPostmaster)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("cannot lease a node id in single-user mode"));
	if (event == 0)
		event = flake_wait_event("FlakeWaitForLease");

	ConditionVariablePrepareToSleep(&block->answered);
	while (!is_there(had, need_us))
	{
		/*
		 * before looking for a failure, so that the worker tries again after
		 * one
		 */
		has_slot = ask(need_us);
		if (has_failed(asked_us))
			raise_failure(had, need_us);
		else if (!has_slot && flake_monotonic_us() - asked_us > NO_SLOT_US)
			ereport(ERROR,
					errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					errmsg("could not start a background worker to lease a node id"),
					errdetail("All %d slots of \"max_worker_processes\" are in use.",
							  max_worker_processes),
					errhint("Raise \"max_worker_processes\" and restart the server."));
		else if (flake_monotonic_us() - asked_us > PATIENCE_US)
			ereport(ERROR,
					errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("lease worker does not answer"),
					errdetail("It was asked for a lease %d seconds ago.",
							  (int) (PATIENCE_US / FLAKE_US_PER_SECOND)),
					errhint("See the server's log."));
		(void) ConditionVariableTimedSleep(&block->answered,
										   has_slot ? LOOK_AGAIN_MS : NO_SLOT_MS,
										   event);
	}
	ConditionVariableCancelSleep();
}

/*----------
 * What is wrong
 *----------
 */

/* A sentence about the lease, after two spaces; empty if there was none. */
static const char *
lease_text(FlakeLease *lease)
{
	int64		until_us;

	if (lease == NULL)
		return "";
	until_us = flake_lease_until_us(lease);
	return psprintf("  The lease of node id %lld %s at %s.",
					(long long) lease->node,
					until_us > flake_clock_us() ? "ends" : "ended",
					flake_time_text(until_us));
}

/*
 * The registry cannot be reached.  "cause" begins the sentence that says why.
 */
static const FlakeError *
away(const FlakeLeaseFailure *failure, FlakeLease *lease, const char *cause)
{
	return flake_error(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					   "could not reach the registry of node ids",
					   psprintf("%s the registry of \"%s\" since %s.%s",
								cause, flake_registry_name(failure->registry),
								flake_time_text(failure->since_us),
								lease_text(lease)),
					   "For libpq's error, see the server's log or flake_check().");
}

/*
 * A failure as an error.  "lease" is the current one, which may have ended,
 * or NULL.
 */
const FlakeError *
flake_lease_error(const FlakeLeaseFailure *failure, FlakeLease *lease)
{
	const char *name = flake_registry_name(failure->registry);
	const char *since = psprintf("First noticed at %s.%s",
								 flake_time_text(failure->since_us),
								 lease_text(lease));

	switch (failure->kind)
	{
		case FLAKE_LEASE_NO_FAILURE:
			break;
		case FLAKE_LEASE_NOT_SET:
			return flake_error(ERRCODE_CONFIG_FILE_ERROR,
							   "\"flake.node_id\" is \"lease\", but \"flake.registry\" is not set",
							   NULL,
							   "Set \"flake.registry\" to the connection string, without a password, of a database that has the extension \"flake_registry\".");
		case FLAKE_LEASE_BAD_SETTING:
			return flake_error(ERRCODE_CONFIG_FILE_ERROR,
							   psprintf("invalid connection string in \"%s\"", name),
							   NULL,
							   "For libpq's error, see the server's log or flake_check().");
		case FLAKE_LEASE_NO_LIBRARY:
			return flake_error(ERRCODE_UNDEFINED_FILE,
							   "library \"flake_libpq\" cannot be loaded",
							   since,
							   "It is installed with flake, and needs libpq.  See the server's log.");
		case FLAKE_LEASE_NO_MEMORY:
			return flake_error(ERRCODE_OUT_OF_MEMORY,
							   "out of shared memory for the lease of a node id",
							   since,
							   "Enlarge /dev/shm, or add \"flake\" to \"shared_preload_libraries\" and restart the server.");
		case FLAKE_LEASE_NOT_CONNECTED:
			return away(failure, lease, "There has been no connection to");
		case FLAKE_LEASE_NO_ANSWER:
			return away(failure, lease, "There has been no answer in time from");
		case FLAKE_LEASE_LOST:
			return away(failure, lease, "Every connection has been lost to");
		case FLAKE_LEASE_INSECURE:
			return away(failure, lease, "SSL or a certificate has prevented connections to");
		case FLAKE_LEASE_PASSWORD:
			return flake_error(ERRCODE_INVALID_PASSWORD,
							   psprintf("registry of \"%s\" does not accept the password of this server", name),
							   since,
							   "Put the password into the password file of the server's operating system user.");
		case FLAKE_LEASE_NOT_ADMITTED:
			return flake_error(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
							   psprintf("registry of \"%s\" does not admit this server", name),
							   since,
							   "Check that the role exists there, and that the registry's pg_hba.conf admits it.");
		case FLAKE_LEASE_NO_DATABASE:
			return flake_error(ERRCODE_UNDEFINED_DATABASE,
							   psprintf("database of \"%s\" does not exist", name),
							   since,
							   "Set \"dbname\" in it to the name of the registry's database.");
		case FLAKE_LEASE_NO_EXTENSION:
			return flake_error(ERRCODE_UNDEFINED_FUNCTION,
							   psprintf("database of \"%s\" has no registry of node ids", name),
							   since,
							   "Use CREATE EXTENSION flake_registry CASCADE and flake_create_nodes() there.");
		case FLAKE_LEASE_OTHER_VERSION:
			return flake_error(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							   psprintf("registry of \"%s\" has another version", name),
							   psprintf("It has version %s, and this server %s.",
										failure->words, FLAKE_VERSION),
							   "Update the older one.");
		case FLAKE_LEASE_NO_RIGHT:
			return flake_error(ERRCODE_INSUFFICIENT_PRIVILEGE,
							   psprintf("registry of \"%s\" does not let this server lease", name),
							   since,
							   "Use GRANT EXECUTE ON FUNCTION flake_lease_node, flake_renew_node, flake_release_node there.");
		case FLAKE_LEASE_OWN_REGISTRY:
			return flake_error(ERRCODE_CONFIG_FILE_ERROR,
							   psprintf("registry of \"%s\" is on this server or on a copy of it", name),
							   "It has the same system identifier.  A copy of this server would contain a copy of the registry, and both could lease the same node ids.",
							   "Reserve a node id in the registry with flake_reserve_node(), and set \"flake.node_id\" to it.");
		case FLAKE_LEASE_SHARED_NODE:
			return flake_error(ERRCODE_CONFIG_FILE_ERROR,
							   "the two registries have the same node ids",
							   psprintf("Both have node id %s.", failure->words),
							   "Use flake_drop_nodes() in one of them.  If both settings name the same database, empty \"flake.registry_2\".");
		case FLAKE_LEASE_REFUSED:
			return flake_error(failure->sqlstate,
							   psprintf("registry of \"%s\" leases no node id", name),
							   psprintf("The registry says: %s.  %s", failure->words, since),
							   NULL);
		case FLAKE_LEASE_TOO_SHORT:
			return flake_error(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							   "lease of the node id ends too early",
							   psprintf("The registry of \"%s\" grants it until %s.  The clock shows %s.",
										name, flake_time_text(failure->reach_us),
										flake_time_text(flake_clock_us())),
							   "If a clock is wrong, correct it.  Otherwise ids can be made once their ticks begin within the lease.");
		case FLAKE_LEASE_LEFT:
			return flake_error(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							   "\"flake.node_id\" is no longer \"lease\"",
							   "It was \"lease\" when the statement began.",
							   "Repeat the statement.");
	}
	return flake_error(ERRCODE_INTERNAL_ERROR, "no failure of the lease worker", NULL, NULL);
}

/*
 * Have two thirds of the lease passed, by the monotonic clock?  Then renewals
 * have been failing for a while.
 */
bool
flake_lease_is_late(const FlakeLeaseGrant *grant)
{
	return flake_monotonic_us() - grant->granted_mono_us >=
		(grant->until_us - grant->granted_us) / 3 * 2;
}

/* The state, for reports.  flake_lease_control() must have been called. */
void
flake_lease_state(FlakeLeaseState *state)
{
	FlakeLease *lease = flake_lease_current();

	memset(state, 0, sizeof(*state));
	state->leased = lease != NULL;
	if (lease != NULL)
	{
		state->node = lease->node;
		state->from_us = lease->from_us;
		state->until_us = flake_lease_until_us(lease);
	}
	LWLockAcquire(&block->lock, LW_SHARED);
	state->worker_pid = block->worker_pid;
	state->grant = block->grant;
	state->failure = block->failure;
	LWLockRelease(&block->lock);

	/* these concern single requests, and are over once nobody repeats them */
	if ((state->failure.kind == FLAKE_LEASE_TOO_SHORT ||
		 state->failure.kind == FLAKE_LEASE_LEFT) &&
		flake_monotonic_us() - (int64) pg_atomic_read_u64(&block->failed_mono_us) > RECENT_US)
		state->failure.kind = FLAKE_LEASE_NO_FAILURE;
}
