# What flake_check() finds where it takes another kernel, a subscription or another clock, and
# the lines in the server's log: each event is said once, whoever sees it.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

# A kernel that says of its clock what a file says: "<status> <estimated error in us>".
# an absolute path: the server runs in its data directory
my $directory = PostgreSQL::Test::Utils::tempdir_short();
my $kernel = "$directory/kernel";
append_to_file("$directory/adjtimex.c", <<'C');
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
int
adjtimex(struct timex *t)
{
	FILE	   *f = fopen(getenv("FLAKE_TEST_KERNEL"), "r");
	int			status = 0;
	long		error = 0;

	memset(t, 0, sizeof(*t));
	if (f == NULL || fscanf(f, "%d %ld", &status, &error) != 2)
		abort();
	fclose(f);
	t->status = status;
	t->esterror = error;
	return TIME_OK;
}
C
my ($code, $out, $err) = run_program('cc', '-shared', '-fPIC', '-o', "$directory/adjtimex.so",
	"$directory/adjtimex.c");
is($code, 0, 'the other kernel compiles') or diag($err);

sub kernel_says
{
	my ($status, $error) = @_;
	unlink $kernel;
	append_to_file($kernel, "$status $error\n");
	return;
}

kernel_says(0, 20);
my $node = new_node(
	'report',
	clock => 1,
	env => {
		FLAKE_TEST_KERNEL => $kernel,
		LD_PRELOAD => "$directory/adjtimex.so",
	},
	conf => "flake.node_id = 5\nwal_level = logical\n");

sub findings
{
	return $node->safe_psql('postgres',
		"SELECT severity, what FROM flake_check() ORDER BY what");
}

is(findings(), '', 'nothing to find');
$node->safe_psql('postgres', 'SELECT flake_next_id()');
is(findings(), '', 'nothing to find after the first id');

# the kernel's clock
use constant STA_UNSYNC => 0x40;
kernel_says(STA_UNSYNC, 20);
is(findings(), 'warning|the clock is not synchronized', 'not synchronized');
kernel_says(0, 250_000);
is(findings(), 'warning|the clock may be wrong by 0.250 seconds', 'estimated error');
kernel_says(0, 20);
is(findings(), '', 'right again');

# a node id that does not fit, and one that is derived beside logical replication
set_node_id($node, '256');
is(findings(), 'error|node id does not fit the layout of generator "default"', 'too large');
is($node->safe_psql('postgres', 'SELECT node_id IS NULL FROM flake_generators'), 't',
	'and shown as none');
set_node_id($node, '');
is(findings(), '', 'derived, alone');
$node->safe_psql('postgres', 'CREATE PUBLICATION p');
like(findings(), qr/^warning\|node id \d+ is derived from the system identifier, but/, 'derived, with a publication');
$node->safe_psql('postgres', 'DROP PUBLICATION p');
$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
like(findings(), qr/^warning\|node id \d+ is derived/, 'derived, with a logical slot');
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('s')");
$node->safe_psql('postgres',
	"CREATE SUBSCRIPTION s CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false)");
like(findings(), qr/^warning\|node id \d+ is derived/, 'derived, with a subscription');
$node->safe_psql('postgres', 'ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s');
set_node_id($node, '5');

# the log: a reload that changes the node id, seen by several sessions
my @session = map { session($node) } 1 .. 3;
ask($_, 'SELECT flake_next_id()') for @session;
my $from = -s $node->logfile;
set_node_id($node, '9');
ask($_, 'SELECT flake_next_id()') for @session;
my @lines = slurp_file($node->logfile, $from) =~ /LOG: .*node id changed from (\d+) to (\d+)/g;
is("@lines", '5 9', 'a changed node id is said once');

# the log: steps of the clock
$from = -s $node->logfile;
set_clock($node, -2);
ask($_, 'SELECT flake_next_id()') for @session, @session;
@lines = slurp_file($node->logfile, $from) =~ /LOG: .*clock stepped (\w+) by ([12])\.\d+ seconds/g;
is($lines[0], 'back', 'a step back is said');
is(scalar @lines, 2, 'once');
like(findings(), qr/^warning\|ids of generator "default" are [12]\.\d{3} seconds ahead of the clock$/, 'ids ahead');
$from = -s $node->logfile;
set_clock($node, 0);
ask($_, 'SELECT flake_next_id()') for @session, @session;
@lines = slurp_file($node->logfile, $from) =~ /LOG: .*clock stepped (\w+) by/g;
is("@lines", 'forward', 'a step forward is said once');
is($node->safe_psql('postgres', 'SELECT clock_steps FROM flake_generators'), '2', 'and both are counted');

# the log: a mark ahead of the clock at the start
$_->quit for @session;
stop_node($node);
set_clock($node, -4);
$from = -s $node->logfile;
start_node($node);
$node->safe_psql('postgres', 'SELECT flake_next_id()') for 1 .. 2;
@lines = slurp_file($node->logfile, $from) =~ /LOG: .*durable mark is \d+\.\d+ seconds ahead of the clock/g;
is(scalar @lines, 1, 'a mark ahead of the clock is said once');

stop_node($node);
done_testing();
