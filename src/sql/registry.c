/*
 * registry.c
 *		The registry of node ids: the functions of the extension
 *		flake_registry.
 *
 * A lease is the right to put a node id into ids whose ticks begin in
 * [valid_from, valid_until).  Each node id is a row of flake.node, whose
 * used_until is the end of everything that was granted of it.
 *
 * No two leases of a node id overlap, not even two of one holder:
 *
 * (a) A lease begins at used_until or later.  Apart from a claim, only a
 *	   renewal and a release change used_until, and only for the lease that
 *	   the row names.  A renewal moves it forward.  A release moves it back,
 *	   but not before the beginning of that lease, and the holder vouches that
 *	   it has made no id from there on.  So the leases of a row follow one
 *	   another.
 *
 * (b) A claim, a renewal and a release all go by the row as it is once they
 *	   have locked it.  At READ COMMITTED, a statement that had to wait for a
 *	   row rereads it, which is why no other isolation level is allowed.  A
 *	   claim skips rows that are locked.
 *
 * (c) A holder relies on a grant only after it was told of the commit, which
 *	   happens after the flush, whatever synchronous_commit is: each claim,
 *	   renewal and release is a transaction of its own.  Node ids can be
 *	   created, dropped and reserved in a longer transaction, because nothing
 *	   has changed before it commits, and it holds the locks of their rows
 *	   until then.
 *
 * (d) Grants can be lost together with the server's last writes, for example
 *	   when an older copy is started.  So the registry remembers which server
 *	   and which files it is on.  If they have changed, it refuses everything
 *	   until a superuser accepts it, and then grants no leases until all those
 *	   that it may have lost have ended.  The registry's clock decides that,
 *	   so it must not be behind then.
 *
 * Apart from that, uniqueness does not depend on clocks.  They are there for
 * liveness.  A claimer whose clock is far from the registry's is refused,
 * because its lease would make the node id unavailable until some distant
 * time.  For the same reason no lease ends more than max_lease after the
 * registry's clock.  And if a holder does not renew its lease, its node id is
 * leased again once used_until has passed.
 *
 * The holder chooses a uuid as the lease's name, and a new one at each
 * renewal.  So it can repeat a request whose answer was lost.  And if a
 * holder is duplicated while it runs, as a copied virtual machine is, only
 * one of the two can renew the lease, since they choose different names.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "common/int.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

#include "server/compat.h"
#include "server/error.h"
#include "server/log.h"
#include "server/relation.h"
#include "sql/registry_table.h"
#include "sql/row.h"

PG_FUNCTION_INFO_V1(flake_create_nodes);
PG_FUNCTION_INFO_V1(flake_drop_nodes);
PG_FUNCTION_INFO_V1(flake_reserve_node);
PG_FUNCTION_INFO_V1(flake_lease_node);
PG_FUNCTION_INFO_V1(flake_renew_node);
PG_FUNCTION_INFO_V1(flake_release_node);
PG_FUNCTION_INFO_V1(flake_accept_registry);

/* The greatest node id of any layout that makes ids. */
#define MAX_NODE_ID			((1 << FLAKE_MAX_ISSUE_NODE_BITS) - 1)

#define MAX_HOLDER_BYTES	255

/*
 * Locks a table and returns its OID.  Error if its rows do not survive a
 * crash.
 */
static Oid
lock_table(const char *name, LOCKMODE mode)
{
	Relation	rel = table_openrv(makeRangeVar(FLAKE_SCHEMA, pstrdup(name), -1),
								   mode);
	Oid			relid = RelationGetRelid(rel);

	if (!RelationIsPermanent(rel))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s.%s\" is unlogged", FLAKE_SCHEMA, name),
				errdetail("After a crash, leases could be granted again."),
				errhint("Use ALTER TABLE %s.%s SET LOGGED.", FLAKE_SCHEMA, name));
	table_close(rel, NoLock);
	return relid;
}

/*
 * The beginning of every function.  Locks the tables before anything in them
 * is read, and returns the OID of flake.node.
 */
static Oid
begin(FunctionCallInfo fcinfo, const char *function, LOCKMODE mode)
{
	for (int i = 0; i < PG_NARGS(); i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("argument %d of %s must not be null", i + 1, function));
	}
	PreventCommandIfReadOnly(function);
	SPI_connect();
	(void) lock_table("node_registry", mode);
	return lock_table("node", mode);
}

/* Make the commit wait for the flush, and for standbys as configured. */
static void
commit_durably(void)
{
	ForceSyncCommit();
	if (synchronous_commit < SYNCHRONOUS_COMMIT_ON)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* Reads the registry's row.  Error if there is none. */
static void
need_registry(Registry *registry)
{
	if (!registry_read(registry))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("registry of node ids is not set up in database \"%s\"",
					   get_database_name(MyDatabaseId)),
				errhint("A superuser can set it up with flake_create_nodes()."));
}

/* The same, and an error if the registry refuses everything. */
static void
check_registry(Registry *registry)
{
	const FlakeError *error;

	need_registry(registry);
	error = registry_refusal(registry);
	if (error != NULL)
		flake_raise(error);
}

/* The beginning of the functions that holders call. */
static Oid
begin_for_holder(FunctionCallInfo fcinfo, const char *function,
				 Registry *registry)
{
	const FlakeError *error;
	Oid			node_relid;

	PreventInTransactionBlock(true, function);
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("%s must run at isolation level READ COMMITTED", function),
				errhint("Set default_transaction_isolation to \"read committed\" for the role that leases."));
	node_relid = begin(fcinfo, function, RowExclusiveLock);
	commit_durably();
	need_registry(registry);
	error = registry_refusal_to_holders(registry);
	if (error != NULL)
		flake_raise(error);
	return node_relid;
}

/* How far a holder's clock is ahead of ours. */
static int64
clock_offset(int64 now_us, const Registry *registry)
{
	int64		offset_us;

	if (pg_sub_s64_overflow(now_us, registry->clock_us, &offset_us))
		return now_us < 0 ? -PG_INT64_MAX : PG_INT64_MAX;
	return offset_us;
}

static void
check_node_id(int32 node_id)
{
	if (node_id < 0 || node_id > MAX_NODE_ID)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("node id %d is out of range", node_id),
				errdetail("Node ids are from 0 to %d.", MAX_NODE_ID));
}

static void
check_range(int32 first, int32 last)
{
	check_node_id(first);
	check_node_id(last);
	if (first > last)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("first node id %d is greater than last node id %d", first, last));
}

/*
 * flake_create_nodes(first, last, never_used): the number of node ids created
 *
 * Leases from an earlier registry may still be running, so new node ids are
 * leased only after a gap, unless the caller knows that there are none.
 */
Datum
flake_create_nodes(PG_FUNCTION_ARGS)
{
	static Statement make_registry = {
		"INSERT INTO flake.node_registry"
		" (system_identifier, timeline, database, control_inode, control_born)"
		" VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
		5, {INT8OID, INT8OID, OIDOID, INT8OID, INT8OID}, NULL
	};
	static Statement create = {
		"INSERT INTO flake.node AS n (node_id, used_until)"
		" SELECT g, $3 FROM generate_series($1, $2) AS g"
		" ON CONFLICT (node_id) DO UPDATE SET dropped = false,"
		" used_until = greatest(n.used_until, excluded.used_until) WHERE n.dropped",
		3, {INT4OID, INT4OID, INT8OID}, NULL
	};
	Registry	registry;
	Datum		values[REGISTRY_MAX_PARAMETERS];
	int32		first;
	int32		last;
	int64		from_us;
	uint64		created;

	(void) begin(fcinfo, "flake_create_nodes()", RowExclusiveLock);
	first = PG_GETARG_INT32(0);
	last = PG_GETARG_INT32(1);
	check_range(first, last);
	(void) registry_identity_parameters(values);
	(void) registry_run(&make_registry, values);
	check_registry(&registry);

	/* never used: even a claimer whose clock is behind can begin at once */
	if (PG_GETARG_BOOL(2))
		from_us = registry.clock_us - registry.max_clock_offset_us;
	else
		from_us = registry.clock_us + registry.gap_us + registry.max_clock_offset_us;
	values[0] = Int32GetDatum(first);
	values[1] = Int32GetDatum(last);
	values[2] = Int64GetDatum(from_us);
	created = registry_run(&create, values);
	if (created != (uint64) (last - first) + 1)
		ereport(ERROR,
				errcode(ERRCODE_DUPLICATE_OBJECT),
				errmsg("some of the node ids %d to %d are already in the registry",
					   first, last),
				errhint("The view flake.nodes shows them."));
	SPI_finish();
	PG_RETURN_INT32((int32) created);
}

/*
 * The greatest value in the first column of a statement's rows, at least
 * "least".
 */
static int64
greatest(int64 least)
{
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		int64		value = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i],
														SPI_tuptable->tupdesc, 1,
														&isnull));

		least = Max(least, value);
	}
	return least;
}

/*
 * flake_drop_nodes(first, last): the time until which they may be in use
 *
 * The row of a node id that was in use is kept, in case the node id is created
 * again.  A reserved one is assumed to have been in use until now, on a server
 * whose clock may be ahead.
 */
Datum
flake_drop_nodes(PG_FUNCTION_ARGS)
{
	static Statement drop_unused = {
		"DELETE FROM flake.node WHERE node_id BETWEEN $1 AND $2"
		" AND valid_from IS NULL AND NOT reserved AND NOT dropped RETURNING used_until",
		2, {INT4OID, INT4OID}, NULL
	};
	static Statement drop_used = {
		"UPDATE flake.node SET dropped = true, reserved = false, lease = NULL,"
		" previous_lease = NULL,"
		" used_until = CASE WHEN reserved THEN greatest(used_until, $3) ELSE used_until END"
		" WHERE node_id BETWEEN $1 AND $2 AND NOT dropped RETURNING used_until",
		3, {INT4OID, INT4OID, INT8OID}, NULL
	};
	Registry	registry;
	Datum		values[3];
	int32		first;
	int32		last;
	int64		used_until_us = PG_INT64_MIN;
	uint64		dropped;

	(void) begin(fcinfo, "flake_drop_nodes()", RowExclusiveLock);
	first = PG_GETARG_INT32(0);
	last = PG_GETARG_INT32(1);
	check_range(first, last);
	commit_durably();
	check_registry(&registry);

	values[0] = Int32GetDatum(first);
	values[1] = Int32GetDatum(last);
	values[2] = Int64GetDatum(registry.clock_us + registry.max_clock_offset_us);
	dropped = registry_run(&drop_unused, values);
	used_until_us = greatest(used_until_us);
	dropped += registry_run(&drop_used, values);
	used_until_us = greatest(used_until_us);
	if (dropped == 0)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("none of the node ids %d to %d is in the registry", first, last));
	SPI_finish();
	/* for a holder whose clock is behind by as much as is allowed */
	PG_RETURN_INT64(used_until_us + registry.max_clock_offset_us);
}

/*
 * flake_reserve_node(node)
 *
 * From now on a server may use it without asking, and its clock may be behind
 * by as much as is allowed.  So used_until must have passed by such a clock.
 */
Datum
flake_reserve_node(PG_FUNCTION_ARGS)
{
	static Statement reserve = {
		"UPDATE flake.node SET reserved = true, lease = NULL, previous_lease = NULL,"
		" holder = NULL, clock_offset = NULL, address = NULL"
		" WHERE node_id = $1 AND NOT reserved AND NOT dropped"
		" AND used_until + CASE WHEN lease IS NULL THEN 0 ELSE $3 END <= $2",
		3, {INT4OID, INT8OID, INT8OID}, NULL
	};
	static Statement look = {
		"SELECT used_until + CASE WHEN lease IS NULL THEN 0 ELSE $3 END, reserved"
		" FROM flake.node WHERE node_id = $1 AND NOT dropped",
		3, {INT4OID, INT8OID, INT8OID}, NULL
	};
	Registry	registry;
	Datum		values[3];
	int32		node_id;

	(void) begin(fcinfo, "flake_reserve_node()", RowExclusiveLock);
	node_id = PG_GETARG_INT32(0);
	check_node_id(node_id);
	commit_durably();
	check_registry(&registry);

	values[0] = Int32GetDatum(node_id);
	values[1] = Int64GetDatum(registry.clock_us - registry.max_clock_offset_us);
	values[2] = Int64GetDatum(registry.grace_us);
	if (registry_run(&reserve, values) == 0)
	{
		bool		isnull;

		if (registry_run(&look, values) == 0)
			ereport(ERROR,
					errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("node id %d is not in the registry", node_id));
		if (DatumGetBool(registry_column(2, &isnull)))
			ereport(ERROR,
					errcode(ERRCODE_DUPLICATE_OBJECT),
					errmsg("node id %d is already reserved", node_id));
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_IN_USE),
				errmsg("node id %d may be in use until %s", node_id,
					   flake_time_text(registry_int64(1) + registry.max_clock_offset_us)),
				errhint("Reserve another one, or wait."));
	}
	SPI_finish();
	PG_RETURN_VOID();
}

/* Error if a claimer's clock differs too much from ours. */
static void
check_clock(int64 now_us, const Registry *registry)
{
	int64		offset_us = clock_offset(now_us, registry);
	int64		allowed_us = registry->max_clock_offset_us;

	if (offset_us > allowed_us || offset_us < -allowed_us)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				offset_us > 0 ?
				errmsg("clock is %s seconds ahead of the registry's",
					   flake_seconds_text(offset_us)) :
				errmsg("clock is %s seconds behind the registry's",
					   flake_seconds_text(-offset_us)),
				errdetail("It shows %s, the registry's clock shows %s, and they may differ by %s seconds.",
						  flake_time_text(now_us),
						  flake_time_text(registry->clock_us),
						  flake_seconds_text(allowed_us)),
				errhint("Correct the clock that is wrong."));
}

/* No node id is left for a claim: say why. */
static void
raise_all_taken(const Registry *registry)
{
	static Statement count = {
		"SELECT count(*), count(*) FILTER (WHERE reserved), count(lease),"
		" min(used_until + CASE WHEN lease IS NULL THEN 0 ELSE $1 END)"
		" FILTER (WHERE NOT reserved) FROM flake.node WHERE NOT dropped",
		1, {INT8OID}, NULL
	};
	Datum		grace = Int64GetDatum(registry->grace_us);
	int64		all;
	int64		reserved;
	int64		held;
	int64		next_us;

	(void) registry_run(&count, &grace);
	all = registry_int64(1);
	reserved = registry_int64(2);
	held = registry_int64(3);
	next_us = registry_int64(4);
	if (all == reserved)
		ereport(ERROR,
				errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("registry has no node ids to lease"),
				all == 0 ? errdetail("It has none at all.") :
				errdetail_plural("It has %d node id, which is reserved.",
								 "It has %d node ids, and all are reserved.",
								 all, (int) all),
				errhint("A superuser can add some with flake_create_nodes()."));
	if (next_us <= registry->clock_us)
		ereport(ERROR,
				errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				errmsg("all node ids that are free are locked by other transactions"),
				errdetail("They are being leased, released, reserved or dropped."),
				errhint("Try again."));
	ereport(ERROR,
			errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			errmsg("all node ids of the registry are taken"),
			errdetail("Of %lld node ids, %lld are held, %lld are reserved, and %lld cannot be leased yet; the next one is free at %s.",
					  (long long) all, (long long) held, (long long) reserved,
					  (long long) (all - held - reserved),
					  flake_time_text(next_us)),
			errhint("Try again then, or have a superuser add node ids with flake_create_nodes().  The view flake.nodes shows who holds them."));
}

/*
 * flake_lease_node(holder, lease, now, until): (node_id, valid_from,
 * valid_until)
 */
Datum
flake_lease_node(PG_FUNCTION_ARGS)
{
	static Statement claim_again = {
		"UPDATE flake.node SET used_until = greatest(used_until, $2) WHERE lease = $1"
		" RETURNING node_id, valid_from, used_until",
		2, {UUIDOID, INT8OID}, NULL
	};
	static Statement find = {
		"SELECT node_id, used_until FROM flake.node WHERE NOT reserved AND NOT dropped"
		" AND used_until <= CASE WHEN lease IS NULL THEN $3 ELSE $4 END"
		" ORDER BY used_until > $2, holder IS DISTINCT FROM $1, used_until, node_id"
		" LIMIT 1 FOR UPDATE SKIP LOCKED",
		4, {TEXTOID, INT8OID, INT8OID, INT8OID}, NULL
	};
	static Statement claim = {
		"UPDATE flake.node SET lease = $2, previous_lease = NULL, holder = $3,"
		" valid_from = $4, used_until = $5, clock_offset = $6,"
		" address = inet_client_addr() WHERE node_id = $1",
		6, {INT4OID, UUIDOID, TEXTOID, INT8OID, INT8OID, INT8OID}, NULL
	};
	Registry	registry;
	Datum		values[REGISTRY_MAX_PARAMETERS];
	Oid			node_relid;
	Datum		holder;
	Datum		lease;
	int			holder_bytes;
	int32		node_id;
	int64		now_us;
	int64		valid_from_us;
	int64		until_us;
	bool		isnull;
	Row			row;

	node_relid = begin_for_holder(fcinfo, "flake_lease_node()", &registry);
	holder = PG_GETARG_DATUM(0);
	lease = PG_GETARG_DATUM(1);
	now_us = PG_GETARG_INT64(2);
	until_us = PG_GETARG_INT64(3);
	holder_bytes = (int) VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0));
	if (holder_bytes == 0 || holder_bytes > MAX_HOLDER_BYTES)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("name of a holder must have 1 to %d bytes, not %d",
					   MAX_HOLDER_BYTES, holder_bytes));
	if (until_us <= now_us)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("lease would end before it begins"),
				errdetail("It was asked for from %s until %s.",
						  flake_time_text(now_us), flake_time_text(until_us)));
	check_clock(now_us, &registry);
	until_us = Min(until_us, registry.clock_us + registry.max_lease_us);

	/* if a request arrives twice, the second one waits for the first */
	LockDatabaseObject(node_relid, DatumGetUInt32(DirectFunctionCall1(uuid_hash, lease)),
					   0, ExclusiveLock);
	values[0] = lease;
	values[1] = Int64GetDatum(until_us);
	if (registry_run(&claim_again, values) > 0)
	{
		node_id = DatumGetInt32(registry_column(1, &isnull));
		valid_from_us = registry_int64(2);
		until_us = registry_int64(3);
	}
	else
	{
		if (registry.clock_us < registry.claims_from_us)
			ereport(ERROR,
					errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("registry leases no node ids until %s",
						   flake_time_text(registry.claims_from_us)),
					errdetail("It was accepted with flake_accept_registry(), and leases that it does not know may last until then.  Leases that it knows are renewed."));
		values[0] = holder;
		values[1] = Int64GetDatum(now_us);
		values[2] = Int64GetDatum(registry.clock_us);
		values[3] = Int64GetDatum(registry.clock_us - registry.grace_us);
		if (registry_run(&find, values) == 0)
			raise_all_taken(&registry);
		node_id = DatumGetInt32(registry_column(1, &isnull));
		valid_from_us = Max(Max(now_us, registry_int64(2)),
							Max(registry.clock_us - registry.max_clock_offset_us,
								registry.claims_from_us));
		if (until_us <= valid_from_us)
			ereport(ERROR,
					errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("lease of node id %d would end before it begins", node_id),
					errdetail("It would be valid from %s until %s.",
							  flake_time_text(valid_from_us), flake_time_text(until_us)),
					errhint("Ask for a longer one."));

		values[0] = Int32GetDatum(node_id);
		values[1] = lease;
		values[2] = holder;
		values[3] = Int64GetDatum(valid_from_us);
		values[4] = Int64GetDatum(until_us);
		values[5] = Int64GetDatum(clock_offset(now_us, &registry));
		if (registry_run(&claim, values) != 1)
			elog(ERROR, "could not update node id %d", node_id);
	}
	SPI_finish();

	begin_row(fcinfo, &row);
	add(&row, Int32GetDatum(node_id));
	add(&row, Int64GetDatum(valid_from_us));
	add(&row, Int64GetDatum(until_us));
	PG_RETURN_DATUM(end_row(&row));
}

static void
raise_unknown_lease(int32 node_id)
{
	ereport(ERROR,
			errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("node id %d is not held under this lease", node_id),
			errdetail("It was released or dropped, or it was leased again after the lease had ended."),
			errhint("Lease a node id anew, under a new uuid."));
}

/* flake_renew_node(node, lease, next_lease, now, until): valid_until */
Datum
flake_renew_node(PG_FUNCTION_ARGS)
{
	static Statement renew = {
		"UPDATE flake.node SET lease = $3, previous_lease = $2,"
		" used_until = greatest(used_until, $4), clock_offset = $5,"
		" address = inet_client_addr() WHERE node_id = $1"
		" AND (lease = $2 OR lease = $3 AND previous_lease = $2)"
		" RETURNING used_until",
		5, {INT4OID, UUIDOID, UUIDOID, INT8OID, INT8OID}, NULL
	};
	Registry	registry;
	Datum		values[5];
	int32		node_id;
	int64		until_us;

	(void) begin_for_holder(fcinfo, "flake_renew_node()", &registry);
	node_id = PG_GETARG_INT32(0);
	until_us = PG_GETARG_INT64(4);
	values[0] = Int32GetDatum(node_id);
	values[1] = PG_GETARG_DATUM(1);
	values[2] = PG_GETARG_DATUM(2);
	if (DatumGetBool(DirectFunctionCall2(uuid_eq, values[1], values[2])))
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("next lease must have a different uuid"));
	values[3] = Int64GetDatum(Min(until_us, registry.clock_us + registry.max_lease_us));
	values[4] = Int64GetDatum(clock_offset(PG_GETARG_INT64(3), &registry));
	if (registry_run(&renew, values) == 0)
		raise_unknown_lease(node_id);
	until_us = registry_int64(1);
	SPI_finish();
	PG_RETURN_INT64(until_us);
}

/*
 * flake_release_node(node, lease, last_id_time)
 *
 * Only the current name of the lease is accepted: a copy of the holder that
 * knows the name before the last renewal must not release what the other one
 * goes on using.  A repeated request succeeds and changes nothing.
 */
Datum
flake_release_node(PG_FUNCTION_ARGS)
{
	static Statement release = {
		"UPDATE flake.node SET lease = NULL, previous_lease = $2,"
		" used_until = CASE WHEN lease IS NULL THEN used_until"
		" ELSE greatest(valid_from, least(used_until, $3)) END"
		" WHERE node_id = $1 AND (lease = $2 OR lease IS NULL AND previous_lease = $2)",
		3, {INT4OID, UUIDOID, INT8OID}, NULL
	};
	Registry	registry;
	Datum		values[3];
	int32		node_id;
	int64		last_us;

	(void) begin_for_holder(fcinfo, "flake_release_node()", &registry);
	node_id = PG_GETARG_INT32(0);
	last_us = PG_GETARG_INT64(2);
	values[0] = Int32GetDatum(node_id);
	values[1] = PG_GETARG_DATUM(1);
	/* the tick that begins at that time has been used */
	values[2] = Int64GetDatum(last_us == PG_INT64_MAX ? last_us : last_us + 1);
	if (registry_run(&release, values) == 0)
		raise_unknown_lease(node_id);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * flake_accept_registry(): the time from which node ids are leased
 *
 * All leases that were granted after this copy was made end within the gap.
 * If a lease has ended according to its row, the original may have leased the
 * node id to another holder since, so it is not renewed here.  If it has not
 * ended, the original cannot have done that.
 *
 * The copy cannot know what was reserved, dropped or created in the original.
 * Whoever accepts it can repeat that during the gap.
 */
Datum
flake_accept_registry(PG_FUNCTION_ARGS)
{
	static Statement last_lease = {
		"SELECT max(valid_from) FROM flake.node",
		0, {InvalidOid}, NULL
	};
	static Statement accept = {
		"UPDATE flake.node_registry SET system_identifier = $1, timeline = $2,"
		" database = $3, control_inode = $4, control_born = $5,"
		" claims_from = greatest(claims_from, $6) RETURNING claims_from",
		6, {INT8OID, INT8OID, OIDOID, INT8OID, INT8OID, INT8OID}, NULL
	};
	static Statement forget_lapsed = {
		"UPDATE flake.node SET lease = NULL, previous_lease = NULL"
		" WHERE lease IS NOT NULL AND used_until <= $1",
		1, {INT8OID}, NULL
	};
	Registry	registry;
	Datum		values[REGISTRY_MAX_PARAMETERS];
	Datum		ended;
	bool		no_lease;
	int64		last_us;
	int64		claims_from_us;
	int			n;

	/* because its lock makes all holders wait */
	PreventInTransactionBlock(true, "flake_accept_registry()");
	/* at the same time as no claim, which would not see it */
	(void) begin(fcinfo, "flake_accept_registry()", ShareRowExclusiveLock);
	commit_durably();
	need_registry(&registry);

	(void) registry_run(&last_lease, NULL);
	(void) registry_column(1, &no_lease);
	last_us = registry_int64(1);
	if (!no_lease && registry.clock_us < last_us - registry.max_clock_offset_us)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("clock is behind the leases of the registry"),
				errdetail("The clock shows %s, but a lease began at %s.  A registry that is accepted goes by the clock to tell when leases that it does not know have ended.",
						  flake_time_text(registry.clock_us), flake_time_text(last_us)),
				errhint("Correct the clock."));

	n = registry_identity_parameters(values);
	values[n] = Int64GetDatum(registry.clock_us + registry.gap_us +
							  registry.max_clock_offset_us);
	(void) registry_run(&accept, values);
	claims_from_us = registry_int64(1);
	ended = Int64GetDatum(registry.clock_us + registry.max_clock_offset_us);
	(void) registry_run(&forget_lapsed, &ended);
	SPI_finish();
	ereport(WARNING,
			errmsg("registry does not know which node ids were reserved, dropped or created after this copy was made"),
			no_lease ? errdetail("It knows of no lease.") :
			errdetail("The last lease that it knows began at %s.", flake_time_text(last_us)),
			errhint("Repeat those changes before %s, when the registry begins to grant leases.",
					flake_time_text(claims_from_us)));
	PG_RETURN_INT64(claims_from_us);
}
