# One server, several databases: ids differ between databases, also from a copied one, and over
# an extension that is dropped and made again while sessions use it.  Promise P1: slots belong to
# the whole server (src/server/shmem.c).

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('databases');
my $dir = $node->basedir;

# of many names, one and the same layout
my $few = q{'time:41 node:4 slot:1 sequence:12'};
my $few_too = q{'time:41 rack:2 host:2 slot:1 sequence:12'};

# --- two databases, and a copy made of one while the other is busy

$node->safe_psql('postgres', 'CREATE DATABASE original');
$node->safe_psql('original', <<"SQL");
CREATE EXTENSION flake;
CREATE TABLE stored (id bigint DEFAULT flake_next_id(), few bigint DEFAULT flake_next_id($few));
INSERT INTO stored SELECT FROM generate_series(1, 20000);
SQL

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
	  [ 'flake_next_id()', 'default' ], [ "flake_next_id($few_too)", 'few' ]);

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
	} [ 'flake_next_id()', 'default' ], [ "flake_next_id($few)", 'few' ];
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

# What a statement may meet that runs meanwhile: function or extension are not there, or were looked
# up just before they went.
my $gone = qr/42883|42704|42P01|XX000: cache lookup failed for (?:function|type)/;
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

# --- as many layouts as there can be

# The n-th of many layouts.
sub layout { return "time:40 node:4 slot:1 sequence:8 tick=$_[0]ms"; }

sub refused
{
	my ($name, $layout, $database) = @_;
	my ($state, $said) = sqlstate($node, "SELECT flake_next_id('$layout')", $database);

	is($state, '53400', "$name: refused");
	like($said, qr/^DETAIL:  .* at most 256 layouts besides presets, and of 16 that were first used in the same database\./m,
		'... it says how many there can be');
	return;
}

restart_node($node);
for my $database (1 .. 16)
{
	$node->safe_psql('postgres', "CREATE DATABASE many$database TEMPLATE copied");
	$node->safe_psql("many$database", join ';', map { "SELECT flake_next_id('" . layout(16 * $database + $_) . "')" } 0 .. 15);
	refused('a 17th of one database', layout(1000), 'many1') if $database == 1;
}
refused('a 257th', layout(1000), 'postgres');
# what is there is there for all databases, by other names and with other fixed parts too
is((sqlstate($node, qq{SELECT flake_next_id('@{[ layout(16) ]}')}))[1], '', 'a layout of another database');
is((sqlstate($node, qq{SELECT flake_next_id('@{[ layout(16) =~ s/node:4/shard:3=5 host:1/r ]}')}))[1],
	'', '... with a fixed part');
is((sqlstate($node, "SELECT flake_next_id('$_')", 'many1'))[1], '', "layout \"$_\" after all others")
  for qw(flake ordered classic js wide twitter);
# also when their databases are gone
$node->safe_psql('postgres', "DROP DATABASE many$_") for 1 .. 16;
refused('a 257th, the databases dropped', layout(1000), 'postgres');
is((sqlstate($node, "SELECT flake_next_id('discord')"))[1], '', 'a built-in one, the databases dropped');

$node->stop;
done_testing();
