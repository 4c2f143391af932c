/*
 * relation.c
 *		The extension in the catalogs: its sequence flake.mark and its version.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "server/relation.h"

/* The lock that nextval() takes */
#define MARK_LOCK	RowExclusiveLock

/* The extension's version, palloc'd; NULL if there is no extension. */
static char *
extension_version(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	char	   *version = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("flake"));

	/*
	 * without the index, because opening it takes longer than reading all
	 * rows
	 */
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		is_null;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(rel), &is_null);

		if (!is_null)
			version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return version;
}

/*
 * An error if the library and the extension have different versions, or NULL.  It
 * is also NULL if there is no extension: then opening the mark will fail.
 */
const FlakeError *
flake_version_error(void)
{
	char	   *version = extension_version();

	if (version == NULL || strcmp(version, FLAKE_VERSION) == 0)
		return NULL;
	return flake_error(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					   psprintf("extension \"flake\" has version %s, but its library has version %s",
								version, FLAKE_VERSION),
					   NULL,
					   "Run ALTER EXTENSION flake UPDATE in this database; if that changes nothing, restart the server.");
}

void
flake_check_version(void)
{
	const FlakeError *error = flake_version_error();

	if (error != NULL)
		flake_raise(error);
}

/*
 * The OID of flake.mark.  Raises an error if there is none, as after DROP
 * EXTENSION.
 */
static Oid
mark_oid(void)
{
	Oid			schema = get_namespace_oid(FLAKE_SCHEMA, true);
	Oid			relid = InvalidOid;

	if (OidIsValid(schema))
		relid = get_relname_relid(FLAKE_MARK_NAME, schema);
	if (!OidIsValid(relid))
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("extension \"flake\" does not exist in this database"),
				errdetail("Sequence \"%s.%s\" was not found.",
						  FLAKE_SCHEMA, FLAKE_MARK_NAME),
				errhint("Use CREATE EXTENSION flake."));
	return relid;
}

/*
 * Lock and open the relation flake.mark, of whatever kind.  NULL if "wait" is
 * false and the lock is not available at once.
 */
static Relation
open_any(bool wait)
{
	for (;;)
	{
		Oid			relid = mark_oid();
		Relation	rel;

		if (wait)
			LockRelationOid(relid, MARK_LOCK);
		else if (!ConditionalLockRelationOid(relid, MARK_LOCK))
			return NULL;

		/* it may have been dropped or replaced while this waited */
		if (relid == mark_oid() &&
			(rel = try_relation_open(relid, NoLock)) != NULL)
			return rel;
		UnlockRelationOid(relid, MARK_LOCK);
	}
}

/*
 * Lock and open the mark's relation.  NULL if "wait" is false and the lock is not
 * available at once.  Waits for an open DROP or ALTER EXTENSION.  Raises an error
 * if the relation is not a permanent sequence.
 */
Relation
flake_mark_relation_open(bool wait)
{
	Relation	rel = open_any(wait);

	if (rel != NULL &&
		(rel->rd_rel->relkind != RELKIND_SEQUENCE ||
		 rel->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT))
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("\"%s.%s\" is not a permanent, logged sequence",
					   FLAKE_SCHEMA, FLAKE_MARK_NAME),
				errdetail("Otherwise ids could repeat after a crash."),
				errhint("Use ALTER SEQUENCE %s.%s SET LOGGED.",
						FLAKE_SCHEMA, FLAKE_MARK_NAME));
	return rel;
}

/*
 * Close and unlock it.  The lock is not kept until the end of the transaction, so
 * that open transactions do not block ALTER EXTENSION.
 */
void
flake_mark_relation_close(Relation rel)
{
	relation_close(rel, MARK_LOCK);
}
