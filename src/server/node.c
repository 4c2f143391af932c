/*
 * node.c
 *		Which server this is: the node id from flake.node_id.
 *
 * The setting is a text that is read when a node id is needed, so that a
 * wrong one in the file is an error then and never a silent default.  Nothing
 * is kept here.  A session asks for its node id when it begins to make ids and
 * after flake_node_changed(); so one that runs keeps its node id when the host
 * gets another name or address.  A group in a Citus cluster is followed: it
 * changes in a transaction, which callbacks notice.
 *
 * Whatever can be wrong is a FlakeError: issuing raises it, reports show it.
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

/* A larger number fits no layout; and sums of two can't overflow. */
#define MAX_NUMBER PG_INT32_MAX

/* The setting that asks for the group in a Citus cluster. */
#define CITUS "citus"

/* A host name has at most 255 bytes. */
#define HOST_NAME_SIZE 256

/* What to do, where several errors say the same. */
#define FORMS_HINT \
	"It must be a number such as '7', a pattern for the host name such as 'db-#' or 'db-#+100', an IPv4 network such as '10.1.2.0/24' or '10.1.2.0/24+100', 'citus' or 'citus+100', 'lease', or empty."
#define NUMBER_HINT \
	"Set \"flake.node_id\" to a number that no other server has."
#define NETWORK_HINT \
	"Set \"flake.node_id\" to a network in which the host has one address, or to a number that no other server has."

/* Raised when the node id may have become another one. */
uint64		flake_node_version = 1;

/* The setting has changed, or what a node id is derived from. */
void
flake_node_changed(void)
{
	flake_node_version++;
	flake_sessions_forget_ranges();
}

/* node_refusal() may have another answer. */
static void
origins_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	flake_node_changed();
}

/* A relation of that name has come or gone. */
static void
name_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	if (flake_citus_is_about_name(hashvalue))
		flake_node_changed();
}

/*
 * To be called for every relation that has changed (InvalidOid: all of them).
 * Citus announces new rows of its tables in this way.
 */
void
flake_node_relation_changed(Oid relid)
{
	if (flake_citus_is_about_relation(relid))
		flake_node_changed();
}

/*
 * Notice when a node id that depends on the catalogs may have changed.
 */
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
 * Reads "length" decimal digits.  False if there is anything else, nothing, or
 * a number above MAX_NUMBER.  Leading zeros change nothing, as hosts are often
 * called db01 to db12.
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
 * Splits the setting into what stands before "+" and the offset after it, 0 if
 * there is no "+".
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
	return invalid_setting("It is not a number, not \"citus\" or \"lease\", and contains neither \"#\" nor \"/\".",
						   FORMS_HINT);
}

/*
 * The number that stands in the host name where the pattern has "#".  The rest
 * of the name must be as in the pattern: just any number in it would give the
 * containers 3f2a9c1b4e07 and 8b0d11e2c007 the same node id.
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
		return invalid_setting("A pattern for the host name contains \"#\" only once.",
							   FORMS_HINT);

	if (gethostname(host, sizeof(host)) != 0)
		return flake_error(ERRCODE_CONFIG_FILE_ERROR,
						   psprintf("could not get the host name for \"flake.node_id\": %m"),
						   NULL, NUMBER_HINT);
	host[sizeof(host) - 1] = '\0';

	/* a pattern without a dot is about the name without its domain */
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

/* Collects the host's IPv4 addresses, each once, in a list of integers. */
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
 * Reads "10.1.2.0/24": the network's address, and a mask of the bits that tell
 * its hosts apart.
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
 * The host part of this host's one address in the network.  Any address of any
 * interface counts, also when the interface is down: a server stays the same
 * when its link is lost.
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

/* Does the setting ask for the group: "citus", perhaps with an offset? */
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
 * The group that Citus has given this server.
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
 * Nothing is set: the group in a Citus cluster, if there are other nodes.  Else
 * a hash of the server's system identifier.  A standby has the same, so a
 * promoted one goes on under it.
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
 * The number of the current lease, which may be over.  That there is none is no
 * error: whoever makes an id waits for it, and reports show that.
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
 * Reads flake.node_id.  Raises nothing.  Needs a transaction.
 *
 * What the setting looks like says what kind it is.  A further kind is a
 * branch here, a function like those above, and a FlakeNodeSource.
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

/* A sentence that says where the number comes from. */
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
 * Why no ids of a layout are made while the node id is leased: those of several
 * servers could be the same.  NULL: they are, as also by who has fixed all parts
 * of the node.
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
					   "\"flake.node_id\" is \"lease\", so other servers make ids, too, and they could be the same.",
					   "Use a layout with node bits.");
}

/*
 * The node id in a layout: 0 in one that does not use it, whatever the setting
 * says, and -1 where there is no lease yet.  Returns why there is none, else NULL.
 * Raises nothing.
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
 * Do rows of other servers arrive here?  Every subscription has a replication
 * origin, and so have the tools that replicate without one.
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
 * Why no ids are made with a node id that could be read, else NULL.  A derived
 * one will do for a server that writes alone, but not where others' rows
 * arrive: one of those servers can have the same.  Needs a transaction.
 */
static const FlakeError *
node_refusal(const FlakeNode *node)
{
	if (node->error != NULL || node->source != FLAKE_NODE_SYSTEM ||
		!has_replication_origins())
		return NULL;
	return flake_error(ERRCODE_CONFIG_FILE_ERROR,
					   "\"flake.node_id\" must be set on a server that has subscriptions or replication origins",
					   "The node id derived from the system identifier could also be that of the server whose rows arrive here.  Moving shards of a Citus cluster creates subscriptions, too.",
					   NUMBER_HINT);
}

/*
 * The node id to make ids of a layout with, as flake_node_in().  Returns why none
 * are made, else NULL.  Raises nothing.  Needs a transaction.
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

/* When the tick after the clock's begins; the clock's time if there is none. */
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
 * The node id to make ids of a layout with, or an error.  "lease" is set to that
 * of the node id, for which this may wait, or to NULL.
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
	/* reports show that there is none yet; who makes ids waits for it */
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

/* The source as reports show it. */
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
