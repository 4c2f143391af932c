/*
 * settings.c
 *		flake's settings, and whether this process has the server's.
 *
 * Settings are for the whole server: they can be set in the configuration
 * file or by ALTER SYSTEM only, and take effect with a reload.
 *
 * Where the library is not preloaded, a client's connection options or ALTER
 * DATABASE can name one of them before the library is there to refuse.  The
 * server then refuses when the library is loaded, with a warning, but the
 * value from the file is lost to that session: it would have the default, and
 * with it another node id.  So such a session makes no ids.  The same where the
 * library is loaded within a parallel operation by a server that then gives no
 * setting its value from the file.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/xact.h"

#include "server/compat.h"
#include "server/settings.h"

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

/*
 * flake.registry and flake.registry_2: the databases that lease node ids, as
 * connection strings.
 */
char	   *flake_setting_registry[FLAKE_REGISTRIES] = {NULL, NULL};

/* flake.lease_time: how long a lease is asked for, in seconds. */
int			flake_setting_lease_time = 3600;

static const char *const setting_names[] = {
	FLAKE_NODE_ID, FLAKE_MAX_CLOCK_LEAD, FLAKE_MAX_CLOCK_JUMP, FLAKE_REGISTRY,
	FLAKE_REGISTRY_2, FLAKE_LEASE_TIME
};

/* Which of them had a value before the library was loaded. */
static bool had_value[lengthof(setting_names)];

/* The setting whose value from the file this session has lost, or NULL. */
static const char *lost_setting = NULL;

/* Was it lost to a parallel operation? */
static bool lost_in_parallel = false;

/* To be called before the settings are defined. */
void
flake_settings_before_load(void)
{
	for (size_t i = 0; i < lengthof(setting_names); i++)
	{
		struct config_generic *setting = flake_find_setting(setting_names[i]);

		if (setting == NULL || (setting->flags & GUC_CUSTOM_PLACEHOLDER) == 0)
			continue;
		had_value[i] = setting->reset_source != PGC_S_DEFAULT;
		/* is there something in place of the value from the file? */
		if (lost_setting == NULL && setting->reset_source >= PGC_S_GLOBAL)
			lost_setting = setting_names[i];
	}
}

/* To be called after they are defined. */
void
flake_settings_after_load(void)
{
	for (size_t i = 0; i < lengthof(setting_names); i++)
	{
		if (lost_setting == NULL && had_value[i] && IsInParallelMode() &&
			flake_find_setting(setting_names[i])->reset_source == PGC_S_DEFAULT)
		{
			lost_setting = setting_names[i];
			lost_in_parallel = true;
		}
	}
}

/*
 * Why the settings of this session are not the server's, NULL if they are.
 */
const FlakeError *
flake_settings_error(void)
{
	if (lost_setting == NULL)
		return NULL;
	if (lost_in_parallel)
		return flake_error(ERRCODE_CONFIG_FILE_ERROR,
						   psprintf("\"%s\" was lost in a parallel operation",
									lost_setting),
						   "The library was loaded while a parallel operation was going on, so this session does not have the server's value.",
						   "Connect again, and add \"flake\" to \"session_preload_libraries\" or \"shared_preload_libraries\".");
	return flake_error(ERRCODE_CONFIG_FILE_ERROR,
					   psprintf("\"%s\" cannot be set for a session, a role or a database",
								lost_setting),
					   "It was, before the library was loaded, so this session does not have the server's value.",
					   "Remove it from the connection's options and from ALTER DATABASE and ALTER ROLE, and connect again.");
}

void
flake_check_settings(void)
{
	const FlakeError *error = flake_settings_error();

	if (error != NULL)
		flake_raise(error);
}

/* The setting that names a registry, from 0. */
const char *
flake_registry_name(int registry)
{
	return registry == 0 ? FLAKE_REGISTRY : FLAKE_REGISTRY_2;
}

/* Is that a keyword of libpq whose value is a secret? */
static bool
is_secret(const char *keyword, size_t length)
{
	static const char *const secrets[] = {
		"password", "sslpassword", "scram_client_key", "scram_server_key",
		"oauth_client_secret"
	};

	for (size_t i = 0; i < lengthof(secrets); i++)
	{
		if (length == strlen(secrets[i]) &&
			memcmp(keyword, secrets[i], length) == 0)
			return true;
	}
	return false;
}

/*
 * Why a connection string is not accepted, NULL if it is.  Only the keywords are
 * looked at: libpq reads it when it is used, in another process.  So the form
 * is the plain one, in which a secret can't hide from us.
 */
const char *
flake_registry_problem(const char *conninfo)
{
	const char *at = conninfo;

	for (;;)
	{
		const char *keyword;
		size_t		length;

		at += strspn(at, " \t\n\r\f\v");
		if (*at == '\0')
			return NULL;
		keyword = at;
		length = strcspn(at, "= \t\n\r\f\v");
		at += length;
		at += strspn(at, " \t\n\r\f\v");
		if (*at != '=' || memchr(keyword, '/', length) != NULL)
			return "It must consist of pairs such as \"host=ids1 dbname=ids user=ids\".";
		if (is_secret(keyword, length))
			return "A password or other secret does not belong in it, where others can read it.  Put it in the password file of the server's user, or use a certificate.";
		at++;
		at += strspn(at, " \t\n\r\f\v");

		/* the value, with backslashes before what has a meaning */
		if (*at == '\'')
		{
			for (at++; *at != '\'' && *at != '\0'; at++)
			{
				if (*at == '\\' && at[1] != '\0')
					at++;
			}
			if (*at == '\0')
				return "A quoted value in it has no end.";
			at++;
		}
		else
		{
			for (; *at != '\0' && !isspace((unsigned char) *at); at++)
			{
				if (*at == '\\' && at[1] != '\0')
					at++;
			}
		}
	}
}
