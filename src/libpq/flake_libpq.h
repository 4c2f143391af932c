/*
 * flake_libpq.h
 *		The lease worker's interface to libpq.
 *
 * A library of its own, flake_libpq, is linked with libpq, and only the worker
 * loads it.  So sessions that make ids do without libpq.
 */
#ifndef FLAKE_LIBPQ_H
#define FLAKE_LIBPQ_H

/* The library, and the function in it that returns the table. */
#define FLAKE_LIBPQ_LIBRARY		"flake_libpq"
#define FLAKE_LIBPQ_FUNCTION	"flake_libpq_functions"

/* The greatest number of columns in an answer. */
#define FLAKE_REPLY_COLUMNS		4

/* How a connection or a request has ended. */
typedef enum FlakeReplyKind
{
	FLAKE_REPLY_GRANTED,		/* done, and committed */
	FLAKE_REPLY_REFUSED,		/* by the server, with an SQLSTATE */
	FLAKE_REPLY_STOPPED,		/* the caller asked for that */
	FLAKE_REPLY_NOT_CONNECTED,
	FLAKE_REPLY_NO_ANSWER,		/* before the deadline */
	FLAKE_REPLY_LOST,			/* the connection was lost */
	FLAKE_REPLY_INSECURE,		/* SSL or a certificate was refused */
	FLAKE_REPLY_NO_PASSWORD,	/* it is needed, and was not found */
	FLAKE_REPLY_BAD_SETTING,	/* the connection string is not accepted */
} FlakeReplyKind;

/* Texts are allocated in the current memory context. */
typedef struct FlakeReply
{
	FlakeReplyKind kind;
	char		sqlstate[6];	/* empty: none */
	bool		by_statement;	/* a statement was refused, not the connection */
	const char *message;		/* from the server or from libpq */
	const char *detail;			/* of a statement's error, or NULL */
	const char *value[FLAKE_REPLY_COLUMNS]; /* of the one row; NULL: null */
} FlakeReply;

/* How long to wait, and how. */
typedef struct FlakePatience
{
	int64		deadline_us;	/* on the monotonic clock */
	bool		(*stop) (void); /* stop waiting?  NULL: never */
	uint32		event;			/* wait event */
} FlakePatience;

/* Where a connection went. */
typedef struct FlakeAddress
{
	char		host[256];		/* as in the connection string */
	char		hostaddr[64];	/* empty: unknown, or a Unix-domain socket */
	char		port[8];
} FlakeAddress;

/*
 * Whatever a registry or a network does, no function raises an error, and none
 * waits longer than it is told to, except for the look-up of a host name.
 */
typedef struct FlakeLibpq
{
	/*
	 * If this returns NULL, the reply says why.  If the address is known, it
	 * is used and no host name is looked up; otherwise it is filled in.
	 */
	void	   *(*connect) (const char *conninfo, FlakeAddress *address,
							const FlakePatience *patience, FlakeReply *reply);

	/*
	 * Runs a statement that returns one row, as a transaction of its own.
	 * Unless it is granted or refused, the connection must then be closed.
	 */
	bool		(*ask) (void *connection, const char *statement, int nparams,
						const char *const *params,
						const FlakePatience *patience, FlakeReply *reply);
	void		(*close) (void *connection);
} FlakeLibpq;

typedef const FlakeLibpq *(*FlakeLibpqFunctions) (void);

#endif							/* FLAKE_LIBPQ_H */
