/*
 * citus.h
 *		This server's place in a Citus cluster, from the catalogs of Citus.
 */
#ifndef FLAKE_CITUS_H
#define FLAKE_CITUS_H

#include "server/error.h"

typedef struct FlakeCitus
{
	const FlakeError *error;	/* if not NULL, only is_installed is set */
	bool		is_installed;
	bool		is_node;		/* this server is a node of a cluster */
	bool		has_workers;	/* the cluster has workers */
	int32		group;			/* this node's group; 0 is the coordinator's */
	int32		highest_group;	/* of all nodes */
} FlakeCitus;

extern void flake_citus_read(FlakeCitus *citus);
extern bool flake_citus_is_about_name(uint32 hash);
extern bool flake_citus_is_about_relation(Oid relid);

#endif							/* FLAKE_CITUS_H */
