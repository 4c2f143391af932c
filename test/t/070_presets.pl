# Ids by every preset, and by layouts with fixed parts, four sessions at once, up to a million
# ids each: all are distinct and in order, and each, read back under its layout, has a time
# within the test, the right node id and every field inside its width.  Takes several sessions,
# which pg_regress can't.
#
# check: one major

use strict;
use warnings FATAL => 'all';

use FindBin;
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

# the node id that is read, where it is not simply the server's
my %read = (
	'mastodon' => 0,
	'time:41 seed:5=31 pid:5 sequence:12' => 31 * 32 + $node_id,
	'time:41 seed:5 slot:3 sequence:9 pid:5=31' => $node_id * 32 + 31,
	'time:40 shard:13=5 sequence:10' => 5);

my $node = new_node('presets', conf => "flake.node_id = $node_id\n");
$node->safe_psql('postgres', 'CREATE TABLE ids (id bigint)');

for my $layout (@presets, grep { /:/ } sort keys %read)
{
	my $node_read = $read{$layout} // $node_id;
	my $file = $node->basedir . '/' . $layout =~ s/\W/_/gr;

	# a million from all sessions together, but no more than about half a second makes
	my $count = $node->safe_psql('postgres', <<"SQL");
SELECT least(1000000 / $sessions, greatest(ids_per_second / 2 / $sessions, 20))::bigint
FROM flake_layout_info('$layout')
SQL
	my $before = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
	my @job = map {
		{
			sql => "COPY (SELECT flake_next_ids($count, '$layout')) TO STDOUT;",
			file => "$file.$_"
		}
	} 1 .. $sessions;
	is(run_sessions($node, @job), '', "$layout: $sessions sessions make $count ids each");
	is(ids_problem(map { $_->{file} } @job), '', "$layout: distinct and in order");

	# read back; a tick ahead is what a used-up tick allows, a second and two ticks the mark
	$node->safe_psql('postgres', 'TRUNCATE ids');
	$node->safe_psql('postgres', "\\copy ids FROM '$_->{file}'") for @job;
	is( $node->safe_psql('postgres', <<"SQL"), "t|t|t|t", "$layout: time, node and fields are right");
SELECT count(*) = $sessions * $count,
  bool_and(p.created_at >= '$before'::timestamptz - i.tick AND
           p.created_at <= clock_timestamp() + 2 * i.tick + interval '1 s'),
  bool_and(p.node_id = $node_read),
  bool_and(p.slot < i.slots AND p.sequence >= 0 AND id >= 0)
FROM ids, flake_layout_info('$layout') AS i, LATERAL flake_parse(id, '$layout') AS p
SQL
	is( $node->safe_psql('postgres', <<"SQL"), '0', "$layout: every field is inside its width");
SELECT count(*) FROM (SELECT id FROM ids LIMIT 1000) AS s, LATERAL flake_fields(id, '$layout') AS f
WHERE f.value < 0 OR f.value >= 2::numeric ^ f.bits
SQL
	unlink map { ($_->{file}, "$_->{file}.sql") } @job;
}

stop_node($node);
done_testing();
