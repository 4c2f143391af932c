/*
 * module.c
 *		What happens when the server loads the library.
 */
#include "postgres.h"

#include <limits.h>

#include "access/parallel.h"
#include "miscadmin.h"
#include "utils/inval.h"

#include "core/session.h"
#include "server/compat.h"
#include "server/durable.h"
#include "server/node.h"
#include "server/settings.h"
#include "server/shmem.h"

FLAKE_MODULE_MAGIC("flake", FLAKE_VERSION);

void		_PG_init(void);

/* A reload assigns every setting; only another value counts. */
static void
assign_node_id(const char *value, void *extra)
{
	/*
	 * A parallel worker has freed its old value when it takes the leader's.
	 * It makes no ids.
	 */
	if (IsParallelWorker())
		return;
	if (flake_setting_node_id == NULL || strcmp(value, flake_setting_node_id) != 0)
		flake_node_changed();
}

/* A range remembers the lead that it may have. */
static void
assign_max_clock_lead(int value, void *extra)
{
	if (value != flake_setting_max_clock_lead)
		flake_sessions_forget_ranges();
}

/* The message does not repeat what may be a secret. */
static bool
check_registry(char **value, void **extra, GucSource source)
{
	const char *problem = flake_registry_problem(*value);

	if (problem == NULL)
		return true;
	GUC_check_errmsg("connection string of a registry of node ids is not accepted");
	GUC_check_errdetail("%s", problem);
	return false;
}

/*
 * One callback for both: a server has ten places for callbacks of this kind in
 * a process, and other extensions need them as well.  (Citus takes five.)
 */
static void
relation_changed(Datum arg, Oid relid)
{
	flake_durable_relation_changed(relid);
	flake_node_relation_changed(relid);
}

void
_PG_init(void)
{
	flake_settings_before_load();
	DefineCustomStringVariable(FLAKE_NODE_ID,
							   "Sets the node id of this server.",
							   "A number, a pattern for the host name such as \"db-#\", an IPv4 network such as \"10.1.2.0/24\", or \"citus\" for the group in a Citus cluster, the latter three with an optional offset as in \"db-#+100\"; or \"lease\".  Empty: that group on a node of a Citus cluster with workers, else a hash of the server's system identifier.",
							   &flake_setting_node_id,
							   "",
							   PGC_SIGHUP,
							   FLAKE_ALLOW_IN_PARALLEL,
							   NULL,
							   assign_node_id,
							   NULL);
	DefineCustomIntVariable(FLAKE_MAX_CLOCK_LEAD,
							"Sets how far ids may be ahead of the clock.",
							"Values below two ticks of a layout count as two ticks.",
							&flake_setting_max_clock_lead,
							5000,
							0,
							INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_MS | FLAKE_ALLOW_IN_PARALLEL,
							NULL,
							assign_max_clock_lead,
							NULL);
	DefineCustomIntVariable(FLAKE_MAX_CLOCK_JUMP,
							"Sets how far the clock may jump forward before ids are refused.",
							"Zero turns the check off.",
							&flake_setting_max_clock_jump,
							86400,
							0,
							INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_S | FLAKE_ALLOW_IN_PARALLEL,
							NULL,
							NULL,
							NULL);
	DefineCustomStringVariable(FLAKE_REGISTRY,
							   "Sets the database that leases node ids to this server.",
							   "A connection string without a password, used where \"flake.node_id\" is \"lease\".",
							   &flake_setting_registry[0],
							   "",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY | FLAKE_ALLOW_IN_PARALLEL,
							   check_registry,
							   NULL,
							   NULL);
	DefineCustomStringVariable(FLAKE_REGISTRY_2,
							   "Sets a second database that leases node ids to this server.",
							   "It has other node ids than the first one, and any of them will do.",
							   &flake_setting_registry[1],
							   "",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY | FLAKE_ALLOW_IN_PARALLEL,
							   check_registry,
							   NULL,
							   NULL);
	DefineCustomIntVariable(FLAKE_LEASE_TIME,
							"Sets for how long a node id is leased.",
							"For so long ids can be made while no registry answers.  The first lease after a start is shorter.",
							&flake_setting_lease_time,
							3600,
							30,
							86400,
							PGC_SIGHUP,
							GUC_UNIT_S | FLAKE_ALLOW_IN_PARALLEL,
							NULL,
							NULL,
							NULL);
	MarkGUCPrefixReserved("flake");
	flake_settings_after_load();

	if (process_shared_preload_libraries_in_progress)
		flake_shmem_request();
	flake_node_init();
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
}
