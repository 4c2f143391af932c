/*
 * citus.c
 *		This server's place in a Citus cluster, from the catalogs of Citus.
 *
 * Citus assigns a group to each server of a cluster: 0 to the coordinator, and
 * 1, 2, ... to the workers in the order in which they are added.  A standby has
 * the group of its primary.
 *
 * Primaries in pg_dist_node have different groups, so the group is a node id that
 * is unique among the servers that are nodes at the same time.  It is not unique
 * beyond that.  A group can be assigned again after citus_finish_pg_upgrade(), if
 * citus_add_node() is told to, or if the coordinator's numbering has begun anew,
 * while a worker that was removed keeps its group.  A copy has the group of its
 * original.  So does a clone, from its promotion until
 * citus_promote_clone_and_rebalance() commits.  doc/citus.md says what to do
 * about these.
 *
 * Citus is not linked or called.  Its two tables are found by name, and can be
 * trusted because only a superuser can create tables in pg_catalog, or allow
 * others to.
 *
 *		pg_dist_local_group		one row, with this node's group
 *		pg_dist_node			one row per node of the cluster
 *
 * Group 0 does not mean that this is a coordinator.  A server where Citus has
 * just been installed has it, too, and so does a worker whose metadata was
 * removed, but these have no rows in pg_dist_node.  When Citus adds or removes a
 * worker's metadata, it changes both tables there in one transaction, or the group
 * first.  So they are read under one snapshot: otherwise a group of 0 from before
 * such a change and rows from after it would make a worker look like the
 * coordinator.
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

/* What the last result depended on, for the callbacks. */
static bool looked = false;
static uint32 nodes_hash;		/* hashes of the names in the syscache */
static uint32 local_group_hash;
static Oid	nodes_relid;		/* InvalidOid if there was no table */
static Oid	local_group_relid;

static uint32
name_hash(const char *name)
{
	return GetSysCacheHashValue2(RELNAMENSP, CStringGetDatum(name),
								 ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
}

/*
 * Did the last result depend on a relation whose name has this hash?  0 stands
 * for all names.
 */
bool
flake_citus_is_about_name(uint32 hash)
{
	return looked &&
		(hash == 0 || hash == nodes_hash || hash == local_group_hash);
}

/* Did it depend on this relation?  InvalidOid stands for all. */
bool
flake_citus_is_about_relation(Oid relid)
{
	return looked &&
		(relid == InvalidOid || relid == nodes_relid || relid == local_group_relid);
}

/*
 * Open and lock one of the tables; NULL if it does not exist.  RangeVarGetRelid()
 * would require a privilege on the schema, but flake_next_id() must not.
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
		/* it may have been replaced while this waited for the lock */
		if (rel != NULL &&
			get_relname_relid(name, PG_CATALOG_NAMESPACE) == *relid)
			return rel;
		if (rel != NULL)
			relation_close(rel, AccessShareLock);
	}
}

/*
 * The number of the column with the group; InvalidAttrNumber if the table is not
 * as expected.
 */
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

/* An error if a table is missing or not as expected, or NULL. */
static const FlakeError *
table_error(Relation rel, const char *name)
{
	if (rel == NULL)
		return not_expected(name, "It does not exist, but Citus's other catalog does.");
	if (group_column(rel) == InvalidAttrNumber)
		return not_expected(name, "It is not a permanent table of a superuser with a column \"" GROUP "\" of type integer.");
	return NULL;
}

/* Find the highest group in a table; returns the number of rows with a group. */
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
							"It must have one row, with this node's group.  During an upgrade of the server it has none until citus_finish_pg_upgrade() has been run.");

	/* a group above 0 is given only to a worker */
	citus->is_node = nnodes > 0 || citus->group > 0;
	citus->has_workers = citus->highest_group > 0 || citus->group > 0;
	citus->highest_group = Max(citus->highest_group, citus->group);
	return NULL;
}

/*
 * Read both tables.  Needs a transaction.  Can wait for the lock of an open
 * CREATE, ALTER or DROP EXTENSION.  A serializable transaction can fail later if
 * nodes change meanwhile, since it has read the tables.
 */
void
flake_citus_read(FlakeCitus *citus)
{
	Relation	nodes;
	Relation	local_group;

	Assert(IsTransactionState());
	memset(citus, 0, sizeof(*citus));

	/* set these first, so that no change from here on is missed */
	nodes_hash = name_hash(NODES);
	local_group_hash = name_hash(LOCAL_GROUP);
	looked = true;
	/* look up the current names */
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
