/*
 * layout.h
 *		Arguments and values of SQL type flake_layout.
 */
#ifndef FLAKE_SQL_LAYOUT_H
#define FLAKE_SQL_LAYOUT_H

#include "fmgr.h"

#include "core/layout.h"

/* The layout of the last call, so that it is parsed once per query. */
typedef struct FlakeLayoutCache
{
	struct varlena *value;		/* copy of the argument, or NULL */
	FlakeLayout layout;
} FlakeLayoutCache;

extern const FlakeLayout *flake_layout_arg(FunctionCallInfo fcinfo, int argno);
extern bool flake_layout_arg_is_constant(FunctionCallInfo fcinfo, int argno);
extern void flake_layout_read(const char *text, size_t length,
							  FlakeLayout *layout);
extern void flake_layout_check_issuable(const FlakeLayout *layout);
extern Datum flake_layout_datum(const FlakeLayout *layout);
extern char *flake_layout_to_string(const FlakeLayout *layout);

#endif							/* FLAKE_SQL_LAYOUT_H */
