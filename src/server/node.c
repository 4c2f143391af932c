/*
 * node.c
 *		The node id of this server, from flake.node_id.
 *
 * The setting is a string that is evaluated only when a node id is needed, so
 * that a wrong value in the configuration file raises an error then, and is not
 * silently replaced by a default.  The result is not cached here.  A session
 * evaluates the setting when it makes its first id and after
 * flake_node_changed().  So it keeps its node id if the host gets another name or
 * address.  But it follows a change of the group in a Citus cluster, which
 * invalidation callbacks notice.
 *
 * Errors are returned as FlakeError, for reports.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include "access/genam.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_replication_origin.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "libpq/ifaddr.h"
#include "nodes/pg_list.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "core/session.h"
#include "server/citus.h"
#include "server/lease.h"
#include "server/node.h"
#include "server/settings.h"
#include "server/shmem.h"

/* A larger number does not fit any layout; the sum of two does not overflow. */
#define MAX_NUMBER PG_INT32_MAX

/* The setting that asks for the group in a Citus cluster. */
#define CITUS "citus"

/* A host name has at most 255 bytes. */
#define HOST_NAME_SIZE 256

/* Hints of several errors */
#define FORMS_HINT \
	"It must be a number such as '7', a pattern for the host name such as 'db-#' or 'db-#+100', an IPv4 network such as '10.1.2.0/24' or '10.1.2.0/24+100', 'citus' or 'citus+100', 'lease', or empty."
#define NUMBER_HINT \
	"Set \"flake.node_id\" to a number that no other server has."
#define NETWORK_HINT \
	"Set \"flake.node_id\" to a network in which the host has one address, or to a number that no other server has."

/* Incremented when the node id may have changed. */
uint64		flake_node_version = 1;

/* The setting has changed, or something that a node id is derived from. */
void
flake_node_changed(void)
{
	flake_node_version++;
	flake_sessions_forget_ranges();
}

/* A replication origin has come or gone, see node_refusal(). */
static void
origins_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	flake_node_changed();
}

/* A relation has come or gone whose name has this hash. */
static void
name_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	if (flake_citus_is_about_name(hashvalue))
		flake_node_changed();
}

/*
 * Called for each relation that has changed; InvalidOid stands for all.  Citus
 * sends such a message when it changes its tables.
 */
void
flake_node_relation_changed(Oid relid)
{
	if (flake_citus_is_about_relation(relid))
		flake_node_changed();
}

/* Register for changes of catalogs that the node id depends on. */
void
flake_node_init(void)
{
	CacheRegisterSyscacheCallback(REPLORIGIDENT, origins_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(RELNAMENSP, name_changed, (Datum) 0);
}

static const FlakeError *
invalid_setting(const char *detail, const char *hint)
{
	return flake_error(ERRCODE_CONFIG_FILE_ERROR,
					   psprintf("invalid value for \"flake.node_id\": \"%s\"",
								flake_setting_node_id),
					   detail, hint);
}

/*
 * Parse "length" decimal digits.  False if there are none or other characters,
 * or if the number exceeds MAX_NUMBER.  Leading zeros are allowed, because hosts
 * are often called db01 to db12.
 */
static bool
read_number(const char *digits, size_t length, int64 *number)
{
	*number = 0;
	for (size_t i = 0; i < length; i++)
	{
		if (digits[i] < '0' || digits[i] > '9')
			return false;
		*number = *number * 10 + (digits[i] - '0');
		if (*number > MAX_NUMBER)
			return false;
	}
	return length > 0;
}

/*
 * Split the setting at "+".  The offset after it is 0 if there is no "+".
 */
static const FlakeError *
split_offset(char **base, int64 *offset)
{
	char	   *plus;

	*base = pstrdup(flake_setting_node_id);
	*offset = 0;
	plus = strrchr(*base, '+');
	if (plus == NULL)
		return NULL;
	*plus = '\0';
	if (!read_number(plus + 1, strlen(plus + 1), offset))
		return invalid_setting(psprintf("After \"+\" there must be a number from 0 to %d.",
										MAX_NUMBER),
							   FORMS_HINT);
	return NULL;
}

static const FlakeError *
from_number(FlakeNode *node)
{
	const char *setting = flake_setting_node_id;

	node->source = FLAKE_NODE_NUMBER;
	if (read_number(setting, strlen(setting), &node->number))
		return NULL;
	if (setting[strspn(setting, "0123456789")] == '\0')
		return invalid_setting(psprintf("Node ids are numbers from 0 to %d.",
										MAX_NUMBER),
							   "Set \"flake.node_id\" to a smaller number.");
	return invalid_setting("It is not a number, \"citus\" or \"lease\", and it contains neither \"#\" nor \"/\".",
						   FORMS_HINT);
}

/*
 * The number that the host name has in the place of "#".  The rest of the host
 * name must match the pattern.  If any number in it were good enough, containers
 * called 3f2a9c1b4e07 and 8b0d11e2c007 would have the same node id.
 */
static const FlakeError *
from_hostname(FlakeNode *node)
{
	char		host[HOST_NAME_SIZE];
	char	   *pattern;
	const char *tail;
	size_t		head_length;
	size_t		tail_length;
	size_t		host_length;
	int64		offset;
	const FlakeError *error;

	node->source = FLAKE_NODE_HOSTNAME;
	error = split_offset(&pattern, &offset);
	if (error != NULL)
		return error;
	head_length = strcspn(pattern, "#");
	Assert(pattern[head_length] == '#');
	tail = pattern + head_length + 1;
	tail_length = strlen(tail);
	if (strchr(tail, '#') != NULL)
		return invalid_setting("A pattern for the host name can contain \"#\" only once.",
							   FORMS_HINT);

	if (gethostname(host, sizeof(host)) != 0)
		return flake_error(ERRCODE_CONFIG_FILE_ERROR,
						   psprintf("could not get the host name for \"flake.node_id\": %m"),
						   NULL, NUMBER_HINT);
	host[sizeof(host) - 1] = '\0';

	/* if the pattern has no dot, ignore the domain of the host */
	host_length = strchr(pattern, '.') ? strlen(host) : strcspn(host, ".");
	if (host_length < head_length + tail_length ||
		pg_strncasecmp(host, pattern, head_length) != 0 ||
		pg_strncasecmp(host + host_length - tail_length, tail, tail_length) != 0 ||
		!read_number(host + head_length,
					 host_length - head_length - tail_length, &node->number))
		return flake_error(ERRCODE_CONFIG_FILE_ERROR,
						   psprintf("host name \"%s\" does not match \"flake.node_id\" = \"%s\"",
									host, flake_setting_node_id),
						   psprintf("The host name must be \"%s\" with a number from 0 to %d in place of \"#\".",
									pattern, MAX_NUMBER),
						   "Set \"flake.node_id\" to a pattern that the host name matches, or to a number that no other server has.");

	node->number += offset;
	node->read_from = pstrdup(host);
	return NULL;
}

/* Add an IPv4 address to a list of integers, unless it is there already. */
static void
collect_address(struct sockaddr *address, struct sockaddr *netmask, void *list)
{
	struct sockaddr_in ip4;

	if (address->sa_family != AF_INET)
		return;
	memcpy(&ip4, address, sizeof(ip4));
	*(List **) list = list_append_unique_int(*(List **) list,
											 (int) ntohl(ip4.sin_addr.s_addr));
}

static char *
address_text(uint32 address)
{
	return psprintf("%u.%u.%u.%u", address >> 24, (address >> 16) & 255,
					(address >> 8) & 255, address & 255);
}

static char *
addresses_text(const List *addresses)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, addresses)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "",
						 address_text((uint32) lfirst_int(cell)));
	return text.data;
}

/*
 * Parse a network such as "10.1.2.0/24".  *host_mask has the bits that differ
 * between hosts of the network.
 */
static const FlakeError *
parse_network(char *text, uint32 *network, uint32 *host_mask)
{
	char	   *slash = strchr(text, '/');
	struct in_addr address;
	int64		prefix_length;

	Assert(slash != NULL);
	*slash = '\0';
	if (inet_pton(AF_INET, text, &address) != 1 ||
		!read_number(slash + 1, strlen(slash + 1), &prefix_length) ||
		prefix_length > 32)
		return invalid_setting("A network is a complete IPv4 address, \"/\", and a number of bits from 0 to 32.",
							   FORMS_HINT);

	*network = ntohl(address.s_addr);
	*host_mask = (uint32) ((UINT64CONST(1) << (32 - prefix_length)) - 1);
	if ((*network & *host_mask) != 0)
		return invalid_setting("The address has bits set to the right of the network's bits.",
							   psprintf("The network that contains this address is \"%s/%d\".",
										address_text(*network & ~*host_mask),
										(int) prefix_length));
	return NULL;
}

/*
 * The host part of this host's address in the network, of which it must have
 * one.  An address counts even if its interface is down, because a server that
 * loses its link must keep its node id.
 */
static const FlakeError *
from_network(FlakeNode *node)
{
	char	   *text;
	uint32		network = 0;
	uint32		host_mask = 0;
	uint32		address;
	int64		offset;
	List	   *addresses = NIL;
	List	   *found = NIL;
	ListCell   *cell;
	const FlakeError *error;

	node->source = FLAKE_NODE_NETWORK;
	error = split_offset(&text, &offset);
	if (error == NULL)
		error = parse_network(text, &network, &host_mask);
	if (error != NULL)
		return error;

	if (pg_foreach_ifaddr(collect_address, &addresses) != 0)
		return flake_error(ERRCODE_CONFIG_FILE_ERROR,
						   psprintf("could not get the addresses of the host for \"flake.node_id\": %m"),
						   NULL, NUMBER_HINT);
	foreach(cell, addresses)
	{
		if (((uint32) lfirst_int(cell) & ~host_mask) == network)
			found = lappend_int(found, lfirst_int(cell));
	}

	if (found == NIL)
		return flake_error(ERRCODE_CONFIG_FILE_ERROR,
						   psprintf("host has no address in the network of \"flake.node_id\" = \"%s\"",
									flake_setting_node_id),
						   addresses == NIL ? "The host has no IPv4 addresses." :
						   psprintf("The host's IPv4 addresses: %s.",
									addresses_text(addresses)),
						   NETWORK_HINT);
	if (list_length(found) > 1)
		return flake_error(ERRCODE_CONFIG_FILE_ERROR,
						   psprintf("host has more than one address in the network of \"flake.node_id\" = \"%s\"",
									flake_setting_node_id),
						   psprintf("The host's addresses in that network: %s.",
									addresses_text(found)),
						   NETWORK_HINT);

	address = (uint32) linitial_int(found);
	node->number = (address & host_mask) + offset;
	node->read_from = address_text(address);
	return NULL;
}

/* Is the setting "citus", perhaps with an offset? */
static bool
is_citus(const char *setting)
{
	size_t		length = strlen(CITUS);

	return strncmp(setting, CITUS, length) == 0 &&
		(setting[length] == '\0' || setting[length] == '+');
}

static void
set_group(FlakeNode *node, const FlakeCitus *citus, int64 offset)
{
	node->source = FLAKE_NODE_CITUS;
	node->number = citus->group + offset;
	node->read_from = psprintf("group %d", (int) citus->group);
}

/*
 * The group of this server in a Citus cluster.
 */
static const FlakeError *
from_citus(FlakeNode *node)
{
	FlakeCitus	citus;
	char	   *base;
	int64		offset;
	const FlakeError *error;

	node->source = FLAKE_NODE_CITUS;
	error = split_offset(&base, &offset);
	if (error != NULL)
		return error;
	flake_citus_read(&citus);
	if (citus.error != NULL)
		return citus.error;
	if (!citus.is_node)
		return flake_error(ERRCODE_CONFIG_FILE_ERROR,
						   psprintf("\"flake.node_id\" is \"%s\", but this database does not belong to a node of a Citus cluster",
									flake_setting_node_id),
						   citus.is_installed ?
						   "\"pg_dist_node\" has no rows.  A worker that has not been added yet has the group of the coordinator." :
						   "Citus is not installed in it.",
						   citus.is_installed ?
						   "Add this server to the cluster with citus_add_node() on the coordinator, or, if it is the coordinator, use citus_set_coordinator_host()." :
						   "Make ids in the database of the cluster, or set \"flake.node_id\" to a number that no other server has.");
	set_group(node, &citus, offset);
	return NULL;
}

/*
 * Nothing is set.  Use the group if the server belongs to a Citus cluster with
 * workers, otherwise a hash of the system identifier.  A standby has the same
 * system identifier, so it keeps the node id when it is promoted.
 */
static const FlakeError *
from_nothing(FlakeNode *node)
{
	uint64		identifier = GetSystemIdentifier();
	FlakeCitus	citus;

	flake_citus_read(&citus);
	if (citus.error != NULL)
		return citus.error;
	if (citus.has_workers)
	{
		set_group(node, &citus, 0);
		return NULL;
	}

	node->source = FLAKE_NODE_SYSTEM;
	node->number = hash_bytes((const unsigned char *) &identifier,
							  sizeof(identifier));
	return NULL;
}

/*
 * The node id of the current lease, which may be over.  It is not an error if
 * there is none: a session that makes an id waits for one.
 */
static const FlakeError *
from_lease(FlakeNode *node)
{
	node->source = FLAKE_NODE_LEASE;
	node->lease = flake_lease_current();
	node->number = node->lease != NULL ? node->lease->node : -1;
	return NULL;
}

/*
 * Evaluate flake.node_id.  Needs a transaction.
 *
 * The form of the setting tells what the node id is derived from.
 */
void
flake_node_read(FlakeNode *node)
{
	const char *setting = flake_setting_node_id;

	memset(node, 0, sizeof(*node));
	node->error = flake_settings_error();
	if (node->error != NULL)
		return;

	if (setting[0] == '\0')
		node->error = from_nothing(node);
	else if (flake_lease_is_on())
		node->error = from_lease(node);
	else if (strchr(setting, '#') != NULL)
		node->error = from_hostname(node);
	else if (strchr(setting, '/') != NULL)
		node->error = from_network(node);
	else if (is_citus(setting))
		node->error = from_citus(node);
	else
		node->error = from_number(node);
}

/* A sentence that tells what the node id is derived from. */
static const char *
origin_text(const FlakeNode *node)
{
	if (node->source == FLAKE_NODE_CITUS)
		return psprintf("\"flake.node_id\" is \"%s\", and this server is %s of the Citus cluster.",
						flake_setting_node_id, node->read_from);
	if (node->source == FLAKE_NODE_LEASE)
		return "A registry has leased it.";
	if (node->read_from != NULL)
		return psprintf("\"flake.node_id\" is \"%s\", read from \"%s\".",
						flake_setting_node_id, node->read_from);
	return psprintf("\"flake.node_id\" is \"%s\".", flake_setting_node_id);
}

/*
 * Why a layout without a free part of the node cannot be used while the node id
 * is leased, or NULL.  If its node is fixed, the user has seen to it that other
 * servers make other ids.
 */
static const FlakeError *
lease_refusal(const FlakeLayout *layout)
{
	char		text[FLAKE_LAYOUT_TEXT_MAX];

	if (layout->node_bits > 0)
		return NULL;
	flake_layout_format(layout, text, sizeof(text));
	return flake_error(ERRCODE_INVALID_PARAMETER_VALUE,
					   psprintf("layout \"%s\" has no node bits", text),
					   "Other servers that lease node ids could make the same ids.",
					   "Use a layout with node bits.");
}

/*
 * The node id in ids of a layout: 0 if the layout does not use it, whatever the
 * setting is; -1 if there is no lease yet.  Returns an error if there is no node
 * id that fits, otherwise NULL.
 */
const FlakeError *
flake_node_in(const FlakeNode *node, const FlakeLayout *layout, int64 *node_id)
{
	char		text[FLAKE_LAYOUT_TEXT_MAX];
	int64		max_node = flake_layout_max_node(layout);

	*node_id = 0;
	if (max_node == 0)
		return flake_lease_is_on() ? lease_refusal(layout) : NULL;
	if (node->error != NULL)
		return node->error;

	*node_id = node->number;
	if (node->source == FLAKE_NODE_SYSTEM)
		*node_id &= max_node;
	if (*node_id <= max_node)
		return NULL;

	flake_layout_format(layout, text, sizeof(text));
	return flake_error(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
					   psprintf("node id %lld does not fit layout \"%s\"",
								(long long) *node_id, text),
					   psprintf("%s  Node ids of the layout are 0 to %lld.",
								origin_text(node), (long long) max_node),
					   node->source == FLAKE_NODE_LEASE ?
					   "Create only node ids in the registry that fit all layouts, or use a layout with more node bits." :
					   "Set \"flake.node_id\" so that it gives a smaller number, or use a layout with more node bits.");
}

/*
 * Are rows of other servers replicated to this one?  Every subscription has a
 * replication origin, and so do other tools for replication.
 */
static bool
has_replication_origins(void)
{
	Relation	rel = table_open(ReplicationOriginRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	bool		found = systable_getnext(scan) != NULL;

	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * Why a node id must not be used, or NULL.  One that is derived from the system
 * identifier is good enough for a server whose rows do not meet others'.  But
 * the servers whose rows are replicated here could have the same one.  Needs a
 * transaction.
 */
static const FlakeError *
node_refusal(const FlakeNode *node)
{
	if (node->error != NULL || node->source != FLAKE_NODE_SYSTEM ||
		!has_replication_origins())
		return NULL;
	return flake_error(ERRCODE_CONFIG_FILE_ERROR,
					   "\"flake.node_id\" must be set on a server that has subscriptions or replication origins",
					   "The node id derived from the system identifier could be the same as that of a server whose rows are replicated to this one.  Moving shards of a Citus cluster creates subscriptions, too.",
					   NUMBER_HINT);
}

/*
 * The node id to make ids of a layout with, as flake_node_in().  Returns an error
 * if no ids can be made, otherwise NULL.  Needs a transaction.
 */
const FlakeError *
flake_node_to_issue(const FlakeNode *node, const FlakeLayout *layout,
					int64 *node_id)
{
	const FlakeError *error = flake_node_in(node, layout, node_id);

	if (error == NULL && flake_layout_max_node(layout) > 0)
		error = node_refusal(node);
	return error;
}

/* The start of the tick after the clock's; the clock's time if there is none. */
static int64
next_tick_us(const FlakeLayout *layout)
{
	int64		now_us = flake_clock_us();
	int64		tick;
	int64		tick_us;

	if (flake_layout_tick_at(layout, now_us, &tick) == FLAKE_IN_RANGE &&
		tick < flake_layout_max_tick(layout) &&
		flake_layout_tick_start(layout, tick + 1, &tick_us) == FLAKE_IN_RANGE)
		return tick_us;
	return now_us;
}

/*
 * The node id to make ids of a layout with.  Raises errors.  If it is to be
 * leased, this waits for a lease and sets *lease, otherwise *lease is NULL.
 */
int64
flake_node_for_issuing(const FlakeLayout *layout, FlakeLease **lease)
{
	FlakeNode	node;
	int64		node_id;
	const FlakeError *error;

	*lease = NULL;
	flake_check_settings();
	if (flake_layout_max_node(layout) == 0 && !flake_lease_is_on())
		return 0;

	flake_node_read(&node);
	/* unlike reports, wait for a lease if there is none yet */
	while (node.source == FLAKE_NODE_LEASE && node.lease == NULL &&
		   flake_layout_max_node(layout) > 0)
	{
		flake_lease_wait(NULL, next_tick_us(layout));
		flake_node_read(&node);
	}
	error = flake_node_to_issue(&node, layout, &node_id);
	if (error != NULL)
		flake_raise(error);

	if (flake_layout_max_node(layout) > 0)
		*lease = node.lease;
	if (node.source == FLAKE_NODE_SYSTEM &&
		flake_shmem_first_derived_node())
		ereport(LOG_SERVER_ONLY,
				errmsg("\"flake.node_id\" is not set, using node id %lld, a hash of the system identifier",
					   (long long) node_id),
				errhint("If more than one server makes ids, set \"flake.node_id\" to a different number on each."));
	return node_id;
}

/* The source, for reports. */
const char *
flake_node_source_text(FlakeNodeSource source)
{
	switch (source)
	{
		case FLAKE_NODE_NUMBER:
			return "number";
		case FLAKE_NODE_HOSTNAME:
			return "host name";
		case FLAKE_NODE_NETWORK:
			return "network";
		case FLAKE_NODE_CITUS:
			return "Citus";
		case FLAKE_NODE_LEASE:
			return "lease";
		case FLAKE_NODE_SYSTEM:
			return "system identifier";
	}
	return NULL;				/* not reached */
}
