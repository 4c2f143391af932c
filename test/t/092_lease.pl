# Servers that lease their node ids from a registry: two have different ones, and so have one server's
# lives; a worker that is killed, a crash, a promotion while the old primary goes on; the number is
# given back at a stop and when the node id is set by hand.

use strict;
use warnings FATAL => 'all';

use FlakeLease;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $registry = new_registry('registry', 0, 9);
my $a = new_holder('a', $registry, init => [ allows_streaming => 1 ], conf => "restart_after_crash = on\n");
my $b = new_holder('b', $registry);
my $ids = PostgreSQL::Test::Utils::tempdir;
my $files = 0;

# Makes so many ids, in a file of their own that all later checks know of.
my @file;

sub make_ids
{
	my ($node, $count) = @_;
	my $file = "$ids/" . ++$files;

	push @file, $file;
	is(run_sessions($node, { file => $file,
				sql => "COPY (SELECT flake_next_id() FROM generate_series(1, $count)) TO STDOUT;" }),
		'', $node->name . ": makes $count ids");
	return;
}

is(held($registry), '', 'before an id is asked for, nothing is leased');
is(value($a, 'SELECT node_id, source FROM flake_node()'), '|lease', '... which flake_node() says');
is(value($a, 'SELECT count(*) FROM flake.lease_state()'), 1, '... and the state can be asked for');
is(worker_pid($a), 0, '... without a worker');

make_ids($_, 1000) for $a, $b, $a;
my ($node_a, $node_b) = map { node_of($_) } $a, $b;
isnt($node_a, $node_b, 'two servers have different node ids');
is(held($registry, 'a'), $node_a, 'the registry knows the first one');
is(held($registry, 'b'), $node_b, '... and the second one');
is(value($a, 'SELECT node_id, source, lease_end > now() FROM flake_node()'), "$node_a|lease|t",
	'flake_node() shows the lease');
is(value($a, "SELECT lease_end > now() FROM flake.layouts WHERE layout = 'flake' AND node_id = $node_a"), 't',
	'... and flake.layouts its end');
is(value($a, "SELECT count(*) FROM flake_check() WHERE what LIKE '%lease%' OR what LIKE '%registry%'"), 0,
	'... and flake_check() has nothing to say');

# Layouts.
is((sqlstate($a, "SELECT flake_next_id('time:41 sequence:22')"))[0], '22023',
	'a layout without node bits makes no ids');
is(value($a, "SELECT count(*) FROM flake_check() WHERE what LIKE '%has no node bits%'"), 0,
	'... which is no complaint where none is used');
is(value($a, "SELECT flake_parse(flake_next_id('time:41 node:8=200 sequence:14'), 'time:41 node:8=200 sequence:14') IS NOT NULL"),
	't', 'one whose parts are fixed does');
like((sqlstate($a, "SELECT flake_next_id('time:41 node:8 sequence:14 tick=1ms')"))[0], qr/^$/,
	'and another one has the same lease');
like(value($a, "SELECT flake_node_id(flake_next_id('time:32 node:8 sequence:23 tick=1s'), 'time:32 node:8 sequence:23 tick=1s')"),
	qr/^$node_a$/, 'ticks that are coarse are covered by it');

# A session stays open over all that follows on its server.
my $session = session($a);
is(ask($session, 'SELECT flake_node_id(flake_next_id())'), $node_a, 'a session that stays open');

# The worker alone: a stop gives the number back, and the next id has a lease again.
my $pid = worker_pid($a);
cmp_ok($pid, '>', 0, 'there is a worker');
kill 'TERM', $pid;
$a->poll_query_until('postgres', "SELECT worker IS DISTINCT FROM $pid FROM flake.lease_state()") or die;
is(held($registry, 'a'), '', 'a worker that is told to stop gives the number back');
my $anew = ask($session, 'SELECT flake_node_id(flake_next_id())');
is(held($registry, 'a'), $anew, 'the open session gets a lease anew');
isnt(worker_pid($a), $pid, '... by another worker');
$session->quit;

# Killed: the server crashes and comes back, with another lease, for the old one was not given back.
$pid = worker_pid($a);
$pid > 0 or die "no worker";
kill 'KILL', $pid;
$a->poll_query_until('postgres', "SELECT worker IS DISTINCT FROM $pid FROM flake.lease_state()") or die;
make_ids($a, 1000);
my $after_kill = node_of($a);
isnt($after_kill, $anew, 'after a crash the number is another one');
isnt($after_kill, $node_b, '... and not the other server\'s');
is(held($registry, 'a'), join(',', sort $anew, $after_kill), '... beside the one that was lost with the memory');

# A stop gives it back; a start stores nothing.
restart_node($a);
is(held($registry, 'a'), $anew, 'a stop gives the number back');
make_ids($a, 1000);
restart_node($a, 'immediate');
make_ids($a, 1000);

# Promotion, while the old primary goes on.
my $standby = PostgreSQL::Test::Cluster->new('standby');
$a->backup('copy');
$standby->init_from_backup($a, 'copy', has_streaming => 1);
$standby->append_conf('postgresql.conf', "cluster_name = 'a'\n");
start_node($standby);
is(value($standby, 'SELECT node_id, source FROM flake_node()'), '|lease', 'a standby has no lease');
is(worker_pid($standby), 0, '... and no worker');
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die;
my @both = start_load($a, { file => "$ids/old", sql => 'SELECT flake_next_id();' });
load_goes_on(10, @both);
make_ids($standby, 1000);
isnt(node_of($standby), node_of($a), 'a promoted standby has another number than the primary that goes on');
load_goes_on(10, @both);
is(stop_load(@both), '', '... which goes on');
push @file, "$ids/old";
stop_node($standby);

# By hand, and back.
my $now = node_of($a);
my $before = held($registry, 'a');
like($before, qr/\b$now\b/, 'the server has a lease');
set_and_reload($a, 'flake.node_id', '77');
is(node_of($a), 77, 'a node id that is set is used at once');
$registry->poll_query_until('ids', "SELECT state <> 'held' FROM flake.nodes WHERE node_id = $now")
  or die 'not released';
pass('... and the leased one is given back');
$a->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM flake.lease_state() WHERE worker IS NOT NULL)') or die;
pass('... and the worker leaves');
make_ids($a, 1000);
set_and_reload($a, 'flake.node_id', 'lease');
isnt(node_of($a), 77, 'and it is leased again');
make_ids($a, 1000);

# A longer lease after a reload, and another registry: the lease goes on to its end.
my $second = new_registry('second', 100, 109);
set_and_reload($b, 'flake.lease_time', '30min');
set_and_reload($b, 'flake.registry', connection($second));
is(node_of($b), $node_b, 'another registry in the settings does not end the lease');
set_and_reload($b, 'flake.registry', connection($registry));

# No free worker.
my $few = new_holder('few', $registry, conf => "max_worker_processes = 0\n");
my ($state, $text) = sqlstate($few, 'SELECT flake_next_id()');
is($state, '53400', 'without a free worker there are no ids');
like($text, qr/Raise "max_worker_processes"/, '... and a hint');
stop_node($few);

# No more shared memory, where the first lease would be stored.
my $full = new_holder('full', [], conf => "dynamic_shared_memory_type = mmap\n");
my $segments = $full->data_dir . '/pg_dynshmem';
is(sqlstate($full, 'SELECT flake_next_id()'), 'F0000', 'without a registry there are no ids');
set_and_reload($full, 'flake.node_id', '1');
chmod 0500, $segments;
for my $slot (reverse 6 .. 12)
{
	# until what is left is too small
	($state) = map { sqlstate($full, "SELECT flake_next_id('time:38 node:$_ slot:$slot sequence:" . (25 - $_ - $slot) . q{')}) } 8, 9;
}
is($state, '42501', 'there is no shared memory');
set_and_reload($full, 'flake.registry', connection($registry));
set_and_reload($full, 'flake.node_id', 'lease');
is(sqlstate($full, 'SELECT flake_next_id()'), '53200', '... and no lease');
$pid = worker_pid($full);
chmod 0700, $segments;
$full->poll_query_until('postgres', 'SELECT flake_next_id() > 0') or die 'no ids';
is(worker_pid($full), $pid, 'once there is, the same worker leases one');
stop_node($full);

is(ids_problem({ order => 0 }, @file), '', 'no id was made twice');

stop_node($_) for $a, $b;
is(held($registry, 'b'), '', 'the second server gives its number back, too');
stop_node($_) for $registry, $second;
done_testing();
