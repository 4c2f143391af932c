/*
 * settings.c
 *		flake's settings, and whether this process has the server's values.
 *
 * Settings are for the whole server: they can be set only in the configuration
 * file or by ALTER SYSTEM, and take effect after a reload.
 *
 * If the library is not preloaded, they can also be set by connection options or
 * ALTER DATABASE before the library is there to refuse that.  When it is loaded,
 * the server discards such a value with a warning, but does not go back to the
 * value from the file: the session has the default, and so perhaps the node id of
 * another server.  Such a session must not make ids.  The same happens if the
 * library is loaded during a parallel operation by a minor release that does not
 * have GUC_ALLOW_IN_PARALLEL.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/xact.h"

#include "server/compat.h"
#include "server/settings.h"

/*
 * flake.node_id: the node id, or what it is derived from.  A string, which node.c
 * evaluates when it is used: an integer setting with a wrong value in the file
 * would be replaced by its default with no more than a line in the log.
 */
char	   *flake_setting_node_id = NULL;

/*
 * flake.max_clock_lead: how far ids may be ahead of the clock, in milliseconds.
 */
int			flake_setting_max_clock_lead = 5000;

/*
 * flake.max_clock_jump: how far the clock may jump forward between two moves of
 * the mark, in seconds; 0 allows any jump.
 */
int			flake_setting_max_clock_jump = 86400;

/*
 * flake.registry and flake.registry_2: the databases that lease node ids, as
 * connection strings.
 */
char	   *flake_setting_registry[FLAKE_REGISTRIES] = {NULL, NULL};

/* flake.lease_time: the length of a lease to ask for, in seconds. */
int			flake_setting_lease_time = 3600;

static const char *const setting_names[] = {
	FLAKE_NODE_ID, FLAKE_MAX_CLOCK_LEAD, FLAKE_MAX_CLOCK_JUMP, FLAKE_REGISTRY,
	FLAKE_REGISTRY_2, FLAKE_LEASE_TIME
};

/* Which of them had a value before the library was loaded */
static bool had_value[lengthof(setting_names)];

/* The setting whose value from the file this session does not have, or NULL */
static const char *lost_setting = NULL;

/* Was it lost because of a parallel operation? */
static bool lost_in_parallel = false;

/* Called before the settings are defined. */
void
flake_settings_before_load(void)
{
	for (size_t i = 0; i < lengthof(setting_names); i++)
	{
		struct config_generic *setting = flake_find_setting(setting_names[i]);

		if (setting == NULL || (setting->flags & GUC_CUSTOM_PLACEHOLDER) == 0)
			continue;
		had_value[i] = setting->reset_source != PGC_S_DEFAULT;
		/* has the value from the file been overridden? */
		if (lost_setting == NULL && setting->reset_source >= PGC_S_GLOBAL)
			lost_setting = setting_names[i];
	}
}

/* Called after the settings are defined. */
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
 * An error if this session does not have the server's settings, or NULL.
 */
const FlakeError *
flake_settings_error(void)
{
	if (lost_setting == NULL)
		return NULL;
	if (lost_in_parallel)
		return flake_error(ERRCODE_CONFIG_FILE_ERROR,
						   psprintf("value of \"%s\" was lost in a parallel operation",
									lost_setting),
						   "The library was loaded during a parallel operation, so this session does not have the server's value.",
						   "Connect again, and add \"flake\" to \"session_preload_libraries\" or \"shared_preload_libraries\".");
	return flake_error(ERRCODE_CONFIG_FILE_ERROR,
					   psprintf("\"%s\" cannot be set for a session, a role or a database",
								lost_setting),
					   "It was set before the library was loaded, so this session does not have the server's value.",
					   "Remove it from the connection's options and from ALTER DATABASE and ALTER ROLE, and connect again.");
}

void
flake_check_settings(void)
{
	const FlakeError *error = flake_settings_error();

	if (error != NULL)
		flake_raise(error);
}

/* The name of the setting for a registry, which are numbered from 0. */
const char *
flake_registry_name(int registry)
{
	return registry == 0 ? FLAKE_REGISTRY : FLAKE_REGISTRY_2;
}

/* Is this a keyword of libpq whose value is a secret? */
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
 * Why a connection string is refused, or NULL.  Only the keywords are checked
 * here, since libpq will parse it later, in another process.  URIs are not
 * allowed, so that no secret is overlooked.
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
			return "It must not contain a password or another secret, because others can read it.  Use the password file of the server's user, or a certificate.";
		at++;
		at += strspn(at, " \t\n\r\f\v");

		/* skip the value; a backslash escapes the next character */
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
