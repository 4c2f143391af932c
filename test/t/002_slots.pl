# Slots that sessions share at once and one after the other: more sessions than slots, layouts
# of two and no slots, and sessions that take one id and leave.  Promises P1 and P2
# (src/core/lanes.c).
#
# check: one major

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('slots', conf => 'max_connections = 110');
my $dir = $node->basedir;

sub take
{
	my ($sessions, $ids, $function) = @_;

	return map {
		{   file => "$dir/session$_",
			sql => "COPY (SELECT $function FROM generate_series(1, $ids) g) TO STDOUT"
		}
	} 1 .. $sessions;
}

sub distinct_and_in_order
{
	my ($name, @job) = @_;
	my @file = map { $_->{file} } @job;

	is(run_sessions($node, @job), '', "$name: all sessions came to their end");
	is(ids_problem(@file), '', "$name: ids are distinct and each session has its in order");
	unlink @file;
	return;
}

distinct_and_in_order('80 sessions, 64 slots', take(80, 5_000, 'flake_next_id()'));

# Few slots: every range is taken from a word that others move at the same moment.
my $two = q{'time:41 node:4 slot:1 sequence:16'};
my $one = q{'time:41 node:4 sequence:16'};
distinct_and_in_order('16 sessions, two slots', take(16, 60_000, "flake_next_id($two)"));
distinct_and_in_order('16 sessions, one word', take(16, 60_000, "flake_next_id($one)"));

# Sets of ids take as many of a slot at once as they need.
distinct_and_in_order('sets of ids',
	take(8, 200, "flake_next_ids(g * 2, $two)"),
	map { { %$_, file => "$_->{file}.single" } } take(8, 20_000, "flake_next_id($two)"));

# Without slot bits ids increase across sessions: what one takes after another has its id is larger.
my @session = map { session($node) } 1 .. 3;
my @id = map { scalar ask($session[ $_ % 3 ], "SELECT flake_next_id($one)") } 1 .. 90;
is_deeply(\@id, [ sort { $a <=> $b } @id ], 'one word: ids increase across sessions');
$_->quit for @session;

# Sessions that don't collide share the lowest slot, and then the next one: ids are in the order in
# which they are asked for, and none of a tick's numbers is left out.
my $seconds = q{'time:36 node:4 slot:2 sequence:2 tick=1s'};
my %number;
@session = map { session($node) } 1 .. 5;
@id = map { scalar ask($session[ $_ % 5 ], "SELECT flake_next_id($seconds)") } 1 .. 60;
is_deeply(\@id, [ sort { $a <=> $b } @id ], 'shared slots: ids increase across sessions');
push @{ $number{ $_ >> 8 } }, $_ & 15 for @id;
is_deeply($number{$_}, [ 0 .. $#{ $number{$_} } ], "shared slots: no number of tick $_ is left out")
  for sort keys %number;
$_->quit for @session;

# A range that needs more than its slot has left passes it over; what is left there then comes
# before that range and is not for this session.
my $coarse = q{'time:36 node:4 slot:4 sequence:4 tick=1s'};
my $session = session($node);
@id = map { split /[|\n]/, scalar ask($session, $_) } (
	"SELECT flake_next_id($coarse)",
	"SELECT first_id, last_id FROM flake_reserve(10, $coarse)",
	"SELECT first_id, last_id FROM flake_reserve(10, $coarse)",
	"SELECT flake_next_id($coarse)",
	"SELECT flake_next_ids(3, $coarse)") x 4;
is(scalar(@id), 4 * 9, 'single ids, sets and reserved ranges');
is(scalar(grep { $id[$_] <= $id[ $_ - 1 ] } 1 .. $#id), 0, 'they increase in one session');
$session->quit;

# Sessions that take one id and leave; the next one on the slot goes on after it.
$node->safe_psql('postgres', 'CREATE UNLOGGED TABLE taken (process int, id bigint)');
is( run_pgbench($node, <<'SQL', '-C', '-c', 8, '-j', 2, '-t', 250),
INSERT INTO taken VALUES (pg_backend_pid(), flake_next_id());
SQL
	'', 'sessions of one id each');
cmp_ok(value($node, 'SELECT count(DISTINCT process) FROM taken'), '>=', 500,
	'they were many processes');
is(run_sessions($node, { file => "$dir/taken", sql => 'COPY (SELECT id FROM taken) TO STDOUT' }),
	'', 'their ids are read');
is(count_lines("$dir/taken"), 2_000, 'there are 2,000');
is(ids_problem({ order => 0 }, "$dir/taken"), '', 'sessions of one id each: ids are distinct');

$node->stop;
done_testing();
