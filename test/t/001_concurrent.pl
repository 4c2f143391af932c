# No id twice and each session's ids in order, with 18 sessions at once, two of which have parallel
# workers; and in a worker no id is made.  Promises P1, P2 and P5 (src/core/refill.c,
# src/server/backend.c).
#
# check: both clocks

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use Test::More;

use constant { SESSIONS => 16, IDS_OF_SESSION => 300_000, IDS_OF_LEADER => 250_000 };

my $node = new_node('concurrent', conf => <<'CONF');
max_worker_processes = 16
max_parallel_workers = 16
max_parallel_workers_per_gather = 4
parallel_leader_participation = off
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
CONF
my $dir = $node->basedir;

$node->safe_psql('postgres', <<"SQL");
CREATE TABLE input WITH (parallel_workers = 4) AS SELECT generate_series(1, @{[ IDS_OF_LEADER ]}) AS n;
ANALYZE input;
SQL
like(value($node, 'EXPLAIN (VERBOSE, COSTS OFF) SELECT flake_next_id() FROM input'),
	qr/Output: flake_next_id\(.*\n *Workers Planned: 4\n *->  Parallel Seq Scan on public\.input\z/,
	'a parallel query: workers read, the leader makes ids');

my @session = map {
	{   file => "$dir/session$_",
		sql => "COPY (SELECT flake_next_id() FROM generate_series(1, @{[ IDS_OF_SESSION ]})) TO STDOUT"
	}
} 1 .. SESSIONS;
my @leader =
  map { { file => "$dir/leader$_", sql => 'COPY (SELECT flake_next_id() FROM input) TO STDOUT' } } 1 .. 2;

is(run_sessions($node, @session, @leader), '', 'all sessions came to their end');

my @file = map { $_->{file} } @session, @leader;
is(count_lines(@file), SESSIONS * IDS_OF_SESSION + 2 * IDS_OF_LEADER, 'all ids are there');
is(ids_problem(@file), '', 'ids are distinct and each session has its in order');
unlink @file;

# The same layout from one statement that counts in the server, as users would look.
is( value($node, <<'SQL'), 't|t', 'a table filled in parallel has a valid key');
CREATE TABLE filled AS SELECT flake_next_id() AS id FROM input;
ALTER TABLE filled ADD PRIMARY KEY (id);
SELECT count(*) = (SELECT count(*) FROM input), bool_and(id > 0) FROM filled;
SQL

# Only a function whose author says more than is true brings a call into a worker.
for my $call ('flake_next_id()', 'flake_next_ids(3)', 'flake_reserve(3)', q{flake_prefixed('a')})
{
	my ($name) = $call =~ /(\w+)/;
	my ($state, $said) = sqlstate($node, <<"SQL");
CREATE OR REPLACE FUNCTION made() RETURNS void LANGUAGE plpgsql PARALLEL SAFE AS
	\$\$ BEGIN PERFORM $call; END \$\$;
SELECT count(made()) FROM input;
SQL

	is($state, '25000', "$name() in a parallel worker is refused");
	like($said, qr/cannot execute \Q$name\E\(\) in a parallel worker/, '... it says so');
	like($said, qr/^HINT:  Mark the function that calls it PARALLEL RESTRICTED\.$/m, '... and what to do');
}

# Marked as the hint says it makes ids, in a session that loads the library for it, and has the
# settings all the same.
is( value($node, <<'SQL'), '249999|1|1', 'marked so, it makes ids with the node id of the file');
CREATE OR REPLACE FUNCTION made(n integer) RETURNS bigint LANGUAGE plpgsql PARALLEL RESTRICTED AS
	$$ BEGIN RETURN CASE WHEN n > 1 THEN flake_next_id() END; END $$;
SELECT count(DISTINCT id), min((id >> 14) & 255), max((id >> 14) & 255)
FROM (SELECT made(n) AS id FROM input OFFSET 0) AS by_leader;
SQL

$node->stop;
done_testing();
