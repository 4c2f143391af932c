# A registry of node ids forgets no lease, or says that it may have: restart, crash whatever
# synchronous_commit is, fsync off; a promoted standby, a base backup and a copy of the files started
# beside the original, a dump; logical replication of its tables.
#
# pg_regress can't crash or copy a server.

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

my $registry = new_node('registry', clock => 1, init => [ allows_streaming => 'logical' ],
	conf => "fsync = on\nwal_writer_delay = 10s\ncheckpoint_timeout = 1h\n");
my $number = 0;

# A uuid that no lease has had.
sub new_lease { return sprintf '00000000-0000-4000-8000-%012d', ++$number; }

# The statement of a claim, by the server's own clock, for so many seconds; with another clock that
# is so many seconds ahead of it.
sub claim
{
	my ($holder, $lease, $seconds, $ahead) = @_;

	return sprintf <<'SQL', $holder, $lease, ($ahead // 0) * 1_000_000, $seconds * 1_000_000;
SELECT l.* FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS c,
	flake_lease_node('%s', '%s', now + %d, now + %d) AS l
SQL
}

# That of a renewal.
sub renew
{
	my ($node_id, $lease, $next, $seconds) = @_;

	return sprintf <<'SQL', $node_id, $lease, $next, $seconds * 1_000_000;
SELECT flake_renew_node(%d, '%s', '%s', now, now + %d)
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS c
SQL
}

# What the registry says of its state, '' if nothing is wrong.
sub problem
{
	my ($node, $database) = @_;

	return value($node, "SELECT concat_ws(': ', problem, detail) FROM flake.registry_state()", $database);
}

sub refuses
{
	my ($name, $node, $state, $message, $sql, $database) = @_;
	my ($found, $text) = sqlstate($node, $sql, $database);

	is($found, $state, $name);
	like($text, $message, '... and says so');
	return;
}

value($registry, 'CREATE EXTENSION flake_registry; SELECT flake_create_nodes(1, 4, never_used => true)');

# --- errors say what they are about

my %lease = map { $_ => new_lease() } 1 .. 3;
is((split /\|/, value($registry, claim("holder $_", $lease{$_}, 3000)))[0], $_, "node id $_ is leased") for 1 .. 3;
value($registry, 'SELECT flake_reserve_node(4)');
refuses('all are taken', $registry, '53400',
	qr/ERROR:  53400: all node ids of the registry are taken\nDETAIL:  Of 4 node ids, 3 are held, 1 are reserved, and 0 cannot be leased yet; the next one is free at 20\d\d-.*\nHINT:  /,
	claim('holder 4', new_lease(), 30));
refuses('a clock that is ahead', $registry, '55000',
	qr/clock is \d+\.\d{3} seconds ahead of the registry's\nDETAIL:  It shows 20\d\d-.*, the registry's clock shows 20\d\d-.*, and they may differ by 60\.000 seconds\./,
	claim('holder 4', new_lease(), 7200, 3600));
refuses('a clock that is behind', $registry, '55000', qr/clock is 3[67]\d\d\.\d{3} seconds behind the registry's/,
	claim('holder 4', new_lease(), 300, -3600));
refuses('a lease that is not known', $registry, '42704', qr/node id 1 is not held under this lease/,
	renew(1, $lease{2}, new_lease(), 30));

# --- nothing is forgotten

for my $mode (qw(fast immediate))
{
	my $next = new_lease();

	restart_node($registry, $mode);
	is(problem($registry), '', "a stop in mode $mode: it is the same registry");
	like(value($registry, renew(1, $lease{1}, $next, 3000)), qr/^\d{16}$/, '... and knows its leases');
	$lease{1} = $next;
}

# Nothing else has what is committed flushed here.
value($registry, 'SELECT flake_create_nodes(11, 99, never_used => true)');
for my $setting (qw(off local))
{
	value($registry, "ALTER DATABASE postgres SET synchronous_commit = $setting");
	for my $i (1 .. 2)
	{
		my $session = session($registry);
		my ($old, $new) = (new_lease(), new_lease());

		is(ask($session, 'SHOW synchronous_commit'), $setting, "synchronous_commit is $setting");
		my ($node_id, $from, $until) = split /\|/, ask($session, claim("crash $setting $i", $old, 1000));
		stop_node($registry, 'immediate');
		eval { $session->quit };
		start_node($registry);
		is( value($registry, claim("crash $setting $i", $old, 10)), "$node_id|$from|$until",
			'a crash after a claim: the same claim has the same answer');

		$session = session($registry);
		$until = ask($session, renew($node_id, $old, $new, 3000));
		stop_node($registry, 'immediate');
		eval { $session->quit };
		start_node($registry);
		is(value($registry, renew($node_id, $old, $new, 10)), $until, '... after a renewal, too');

		$session = session($registry);
		ask($session, "SELECT flake_release_node($node_id, '$new', 0)");
		stop_node($registry, 'immediate');
		eval { $session->quit };
		start_node($registry);
		is( value($registry, "SELECT state FROM flake.nodes WHERE node_id = $node_id"), 'free',
			'... and after a release');
	}
}
value($registry, 'ALTER DATABASE postgres RESET synchronous_commit');

$registry->append_conf('postgresql.conf', 'fsync = off');
restart_node($registry);
refuses('fsync is off', $registry, '55000', qr/does not answer while fsync is off/, claim('x', new_lease(), 30));
like(value($registry, q{SELECT what FROM flake_check() WHERE severity = 'error'}), qr/fsync is off/, 'flake_check() says so');
$registry->append_conf('postgresql.conf', 'fsync = on');
restart_node($registry);

# --- a standby, and what it becomes

$registry->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($registry, 'backup', has_streaming => 1);
start_node($standby);
$registry->wait_for_catchup($standby, 'replay', $registry->lsn('insert'));
refuses('a standby', $standby, '25006', qr/cannot execute flake_lease_node\(\) in a read-only transaction/,
	claim('x', new_lease(), 30));
is(value($standby, q{SELECT count(*) FROM flake_check() WHERE what LIKE '%registry%'}), 0, '... and there is nothing wrong with it');
$standby->promote;
refuses('a promoted standby', $standby, '55000', qr/not accepted.*\nDETAIL:  The timeline is 2, and was 1\./,
	claim('x', new_lease(), 30));
is(sqlstate($standby, renew(2, $lease{2}, new_lease(), 30)), '55000', '... refuses renewals too');
is(sqlstate($standby, 'SELECT flake_create_nodes(200, 201)'), '55000', '... and new node ids');
stop_node($standby);
is(problem($registry), '', 'the primary is what it was');

# --- copies started beside it

my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($registry, 'backup');
start_node($copy);
refuses('a base backup', $copy, '55000', qr/DETAIL:  The file "global\/pg_control" was replaced/,
	claim('x', new_lease(), 30));
stop_node($copy);

stop_node($registry);
my $files = PostgreSQL::Test::Cluster->new('files');
mkdir $files->backup_dir;
PostgreSQL::Test::RecursiveCopy::copypath($registry->data_dir, $files->backup_dir . '/files');
$files->init_from_backup($files, 'files');
use_clock($files);
start_node($files);
start_node($registry);
refuses('a copy of the files', $files, '55000', qr/DETAIL:  The file "global\/pg_control" was replaced/,
	claim('x', new_lease(), 30));
is(problem($registry), '', 'the original is what it was');

# where the original is gone, the copy can have its inode
value($files, sprintf <<'SQL', (stat $files->data_dir . '/global/pg_control')[1]);
ALTER TABLE flake.node_registry DISABLE TRIGGER guard;
UPDATE flake.node_registry SET control_inode = %d;
ALTER TABLE flake.node_registry ENABLE ALWAYS TRIGGER guard;
SQL
SKIP:
{
	my (undef, $born) = run_program('stat', '-c', '%W', $files->data_dir . '/global/pg_control');

	skip 'this system does not say when a file was made', 1 unless $born =~ /^[1-9]/;
	like(problem($files), qr/"global\/pg_control" was replaced/, '... but is younger');
}

# --- accepted: what may be lost has ended before anything is leased

my $ended = new_lease();
my ($ended_id) = split /\|/, value($registry, claim('ended', $ended, 1));
stop_node($registry);
value($files, "UPDATE flake.node_registry SET max_clock_offset = '2 s'");
set_clock($files, -3600);
refuses('not accepted with a clock that is behind', $files, '55000',
	qr/clock is behind the leases of the registry\nDETAIL:  The clock shows 20\d\d-.*, but a lease began at 20\d\d-/,
	'SELECT flake_accept_registry()');
set_clock($files, 0);
my $gap = 3_602_000_000;
my $accepted_after = clock_us($files);
my ($from, $warning);
$files->psql('postgres', 'SELECT flake_accept_registry()', stdout => \$from, stderr => \$warning);
cmp_ok($from, '>=', $accepted_after + $gap, 'accepted: leases begin after the gap');
cmp_ok($from, '<=', clock_us($files) + $gap, '... and not later');
like($warning, qr/WARNING:  registry does not know which node ids were reserved, dropped or created .*\nDETAIL:  The last lease that it knows began at 20\d\d-.*\nHINT:  .* before 20\d\d-/,
	'... and what it can not know is said');
is(problem($files), '', 'there is nothing wrong with it');
refuses('no lease yet', $files, '55000', qr/registry leases no node ids until 20\d\d-/, claim('x', new_lease(), 30));
like(value($files, q{SELECT what FROM flake_check() WHERE what LIKE 'no node ids%'}), qr/until 20\d\d-/, 'flake_check() says so');
my $next = new_lease();
like(value($files, renew(2, $lease{2}, $next, 3000)), qr/^\d{16}$/, 'leases that go on are renewed');
restart_node($files, 'immediate');
is(problem($files), '', 'it stays accepted');
is(sqlstate($files, claim('x', new_lease(), 30)), '55000', '... and waits');

# by the server's clock, as $from is
my $seconds_left = ($from - clock_us($files)) / 1_000_000;
set_clock($files, $seconds_left - 300);
is(sqlstate($files, claim('x', new_lease(), 30)), '55000', 'not long before, either');
set_clock($files, $seconds_left + 1);
my ($first_id, $valid_from) = split /\|/, value($files, claim('x', new_lease(), 30, -1.9));
cmp_ok($valid_from, '>=', $from, 'then a lease begins, not earlier, whatever the clock of its holder says');
is(sqlstate($files, renew($ended_id, $ended, new_lease(), 30)), '42704', 'what the copy has not seen is unknown');
set_clock($files, 0);
stop_node($files);

# --- a dump has the rules and the rights, but no lease

start_node($registry);
value($registry, <<'SQL');
UPDATE flake.node_registry SET max_lease = '2 h', gap = '3 h';
CREATE ROLE holder LOGIN;
GRANT EXECUTE ON FUNCTION flake_lease_node, flake_renew_node, flake_release_node TO holder;
CREATE DATABASE restored;
SQL
my $dump = $registry->basedir . '/dump.sql';
$registry->command_ok([ 'pg_dump', '-f', $dump, '-d', $registry->connstr('postgres') ], 'dumped');
unlike(slurp_file($dump), qr/00000000-0000-4000-8000/, '... without credentials');
$registry->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump,
	'-d', $registry->connstr('restored') ], '... and restored');
like(problem($registry, 'restored'), qr/not accepted.*restored from a dump/, 'what was restored is not accepted');
is(sqlstate($registry, 'SELECT flake_create_nodes(1, 4, never_used => true)', 'restored'), '55000', '... and takes no node ids');
is(value($registry, 'SELECT max_lease, gap FROM flake.node_registry', 'restored'), '02:00:00|03:00:00', '... has the rules');
is( value($registry, q{SELECT has_function_privilege('holder', 'flake_lease_node(text,uuid,bigint,bigint)', 'EXECUTE')}, 'restored'),
	't', '... and the rights');
is(value($registry, 'SELECT count(*) FROM flake.nodes', 'restored'), 0, '... but no node ids');
value($registry, 'SELECT flake_accept_registry(), flake_create_nodes(1, 4, never_used => true)', 'restored');
is(sqlstate($registry, claim('x', new_lease(), 30), 'restored'), '55000', 'accepted, it waits');
$registry->command_ok([ 'pg_dump', '--data-only', '-f', "$dump.data", '-d', $registry->connstr('postgres') ], 'data dumped');
value($registry, 'UPDATE flake.node_registry SET grace = DEFAULT');
$registry->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$dump.data",
	'-d', $registry->connstr('postgres') ], '... and restored where it comes from');
is(problem($registry), '', '... which changes nothing');

# --- logical replication of the tables stops for nothing and brings nothing

my $subscriber = new_node('subscriber', conf => "fsync = on\nflake.node_id = 2\n");
value($subscriber, 'CREATE EXTENSION flake_registry; SELECT flake_create_nodes(1, 2, never_used => true)');
value($registry, 'CREATE TABLE other (a int PRIMARY KEY); CREATE PUBLICATION everything FOR ALL TABLES');
value($subscriber, 'CREATE TABLE other (a int PRIMARY KEY)');
value($subscriber, q{CREATE SUBSCRIPTION everything CONNECTION '} . $registry->connstr . q{ dbname=postgres' PUBLICATION everything});
$subscriber->wait_for_subscription_sync($registry, 'everything');
my $before = value($subscriber, 'SELECT * FROM flake.node ORDER BY 1') . value($subscriber, 'SELECT * FROM flake.node_registry');
$next = new_lease();
value($registry, renew(1, $lease{1}, $next, 3000));
value($registry, renew(2, $lease{2}, new_lease(), 3000));
value($registry, claim('x', new_lease(), 3000));
value($registry, 'SELECT flake_create_nodes(300, 300), flake_drop_nodes(300, 300), flake_drop_nodes(3, 3)');
value($registry, "UPDATE flake.node_registry SET grace = '20 s'");
value($registry, 'INSERT INTO other VALUES (1)');
$registry->wait_for_catchup('everything');
is(value($subscriber, 'SELECT count(*) FROM other'), 1, 'replication goes on');
is( value($subscriber, 'SELECT * FROM flake.node ORDER BY 1') . value($subscriber, 'SELECT * FROM flake.node_registry'),
	$before, '... and has changed nothing of the registry there');
is(problem($subscriber), '', '... which answers');

value($subscriber, 'DROP SUBSCRIPTION everything');
stop_node($subscriber);
stop_node($registry);
done_testing();
