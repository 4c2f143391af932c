# Servers that lease their node ids, under faults: whatever is stopped, killed, copied, promoted or
# given a wrong clock, no id comes twice, each lies in an interval that a registry granted to its
# maker, and no session is refused while its server has a lease (see FlakeFleet.pm).  Leases are of a
# second, so that each fault is longer than one.
#
# A server that has its node id from a registry too, but is not bound by a lease, fails the same
# oracle.
#
# check: one major

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeFleet;
use FlakeLease;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

# Two node ids, so that there are no others to be had.
my $registry = new_fleet_registry('registry', 0, 1, init => [ allows_streaming => 1 ]);
my $proxy = start_proxy($registry);
my %clocks = (clock => 1, init => [ allows_streaming => 1 ], conf => "restart_after_crash = on\n");
my $a = new_holder('a', $registry, %clocks);
my $b = new_holder('b', [ connection($registry, host => $proxy->{host}) ], %clocks);
my $c = new_holder('c', $registry);
my @registries = ($registry);
my @all;

# The ids of the fault that has just been tried.
sub proven
{
	my ($name, @writer) = @_;

	stop_writers(@writer);
	is(fleet_problem(\@registries, @writer), '', "$name: each id is its maker's, and none is there twice");
	push @all, @writer;
	return;
}

# Its worker gives the node id back.
sub give_back
{
	my ($node) = @_;
	my $pid = worker_pid($node);

	kill 'TERM', $pid if $pid;
	$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM flake.lease_state() WHERE worker = $pid)")
	  or die "worker $pid stays";
	return;
}

# The oracle reads ids as the server does.
for my $layout ('flake', SECONDS)
{
	my $id = 234_567_890_123_456_789;

	is( join('|', read_id($id, $layout)),
		value($c, <<"SQL"),
SELECT flake_node_id($id, '$layout'), (extract(epoch FROM flake_timestamp($id, '$layout')) * 1000000)::bigint
SQL
		"$layout: the oracle reads ids as the server does");
}

# --- a fault that is longer than the lease: another server has the node id meanwhile

for my $fault ('some sessions', 'the worker', 'the server')
{
	my @busy = start_writers($a, 4, busy => 1);
	my @other = start_writers($b, 1);

	writers_go_on(@busy, @other);
	my $number = node_of($a);
	my $worker = worker_pid($a);
	my @session = backend_pids($a);

	note "stopped: $fault";
	# at no moment of our choice, but of several sessions
	freeze_server($a) if $fault eq 'the server';
	freeze($fault eq 'some sessions' ? (@session, $worker) : $worker) if $fault ne 'the server';
	is(wait_for_node($c), $number, "$fault stopped: another server gets the node id");
	my @heir = start_writers($c, 1);
	writers_go_on(@heir);
	thaw();
	writers_go_on(@heir, @other);
	stop_writers(@heir);
	give_back($c);
	writers_go_on(@busy);
	proven("$fault stopped", @busy, @other, @heir);
}

# --- a server that is not bound by its lease

{
	give_back($a);
	my $lease = new_lease_id();
	my $number;
	# what was given back is free a second later at most, as far as the mark was ahead
	wait_until('a node id', sub
		{
			$number = eval { value($registry,
				"SELECT node_id FROM flake_lease_node('naive', '$lease', @{[ now_us() ]}, @{[ now_us() + 5_000_000 ]})", 'ids') };
			defined $number;
		});
	my $naive = new_node('naive', conf => "flake.node_id = $number\n");
	my @naive = start_writers($naive, 2, busy => 1);

	# its heartbeat stops, and it does not notice
	is(wait_for_node($c), $number, 'without a heartbeat the node id goes to another server');
	my @heir = start_writers($c, 2, busy => 1);
	writers_go_on(@heir, @naive);
	stop_writers(@heir, @naive);
	like(fleet_problem(\@registries, @heir, @naive), qr/ids of naive are outside of what it was granted/,
		'the oracle sees a server that is not bound by its lease');
	is(fleet_problem(\@registries, @heir), '', '... and nothing wrong with the other one');
	stop_node($naive);
	give_back($c);
}

# --- killed

{
	my @writer = (start_writers($a, 2, busy => 1), start_writers($b, 1));

	for my $victim ('a session', 'the worker', 'the server')
	{
		writers_go_on(@writer);
		my ($before) = shell('grep -c "leased node id" ' . $a->logfile);

		note "killed: $victim";
		if ($victim eq 'the server')
		{
			restart_node($a, 'immediate');
		}
		else
		{
			kill 'KILL', $victim eq 'a session' ? backend_pids($a) : worker_pid($a);
		}
		wait_until("$victim killed: another lease",
			sub { (shell('grep -c "leased node id" ' . $a->logfile))[0] > $before });
		writers_go_on(@writer);
	}
	proven('killed', @writer);
}

# --- the registry away for longer than a lease

{
	my @writer = map { start_writers($_, 1) } $a, $b;

	writers_go_on(@writer);
	stop_node($registry, 'immediate');
	for my $node ($a, $b)
	{
		wait_until($node->name . ' makes no ids', sub { sqlstate($node, 'SELECT flake_next_id()') eq '55000' });
	}
	start_node($registry);
	writers_go_on(@writer);
	proven('the registry away', @writer);
}

# --- what happens to messages on their way

{
	my @writer = map { start_writers($_, 1) } $a, $b;
	my $number;
	my $granted = sub { value($registry, "SELECT count(*) FROM proof.granted WHERE holder = 'b'", 'ids') };
	my $caught = sub { wait_until('a request', sub { proxy($proxy, 'caught') }) };
	my $renewed = sub {
		my $enough = $granted->() + 3;

		wait_until('renewals', sub { $granted->() >= $enough });
	};

	writers_go_on(@writer);
	$number = node_of($b);
	proxy($proxy, 'lose flake_renew_node');
	$caught->();
	$renewed->();
	is(node_of($b), $number, 'an answer to a renewal is lost: the lease goes on');

	proxy($proxy, 'late flake_renew_node');
	$caught->();
	$renewed->();
	is(proxy($proxy, 'deliver'), '42704', 'a renewal that comes after later ones is refused');
	is(node_of($b), $number, '... and harms nobody');

	proxy($proxy, 'late flake_renew_node');
	$caught->();
	proxy($proxy, 'down');
	is(wait_for_node($c), $number, 'a renewal is under way until another server has the node id');
	my @heir = start_writers($c, 1);
	writers_go_on(@heir);
	is(proxy($proxy, 'deliver'), '42704', '... and then refused');
	proxy($proxy, 'up');
	writers_go_on(@heir);
	stop_writers(@heir);
	give_back($c);
	writers_go_on(@writer);

	proxy($proxy, 'lose flake_lease_node');
	give_back($b);
	$caught->();
	writers_go_on(@writer);
	is(value($registry, q{SELECT count(*) FROM flake.nodes WHERE state = 'held' AND holder = 'b'}, 'ids'), 1,
		'an answer to a claim is lost: there is one lease');

	proxy($proxy, 'twice flake_lease_node');
	give_back($b);
	$caught->();
	$renewed->();
	note 'a claim for the second time: ' . proxy($proxy, 'deliver');
	writers_go_on(@writer);

	proxy($proxy, 'late flake_release_node');
	give_back($b);
	$caught->();
	$renewed->();
	note 'a release that is late: ' . proxy($proxy, 'deliver');
	writers_go_on(@writer);
	proven('lost, late and doubled messages', @writer, @heir);
}

# --- given back while sessions go on, and wanted by others

{
	set_rule($registry, max_lease => '4 s');
	my @writer = map { start_writers($_, 2, busy => 1), start_writers($_, 1, layout => SECONDS) } $a, $b, $c;

	for my $round (1 .. 4)
	{
		for my $node ($a, $b, $c)
		{
			my $worker = worker_pid($node);
			my $lines = count_lines(map { $_->{file} } @writer);

			# two of the three have a node id
			kill 'TERM', $worker if $worker;
			wait_until('ids go on', sub { count_lines(map { $_->{file} } @writer) > $lines + 3_000 });
		}
	}
	proven('given back under load', @writer);
	set_rule($registry, max_lease => '1 s');
	give_back($c);
}

# --- clocks

value($registry, 'SELECT flake_create_nodes(2, 40, never_used => true)', 'ids');
for my $clock (3600, -3600, 315_360_000, 'standing')
{
	my @writer = map { start_writers($_, 1) } $a, $b;

	writers_go_on(@writer);
	$clock eq 'standing' ? stand_still($a) : set_clock($a, $clock);
	# whatever it does by that clock, it does 50 times
	my $session = session($a);
	my %state;
	for (1 .. 50)
	{
		my (undef, $error) = ask($session, q{SET statement_timeout = '100ms'; SELECT flake_next_id()});

		$state{ $error =~ /ERROR:  (\w{5})/ ? $1 : 'ids' }++;
	}
	$session->quit;
	note "$clock: " . join ', ', map { "$state{$_} times $_" } sort keys %state;
	set_clock($a, 0);
	writers_go_on(@writer);
	pass("clock $clock, and right again: there are ids");
	forget_refusals($a);
	proven("clock $clock", @writer);
}

# --- copies of a server

{
	my @writer = map { start_writers($_, 2) } $a, $b;
	my %copy;

	writers_go_on(@writer);
	$a->backup('running');
	for my $name (qw(standby copy))
	{
		$copy{$name} = PostgreSQL::Test::Cluster->new($name);
		$copy{$name}->init_from_backup($a, 'running', $name eq 'standby' ? (has_streaming => 1) : ());
		start_node($copy{$name});
	}
	my @copied = start_writers($copy{copy}, 2);
	writers_go_on(@copied);
	$a->wait_for_catchup($copy{standby}, 'replay', $a->lsn('insert'));
	$copy{standby}->promote;
	push @copied, start_writers($copy{standby}, 2);
	writers_go_on(@copied, @writer);

	# both are what crashed
	stop_node($a, 'immediate');
	$a->backup_fs_cold('crashed');
	$copy{crashed} = PostgreSQL::Test::Cluster->new('crashed');
	$copy{crashed}->init_from_backup($a, 'crashed');
	start_node($_) for $a, $copy{crashed};
	push @copied, start_writers($copy{crashed}, 2);
	writers_go_on(@copied, @writer);

	my %node_id = map { node_of($_) => 1 } $a, $b, values %copy;
	is(scalar keys %node_id, 5, 'a copy of a running server, a promoted standby and a copy of a crashed one have their own node ids');
	proven('copies', @writer, @copied);
	stop_node($_) for values %copy;
}

# --- copies of a registry

{
	my @writer = map { start_writers($_, 1) } $a, $b;

	$registry->backup('running');
	my $copy = PostgreSQL::Test::Cluster->new('copy_of_registry');
	$copy->init_from_backup($registry, 'running');
	start_node($copy);
	set_and_reload($c, 'flake.registry', connection($copy));
	wait_until('a refusal', sub { (sqlstate($c, 'SELECT flake_next_id()'))[1] =~ /leases no node id/ });
	like((sqlstate($c, 'SELECT flake_next_id()'))[1], qr/is not accepted on this server/, 'a copy of the registry leases nothing');
	writers_go_on(@writer);

	# all leases were of a second lately, and all clocks are the machine's
	retire_registry($registry);
	set_rule($copy, gap => '1 s', max_clock_offset => '1 s');
	value($copy, 'SELECT flake_accept_registry()', 'ids');
	set_and_reload($_, 'flake.registry', connection($copy)) for $a, $b;
	push @registries, $copy;
	push @writer, start_writers($c, 1);
	writers_go_on(@writer);
	pass('once it is accepted it does');
	proven('a copy of a registry', @writer);

	my $dump = PostgreSQL::Test::Utils::tempdir . '/registry.sql';
	@writer = map { start_writers($_, 1) } $a, $b, $c;
	$copy->command_ok([ 'pg_dump', '-f', $dump, 'ids' ], 'the registry is dumped');
	my $restored = new_node('restored', extension => 0, conf => "fsync = on\n");
	value($restored, 'CREATE ROLE ids LOGIN');
	value($restored, 'CREATE DATABASE ids');
	$restored->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, 'ids' ], '... and restored');
	like((sqlstate($restored, "SELECT flake_lease_node('x', '@{[ new_lease_id() ]}', 1, 2)", 'ids'))[1],
		qr/is not accepted on this server/, '... and leases nothing');
	writers_go_on(@writer);
	retire_registry($copy);
	set_rule($restored, max_clock_offset => '1 s');
	value($restored, <<'SQL', 'ids');
CREATE TRIGGER proof AFTER UPDATE ON flake.node
	FOR EACH ROW WHEN (new.valid_from IS NOT NULL) EXECUTE FUNCTION proof.keep();
SQL
	value($restored, 'SELECT flake_accept_registry()', 'ids');
	value($restored, 'SELECT flake_create_nodes(0, 40)', 'ids');
	set_and_reload($_, 'flake.registry', connection($restored)) for $a, $b, $c;
	push @registries, $restored;
	writers_go_on(@writer);
	pass('once it is accepted, node ids are leased that are created anew');
	proven('a registry from a dump', @writer);
}

# --- a second registry, and the first one gone for good

{
	my $second = new_fleet_registry('second', 100, 109);

	set_and_reload($_, 'flake.registry_2', connection($second)) for $a, $b, $c;
	my @writer = map { start_writers($_, 1) } $a, $b, $c;
	writers_go_on(@writer);
	retire_registry($registries[-1]);
	push @registries, $second;
	wait_until($_->name . ' has another node id', sub { sqlstate($_, 'SELECT flake_next_id()') eq '' && node_of($_) >= 100 })
	  for $a, $b, $c;
	writers_go_on(@writer);
	proven('one of two registries gone', @writer);
}

is(fleet_problem(\@registries, @all), '', 'over all that was done: each id is its maker\'s, and none is there twice');

stop_node($_) for $a, $b, $c, $registries[-1];
done_testing();
