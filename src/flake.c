/*
 * flake.c
 *		The module: what happens when the server loads it, and its settings.
 *
 * Settings are for the whole server: they can be set in the configuration
 * file or by ALTER SYSTEM only, and take effect with a reload.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"

#include "compat.h"
#include "generator.h"
#include "mark.h"
#include "node.h"
#include "session.h"
#include "settings.h"
#include "shmem.h"

FLAKE_MODULE_MAGIC("flake", FLAKE_VERSION);

/*
 * flake.node_id: which server this is, as a text that node.c reads at its
 * use: a number setting with a wrong value in the file would be replaced by
 * its default with a mere warning.
 */
char	   *flake_setting_node_id = NULL;

/*
 * flake.max_clock_lead: how far, in milliseconds, ids may be ahead of a clock
 * that was set back.
 */
int			flake_setting_max_clock_lead = 5000;

/*
 * flake.max_clock_jump: how far, in seconds, the clock may jump forward
 * between two moves of the mark; 0 allows any.
 */
int			flake_setting_max_clock_jump = 86400;

void		_PG_init(void);

static void
assign_node_id(const char *value, void *extra)
{
	flake_node_changed();
}

static void
assign_max_clock_lead(int value, void *extra)
{
	/* a range remembers the lead it may have */
	flake_sessions_forget_ranges();
}

void
_PG_init(void)
{
	DefineCustomStringVariable("flake.node_id",
							   "Sets the node id of this server.",
							   "A number, \"hostname\" or \"address\", the latter two with an optional offset as in \"hostname+100\".  Empty: a hash of the cluster's system identifier.",
							   &flake_setting_node_id,
							   "",
							   PGC_SIGHUP,
							   0,
							   NULL,
							   assign_node_id,
							   NULL);
	DefineCustomIntVariable("flake.max_clock_lead",
							"Sets how far ids may be ahead of a clock that was set back.",
							"Never less than two ticks of a layout.",
							&flake_setting_max_clock_lead,
							5000,
							0,
							INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL,
							assign_max_clock_lead,
							NULL);
	DefineCustomIntVariable("flake.max_clock_jump",
							"Sets how far the clock may jump forward before ids are refused.",
							"Zero turns the check off.",
							&flake_setting_max_clock_jump,
							86400,
							0,
							INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL,
							NULL,
							NULL);
	MarkGUCPrefixReserved("flake");

	if (process_shared_preload_libraries_in_progress)
		flake_shmem_request();
	flake_node_init();
	flake_mark_init();
	flake_generator_init();
}
