/*
 * catalog.c
 *		Finding the extension's own relations.
 *
 * The extension may live in any schema and be moved to another, so its
 * relations are looked up by the extension's schema, never by search_path.
 * Callers keep the OIDs and forget them when the relation cache says so.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "datatype/timestamp.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "server/relation.h"

#define FLAKE_EXTENSION "flake"

/* Schema of an extension; InvalidOid if it is gone. */
static Oid
extension_schema(Oid extension)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	Oid			schema = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		schema = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return schema;
}

/*
 * The extension's relation of that name.  Error if there is none, as after a
 * DROP EXTENSION beneath a running statement.
 */
Oid
flake_relation_oid(const char *name)
{
	Oid			extension = get_extension_oid(FLAKE_EXTENSION, true);
	Oid			schema = InvalidOid;
	Oid			relid = InvalidOid;

	if (OidIsValid(extension))
		schema = extension_schema(extension);
	if (OidIsValid(schema))
		relid = get_relname_relid(name, schema);
	if (!OidIsValid(relid))
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("extension \"%s\" does not exist in this database",
					   FLAKE_EXTENSION),
				errdetail("Its relation \"%s\" was not found.", name),
				errhint("Use CREATE EXTENSION %s.", FLAKE_EXTENSION));
	return relid;
}

/*
 * Opens and locks the extension's relation of that name; close it with the
 * same lock mode.  NULL only if "wait" is false and the lock is not to be had
 * at once.  Waits behind an open DROP or ALTER EXTENSION, and then sees what
 * that left.
 */
Relation
flake_open_relation(const char *name, LOCKMODE mode, bool wait)
{
	for (;;)
	{
		Oid			relid = flake_relation_oid(name);
		Relation	rel;

		if (wait)
			LockRelationOid(relid, mode);
		else if (!ConditionalLockRelationOid(relid, mode))
			return NULL;

		/* it may be gone, or another one may have its name by now */
		if (relid == flake_relation_oid(name) &&
			(rel = try_relation_open(relid, NoLock)) != NULL)
			return rel;
		UnlockRelationOid(relid, mode);
	}
}

/* A time for messages; the result lasts until the next call. */
const char *
flake_time_text(int64 unix_us)
{
	return timestamptz_to_str(unix_us - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
							  USECS_PER_DAY);
}
