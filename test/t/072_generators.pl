# Generators beside running statements, and layouts through dump and restore: a generator that
# is dropped and made again under a statement that uses it repeats nothing, and a table with a
# generated column, an expression index, partitions and a check that read ids comes back whole.
# pg_regress has one session and no dump.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('generators');
my $dir = $node->basedir;

# Three sessions use two generators of one layout in long statements and short ones, and also
# the default generator, whose layout is the same; a fourth drops and makes them again and again.
my $layout = 'time:41 shard:8 slot:6 sequence:8';
$node->safe_psql('postgres', "SELECT flake_create_generator(g, '$layout') FROM unnest(ARRAY['a', 'b']) AS g");
my @user = map {
	{
		file => "$dir/ids.$_->[0]",
		errors_go_on => 1,
		sql => "COPY (SELECT pg_backend_pid(), $_->[1] FROM generate_series(1, 5000)) TO STDOUT;\n",
	}
} ([ 1, "flake_next_id('a')" ], [ 2, "flake_next_id('b')" ], [ 3, 'flake_next_id()' ]);
start_load($node, @user);
load_goes_on(5_000, @user);
my $maker = session($node);
for my $round (1 .. 20)
{
	for my $name ('a', 'b')
	{
		ask($maker, "SELECT flake_drop_generator('$name')");
		ask($maker, "SELECT flake_create_generator('$name', '$layout')");
	}
}
$maker->quit;
load_goes_on(5_000, @user);
my $errors = stop_load(@user);
my @strange = grep { /ERROR/ && !/42704: generator "[ab]" does not exist/ } split /\n/, $errors;
is("@strange", '', 'no error but that a generator is missing for a moment');
is(ids_problem(map { $_->{file} } @user), '', 'ids of generators of one layout never meet');

# In one transaction, rolled back: as if it had not been.
my $session = session($node);
my $first = ask($session, "SELECT flake_next_id('a')");
ask($session, "BEGIN; SELECT flake_drop_generator('a'); SELECT flake_create_generator('a', 'js')");
cmp_ok(ask($session, "SELECT flake_next_id('a')"), '<', 2**53, 'the new layout inside');
ask($session, 'ROLLBACK');
cmp_ok(ask($session, "SELECT flake_next_id('a')"), '>', $first, 'the old one after');
$session->quit;

# Everything that IMMUTABLE promises, dumped and restored.
$node->safe_psql('postgres', <<'SQL');
SELECT flake_create_generator('default', 'wide');
CREATE TABLE event (
	id bigint PRIMARY KEY DEFAULT flake_next_id('a'),
	created timestamptz GENERATED ALWAYS AS (flake_timestamp(id, 'flake')) STORED,
	label text GENERATED ALWAYS AS (flake_format(id, 'EV_', 3, 'base32')) STORED,
	CHECK (flake_node_id(id, 'flake') = 1)
) PARTITION BY RANGE (id);
CREATE TABLE event_early PARTITION OF event FOR VALUES
	FROM (flake_min_id('2025-01-01 00:00+00', 'flake')) TO (flake_min_id('2026-01-01 00:00+00', 'flake'));
CREATE TABLE event_late PARTITION OF event FOR VALUES
	FROM (flake_min_id('2026-01-01 00:00+00', 'flake')) TO (flake_max_id('2090-01-01 00:00+00', 'flake'));
CREATE INDEX ON event (flake_unix_ms(id, 'flake'));
CREATE TABLE described (name text, layout flake_layout);
INSERT INTO described VALUES ('t', 'twitter'), ('x', 'time:30 a:3 slot:2 b:4 sequence:5 epoch=-5 tick=7us');
INSERT INTO event (id) SELECT flake_next_ids(500, 'a');
INSERT INTO event (id) VALUES (flake_min_id('2025-06-01 00:00+00', 'flake') | (1 << 14));
SQL
my $image = q{SELECT md5(string_agg(e::text, ',' ORDER BY id)) FROM event AS e
	UNION ALL SELECT string_agg(g::text, ',' ORDER BY name) FROM flake_generator AS g
	UNION ALL SELECT string_agg(d::text, ',' ORDER BY name) FROM described AS d};
my $before = $node->safe_psql('postgres', $image);
$node->command_ok(
	[ 'pg_dump', '-Fc', '-f', "$dir/dump", '-d', $node->connstr('postgres') ], 'dumped');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok(
	[ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copy'), "$dir/dump" ], 'restored');
is($node->safe_psql('copy', $image), $before, 'the same rows, generators and layouts');
is($node->safe_psql('copy', 'SELECT flake_slot(flake_next_id()) >= 0 AND flake_generator_layout(\'default\')::text LIKE \'time:41 node:6 %\''),
	't', 'the overridden default came along');
like(
	$node->safe_psql('copy',
		"EXPLAIN (COSTS OFF) SELECT * FROM event WHERE id < flake_min_id('2025-12-01 00:00+00', 'flake')"),
	qr/event_early/, 'a range of time is a partition');
unlike(
	$node->safe_psql('copy',
		"EXPLAIN (COSTS OFF) SELECT * FROM event WHERE id < flake_min_id('2025-12-01 00:00+00', 'flake')"),
	qr/event_late/, 'and the others are pruned');
# both databases go on, and their ids differ
my @copy = map { { file => "$dir/copy.$_", database => $_, sql => "COPY (SELECT flake_next_ids(20000, 'a')) TO STDOUT;" } }
  ('postgres', 'copy');
is(run_sessions($node, @copy), '', 'both go on');
is(ids_problem(map { $_->{file} } @copy), '', 'with ids that differ');

stop_node($node);
done_testing();
