# Servers that lease their node ids, and what brings back an earlier state of one of them or of a
# registry: recovery to a point in time, a copy of the files, a clone that has its original's name, a
# crash with the clock set back.  And a lease that is claimed while the old one still goes on.  See
# FlakeFleet.pm for what is asked of the ids.
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

my @archived = (init => [ has_archiving => 1, allows_streaming => 1 ]);
my $registry = new_fleet_registry('registry', 0, 20, @archived);
my $a = new_holder('a', $registry, clock => 1, @archived);
my $b = new_holder('b', $registry);
my $c = new_holder('c', $registry);
my @registries = ($registry);
my @all;

# The ids of what has just been tried.
sub proven
{
	my ($name, @writer) = @_;

	stop_writers(@writer);
	is(fleet_problem(\@registries, @writer), '', "$name: each id is its maker's, and none is there twice");
	push @all, @writer;
	return;
}

sub some_writers
{
	return map { my $node = $_; map { start_writers($node, 1, layout => $_) } 'flake', HUNDREDTHS, SECONDS } @_;
}

# A node from a backup of another one, brought to its restore point "then".
sub recover
{
	my ($node, $name) = @_;
	my $copy = PostgreSQL::Test::Cluster->new($name);

	$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
	$copy->init_from_backup($node, 'before', has_restoring => 1, standby => 0);
	$copy->append_conf('postgresql.conf', "recovery_target_name = 'then'\nrecovery_target_action = 'promote'\narchive_mode = off\n");
	start_node($copy);
	$copy->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die "$name does not come to its target";
	return $copy;
}

# A registry that refuses, until it is accepted in place of the one before.
sub replace_registry
{
	my ($name, $old, $new, $difference) = @_;
	my @writer = some_writers($a, $b);

	set_and_reload($c, 'flake.registry', connection($new));
	wait_until('a refusal', sub { (sqlstate($c, 'SELECT flake_next_id()'))[1] =~ /leases no node id/ });
	like((sqlstate($new, "SELECT flake_lease_node('x', '@{[ new_lease_id() ]}', 1, 2)", 'ids'))[1], $difference,
		"$name leases nothing");
	writers_go_on(@writer);

	# all leases were of a second, and all clocks are the machine's
	retire_registry($old);
	set_rule($new, gap => '1 s', max_clock_offset => '1 s');
	value($new, 'SELECT flake_accept_registry()', 'ids');
	set_and_reload($_, 'flake.registry', connection($new)) for $a, $b;
	push @registries, $new;
	push @writer, some_writers($c);
	writers_go_on(@writer);
	proven($name, @writer);
	return;
}

# --- earlier states of a server

{
	my @writer = some_writers($a, $b);

	$_->backup('before') for $a, $registry;
	writers_go_on(@writer);
	value($_, q{SELECT pg_create_restore_point('then')}) for $a, $registry;
	writers_go_on(@writer);

	my $clone = PostgreSQL::Test::Cluster->new('clone');
	$clone->init_from_backup($a, 'before');
	{
		# by which the registry knows it
		local $clone->{_name} = 'a';
		start_node($clone);
	}
	is(value($clone, 'SHOW cluster_name'), 'a', 'a clone has the name of its original');
	my $recovered = recover($a, 'recovered');
	push @writer, start_writers($clone, 2, holder => 'a'), some_writers($recovered);
	writers_go_on(@writer);
	is(scalar keys %{ { map { node_of($_) => 1 } $a, $b, $clone, $recovered } }, 4,
		'a clone with its name and a server recovered to a point in time have their own node ids');
	proven('earlier states', @writer);
	stop_node($_) for $clone, $recovered;
}

# --- a crash with the clock set back

for my $seconds (-20, -3600)
{
	my @writer = some_writers($a, $b);

	writers_go_on(@writer);
	set_clock($a, $seconds);
	restart_node($a, 'immediate');
	if ($seconds == -20)
	{
		writers_go_on(@writer);
		is(value($registry, "SELECT min(clock_offset) BETWEEN '-30 s' AND '-10 s' FROM flake.nodes WHERE holder = 'a'", 'ids'),
			't', 'the lease worker has the clock of its server');
	}
	else
	{
		wait_until('a refusal', sub { (sqlstate($a, 'SELECT flake_next_id()'))[1] =~ /clock is 3[56][0-9]{2}\.[0-9]{3} seconds behind/ });
		pass('with a clock that is far behind it has no lease');
	}
	set_clock($a, 0);
	writers_go_on(@writer);
	proven("clock $seconds s and a crash", @writer);
}

# --- earlier states of the registry

{
	my $recovered = recover($registry, 'recovered_registry');
	replace_registry('a registry recovered to a point in time', $registry, $recovered,
		qr/is not accepted.*\nDETAIL:  The timeline is 2, and was 1\./);

	stop_node($recovered);
	$recovered->backup_fs_cold('files');
	start_node($recovered);
	my $files = PostgreSQL::Test::Cluster->new('files_of_registry');
	$files->init_from_backup($recovered, 'files');
	start_node($files);
	replace_registry('a copy of its files', $recovered, $files,
		qr/is not accepted.*\nDETAIL:  The file "global\/pg_control" was replaced/);
}

# --- a lease is claimed while the old one goes on, and begins later

{
	my $first = $registries[-1];
	my $second = new_fleet_registry('second', 100, 100, clock => 1);
	my $lease = new_lease_id();

	set_rule($_, max_lease => '9 s', gap => '9 s') for $first, $second;
	set_clock($second, 20);
	my $d = new_holder('d', [ connection($first), connection($second) ], conf => "flake.max_clock_lead = '100ms'\n");
	my @writer = start_writers($d, 2);
	writers_go_on(@writer);
	my $old = node_of($d);

	# by its clock the other one's node id was in use just now
	value($second, <<"SQL", 'ids');
SELECT flake_release_node(node_id, '$lease', c.now)
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS c,
	flake_lease_node('x', '$lease', c.now - 50, c.now + 1000)
SQL
	retire_registry($first);
	my $end = value($d, 'SELECT (extract(epoch FROM valid_until) * 1000000)::bigint FROM flake.lease_state()');
	wait_until('a claim', sub { value($second, q{SELECT count(*) FROM proof.granted WHERE holder = 'd'}, 'ids') });
	my ($state, $text) = sqlstate($d, 'SELECT flake_next_id()');
	ok($state eq '' || now_us() >= $end, 'a lease that begins later does not end the one that goes on')
	  or diag($text);
	stop_writers(@writer);
	push @registries, $second;
	proven('a lease that begins later', @writer);
	stop_node($d);
	retire_registry($second);
}

is(fleet_problem(\@registries, @all), '', 'over all that was done: each id is its maker\'s, and none is there twice');

stop_node($_) for $a, $b, $c;
done_testing();
