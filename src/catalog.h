/*
 * catalog.h
 *		Finding the extension's own relations.
 */
#ifndef FLAKE_CATALOG_H
#define FLAKE_CATALOG_H

#include "postgres.h"

extern Oid	flake_catalog_relation(const char *name);
extern const char *flake_time_text(int64 unix_us);

#endif							/* FLAKE_CATALOG_H */
