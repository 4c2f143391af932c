/*
 * flake.c
 *		The module: what happens when the server loads it, and its settings.
 *
 * Settings are for the whole server: they can be set in the configuration
 * file or by ALTER SYSTEM only, and take effect with a reload.
 *
 * Where the library is not preloaded, a client's connection options or ALTER
 * DATABASE can name one of them before the library is there to refuse.  The
 * server then refuses when the library is loaded, with a warning, but the
 * value from the file is lost to that session: it would have the default, and
 * with it another node id.  So such a session makes no ids.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"

#include "server/compat.h"
#include "sql/generator.h"
#include "server/durable.h"
#include "server/node.h"
#include "server/backend.h"
#include "server/settings.h"
#include "server/shmem.h"

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

/* Names of the settings, as in the file. */
#define NODE_ID			"flake.node_id"
#define MAX_CLOCK_LEAD	"flake.max_clock_lead"
#define MAX_CLOCK_JUMP	"flake.max_clock_jump"

/* The setting whose value from the file this session has lost, or NULL. */
static const char *lost_setting = NULL;

/* Is there something in place of the value from the file? */
static bool
is_lost(const char *name)
{
	struct config_generic *setting = flake_find_setting(name);

	return setting != NULL && (setting->flags & GUC_CUSTOM_PLACEHOLDER) != 0 &&
		setting->reset_source >= PGC_S_GLOBAL;
}

/*
 * Error if the settings of this session are not the server's.
 */
void
flake_check_settings(void)
{
	if (lost_setting != NULL)
		ereport(ERROR,
				errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("\"%s\" cannot be set for a session, a role or a database",
					   lost_setting),
				errdetail("It was, before the library was loaded, so this session does not have the server's value."),
				errhint("Remove it from the connection's options and from ALTER DATABASE and ALTER ROLE, and connect again."));
}

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
	if (is_lost(NODE_ID))
		lost_setting = NODE_ID;
	else if (is_lost(MAX_CLOCK_LEAD))
		lost_setting = MAX_CLOCK_LEAD;
	else if (is_lost(MAX_CLOCK_JUMP))
		lost_setting = MAX_CLOCK_JUMP;

	DefineCustomStringVariable(NODE_ID,
							   "Sets the node id of this server.",
							   "A number, \"hostname\" or \"address\", the latter two with an optional offset as in \"hostname+100\".  Empty: a hash of the cluster's system identifier.",
							   &flake_setting_node_id,
							   "",
							   PGC_SIGHUP,
							   0,
							   NULL,
							   assign_node_id,
							   NULL);
	DefineCustomIntVariable(MAX_CLOCK_LEAD,
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
	DefineCustomIntVariable(MAX_CLOCK_JUMP,
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
