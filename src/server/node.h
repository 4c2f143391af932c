/*
 * node.h
 *		The node id of this server, from flake.node_id.
 */
#ifndef FLAKE_NODE_H
#define FLAKE_NODE_H

#include "core/layout.h"
#include "core/lease.h"
#include "server/error.h"

/* What the node id is derived from, with examples of the setting. */
typedef enum FlakeNodeSource
{
	FLAKE_NODE_NUMBER,			/* the setting itself: 7 */
	FLAKE_NODE_HOSTNAME,		/* the host name: db-# */
	FLAKE_NODE_NETWORK,			/* an address of the host: 10.1.2.0/24 */
	FLAKE_NODE_CITUS,			/* the group in a Citus cluster: citus, or
								 * empty on a cluster with workers */
	FLAKE_NODE_LEASE,			/* a registry of node ids: lease */
	FLAKE_NODE_SYSTEM,			/* a hash of the system identifier: empty */
} FlakeNodeSource;

/* The value of flake.node_id, which need not fit a layout. */
typedef struct FlakeNode
{
	const FlakeError *error;	/* if not NULL, "number" and "read_from" are
								 * not set */
	FlakeNodeSource source;
	int64		number;			/* the 32 bits of a hash if FLAKE_NODE_SYSTEM;
								 * -1 if there is no lease */
	FlakeLease *lease;			/* NULL if there is none */
	const char *read_from;		/* host name, address or group, or NULL */
} FlakeNode;

extern uint64 flake_node_version;

extern void flake_node_init(void);
extern void flake_node_changed(void);
extern void flake_node_relation_changed(Oid relid);
extern void flake_node_read(FlakeNode *node);
extern const FlakeError *flake_node_in(const FlakeNode *node,
									   const FlakeLayout *layout,
									   int64 *node_id);
extern const FlakeError *flake_node_to_issue(const FlakeNode *node,
											 const FlakeLayout *layout,
											 int64 *node_id);
extern int64 flake_node_for_issuing(const FlakeLayout *layout,
									FlakeLease **lease);
extern const char *flake_node_source_text(FlakeNodeSource source);

#endif							/* FLAKE_NODE_H */
