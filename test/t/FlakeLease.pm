# Registries of node ids and servers that lease from them, for the tests of leases.
package FlakeLease;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_registry connection new_holder held worker_pid set_and_reload node_of);

# A running server with a registry of such node ids in database ids, and a role ids that may lease
# there.  Options are those of new_node().
sub new_registry
{
	my ($name, $first, $last, %option) = @_;
	my $node = new_node($name, %option, extension => 0, conf => "fsync = on\n" . ($option{conf} // ''));

	value($node, 'CREATE DATABASE ids');
	value($node, <<"SQL", 'ids');
CREATE EXTENSION flake_registry CASCADE;
SELECT flake_create_nodes($first, $last, never_used => true);
CREATE ROLE ids LOGIN;
GRANT EXECUTE ON FUNCTION flake_lease_node, flake_renew_node, flake_release_node TO ids;
GRANT USAGE ON SCHEMA flake TO ids;
GRANT SELECT ON flake.nodes TO ids;
SQL
	return $node;
}

# The connection string to it.
sub connection
{
	my ($registry, %other) = @_;
	my %part = (host => $registry->host, port => $registry->port, dbname => 'ids', user => 'ids', %other);

	return join ' ', map { "$_=$part{$_}" } sort keys %part;
}

# PostgreSQL 15 starts workers in a signal handler, which interrupts the postmaster's select().
# libfaketime fakes nothing while it is in its own select(), and a worker that is forked then would
# have the true clock for ever.
use constant OWN_SELECT => <<'C';
#define _GNU_SOURCE
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int
select(int n, fd_set *readable, fd_set *writable, fd_set *except, struct timeval *timeout)
{
	struct timespec time;

	if (timeout != NULL)
	{
		time.tv_sec = timeout->tv_sec;
		time.tv_nsec = timeout->tv_usec * 1000;
	}
	return syscall(SYS_pselect6, n, readable, writable, except, timeout != NULL ? &time : NULL, NULL);
}
C
my $own_select;

# A running server that leases from a registry, or from those of a list of connection strings.
# Options are those of new_node().
sub new_holder
{
	my ($name, $registry, %option) = @_;
	my @registry = ref $registry eq 'ARRAY' ? @$registry : connection($registry);
	my $conf = "cluster_name = '$name'\nflake.node_id = 'lease'\n";

	$conf .= "flake.registry = '$registry[0]'\n" if @registry > 0;
	$conf .= "flake.registry_2 = '$registry[1]'\n" if @registry > 1;
	$option{env}{LD_PRELOAD} = $own_select //= compile_library('select', OWN_SELECT) if $option{clock};
	return new_node($name, %option, conf => $conf . ($option{conf} // ''));
}

# The node ids that the registry holds for such a holder, by comma; of all if none is named.
sub held
{
	my ($registry, $holder) = @_;
	my $whose = defined $holder ? "AND holder = '$holder'" : '';

	return value($registry,
		"SELECT string_agg(node_id::text, ',' ORDER BY node_id) FROM flake.nodes WHERE state = 'held' $whose",
		'ids');
}

# The lease worker's process; 0 if there is none.
sub worker_pid
{
	my ($node) = @_;

	return value($node, 'SELECT coalesce((SELECT worker FROM flake.lease_state()), 0)');
}

# ALTER SYSTEM, and a reload that new sessions have noticed.
sub set_and_reload
{
	my ($node, $name, $value) = @_;

	$node->safe_psql('postgres', "LOAD 'flake'; ALTER SYSTEM SET $name = '$value'");
	return setting_everywhere($node, $name, $value);
}

# The node id of an id that is made now.
sub node_of
{
	my ($node) = @_;

	return value($node, 'SELECT flake_node_id(flake_next_id())');
}

1;
