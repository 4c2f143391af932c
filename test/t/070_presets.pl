# A generator of every preset, four sessions at once, up to a million ids each: all are distinct
# and in order, and each, read back under its layout, has a time within the test, the node id
# that is set and every field inside its width.  Takes several sessions and two databases
# (one may have 16 layouts), which pg_regress can't.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node_id = 3;
my $sessions = 4;

# from the source, so that a new one can't be forgotten
my $source = slurp_file("$FindBin::RealBin/../../src/core/layout_preset.c");
my @presets = $source =~ /^\t\{"([a-z0-9_]+)",/mg;
cmp_ok(scalar @presets, '>=', 20, scalar(@presets) . ' presets');

my $node = new_node('presets', conf => "flake.node_id = $node_id\n");
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION flake');

my $in_first = 12;
while (my ($i, $preset) = each @presets)
{
	my $database = $i < $in_first ? 'postgres' : 'second';
	my $name = "g_$preset";

	# a million from all sessions together, but no more than about half a second makes
	my $count = $node->safe_psql($database, <<"SQL");
SELECT flake_create_generator('$name', '$preset');
SELECT least(1000000 / $sessions, greatest(ids_per_second / 2 / $sessions, 20))::bigint
FROM flake_layout_info('$preset');
SQL
	$count =~ s/\s//g;
	my $before = $node->safe_psql($database, 'SELECT clock_timestamp()');
	my @job = map {
		{
			sql => "COPY (SELECT flake_next_ids($count, '$name')) TO STDOUT;",
			file => $node->basedir . "/$preset.$_",
			database => $database,
		}
	} 1 .. $sessions;
	is(run_sessions($node, @job), '', "$preset: $sessions sessions make $count ids each");
	is(ids_problem(map { $_->{file} } @job), '', "$preset: distinct and in order");

	# read back; a tick ahead is what a used-up tick allows, a second and two ticks the mark
	$node->safe_psql($database, 'CREATE TABLE IF NOT EXISTS ids (id bigint); TRUNCATE ids');
	$node->safe_psql($database, "\\copy ids FROM '$_->{file}'") for @job;
	is( $node->safe_psql($database, <<"SQL"), "t|t|t|t", "$preset: time, node and fields are right");
SELECT count(*) = $sessions * $count,
  bool_and(p.created_at >= '$before'::timestamptz - i.tick AND
           p.created_at <= clock_timestamp() + 2 * i.tick + interval '1 s'),
  bool_and(p.node_id = CASE WHEN i.nodes > 1 THEN $node_id ELSE 0 END),
  bool_and(p.slot < i.slots AND p.sequence >= 0 AND p.id >= 0)
FROM ids, flake_layout_info('$preset') AS i, LATERAL flake_parse(ids.id, '$preset') AS p
SQL
	is( $node->safe_psql($database, <<"SQL"), '0', "$preset: every field is inside its width");
SELECT count(*) FROM (SELECT id FROM ids LIMIT 1000) AS s, LATERAL flake_fields(id, '$preset') AS f
WHERE f.value < 0 OR f.value >= 2::numeric ^ f.bits
SQL
	unlink map { ($_->{file}, "$_->{file}.sql") } @job;
}

stop_node($node);
done_testing();
