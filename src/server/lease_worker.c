/*
 * lease_worker.c
 *		The background worker that leases the server's node id.
 *
 * One per life of the server's shared memory; it has no database connection.  It
 * claims a lease when a session has asked for one, renews it at a third of its
 * time, and releases it when it stops.  How long and until when to ask for it is
 * decided in core/lease.c, which also says why ids of different servers differ.
 *
 * What must be right here is little, for a registry never grants what overlaps:
 *
 *	- a lease is published after the registry's answer was complete, and a node
 *	  id and its beginning are never changed afterwards;
 *	- its end is raised only by a renewal of that very lease;
 *	- before a release its end is lowered (flake_lease_end), and the marks are
 *	  read after that; then it is forgotten, whatever the registry answers.
 *
 * The uuid of a claim or of a renewal is chosen before it is sent and kept in
 * shared memory until there is an answer, so that the same is asked again after
 * a lost reply, also by a worker that was started again.
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
#include "utils/guc.h"
#include "utils/memutils.h"

#include "libpq/flake_libpq.h"
#include "server/compat.h"
#include "server/durable.h"
#include "server/lease.h"
#include "server/log.h"
#include "server/shmem.h"

/* For one registry in one try: connecting and all questions. */
#define TRY_US				(5 * FLAKE_US_PER_SECOND)

/* For the registry that is only compared with. */
#define COMPARE_US			(2 * FLAKE_US_PER_SECOND)

/* For all that is done at a stop. */
#define STOP_US				(2 * FLAKE_US_PER_SECOND)

/* After a try that failed, twice as long after each further one. */
#define FIRST_PAUSE_US		(FLAKE_US_PER_SECOND / 5)
#define LONGEST_PAUSE_US	(5 * FLAKE_US_PER_SECOND)

/* A session that still needs a lease asks again within that time. */
#define ASKED_US			(60 * FLAKE_US_PER_SECOND)

/* How often to ask again at once when others have locked what is free. */
#define LOCKED_TRIES		5

/* A registry allows that many bytes for the name of a holder. */
#define HOLDER_SIZE			256

#define UUID_TEXT_SIZE		37
#define INT64_TEXT_SIZE		21

static FlakeLeaseControl *block;
static const FlakeLibpq *libpq;
static uint32 wait_event;

/* Not before then, on the monotonic clock; and the pause after the next failure. */
static int64 try_at_us = 0;
static int64 pause_us = FIRST_PAUSE_US;

/* The registry that answered last, and what is known of both. */
static int	preferred = 0;
static bool compared = false;
static bool not_compared = false;	/* ... which is in the log */
static FlakeLeaseFailureKind logged[FLAKE_REGISTRIES];

/* The settings as they were at the last look. */
static uint64 known_settings;

/* The failure of this try. */
static FlakeLeaseFailure failure;

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

/* A random uuid, version 4. */
static void
make_uuid(pg_uuid_t *uuid)
{
	if (!pg_strong_random(uuid->data, UUID_LEN))
		ereport(ERROR,
				errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not generate random values"));
	uuid->data[6] = (uuid->data[6] & 0x0f) | 0x40;
	uuid->data[8] = (uuid->data[8] & 0x3f) | 0x80;
}

static void
format_uuid(const pg_uuid_t *uuid, char *text)
{
	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		text += sprintf(text, "%02x", uuid->data[i]);
	}
}

static void
format_int64(int64 number, char *text)
{
	snprintf(text, INT64_TEXT_SIZE, INT64_FORMAT, number);
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

/* Others may have another encoding: ASCII is the same in all. */
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

/* By which name the registry shows this server. */
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

/* The registry that has granted the lease; -1: the settings do not name it. */
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
 * The try has failed at that registry.  The log says so when it is something
 * new.
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

	/* not what is no fault of a registry */
	if (logged[registry] != kind && kind != FLAKE_LEASE_TOO_SHORT &&
		kind != FLAKE_LEASE_LEFT)
	{
		const FlakeError *error = flake_lease_error(&failure,
													flake_lease_current());

		logged[registry] = kind;
		ereport(LOG,
				errmsg_internal("%s", error->message),
				failure.libpq_words[0] != '\0' ? errdetail_internal("%s", failure.libpq_words) :
				error->detail != NULL ? errdetail_internal("%s", error->detail) : 0);
	}
}

/* Does the registry not answer? */
static bool
is_away(FlakeLeaseFailureKind kind)
{
	return kind == FLAKE_LEASE_NOT_CONNECTED || kind == FLAKE_LEASE_NO_ANSWER ||
		kind == FLAKE_LEASE_LOST;
}

/* What the answer, which is none that was hoped for, means. */
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

	/* its other states would puzzle whoever inserts a row here */
	if (sqlstate != ERRCODE_CONFIGURATION_LIMIT_EXCEEDED)
		sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	fail(kind, registry, sqlstate, words,
		 kind == FLAKE_LEASE_REFUSED ? NULL : reply->message);
}

/*
 * The try has come to its end with this failure: sessions may know.  Who still
 * wants something says so again, so that a clock that was far ahead for a moment
 * does not ask for much for ever.
 */
static void
publish_failure(void)
{
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

	try_at_us = flake_monotonic_us() + pause_us / 2 +
		(int64) ((double) pause_us / 2 * chance() / PG_UINT32_MAX);
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
	/* no stop interrupts the resolver, so it must not try for long */
	(void) setenv("RES_OPTIONS", "timeout:1 attempts:1", 0);
	PG_TRY();
	{
		libpq = ((FlakeLibpqFunctions)
				 load_external_function(FLAKE_LIBPQ_LIBRARY,
										FLAKE_LIBPQ_FUNCTION, true, NULL)) ();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		fail(FLAKE_LEASE_NO_LIBRARY, 0, 0, NULL, error->message);
	}
	PG_END_TRY();
	return libpq != NULL;
}

/*
 * A connection to a registry that may be used; NULL: the failure says why not.
 */
static void *
open_registry(int registry, const FlakePatience *patience)
{
	FlakeReply	reply;
	void	   *connection;
	char		identifier[INT64_TEXT_SIZE];
	const char *statement =
		"SELECT s.system_identifier, e.extversion,"
		" pg_catalog.set_config('client_min_messages', 'warning', false),"
		" pg_catalog.set_config('default_transaction_isolation', 'read committed', false)"
		" FROM pg_catalog.pg_control_system() AS s"
		" LEFT JOIN pg_catalog.pg_extension AS e ON e.extname = 'flake_registry'";

	connection = libpq->connect(flake_setting_registry[registry], patience, &reply);
	if (connection == NULL)
	{
		fail_by_reply(&reply, registry);
		return NULL;
	}

	format_int64((int64) GetSystemIdentifier(), identifier);
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
 * Do the two registries have a node id in common?  They are compared once, as soon
 * as both answer.  True: nothing may be leased, for they have, or because the
 * connection was lost; the failure says which.
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
	other_connection = open_registry(other, &short_patience);
	/* a failure of that one is not this try's */
	failure = before;
	if (other_connection == NULL)
		return false;

	if (!libpq->ask(connection,
					"SELECT pg_catalog.array_agg(node_id) FROM flake.nodes",
					0, NULL, patience, &reply) &&
		reply.kind != FLAKE_REPLY_REFUSED)
	{
		/* the connection is of no use any more */
		libpq->close(other_connection);
		fail_by_reply(&reply, registry);
		return true;
	}
	if (reply.kind == FLAKE_REPLY_GRANTED && reply.value[0] != NULL)
	{
		const char *nodes = reply.value[0];

		if (libpq->ask(other_connection,
					   "SELECT pg_catalog.min(node_id) FROM flake.nodes"
					   " WHERE node_id OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.int4[])",
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
				errmsg("node ids of the two registries could not be compared: %s", words),
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
 * What a claim and a renewal begin with: a connection to a registry that may lease;
 * NULL: the failure says why not.
 */
static void *
open_to_lease(int registry, FlakePatience *patience)
{
	void	   *connection;

	set_patience(patience, TRY_US);
	connection = open_registry(registry, patience);
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
 * The tick that sessions want to be covered, FLAKE_NO_TIME if none does.
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

/* What was hoped for came from there. */
static void
has_answered(int registry)
{
	preferred = registry;
	if (logged[registry] != FLAKE_LEASE_NO_FAILURE)
		ereport(LOG,
				errmsg("registry of \"%s\" leases again",
					   flake_registry_name(registry)));
	logged[registry] = FLAKE_LEASE_NO_FAILURE;
}

/* Puts a lease that was claimed in the place of the current one. */
static void
publish_lease(int registry, int64 node, int64 from_us, int64 until_us,
			  int64 now_us, int64 length_us)
{
	FlakeControl *control = flake_shmem();
	dsa_pointer place;
	FlakeLease *lease;

	LWLockAcquire(&control->lock, LW_EXCLUSIVE);
	place = flake_shmem_allocate(sizeof(FlakeLease));
	LWLockRelease(&control->lock);
	lease = dsa_get_address(flake_shmem_area(), place);
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

/* Ask that registry for a lease. */
static bool
claim_from(int registry)
{
	FlakePatience patience;
	FlakeReply	reply;
	void	   *connection;
	char		holder[HOLDER_SIZE];
	char		uuid[UUID_TEXT_SIZE];
	char		now[INT64_TEXT_SIZE];
	char		until[INT64_TEXT_SIZE];
	const char *params[4] = {holder, uuid, now, until};
	int64		length_us = flake_lease_length(0, flake_setting_lease_time * FLAKE_US_PER_SECOND);
	int64		node = 0;
	int64		from_us = 0;
	int64		until_us = 0;
	bool		granted = false;

	connection = open_to_lease(registry, &patience);
	if (connection == NULL)
		return false;

	if (!block->has_claim)
	{
		make_uuid(&block->claim);
		block->has_claim = true;
	}
	holder_name(holder);
	format_uuid(&block->claim, uuid);
	for (int i = 1;; i++)
	{
		int64		now_us = flake_clock_us();

		format_int64(now_us, now);
		format_int64(flake_lease_ask(now_us, wanted_us(), length_us), until);
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
			if (granted)
				publish_lease(registry, node, from_us, until_us, now_us, length_us);
			else
				fail_by_reply(&reply, registry);
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

/*
 * Ask the registry that has granted the current lease to renew it.
 */
static bool
renew_at(int registry, FlakeLease *lease)
{
	FlakeLeaseGrant *grant = &block->grant;
	FlakePatience patience;
	FlakeReply	reply;
	void	   *connection;
	char		node[INT64_TEXT_SIZE];
	char		uuid[UUID_TEXT_SIZE];
	char		next_uuid[UUID_TEXT_SIZE];
	char		now[INT64_TEXT_SIZE];
	char		until[INT64_TEXT_SIZE];
	const char *params[5] = {node, uuid, next_uuid, now, until};
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
	format_int64(lease->node, node);
	format_uuid(&grant->lease, uuid);
	format_uuid(&grant->next_lease, next_uuid);
	format_int64(now_us, now);
	format_int64(flake_lease_ask(now_us, wanted_us(), length_us), until);
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
					errmsg("lease of node id %lld is lost: the registry has given it to another holder, or dropped it",
						   (long long) lease->node),
					errdetail("Ids are made under it until %s, or until there is another lease.",
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

/* Ask for the release, under that uuid.  False: it is not known under that. */
static bool
release_under(void *connection, const pg_uuid_t *lease, int64 node,
			  int64 last_id_us, const FlakePatience *patience)
{
	FlakeReply	reply;
	char		node_text[INT64_TEXT_SIZE];
	char		uuid[UUID_TEXT_SIZE];
	char		last[INT64_TEXT_SIZE];
	const char *params[3] = {node_text, uuid, last};

	format_int64(node, node_text);
	format_uuid(lease, uuid);
	format_int64(last_id_us, last);
	return libpq->ask(connection,
					  "SELECT pg_catalog.flake_release_node($1, $2, $3)",
					  lengthof(params), params, patience, &reply) ||
		strcmp(reply.sqlstate, "42704") != 0;
}

/*
 * Give back what is left of the lease, in one try.  Sessions may go on meanwhile:
 * (d) in core/lease.c says why they do not use it any more.
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
	connection = open_registry(registry, &patience);
	if (connection == NULL)
		return;
	/* a renewal that is in doubt may have been granted */
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

	/* the jitter is drawn once */
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
 * One try: the registry that has granted the lease renews it, or else one grants
 * another.
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
			/* it has just been asked */
			first = 1 - renewing;
			return is_set(first) && claim_from(first);
		}
	}

	if (!is_set(first))
		first = 1 - first;
	if (claim_from(first))
		return true;
	if (is_stopping() || failure.kind == FLAKE_LEASE_SHARED_NODE ||
		!is_set(1 - first))
		return false;
	of_first = failure;
	if (claim_from(1 - first))
		return true;
	/* what the one says is more use to know than that the other is away */
	if (is_away(failure.kind) && !is_away(of_first.kind))
		failure = of_first;
	return false;
}

/* What the sessions asked for is answered, but perhaps by too short a lease. */
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
 * Does what is due.  Returns how long to wait for what comes next, in
 * milliseconds; 0: look again.
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
	if (get_lease(is_wanted))
		see_if_covered(preferred);
	else if (!is_stopping())
		publish_failure();
	return 0;
}

/* Reads the settings anew, if they may have changed. */
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
	/* what was wrong before may be right now */
	publish_success();
}

/*----------
 * Beginning and end
 *----------
 */

/* This process is not the worker any more; if for good, sessions start another. */
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
	/* an error does not release them before */
	LWLockReleaseAll();
	leave(code == 0);
}

/* Is there another worker already?  Else this is it. */
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
		/* that may have taken its time */
		reload_settings();
	} while (!ShutdownRequestPending && flake_lease_is_on());

	if (!ShutdownRequestPending)
	{
		/* a statement that began before goes by the old setting */
		known_settings = FLAKE_LEASE_ANY_SETTINGS;
		fail(FLAKE_LEASE_LEFT, 0, 0, NULL, NULL);
		publish_failure();
	}
	proc_exit(0);
}
