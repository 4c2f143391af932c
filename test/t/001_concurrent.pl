# No id twice and each process's ids in order, with 16 sessions and 8 parallel workers at once.
#
# pg_regress runs one session per file and compares what it prints; this needs many at the same
# moment, more ids than a table would be filled with, and a look at them from outside the server.
#
# check: both clocks

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

use constant { SESSIONS => 16, IDS_OF_SESSION => 300_000, IDS_OF_WORKERS => 250_000 };

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

# pg_backend_pid() as the server has it is for the leader only
$node->safe_psql('postgres', <<"SQL");
CREATE FUNCTION process() RETURNS integer
	LANGUAGE internal STABLE PARALLEL SAFE AS 'pg_backend_pid';
CREATE TABLE input WITH (parallel_workers = 4) AS SELECT generate_series(1, @{[ IDS_OF_WORKERS ]});
ANALYZE input;
SQL
like(value($node, 'EXPLAIN SELECT process(), flake_next_id() FROM input'),
	qr/Workers Planned: 4\n *->  Parallel Seq Scan/, 'workers make ids');

my @session = map {
	{   file => "$dir/session$_",
		sql => "COPY (SELECT flake_next_id() FROM generate_series(1, @{[ IDS_OF_SESSION ]})) TO STDOUT"
	}
} 1 .. SESSIONS;
my @leader = map {
	{   file => "$dir/leader$_",
		sql => 'COPY (SELECT process(), flake_next_id() FROM input) TO STDOUT'
	}
} 1 .. 2;

is(run_sessions($node, @session, @leader), '', 'all sessions came to their end');

my @file = map { $_->{file} } @session, @leader;
is(count_lines(@file), SESSIONS * IDS_OF_SESSION + 2 * IDS_OF_WORKERS, 'all ids are there');
is(ids_problem(@file), '', 'ids are distinct and each process has its in order');

my %worker = map { (split /\t/)[0] => 1 } map { split /\n/, slurp_file($_->{file}) } @leader;
is(scalar keys %worker, 8, '8 workers took part');
unlink @file;

# The same layout from one statement that counts in the server, as users would look.
is( value($node, <<'SQL'), 't|t', 'a table filled in parallel has a valid key');
CREATE TABLE filled AS SELECT flake_next_id() AS id FROM input;
ALTER TABLE filled ADD PRIMARY KEY (id);
SELECT count(*) = (SELECT count(*) FROM input), bool_and(id > 0) FROM filled;
SQL

$node->stop;
done_testing();
