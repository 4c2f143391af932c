/*
 * citus.h
 *		What the catalogs of Citus say about this database.
 */
#ifndef FLAKE_CITUS_H
#define FLAKE_CITUS_H

#include "server/error.h"

typedef struct FlakeCitus
{
	const FlakeError *error;	/* if not NULL, why nothing else is set */
	bool		is_installed;
	bool		is_node;		/* of a cluster, perhaps its only one */
	bool		has_workers;	/* ... and the cluster has workers */
	int32		group;			/* this node's: 0 is the coordinator's;
								 * citus.c says among which servers it is
								 * unique */
	int32		highest_group;	/* of all nodes */
} FlakeCitus;

extern void flake_citus_read(FlakeCitus *citus);
extern bool flake_citus_is_about_name(uint32 hash);
extern bool flake_citus_is_about_relation(Oid relid);

#endif							/* FLAKE_CITUS_H */
