# check: alone
# On a real Citus cluster: where ids are made, that none comes twice while nodes come and go and
# shards move, what doc/citus.md says is refused and the ways around it, and flake_check().
#
# Skipped where the server has no Citus; test/citus says how to run it on one that has.

use strict;
use warnings FATAL => 'all';

use FindBin;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my ($share) = shell('pg_config --sharedir');
plan skip_all => 'Citus is not installed' unless -e "$share/extension/citus.control";

my $CONF = <<'CONF';
shared_preload_libraries = 'citus, flake'
listen_addresses = '127.0.0.1'
max_prepared_transactions = 100
max_connections = 100
max_worker_processes = 32
citus.node_conninfo = 'sslmode=prefer'
citus.enable_statistics_collection = off
citus.shard_count = 8
flake.node_id = ''
CONF

# Without Citus in database postgres, but for the extension's files.
sub citus_node
{
	my ($name) = @_;
	my $node = new_node($name, conf => $CONF, extension => 0, init => [ allows_streaming => 'logical' ]);

	value($node, 'SET client_min_messages = error; CREATE EXTENSION citus');
	return $node;
}

sub address { return sprintf "'127.0.0.1', %d", $_[0]->port }

sub add_node
{
	my ($node) = @_;

	my $nodeid = value(our $coordinator, "SELECT citus_add_node(@{[ address($node) ]})");

	return value($coordinator, "SELECT groupid FROM pg_dist_node WHERE nodeid = $nodeid");
}

# The node ids of a column's ids, as they are in the table.
sub nodes_of
{
	my ($table, $where) = @_;

	return value(our $coordinator, "SELECT string_agg(DISTINCT flake_node_id(id)::text, ',' ORDER BY flake_node_id(id)::text) FROM $table WHERE " . ($where // 'true'));
}

# What flake_check() says about the cluster.
sub check
{
	my ($node) = @_;

	return value($node, q{SELECT severity, what FROM flake_check() WHERE what LIKE '%node%' ORDER BY what COLLATE "C"});
}

use constant NODE => 'SELECT flake_node_id(flake_next_id())';

our $coordinator = citus_node('coordinator');
my ($w1, $w2, $w3) = map { citus_node("worker_$_") } 1 .. 3;

# --- making the cluster

value($coordinator, 'CREATE EXTENSION flake');
is(value($coordinator, 'SELECT source FROM flake_node()'), 'system identifier', 'Citus alone: the number is derived');
value($coordinator, "SELECT citus_set_coordinator_host(@{[ address($coordinator) ]})");
like(check($coordinator), qr/^warning\|node id \d+ is derived from the system identifier$/, 'a coordinator alone: flake_check()');
set_node_id($coordinator, 'citus');
is(value($coordinator, NODE), 0, '... is group 0 if it is asked for');
set_node_id($coordinator, '');

my $session = session($coordinator);
ask($session, NODE);
is(add_node($w1), 1, 'a worker');
is(ask($session, NODE), 0, '... a session of the coordinator follows');
value($w2, 'CREATE EXTENSION flake');
set_node_id($w2, 'citus');
is(sqlstate($w2, NODE), 'F0000', '"citus" on a worker that is not added yet');
set_node_id($w2, '');
my $on_worker = session($w2);
like(ask($on_worker, 'SELECT source FROM flake_node()'), qr/^system identifier$/, '... empty there');
ask($on_worker, NODE);
is(add_node($w2), 2, 'another one');
is(ask($on_worker, NODE), 2, '... a session that it had follows');
for my $case ([ $coordinator, 0 ], [ $w1, 1 ], [ $w2, 2 ])
{
	my ($node, $group) = @$case;

	is(value($node, 'SELECT node_id, source, read_from FROM flake_node()'), "$group|Citus|group $group", $node->name . ': has its group');
	is(value($node, NODE), $group, $node->name . ': makes ids with it');
	is(check($node), '', $node->name . ': flake_check() finds nothing');
}
is(value($w1, 'SELECT node_id, source FROM flake.citus_nodes() ORDER BY 1'), "0|Citus\n1|Citus\n2|Citus",
	'nodes are asked through Citus, from any of them');
value($coordinator, 'CREATE ROLE monitor LOGIN IN ROLE pg_monitor');
is(value($w1, 'SET ROLE monitor; SELECT count(node_id) FROM flake.citus_nodes()'), 3, '... also as a role that only monitors');

# --- the examples of the page

my $page = slurp_file("$FindBin::RealBin/../../doc/citus.md");
while ($page =~ /^```sql\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/msg)
{
	my ($example, $expected) = ($1, $2);
	my ($status, $out, $err) = $coordinator->psql('postgres', $example, on_error_stop => 1,
		extra_params => [ '-P', 'tuples_only=off', '-P', 'format=aligned' ]);

	is($status, 0, 'an example runs') or diag("$example\n$err");
	is($out =~ s/[ \n]+$//mgr, $expected =~ s/[ \n]+$//mgr, '... and gives what the page shows') if defined $expected;
}
cmp_ok(value($coordinator, "SELECT count(DISTINCT shardid) FROM citus_shards WHERE table_name = 'visits'::regclass"), '>', 1,
	'they have distributed tables');
value($coordinator, 'DROP TABLE orders, visits, countries');

# --- where ids are made

$coordinator->safe_psql('postgres', <<'SQL');
CREATE TABLE customers (id bigint PRIMARY KEY DEFAULT flake_next_id(), tenant integer, name text);
SELECT create_distributed_table('customers', 'id');
CREATE TABLE orders (tenant integer, id bigint DEFAULT flake_next_id(), item text, PRIMARY KEY (tenant, id));
SELECT create_distributed_table('orders', 'tenant');
CREATE TABLE countries (id bigint PRIMARY KEY DEFAULT flake_next_id(), name text);
SELECT create_reference_table('countries');
CREATE EXTENSION IF NOT EXISTS citus_columnar;
CREATE TABLE archive (id bigint DEFAULT flake_next_id(), tenant integer, body text) USING columnar;
SELECT create_distributed_table('archive', 'id');
CREATE TABLE tags (id text PRIMARY KEY DEFAULT flake_prefixed('TAG_'), name text);
SELECT create_distributed_table('tags', 'id');
CREATE TABLE local_ids (id bigint PRIMARY KEY DEFAULT flake_next_id(), name text);
SELECT citus_add_local_table_to_metadata('local_ids');
SQL
for my $case ([ $coordinator, '0' ], [ $w1, '1' ])
{
	my ($node, $group) = @$case;
	my $name = $node->name;

	for my $statement (
		"INSERT INTO orders (tenant, item) VALUES (1, '$name'), (2, '$name')",
		"INSERT INTO orders (tenant, item) SELECT n, '$name' FROM generate_series(1, 100) AS n",
		"PREPARE one (integer) AS INSERT INTO orders (tenant, item) VALUES (\$1, '$name');\n" . "EXECUTE one (3);\n" x 7,
		"COPY orders (tenant, item) FROM PROGRAM 'for i in 1 2 3 4 5 6 7 8; do echo \$i,$name; done' WITH (FORMAT csv)")
	{
		my ($what) = $statement =~ /^(\w+(?: INTO \w+ \(.*?\) \w+)?)/;

		value($node, $statement);
		is(nodes_of('orders', "item = '$name'"), $group, "on $name: $what makes ids there");
		value($coordinator, "DELETE FROM orders WHERE item = '$name'");
	}
	value($node, "INSERT INTO customers (tenant, name) SELECT n, '$name' FROM generate_series(1, 500) AS n");
	is(nodes_of('customers', "name = '$name'"), $group, "on $name: ids that distribute the table, too");
}
value($coordinator, 'INSERT INTO orders (tenant, item) SELECT n, \'first\' FROM generate_series(1, 1000) AS n');
value($coordinator, 'INSERT INTO orders (tenant, item) SELECT tenant, \'second\' FROM orders WHERE item = \'first\'');
is(nodes_of('orders', "item = 'second'"), '1,2', 'INSERT ... SELECT from a distributed table: the workers');
is(value($coordinator, 'SELECT string_agg(DISTINCT n, \',\' ORDER BY n) FROM (SELECT flake_node_id(flake_next_id())::text AS n FROM orders OFFSET 0) AS s'),
	'1,2', 'SELECT flake_next_id() from one, too');
value($coordinator, 'INSERT INTO customers (tenant, name) SELECT tenant, \'third\' FROM orders');
is(nodes_of('customers', "name = 'third'"), '1,2', '... also where the id says where the row goes');
value($coordinator, "INSERT INTO countries (name) SELECT item || tenant FROM orders WHERE item = 'first'");
value($coordinator, "INSERT INTO archive (tenant, body) SELECT tenant, item FROM orders");
value($coordinator, "INSERT INTO tags (name) SELECT item FROM orders");
value($coordinator, "INSERT INTO local_ids (name) SELECT item FROM orders WHERE tenant = 5");

# A table's placements on both workers (and the coordinator), as a digest each.
sub replicas
{
	my ($column) = @_;

	return value($coordinator, qq{
		SELECT count(DISTINCT result) FROM run_command_on_placements('countries',
			'SELECT md5(string_agg(row(id, $column)::text, \$\$,\$\$ ORDER BY id)) FROM %s') WHERE success});
}
is(replicas('name'), 1, 'a reference table: its replicas are equal');
for my $table (qw(customers orders archive tags countries local_ids))
{
	is(value($coordinator, "SELECT count(*) = count(DISTINCT id) AND count(*) > 0 FROM $table"), 't', "$table: no id twice");
}
my ($least, $most) = split /\|/, value($coordinator, q{
	INSERT INTO customers (tenant) SELECT 0 FROM generate_series(1, 80000);
	SELECT min(result::integer), max(result::integer)
	FROM run_command_on_shards('customers', 'SELECT count(*) FROM %s')});
cmp_ok($most, '<', 1.25 * $least, "shards by id are even ($least to $most rows)");
is(value($coordinator, "SELECT count(*) FROM tags WHERE flake_unformat(id, 'TAG_') > 0"), 2000, 'text keys with a prefix');
my $tag = value($coordinator, 'SELECT id FROM tags LIMIT 1');
my $customer = value($coordinator, 'SELECT id FROM customers LIMIT 1');
for my $where ("customers WHERE id = $customer", "customers WHERE id = flake_unformat('x$customer', 'x')", "tags WHERE id = '$tag'")
{
	like(value($coordinator, "EXPLAIN SELECT * FROM $where"), qr/Task Count: 1\b/, 'one shard is asked: ' . ($where =~ s/\d+/N/gr));
}
$coordinator->safe_psql('postgres', <<'SQL');
CREATE TABLE events (id bigint DEFAULT flake_next_id(), what text);
SELECT create_distributed_table('events', 'id', 'append');
SQL
my ($state, $said) = sqlstate($coordinator, "UPDATE customers SET name = flake_encode(id, 'hex') WHERE id = $customer RETURNING flake_parse(id), flake_node_id(id)");
is($state, '', 'readers in SET and RETURNING') or diag($said);

# --- what is refused or goes wrong, and the ways around

value($coordinator, 'ALTER TABLE countries ADD COLUMN code bigint DEFAULT flake_next_id()');
cmp_ok(replicas('code'), '>', 1, 'ADD COLUMN with a default on a reference table: each replica has values of its own');
$coordinator->safe_psql('postgres', <<'SQL');
ALTER TABLE countries DROP COLUMN code;
ALTER TABLE countries ADD COLUMN code bigint;
WITH made AS MATERIALIZED (SELECT id, flake_next_id() AS code FROM countries)
UPDATE countries AS c SET code = made.code FROM made WHERE made.id = c.id;
SQL
is(replicas('code'), 1, '... but not so');
is(value($coordinator, 'SELECT count(*) = count(DISTINCT code) AND count(*) = count(code) FROM countries'), 't', '... and all differ');

($state, $said) = sqlstate($coordinator, "ALTER TABLE customers ALTER id SET DEFAULT flake_next_id('flake')");
isnt($state, '', 'the default of a distribution column can not be changed in place');
$coordinator->safe_psql('postgres', <<'SQL');
BEGIN;
SELECT undistribute_table('tags');
ALTER TABLE tags ALTER id SET DEFAULT flake_prefixed('T_');
SELECT create_distributed_table('tags', 'id');
COMMIT;
SQL
like(value($coordinator, "INSERT INTO tags (name) VALUES ('new') RETURNING id"), qr/^T_/, '... but undistributed');

# --- shards move, a node comes and another goes, beside sessions

my $load = $coordinator->basedir . '/ids';
my @job = map { start_load($_, { sql => "INSERT INTO orders (tenant, item) SELECT n, 'load' FROM generate_series(1, 5) AS n RETURNING id;", file => "$load." . $_->name }) }
  $coordinator, $w1, $w2;
push @job, start_load($coordinator, { sql => "INSERT INTO orders (tenant, item) SELECT tenant, 'copy' FROM orders WHERE item = 'first' LIMIT 5;", file => "$load.workers" });
load_goes_on(5, @job[0 .. 2]);
is(add_node($w3), 3, 'a third worker comes');
is(value($w3, NODE), 3, '... with a group of its own');
value($coordinator, "SELECT replicate_reference_tables('force_logical')");
for my $shard (split /\n/, value($coordinator, q{SELECT DISTINCT ON (nodename, nodeport) shardid || ',' || nodeport FROM citus_shards WHERE table_name = 'orders'::regclass ORDER BY nodename, nodeport}))
{
	my ($id, $port) = split /,/, $shard;

	value($coordinator, "SELECT citus_move_shard_placement($id, '127.0.0.1', $port, @{[ address($w3) ]}, shard_transfer_mode => 'force_logical')");
	load_goes_on(5, @job[0 .. 2]);
}
my $wrong = '';
$wrong .= stop_load($_) for @job;
is($wrong, '', 'shards moved by logical replication: no statement failed');
is(nodes_of('orders', "item = 'load'"), '0,1,2', '... every id has the group of its node');
like(nodes_of('orders', "item = 'copy'"), qr/^1,2(,3)?$/, '... those of pushed-down statements, too');
is(value($coordinator, 'SELECT count(*) = count(DISTINCT id) FROM orders'), 't', '... and no id came twice');
is(check($coordinator), '', '... nor does flake_check() find anything');

# the rows about nodes are deleted and written again, each step in a transaction of its own
@job = map { start_load($_, { sql => NODE . ';', file => "$load.alone." . $_->name }) } $w1, $w2;
load_goes_on(5, @job);
value($coordinator, "SET citus.metadata_sync_mode = 'nontransactional'; SELECT start_metadata_sync_to_all_nodes()") for 1 .. 3;
load_goes_on(5, @job);
$wrong = '';
$wrong .= stop_load($_) for @job;
is($wrong, '', 'metadata written again: ids go on');
is(join(' ', map { shell("sort -u $_->{file}") } @job), '1 2', '... with the same groups');
$on_worker->quit;
value($coordinator, "SELECT citus_drain_node(@{[ address($w3) ]})");
$on_worker = session($w3);
is(ask($on_worker, NODE), 3, 'before it goes');
value($coordinator, "SELECT citus_remove_node(@{[ address($w3) ]})");
is(ask($on_worker, NODE), 3, 'removed: its sessions go on under its group');
is(add_node($w3), 4, 'it comes again: another group');
is(ask($on_worker, NODE), 4, '... which they follow');

# a worker that does not know of the cluster
value($coordinator, "SELECT stop_metadata_sync_to_node(@{[ address($w3) ]})");
isnt(ask($on_worker, 'SELECT source FROM flake_node()'), 'Citus', 'without metadata: its number is derived');
like(check($coordinator), qr/^error\|the node id of node 127\.0\.0\.1:\d+ of the Citus cluster is derived from the system identifier$/,
	'... flake_check() on the coordinator');
set_node_id($w3, 'citus');
like((ask($on_worker, NODE))[1], qr/ERROR:  F0000: /, '... or it has none');
value($coordinator, "SELECT start_metadata_sync_to_node(@{[ address($w3) ]})");
is(ask($on_worker, NODE), 4, 'with metadata again');

# --- the same number on two nodes

set_node_id($w1, 2);
for my $node ($coordinator, $w1, $w2, $w3)
{
	like(check($node), qr/^error\|several nodes of the Citus cluster have node id 2: 127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+$/m,
		$node->name . ': flake_check() finds equal numbers');
}
set_node_id($w1, 'citus+255');
($state, $said) = sqlstate($coordinator, "INSERT INTO customers (tenant) SELECT tenant FROM orders");
is($state, '53400', 'a group that does not fit: an error of that worker');
like($said, qr/this server is group 1 of the Citus cluster/, '... which says so') or diag($said);
set_node_id($w1, '');

# --- a database beside it, and Citus dropped

value($w1, 'CREATE DATABASE beside');
value($w1, 'CREATE EXTENSION flake', 'beside');
is(value($w1, 'SELECT source FROM flake_node()', 'beside'), 'system identifier', 'a database beside it without Citus');
value($w1, 'SET client_min_messages = error; CREATE EXTENSION citus', 'beside');
is(value($w1, 'SELECT source FROM flake_node()', 'beside'), 'system identifier', '... with Citus, but in no cluster');
my $alone = session($w1, 'beside');
ask($alone, q{SET client_min_messages = error; SET citus.enable_ddl_propagation = off;
	UPDATE pg_dist_local_group SET groupid = 9; INSERT INTO pg_dist_node (groupid, nodename) VALUES (9, 'x')});
is(ask($alone, NODE), 9, '... as a node');
ask($alone, 'BEGIN; DROP EXTENSION citus CASCADE');
is(ask($alone, 'SELECT source FROM flake_node()'), 'system identifier', 'Citus dropped in a transaction');
ask($alone, 'ROLLBACK');
is(ask($alone, NODE), 9, '... not after all');
ask($alone, 'DROP EXTENSION citus CASCADE');
is(ask($alone, 'SELECT source FROM flake_node()'), 'system identifier', '... dropped');
$alone->quit;

# --- a worker's standby

$w2->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($w2, 'copy', has_streaming => 1);
$standby->start;
is(value($standby, 'SELECT node_id FROM flake_node()'), 2, 'a standby of a worker has its group');
stop_node($standby);

# --- a node that does not answer

stop_node($w3);
like(check($coordinator), qr/^warning\|the node id of node 127\.0\.0\.1:\d+ of the Citus cluster is not known: /m,
	'a node that is down: flake_check() says so');
set_node_id($w1, 4);
like(check($w1), qr/^warning\|node id 4 of this server is also the group of node 127\.0\.0\.1:\d+ of the Citus cluster$/m,
	'... and that another node has the number that is its group');
set_node_id($w1, '');
start_node($w3);
my ($postmaster) = slurp_file($w3->data_dir . '/postmaster.pid') =~ /^(\d+)$/m;
kill 'STOP', $postmaster;
my $began = time;
like(check($coordinator), qr/^warning\|.* is not known: /m, 'a node that takes no connections');
cmp_ok(time - $began, '<', 30, '... holds up nobody for long');
kill 'CONT', $postmaster;
my $locks = session($w3);
ask($locks, 'BEGIN; LOCK TABLE pg_catalog.pg_dist_node IN ACCESS EXCLUSIVE MODE');
$began = time;
is((sqlstate($coordinator, "SET statement_timeout = '3s'; SELECT flake_check()"))[0], '57014', 'a node that hangs when it is asked: statement_timeout');
cmp_ok(time - $began, '<', 30, '... ends that');
$locks->quit;
is(check($coordinator), '', '... and all is well again');

# --- a node that is disabled

value($coordinator, "SELECT citus_disable_node(@{[ address($w3) ]}, true)");
like(check($_), qr/^warning\|the node id of node 127\.0\.0\.1:\d+ of the Citus cluster is not known: Citus does not ask it \(isactive: false, noderole: primary\)$/,
	$_->name . ': a node that is not asked') for $coordinator, $w1;
value($coordinator, "SELECT citus_activate_node(@{[ address($w3) ]})");
is(check($coordinator), '', '... and is asked again');

# --- preloaded or not

is((sqlstate($coordinator, "SELECT * FROM run_command_on_workers(\$\$ALTER SYSTEM SET flake.max_clock_lead = '6s'\$\$)"))[0], '',
	'settings of all workers at once, where the library is preloaded');
is(value($coordinator, "SELECT count(*) FROM run_command_on_workers(\$\$ALTER SYSTEM RESET flake.max_clock_lead\$\$) WHERE success"), 3,
	'... all of them');

$_->quit for $session, $on_worker;
stop_node($_) for $coordinator, $w1, $w2, $w3;
done_testing();
