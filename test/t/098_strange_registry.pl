# A registry that answers what none would: its functions are replaced.  No such lease is taken, the
# one that there is goes on, and its words are shown.  What is given back begins after the ids of all
# databases.
#
# check: one major

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeLease;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

my $registry = new_registry('registry', 0, 9);
my $node = new_holder('holder', $registry, clock => 1);
my $lease_node = 'flake_lease_node(holder text, lease uuid, now bigint, until bigint, OUT node_id integer, OUT valid_from bigint, OUT valid_until bigint)';
my $renew_node = 'flake_renew_node(node integer, lease uuid, next_lease uuid, now bigint, until bigint)';
my %original = map { $_ => value($registry, "SELECT pg_get_functiondef('$_'::regproc)", 'ids') }
  qw(flake_lease_node flake_renew_node);
my $tries = 0;

# Lets a function of the registry answer so.
sub answer_with
{
	my ($function, $answer) = @_;

	value($registry, "CREATE OR REPLACE FUNCTION pg_catalog.$function LANGUAGE sql AS 'SELECT $answer'", 'ids');
	return;
}

# Ids are refused for such an answer.
sub refuses
{
	my ($name) = @_;
	my ($state, $text) = sqlstate($node, NEXT_ID);
	is($state, '55000', "$name: refused");
	like($text, qr/leases no node id\nDETAIL:  The registry says: nothing that could be read\./, '... as an answer that is none');
	return;
}

for my $case (
	[ 'no node id', 'NULL::integer, now, until' ],
	[ 'a negative node id', '-1, now, until' ],
	[ 'no beginning', '1, NULL::bigint, until' ],
	[ 'a beginning before 1970', '1, -1::bigint, until' ],
	[ 'an end before the beginning', '1, until, now' ],
	[ 'an empty interval', '1, until, until' ],
	[ 'an end past all times', '1, now, 9223372036854775807' ])
{
	answer_with($lease_node, $case->[1]);
	# with other settings the worker tries anew
	set_and_reload($node, 'flake.registry', connection($registry, connect_timeout => 5 + ++$tries));
	refuses($case->[0]);
}

# An error's words are shown as ASCII on one line; of the states one is passed on.
for my $case (
	[ 'all taken', '53400', '53400', 'none is left', 'none is left' ],
	[ 'another error', '23505', '55000', 'none is left', 'none is left' ],
	[ 'words in two lines and another encoding', '55000', '55000', 'n\\303\\266n\\n is left', 'n\?\?n  is left' ])
{
	my ($name, $raised, $expected, $message, $shown) = @$case;

	value($registry, <<"SQL", 'ids');
CREATE OR REPLACE FUNCTION pg_catalog.$lease_node LANGUAGE plpgsql AS
\$\$ BEGIN RAISE EXCEPTION USING ERRCODE = '$raised', MESSAGE = E'$message'; END \$\$
SQL
	set_and_reload($node, 'flake.registry', connection($registry, connect_timeout => 5 + ++$tries));
	my ($state, $text) = sqlstate($node, NEXT_ID);
	is($state, $expected, "$name: SQLSTATE");
	like($text, qr/DETAIL:  The registry says: $shown\./, '... and words');
}

# While it lasts, tries go on, but the log has it once, and so it is known since when.
value($registry, 'CREATE SEQUENCE tries; GRANT USAGE ON SEQUENCE tries TO ids', 'ids');
answer_with($lease_node, "-nextval(''tries'')::integer, now, until");
my $from = -s $node->logfile;
set_and_reload($node, 'flake.registry', connection($registry, connect_timeout => 5 + ++$tries));
refuses('the first try');
my $since = value($node, 'SELECT failing_since FROM flake.lease_state()');
wait_until('there were three', sub { sqlstate($node, NEXT_ID) ne '' && value($registry, 'SELECT last_value FROM tries', 'ids') >= 3 });
is(value($node, 'SELECT failing_since FROM flake.lease_state()'), $since, 'the third try fails since the first');
is(scalar(() = slurp_file($node->logfile, $from) =~ /LOG:  registry of "flake\.registry" leases no node id/g), 1, '... which the log has once');

value($registry, $original{flake_lease_node}, 'ids');
set_and_reload($node, 'flake.registry', connection($registry));
my $number = node_of($node);
is(held($registry), $number, 'a right answer is taken');

# The same of a renewal, which an id asks for that is past the end of the lease.
answer_with("$renew_node RETURNS bigint", '9223372036854775807');
set_clock($node, 3600);
refuses('a renewal past all times');
value($registry, $original{flake_renew_node}, 'ids');
set_clock($node, 0);
$node->poll_query_until('postgres', "SELECT flake_node_id(flake_next_id()) = $number") or die 'no ids';
pass('the lease that there is goes on');

# A mark that is ahead in another database than the one that was first.
value($node, 'CREATE DATABASE second');
value($node, 'CREATE EXTENSION flake', 'second');
my $mark = clock_us($node) + 20_000_000;
value($node, set_mark($mark), 'second');
is(value($node, 'SELECT flake_node_id(flake_next_id())', 'second'), $number, 'a second database has the lease, too');
next_id($node);
kill 'TERM', worker_pid($node);
$registry->poll_query_until('ids', "SELECT used_until < now() + interval '1 hour' FROM flake.nodes WHERE node_id = $number") or die;
$node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM flake.lease_state() WHERE worker IS NOT NULL)') or die;
cmp_ok(value($registry, "SELECT extract(epoch FROM used_until) * 1000000 FROM flake.nodes WHERE node_id = $number", 'ids'),
	'>', $mark, 'what is given back begins after the latest mark of all databases');

stop_node($_) for $node, $registry;
done_testing();
