# Every form of flake.node_id: what it gives, what it refuses, and when.
#
# pg_regress can't change the configuration file, restart the server, or give it another host
# name and other addresses; here a small library, built by the test, does.

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = new_node('node_id', start => 0, env => host_library());

sub answers
{
	my ($file, $text) = @_;

	unlink "$dir/$file";
	append_to_file("$dir/$file", $text);
	return;
}
answers(hostname => "db-3.example.org\n");
answers(addresses => "127.0.0.1\n192.168.7.9\n10.0.0.2\n");

start_node($node);
$node->safe_psql('postgres', 'CREATE EXTENSION flake');

# --- what each form gives

sub gives
{
	my ($setting, $node_id, $source) = @_;

	set_node_id($node, $setting);
	is(value($node, 'SELECT * FROM flake_node()'), "$node_id|$source", "\"$setting\": node id and source");
	is(value($node, 'SELECT flake_node_id(flake_next_id())'), $node_id, "\"$setting\": it is in the ids");
	return;
}

gives('0', 0, 'setting');
gives('255', 255, 'setting');
gives(' 7 ', 7, 'setting');
gives('hostname', 3, 'hostname');
gives('hostname+100', 103, 'hostname');
gives('hostname + 100', 103, 'hostname');

SKIP:
{
	skip 'no C compiler', 1 unless host_library();

	for my $name ('db-12', 'db12', '42', 'pg-0.pg.svc.cluster.local')
	{
		answers(hostname => "$name\n");
		my ($number) = $name =~ /(\d+)(?:\.|\z)/;
		is(value($node, 'SELECT node_id FROM flake_node()'), 100 + $number, "host name $name");
	}
	answers(addresses => "127.0.0.1\n8.8.8.8\n10.1.0.77\n192.168.0.9\n");
	gives('address', 77, 'address');
	gives('address+100', 177, 'address');
	for my $address ('172.16.0.5', '172.31.0.6', '192.168.0.8', '10.255.0.9')
	{
		answers(addresses => "172.15.0.1\n172.32.0.1\n192.169.0.1\n11.0.0.1\n$address\n");
		my ($last) = $address =~ /(\d+)\z/;
		is(value($node, 'SELECT node_id FROM flake_node()'), 100 + $last, "private address $address");
	}
}

# --- what each refuses, at its use

sub refuses
{
	my ($setting, $state, $pattern) = @_;

	set_node_id($node, $setting);
	my ($found, $said) = sqlstate($node, 'SELECT flake_next_id()');
	is($found, $state, "\"$setting\": SQLSTATE");
	like($said, $pattern, "\"$setting\": message");
	is((sqlstate($node, 'SELECT flake_node()'))[0], $state, "\"$setting\": not told either");
	return;
}

my $invalid = qr/invalid value for "flake\.node_id": .*HINT: /s;
refuses('256', '53400', qr/"256" does not fit the layout's 8 node bits.*0 to 255/s);
refuses('99999999999999999999', '53400', qr/does not fit/);
refuses($_, 'F0000', $invalid)
  for 'rubbish', '-1', '7a', '1.5', 'hostname-1', 'hostname+', 'hostname+x', 'hostnames', 'address 5';

SKIP:
{
	skip 'no C compiler', 1 unless host_library();

	answers(hostname => "db-300\n");
	refuses('hostname', '53400', qr/does not fit/);
	for my $name ('plain', 'db-3-a', 'x.example7')
	{
		answers(hostname => "$name\n");
		my ($host) = $name =~ /([^.]*)/;
		refuses('hostname', 'F0000', qr/host name "\Q$host\E" has no number at its end/);
	}
	unlink "$dir/hostname";
	refuses('hostname+1', 'F0000', qr/could not get the host name/);

	answers(addresses => "127.0.0.1\n8.8.8.8\n");
	refuses('address', 'F0000', qr/no private IPv4 address/);
	unlink "$dir/addresses";
	refuses('address', 'F0000', qr/could not get the addresses/);

	# more than the layout has bits for: cut, and said once per start
	answers(addresses => "10.9.3.77\n");
	set_node_id($node, 'address');
	for my $run (1, 2)
	{
		my $session = session($node);
		my ($id, $warning) = ask($session, 'SELECT flake_node_id(flake_next_id())');
		is($id, 77, 'a cut address');
		like($warning, qr/WARNING: .* 845 .*cut to the 8 bits/, 'a warning') if $run == 1;
		is($warning, '', 'no warning to the next session') if $run == 2;
		$session->quit;
	}
}

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
	like($said, $invalid, "rubbish in the file, $name: message");
}
$node->safe_psql('postgres', 'ALTER SYSTEM RESET shared_preload_libraries');

# --- empty: a hash of the system identifier; a warning, once after each start

set_node_id($node, '');
for my $start (1, 2)
{
	my @session = map { session($node) } 1, 2;
	my ($first, $warning) = ask($session[0], 'SELECT flake_node_id(flake_next_id())');
	my ($second, $silence) = ask($session[1], 'SELECT flake_node_id(flake_next_id())');

	like($warning, qr/WARNING: .*"flake\.node_id" is not set; using node id $first\b.*HINT: /s,
		"empty, start $start: a warning names the node id");
	is($silence, '', "empty, start $start: only one");
	is($second, $first, "empty, start $start: the same node id everywhere");
	is(value($node, 'SELECT * FROM flake_node()'), "$first|system identifier", "empty, start $start: flake_node()");
	$_->quit for @session;
	restart_node($node);
}

# --- a server that subscribes has to be given a number

$session = session($node);
unlike((ask($session, 'SELECT flake_next_id()'))[1], qr/ERROR/, 'no subscription: no error');
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = error;
CREATE SUBSCRIPTION other CONNECTION 'dbname=postgres' PUBLICATION other WITH (connect = false);
SQL
$node->safe_psql('postgres', 'CREATE DATABASE another');
$node->safe_psql('another', 'CREATE EXTENSION flake');
for my $database (qw(postgres another))
{
	my ($state, $said) = sqlstate($node, 'SELECT flake_next_id()', $database);
	is($state, 'F0000', "a subscription, database $database: SQLSTATE");
	like($said, qr/"flake\.node_id" is not set.*subscription.*HINT: /s, "a subscription, database $database: message");
}
like((ask($session, 'SELECT flake_next_id()'))[1], qr/ERROR:  F0000: /, 'a subscription: open sessions too');
set_node_id($node, 12);
is(ask($session, 'SELECT flake_node_id(flake_next_id())'), 12, 'a subscription and a number: ids');
set_node_id($node, '');
like((ask($session, 'SELECT flake_next_id()'))[1], qr/ERROR:  F0000: /, 'a subscription and no number again');
$node->safe_psql('postgres', <<'SQL');
ALTER SUBSCRIPTION other DISABLE;
ALTER SUBSCRIPTION other SET (slot_name = NONE);
DROP SUBSCRIPTION other;
SQL
is((ask($session, 'SELECT flake_next_id()'))[1], '', 'no subscription any more: ids');
$session->quit;

$node->stop;
done_testing();

# Builds the library that stands in for the host; its answers come from two files: the host name,
# and the addresses, one in a line.  Returns the environment that puts it in force; nothing if
# there is no compiler.
sub host_library
{
	my $library = "$dir/host.so";
	my %env = (LD_PRELOAD => $library, FLAKE_TEST_HOST => $dir);

	return \%env if -e $library;
	append_to_file("$dir/host.c", <<'C');
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
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
		struct sockaddr_in *address = calloc(1, sizeof(*address));

		line[strcspn(line, "\n")] = '\0';
		address->sin_family = AF_INET;
		address->sin_addr.s_addr = inet_addr(line);
		one->ifa_addr = (struct sockaddr *) address;
		one->ifa_flags = strncmp(line, "127.", 4) == 0 ? IFF_LOOPBACK : 0;
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
