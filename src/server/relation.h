/*
 * catalog.h
 *		Finding the extension's own relations.
 */
#ifndef FLAKE_CATALOG_H
#define FLAKE_CATALOG_H

#include "postgres.h"

#include "storage/lockdefs.h"
#include "utils/relcache.h"

extern Oid	flake_relation_oid(const char *name);
extern Relation flake_open_relation(const char *name, LOCKMODE mode, bool wait);
extern const char *flake_time_text(int64 unix_us);

#endif							/* FLAKE_CATALOG_H */
