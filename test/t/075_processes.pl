# No process of the server makes ids under other settings than the server's: each has the values of
# the configuration file, or refuses (F0000).  Promises P1 and P3; src/server/settings.c.
#
# 074_session_options.pl has the options of a client and of a database; this file the other ways to
# name a setting, the other moments at which the library is loaded, and the other kinds of
# processes that PostgreSQL itself has; 076_background_worker.pl an extension's.

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('processes', init => [ allows_streaming => 'logical' ], conf => <<'CONF');
flake.node_id = 42
flake.max_clock_jump = 12h
autovacuum = on
autovacuum_naptime = 1
wal_retrieve_retry_interval = 100ms
CONF
my $node_id = 'SELECT flake_node_id(flake_next_id())';
my $all = "$node_id, current_setting('flake.max_clock_lead'), current_setting('flake.max_clock_jump')";
my $right = '42|5s|12h';
my $refused = qr/"flake\.node_id" cannot be set for a session, a role or a database/;

# What a client prints that may get warnings, as of a setting that can't be changed now.
sub output_of
{
	my ($sql, %option) = @_;
	my ($out, $err);

	local $ENV{PGOPTIONS} = $option{options} // '';
	$node->psql('postgres', $sql, stdout => \$out, stderr => \$err, %{ $option{psql} // {} });
	return $out;
}

# ---------------------------------------------------------------------- where a setting is named

is(output_of($all), $right, 'the file\'s values');

for my $where ('ROLE CURRENT_USER', 'ROLE CURRENT_USER IN DATABASE postgres', 'ROLE ALL')
{
	for my $setting ("flake.node_id = '7'", "flake.max_clock_lead = '1s'", "flake.max_clock_jump = '0'")
	{
		my ($name) = $setting =~ /^(\S+)/;

		value($node, "ALTER $where SET $setting");
		my ($state, $message) = sqlstate($node, $node_id);
		is($state, 'F0000', "ALTER $where SET $setting: an error");
		like($message, qr/"\Q$name\E" cannot be set/, '... that names the setting');
		value($node, "ALTER $where RESET $name");
	}
}
is(output_of($all), $right, 'right without them');

for my $options ('-c FLAKE.Node_Id=7', '--flake.node-id=7', '-c flake.node_id=42')
{
	local $ENV{PGOPTIONS} = $options;
	is(sqlstate($node, $node_id), 'F0000', "PGOPTIONS '$options': an error");
}

# In a function's own settings it is refused as SET is.
value($node, <<'SQL');
CREATE FUNCTION other() RETURNS text LANGUAGE plpgsql SET flake.node_id = '7'
AS 'BEGIN RETURN flake_node_id(flake_next_id()); END'
SQL
is(output_of("SELECT other(); $all"), "42\n$right", 'a function with a setting of its own');

# --------------------------------------------------------- when the library comes into a session

for my $before (
	"SET flake.node_id = '7'",
	"SET flake.max_clock_lead = '1s'",
	"SELECT FROM set_config('flake.max_clock_jump', '0', false)",
	"BEGIN; SET flake.node_id = '7'",
	"BEGIN; SET LOCAL flake.node_id = '7'",
	"BEGIN; SET LOCAL flake.node_id = '7'; SAVEPOINT a; SET flake.max_clock_lead = '1s'",
	"BEGIN; SAVEPOINT a; SET LOCAL flake.node_id = '7'; RELEASE a",
	"BEGIN; SAVEPOINT a; SET flake.node_id = '7'; ROLLBACK TO a",
	"SET flake.node_id = '7'; RESET ALL; SET flake.node_id = '8'; DISCARD ALL",
	"SET SESSION AUTHORIZATION pg_monitor; SET flake.node_id = '7'")
{
	# there, after a subtransaction in which it comes is rolled back, and after the transaction
	my $sql = $before =~ /^BEGIN/
	  ? "$before; SAVEPOINT b; $all; ROLLBACK TO b; $all; COMMIT; $all"
	  : "$before; $all; RESET ALL; $all; $all";

	is(output_of($sql), join("\n", ($right) x 3), "loaded after: $before");
}
is(output_of("BEGIN; SET LOCAL flake.node_id = '7'; $all; ROLLBACK; $all"), "$right\n$right",
	'loaded in a transaction that is rolled back');

# At the beginning of the session, which is after all that can name a setting.
value($node, q(ALTER ROLE ALL SET session_preload_libraries = 'flake'));
is(output_of($all), $right, 'session_preload_libraries: the file\'s values');
{
	local $ENV{PGOPTIONS} = '-c flake.node_id=7';
	is(sqlstate($node, $node_id), 'F0000', '... and an error with an option');
}
value($node, 'ALTER ROLE ALL RESET session_preload_libraries');

# ------------------------------------------------------------------------- kinds of processes

# A walsender that runs SQL.
my %walsender = (psql => { replication => 'database' });
is(output_of($all, %walsender), $right, 'a walsender');
is(output_of("SET flake.node_id = '7'; $all", %walsender), $right, '... after SET');
is(output_of($node_id, %walsender, options => '-c flake.node_id=7'), '', '... with an option: no id');

# A worker of a parallel query makes none at all; what brings it there is marked wrongly.
value($node, <<'SQL');
CREATE TABLE input AS SELECT n FROM generate_series(1, 100) AS n;
ALTER TABLE input SET (parallel_workers = 2);
CREATE FUNCTION made() RETURNS integer LANGUAGE plpgsql PARALLEL SAFE
AS 'BEGIN RETURN flake_node_id(flake_next_id()); END';
SQL
is(sqlstate($node, <<'SQL'), '25000', 'a parallel worker');
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = off;
SELECT count(made()) FROM input;
SQL

# The workers of autovacuum evaluate expressions of an index.
value($node, <<'SQL');
CREATE FUNCTION maker(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE
AS 'BEGIN RETURN flake_node_id(flake_next_id()); END';
CREATE TABLE analyzed (n integer) WITH (autovacuum_enabled = off, autovacuum_analyze_threshold = 1);
CREATE INDEX by_maker ON analyzed (maker(n));
INSERT INTO analyzed SELECT generate_series(1, 100);
SQL
my $seen = q(SELECT most_common_vals FROM pg_stats WHERE tablename = 'by_maker');

sub node_id_for_database
{
	my ($to) = @_;

	# not from database postgres, where whoever makes ids is refused meanwhile
	value($node, "ALTER DATABASE postgres $to", 'template1');
	return;
}

node_id_for_database("SET flake.node_id = '7'");
my $log = -s $node->logfile;
value($node, 'ALTER TABLE analyzed SET (autovacuum_enabled = on)');
$node->wait_for_log(qr/$refused.*automatic analyze of table "postgres\.public\.analyzed"/s, $log);
is(value($node, $seen), '', 'autovacuum with a node id of the database: an error');
node_id_for_database('RESET flake.node_id');
ok($node->poll_query_until('postgres', $seen, '{42}'), '... without it: the file\'s');

# Logical replication: the publisher's table lacks the column whose default makes ids.
my $publisher =
  new_node('publisher', init => [ allows_streaming => 'logical' ], extension => 0);
value($publisher, 'CREATE TABLE arrivals (n integer); INSERT INTO arrivals VALUES (1)');
value($publisher, 'CREATE PUBLICATION arrivals FOR TABLE arrivals');
value($node, 'CREATE TABLE arrivals (n integer, id bigint DEFAULT flake_next_id())');
my $arrived = 'SELECT n, flake_node_id(id) FROM arrivals ORDER BY n';

node_id_for_database("SET flake.node_id = '7'");
$log = -s $node->logfile;
value($node, "CREATE SUBSCRIPTION arrivals CONNECTION '"
	  . $publisher->connstr
	  . " dbname=postgres' PUBLICATION arrivals");
$node->wait_for_log(qr/$refused.*COPY arrivals/s, $log);
is(value($node, 'SELECT n FROM arrivals'), '', 'table sync with a node id of the database: an error');
node_id_for_database('RESET flake.node_id');
ok($node->poll_query_until('postgres', $arrived, '1|42'), '... without it: the file\'s');
$node->wait_for_subscription_sync;

# The apply worker that runs now would keep the settings it began with.
node_id_for_database("SET flake.node_id = '7'");
value($node, 'ALTER SUBSCRIPTION arrivals DISABLE; ALTER SUBSCRIPTION arrivals ENABLE');
$log = -s $node->logfile;
value($publisher, 'INSERT INTO arrivals VALUES (2)');
$node->wait_for_log(qr/$refused.*processing remote data/s, $log);
is(value($node, 'SELECT max(n) FROM arrivals'), '1', 'apply worker with a node id of the database: an error');
node_id_for_database('RESET flake.node_id');
ok($node->poll_query_until('postgres', $arrived, "1|42\n2|42"), '... without it: the file\'s');

# A reload reaches those that hold a range: the apply worker, and sessions, also in a transaction.
# A session into which the library comes later has the value of then.
my @session = map { session($node) } 1 .. 2;
my $unused = session($node);
ask($session[1], 'BEGIN');
is(ask($_, $node_id), '42', 'a session') for @session;
ask($unused, "SET flake.node_id = '7'");
value($node, "LOAD 'flake'; ALTER SYSTEM SET flake.max_clock_lead = '3s'");
set_node_id($node, 43);
is(ask($_, $all), '43|3s|12h', 'after a reload') for @session, $unused;
value($publisher, 'INSERT INTO arrivals VALUES (3)');
ok($node->poll_query_until('postgres', $arrived, "1|42\n2|42\n3|43"), 'the apply worker after a reload');

# ---------------------------------------------------------------------------------- preloaded

value($node, "LOAD 'flake'; ALTER SYSTEM RESET flake.node_id; ALTER SYSTEM RESET flake.max_clock_lead");
node_id_for_database("SET flake.node_id = '7'");
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'flake'\n");
$_->quit for @session, $unused;
restart_node($node);
is(output_of($all), $right, 'preloaded: what was set for the database before is refused');
is(output_of($all, %walsender), $right, '... for a walsender');
value($publisher, 'INSERT INTO arrivals VALUES (4)');
$publisher->wait_for_catchup('arrivals');
is(output_of("$arrived DESC LIMIT 1"), '4|42', '... for an apply worker');
stop_node($node);

# ------------------------------------------------------------------ the command line of the server

# It is a setting of the whole server, for it comes before the file.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
my ($code, $out, $err) = run_program('pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile,
	'-o', '-c flake.node_id=9', 'start');
is($code, 0, 'started with a setting on the command line') or diag($err);
node_id_for_database('RESET flake.node_id');
is(output_of($node_id), '9', 'a session has that value');
is(output_of("SET flake.node_id = '7'; $node_id"), '9', '... after SET');
is(output_of($node_id, %walsender), '9', '... a walsender');
{
	local $ENV{PGOPTIONS} = '-c flake.node_id=42';
	is(sqlstate($node, $node_id), 'F0000', '... and no option of a client comes before it');
}
run_program('pg_ctl', '-w', '-D', $node->data_dir, '-m', 'fast', 'stop');

# The one process of single-user mode.
for my $case ([ 42 ], [ 9, '-c', 'flake.node_id=9' ])
{
	my ($expected, @option) = @$case;
	my $said = '';

	IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir, @option, 'postgres' ],
		'<', \"$node_id\n", '>', \$said, '2>', \$err);
	like($said, qr/flake_node_id = "$expected"/, "single-user mode (@option)") or diag($err);
}

stop_node($publisher);
done_testing();
