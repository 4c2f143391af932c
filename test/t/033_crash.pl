# Crashes around the flush of an early move of the mark; crashes under load in two databases, at
# random moments: kill -9 of a backend, immediate stop; and a start with the clock 1 s, 4 s, 1 min, 1 h
# back.  Ids go on after all that were made before, at once if the clock is not too far back, else with
# an error until it is right or the limit is raised.  And starts that follow each other quickly do not
# add up.  Promises P1, P3 and P6 (src/core/mark.c).

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use List::Util qw(max);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use constant DATABASES => qw(postgres second);
use constant REPEATS => 3;

need_faketime();
random_seed();

# No WAL is on disk but what somebody waited for.
my $node = new_node('crash', clock => 1, conf => <<'CONF');
restart_after_crash = on
wal_writer_delay = 10s
flake.max_clock_lead = 20s
CONF
my $dir = $node->basedir;
my $offset = 0;
my %file = map { $_ => [] } DATABASES;

value($node, 'CREATE DATABASE second');
value($node, 'CREATE EXTENSION flake', 'second');
value($node, 'CREATE TABLE made (id bigint PRIMARY KEY)', $_) for DATABASES;

sub load
{
	my ($round, $database, $sql, $number) = @_;
	my $file = "$dir/$round.$database.$number";

	push @{ $file{$database} }, $file;
	return { file => $file, sql => $sql, database => $database };
}

# Load until the crash.  In every second round nobody writes, so that nobody's commit flushes the
# mark's WAL.
sub crash_under_load
{
	my ($round, $way, $back) = @_;
	my $insert = 'INSERT INTO made SELECT flake_next_id() FROM generate_series(1, 5) RETURNING id';
	my @job;

	for my $database (DATABASES)
	{
		push @job, map { load($round, $database, IDS, $_) } 1 .. 2;
		push @job, load($round, $database, $insert, 3) if $round % 2;
	}
	start_endless($node, @job);
	my @pid = split /\n/, value($node, <<'SQL');
SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
SQL
	usleep(rand(1_500_000));

	$offset -= $back;
	if ($way eq 'kill')
	{
		kill 'KILL', $pid[ rand @pid ];
		set_clock($node, $offset);
	}
	else
	{
		stop_node($node, 'immediate');
		set_clock($node, $offset);
		start_node($node);
	}
	end_endless(@job);
	wait_for_server($node);
	return @job;
}

# The last id of a database that anybody can have seen.
sub last_of
{
	my ($database, @job) = @_;
	my @last = last_id(map { $_->{file} } grep { $_->{database} eq $database } @job);

	push @last, grep { $_ ne '' } value($node, 'SELECT max(id) FROM made', $database);
	return (sort { $b <=> $a } @last)[0];
}

# The error while the clock is too far behind a mark: it says how far.
sub clock_is_behind
{
	my ($database, $mark) = @_;
	my $before = clock_us($node);
	my ($state, $errors) = sqlstate($node, NEXT_ID, $database);
	my $after = clock_us($node);
	my ($ahead) = $errors =~ /durable mark is ([\d.]+) seconds ahead of the clock/;

	# in milliseconds, rounded
	return
		 $state eq '55000'
	  && defined $ahead
	  && $ahead <= ($mark - $before) / 1e6 + 0.001
	  && $ahead >= ($mark - $after) / 1e6 - 0.001
	  && $errors =~ /^DETAIL:  The clock shows .*\.  Ids of this database start after .*, and may be ahead of the clock by 20\.000 seconds\.$/m
	  && $errors =~ /^HINT:  If the clock is wrong, set it right\..* raise "flake\.max_clock_lead" to \d+ s to allow ids that are ahead of the clock\.$/m
	  ? ''
	  : "mark $mark, clock $before to $after: $state $errors";
}

# --- around the flush of an early move of the mark

# Kills the session that made ids when the condition holds, given the page of the mark before the
# move, and returns what the page was then and what it is after the recovery.
my $early = 0;

sub crash_when
{
	my ($name, $condition) = @_;
	my $job = load('early', 'postgres', NEXT_ID, ++$early);

	start_endless($node, $job);
	my $before = mark_us($node);
	my $pid = value($node, <<'SQL');
SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
SQL
	wait_until($name, sub { $condition->($before, $job->{file}) });
	my $then = mark_us($node);
	kill 'KILL', $pid;
	end_endless($job);
	wait_for_server($node);
	my $after = mark_us($node);
	later_ids_ok($name, $after, last_of('postgres', $job), next_id($node));
	return ($then, $after);
}

# the page is written, and its WAL is lost
my $lost = 0;
for my $try (1 .. 20)
{
	my ($then, $after) = crash_when("the mark is written, $try", sub { mark_us($node) != $_[0] });
	last if $lost = $after < $then;
}
ok($lost, '... and not flushed');
crash_when('ids are past the mark that was', sub { id_us(last_id($_[1])) > $_[0] });

my @way = map {
	my $way = $_;
	map { [ $way, $_ ] } (1, 4, 60, 3600)
} qw(kill immediate);
my @rounds = sort { $a->[0] <=> $b->[0] } map { [ rand, @$_ ] } (@way) x REPEATS;
my $bad_rounds = 0;
my $not_right = 0;

for my $round (1 .. @rounds)
{
	my (undef, $way, $back) = @{ $rounds[ $round - 1 ] };
	my $name = "round $round ($way, $back s back)";

	my @job = crash_under_load($round, $way, $back);
	my %mark = map { $_ => mark_us($node, $_) } DATABASES;
	my %last = map { $_ => last_of($_, @job) } DATABASES;

	if ($back >= 60)
	{
		is(clock_is_behind($_, $mark{$_}), '', "$name: an error in $_") for DATABASES;
		if (rand() < 0.5)
		{
			set_clock($node, $offset = 0);
		}
		else
		{
			set_everywhere($node, 'flake.max_clock_lead', '2h');
		}
	}
	later_ids_ok("$name, $_", $mark{$_}, $last{$_}, next_id($node, $_)) for DATABASES;

	# the next crash comes with the clock behind its ids in some rounds
	if ($back >= 60 && $offset < 0)
	{
		set_everywhere($node, 'flake.max_clock_lead', '20s');
	}
	if ($back >= 60 || $not_right++ == 2 || rand() < 0.5)
	{
		set_clock($node, $offset = 0);
		$not_right = 0;
	}
}

# --- 12 starts, clean and by crash, while the clock goes on by two seconds in all

set_clock($node, 0);
wait_until('the clock catches up', sub { id_us(next_id($node)) <= clock_us($node) + TICK_US });
my $began = time;
my ($last, $latest) = (next_id($node), clock_us($node));
my (@too_far, @not_later);
for my $start (1 .. 12)
{
	stop_node($node, $start % 3 ? 'immediate' : 'fast');
	set_clock($node, $began + $start / 6 - time);
	start_node($node);
	my $id = next_id($node);

	# the latest that the clock has ever shown
	$latest = max($latest, clock_us($node));
	push @too_far, "start $start: " . (id_us($id) - $latest)
	  if id_us($id) > $latest + 1_000_000 + (2 + $start) * TICK_US;
	push @not_later, "start $start: $id" if $id <= $last;
	$last = $id;
}
is("@too_far", '', '12 quick starts: no id is ahead by more than a second and some ticks');
is("@not_later", '', '... and each is later than the one before');

for my $database (DATABASES)
{
	is(ids_problem(@{ $file{$database} }), '', "$database: no id twice, each session has its in order");
	unlink @{ $file{$database} };
}
stop_node($node);
done_testing();
