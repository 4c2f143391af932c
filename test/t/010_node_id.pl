# Every form of flake.node_id: what it gives, what it refuses, and when.
#
# A small library, built by the test, gives the server another host name and other addresses.

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = new_node('node_id', start => 0, env => host_library());

# What the host answers from now on; undef: nothing, the call fails.
sub host
{
	my (%answer) = @_;

	for my $file (keys %answer)
	{
		unlink "$dir/$file";
		append_to_file("$dir/$file", $answer{$file}) if defined $answer{$file};
	}
	return;
}

sub host_is
{
	my ($name, @address) = @_;

	return host(hostname => "$name\n", addresses => join '', map { "$_\n" } @address);
}
host_is('db-3.example.org', '127.0.0.1', '10.1.2.77');

start_node($node);
$node->safe_psql('postgres', 'CREATE EXTENSION flake');

sub gives
{
	my ($setting, $node_id, $source, $read_from) = @_;
	my $name = "\"$setting\"" . ($read_from ? " on $read_from" : '');

	set_node_id($node, $setting);
	for my $function (q{flake_node()}, q{flake.node_state('flake')})
	{
		is(value($node, "SELECT node_id, source, read_from FROM $function"),
			"$node_id|$source|" . ($read_from // ''), "$name: node id, source, what it was read from: $function");
	}
	is(value($node, 'SELECT flake_node_id(flake_next_id())'), $node_id, "$name: it is in the ids");
	return;
}

# Returns the message, with detail and hint.
sub refuses
{
	my ($setting, $state, $pattern, $host) = @_;
	my $name = "\"$setting\"" . ($host ? " on $host" : '');

	set_node_id($node, $setting);
	my ($found, $said) = sqlstate($node, 'SELECT flake_next_id()');
	is($found, $state, "$name: SQLSTATE");
	like($said, $pattern, "$name: message");
	like($said, qr/^HINT:  [A-Z].*\.$/m, "$name: a hint");
	is((sqlstate($node, 'SELECT flake_node()'))[0], $state, "$name: not told either");
	return $said;
}

# --- numbers

gives('0', 0, 'number');
gives('255', 255, 'number');
gives('007', 7, 'number');

my $too_large = refuses('256', '53400', qr/ERROR:  53400: node id 256 does not fit layout ".*"$/m);
like($too_large, qr/"flake\.node_id" is "256"\.  Node ids of the layout are 0 to 255\./,
	'a number that is too large: detail');
refuses('2147483647', '53400', qr/node id 2147483647 does not fit/);

sub invalid
{
	my ($setting, $detail) = @_;
	my $said = refuses($setting, 'F0000', qr/invalid value for "flake\.node_id": "\Q$setting\E"$/m);

	like($said, $detail, "\"$setting\": detail");
	return $said;
}

for my $number ('2147483648', '4294967297', '18446744073709551617')
{
	invalid($number, qr/Node ids are numbers from 0 to 2147483647\./);
}

my $forms = qr/HINT: .*'7'.*'db-#'.*'db-#\+100'.*'10\.1\.2\.0\/24'.*'10\.1\.2\.0\/24\+100'.*'citus'.*'citus\+100'.*empty/;
for my $text ('rubbish', '-1', '+1', '7a', '7 ', ' ', '1.5', '0x7', '7+1', 'db-', 'hostname',
	'hostname+100', 'address')
{
	my $said = invalid($text, qr/DETAIL:  It is not a number, "citus" or "lease", and it contains neither "#" nor "\/"\./);

	like($said, $forms, "\"$text\": the hint lists all forms");
}

# --- by the host name

invalid($_, qr/can contain "#" only once/) for 'db-##', '#-#+1';
invalid($_, qr/After "\+" there must be a number from 0 to 2147483647\./)
  for 'db-#+', 'db-#+x', 'db-#+-1', 'db-#+2147483648', 'db-# + 100', 'db+#', '10.1.2.0/24+',
  '10.1.2.0/24+1x';

SKIP:
{
	skip 'no C compiler', 1 unless host_library();

	for my $case (
		[ 'db-3.example.org', 'db-#', 3 ],
		[ 'db-3.example.org', 'db-#+100', 103 ],
		[ 'db-3', 'DB-#', 3 ],
		[ 'DB-3', 'db-#', 3 ],
		[ 'db-0', 'db-#', 0 ],
		[ 'db08', 'db#', 8 ],
		[ '42', '#', 42 ],
		[ '7.node.example', '#', 7 ],
		[ 'pg-4-replica', 'pg-#-replica', 4 ],
		[ 'pg-2.eu.example', 'pg-#.eu.example', 2 ],
		[ 'pg-2.eu5.example', 'pg-2.eu#.example', 5 ],
		[ 'pg-0.pg.svc.cluster.local', 'pg-#', 0 ],
		[ 'ip-10-0-1-25', 'ip-10-0-1-#', 25 ],
		[ '3f2a9c1b4e07', '3f2a9c1b4e#', 7 ])
	{
		my ($name, $setting, $node_id) = @$case;

		host_is($name);
		gives($setting, $node_id, 'host name', $name);
	}

	for my $case (
		[ 'plain', 'db-#' ],
		[ 'db-', 'db-#' ],
		[ 'db-3a', 'db-#' ],
		[ 'db-a3', 'db-#' ],
		[ 'xdb-3', 'db-#' ],
		[ 'db--3', 'db-#' ],
		[ 'db-+3', 'db-#' ],
		[ 'db- 3', 'db-#' ],
		[ 'db-1-2', 'db-#' ],
		[ 'db-2147483648', 'db-#' ],
		[ 'db-18446744073709551617', 'db-#' ],
		[ 'x.db-3', 'db-#' ],
		[ 'db-3', 'db-#.example' ],
		[ 'db-3.example.org', 'db-#.example' ],
		[ 'pg-1-replica', 'pg-#' ],
		[ 'pg-1-standby', 'pg-#-replica' ],
		[ 'aba', 'aba#aba' ],
		[ 'ip-10-0-2-25', 'ip-10-0-1-#' ],
		[ 'ip-10-0-1-25', 'ip-#' ],
		[ 'ip-10-0-1-25', '#' ],
		[ '3f2a9c1b4e07', '#' ],
		[ '8b0d11e2c007', '#' ],
		[ '8b0d11e2c007', '3f2a9c1b4e#+1' ])
	{
		my ($name, $setting) = @$case;

		host_is($name);
		refuses($setting, 'F0000',
			qr/host name "\Q$name\E" does not match "flake\.node_id" = "\Q$setting\E"$/m, $name);
	}

	host_is('db-300');
	my $said = refuses('db-#', '53400', qr/node id 300 does not fit layout/, 'db-300');
	like($said, qr/"flake\.node_id" is "db-#", read from "db-300"\..* 0 to 255\./,
		'a number in the host name that is too large: detail');
	host_is('db-3');
	gives('db-#+252', 255, 'host name', 'db-3');
	refuses('db-#+253', '53400', qr/node id 256 does not fit layout/, 'db-3');
	refuses('db-#+2147483647', '53400', qr/node id 2147483650 does not fit layout/, 'db-3');
	host(hostname => undef);
	refuses('db-#+1', 'F0000', qr/could not get the host name for "flake\.node_id": /);
}

# --- by the network

for my $network ('10.1.2.0/33', '10.1.2.0/', '10.1.2.0/-1', '10.1.2.0/24/24', '10.1.2/24',
	'10.1.2.256/32', '/24', 'fd00::/64', '10.1.2.0/24-1', '10.1.2.0 /24', 'localhost/8')
{
	invalid($network, qr/A network is a complete IPv4 address, "\/", and a number of bits from 0 to 32/);
}
for my $case (
	[ '10.1.2.3/24', '10.1.2.0/24' ],
	[ '10.1.2.3/24+100', '10.1.2.0/24' ],
	[ '10.1.2.0/0', '0.0.0.0/0' ],
	[ '10.1.2.7/31', '10.1.2.6/31' ])
{
	my ($setting, $network) = @$case;
	my $said = invalid($setting, qr/bits set to the right/);

	like($said, qr/HINT: .*"\Q$network\E"\./, "\"$setting\": the hint shows the network");
}

SKIP:
{
	skip 'no C compiler', 1 unless host_library();

	host_is('db', '127.0.0.1', '::1', '10.1.2.77', '192.168.255.2', '200.1.2.130');
	for my $case (
		[ '10.1.2.0/24', 77, '10.1.2.77' ],
		[ '10.1.2.0/24+100', 177, '10.1.2.77' ],
		[ '10.1.2.77/32', 0, '10.1.2.77' ],
		[ '10.1.2.76/31', 1, '10.1.2.77' ],
		[ '10.1.2.64/26', 13, '10.1.2.77' ],
		[ '200.1.2.128/25', 2, '200.1.2.130' ],
		[ '127.0.0.0/8', 1, '127.0.0.1' ])
	{
		my ($setting, $node_id, $address) = @$case;

		gives($setting, $node_id, 'network', $address);
	}
	my $said = refuses('10.1.0.0/16', '53400', qr/node id 589 does not fit layout/);
	like($said, qr/"flake\.node_id" is "10\.1\.0\.0\/16", read from "10\.1\.2\.77"\./,
		'an address that does not fit: detail');
	refuses('10.1.2.0/24+179', '53400', qr/node id 256 does not fit layout/);

	$said = refuses('10.1.3.0/24', 'F0000',
		qr/host has no address in the network of "flake\.node_id" = "10\.1\.3\.0\/24"$/m);
	like($said, qr/IPv4 addresses: 127\.0\.0\.1, 10\.1\.2\.77, 192\.168\.255\.2, 200\.1\.2\.130\.$/m,
		'no address: detail');
	host_is('db', '10.1.2.77', '10.1.2.78', '10.1.3.1', '10.1.2.77');
	$said = refuses('10.1.2.0/24', 'F0000',
		qr/host has more than one address in the network of "flake\.node_id" = "10\.1\.2\.0\/24"$/m);
	like($said, qr/The host's addresses in that network: 10\.1\.2\.77, 10\.1\.2\.78\.$/m,
		'several addresses: detail');
	host_is('db', '10.1.2.77', '::1', '10.1.2.77');
	gives('10.1.2.0/24', 77, 'network', '10.1.2.77');
	host_is('db', '255.255.255.254');
	refuses('0.0.0.0/0', '53400', qr/node id 4294967294 does not fit layout/);
	refuses('0.0.0.0/0+2147483647', '53400', qr/node id 6442450941 does not fit layout/);
	host_is('db', '::1');
	$said = refuses('10.1.2.0/24', 'F0000', qr/host has no address/);
	like($said, qr/The host has no IPv4 addresses\./, 'no addresses at all: detail');
	host(addresses => undef);
	refuses('10.1.2.0/24', 'F0000', qr/could not get the addresses of the host for "flake\.node_id": /);

	# two hosts with the same address of their bridge for containers
	for my $host ([ 'a', 7 ], [ 'b', 9 ])
	{
		my ($name, $node_id) = @$host;

		host_is($name, '127.0.0.1', '172.17.0.1', "10.1.2.$node_id");
		gives('10.1.2.0/24', $node_id, 'network', "10.1.2.$node_id");
	}
}

# --- in layouts of other widths

set_node_id($node, 'rubbish');
for my $layout ('time:41 sequence:12', 'time:41 shard:8=5 sequence:8')
{
	is(sqlstate($node, "SELECT flake_next_id('$layout')"), '', "$layout: needs no node id");
}
set_node_id($node, 9);
is(sqlstate($node, "SELECT flake_next_id('time:41 node:3 sequence:8')"), '53400', 'a number that fits only wider layouts');
is(sqlstate($node, 'SELECT flake_next_id()'), '', '... is in force in those');

# --- by which ways it can be set, and in force at once in sessions that run

$node->safe_psql('postgres', 'ALTER SYSTEM RESET flake.node_id');
setting_everywhere($node, 'flake.node_id', 1);
my $session = session($node);
is(ask($session, 'SELECT flake_node_id(flake_next_id())'), 1, 'a session begins with the file\'s');
set_node_id($node, 9);
is(ask($session, 'SELECT flake_node_id(flake_next_id())'), 9, 'and follows a reload');
like((ask($session, 'SET flake.node_id = 5'))[1], qr/ERROR:  55P02: /, 'SET is refused');
like((ask($session, 'SET LOCAL flake.max_clock_lead = 5'))[1], qr/ERROR:  55P02: /, 'SET LOCAL too');
like((ask($session, 'SET flake.other = 5'))[1], qr/ERROR:  42602: /, 'the prefix is reserved');
set_node_id($node, 'rubbish');
like((ask($session, 'SELECT flake_next_id()'))[1], qr/ERROR:  F0000: /, 'it follows into an error');
set_node_id($node, 9);
is(ask($session, 'SELECT flake_node_id(flake_next_id())'), 9, 'and out of it');
$session->quit;

# a reload that leaves it alone takes nothing from a session's range
my $slow = 'time:33 node:8 slot:6 sequence:10 tick=1s';
my ($before, $after);
$session = session($node);
for my $try (1 .. 10)
{
	# ten ids one by one are out of ranges that grow, the last of which is not used up
	$before = ask($session, "SELECT flake_next_id('$slow')") for 1 .. 10;
	$node->safe_psql('postgres', "ALTER SYSTEM SET work_mem = '${try}MB'");
	setting_everywhere($node, 'work_mem', "${try}MB");
	is(ask($session, 'SHOW work_mem'), "${try}MB", 'the session has reloaded');
	$after = ask($session, "SELECT flake_next_id('$slow')");
	last if $before >> 24 == $after >> 24;
}
is($after, $before + 1, 'a reload that leaves the node id alone: the range goes on');
$session->quit;

# set before the library is there, it is a name like any other, and does not count
like(
	value($node, q{SET client_min_messages = error; SET flake.node_id = '5'; SELECT flake_node_id(flake_next_id())}),
	qr/\A9\z/, 'SET before the library is loaded has no effect');

# --- rubbish in the file when the server starts, preloaded or not

for my $preload ('', 'flake')
{
	my $name = $preload ? 'preloaded' : 'not preloaded';

	$node->safe_psql('postgres', 'ALTER SYSTEM '
		  . ($preload ? "SET shared_preload_libraries = '$preload'" : 'RESET shared_preload_libraries'));
	set_node_id($node, 'rubbish');
	restart_node($node);
	my ($state, $said) = sqlstate($node, 'SELECT flake_next_id()');
	is($state, 'F0000', "rubbish in the file, $name: SQLSTATE");
	like($said, qr/invalid value for "flake\.node_id": "rubbish"/, "rubbish in the file, $name: message");
}
$node->safe_psql('postgres', 'ALTER SYSTEM RESET shared_preload_libraries');

# --- empty: a hash of the system identifier, said in the log once after each start

# Lines of the server's log about it, from that place on.
sub derived_lines
{
	my ($from) = @_;

	return grep { /LOG: .*"flake\.node_id" is not set, using node id/ }
	  split /\n/, slurp_file($node->logfile, $from);
}

set_node_id($node, '');
restart_node($node);
my $hash;
for my $start (1, 2)
{
	my $from = -s $node->logfile;

	is(value($node, 'SELECT source FROM flake_node()'), 'system identifier', "empty, start $start: the source");
	is(scalar derived_lines($from), 0, "empty, start $start: nothing in the log before the first id");

	my @session = map { session($node) } 1, 2;
	ask($_, 'SET client_min_messages = log') for @session;
	my ($first, $said) = ask($session[0], 'SELECT flake_node_id(flake_next_id())');
	my ($second, $said_later) = ask($session[1], 'SELECT flake_node_id(flake_next_id())');

	is("$said$said_later", '', "empty, start $start: nothing to clients");
	is($second, $first, "empty, start $start: the same node id everywhere");
	is(value($node, 'SELECT node_id, source, read_from FROM flake_node()'),
		"$first|system identifier|", "empty, start $start: flake_node()");
	is($first, $hash // $first, "empty, start $start: always the same");
	$hash = $first;

	my @line = derived_lines($from);
	is(scalar @line, 1, "empty, start $start: one line in the log");
	like("@line", qr/ node id $first, a hash of the system identifier$/, "empty, start $start: it names the node id");
	$_->quit for @session;
	restart_node($node);
}
my $narrow = 'time:41 node:3 sequence:8';
is(value($node, "SELECT flake_node_id(flake_next_id('$narrow'), '$narrow')"), $hash & 7, 'empty: made to fit any layout');

# --- where other servers' rows arrive it has to be set

$node->safe_psql('postgres', 'CREATE DATABASE another');
$node->safe_psql('another', 'CREATE EXTENSION flake');
$session = session($node);

for my $kind (
	[   'a subscription', <<'SQL', <<'SQL' ],
SET client_min_messages = error;
CREATE SUBSCRIPTION other CONNECTION 'dbname=postgres' PUBLICATION other WITH (connect = false);
SQL
ALTER SUBSCRIPTION other DISABLE;
ALTER SUBSCRIPTION other SET (slot_name = NONE);
DROP SUBSCRIPTION other;
SQL
	[   'a replication origin', "SELECT pg_replication_origin_create('other')",
		"SELECT pg_replication_origin_drop('other')" ])
{
	my ($what, $begin, $end) = @$kind;

	is((ask($session, 'SELECT flake_next_id()'))[1], '', "before $what: ids");
	$node->safe_psql('postgres', $begin);
	for my $database (qw(postgres another))
	{
		my ($state, $said) = sqlstate($node, 'SELECT flake_next_id()', $database);
		is($state, 'F0000', "$what, database $database: SQLSTATE");
		like($said, qr/"flake\.node_id" must be set on a server that has subscriptions or replication origins$/m,
			"$what, database $database: message");
		like($said, qr/DETAIL: .*Citus.*^HINT:  Set "flake\.node_id" to a number/ms,
			"$what, database $database: detail and hint");
	}
	like((ask($session, 'SELECT flake_next_id()'))[1], qr/ERROR:  F0000: /, "$what: open sessions too");
	is(value($node, 'SELECT source FROM flake_node()'), 'system identifier', "$what: still told");
	is(sqlstate($node, "SELECT flake_next_id('time:41 sequence:12')"), '',
		"$what: a layout that needs no node id");
	is((sqlstate($node, q{CREATE TABLE IF NOT EXISTS adopted (id bigint PRIMARY KEY);
		SELECT * FROM flake_adopt('adopted', 'id', 'time:41 sequence:12')}))[0], '', '... which a table can adopt');
	set_node_id($node, 12);
	is(ask($session, 'SELECT flake_node_id(flake_next_id())'), 12, "$what and a number: ids");
	set_node_id($node, '');
	like((ask($session, 'SELECT flake_next_id()'))[1], qr/ERROR:  F0000: /, "$what and no number again");
	$node->safe_psql('postgres', $end);
	is((ask($session, 'SELECT flake_next_id()'))[1], '', "$what no longer: ids");
}
$session->quit;

$node->stop;
done_testing();

# Builds the library that stands in for the host.  It answers from two files: the host name, and
# the addresses, one in a line.  Returns the environment that puts it in force; nothing if
# there is no compiler.
sub host_library
{
	my $library = "$dir/host.so";
	my %env = (LD_PRELOAD => $library, FLAKE_TEST_HOST => $dir);

	return \%env if -e $library;
	append_to_file("$dir/host.c", <<'C');
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *
answers(const char *name)
{
	char		path[4096];

	snprintf(path, sizeof(path), "%s/%s", getenv("FLAKE_TEST_HOST"), name);
	return fopen(path, "r");
}

int
gethostname(char *name, size_t length)
{
	FILE	   *file = answers("hostname");

	if (file == NULL || fgets(name, length, file) == NULL)
		return -1;
	name[strcspn(name, "\n")] = '\0';
	fclose(file);
	return 0;
}

int
getifaddrs(struct ifaddrs **list)
{
	FILE	   *file = answers("addresses");
	char		line[64];

	*list = NULL;
	if (file == NULL)
		return -1;
	while (fgets(line, sizeof(line), file) != NULL)
	{
		struct ifaddrs *one = calloc(1, sizeof(*one));
		struct sockaddr_storage *address = calloc(1, sizeof(*address));

		line[strcspn(line, "\n")] = '\0';
		if (strchr(line, ':') != NULL)
		{
			address->ss_family = AF_INET6;
			inet_pton(AF_INET6, line, &((struct sockaddr_in6 *) address)->sin6_addr);
		}
		else
		{
			address->ss_family = AF_INET;
			inet_pton(AF_INET, line, &((struct sockaddr_in *) address)->sin_addr);
		}
		one->ifa_addr = (struct sockaddr *) address;
		*list = one;
		list = &one->ifa_next;
	}
	fclose(file);
	return 0;
}

void
freeifaddrs(struct ifaddrs *list)
{
}
C
	my ($code, $out, $err) = run_program($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', $library, "$dir/host.c");
	return \%env if $code == 0;
	note "no library: $err";
	return;
}
