# doc/spread.md: postgres_fdw and PL/Proxy between three servers, and what logical decoding shows.
# The page's examples are run as they stand, but for the hosts' names.

use strict;
use warnings FATAL => 'all';

use FindBin;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my @shard = map { new_node("shard_$_", extension => 0, conf => "flake.node_id = $_\n") } 0, 1;
my $front = new_node('front', extension => 0, conf => "flake.node_id = 2\n",
	init => [ allows_streaming => 'logical' ]);

if (!value($front, q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'}))
{
	stop_node($_) for $front, @shard;
	plan skip_all => 'postgres_fdw is not installed';
}
for my $node (@shard, $front)
{
	value($node, 'CREATE DATABASE shop');
}
my $has_plproxy = value($front, q{SELECT count(*) FROM pg_available_extensions WHERE name = 'plproxy'});

# Here the hosts are told apart by their ports.
sub with_hosts
{
	my ($sql) = @_;

	$sql =~ s/host '(db-(\d)\.example)'/"host '" . $shard[$2]->host . "', port '" . $shard[$2]->port . "'"/ge;
	$sql =~ s/host=db-(\d)\.example/'host=' . $shard[$1]->host . ' port=' . $shard[$1]->port/ge;
	return $sql;
}

my $page = slurp_file("$FindBin::RealBin/../../doc/spread.md");
for my $section (split /^(?=## )/m, $page)
{
	my ($title) = $section =~ /^## (.*)/;
	my $number = 0;

	SKIP:
	{
		skip 'PL/Proxy is not installed', 1 if ($title // '') eq 'PL/Proxy' && !$has_plproxy;
		while ($section =~ /^```sql( shards)?\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/msg)
		{
			my ($where, $example, $expected) = ($1, with_hosts($2), $3);

			$number++;
			for my $node ($where ? @shard : $front)
			{
				my ($status, $out, $err) = printed($node, $example, 'shop');

				is($status, 0, "$title: example $number runs on " . $node->name) or diag("$example\n$err");
				is($out, $expected =~ s/[ \n]+$//mgr, '... and gives what the page shows') if defined $expected;
			}
		}
	}
}

# --- postgres_fdw

use constant TEA => q{FROM orders WHERE item = 'tea'};
my ($first, $second) = map { value($_, 'SELECT count(*) ' . TEA, 'shop') } @shard;
cmp_ok($first, '>', 4500, 'foreign partitions: rows are spread');
is($first + $second, 10_000, '... and all there');
like(value($front, 'EXPLAIN (VERBOSE, COSTS off) SELECT count(*) FROM orders WHERE flake_node_id(id) = 2', 'shop'),
	qr/Remote SQL: .*flake_node_id\(id/, 'a condition that takes ids apart is sent');
unlike(value($front, 'EXPLAIN (VERBOSE, COSTS off) UPDATE orders_0 SET id = flake_next_id() WHERE id < flake_next_id()', 'shop'),
	qr/Remote SQL: .*flake_next_id/, 'making ids is not');
value($front, q{UPDATE orders_0 SET item = 'renamed', id = flake_next_id() WHERE id IN (SELECT id FROM orders_0 LIMIT 10)}, 'shop');
is(value($shard[0], q{SELECT count(DISTINCT id), min(flake_node_id(id)), max(flake_node_id(id)) FROM orders WHERE item = 'renamed'}, 'shop'),
	'10|2|2', '... not in an UPDATE either');
is(value($front, q{
	CREATE SCHEMA imported;
	IMPORT FOREIGN SCHEMA public FROM SERVER db_0 INTO imported;
	SELECT string_agg(relname, ',') FROM pg_class WHERE relnamespace = 'imported'::regnamespace}, 'shop'),
	'orders', 'IMPORT FOREIGN SCHEMA brings nothing of flake');

# --- PL/Proxy

SKIP:
{
	skip 'PL/Proxy is not installed', 1 unless $has_plproxy;

	my @milk = map { value($_, q{SELECT count(*), count(*) FILTER (WHERE flake_node_id(id) = 2) FROM orders WHERE item = 'milk'}, 'shop') } @shard;
	cmp_ok((split /\|/, $milk[$_])[0], '>', 20, "by the hash: rows on shard $_") for 0, 1;
	for my $n (0, 1)
	{
		is(value($shard[$n], "SELECT count(*) FROM orders WHERE item = 'milk' AND flake_shard(id, 2) <> $n", 'shop'), 0,
			"by the hash: shard $n has its own");
	}
	is(value($front, q{SELECT count(*) FILTER (WHERE get_order(new_order('x' || n)) = 'x' || n) FROM generate_series(1, 100) AS n}, 'shop'),
		100, 'by the node id: every row is found');
	for my $n (0, 1)
	{
		is(value($shard[$n], q{SELECT count(*) > 10, min(flake_node_id(id)), max(flake_node_id(id)) FROM orders WHERE item LIKE 'x%'}, 'shop'),
			"t|$n|$n", "by the node id: shard $n made its own ids");
	}
}

# --- logical decoding

value($front, q{SELECT pg_create_logical_replication_slot('slot', 'test_decoding')}, 'shop');
value($front, q{CREATE TABLE local (id bigint PRIMARY KEY DEFAULT flake_next_id())}, 'shop');
my $moves = value($front, q{SELECT mark_moves FROM flake.mark_state()}, 'shop');
value($front, q{INSERT INTO local DEFAULT VALUES; SELECT pg_sleep(1.2); INSERT INTO local DEFAULT VALUES}, 'shop');
cmp_ok(value($front, q{SELECT mark_moves FROM flake.mark_state()}, 'shop'), '>', $moves, 'the mark has moved');
my $changes = value($front, q{SELECT string_agg(data, ' ') FROM pg_logical_slot_get_changes('slot', NULL, NULL)}, 'shop');
like($changes, qr/table public\.local: INSERT.*table public\.local: INSERT/, 'logical decoding shows the rows');
unlike($changes, qr/mark|flake/, '... and nothing of flake');

stop_node($_) for $front, @shard;
done_testing();
