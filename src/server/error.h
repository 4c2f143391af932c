/*
 * error.h
 *		Errors as values, to be raised by functions that make ids, and to be
 *		shown in rows of reports.
 */
#ifndef FLAKE_ERROR_H
#define FLAKE_ERROR_H

/* The texts of an error; "detail" and "hint" can be NULL. */
typedef struct FlakeError
{
	int			sqlstate;
	const char *message;
	const char *detail;
	const char *hint;
} FlakeError;

/* Allocate an error in the current memory context.  The texts are not copied. */
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
