# The server's first id, which writes the mark, wherever it is asked for: in a read-only
# transaction, by the leader of parallel workers, in a subtransaction that is rolled back, in the
# transaction that makes the extension.  After a crash ids go on after it, though the clock was set
# back.  Promise P1 (src/core/mark.c (a) to (c), src/server/durable.c).

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

# Nothing but the mark's own flush must make it durable.
my $node = new_node('first', clock => 1, conf => <<'CONF');
wal_writer_delay = 10s
flake.max_clock_lead = 1min
max_parallel_workers_per_gather = 2
parallel_leader_participation = off
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
CONF
is(value($node, 'SHOW wal_level') . value($node, 'SHOW max_wal_senders'),
	'minimal0', 'wal_level is minimal');
value($node, <<'SQL');
CREATE TABLE input WITH (parallel_workers = 2) AS SELECT generate_series(1, 1000);
ANALYZE input;
SQL

# Runs a session's statement as the first since the server started, crashes the server, and starts
# it with the clock set back by 3 s.  Fresh connections, so that no other one's statement writes
# WAL that would take the mark's along.  The ids it made are the numbers in its last line.
my $offset = 0;

sub crash_after
{
	my ($name, $sql, $database) = @_;
	my $session = session($node, $database);
	my ($out, $errors) = ask($session, $sql);
	my @id = sort { $a <=> $b } $out =~ /\d{10,}/g;

	unlike($errors, qr/ERROR|FATAL|PANIC/, "$name: works");
	stop_node($node, 'immediate');
	eval { $session->quit };
	set_clock($node, $offset -= 3);
	start_node($node);
	later_ids_ok($name, mark_us($node, $database), $id[-1], next_id($node, $database));
	# the next one begins without an id made since the start
	set_clock($node, $offset = 0);
	restart_node($node);
	return;
}

crash_after('read-only transaction', 'BEGIN READ ONLY; SELECT flake_next_id(); COMMIT');
crash_after('read-only, then open', 'BEGIN READ ONLY; SELECT flake_next_id()');

like(value($node, 'EXPLAIN SELECT flake_next_id() FROM input'),
	qr/Workers Planned: 2\n *->  Parallel Seq Scan/, 'workers read for it');
crash_after('beside parallel workers', <<'SQL');
SELECT max(id) FROM (SELECT flake_next_id() AS id FROM input OFFSET 0) made
SQL

crash_after('subtransaction', <<'SQL');
BEGIN;
SAVEPOINT one;
SELECT flake_next_id();
ROLLBACK TO one;
SELECT flake_next_id();
ROLLBACK;
SQL
crash_after('exception', <<'SQL');
DO $$
DECLARE
	id bigint;
BEGIN
	BEGIN
		id := flake_next_id();
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		RAISE WARNING '%', id;
	END;
	PERFORM set_config('test.id', flake_next_id()::text, false);
END $$;
SELECT current_setting('test.id');
SQL

# In the transaction that creates the extension.  With wal_level = minimal its files have no WAL of
# their own until the commit, and then either their pages go there or the files are synced.
sub crash_after_creation
{
	my ($level) = @_;

	for my $threshold (0, 2048)
	{
		my $database = "${level}_$threshold";

		value($node, "CREATE DATABASE $database");
		crash_after("created with wal_level $level, wal_skip_threshold $threshold",
			<<"SQL", $database);
SET wal_skip_threshold = $threshold;
BEGIN;
CREATE EXTENSION flake;
SELECT flake_next_id();
SAVEPOINT one;
SELECT flake_next_id();
ROLLBACK TO one;
SELECT flake_next_id();
COMMIT;
SQL
	}
	return;
}

crash_after_creation('minimal');
$node->append_conf('postgresql.conf', "wal_level = replica\n");
restart_node($node);
crash_after_creation('replica');

stop_node($node);
done_testing();
