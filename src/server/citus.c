/*
 * citus.c
 *		What the catalogs of Citus say about this database.
 *
 * Citus gives every server of a cluster a group: 0 to the coordinator, 1, 2, ...
 * to the workers in the order in which they are added.  A worker's standby has
 * the group of its primary.
 *
 * No two rows of pg_dist_node that are primaries have the same group, so a group
 * is a node id that is unique among the servers that are nodes at one time.  It
 * says nothing of servers that are not, or not yet.  A group is given again after
 * citus_finish_pg_upgrade(), when it is asked for by citus_add_node(), or when
 * the coordinator's numbering has begun anew; a worker that was removed keeps
 * its own.  A copy has the group of its original, and so has a clone until
 * citus_promote_clone_and_rebalance() commits, after it has promoted it.
 * doc/citus.md says what to do about these.
 *
 * Nothing of Citus is linked to or called.  Its two tables are found by name, and
 * taken only for what they are: nobody but a superuser can make tables in
 * pg_catalog, and let others do so.
 *
 *		pg_dist_local_group		one row: this node's group
 *		pg_dist_node			a row for each node of the cluster
 *
 * A group of 0 says little by itself.  The coordinator has it, but so has every
 * server on which Citus was just installed, and a worker whose metadata was taken
 * away: these have no rows in pg_dist_node.  When Citus gives a worker metadata
 * or takes it away, it changes both tables there in one transaction, or the group
 * first.  They are read under one snapshot: a group of 0 from before such a change
 * together with the rows from after it would be the coordinator's group on a
 * worker.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "server/citus.h"

#define NODES		"pg_dist_node"
#define LOCAL_GROUP "pg_dist_local_group"
#define GROUP		"groupid"

/* What the last look depended on, for the callbacks. */
static bool looked = false;
static uint32 nodes_hash;		/* of the names in the cache of relations */
static uint32 local_group_hash;
static Oid	nodes_relid;		/* InvalidOid: there was none */
static Oid	local_group_relid;

static uint32
name_hash(const char *name)
{
	return GetSysCacheHashValue2(RELNAMENSP, CStringGetDatum(name),
								 ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
}

/*
 * Was the last look at a relation whose name has that hash?  (0: everything may
 * have changed.)
 */
bool
flake_citus_is_about_name(uint32 hash)
{
	return looked &&
		(hash == 0 || hash == nodes_hash || hash == local_group_hash);
}

/* Was it at that relation?  (InvalidOid: every relation may have changed.) */
bool
flake_citus_is_about_relation(Oid relid)
{
	return looked &&
		(relid == InvalidOid || relid == nodes_relid || relid == local_group_relid);
}

/*
 * Opens and locks one of the tables; NULL if there is none of that name.  Not by
 * RangeVarGetRelid(), which asks for a privilege on the schema: whoever may call
 * flake_next_id() gets an id.
 */
static Relation
open_table(const char *name, Oid *relid)
{
	Relation	rel;

	for (;;)
	{
		*relid = get_relname_relid(name, PG_CATALOG_NAMESPACE);
		if (!OidIsValid(*relid))
			return NULL;
		rel = try_relation_open(*relid, AccessShareLock);
		/* while it waited for the lock the name may have gone to another one */
		if (rel != NULL &&
			get_relname_relid(name, PG_CATALOG_NAMESPACE) == *relid)
			return rel;
		if (rel != NULL)
			relation_close(rel, AccessShareLock);
	}
}

/* The number of the column with the group; 0 if the table is not as expected. */
static AttrNumber
group_column(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	if (rel->rd_rel->relkind != RELKIND_RELATION ||
		rel->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT ||
		!superuser_arg(rel->rd_rel->relowner))
		return InvalidAttrNumber;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!column->attisdropped && column->atttypid == INT4OID &&
			strcmp(NameStr(column->attname), GROUP) == 0)
			return column->attnum;
	}
	return InvalidAttrNumber;
}

static const FlakeError *
not_expected(const char *name, const char *detail)
{
	return flake_error(ERRCODE_CONFIG_FILE_ERROR,
					   psprintf("could not read \"pg_catalog.%s\" as a table of Citus",
								name),
					   detail,
					   "Set \"flake.node_id\" to a number that no other server has.");
}

/* Why one of the tables can't be read, else NULL. */
static const FlakeError *
table_error(Relation rel, const char *name)
{
	if (rel == NULL)
		return not_expected(name, "Citus's other catalog exists, but this one does not.");
	if (group_column(rel) == InvalidAttrNumber)
		return not_expected(name, "It is not a permanent table of a superuser with a column \"" GROUP "\" of type integer.");
	return NULL;
}

/* The highest group in a table; returns how many rows have one. */
static int
read_groups(Relation rel, Snapshot snapshot, int32 *highest)
{
	AttrNumber	column = group_column(rel);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	int			found = 0;
	HeapTuple	tuple;

	*highest = 0;
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		is_null;
		int32		group = DatumGetInt32(heap_getattr(tuple, column,
													   RelationGetDescr(rel), &is_null));

		if (is_null)
			continue;
		*highest = found == 0 ? group : Max(*highest, group);
		found++;
	}
	systable_endscan(scan);
	return found;
}

static const FlakeError *
read_tables(FlakeCitus *citus, Relation nodes, Relation local_group)
{
	const FlakeError *error = table_error(nodes, NODES);
	Snapshot	snapshot;
	int			nnodes;
	int			nlocal;

	if (error == NULL)
		error = table_error(local_group, LOCAL_GROUP);
	if (error != NULL)
		return error;

	snapshot = RegisterSnapshot(GetCatalogSnapshot(RelationGetRelid(nodes)));
	nnodes = read_groups(nodes, snapshot, &citus->highest_group);
	nlocal = read_groups(local_group, snapshot, &citus->group);
	UnregisterSnapshot(snapshot);

	if (nlocal != 1 || citus->group < 0)
		return not_expected(LOCAL_GROUP,
							"It must have one row with this node's group.  While a server with Citus is upgraded it has none, until citus_finish_pg_upgrade() has been run.");

	/* a group of its own is given to nobody but a worker */
	citus->is_node = nnodes > 0 || citus->group > 0;
	citus->has_workers = citus->highest_group > 0 || citus->group > 0;
	citus->highest_group = Max(citus->highest_group, citus->group);
	return NULL;
}

/*
 * Reads both tables.  Needs a transaction; raises nothing, but a lock that it
 * waits for can be one of an open CREATE, ALTER or DROP EXTENSION.  A serializable
 * transaction has read the tables then, and can fail if nodes change meanwhile.
 */
void
flake_citus_read(FlakeCitus *citus)
{
	Relation	nodes;
	Relation	local_group;

	Assert(IsTransactionState());
	memset(citus, 0, sizeof(*citus));

	/* first, so that no change from here on is missed */
	nodes_hash = name_hash(NODES);
	local_group_hash = name_hash(LOCAL_GROUP);
	looked = true;
	/* and the names are looked up as they are now */
	AcceptInvalidationMessages();

	nodes = open_table(NODES, &nodes_relid);
	local_group = open_table(LOCAL_GROUP, &local_group_relid);
	if (nodes != NULL || local_group != NULL)
	{
		citus->is_installed = true;
		citus->error = read_tables(citus, nodes, local_group);
	}
	if (local_group != NULL)
		relation_close(local_group, AccessShareLock);
	if (nodes != NULL)
		relation_close(nodes, AccessShareLock);
}
