/*
 * flake_libpq.c
 *		The library that talks to a registry of node ids through libpq.
 *
 * A grant counts only if it is complete: there is one row and no warning, and
 * the session is idle again.  The completion of the command alone does not
 * mean that it was committed, and after a warning the commit may not have
 * been replicated as the registry requires.
 */
#include "postgres.h"

#include <limits.h>

#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"

#include "core/env.h"
#include "libpq/flake_libpq.h"
#include "server/compat.h"

FLAKE_MODULE_MAGIC("flake_libpq", FLAKE_VERSION);

extern PGDLLEXPORT const FlakeLibpq *flake_libpq_functions(void);

/* Options of every connection, and whether they override the user's. */
static const struct
{
	const char *name;
	const char *value;
	bool		overrides;
}			options[] = {
	{"application_name", "flake lease", true},
	{"keepalives", "1", false},
	{"keepalives_idle", "5", false},
	{"keepalives_interval", "2", false},
	{"keepalives_count", "3", false},
	/* leave time for the next address if one swallows packets */
	{"tcp_user_timeout", "2000", false},
};

/* libpq has fewer. */
#define MAX_KEYWORDS 96

/* The first warning on the current connection. */
static char warning[256];

static void
notice_received(void *arg, const PGresult *result)
{
	const char *severity = PQresultErrorField(result,
											  PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (severity != NULL && strcmp(severity, "WARNING") == 0 && warning[0] == '\0')
		strlcpy(warning, message != NULL ? message : severity, sizeof(warning));
}

/* Keeps OpenSSL from asking for a passphrase on a terminal. */
static int
no_passphrase(char *buffer, int size, PGconn *connection)
{
	return 0;
}

static void
set_reply(FlakeReply *reply, FlakeReplyKind kind, const char *message)
{
	memset(reply, 0, sizeof(*reply));
	reply->kind = kind;
	reply->message = pstrdup(message);
}

/*
 * Waits until the socket is ready.  If libpq were called before that, it
 * would wait by itself, for minutes, and no stop would interrupt it.  False:
 * the deadline has passed, or the caller wants to stop.
 */
static bool
wait_for(PGconn *connection, int events, const FlakePatience *patience,
		 FlakeReply *reply, FlakeReplyKind too_late)
{
	int			happened;

	do
	{
		int64		rest_us = patience->deadline_us - flake_monotonic_us();

		if (rest_us <= 0)
		{
			set_reply(reply, too_late, "timeout expired");
			return false;
		}
		happened = WaitLatchOrSocket(MyLatch,
									 events | WL_LATCH_SET | WL_TIMEOUT |
									 WL_EXIT_ON_PM_DEATH,
									 PQsocket(connection),
									 (long) (rest_us / 1000 + 1),
									 patience->event);
		if (happened & WL_LATCH_SET)
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (patience->stop != NULL && patience->stop())
		{
			set_reply(reply, FLAKE_REPLY_STOPPED, "stopped");
			return false;
		}
	} while (!(happened & events));
	return true;
}

/*----------
 * Connecting
 *----------
 */

/*
 * Finds the SQLSTATE in the verbose message of a server that refuses a
 * connection, which is "FATAL:  28P01: ..." in any language.  If several
 * hosts have refused, the last one counts.
 */
static void
find_sqlstate(const char *message, char *sqlstate)
{
	const char *colon = message;

	while ((colon = strstr(colon, ":  ")) != NULL)
	{
		colon += 3;
		if (strspn(colon, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
			colon[5] == ':')
			strlcpy(sqlstate, colon, 6);
	}
}

/*
 * Splits the connection string into keywords and values, and adds the options
 * and the address.  False: libpq does not accept it, or it contains a secret.
 */
static bool
read_conninfo(const char *conninfo, const FlakeAddress *address,
			  PQconninfoOption **parsed, const char **keywords,
			  const char **values, FlakeReply *reply)
{
	char	   *error = NULL;
	int			n = 0;

	*parsed = PQconninfoParse(conninfo, &error);
	if (*parsed == NULL)
	{
		set_reply(reply, FLAKE_REPLY_BAD_SETTING,
				  error != NULL ? error : "out of memory");
		PQfreemem(error);
		return false;
	}
	for (PQconninfoOption *option = *parsed; option->keyword != NULL; option++)
	{
		if (option->val == NULL || n + lengthof(options) + 4 >= MAX_KEYWORDS)
			continue;
		/* libpq marks secrets so */
		if (option->dispchar[0] == '*')
		{
			set_reply(reply, FLAKE_REPLY_BAD_SETTING,
					  "connection string contains a secret");
			return false;
		}
		keywords[n] = option->keyword;
		values[n++] = option->val;
	}

	/* if a keyword is given twice, libpq uses the last one */
	for (size_t i = 0; i < lengthof(options); i++)
	{
		bool		given = false;

		for (int j = 0; j < n; j++)
			given |= strcmp(keywords[j], options[i].name) == 0;
		if (given && !options[i].overrides)
			continue;
		keywords[n] = options[i].name;
		values[n++] = options[i].value;
	}
	if (address->hostaddr[0] != '\0')
	{
		keywords[n] = "host";
		values[n++] = address->host;
		keywords[n] = "hostaddr";
		values[n++] = address->hostaddr;
		keywords[n] = "port";
		values[n++] = address->port;
	}
	keywords[n] = values[n] = NULL;
	return true;
}

/* Why connecting has failed; "status" is the last one before that. */
static void
set_why_not(FlakeReply *reply, PGconn *connection, ConnStatusType status)
{
	const char *message = PQerrorMessage(connection);
	char		sqlstate[6] = "";

	find_sqlstate(message, sqlstate);
	if (sqlstate[0] != '\0')
		set_reply(reply, FLAKE_REPLY_REFUSED, message);
	else if (PQconnectionNeedsPassword(connection))
		set_reply(reply, FLAKE_REPLY_NO_PASSWORD, message);
	else if (status == CONNECTION_SSL_STARTUP)
		set_reply(reply, FLAKE_REPLY_INSECURE, message);
	else if (status == CONNECTION_STARTED)
		set_reply(reply, FLAKE_REPLY_NOT_CONNECTED, message);
	else
		set_reply(reply, FLAKE_REPLY_LOST, message);
	strlcpy(reply->sqlstate, sqlstate, sizeof(reply->sqlstate));
}

static void *
flake_connect(const char *conninfo, FlakeAddress *address,
			  const FlakePatience *patience, FlakeReply *reply)
{
	const char *keywords[MAX_KEYWORDS];
	const char *values[MAX_KEYWORDS];
	PQconninfoOption *parsed;
	PGconn	   *connection = NULL;
	PostgresPollingStatusType polling = PGRES_POLLING_WRITING;
	ConnStatusType status = CONNECTION_STARTED;

	if (read_conninfo(conninfo, address, &parsed, keywords, values, reply))
		connection = PQconnectStartParams(keywords, values, 0);
	else
	{
		PQconninfoFree(parsed);
		return NULL;
	}
	PQconninfoFree(parsed);
	if (connection == NULL)
	{
		set_reply(reply, FLAKE_REPLY_NOT_CONNECTED, "out of memory");
		return NULL;
	}
	warning[0] = '\0';
	PQsetSSLKeyPassHook_OpenSSL(no_passphrase);
	PQsetNoticeReceiver(connection, notice_received, NULL);
	/* so that the message of a server that refuses contains the SQLSTATE */
	(void) PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);

	while (PQstatus(connection) != CONNECTION_BAD)
	{
		status = PQstatus(connection);
		if (!wait_for(connection,
					  polling == PGRES_POLLING_READING ? WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE,
					  patience, reply,
					  status == CONNECTION_STARTED ? FLAKE_REPLY_NOT_CONNECTED : FLAKE_REPLY_NO_ANSWER))
		{
			PQfinish(connection);
			return NULL;
		}
		polling = PQconnectPoll(connection);
		if (polling == PGRES_POLLING_OK)
		{
			/* otherwise libpq would wait for a host that stops reading */
			(void) PQsetnonblocking(connection, 1);
			strlcpy(address->host, PQhost(connection), sizeof(address->host));
			strlcpy(address->hostaddr, PQhostaddr(connection),
					sizeof(address->hostaddr));
			strlcpy(address->port, PQport(connection), sizeof(address->port));
			return connection;
		}
		if (polling == PGRES_POLLING_FAILED)
			break;
	}
	set_why_not(reply, connection, status);
	PQfinish(connection);
	return NULL;
}

/*----------
 * Asking
 *----------
 */

/* Turns a result into a reply. */
static void
read_result(const PGresult *result, PGconn *connection, FlakeReply *reply)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);

	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
		PQnfields(result) <= FLAKE_REPLY_COLUMNS)
	{
		set_reply(reply, FLAKE_REPLY_GRANTED, "");
		for (int i = 0; i < PQnfields(result); i++)
			reply->value[i] = PQgetisnull(result, 0, i) ? NULL :
				pstrdup(PQgetvalue(result, 0, i));
	}
	else if (sqlstate != NULL)
	{
		set_reply(reply, FLAKE_REPLY_REFUSED, message != NULL ? message : "");
		strlcpy(reply->sqlstate, sqlstate, sizeof(reply->sqlstate));
		reply->by_statement = true;
		reply->detail = detail != NULL ? pstrdup(detail) : NULL;
	}
	else
		set_reply(reply, FLAKE_REPLY_LOST, PQerrorMessage(connection));
}

/* Sends the statement and reads the whole answer. */
static void
send_and_read(PGconn *connection, const char *statement, int nparams,
			  const char *const *params, const FlakePatience *patience,
			  FlakeReply *reply)
{
	bool		first = true;
	int			unsent;

	warning[0] = '\0';
	if (!PQsendQueryParams(connection, statement, nparams, NULL, params, NULL,
						   NULL, 0))
	{
		set_reply(reply, FLAKE_REPLY_LOST, PQerrorMessage(connection));
		return;
	}
	/* a server that does not read may be waiting for us to read */
	while ((unsent = PQflush(connection)) > 0)
	{
		if (!wait_for(connection, WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE,
					  patience, reply, FLAKE_REPLY_NO_ANSWER))
			return;
		if (!PQconsumeInput(connection))
			break;
	}
	if (unsent != 0)
	{
		set_reply(reply, FLAKE_REPLY_LOST, PQerrorMessage(connection));
		return;
	}
	for (;;)
	{
		PGresult   *result;

		while (PQisBusy(connection))
		{
			if (!wait_for(connection, WL_SOCKET_READABLE, patience, reply,
						  FLAKE_REPLY_NO_ANSWER))
				return;
			if (!PQconsumeInput(connection))
			{
				set_reply(reply, FLAKE_REPLY_LOST, PQerrorMessage(connection));
				return;
			}
		}
		result = PQgetResult(connection);
		if (result == NULL)
			break;
		/* an error may follow the row */
		if (first || reply->kind == FLAKE_REPLY_GRANTED)
			read_result(result, connection, reply);
		first = false;
		if (PQresultStatus(result) == PGRES_COPY_IN ||
			PQresultStatus(result) == PGRES_COPY_OUT ||
			PQresultStatus(result) == PGRES_COPY_BOTH)
		{
			/* no registry does that, and PQgetResult() would never end */
			PQclear(result);
			set_reply(reply, FLAKE_REPLY_LOST, "unexpected COPY");
			return;
		}
		PQclear(result);
	}

	if (first || PQstatus(connection) != CONNECTION_OK ||
		PQtransactionStatus(connection) != PQTRANS_IDLE)
	{
		/* keep the error that has ended the connection */
		if (!first && reply->kind == FLAKE_REPLY_REFUSED)
			reply->kind = FLAKE_REPLY_LOST;
		else
			set_reply(reply, FLAKE_REPLY_LOST, PQerrorMessage(connection));
	}
	else if (reply->kind == FLAKE_REPLY_GRANTED && warning[0] != '\0')
	{
		set_reply(reply, FLAKE_REPLY_REFUSED, warning);
		strcpy(reply->sqlstate, "01000");
		reply->by_statement = true;
	}
}

static bool
flake_ask(void *connection, const char *statement, int nparams,
		  const char *const *params, const FlakePatience *patience,
		  FlakeReply *reply)
{
	send_and_read(connection, statement, nparams, params, patience, reply);
	return reply->kind == FLAKE_REPLY_GRANTED;
}

static void
flake_close(void *connection)
{
	if (connection != NULL)
		PQfinish(connection);
}

const FlakeLibpq *
flake_libpq_functions(void)
{
	static const FlakeLibpq functions = {
		.connect = flake_connect,
		.ask = flake_ask,
		.close = flake_close,
	};

	return &functions;
}
