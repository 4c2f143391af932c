# Servers that lease their node ids, and faults at random until the time is over: see run beside this
# file.  The seed says which servers there are, how long their leases are, and which faults come in
# which round; it can't say at which moment of a server's work a fault comes.
#
#   fleet.pl SECONDS, with the seed in FLAKE_TEST_SEED

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeFleet;
use FlakeLease;
use FlakeTest;
use File::Path qw(rmtree);
use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

need_faketime();

my $end = time + $ARGV[0];
my $seed = random_seed();
my ($lease, @registry, @holder, %proxy, @writer, $copies, %ids_of);

# ------------------------------------------------------------------------------------------ faults

# Each begins its fault at a server, and returns what ends it, if anything must.

sub frozen
{
	my (@pid) = @_;

	# thaw() of none is of all
	return @pid ? sub { thaw(@pid) } : undef;
}

sub killed
{
	my ($node, @pid) = @_;

	kill 'KILL', @pid;
	return sub { wait_for_server($node) };
}

sub restarted
{
	my ($node, $mode) = @_;

	stop_node($node, $mode);
	return sub { start_node($node) };
}

# A server from a base backup makes ids beside its original, as itself or as a standby that is promoted.
sub copied
{
	my ($node, $promoted) = @_;
	my $name = $node->name . '_copy' . ++$copies;
	my $copy = PostgreSQL::Test::Cluster->new($name);

	$node->backup($name);
	$copy->init_from_backup($node, $name, has_streaming => $promoted);
	rmtree($node->backup_dir . "/$name");
	start_node($copy);
	$copy->promote if $promoted;
	push @writer, start_writers($copy, 1), start_writers($copy, 1, layout => SECONDS);
	return sub {
		stop_node($copy, 'immediate');
		$copy->clean_node;
	};
}

sub clock
{
	my ($node, $set) = @_;

	$set->($node);
	return sub { set_clock($node, 0) };
}

# What becomes of the next message of that kind.
sub message
{
	my ($proxy, $what, $kind) = @_;

	proxy($proxy, "$what flake_${kind}_node");
	return sub {
		my $caught = proxy($proxy, 'caught');

		# no other is meant
		proxy($proxy, 'lose (?!)');
		note "$what $kind: " . ($what eq 'lose' ? 'caught' : proxy($proxy, 'deliver')) if $caught;
	};
}

# 0 if there is none
sub worker { return grep { $_ } worker_pid($_[0]) }

sub give_back
{
	kill 'TERM', worker($_[0]);
	return;
}

my @OF_HOLDER = (
	[ 'worker frozen', sub { frozen(freeze(worker($_[0]))) } ],
	[ 'sessions frozen', sub { frozen(freeze(backend_pids($_[0]))) } ],
	[ 'worker and sessions frozen', sub { frozen(freeze(worker($_[0]), backend_pids($_[0]))) } ],
	[ 'frozen', sub { frozen(freeze_server($_[0])) } ],
	[ 'worker killed', sub { killed($_[0], worker($_[0])) } ],
	[ 'session killed', sub { killed($_[0], (backend_pids($_[0]))[0] // ()) } ],
	[ 'crashed', sub { restarted($_[0], 'immediate') } ],
	[ 'crashed, and crashed again', sub { restart_node($_[0], 'immediate'); restarted($_[0], 'immediate') } ],
	[ 'restarted', sub { restarted($_[0], 'fast') } ],
	[ 'node id given back', \&give_back ],
	[ 'copied', sub { copied($_[0], 0) } ],
	[ 'standby promoted', sub { copied($_[0], 1) } ],
	[ 'clock stands', sub { clock($_[0], \&stand_still) } ],
	map {
		my $seconds = $_;

		[ "clock $seconds s", sub { clock($_[0], sub { set_clock($_[0], $seconds) }) } ]
	} qw(+1.5 -1.5 +30 -30 +3600 -3600 +315360000));

my @OF_REGISTRY = (
	[ 'frozen', sub { frozen(freeze_server($_[0])) } ],
	[ 'crashed', sub { restarted($_[0], 'immediate') } ],
	[ 'restarted', sub { restarted($_[0], 'fast') } ],
	[ 'out of reach', sub { my $proxy = $proxy{ $_[0]->name }; proxy($proxy, 'down'); sub { proxy($proxy, 'up') } } ],
	map {
		my ($what, $kind) = split;

		[ "message $_", sub { message($proxy{ $_[0]->name }, $what, $kind) } ]
	} 'lose lease', 'lose renew', 'lose release', 'late lease', 'late renew', 'late release',
	  'twice lease', 'twice renew', 'twice release');

# ------------------------------------------------------------------------------------------ rounds

# The faults of a round, one of a server at most, as {node, name, begin, before, lasts}, the last
# being seconds before it begins and, once all have begun, before it ends.
sub faults_of
{
	my ($round) = @_;

	# whatever else has taken random numbers
	srand($seed + 65_537 * $round);
	my @target = shuffle(@holder);
	my @fault;
	my $add = sub {
		my ($node, $kind) = @_;

		push @fault, { node => $node, name => $node->name . ": $kind->[0]", begin => $kind->[1],
			before => rand 1, lasts => rand(2 * $lease) };
	};

	for my $registry (@registry)
	{
		next if rand() < 0.5;
		$add->($registry, $OF_REGISTRY[ rand @OF_REGISTRY ]);
		# so that there are messages of each kind
		$add->(shift @target, [ 'node id given back', \&give_back ]);
	}
	$add->($_, $OF_HOLDER[ rand @OF_HOLDER ]) for splice @target, 0, 1 + rand 2;
	return @fault;
}

sub run_round
{
	my (@fault) = @_;
	my (@end, $problem);

	@writer = map { my $node = $_; start_writers($node, 2), start_writers($node, 1, layout => SECONDS) } @holder;
	my @lasting = @writer;
	writers_go_on(@lasting);
	for my $fault (@fault)
	{
		sleep $fault->{before};
		push @end, [ $fault->{lasts}, $fault->{begin}->($fault->{node}) ];
	}
	for (@end)
	{
		my ($lasts, $repair) = @$_;

		sleep $lasts;
		$repair->() if $repair;
	}
	writers_go_on(@lasting);
	stop_writers(@writer);
	forget_refusals($_->{node}) for grep { $_->{name} =~ /: clock/ } @fault;
	$problem = fleet_problem(\@registry, @writer);
	for my $writer (@writer)
	{
		my $all = $ids_of{ $writer->{layout} } //= PostgreSQL::Test::Utils::tempdir . '/all' . keys %ids_of;

		shell("cat $writer->{file} >>$all");
		unlink glob "$writer->{file} $writer->{file}.*" unless $problem;
	}
	return $problem;
}

# -------------------------------------------------------------------------------------------- main

srand $seed;
my $holders = 3 + int rand 2;
my $registries = 1 + int rand 2;
# just enough, or few more, so that they soon are somebody else's
my $numbers = int(($holders + $registries - 1) / $registries) + int rand 2;
$lease = 1 + int rand 3;
for my $number (1 .. $registries)
{
	my $registry = new_fleet_registry("registry$number", 100 * $number, 100 * $number + $numbers - 1);

	set_rule($registry, max_lease => "$lease s");
	push @registry, $registry;
	$proxy{ $registry->name } = start_proxy($registry);
}
push @holder, new_holder($_, [ map { connection($_, host => $proxy{ $_->name }{host}) } @registry ],
	clock => 1, init => [ allows_streaming => 1 ], conf => "restart_after_crash = on\n")
  for ('a' .. 'd')[ 0 .. $holders - 1 ];
note "registries: $registries, of $numbers node ids each; holders: $holders; leases of $lease s";

my $well = 1;
for (my $round = 1; $well && time < $end; $round++)
{
	my @fault = faults_of($round);
	my $name = "seed $seed, round $round: " . join('; ', map { $_->{name} } @fault);

	$well = is(eval { run_round(@fault) } // $@, '', $name);
}
# a round's ids may be those of an earlier one
is(join('; ', grep { $_ } map { ids_problem({ order => 0 }, $_) } values %ids_of), '', "seed $seed: all rounds' ids");
if ($well)
{
	stop_node($_) for @holder, @registry;
}
done_testing();
