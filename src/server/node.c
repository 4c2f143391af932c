/*
 * node.c
 *		Which server this is: the node id from flake.node_id.
 *
 * The setting is a text and is read when a node id is needed, so that a wrong
 * one in the file is an error then and never a silent default.  Nothing here
 * is kept: session.c asks again after every change of the setting.
 */
#include "postgres.h"

#include <ctype.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <unistd.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_subscription.h"
#include "common/hashfn.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "server/node.h"
#include "server/backend.h"
#include "server/settings.h"
#include "server/shmem.h"

/* What the setting says, before a layout's width is looked at. */
typedef struct NodeSetting
{
	FlakeNodeSource source;
	int64		offset;			/* added to what the source gives */
} NodeSetting;

/* Any larger number fits no layout; also the bound for an offset. */
#define MAX_NUMBER ((INT64CONST(1) << FLAKE_MAX_NODE_BITS) - 1)

static void
subscription_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	flake_node_changed();
}

/*
 * A derived node id is refused in a server that subscribes: notice when one
 * begins to.
 */
void
flake_node_init(void)
{
	CacheRegisterSyscacheCallback(SUBSCRIPTIONOID, subscription_changed,
								  (Datum) 0);
}

static void
setting_error(const char *detail)
{
	ereport(ERROR,
			errcode(ERRCODE_CONFIG_FILE_ERROR),
			errmsg("invalid value for \"flake.node_id\": \"%s\"", flake_setting_node_id),
			errdetail("%s", detail),
			errhint("It must be a number, \"hostname\" or \"address\", the latter two with an optional offset as in \"hostname+100\", or empty."));
}

/*
 * Reads the digits at "text" up to its end, spaces aside.  False if there is
 * anything else; a number that is too large comes back as MAX_NUMBER + 1.
 */
static bool
read_number(const char *text, int64 *number)
{
	*number = 0;
	while (isspace((unsigned char) *text))
		text++;
	if (!isdigit((unsigned char) *text))
		return false;
	for (; isdigit((unsigned char) *text); text++)
		*number = Min(*number * 10 + (*text - '0'), MAX_NUMBER + 1);
	while (isspace((unsigned char) *text))
		text++;
	return *text == '\0';
}

/* If "text" begins with the word, the place behind it, spaces skipped. */
static const char *
skip_word(const char *text, const char *word)
{
	size_t		length = strlen(word);

	if (pg_strncasecmp(text, word, length) != 0)
		return NULL;
	text += length;
	while (isspace((unsigned char) *text))
		text++;
	return text;
}

static NodeSetting
read_setting(void)
{
	NodeSetting setting = {.source = FLAKE_NODE_SYSTEM, .offset = 0};
	const char *text = flake_setting_node_id ? flake_setting_node_id : "";
	const char *rest;

	flake_check_settings();
	while (isspace((unsigned char) *text))
		text++;
	if (*text == '\0')
		return setting;

	if (isdigit((unsigned char) *text))
	{
		setting.source = FLAKE_NODE_SETTING;
		if (!read_number(text, &setting.offset))
			setting_error("There is something behind the number.");
		return setting;
	}

	if ((rest = skip_word(text, "hostname")) != NULL)
		setting.source = FLAKE_NODE_HOSTNAME;
	else if ((rest = skip_word(text, "address")) != NULL)
		setting.source = FLAKE_NODE_ADDRESS;
	else
		setting_error("It begins with neither a digit nor one of the two words.");

	if (*rest == '\0')
		return setting;
	if (*rest != '+' || !read_number(rest + 1, &setting.offset))
		setting_error("Behind the word there is something else than \"+\" and a number.");
	return setting;
}

/*
 * The number at the end of the host name, up to its first dot: 3 for
 * "db-3.example".
 */
static int64
hostname_number(void)
{
	char		name[256];
	char	   *end;
	int64		number;

	if (gethostname(name, sizeof(name)) != 0)
		ereport(ERROR,
				errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("could not get the host name for \"flake.node_id\": %m"));
	name[sizeof(name) - 1] = '\0';
	name[strcspn(name, ".")] = '\0';

	end = name + strlen(name);
	while (end > name && isdigit((unsigned char) end[-1]))
		end--;
	if (!read_number(end, &number))
		ereport(ERROR,
				errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("host name \"%s\" has no number at its end", name),
				errdetail("\"flake.node_id\" is \"%s\".", flake_setting_node_id),
				errhint("Set \"flake.node_id\" to a number."));
	return number;
}

/* One of the ranges of RFC 1918? */
static bool
is_private(uint32 address)
{
	return (address >> 24) == 10 ||
		(address >> 20) == ((172 << 4) | 1) ||
		(address >> 16) == ((192 << 8) | 168);
}

/*
 * The last two octets of the host's first private IPv4 address, in the order
 * in which the system lists its interfaces.
 */
static int64
address_number(void)
{
	struct ifaddrs *list;
	int64		number = -1;

	if (getifaddrs(&list) != 0)
		ereport(ERROR,
				errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("could not get the addresses of the host for \"flake.node_id\": %m"));
	for (struct ifaddrs *one = list; one != NULL && number < 0; one = one->ifa_next)
	{
		struct sockaddr_in address;

		if (one->ifa_addr == NULL || one->ifa_addr->sa_family != AF_INET ||
			(one->ifa_flags & IFF_LOOPBACK) != 0)
			continue;
		memcpy(&address, one->ifa_addr, sizeof(address));
		if (is_private(ntohl(address.sin_addr.s_addr)))
			number = ntohl(address.sin_addr.s_addr) & 0xFFFF;
	}
	freeifaddrs(list);

	if (number < 0)
		ereport(ERROR,
				errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("the host has no private IPv4 address"),
				errdetail("\"flake.node_id\" is \"%s\".", flake_setting_node_id),
				errhint("Set \"flake.node_id\" to a number."));
	return number;
}

/*
 * A hash of the cluster's system identifier.  A standby has the same, so a
 * promoted one goes on under it.
 */
static int64
system_number(void)
{
	uint64		identifier = GetSystemIdentifier();

	return hash_bytes((const unsigned char *) &identifier, sizeof(identifier));
}

/*
 * Does the node id that the setting gives fit the layout?  A derived one is
 * made to.  Errors: as flake_node(), but for 53400.
 */
bool
flake_node_fits(const FlakeLayout *layout)
{
	NodeSetting setting = read_setting();
	int64		node = setting.offset;

	if (setting.source == FLAKE_NODE_HOSTNAME)
		node += hostname_number();
	else if (setting.source != FLAKE_NODE_SETTING)
		return true;
	return layout->node_bits == 0 || node <= flake_layout_max_node(layout);
}

/*
 * The node id of this server in a layout, and where it comes from.  0 in a
 * layout that has no node.  Errors: the setting can't be read or derived from
 * (F0000), a number does not fit the layout (53400).
 */
int64
flake_node(const FlakeLayout *layout, FlakeNodeSource *source)
{
	NodeSetting setting = read_setting();
	int64		max_node = flake_layout_max_node(layout);
	int64		node = setting.offset;

	*source = setting.source;
	if (layout->node_bits == 0)
		return 0;

	switch (setting.source)
	{
		case FLAKE_NODE_SYSTEM:
			return system_number() & max_node;
		case FLAKE_NODE_ADDRESS:
			node += address_number();
			if (node > max_node && flake_shmem_warn_once(FLAKE_WARN_ADDRESS_CUT))
				ereport(WARNING,
						errmsg("node id %lld from the host's address is cut to the %d bits that the layout has for it",
							   (long long) node, layout->node_bits),
						errdetail("Servers whose addresses differ in the bits that are lost have the same node id."),
						errhint("Set \"flake.node_id\" to a number that no other server has."));
			return node & max_node;
		case FLAKE_NODE_HOSTNAME:
			node += hostname_number();
			break;
		case FLAKE_NODE_SETTING:
			break;
	}

	if (node > max_node)
		ereport(ERROR,
				errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("node id of \"flake.node_id\" = \"%s\" does not fit the layout's %d node bits",
					   flake_setting_node_id, layout->node_bits),
				setting.source == FLAKE_NODE_HOSTNAME ?
				errdetail("The host name and the offset give a number above %lld.",
						  (long long) max_node) :
				errdetail("Node ids of the layout are 0 to %lld.",
						  (long long) max_node),
				errhint("Set \"flake.node_id\" to a smaller number, or use a layout with more node bits."));
	return node;
}

/* Does this server subscribe to another's changes? */
static bool
has_subscriptions(void)
{
	Relation	rel = table_open(SubscriptionRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	bool		found = HeapTupleIsValid(systable_getnext(scan));

	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * The node id to make ids with.  A derived one is good enough for a server
 * that writes alone: it is said once per start, and refused where another
 * server is known to write as well.
 */
int64
flake_node_for_issuing(const FlakeLayout *layout)
{
	FlakeNodeSource source;
	int64		node = flake_node(layout, &source);

	if (source != FLAKE_NODE_SYSTEM || layout->node_bits == 0)
		return node;

	if (has_subscriptions())
		ereport(ERROR,
				errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("\"flake.node_id\" is not set, but this server has subscriptions"),
				errdetail("Node id %lld, derived from the system identifier, may be another server's too.",
						  (long long) node),
				errhint("Set \"flake.node_id\" to a number that no other server has."));

	if (flake_shmem_warn_once(FLAKE_WARN_NODE_DERIVED))
		ereport(WARNING,
				errmsg("\"flake.node_id\" is not set; using node id %lld, a hash of the system identifier",
					   (long long) node),
				errhint("If more than one server makes ids, set \"flake.node_id\" to another number in each."));
	return node;
}

/* As flake_node() shows it. */
const char *
flake_node_source_text(FlakeNodeSource source)
{
	switch (source)
	{
		case FLAKE_NODE_SETTING:
			return "setting";
		case FLAKE_NODE_HOSTNAME:
			return "hostname";
		case FLAKE_NODE_ADDRESS:
			return "address";
		case FLAKE_NODE_SYSTEM:
			return "system identifier";
	}
	return NULL;				/* not reached */
}
