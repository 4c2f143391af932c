# The node id from Citus, in every state that its catalogs can be in, and what flake_check() says on
# a node of a cluster.  The catalogs are a stand-in.

use strict;
use warnings FATAL => 'all';

use FlakeCitus;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A server whose derived number is none of those that the tests below give it.
my ($node, $derived);
for my $try (1 .. 9)
{
	stop_node($node) if defined $node;
	$node = new_node("citus_$try", conf => "flake.node_id = ''\n", init => [ allows_streaming => 1, force_initdb => 1 ]);
	$derived = value($node, 'SELECT node_id FROM flake_node()');
	last if $derived > 10 && $derived != 107;
}

# A session that makes ids all the time must notice every change.
my $session = session($node);

use constant NODE => 'SELECT flake_node_id(flake_next_id())';

sub gives
{
	my ($name, $node_id, $source, $group) = @_;

	is(ask($session, NODE), $node_id, "$name: in an open session");
	is(value($node, NODE), $node_id, "$name: in a new one");
	is(value($node, 'SELECT node_id, source, read_from FROM flake_node()'),
		"$node_id|$source|" . (defined $group ? "group $group" : ''), "$name: flake_node()");
	return;
}

# Returns the message, with detail and hint.
sub refuses
{
	my ($name, $state, $pattern) = @_;
	my ($found, $said) = sqlstate($node, NODE);

	is($found, $state, "$name: SQLSTATE");
	like($said, $pattern, "$name: message");
	like($said, qr/^HINT:  [A-Z].*\.$/m, "$name: a hint");
	like((ask($session, NODE))[1], qr/ERROR:  $state: /, "$name: in an open session");
	is((sqlstate($node, 'SELECT flake_node()'))[0], $state, "$name: not told either");
	like(check("what = 'x' OR severity = 'error'"), qr/^error/m, "$name: flake_check()");
	return $said;
}

# Rows of flake_check() about node ids.
sub check
{
	my ($which, $database) = @_;

	return value($node, "SELECT severity, what FROM flake_check() WHERE $which", $database);
}

sub super { return value($node, "SET allow_system_table_mods = on; $_[0]") }

# --- no Citus

gives('no Citus', $derived, 'system identifier');
set_node_id($node, 'citus');
my $said = refuses('"citus" without Citus', 'F0000',
	qr/"flake\.node_id" is "citus", but this database does not belong to a node of a Citus cluster$/m);
like($said, qr/DETAIL:  Citus is not installed in it\./, '... detail');
is(sqlstate($node, "SELECT flake_next_id('time:41 sequence:12')"), '', '... a layout that needs no node id');
for my $setting ('citus+', 'citus+x', 'citus+-1', 'citus+2147483648')
{
	set_node_id($node, $setting);
	refuses("\"$setting\"", 'F0000', qr/invalid value for "flake\.node_id": "\Q$setting\E"$/m);
}
for my $setting ('CITUS', 'citus7', ' citus')
{
	set_node_id($node, $setting);
	refuses("\"$setting\"", 'F0000', qr/invalid value for "flake\.node_id": "\Q$setting\E"$/m);
}

# --- installed, but not in a cluster: group 0, as the coordinator

set_node_id($node, '');
gives('before Citus', $derived, 'system identifier');
$node->safe_psql('postgres', CITUS_INSTALL);
gives('Citus alone', $derived, 'system identifier');
is(value($node, 'SELECT * FROM flake.citus_state()'), '||', 'Citus alone: no node of a cluster');
set_node_id($node, 'citus');
$said = refuses('"citus", Citus alone', 'F0000', qr/does not belong to a node of a Citus cluster$/m);
like($said, qr/DETAIL:  "pg_dist_node" has no rows\..*HINT: .*citus_add_node\(\).*citus_set_coordinator_host\(\)/s,
	'... detail and hint');

# --- a coordinator without workers

value($node, q{INSERT INTO pg_dist_node VALUES (1, 0, 'coordinator')});
gives('"citus", coordinator alone', 0, 'Citus', 0);
is(value($node, 'SELECT * FROM flake.citus_state()'), '0|f|0', '... its state');
set_node_id($node, '');
gives('coordinator alone', $derived, 'system identifier');
is(value($node, q{
	SELECT what_to_do FROM flake_check()
	WHERE what LIKE 'node id % is derived %' AND why LIKE '%coordinator of a Citus cluster without workers%'}),
	'Set flake.node_id to citus.', '... flake_check()');

# --- a coordinator: workers come and go

my $begun = 'time:33 node:8 slot:6 sequence:10 tick=1s';
ask($session, "SELECT flake_next_id('$begun')") for 1 .. 5;
value($node, q{INSERT INTO pg_dist_node VALUES (2, 1, 'worker')});
gives('a worker comes', 0, 'Citus', 0);
is(ask($session, "SELECT flake_node_id(flake_next_id('$begun'), '$begun')"), 0,
	'... what was left of a range is not used');
is(value($node, 'SELECT * FROM flake.citus_state()'), '0|t|1', '... its state');
value($node, q{DELETE FROM pg_dist_node WHERE groupid = 1});
gives('the last worker goes', $derived, 'system identifier');

# --- a worker is added: its group and all rows in one transaction

value($node, 'DELETE FROM pg_dist_node');
my $added = q{
	UPDATE pg_dist_local_group SET groupid = 7;
	INSERT INTO pg_dist_node VALUES (1, 0, 'coordinator'), (2, 1, 'other'), (8, 7, 'this');
};
my $other = session($node);
ask($other, 'BEGIN');
ask($other, $added);
is(ask($other, NODE), 7, 'being added: the transaction that does it');
is(ask($session, NODE), $derived, '... and others');
ask($other, 'ROLLBACK');
is(ask($other, NODE), $derived, '... not added after all');
value($node, $added);
gives('added', 7, 'Citus', 7);
is(ask($other, NODE), 7, '... also in the session that failed to do it');
is(value($node, q{
	DO $$
	DECLARE before integer := flake_node_id(flake_next_id()); BEGIN
		UPDATE pg_dist_local_group SET groupid = 9;
		ASSERT before = 7 AND flake_node_id(flake_next_id()) = 9, 'within a statement';
		BEGIN
			UPDATE pg_dist_local_group SET groupid = 10;
			ASSERT flake_node_id(flake_next_id()) = 10, 'within a subtransaction';
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
			ASSERT flake_node_id(flake_next_id()) = 9, 'after a subtransaction that failed';
		END;
		UPDATE pg_dist_local_group SET groupid = 7;
	END $$; SELECT 'well'}), 'well', 'changes within a statement and a subtransaction');

# A statement that waits in the middle, and then goes on.
my $says_before_and_after = q{DO $$
	DECLARE before integer := flake_node_id(flake_next_id()); BEGIN
		PERFORM pg_advisory_lock(1);
		RAISE WARNING 'before % after %', before, flake_node_id(flake_next_id());
		PERFORM pg_advisory_unlock(1);
	END $$};

# beside a statement that goes on
ask($other, 'SELECT pg_advisory_lock(1)');
ask_later($session, $says_before_and_after);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
value($node, 'UPDATE pg_dist_local_group SET groupid = 8');
ask($other, 'SELECT pg_advisory_unlock(1)');
like((answer($session))[1], qr/before 7 after 8/, 'a statement that goes on follows');
value($node, 'UPDATE pg_dist_local_group SET groupid = 7');

# also where it hears no more than that everything may have changed, as there was too much to tell
ask($session, 'SET client_min_messages = debug4');
ask($session, NODE);
ask($other, 'SELECT pg_advisory_lock(1)');
ask_later($session, $says_before_and_after);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
value($node, 'UPDATE pg_dist_local_group SET groupid = 8');
value($node, q{DO $$ BEGIN
	FOR n IN 1 .. 1000 LOOP
		EXECUTE 'CREATE TABLE t (n integer)';
		EXECUTE 'DROP TABLE t';
	END LOOP; END $$});
ask($other, 'SELECT pg_advisory_unlock(1)');
$said = (answer($session))[1];
like($said, qr/cache state reset/, 'all caches are reset');
like($said, qr/before 7 after 8/, '... which is noticed');
ask($session, 'RESET client_min_messages');
value($node, 'UPDATE pg_dist_local_group SET groupid = 7');

set_node_id($node, 'citus+100');
gives('"citus+100"', 107, 'Citus', 7);
set_node_id($node, 'citus+0');
gives('"citus+0"', 7, 'Citus', 7);
set_node_id($node, 'citus');
gives('"citus"', 7, 'Citus', 7);

# the group is changed first where Citus does it in steps
value($node, 'CREATE TABLE rows AS SELECT * FROM pg_dist_node; DELETE FROM pg_dist_node');
gives('rows still to come', 7, 'Citus', 7);
set_node_id($node, '');
gives('rows still to come, empty', 7, 'Citus', 7);
value($node, 'INSERT INTO pg_dist_node SELECT * FROM rows');

# the group and the rows are read at one moment: nearly all of the time of these sessions goes by
# between the one and the other, as there are many rows, which count for nothing
super(q{ALTER TABLE pg_dist_node ALTER groupid DROP NOT NULL;
	SET session_replication_role = replica;
	INSERT INTO pg_dist_node SELECT n, NULL, 'none' FROM generate_series(1000, 300000) AS n});
my $load = $node->basedir . '/ids';
my @job = start_load($node, map { { sql => 'SELECT node_id FROM flake_node();', file => "$load.$_" } } 1, 2);
for (1 .. 10)
{
	value($node, 'BEGIN; DELETE FROM pg_dist_node WHERE groupid >= 0; UPDATE pg_dist_local_group SET groupid = 0; COMMIT;');
	load_goes_on(2, @job);		# the second of them saw this state
	value($node, 'BEGIN; UPDATE pg_dist_local_group SET groupid = 7; INSERT INTO pg_dist_node SELECT * FROM rows; COMMIT;');
	load_goes_on(1, @job);
}
is(stop_load(@job), '', 'added and removed beside sessions: no errors');
my %seen = map { $_ => 1 } map { split /\n/, slurp_file("$load.$_") } 1, 2;
my %may = (7 => 1, $derived => 1);
is_deeply(\%seen, \%may, '... and never the group of the coordinator');
super('SET session_replication_role = replica; DELETE FROM pg_dist_node WHERE groupid IS NULL; ALTER TABLE pg_dist_node ALTER groupid SET NOT NULL');

# --- in a layout that is too narrow

value($node, 'UPDATE pg_dist_local_group SET groupid = 256');
$said = refuses('a group that does not fit', '53400', qr/node id 256 does not fit layout/);
like($said, qr/DETAIL:  "flake\.node_id" is "", and this server is group 256 of the Citus cluster\.  Node ids of the layout are 0 to 255\./,
	'... detail');
is(value($node, "SELECT flake_node_id(flake_next_id('classic'), 'classic')"), 256, '... it fits a wider one');
set_node_id($node, 'citus+2147483647');
refuses('an offset that does not fit', '53400', qr/node id 2147483903 does not fit layout/);
set_node_id($node, '');
value($node, 'UPDATE pg_dist_local_group SET groupid = 7');

for my $case ([ 191, 0 ], [ 192, 1 ])
{
	my ($highest, $rows) = @$case;

	value($node, "INSERT INTO pg_dist_node VALUES (99, $highest, 'last')");
	is(check("what LIKE 'the groups of the Citus cluster%'") =~ /^warning\|.* up to $highest now, will soon not fit layout "flake"$/ || 0,
		$rows, "group $highest: " . ($rows ? 'will soon not fit' : 'nothing'));
	value($node, 'DELETE FROM pg_dist_node WHERE nodeid = 99');
}
set_node_id($node, 'citus+3');
value($node, "INSERT INTO pg_dist_node VALUES (99, 2147483647, 'last')");
like(check("what LIKE 'the groups of the Citus cluster%'"), qr/^warning\|.* up to 2147483647 now,/, 'the highest group that there can be, and an offset');
value($node, 'DELETE FROM pg_dist_node WHERE nodeid = 99');
set_node_id($node, '');
gives('fits again', 7, 'Citus', 7);

# --- shards move: subscriptions, and origins

value($node, "SELECT pg_replication_origin_create('move')");
gives('while shards move', 7, 'Citus', 7);
$node->safe_psql('postgres', 'CREATE DATABASE beside');
$node->safe_psql('beside', 'CREATE EXTENSION flake');
my $found;
($found, $said) = sqlstate($node, NODE, 'beside');
is($found, 'F0000', 'while shards move, a database beside it without Citus: refused');
like($said, qr/DETAIL: .*Moving shards of a Citus cluster creates subscriptions, too\./, '... the message names shard moves');
value($node, "SELECT pg_replication_origin_drop('move')");
is(value($node, NODE, 'beside'), $derived, 'after that it has the derived one');
set_node_id($node, 'citus');
is(sqlstate($node, NODE, 'beside'), 'F0000', '"citus": refused there');
gives('"citus", beside such a database', 7, 'Citus', 7);

# --- a standby has the group of its primary

$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is(value($standby, 'SELECT node_id, source, read_from FROM flake_node()'), '7|Citus|group 7', 'a standby: flake_node()');
is(sqlstate($standby, NODE), '25006', '... no ids');
value($node, 'UPDATE pg_dist_local_group SET groupid = 8');
my $on_standby = session($standby);
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is(ask($on_standby, 'SELECT node_id FROM flake_node()'), 8, '... follows the primary');
value($node, 'UPDATE pg_dist_local_group SET groupid = 7');
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
$standby->promote;
is(value($standby, NODE), 7, 'promoted: goes on under it');
$on_standby->quit;
stop_node($standby);

# --- catalogs that are not what they should be

for my $setting ('citus', '')
{
	my $name = "\"$setting\"";

	set_node_id($node, $setting);
	for my $case (
		[ 'no local group', 'UPDATE pg_dist_local_group SET groupid = 0; DELETE FROM pg_dist_local_group', 'pg_dist_local_group', qr/one row.*citus_finish_pg_upgrade/ ],
		[ 'two local groups', 'UPDATE pg_dist_local_group SET groupid = 0; INSERT INTO pg_dist_local_group VALUES (8)', 'pg_dist_local_group', qr/one row/ ],
		[ 'a negative group', 'UPDATE pg_dist_local_group SET groupid = -1', 'pg_dist_local_group', qr/one row/ ],
		[ 'another type', 'ALTER TABLE pg_dist_local_group ALTER groupid TYPE bigint', 'pg_dist_local_group', qr/type integer/ ],
		[ 'another type of nodes', 'ALTER TABLE pg_dist_node ALTER groupid TYPE text', 'pg_dist_node', qr/type integer/ ],
		[ 'no such column', 'ALTER TABLE pg_dist_node RENAME groupid TO other', 'pg_dist_node', qr/"groupid"/ ],
		[ 'a dropped column', 'ALTER TABLE pg_dist_node DROP groupid', 'pg_dist_node', qr/"groupid"/ ],
		[ 'unlogged', 'ALTER TABLE pg_dist_node SET UNLOGGED', 'pg_dist_node', qr/permanent table/ ],
		[ 'another owner', 'CREATE ROLE somebody; ALTER TABLE pg_dist_node OWNER TO somebody', 'pg_dist_node', qr/superuser/ ],
		[ 'a view', 'DROP TABLE pg_dist_local_group; CREATE VIEW pg_catalog.pg_dist_local_group AS SELECT 7 AS groupid', 'pg_dist_local_group', qr/table/ ],
		[ 'a sequence', 'DROP TABLE pg_dist_node; CREATE SEQUENCE pg_catalog.pg_dist_node', 'pg_dist_node', qr/table/ ],
		[ 'an index', 'DROP TABLE pg_dist_node; CREATE TABLE other (groupid integer); CREATE INDEX pg_dist_node ON other (groupid); ALTER TABLE other SET SCHEMA pg_catalog', 'pg_dist_node', qr/table/ ],
		[ 'a type', 'DROP TABLE pg_dist_node; CREATE TYPE pg_catalog.pg_dist_node AS (groupid integer)', 'pg_dist_node', qr/table/ ],
		[ 'one of both', 'DROP TABLE pg_dist_local_group', 'pg_dist_local_group', qr/Citus's other catalog does/ ],
		[ 'the other of both', 'DROP TABLE pg_dist_node', 'pg_dist_node', qr/Citus's other catalog does/ ])
	{
		my ($what, $change, $table, $detail) = @$case;
		my ($state, $text);

		# in a transaction, whose end brings back what was
		ask($session, 'SET allow_system_table_mods = on; BEGIN');
		is((ask($session, "$change;"))[1], '', "$name, $what");
		(undef, $text) = ask($session, NODE);
		like($text, qr/ERROR:  F0000: could not read "pg_catalog\.$table" as a table of Citus$/m, "$name, $what: message");
		like($text, qr/^DETAIL: .*$detail/m, "$name, $what: detail");
		like($text, qr/^HINT:  Set "flake\.node_id" to a number/m, "$name, $what: hint");
		ask($session, 'ROLLBACK');
		is(ask($session, NODE), 7, "$name, $what, and back");
	}
}
ask($session, 'RESET allow_system_table_mods');

# a number needs no Citus
set_node_id($node, 5);
ask($session, 'BEGIN; DELETE FROM pg_dist_local_group');
is(ask($session, NODE), 5, 'a number: whatever the catalogs are');
ask($session, 'ROLLBACK');
set_node_id($node, '');

# nobody else puts a table there
$node->safe_psql('postgres', CITUS_DROP);
gives('dropped', $derived, 'system identifier');
is((ask($session, q{
	BEGIN;
	CREATE ROLE mallory; GRANT CREATE ON SCHEMA public TO mallory; SET ROLE mallory;
	CREATE TABLE public.pg_dist_node (groupid integer); CREATE TABLE public.pg_dist_local_group (groupid integer);
	CREATE TEMPORARY TABLE pg_dist_node (groupid integer); CREATE TEMPORARY TABLE pg_dist_local_group (groupid integer);
	INSERT INTO pg_dist_node VALUES (3); INSERT INTO pg_dist_local_group VALUES (3);
	INSERT INTO public.pg_dist_node VALUES (3); INSERT INTO public.pg_dist_local_group VALUES (3);
	SET search_path = public, pg_temp, pg_catalog;
	SELECT flake_node_id(flake_next_id());}))[0], $derived, "a user's tables of these names do not count");
like((ask($session, 'SAVEPOINT s; CREATE TABLE pg_catalog.pg_dist_node (groupid integer)'))[1], qr/ERROR:  42501: /,
	'and nobody else can create them there');
ask($session, 'ROLLBACK');

# --- dropped and created within one transaction

ask($session, 'BEGIN');
ask($session, CITUS_INSTALL . $added);
is(ask($session, NODE), 7, 'installed and added in a transaction');
ask($session, CITUS_DROP);
is(ask($session, NODE), $derived, '... dropped again');
ask($session, 'ROLLBACK');
is(ask($session, NODE), $derived, '... rolled back');
$node->safe_psql('postgres', CITUS_INSTALL . $added);
gives('installed and added', 7, 'Citus', 7);
ask($session, 'BEGIN');
ask($session, CITUS_DROP);
is(ask($session, NODE), $derived, 'dropped in a transaction');
ask($session, 'ROLLBACK');
gives('... rolled back', 7, 'Citus', 7);

# others wait for the end of an open one, and then see what it left
ask($other, 'SELECT 1');
ask($session, 'BEGIN');
ask($session, CITUS_DROP);
ask_later($other, 'SELECT 2');
is(answer($other), 2, 'a session with a range');
start_sessions($node, my $waits = { sql => NODE . ';', file => "$load.wait" });
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation::regclass::text = 'pg_dist_node'});
ask($session, 'COMMIT');
is(finish_sessions($waits), '', 'behind an open DROP EXTENSION a new session waits');
is(slurp_file("$load.wait"), "$derived\n", '... and sees what it left');

# --- a role without privileges on the catalogs' schema

$node->safe_psql('postgres', CITUS_INSTALL . $added);
is(value($node, q{
	BEGIN;
	REVOKE USAGE ON SCHEMA pg_catalog FROM PUBLIC; CREATE ROLE visitor; SET ROLE visitor;
	SELECT flake_node_id(flake_next_id());}), 7, 'a role that may not even use schema pg_catalog gets ids');

# --- flake_check(): the nodes are asked, here a function that answers

# What each node says: [nodeid, success, result].
sub nodes_say
{
	my $rows = join ', ', map { "($_->[0], $_->[1], " . (defined $_->[2] ? "'$_->[2]'" : 'NULL') . ')' } @_;

	return answers_by("RETURN QUERY SELECT a.n, a.s, a.r FROM (VALUES $rows) AS a (n, s, r)");
}

sub answers_by
{
	my ($body) = @_;

	super(q{DROP FUNCTION IF EXISTS pg_catalog.run_command_on_all_nodes(text)});
	super(qq{CREATE FUNCTION pg_catalog.run_command_on_all_nodes(command text,
		OUT nodeid integer, OUT success boolean, OUT result text) RETURNS SETOF record
		LANGUAGE plpgsql AS \$\$ BEGIN $body; END \$\$});
	return;
}

use constant ABOUT_NODES => q{what LIKE '%Citus%' ORDER BY what COLLATE "C"};

like(check(ABOUT_NODES),
	qr/\Awarning\|the node ids of the Citus cluster are not known: function .*run_command_on_all_nodes.* does not exist\z/,
	'an old Citus: they can not be asked');
# what is asked is a query that each node can run
answers_by('nodeid := 8; success := true; EXECUTE command INTO result; RETURN NEXT');
is(value($node, q{SELECT * FROM flake.citus_nodes() WHERE node = 'this:5432'}), 'this:5432|7|7|Citus|', 'a node answers the question');
nodes_say([ 1, 'true', '0 Citus' ], [ 2, 'true', '1 Citus' ], [ 8, 'true', '7 Citus' ]);
is(value($node, 'SELECT * FROM flake.citus_nodes()'),
	"coordinator:5432|0|0|Citus|\nother:5432|1|1|Citus|\nthis:5432|7|7|Citus|", 'all are well: what they say');
is(check(ABOUT_NODES), '', '... nothing to report');
value($node, 'DELETE FROM pg_dist_node WHERE nodeid = 1');
nodes_say([ 0, 'true', '7 number' ], [ 2, 'true', '1 Citus' ], [ 8, 'true', '7 Citus' ]);
is(check(ABOUT_NODES), 'error|several nodes of the Citus cluster have node id 7: coordinator, this:5432',
	'equal numbers, one of a coordinator without a row');
value($node, q{INSERT INTO pg_dist_node VALUES (1, 0, 'coordinator')});
nodes_say([ 1, 'true', '300 number' ], [ 2, 'true', '300 host name' ], [ 8, 'true', '7 Citus' ]);
is(check(ABOUT_NODES), 'error|several nodes of the Citus cluster have node id 300: coordinator:5432, other:5432',
	'equal numbers of other nodes');
nodes_say([ 1, 'true', '0 Citus' ], [ 2, 'true', '3123456 system identifier' ], [ 8, 'true', '7 Citus' ]);
is(check(ABOUT_NODES), 'error|the node id of node other:5432 of the Citus cluster is derived from the system identifier',
	'a node whose number is derived');
nodes_say([ 1, 'true', '0 Citus' ], [ 2, 'false', 'failed to connect to other:5432' ], [ 8, 'true', undef ]);
is(check(ABOUT_NODES), join("\n",
	'warning|the node id of node other:5432 of the Citus cluster is not known: failed to connect to other:5432',
	'warning|the node id of node this:5432 of the Citus cluster is not known: '), 'nodes that do not answer');

# rows that Citus does not ask: a clone, a node that was disabled, a standby
value($node, q{INSERT INTO pg_dist_node VALUES
	(10, 9, 'clone', 5432, false, 'unavailable'), (11, 10, 'disabled', 5432, false, 'primary'), (12, 7, 'standby', 5432, true, 'secondary')});
nodes_say([ 1, 'true', '0 Citus' ], [ 2, 'true', '1 Citus' ], [ 8, 'true', '7 Citus' ]);
my $not_asked = join("\n",
	'warning|the node id of node clone:5432 of the Citus cluster is not known: Citus does not ask it (isactive: false, noderole: unavailable)',
	'warning|the node id of node disabled:5432 of the Citus cluster is not known: Citus does not ask it (isactive: false, noderole: primary)');
is(check(ABOUT_NODES), $not_asked, 'nodes that are not asked, but for standbys');
nodes_say([ 1, 'true', '0 Citus' ], [ 2, 'true', '1 Citus' ], [ 8, 'true', '7 Citus' ], [ 12, 'true', '7 Citus' ]);
is(check(ABOUT_NODES), $not_asked, 'a standby that is asked may have the number of its primary');
answers_by('RETURN QUERY SELECT 1, true, (1 / 0)::text');
is(check(ABOUT_NODES), "$not_asked\nwarning|the node ids of the Citus cluster are not known: division by zero",
	'an error does not hide them');
value($node, 'DELETE FROM pg_dist_node WHERE nodeid >= 10');

# what is known without an answer
for my $case ([ 1, 1 ], [ 7, 0 ], [ 9, 0 ])
{
	my ($number, $rows) = @$case;

	set_node_id($node, $number);
	is(check(q{what LIKE '%also the group of%'}),
		$rows ? 'warning|node id 1 of this server is also the group of node other:5432 of the Citus cluster' : '',
		"nodes that can not be asked: number $number");
}
nodes_say([ 1, 'true', '0 Citus' ], [ 2, 'true', '5 number' ], [ 8, 'true', '1 number' ]);
set_node_id($node, 1);
is(check(ABOUT_NODES), '', 'a number that is the group of a node with another number');
set_node_id($node, '');

answers_by('RETURN QUERY SELECT 1, true, (1 / 0)::text');
is(check(ABOUT_NODES), 'warning|the node ids of the Citus cluster are not known: division by zero', 'an error');
is(value($node, q{SELECT DISTINCT pg_catalog.current_setting('search_path') FROM flake.citus_nodes()}), '"$user", public',
	'settings are as before');
answers_by(q{RETURN QUERY SELECT 1, true, current_setting('citus.node_connection_timeout') || ' ' || current_setting('search_path')});
is(value($node, q{SELECT problem FROM flake.citus_nodes() WHERE group_id = 0}), '2s pg_catalog, pg_temp', '... and were others meanwhile');
is(value($node, q{SELECT DISTINCT current_setting('citus.node_connection_timeout', true) FROM flake.citus_nodes()}), '', '... not after');

answers_by('RETURN QUERY SELECT 1, true, pg_sleep(60)::text');
like((sqlstate($node, "SET statement_timeout = '1s'; SELECT flake_check()"))[1], qr/ERROR:  57014: .*statement timeout/,
	'a node that hangs: statement_timeout ends the statement');
answers_by('RETURN QUERY SELECT 1, true, (1 / 0)::text');
is(value($node, q{BEGIN; SELECT count(*) > 0 FROM flake.citus_nodes(); SELECT 1; COMMIT}), "t\n1", 'after an error the transaction goes on');
is(value($node, q{DO $$ BEGIN FOR n IN 1 .. 20 LOOP PERFORM flake.citus_nodes(); END LOOP; END $$; SELECT count(*) FROM flake.citus_nodes() WHERE problem = 'division by zero'}),
	1, '... also after many in a statement');
set_node_id($node, 7);
nodes_say([ 1, 'true', '7 number' ], [ 8, 'true', '7 number' ]);
like(check(ABOUT_NODES), qr/^error\|several nodes of the Citus cluster have node id 7:/, 'with a number of its own it asks, too');
value($node, 'DELETE FROM pg_dist_node WHERE groupid > 0; UPDATE pg_dist_local_group SET groupid = 0');
is(value($node, 'SELECT count(*) FROM flake.citus_nodes()'), 0, 'without workers nobody is asked');

$_->quit for $session, $other;
stop_node($node);
done_testing();
