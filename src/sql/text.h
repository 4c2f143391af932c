/*
 * text.h
 *		Ids as text, for other SQL functions.
 */
#ifndef FLAKE_SQL_TEXT_H
#define FLAKE_SQL_TEXT_H

#include "core/encoding.h"

extern FlakeEncoding flake_encoding_arg(const text *name);
extern void flake_check_position(int64 lowest_id, int pos,
								 FlakeEncoding encoding);
extern text *flake_format_id(int64 id, const text *prefix, int pos,
							 FlakeEncoding encoding);

#endif							/* FLAKE_SQL_TEXT_H */
