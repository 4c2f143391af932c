/*
 * registry_table.c
 *		The tables of a registry of node ids: running statements on them, and
 *		the row that says which server the registry is on.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "core/env.h"
#include "sql/registry_table.h"

/* Is one of these statements running? */
static bool writing = false;

/* Runs a statement without NULL parameters, and returns the number of rows. */
uint64
registry_run(Statement *statement, Datum *values)
{
	/* a superuser's trigger on another statement can have called us */
	bool		outer = writing;
	volatile int result = 0;

	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->text, statement->nparameters,
									   statement->types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", statement->text,
				 SPI_result_code_string(SPI_result));
		statement->plan = plan;
	}

	writing = true;
	PG_TRY();
	{
		result = SPI_execute_plan(statement->plan, values, NULL, false, 0);
	}
	PG_FINALLY();
	{
		writing = outer;
	}
	PG_END_TRY();
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->text,
			 SPI_result_code_string(result));
	return SPI_processed;
}

bool
registry_is_writing(void)
{
	return writing;
}

/* A column, from 1, of the first row that a statement returned. */
Datum
registry_column(int number, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number,
						 isnull);
}

/* The same as a bigint; 0 if it is NULL. */
int64
registry_int64(int number)
{
	bool		isnull;
	Datum		value = registry_column(number, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* In microseconds.  The table's constraints keep intervals short. */
static int64
interval_column(int number)
{
	bool		isnull;
	const Interval *interval = DatumGetIntervalP(registry_column(number, &isnull));

	return interval->time +
		(interval->day + (int64) interval->month * DAYS_PER_MONTH) * USECS_PER_DAY;
}

/*
 * When a file was created, in microseconds since 1970; 0 if the system or the
 * file system does not record that.
 */
static int64
born_us(const char *path)
{
#ifdef STATX_BTIME
	struct statx file;

	if (statx(AT_FDCWD, path, 0, STATX_BTIME, &file) == 0 &&
		(file.stx_mask & STATX_BTIME) != 0)
		return file.stx_btime.tv_sec * USECS_PER_SEC + file.stx_btime.tv_nsec / 1000;
#endif
	return 0;
}

/*
 * The inode number alone is not enough: a copy can get the number of a file
 * that was removed before.
 */
static Identity
current_identity(void)
{
	struct stat control;
	Identity	identity;

	if (stat(XLOG_CONTROL_FILE, &control) != 0)
		ereport(ERROR,
				errcode_for_file_access(),
				errmsg("could not stat file \"%s\": %m", XLOG_CONTROL_FILE));
	identity.system_identifier = (int64) GetSystemIdentifier();
	identity.timeline = GetWALInsertionTimeLine();
	identity.database = MyDatabaseId;
	identity.control_inode = (int64) control.st_ino;
	identity.control_born_us = born_us(XLOG_CONTROL_FILE);
	return identity;
}

/* Fills in the first parameters of a statement, and returns their number. */
int
registry_identity_parameters(Datum *values)
{
	Identity	identity = current_identity();

	values[0] = Int64GetDatum(identity.system_identifier);
	values[1] = Int64GetDatum(identity.timeline);
	values[2] = ObjectIdGetDatum(identity.database);
	values[3] = Int64GetDatum(identity.control_inode);
	values[4] = Int64GetDatum(identity.control_born_us);
	return 5;
}

/* Reads the registry's row; false if there is none. */
bool
registry_read(Registry *registry)
{
	/*
	 * no operators or functions, as reports run it with the caller's
	 * search_path
	 */
	static Statement read = {
		"SELECT max_lease, max_clock_offset, grace, gap, fsync_off, claims_from,"
		" system_identifier, timeline, database, control_inode, control_born"
		" FROM flake.node_registry",
		0, {InvalidOid}, NULL
	};
	bool		isnull;

	registry->clock_us = flake_clock_us();
	if (registry_run(&read, NULL) == 0)
		return false;
	registry->max_lease_us = interval_column(1);
	registry->max_clock_offset_us = interval_column(2);
	registry->grace_us = interval_column(3);
	registry->gap_us = interval_column(4);
	registry->fsync_off = DatumGetBool(registry_column(5, &isnull));
	registry->claims_from_us = registry_int64(6);
	registry->identity.system_identifier = registry_int64(7);
	registry->identity.timeline = registry_int64(8);
	registry->identity.database = DatumGetObjectId(registry_column(9, &isnull));
	registry->has_identity = !isnull;
	registry->identity.control_inode = registry_int64(10);
	registry->identity.control_born_us = registry_int64(11);
	return true;
}

/*
 * How it differs from the registry that was set up or accepted; NULL: it does
 * not.
 */
static const char *
difference(const Registry *registry)
{
	const Identity *then = &registry->identity;
	Identity	now = current_identity();

	if (!registry->has_identity)
		return "It was restored from a dump, or inserted by hand.";
	if (then->system_identifier != now.system_identifier)
		return psprintf("The system identifier is " UINT64_FORMAT ", and was " UINT64_FORMAT ".",
						(uint64) now.system_identifier,
						(uint64) then->system_identifier);
	if (then->timeline != now.timeline)
		return psprintf("The timeline is " INT64_FORMAT ", and was " INT64_FORMAT ".",
						now.timeline, then->timeline);
	if (then->database != now.database)
		return psprintf("The database's OID is %u, and was %u.",
						now.database, then->database);
	if (then->control_inode != now.control_inode ||
		then->control_born_us != now.control_born_us)
		return psprintf("The file \"%s\" was replaced, as by a copy of the data directory.",
						XLOG_CONTROL_FILE);
	return NULL;
}

/* Why the registry refuses everything; NULL if it does not. */
const FlakeError *
registry_refusal(const Registry *registry)
{
	const char *found = difference(registry);

	if (found == NULL)
		return NULL;
	return flake_error(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					   "registry of node ids is not accepted on this server",
					   psprintf("%s  Leases that it granted elsewhere may be missing here.",
								found),
					   "If the original will never answer again, a superuser can call flake_accept_registry().");
}

/* Why it refuses holders; NULL if it does not. */
const FlakeError *
registry_refusal_to_holders(const Registry *registry)
{
	const FlakeError *error = registry_refusal(registry);

	if (error == NULL && !enableFsync && !registry->fsync_off)
		return flake_error(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						   "registry of node ids does not answer while fsync is off",
						   "After a crash of the machine it could grant leases again.",
						   "Set fsync to on.");
	return error;
}
