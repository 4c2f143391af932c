/*
 * registry_table.h
 *		Shared by the functions of a registry of node ids: statements on its
 *		tables, and whether the registry answers.
 */
#ifndef FLAKE_SQL_REGISTRY_TABLE_H
#define FLAKE_SQL_REGISTRY_TABLE_H

#include "executor/spi.h"
#include "storage/lockdefs.h"

#include "server/error.h"

#define REGISTRY_MAX_PARAMETERS 6

/*
 * A statement on the tables.  It is run as the owner of the extension, a
 * superuser, and with pg_catalog as search_path.
 */
typedef struct Statement
{
	const char *text;
	int			nparameters;
	Oid			types[REGISTRY_MAX_PARAMETERS];
	SPIPlanPtr	plan;			/* NULL before the first run */
} Statement;

/* What distinguishes a registry from a copy of it. */
typedef struct Identity
{
	int64		system_identifier;
	int64		timeline;
	Oid			database;
	/* of global/pg_control, which is replaced only by copying it */
	int64		control_inode;
	int64		control_born_us;	/* when it was created; 0: not known */
} Identity;

/* The row of flake.node_registry. */
typedef struct Registry
{
	int64		max_lease_us;
	int64		max_clock_offset_us;
	int64		grace_us;
	int64		gap_us;
	bool		fsync_off;
	int64		claims_from_us;
	bool		has_identity;
	Identity	identity;
	int64		clock_us;		/* this server's clock when the row was read */
} Registry;

extern uint64 registry_run(Statement *statement, Datum *values);
extern bool registry_is_writing(void);
extern Datum registry_column(int number, bool *isnull);
extern int64 registry_int64(int number);

extern int	registry_identity_parameters(Datum *values);
extern bool registry_read(Registry *registry);
extern const FlakeError *registry_refusal(const Registry *registry);
extern const FlakeError *registry_refusal_to_holders(const Registry *registry);

#endif							/* FLAKE_SQL_REGISTRY_TABLE_H */
