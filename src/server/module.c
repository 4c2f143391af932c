/*
 * module.c
 *		Loading the library: settings and callbacks.
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

/* A reload assigns every setting, so check whether the value has changed. */
static void
assign_node_id(const char *value, void *extra)
{
	/*
	 * In a parallel worker, which makes no ids, the old value can have been
	 * freed already.
	 */
	if (IsParallelWorker())
		return;
	if (flake_setting_node_id == NULL || strcmp(value, flake_setting_node_id) != 0)
		flake_node_changed();
}

/* A range depends on the lead that was allowed when it was taken. */
static void
assign_max_clock_lead(int value, void *extra)
{
	if (value != flake_setting_max_clock_lead)
		flake_sessions_forget_ranges();
}

/* The message must not show the value, which can contain a secret. */
static bool
check_registry(char **value, void **extra, GucSource source)
{
	const char *problem = flake_registry_problem(*value);

	if (problem == NULL)
		return true;
	GUC_check_errmsg("invalid connection string for a registry of node ids");
	GUC_check_errdetail("%s", problem);
	return false;
}

/*
 * One callback for both, because a process can have only ten relcache callbacks,
 * of which Citus alone takes five.
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
							   "Can be a number, a pattern for the host name such as \"db-#\", an IPv4 network such as \"10.1.2.0/24\", \"citus\" for the group in a Citus cluster, or \"lease\".  A pattern, a network and \"citus\" can have an offset, as in \"db-#+100\".  If empty, the node id is the group on a Citus cluster with workers, and a hash of the system identifier on other servers.",
							   &flake_setting_node_id,
							   "",
							   PGC_SIGHUP,
							   FLAKE_ALLOW_IN_PARALLEL,
							   NULL,
							   assign_node_id,
							   NULL);
	DefineCustomIntVariable(FLAKE_MAX_CLOCK_LEAD,
							"Sets how far ids may be ahead of the clock.",
							"Two ticks of the layout are always allowed.",
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
							"Zero turns this check off.",
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
							   "A connection string without a password.  Used only if \"flake.node_id\" is \"lease\".",
							   &flake_setting_registry[0],
							   "",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY | FLAKE_ALLOW_IN_PARALLEL,
							   check_registry,
							   NULL,
							   NULL);
	DefineCustomStringVariable(FLAKE_REGISTRY_2,
							   "Sets a second database that leases node ids to this server.",
							   "Its node ids must differ from those of \"flake.registry\".  The server needs a lease from one of them.",
							   &flake_setting_registry[1],
							   "",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY | FLAKE_ALLOW_IN_PARALLEL,
							   check_registry,
							   NULL,
							   NULL);
	DefineCustomIntVariable(FLAKE_LEASE_TIME,
							"Sets for how long a node id is leased.",
							"Ids can be made for this long while no registry answers.  The first lease after a start is shorter.",
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
