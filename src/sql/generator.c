/*
 * generator.c
 *		Generators: a name for a layout, from the table flake_generator.
 *
 * A backend keeps the generators that it has met.  A change of the table
 * (made, dropped, rolled back, in any session) arrives as an invalidation of
 * the relation, which the table's trigger asks for; everything is looked up
 * again then.  "default" needs no row.
 *
 * The table is read with a snapshot taken at that moment, as a catalog is: a
 * generator is seen as soon as it is committed.  The lock on the table is
 * released at once, so that an open transaction that took ids holds up no
 * ALTER EXTENSION.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "server/relation.h"
#include "server/compat.h"
#include "sql/generator.h"
#include "server/backend.h"

static HTAB *generators = NULL;
static Oid	generator_relid = InvalidOid;	/* while it is known */

/* Raised by every change of the table that arrives. */
static uint64 changes = 0;

/* "default", while it is valid; what flake_next_id() without a name uses. */
static FlakeGenerator *default_generator = NULL;

static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	FlakeGenerator *generator;

	if (generators == NULL || (relid != InvalidOid && relid != generator_relid))
		return;

	changes++;
	default_generator = NULL;
	hash_seq_init(&status, generators);
	while ((generator = hash_seq_search(&status)) != NULL)
		generator->valid = false;
}

void
flake_generator_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
}

/*
 * Reads the text of a layout to make ids with.  Error if it is none or for
 * reading only (22023).  The table's trigger calls it for what comes in, and a
 * lookup again: triggers can be disabled.
 */
void
flake_generator_parse_layout(const char *text, size_t length,
							 FlakeLayout *layout)
{
	FlakeLayoutError error;

	if (!flake_layout_parse(text, length, layout, &error) ||
		!flake_layout_issuable(layout, &error))
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("%s", error.message),
				error.detail[0] ? errdetail("%s", error.detail) : 0,
				error.hint[0] ? errhint("%s", error.hint) : 0);
}

/*
 * Look the name up in the table.  False if it is not there.
 */
static bool
read_generator(const char *name, FlakeLayout *layout)
{
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	rel = flake_open_relation(FLAKE_GENERATOR_RELATION, AccessShareLock, true);
	generator_relid = RelationGetRelid(rel);
	ScanKeyInit(&key, FLAKE_GENERATOR_NAME, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(name));
	/* a handful of rows: no index */
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		bool		is_null;
		Datum		value = heap_getattr(tuple, FLAKE_GENERATOR_LAYOUT,
										 RelationGetDescr(rel), &is_null);

		if (is_null)
			ereport(ERROR,
					errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("generator \"%s\" has no layout", name));
		else
		{
			struct varlena *definition = PG_DETOAST_DATUM_PACKED(value);

			flake_generator_parse_layout(VARDATA_ANY(definition),
										 VARSIZE_ANY_EXHDR(definition),
										 layout);
		}
	}
	systable_endscan(scan);
	relation_close(rel, AccessShareLock);
	return found;
}

static void
make_cache(void)
{
	HASHCTL		control = {
		.keysize = NAMEDATALEN,
		.entrysize = sizeof(FlakeGenerator),
		.hcxt = TopMemoryContext,
	};

	generators = hash_create("flake generators", 8, &control,
							 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/*
 * The generator of that name.  Error if it does not exist (42704).
 */
FlakeGenerator *
flake_generator(const char *name, size_t length)
{
	char		key[NAMEDATALEN];
	FlakeLayout layout;
	FlakeGenerator *generator;
	bool		found = false;
	bool		is_default;
	uint64		changes_before = changes;

	if (generators == NULL)
		make_cache();

	/* a longer name can't be in the table */
	memset(key, 0, sizeof(key));
	memcpy(key, name, Min(length, NAMEDATALEN - 1));
	if (length < NAMEDATALEN)
	{
		generator = hash_search(generators, key, HASH_FIND, NULL);
		if (generator != NULL && generator->valid)
			return generator;
		found = read_generator(key, &layout);
	}
	is_default = strcmp(key, FLAKE_DEFAULT_GENERATOR) == 0;
	if (!found && is_default)
		flake_generator_parse_layout(FLAKE_DEFAULT_LAYOUT_NAME,
									 strlen(FLAKE_DEFAULT_LAYOUT_NAME), &layout);
	else if (!found)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("generator \"%.*s\" does not exist", (int) length, name),
				errhint("Make it with flake_create_generator()."));

	generator = hash_search(generators, key, HASH_ENTER, &found);
	if (!found)
	{
		generator->name_length = length;
		generator->has_last = false;
	}
	generator->layout = layout;
	generator->session = NULL;
	/* changed while it was read: good for this call only */
	generator->valid = changes == changes_before;
	if (is_default && generator->valid)
		default_generator = generator;
	return generator;
}

/* The generator that is meant where none is named. */
FlakeGenerator *
flake_default_generator(void)
{
	if (likely(default_generator != NULL))
		return default_generator;
	return flake_generator(FLAKE_DEFAULT_GENERATOR,
						   strlen(FLAKE_DEFAULT_GENERATOR));
}

/* The layout that functions use which are given none. */
const FlakeLayout *
flake_default_layout(void)
{
	return &flake_default_generator()->layout;
}

/*
 * The same generator after a look at what others have committed since.  A
 * statement that locks no relation would not notice by itself, in a
 * transaction that stays open.  Error if it does not exist any more (42704).
 */
FlakeGenerator *
flake_generator_again(FlakeGenerator *generator)
{
	AcceptInvalidationMessages();
	if (generator->valid)
		return generator;
	return flake_generator(generator->name, generator->name_length);
}

/*
 * The session that makes a generator's ids.  Error on a standby.
 */
FlakeSession *
flake_generator_session(FlakeGenerator *generator, const char *function)
{
	if (generator->session == NULL)
	{
		flake_refuse_on_standby(function);
		generator->session = flake_session_for(&generator->layout);
	}
	return generator->session;
}
