/*
 * error.h
 *		An error as a value: raised where ids are made, shown as a row where
 *		the server is reported on.
 */
#ifndef FLAKE_ERROR_H
#define FLAKE_ERROR_H

/* Whole texts in the style of the server's; "detail" and "hint" can be NULL. */
typedef struct FlakeError
{
	int			sqlstate;
	const char *message;
	const char *detail;
	const char *hint;
} FlakeError;

/* Allocated in the current memory context, as the texts should be. */
static inline const FlakeError *
flake_error(int sqlstate, const char *message, const char *detail,
			const char *hint)
{
	FlakeError *error = palloc(sizeof(FlakeError));

	error->sqlstate = sqlstate;
	error->message = message;
	error->detail = detail;
	error->hint = hint;
	return error;
}

static inline void
flake_raise(const FlakeError *error)
{
	ereport(ERROR,
			errcode(error->sqlstate),
			errmsg_internal("%s", error->message),
			error->detail ? errdetail_internal("%s", error->detail) : 0,
			error->hint ? errhint("%s", error->hint) : 0);
}

#endif							/* FLAKE_ERROR_H */
