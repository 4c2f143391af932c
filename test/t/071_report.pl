# What flake_check() finds where it takes another kernel, a subscription or another clock, and
# the lines in the server's log: each event is said once, whoever sees it.

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

# A kernel that says of its clock what a file says: "<state> <status> <estimated error in us>".
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
	int			state = 0;
	int			status = 0;
	long		error = 0;

	memset(t, 0, sizeof(*t));
	if (f == NULL || fscanf(f, "%d %d %ld", &state, &status, &error) != 3)
		abort();
	fclose(f);
	t->status = status;
	t->esterror = error;
	t->maxerror = 1000000;
	return state;
}
C
my ($code, $out, $err) = run_program('cc', '-shared', '-fPIC', '-o', "$directory/adjtimex.so",
	"$directory/adjtimex.c");
is($code, 0, 'the other kernel compiles') or diag($err);

sub kernel_says
{
	my ($status, $error, $state) = @_;
	unlink $kernel;
	append_to_file($kernel, ($state // 0) . " $status $error\n");
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
	conf => "flake.node_id = 5\nflake.max_clock_lead = 1min\nwal_level = logical\n");

sub findings
{
	return $node->safe_psql('postgres',
		"SELECT severity, what FROM flake_check() ORDER BY what");
}

is(findings(), '', 'nothing to find');
next_id($node);
is(findings(), '', 'nothing to find after the first id');

# the kernel's clock
use constant STA_UNSYNC => 0x40;
kernel_says(STA_UNSYNC, 20);
is(findings(), 'warning|the clock is not synchronized', 'not synchronized');
use constant TIME_ERROR => 5;
kernel_says(0, 20, TIME_ERROR);
is(findings(), 'warning|the clock is not synchronized', 'nor in an error state');
kernel_says(STA_UNSYNC, 250_000, -1);
is(findings(), '', 'a kernel that does not say');
is(value($node, 'SELECT * FROM flake.kernel_clock()'), '|', '... is NULL');
kernel_says(0, 99_000);
is(findings(), '', 'a small error');
kernel_says(0, 250_000);
is(findings(), 'warning|the clock may be wrong by 0.250 seconds', 'estimated error');
kernel_says(0, 20);
is(findings(), '', 'right again');

# a node id that does not fit, can't be read, or is derived: why, as flake_next_id() says it
value($node, 'CREATE TABLE adopted (id bigint)');

sub is_refused
{
	my ($name, $what) = @_;
	like(findings(), qr/^error\|$what/, "$name: found");
	my $said = value($node, <<'SQL');
SELECT problem || coalesce(E'\nDETAIL:  ' || detail, '') || coalesce(E'\nHINT:  ' || hint, '') FROM flake.node_state('flake')
SQL
	for my $call (NEXT_ID, q{SELECT flake_adopt('adopted', 'id')}, q{SELECT * FROM flake_prefixed('x')})
	{
		my (undef, $message) = sqlstate($node, $call);
		like($message, qr/ERROR:  [0-9A-Z]{5}: $what/, "... as refused by $call");
		like($message, qr/ERROR:  [0-9A-Z]{5}: \Q$said\E$/m, "... in the words of the report");
	}
	return;
}

set_node_id($node, '256');
is_refused('too large', 'node id 256 does not fit layout "flake"');
set_node_id($node, 'nobody-#');
is_refused('another host', 'host name ".*" does not match "flake\.node_id" = "nobody-#"');
set_node_id($node, '');
my $derived = qr/^warning\|node id \d+ is derived from the system identifier\|/;
sub derived
{
	my ($name, $why) = @_;

	like($node->safe_psql('postgres', 'SELECT severity, what, why FROM flake_check()'), qr/$derived$why/, $name);
	return;
}
derived('derived', 'Another server');
$node->safe_psql('postgres', 'CREATE PUBLICATION p');
derived('derived, with a publication', 'This server takes part in logical replication');
$node->safe_psql('postgres', 'DROP PUBLICATION p');
$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
derived('derived, with a logical slot', 'This server takes part in logical replication');
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('s')");
$node->safe_psql('postgres',
	"CREATE SUBSCRIPTION s CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false)");
is_refused('derived, with a subscription', '"flake\.node_id" must be set on a server that has subscriptions');
$node->safe_psql('postgres', 'ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s');
set_node_id($node, '5');
is(findings(), '', 'a number: nothing to find');

# the log: a reload that changes the node id, seen by several sessions
my @session = map { session($node) } 1 .. 3;
ask($_, NEXT_ID) for @session;
my $from = -s $node->logfile;
set_node_id($node, '9');
ask($_, NEXT_ID) for @session;
my @lines = slurp_file($node->logfile, $from) =~ /LOG: .*node id changed from (\d+) to (\d+)/g;
is("@lines", '5 9', 'a changed node id is said once');

# the log: steps of the clock, by more than the seconds that a slow machine takes to look
$from = -s $node->logfile;
set_clock($node, -30);
ask($_, NEXT_ID) for @session, @session;
@lines = slurp_file($node->logfile, $from) =~ /LOG: .*clock stepped (\w+) by (29|30)\.\d+ seconds/g;
is($lines[0], 'back', 'a step back is said');
is(scalar @lines, 2, 'once');
like(findings(), qr/^warning\|ids of layout "flake" under node id 9 are \d{1,2}\.\d{3} seconds ahead of the clock$/,
	'ids ahead');
$from = -s $node->logfile;
set_clock($node, 0);
ask($_, NEXT_ID) for @session, @session;
@lines = slurp_file($node->logfile, $from) =~ /LOG: .*clock stepped (\w+) by/g;
is("@lines", 'forward', 'a step forward is said once');
is($node->safe_psql('postgres', 'SELECT DISTINCT clock_steps FROM flake.layouts'), '2', 'and both are counted');

$from = -s $node->logfile;
for my $offset (0.5, 0)
{
	set_clock($node, $offset);
	ask($_, NEXT_ID) for @session;
}
unlike(slurp_file($node->logfile, $from), qr/clock stepped/, 'half a second is no step');

# a clock that is behind by more than is allowed: an error, and how to go on
ask($session[0], NEXT_ID);
set_clock($node, -120);
like(findings(), qr/^error\|ids of layout "flake" under node id 9 are \d+\.\d{3} seconds ahead of the clock$/m,
	'ids refused');
my ($lead) = $node->safe_psql('postgres', "SELECT what_to_do FROM flake_check() WHERE what LIKE 'ids of layout%'") =~
  /raise flake\.max_clock_lead to (\d+) s/;
ok($lead > 60 && $lead <= 121, "and the lead that would do, $lead s");
is(sqlstate($node, NEXT_ID), '55000', 'they are');
set_node_id($node, '10');
cmp_ok(id_us(next_id($node)), '<', clock_us($node) + 1_100_000, 'a new node id has true times');
is(findings() =~ s/\d+\.\d{3}/N/r, 'error|the durable mark is N seconds ahead of the clock',
	'and only what a start would find is found');
set_clock($node, 0);
set_node_id($node, '9');

# the log: a mark ahead of the clock at the start, by more than it always is
$_->quit for @session;
$from = -s $node->logfile;
restart_node($node, 'immediate');
next_id($node);
unlike(slurp_file($node->logfile, $from), qr/durable mark is/, 'a mark within a second is not said');
stop_node($node);
set_clock($node, -30);
$from = -s $node->logfile;
start_node($node);
next_id($node) for 1 .. 2;
@lines = slurp_file($node->logfile, $from) =~ /LOG: .*durable mark is \d+\.\d+ seconds ahead of the clock/g;
is(scalar @lines, 1, 'a mark ahead of the clock is said once');

stop_node($node);
done_testing();
