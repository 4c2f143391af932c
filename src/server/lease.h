/*
 * lease.h
 *		The lease of the server's node id, as sessions see it.
 *
 * Where flake.node_id is "lease", sessions say in shared memory what they need,
 * and one background worker, lease_worker.c, gets it from a registry and puts it
 * there.
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

/* Why there is no lease, or none that goes far enough. */
typedef enum FlakeLeaseFailureKind
{
	FLAKE_LEASE_NO_FAILURE,
	FLAKE_LEASE_NOT_SET,		/* no registry is named */
	FLAKE_LEASE_BAD_SETTING,	/* libpq can't read the setting */
	FLAKE_LEASE_NO_LIBRARY,		/* flake_libpq can't be loaded */
	FLAKE_LEASE_NOT_CONNECTED,
	FLAKE_LEASE_NO_ANSWER,
	FLAKE_LEASE_LOST,			/* the connection */
	FLAKE_LEASE_INSECURE,
	FLAKE_LEASE_PASSWORD,
	FLAKE_LEASE_NOT_ADMITTED,	/* by pg_hba.conf, or there is no such role */
	FLAKE_LEASE_NO_DATABASE,
	FLAKE_LEASE_NO_EXTENSION,
	FLAKE_LEASE_OTHER_VERSION,
	FLAKE_LEASE_NO_RIGHT,
	FLAKE_LEASE_OWN_REGISTRY,
	FLAKE_LEASE_SHARED_NODE,	/* two registries have the same node id */
	FLAKE_LEASE_REFUSED,		/* by the registry, which says why */
	FLAKE_LEASE_TOO_SHORT,		/* it was granted, but not for long enough */
	FLAKE_LEASE_LEFT,			/* the setting is another one by now */
} FlakeLeaseFailureKind;

/* In place of a hash: it failed whatever a session's settings are. */
#define FLAKE_LEASE_ANY_SETTINGS	0

#define FLAKE_LEASE_WORDS		256
#define FLAKE_LEASE_LIBPQ_WORDS	512

/*
 * The last try of the worker, if it failed.  What libpq says names hosts and
 * roles; it is for the log and for reports.
 */
typedef struct FlakeLeaseFailure
{
	FlakeLeaseFailureKind kind;
	int			sqlstate;		/* of FLAKE_LEASE_REFUSED */
	int			registry;		/* from 0 */
	int64		since_us;		/* wall clock: it failed ever since */
	int64		reach_us;		/* of FLAKE_LEASE_TOO_SHORT: its end */
	char		words[FLAKE_LEASE_WORDS];	/* of the registry's functions */
	char		libpq_words[FLAKE_LEASE_LIBPQ_WORDS];
} FlakeLeaseFailure;

/* What the worker knows of the lease, and its successor after an error. */
typedef struct FlakeLeaseGrant
{
	uint64		registry;		/* hash of the setting it was granted by */
	pg_uuid_t	lease;
	pg_uuid_t	next_lease;		/* of a renewal that is in doubt */
	bool		has_next;
	bool		is_lost;		/* the registry does not know it any more */
	int64		length_us;		/* that was asked for */
	int64		granted_us;		/* last, by the wall clock */
	int64		granted_mono_us;	/* and by the monotonic clock */
	int64		until_us;
} FlakeLeaseGrant;

/*
 * In shared memory, in a block of its own.  It is made where a node id is to be
 * leased, and only there.
 */
typedef struct FlakeLeaseControl
{
	/* FlakeLease *, as dsa_pointer; invalid: there is none */
	pg_atomic_uint64 current;

	/* int64: latest start of a tick that a session has asked for; 0: none */
	pg_atomic_uint64 wanted_us;
	pg_atomic_uint64 asked_mono_us; /* when that was, on the monotonic clock */

	/* int64: when the last try failed, on the monotonic clock; 0: it did not */
	pg_atomic_uint64 failed_mono_us;
	pg_atomic_uint64 failed_settings;	/* hash of the settings then, or
										 * FLAKE_LEASE_ANY_SETTINGS */

	ConditionVariable answered;

	/* protects all below */
	LWLock		lock;
	bool		registered;		/* there is a worker, or there will be */
	int			worker_pid;		/* 0: not now */
	Latch	   *worker_latch;
	FlakeLeaseFailure failure;
	bool		has_claim;		/* a claim is in doubt */
	pg_uuid_t	claim;
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
	FlakeLeaseFailure failure;	/* if its kind says so */
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
