/*
 * lease_worker.c
 *		The background worker that leases the server's node id.
 *
 * There is one for each life of the server's shared memory.  It is not
 * connected to a database.  It claims a lease when a session has asked for
 * one, renews it when a third of it has passed, and releases it at a stop.
 * core/lease.c decides what lease to ask for, and explains why ids of
 * different servers differ.
 *
 * Since a registry never grants leases that overlap, this file has to get only
 * the following right:
 *
 *	- A lease is published only after the registry's answer was complete.  Its
 *	  node id and its beginning never change after that.
 *	- Its end is raised only by a renewal of that lease.
 *	- Before a release its end is lowered (flake_lease_end), then the marks are
 *	  read, and it is forgotten whatever the registry answers.
 *
 * The uuid of a claim or renewal is chosen before the request is sent, and
 * kept in shared memory until it has been answered.  So a request whose
 * answer was lost is repeated with the same uuid, even by a worker that was
 * started again.
 */
#include "postgres.h"

#include <ctype.h>
#include <unistd.h>

#include "access/xlog.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "postmaster/postmaster.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "libpq/flake_libpq.h"
#include "server/compat.h"
#include "server/durable.h"
#include "server/lease.h"
#include "server/log.h"
#include "server/shmem.h"

/* How long an attempt at one registry may take. */
#define TRY_US				(5 * FLAKE_US_PER_SECOND)

/* The same, for the other registry, whose node ids are only compared. */
#define COMPARE_US			(2 * FLAKE_US_PER_SECOND)

/* The same, for the release at a stop. */
#define STOP_US				(2 * FLAKE_US_PER_SECOND)

/* Pause after an attempt that failed; it doubles with each further one. */
#define FIRST_PAUSE_US		(FLAKE_US_PER_SECOND / 5)
#define LONGEST_PAUSE_US	(5 * FLAKE_US_PER_SECOND)

/* A session that is still waiting has asked again within this time. */
#define ASKED_US			(60 * FLAKE_US_PER_SECOND)

/* How many claims to make if others have locked all node ids that are free. */
#define LOCKED_TRIES		5

/* The size that a registry allows for the name of a holder, and a zero. */
#define HOLDER_SIZE			256

static FlakeLeaseControl *block;
static const FlakeLibpq *libpq;
static uint32 wait_event;

/*
 * When to try again, on the monotonic clock, and the pause after the next
 * failure.
 */
static int64 try_at_us = 0;
static int64 pause_us = FIRST_PAUSE_US;

/* The registry that granted last. */
static int	preferred = 0;

/*
 * Have the two been compared?  Or has it been logged that they could not be?
 */
static bool compared = false;
static bool not_compared = false;

/* Where the last connection to each of them went. */
static FlakeAddress address[FLAKE_REGISTRIES];

/* The last failure of each that has been logged. */
static struct
{
	FlakeLeaseFailureKind kind;
	int			sqlstate;
}			logged[FLAKE_REGISTRIES];

/* Hash of the settings that were last read. */
static uint64 known_settings;

/* The failure of the current attempt. */
static FlakeLeaseFailure failure;

/* Memory for the next lease. */
static dsa_pointer next_lease = InvalidDsaPointer;

/*
 * How long the lease that this attempt has claimed can wait, see
 * can_wait_us().
 */
static int64 put_off_us = 0;

/*----------
 * Small things
 *----------
 */

static bool
is_stopping(void)
{
	return ShutdownRequestPending;
}

static uint32
chance(void)
{
	uint32		number = 0;

	(void) pg_strong_random(&number, sizeof(number));
	return number;
}

static void
make_uuid(pg_uuid_t *uuid)
{
	*uuid = *DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0));
}

static const char *
uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}

static const char *
int64_text(int64 number)
{
	return psprintf(INT64_FORMAT, number);
}

static bool
read_int64(const char *text, int64 *number)
{
	char	   *end;

	if (text == NULL)
		return false;
	errno = 0;
	*number = strtoi64(text, &end, 10);
	return errno == 0 && end != text && *end == '\0';
}

/* Copies the ASCII part, for other servers may have other encodings. */
static void
copy_words(char *to, Size size, const char *words)
{
	strlcpy(to, words, size);
	for (; *to != '\0'; to++)
	{
		if (IS_HIGHBIT_SET(*to) || iscntrl((unsigned char) *to))
			*to = IS_HIGHBIT_SET(*to) ? '?' : ' ';
	}
}

/* The name by which the registry shows this server. */
static void
holder_name(char *name)
{
	char		host[HOLDER_SIZE - 8];

	if (cluster_name != NULL && cluster_name[0] != '\0')
	{
		strlcpy(name, cluster_name, HOLDER_SIZE);
		return;
	}
	if (gethostname(host, sizeof(host)) != 0)
		strcpy(host, "unknown");
	host[sizeof(host) - 1] = '\0';
	snprintf(name, HOLDER_SIZE, "%s:%d", host, PostPortNumber);
}

static uint64
registry_hash(int registry)
{
	const char *setting = flake_setting_registry[registry];

	return hash_bytes_extended((const unsigned char *) setting,
							   (int) strlen(setting), 0);
}

static bool
is_set(int registry)
{
	return flake_setting_registry[registry][0] != '\0';
}

/*
 * The registry that has granted the lease; -1 if the settings do not name it.
 */
static int
granting_registry(void)
{
	for (int i = 0; i < FLAKE_REGISTRIES; i++)
	{
		if (is_set(i) && registry_hash(i) == block->grant.registry)
			return i;
	}
	return -1;
}

/*----------
 * Failures
 *----------
 */

/*
 * The attempt has failed at that registry.  A new kind of failure is logged.
 */
static void
fail(FlakeLeaseFailureKind kind, int registry, int sqlstate, const char *words,
	 const char *libpq_words)
{
	memset(&failure, 0, sizeof(failure));
	failure.kind = kind;
	failure.registry = registry;
	failure.sqlstate = sqlstate;
	if (words != NULL)
		copy_words(failure.words, sizeof(failure.words), words);
	if (libpq_words != NULL)
		copy_words(failure.libpq_words, sizeof(failure.libpq_words), libpq_words);
	failure.since_us = flake_clock_us();

	/* the last two are no fault of a registry */
	if ((logged[registry].kind != kind || logged[registry].sqlstate != sqlstate) &&
		kind != FLAKE_LEASE_TOO_SHORT && kind != FLAKE_LEASE_LEFT)
	{
		const FlakeError *error = flake_lease_error(&failure,
													flake_lease_current());

		logged[registry].kind = kind;
		logged[registry].sqlstate = sqlstate;
		ereport(LOG,
				errmsg_internal("%s", error->message),
				failure.libpq_words[0] != '\0' ? errdetail_internal("%s", failure.libpq_words) :
				error->detail != NULL ? errdetail_internal("%s", error->detail) : 0);
	}
}

/* The same for an error that was raised; called in PG_CATCH(). */
static void
fail_by_error(FlakeLeaseFailureKind kind, MemoryContext context)
{
	ErrorData  *error;

	LWLockReleaseAll();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	fail(kind, 0, 0, NULL, error->message);
}

/* Does the registry not answer? */
static bool
is_away(FlakeLeaseFailureKind kind)
{
	return kind == FLAKE_LEASE_NOT_CONNECTED || kind == FLAKE_LEASE_NO_ANSWER ||
		kind == FLAKE_LEASE_LOST;
}

/* The attempt has failed because of that reply. */
static void
fail_by_reply(const FlakeReply *reply, int registry)
{
	int			sqlstate = 0;
	FlakeLeaseFailureKind kind = FLAKE_LEASE_NOT_CONNECTED;
	const char *words = NULL;

	if (strlen(reply->sqlstate) == 5)
		sqlstate = MAKE_SQLSTATE(reply->sqlstate[0], reply->sqlstate[1],
								 reply->sqlstate[2], reply->sqlstate[3],
								 reply->sqlstate[4]);
	switch (reply->kind)
	{
		case FLAKE_REPLY_STOPPED:
			return;
		case FLAKE_REPLY_GRANTED:
			kind = FLAKE_LEASE_REFUSED;
			words = "nothing that could be read";
			break;
		case FLAKE_REPLY_NOT_CONNECTED:
			break;
		case FLAKE_REPLY_NO_ANSWER:
			kind = FLAKE_LEASE_NO_ANSWER;
			break;
		case FLAKE_REPLY_LOST:
			kind = FLAKE_LEASE_LOST;
			break;
		case FLAKE_REPLY_INSECURE:
			kind = FLAKE_LEASE_INSECURE;
			break;
		case FLAKE_REPLY_NO_PASSWORD:
			kind = FLAKE_LEASE_PASSWORD;
			break;
		case FLAKE_REPLY_BAD_SETTING:
			kind = FLAKE_LEASE_BAD_SETTING;
			break;
		case FLAKE_REPLY_REFUSED:
			if (!reply->by_statement)
			{
				if (sqlstate == ERRCODE_INVALID_PASSWORD)
					kind = FLAKE_LEASE_PASSWORD;
				else if (sqlstate == ERRCODE_UNDEFINED_DATABASE)
					kind = FLAKE_LEASE_NO_DATABASE;
				else if (ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_TO_CATEGORY(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION) ||
						 sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE)
					kind = FLAKE_LEASE_NOT_ADMITTED;
			}
			else if (sqlstate == ERRCODE_UNDEFINED_FUNCTION)
				kind = FLAKE_LEASE_NO_EXTENSION;
			else if (sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE)
				kind = FLAKE_LEASE_NO_RIGHT;
			else
			{
				kind = FLAKE_LEASE_REFUSED;
				words = reply->detail == NULL ? reply->message :
					psprintf("%s (%s)", reply->message, reply->detail);
			}
			break;
	}

	/*
	 * the registry's other SQLSTATEs would mean something else in this server
	 */
	if (sqlstate != ERRCODE_CONFIGURATION_LIMIT_EXCEEDED)
		sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	fail(kind, registry, sqlstate, words,
		 kind == FLAKE_LEASE_REFUSED ? NULL : reply->message);
}

/*
 * The attempt has failed for good: tell the sessions.  What they want is
 * forgotten, and those that still want it ask again; otherwise, after a clock
 * was far ahead for a moment, every later claim would ask for a lease up to
 * that time.
 */
static void
publish_failure(void)
{
	int64		wait_us;

	pg_atomic_write_u64(&block->wanted_us, 0);
	LWLockAcquire(&block->lock, LW_EXCLUSIVE);
	if (block->failure.kind == failure.kind &&
		block->failure.registry == failure.registry)
		failure.since_us = block->failure.since_us;
	block->failure = failure;
	LWLockRelease(&block->lock);
	pg_atomic_write_u64(&block->failed_settings, known_settings);
	pg_memory_barrier();
	pg_atomic_write_u64(&block->failed_mono_us, (uint64) flake_monotonic_us());
	ConditionVariableBroadcast(&block->answered);

	wait_us = pause_us / 2 +
		(int64) ((double) pause_us / 2 * chance() / PG_UINT32_MAX);
	if (put_off_us > 0)
		wait_us = Min(wait_us, put_off_us);
	try_at_us = flake_monotonic_us() + wait_us;
	pause_us = Min(2 * pause_us, LONGEST_PAUSE_US);
}

static void
publish_success(void)
{
	pg_atomic_write_u64(&block->failed_mono_us, 0);
	LWLockAcquire(&block->lock, LW_EXCLUSIVE);
	block->failure.kind = FLAKE_LEASE_NO_FAILURE;
	LWLockRelease(&block->lock);
	ConditionVariableBroadcast(&block->answered);
	try_at_us = 0;
	pause_us = FIRST_PAUSE_US;
}

/*----------
 * Talking to a registry
 *----------
 */

static bool
load_libpq(void)
{
	MemoryContext context = CurrentMemoryContext;

	if (libpq != NULL)
		return true;
	/* a stop cannot interrupt the resolver, so keep its timeout short */
	(void) setenv("RES_OPTIONS", "timeout:1 attempts:1", 0);
	PG_TRY();
	{
		libpq = ((FlakeLibpqFunctions)
				 load_external_function(FLAKE_LIBPQ_LIBRARY,
										FLAKE_LIBPQ_FUNCTION, true, NULL)) ();
	}
	PG_CATCH();
	{
		fail_by_error(FLAKE_LEASE_NO_LIBRARY, context);
	}
	PG_END_TRY();
	return libpq != NULL;
}

/*
 * A connection to a registry that may be used; NULL: the failure says why
 * not.  "again": to the last connection's address, without looking up a name,
 * which a stop could not interrupt.
 */
static void *
open_registry(int registry, bool again, const FlakePatience *patience)
{
	FlakeReply	reply;
	void	   *connection;
	const char *identifier = int64_text((int64) GetSystemIdentifier());
	const char *statement =
		"SELECT s.system_identifier, e.extversion,"
		" pg_catalog.set_config('client_min_messages', 'warning', false),"
		" pg_catalog.set_config('default_transaction_isolation', 'read committed', false)"
		" FROM pg_catalog.pg_control_system() AS s"
		" LEFT JOIN pg_catalog.pg_extension AS e"
		" ON e.extname OPERATOR(pg_catalog.=) 'flake_registry'";

	if (!again)
		address[registry].hostaddr[0] = '\0';
	connection = libpq->connect(flake_setting_registry[registry],
								&address[registry], patience, &reply);
	if (connection == NULL)
	{
		fail_by_reply(&reply, registry);
		return NULL;
	}

	if (!libpq->ask(connection, statement, 0, NULL, patience, &reply))
		fail_by_reply(&reply, registry);
	else if (reply.value[0] != NULL && strcmp(reply.value[0], identifier) == 0)
		fail(FLAKE_LEASE_OWN_REGISTRY, registry, 0, NULL, NULL);
	else if (reply.value[1] == NULL)
		fail(FLAKE_LEASE_NO_EXTENSION, registry, 0, NULL, NULL);
	else if (strcmp(reply.value[1], FLAKE_VERSION) != 0)
		fail(FLAKE_LEASE_OTHER_VERSION, registry, 0, reply.value[1], NULL);
	else
		return connection;
	libpq->close(connection);
	return NULL;
}

static void
set_patience(FlakePatience *patience, int64 us)
{
	patience->deadline_us = flake_monotonic_us() + us;
	patience->stop = is_stopping;
	patience->event = wait_event;
}

/*
 * Do the two registries have a node id in common?  They are compared once, as
 * soon as both of them answer.  If this returns true, nothing may be leased:
 * they have one, or the connection was lost; the failure says which.
 */
static bool
share_a_node(void *connection, int registry, const FlakePatience *patience)
{
	int			other = 1 - registry;
	FlakePatience short_patience;
	FlakeLeaseFailure before = failure;
	FlakeReply	reply;
	void	   *other_connection;
	const char *node = NULL;

	if (compared || !is_set(other))
		return false;
	set_patience(&short_patience, COMPARE_US);
	other_connection = open_registry(other, false, &short_patience);
	/* if that failed, this attempt has not */
	failure = before;
	if (other_connection == NULL)
		return false;
	logged[other].kind = FLAKE_LEASE_NO_FAILURE;

	if (!libpq->ask(connection,
					"SELECT pg_catalog.range_agg(pg_catalog.int4range(node_id, node_id, '[]'))"
					" FROM flake.nodes",
					0, NULL, patience, &reply) &&
		reply.kind != FLAKE_REPLY_REFUSED)
	{
		/* the connection cannot be used any more */
		libpq->close(other_connection);
		fail_by_reply(&reply, registry);
		return true;
	}
	if (reply.kind == FLAKE_REPLY_GRANTED && reply.value[0] != NULL)
	{
		const char *nodes = reply.value[0];

		if (libpq->ask(other_connection,
					   "SELECT pg_catalog.min(node_id) FROM flake.nodes"
					   " WHERE node_id OPERATOR(pg_catalog.<@) $1::pg_catalog.int4multirange",
					   1, &nodes, &short_patience, &reply))
		{
			node = reply.value[0];
			compared = true;
		}
	}
	if (reply.kind != FLAKE_REPLY_GRANTED && reply.kind != FLAKE_REPLY_STOPPED &&
		!not_compared)
	{
		char		words[FLAKE_LEASE_WORDS];

		not_compared = true;
		copy_words(words, sizeof(words), reply.message);
		ereport(LOG,
				errmsg("could not compare the node ids of the two registries: %s", words),
				reply.kind == FLAKE_REPLY_REFUSED ?
				errhint("Use GRANT USAGE ON SCHEMA flake and GRANT SELECT ON flake.nodes to the role in both.") : 0);
	}
	libpq->close(other_connection);
	if (node == NULL)
		return false;
	compared = false;
	fail(FLAKE_LEASE_SHARED_NODE, other, 0, node, NULL);
	return true;
}

/*
 * A connection to a registry for a claim or a renewal; NULL: the failure says
 * why not.
 */
static void *
open_to_lease(int registry, FlakePatience *patience)
{
	void	   *connection;

	set_patience(patience, TRY_US);
	connection = open_registry(registry, false, patience);
	if (connection != NULL && share_a_node(connection, registry, patience))
	{
		libpq->close(connection);
		connection = NULL;
	}
	return connection;
}

/*----------
 * Claim, renewal, release
 *----------
 */

/*
 * The time that sessions want the lease to cover; FLAKE_NO_TIME if none
 * waits.
 */
static int64
wanted_us(void)
{
	int64		asked_us = (int64) pg_atomic_read_u64(&block->asked_mono_us);
	int64		wanted = flake_time_read(&block->wanted_us);

	if (asked_us == 0 || wanted == 0 || flake_monotonic_us() - asked_us > ASKED_US)
		return FLAKE_NO_TIME;
	return wanted;
}

/*
 * How long a new lease that begins at from_us can wait because the current
 * one still covers what is wanted; 0 if it cannot.  Publishing it earlier
 * would keep sessions from making ids until it begins.
 */
static int64
can_wait_us(int64 from_us)
{
	FlakeLease *lease = flake_lease_current();
	int64		now_us = flake_clock_us();

	if (lease == NULL || from_us <= now_us ||
		!flake_lease_covers(lease, Max(now_us, wanted_us())))
		return 0;
	return Min(from_us, flake_lease_until_us(lease)) - now_us;
}

/* That registry has granted a lease or a renewal. */
static void
has_answered(int registry)
{
	preferred = registry;
	if (logged[registry].kind != FLAKE_LEASE_NO_FAILURE)
		ereport(LOG,
				errmsg("registry of \"%s\" leases again",
					   flake_registry_name(registry)));
	logged[registry].kind = FLAKE_LEASE_NO_FAILURE;
}

/* Is there memory for another lease?  False: the failure says why not. */
static bool
have_memory(void)
{
	FlakeControl *control = flake_shmem();
	MemoryContext context = CurrentMemoryContext;

	if (DsaPointerIsValid(next_lease))
		return true;
	PG_TRY();
	{
		LWLockAcquire(&control->lock, LW_EXCLUSIVE);
		next_lease = flake_shmem_allocate(sizeof(FlakeLease));
		LWLockRelease(&control->lock);
	}
	PG_CATCH();
	{
		fail_by_error(FLAKE_LEASE_NO_MEMORY, context);
	}
	PG_END_TRY();
	return DsaPointerIsValid(next_lease);
}

/* Replaces the current lease by one that has been claimed. */
static void
publish_lease(int registry, int64 node, int64 from_us, int64 until_us,
			  int64 now_us, int64 length_us)
{
	dsa_pointer place = next_lease;
	FlakeLease *lease = dsa_get_address(flake_shmem_area(), place);

	next_lease = InvalidDsaPointer;
	flake_lease_init(lease, node, from_us, until_us);

	LWLockAcquire(&block->lock, LW_EXCLUSIVE);
	memset(&block->grant, 0, sizeof(block->grant));
	block->grant.registry = registry_hash(registry);
	block->grant.lease = block->claim;
	block->grant.length_us = length_us;
	block->grant.granted_us = now_us;
	block->grant.granted_mono_us = flake_monotonic_us();
	block->grant.until_us = until_us;
	block->has_claim = false;
	pg_write_barrier();
	pg_atomic_write_u64(&block->current, (uint64) place);
	LWLockRelease(&block->lock);
}

/* Claim a lease from that registry. */
static bool
claim_from(int registry)
{
	FlakePatience patience;
	FlakeReply	reply;
	void	   *connection;
	char		holder[HOLDER_SIZE];
	const char *params[4];
	int64		length_us = flake_lease_length(0, flake_setting_lease_time * FLAKE_US_PER_SECOND);
	int64		node = 0;
	int64		from_us = 0;
	int64		until_us = 0;
	bool		granted = false;

	if (!have_memory())
		return false;
	connection = open_to_lease(registry, &patience);
	if (connection == NULL)
		return false;

	if (!block->has_claim)
	{
		make_uuid(&block->claim);
		block->has_claim = true;
	}
	holder_name(holder);
	params[0] = holder;
	params[1] = uuid_text(&block->claim);
	for (int i = 1;; i++)
	{
		int64		now_us = flake_clock_us();

		params[2] = int64_text(now_us);
		params[3] = int64_text(flake_lease_ask(now_us, wanted_us(), length_us));
		granted = libpq->ask(connection,
							 "SELECT node_id, valid_from, valid_until"
							 " FROM pg_catalog.flake_lease_node($1, $2, $3, $4)",
							 lengthof(params), params, &patience, &reply);
		if (granted)
		{
			granted = read_int64(reply.value[0], &node) &&
				read_int64(reply.value[1], &from_us) &&
				read_int64(reply.value[2], &until_us) &&
				node >= 0 && node <= PG_INT32_MAX &&
				from_us >= 0 && from_us < until_us &&
				until_us <= FLAKE_MARK_MAX_US;
			if (!granted)
				fail_by_reply(&reply, registry);
			else if ((put_off_us = can_wait_us(from_us)) > 0)
				granted = false;	/* until the same claim is repeated */
			else
				publish_lease(registry, node, from_us, until_us, now_us, length_us);
			break;
		}
		if (i >= LOCKED_TRIES || reply.kind != FLAKE_REPLY_REFUSED ||
			strcmp(reply.sqlstate, "55P03") != 0)
		{
			fail_by_reply(&reply, registry);
			break;
		}
		pg_usleep(1000 + chance() % 20000);
	}
	libpq->close(connection);
	if (!granted)
		return false;
	has_answered(registry);
	ereport(LOG,
			errmsg("leased node id %lld until %s",
				   (long long) node, flake_time_text(until_us)),
			errdetail("By the registry of \"%s\", from %s on.",
					  flake_registry_name(registry),
					  flake_time_text(from_us)));
	return true;
}

/* Renew the current lease at the registry that has granted it. */
static bool
renew_at(int registry, FlakeLease *lease)
{
	FlakeLeaseGrant *grant = &block->grant;
	FlakePatience patience;
	FlakeReply	reply;
	void	   *connection;
	const char *params[5];
	int64		now_us;
	int64		length_us = flake_lease_length(grant->length_us,
											   flake_setting_lease_time * FLAKE_US_PER_SECOND);
	int64		until_us;
	bool		granted;

	connection = open_to_lease(registry, &patience);
	if (connection == NULL)
		return false;

	if (!grant->has_next)
	{
		make_uuid(&grant->next_lease);
		grant->has_next = true;
	}
	now_us = flake_clock_us();
	params[0] = int64_text(lease->node);
	params[1] = uuid_text(&grant->lease);
	params[2] = uuid_text(&grant->next_lease);
	params[3] = int64_text(now_us);
	params[4] = int64_text(flake_lease_ask(now_us, wanted_us(), length_us));
	granted = libpq->ask(connection,
						 "SELECT pg_catalog.flake_renew_node($1, $2, $3, $4, $5)",
						 lengthof(params), params, &patience, &reply);
	libpq->close(connection);
	if (!granted || !read_int64(reply.value[0], &until_us) ||
		until_us > FLAKE_MARK_MAX_US)
	{
		if (reply.kind == FLAKE_REPLY_REFUSED &&
			strcmp(reply.sqlstate, "42704") == 0)
		{
			grant->is_lost = true;
			ereport(LOG,
					errmsg("lease of node id %lld cannot be renewed",
						   (long long) lease->node),
					errdetail("The registry has leased the node id to another holder, or dropped it.  Ids are made under the lease until %s, or until there is another one.",
							  flake_time_text(flake_lease_until_us(lease))));
		}
		fail_by_reply(&reply, registry);
		return false;
	}

	LWLockAcquire(&block->lock, LW_EXCLUSIVE);
	grant->lease = grant->next_lease;
	grant->has_next = false;
	grant->length_us = length_us;
	grant->granted_us = now_us;
	grant->granted_mono_us = flake_monotonic_us();
	grant->until_us = until_us;
	flake_lease_extend(lease, until_us);
	LWLockRelease(&block->lock);
	has_answered(registry);
	return true;
}

/* Release it under that uuid.  False: the registry does not know that uuid. */
static bool
release_under(void *connection, const pg_uuid_t *lease, int64 node,
			  int64 last_id_us, const FlakePatience *patience)
{
	FlakeReply	reply;
	const char *params[3];

	params[0] = int64_text(node);
	params[1] = uuid_text(lease);
	params[2] = int64_text(last_id_us);
	return libpq->ask(connection,
					  "SELECT pg_catalog.flake_release_node($1, $2, $3)",
					  lengthof(params), params, patience, &reply) ||
		strcmp(reply.sqlstate, "42704") != 0;
}

/*
 * Release what is left of the lease; there is only one attempt.  Sessions may
 * go on at the same time: (d) in core/lease.c says why they do not use the
 * rest.
 */
static void
release_lease(void)
{
	FlakeLease *lease = flake_lease_current();
	FlakeLeaseGrant grant = block->grant;
	int			registry;
	FlakePatience patience;
	void	   *connection;
	int64		unused_us;

	if (lease == NULL)
		return;
	registry = granting_registry();
	flake_lease_end(lease, flake_durable_latest_mark_us());
	unused_us = flake_lease_unused_from(lease, flake_durable_latest_mark_us());

	LWLockAcquire(&block->lock, LW_EXCLUSIVE);
	pg_atomic_write_u64(&block->current, InvalidDsaPointer);
	memset(&block->grant, 0, sizeof(block->grant));
	LWLockRelease(&block->lock);
	ConditionVariableBroadcast(&block->answered);

	if (registry < 0 || grant.is_lost || libpq == NULL)
		return;
	set_patience(&patience, STOP_US);
	patience.stop = NULL;
	connection = open_registry(registry, true, &patience);
	if (connection == NULL)
		return;
	/* a renewal that was not answered may have been granted */
	if (!grant.has_next ||
		!release_under(connection, &grant.next_lease, lease->node,
					   unused_us - 1, &patience))
		(void) release_under(connection, &grant.lease, lease->node,
							 unused_us - 1, &patience);
	libpq->close(connection);
}

/*----------
 * What is to be done
 *----------
 */

/* When the lease is to be renewed, on the monotonic clock. */
static int64
renewal_us(void)
{
	const FlakeLeaseGrant *grant = &block->grant;
	static int64 for_grant_us = 0;
	static int64 at_us = 0;

	/* draw the random part once for each grant */
	if (for_grant_us != grant->granted_mono_us)
	{
		int64		length_us = Min(grant->length_us,
									grant->until_us - grant->granted_us);

		for_grant_us = grant->granted_mono_us;
		at_us = for_grant_us + flake_lease_renewal(Max(length_us, FLAKE_US_PER_SECOND),
												   chance());
	}
	return at_us;
}

/*
 * One attempt to renew the lease at the registry that has granted it, or else
 * to claim another one.
 */
static bool
get_lease(bool is_wanted)
{
	FlakeLease *lease = flake_lease_current();
	int			renewing = lease == NULL ? -1 : granting_registry();
	int			first = preferred;
	FlakeLeaseFailure of_first;

	if (!is_set(0) && !is_set(1))
	{
		fail(FLAKE_LEASE_NOT_SET, 0, 0, NULL, NULL);
		return false;
	}
	if (!load_libpq())
		return false;

	if (renewing >= 0 && !block->grant.is_lost)
	{
		if (renew_at(renewing, lease))
			return true;
		if (is_stopping())
			return false;
		if (!block->grant.is_lost)
		{
			if (!is_wanted && !flake_lease_is_late(&block->grant))
				return false;
			/* the other one has just been asked */
			first = 1 - renewing;
			return is_set(first) && claim_from(first);
		}
	}

	if (!is_set(first))
		first = 1 - first;
	if (claim_from(first))
		return true;
	if (is_stopping() || put_off_us > 0 ||
		failure.kind == FLAKE_LEASE_SHARED_NODE || !is_set(1 - first))
		return false;
	of_first = failure;
	if (claim_from(1 - first))
		return true;

	/*
	 * a refusal is more useful to know than that the other one is unreachable
	 */
	if (is_away(failure.kind) && !is_away(of_first.kind))
		failure = of_first;
	return false;
}

/* A lease was granted: see if it lasts as long as sessions want. */
static void
see_if_covered(int registry)
{
	FlakeLease *lease = flake_lease_current();
	uint64		wanted = pg_atomic_read_u64(&block->wanted_us);

	if (wanted_us() == FLAKE_NO_TIME || lease == NULL ||
		(int64) wanted < flake_lease_until_us(lease))
	{
		publish_success();
		return;
	}
	fail(FLAKE_LEASE_TOO_SHORT, registry, 0, NULL, NULL);
	failure.reach_us = flake_lease_until_us(lease);
	publish_failure();
}

/*
 * Do what is due.  Returns how many milliseconds to wait for what is due
 * next; 0: call again.
 */
static long
work(void)
{
	FlakeLease *lease = flake_lease_current();
	int64		now_us = flake_monotonic_us();
	int64		wanted = wanted_us();
	int64		due_us = PG_INT64_MAX;
	bool		is_wanted;

	is_wanted = wanted != FLAKE_NO_TIME &&
		(lease == NULL || wanted >= flake_lease_until_us(lease));
	if (is_wanted)
		due_us = try_at_us;
	else if (lease != NULL)
		due_us = Max(renewal_us(), try_at_us);
	if (due_us > now_us)
		return (long) Min((due_us - now_us) / 1000 + 1, 60 * 1000);

	failure.kind = FLAKE_LEASE_NO_FAILURE;
	put_off_us = 0;
	if (get_lease(is_wanted))
		see_if_covered(preferred);
	else if (!is_stopping())
		publish_failure();
	return 0;
}

/* Reload the settings if that was requested. */
static void
reload_settings(void)
{
	uint64		settings;

	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	settings = flake_lease_settings();
	if (settings == known_settings)
		return;
	known_settings = settings;
	compared = not_compared = false;
	memset(logged, 0, sizeof(logged));
	memset(address, 0, sizeof(address));
	/* the failure may be over with these settings */
	publish_success();
}

/*----------
 * Beginning and end
 *----------
 */

/*
 * This process stops being the worker; if for good, sessions start another
 * one.
 */
static void
leave(bool for_good)
{
	LWLockAcquire(&block->lock, LW_EXCLUSIVE);
	if (block->worker_pid == MyProcPid)
	{
		block->worker_pid = 0;
		block->worker_latch = NULL;
		if (for_good)
			block->registered = false;
	}
	LWLockRelease(&block->lock);
}

static void
leave_at_exit(int code, Datum arg)
{
	/* after an error they are still held */
	LWLockReleaseAll();
	leave(code == 0);
}

/* Become the worker.  False: there is one already. */
static bool
enter(void)
{
	bool		first;

	LWLockAcquire(&block->lock, LW_EXCLUSIVE);
	first = block->worker_pid == 0;
	if (first)
	{
		block->registered = true;
		block->worker_pid = MyProcPid;
		block->worker_latch = MyLatch;
	}
	LWLockRelease(&block->lock);
	return first;
}

void
flake_lease_worker_main(Datum argument)
{
	MemoryContext context;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();

	wait_event = flake_wait_event("FlakeLeaseWorker");
	block = flake_lease_control();
	if (!enter())
		proc_exit(0);
	before_shmem_exit(leave_at_exit, (Datum) 0);
	known_settings = flake_lease_settings();
	context = AllocSetContextCreate(TopMemoryContext, "flake lease worker",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);

	do
	{
		while (!ShutdownRequestPending && flake_lease_is_on())
		{
			long		wait_ms = work();

			MemoryContextReset(context);
			if (wait_ms > 0)
				(void) WaitLatch(MyLatch,
								 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								 wait_ms, wait_event);
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
			reload_settings();
		}
		release_lease();
		/* it may have been changed back during the release */
		reload_settings();
	} while (!ShutdownRequestPending && flake_lease_is_on());

	if (!ShutdownRequestPending)
	{
		/* for statements that still have the old setting */
		known_settings = FLAKE_LEASE_ANY_SETTINGS;
		fail(FLAKE_LEASE_LEFT, 0, 0, NULL, NULL);
		publish_failure();
	}
	proc_exit(0);
}
