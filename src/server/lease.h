/*
 * lease.h
 *		The lease of the server's node id, as sessions see it.
 *
 * If flake.node_id is "lease", sessions say in shared memory what they need,
 * and a background worker (lease_worker.c) gets it from a registry.
 */
#ifndef FLAKE_SERVER_LEASE_H
#define FLAKE_SERVER_LEASE_H

#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/uuid.h"

#include "core/lease.h"
#include "server/error.h"
#include "server/settings.h"

/* Why there is no lease, or none that lasts long enough. */
typedef enum FlakeLeaseFailureKind
{
	FLAKE_LEASE_NO_FAILURE,
	FLAKE_LEASE_NOT_SET,		/* flake.registry is empty */
	FLAKE_LEASE_BAD_SETTING,	/* libpq does not accept flake.registry */
	FLAKE_LEASE_NO_LIBRARY,		/* flake_libpq can't be loaded */
	FLAKE_LEASE_NO_MEMORY,		/* no shared memory is left */
	FLAKE_LEASE_NOT_CONNECTED,
	FLAKE_LEASE_NO_ANSWER,
	FLAKE_LEASE_LOST,			/* the connection was lost */
	FLAKE_LEASE_INSECURE,		/* SSL or a certificate was refused */
	FLAKE_LEASE_PASSWORD,
	FLAKE_LEASE_NOT_ADMITTED,	/* pg_hba.conf, or no such role */
	FLAKE_LEASE_NO_DATABASE,
	FLAKE_LEASE_NO_EXTENSION,
	FLAKE_LEASE_OTHER_VERSION,
	FLAKE_LEASE_NO_RIGHT,
	FLAKE_LEASE_OWN_REGISTRY,
	FLAKE_LEASE_SHARED_NODE,	/* two registries have the same node id */
	FLAKE_LEASE_REFUSED,		/* by the registry, with a message */
	FLAKE_LEASE_TOO_SHORT,		/* granted, but not for long enough */
	FLAKE_LEASE_LEFT,			/* flake.node_id is no longer "lease" */
} FlakeLeaseFailureKind;

/*
 * In place of a hash of settings: the failure counts whatever a session's
 * are.
 */
#define FLAKE_LEASE_ANY_SETTINGS	0

#define FLAKE_LEASE_WORDS		256
#define FLAKE_LEASE_LIBPQ_WORDS	512

/*
 * The worker's last attempt, if it failed.  libpq's messages contain hosts and
 * roles, so only the log and reports show them.
 */
typedef struct FlakeLeaseFailure
{
	FlakeLeaseFailureKind kind;
	int			sqlstate;		/* to raise, for FLAKE_LEASE_REFUSED */
	int			registry;		/* its number, from 0 */
	int64		since_us;		/* wall clock: all attempts since then failed */
	int64		reach_us;		/* for FLAKE_LEASE_TOO_SHORT: the lease's end */
	char		words[FLAKE_LEASE_WORDS];	/* from the registry */
	char		libpq_words[FLAKE_LEASE_LIBPQ_WORDS];
} FlakeLeaseFailure;

/* What the worker has to know of the lease, also if it was started again. */
typedef struct FlakeLeaseGrant
{
	uint64		registry;		/* hash of the setting that names its registry */
	pg_uuid_t	lease;
	pg_uuid_t	next_lease;		/* of a renewal without an answer yet */
	bool		has_next;
	bool		is_lost;		/* the registry no longer knows it */
	int64		length_us;		/* as requested */
	int64		granted_us;		/* last grant, by the wall clock */
	int64		granted_mono_us;	/* the same, by the monotonic clock */
	int64		until_us;
} FlakeLeaseGrant;

/* In shared memory, in a block of its own that is made on first use. */
typedef struct FlakeLeaseControl
{
	/* dsa_pointer to a FlakeLease; invalid: there is none */
	pg_atomic_uint64 current;

	/* int64: latest time that a session has asked for; 0: none */
	pg_atomic_uint64 wanted_us;
	pg_atomic_uint64 asked_mono_us; /* when it did, on the monotonic clock */

	/*
	 * int64: when the last attempt failed, on the monotonic clock; 0: it did
	 * not
	 */
	pg_atomic_uint64 failed_mono_us;
	pg_atomic_uint64 failed_settings;	/* hash of the worker's settings then,
										 * or FLAKE_LEASE_ANY_SETTINGS */

	ConditionVariable answered;

	/* protects everything below */
	LWLock		lock;
	bool		registered;		/* there is a worker, or it is being started */
	int			worker_pid;		/* 0: not running */
	Latch	   *worker_latch;
	FlakeLeaseFailure failure;
	bool		has_claim;		/* "claim" has not become a lease yet */
	pg_uuid_t	claim;			/* the uuid of the last claim */
	FlakeLeaseGrant grant;		/* of the current lease */
} FlakeLeaseControl;

/* For reports. */
typedef struct FlakeLeaseState
{
	bool		leased;
	int64		node;
	int64		from_us;
	int64		until_us;
	int			worker_pid;
	FlakeLeaseGrant grant;
	FlakeLeaseFailure failure;
} FlakeLeaseState;

extern FlakeLeaseControl *flake_lease_control(void);
extern bool flake_lease_is_attached(void);
extern uint64 flake_lease_settings(void);
extern bool flake_lease_is_on(void);
extern FlakeLease *flake_lease_current(void);
extern void flake_lease_wait(const FlakeLease *had, int64 need_us);
extern void flake_lease_state(FlakeLeaseState *state);
extern bool flake_lease_is_late(const FlakeLeaseGrant *grant);
extern const FlakeError *flake_lease_error(const FlakeLeaseFailure *failure,
										   FlakeLease *lease);

extern PGDLLEXPORT void flake_lease_worker_main(Datum argument);

#endif							/* FLAKE_SERVER_LEASE_H */
