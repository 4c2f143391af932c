/*
 * relation.h
 *		The extension in the catalogs: its sequence flake.mark and its version.
 */
#ifndef FLAKE_RELATION_H
#define FLAKE_RELATION_H

#include "utils/relcache.h"

#include "server/error.h"

#define FLAKE_SCHEMA		"flake"
#define FLAKE_MARK_NAME		"mark"

extern const FlakeError *flake_version_error(void);
extern void flake_check_version(void);
extern Relation flake_mark_relation_open(bool wait);
extern void flake_mark_relation_close(Relation rel);

#endif							/* FLAKE_RELATION_H */
