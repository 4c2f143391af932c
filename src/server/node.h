/*
 * node.h
 *		Which server this is: the node id from flake.node_id.
 */
#ifndef FLAKE_NODE_H
#define FLAKE_NODE_H

#include "core/layout.h"
#include "core/lease.h"
#include "server/error.h"

/* What flake.node_id takes the node id from. */
typedef enum FlakeNodeSource
{
	FLAKE_NODE_NUMBER,			/* the setting itself: 7 */
	FLAKE_NODE_HOSTNAME,		/* the host name: db-# */
	FLAKE_NODE_NETWORK,			/* the host's address: 10.1.2.0/24 */
	FLAKE_NODE_CITUS,			/* the group in a Citus cluster: citus, empty */
	FLAKE_NODE_LEASE,			/* a registry of node ids: lease */
	FLAKE_NODE_SYSTEM,			/* else empty: a hash of the system identifier */
} FlakeNodeSource;

/* flake.node_id as it was read, before a layout's width is looked at. */
typedef struct FlakeNode
{
	const FlakeError *error;	/* if not NULL, why "number" and "read_from"
								 * are not set */
	FlakeNodeSource source;
	int64		number;			/* of FLAKE_NODE_SYSTEM all 32 bits; -1: there
								 * is no lease */
	FlakeLease *lease;			/* of FLAKE_NODE_LEASE; NULL: there is none */
	const char *read_from;		/* the host name, the address or the group,
								 * else NULL */
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
