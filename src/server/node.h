/*
 * node.h
 *		Which server this is: the node id from flake.node_id.
 */
#ifndef FLAKE_NODE_H
#define FLAKE_NODE_H

#include "postgres.h"

#include "core/layout.h"

/* Where a node id comes from. */
typedef enum FlakeNodeSource
{
	FLAKE_NODE_SETTING,			/* a number in flake.node_id */
	FLAKE_NODE_HOSTNAME,		/* the number at the end of the host name */
	FLAKE_NODE_ADDRESS,			/* the host's private IPv4 address */
	FLAKE_NODE_SYSTEM,			/* a hash of the system identifier */
} FlakeNodeSource;

extern void flake_node_init(void);
extern bool flake_node_fits(const FlakeLayout *layout);
extern int64 flake_node(const FlakeLayout *layout, FlakeNodeSource *source);
extern int64 flake_node_for_issuing(const FlakeLayout *layout);
extern const char *flake_node_source_text(FlakeNodeSource source);

#endif							/* FLAKE_NODE_H */
