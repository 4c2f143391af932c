# One server, several databases: ids differ between databases, also from a copied one, and over
# an extension that is dropped and made again while sessions use it.
#
# pg_regress stays in one database and would have to stop the other sessions for the DROP.

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('databases');
my $dir = $node->basedir;

# --- two databases, and a copy made of one while the other is busy

$node->safe_psql('postgres', 'CREATE DATABASE original');
$node->safe_psql('original', <<'SQL');
CREATE EXTENSION flake;
SELECT flake_create_generator('few', 'time:41 node:4 slot:1 sequence:12');
CREATE TABLE stored (id bigint DEFAULT flake_next_id(), few bigint DEFAULT flake_next_id('few'));
INSERT INTO stored SELECT FROM generate_series(1, 20000);
SQL
value($node, "SELECT flake_create_generator('few', 'time:41 node:4 slot:1 sequence:12')");

sub copies
{
	my ($database, $function, $name) = @_;

	return {
		database => $database,
		file => "$dir/$database.$name",
		sql => "COPY (SELECT $function FROM generate_series(1, 200)) TO STDOUT;"
	};
}

my @busy = start_load($node, map { copies('postgres', @$_) }
	  [ 'flake_next_id()', 'default' ], [ "flake_next_id('few')", 'few' ]);

load_goes_on(2_000, @busy);
# nobody may be connected to what is copied
$node->safe_psql('postgres', 'CREATE DATABASE copied TEMPLATE original');
is(value($node, 'SELECT count(*) FROM stored', 'copied'), 20_000, 'a copied database');

my @all = map {
	my $database = $_;
	map {
		my ($function, $name) = @$_;
		map {
			{   database => $database,
				file => "$dir/$database.$name.$_",
				sql => "COPY (SELECT $function FROM generate_series(1, 30000)) TO STDOUT"
			}
		} 1 .. 2;
	} [ 'flake_next_id()', 'default' ], [ "flake_next_id('few')", 'few' ];
} qw(original copied);

is(run_sessions($node, @all), '', 'sessions in the original and in the copy');
is(stop_load(@busy), '', 'and in another database at the same time');

for my $name (qw(default few))
{
	my $column = $name eq 'few' ? 'few' : 'id';
	my $before = { database => 'copied', file => "$dir/before.$name",
		sql => "COPY (SELECT $column FROM stored) TO STDOUT" };

	is(run_sessions($node, $before), '', "$name: ids stored before the copy are read");
	my @file = grep { /\.$name\b/ } map { $_->{file} } @busy, @all, $before;
	is(ids_problem(@file), '', "$name: ids of all databases are distinct and each session's in order");
}

# --- the extension dropped and made again under load

# What a statement may meet that runs meanwhile: function, extension or generator are not there,
# or the function was looked up just before it went.
my $gone = qr/42883|42704|42P01|XX000: cache lookup failed for function/;
my @load = map {
	{   file => "$dir/dropped$_",
		errors_go_on => 1,
		sql => 'COPY (SELECT flake_next_id() FROM generate_series(1, 200)) TO STDOUT;'
	}
} 1 .. 4;
# one statement all the time, which does not notice
my $long = { file => "$dir/long",
	sql => 'COPY (SELECT flake_next_id() FROM generate_series(1, 300000)) TO STDOUT;' };
$long->{sql} = "\\set ON_ERROR_STOP 0\n$long->{sql}\n" x 3;

value($node, 'SELECT flake_next_id()');
@load = start_load($node, @load);
start_sessions($node, $long);
for my $round (1 .. 15)
{
	load_goes_on(1_000, @load);
	$node->safe_psql('postgres', $round % 3
		? 'DROP EXTENSION flake CASCADE; CREATE EXTENSION flake'
		# seen by nobody, but the lock was there, and the session took ids of its own
		: 'BEGIN; DROP EXTENSION flake CASCADE; CREATE EXTENSION flake; SELECT flake_next_id(); ROLLBACK');
}
load_goes_on(1_000, @load);

my $said = stop_load(@load) . finish_sessions($long);
my @unexpected = grep { /ERROR|FATAL|PANIC/ && !/$gone/ } split /\n/, $said;
is("@unexpected", '', 'dropped and made again: only errors that say what is missing');
is(ids_problem(map { $_->{file} } @load, $long), '',
	"dropped and made again: ids are distinct and each session's in order");

$node->stop;
done_testing();
