/*
 * flake_libpq.h
 *		What the lease worker asks of libpq.
 *
 * libpq is linked by a library of its own, flake_libpq, which is loaded by the
 * worker only: so no session that makes ids has libpq in it.
 */
#ifndef FLAKE_LIBPQ_H
#define FLAKE_LIBPQ_H

/* The library, and the function in it that returns the table. */
#define FLAKE_LIBPQ_LIBRARY		"flake_libpq"
#define FLAKE_LIBPQ_FUNCTION	"flake_libpq_functions"

/* More columns than that no answer has. */
#define FLAKE_REPLY_COLUMNS		4

/* How a connection or a request has ended. */
typedef enum FlakeReplyKind
{
	FLAKE_REPLY_GRANTED,		/* done, and committed */
	FLAKE_REPLY_REFUSED,		/* by the server, with an SQLSTATE */
	FLAKE_REPLY_STOPPED,		/* the caller wanted no more of it */
	FLAKE_REPLY_NOT_CONNECTED,
	FLAKE_REPLY_NO_ANSWER,		/* in the time that there was */
	FLAKE_REPLY_LOST,			/* the connection */
	FLAKE_REPLY_INSECURE,		/* SSL could not be agreed on */
	FLAKE_REPLY_NO_PASSWORD,	/* there is none to be found */
	FLAKE_REPLY_BAD_SETTING,	/* the connection string can't be read */
} FlakeReplyKind;

/* Texts are allocated in the current memory context. */
typedef struct FlakeReply
{
	FlakeReplyKind kind;
	char		sqlstate[6];	/* empty: none */
	bool		by_statement;	/* it is that of a statement's error */
	const char *message;		/* of the server or of libpq, which names
								 * hosts */
	const char *detail;			/* of a statement's error, else NULL */
	const char *value[FLAKE_REPLY_COLUMNS]; /* of the one row; NULL: null */
} FlakeReply;

/* How long to wait. */
typedef struct FlakePatience
{
	int64		deadline_us;	/* on the monotonic clock */
	bool		(*stop) (void); /* leave before; NULL: never */
	uint32		event;			/* the wait event */
} FlakePatience;

/*
 * No function raises an error for what a registry or a network does, and none
 * waits longer than it is told to, but for the resolver of host names.
 */
typedef struct FlakeLibpq
{
	/* NULL: the reply says why */
	void	   *(*connect) (const char *conninfo, const FlakePatience *patience,
							FlakeReply *reply);

	/*
	 * One statement, a transaction of its own, that returns one row.  After
	 * anything but a grant or a refusal the connection is to be closed.
	 */
	bool		(*ask) (void *connection, const char *statement, int nparams,
						const char *const *params,
						const FlakePatience *patience, FlakeReply *reply);
	void		(*close) (void *connection);
} FlakeLibpq;

typedef const FlakeLibpq *(*FlakeLibpqFunctions) (void);

#endif							/* FLAKE_LIBPQ_H */
