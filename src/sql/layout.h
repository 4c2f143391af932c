/*
 * layout.h
 *		Values of the SQL type flake_layout, for other SQL functions.
 */
#ifndef FLAKE_SQL_LAYOUT_H
#define FLAKE_SQL_LAYOUT_H

#include "postgres.h"

#include "fmgr.h"

#include "core/layout.h"

/*
 * The layout that a function was last called with, so that it is parsed once
 * per query and not once per row.
 */
typedef struct FlakeLayoutCache
{
	struct varlena *value;		/* the argument; NULL: none yet */
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
