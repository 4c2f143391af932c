# The clock is set back, or jumps, under a running server: by little, ids go on ahead of it, by no
# more than it was set back and ever less; by much, there is an error that says by how much, and
# that leaves no trace.  Promises P2, P3 and P6 (src/core/refill.c, src/core/counter.c).
#
# check: both clocks

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

use constant { MILLISECOND => 1_000, SECOND => 1_000_000, DAY => 86_400 };

# So many ids a session may give out by the processor's cycle counter, without a look at the
# clock: FLAKE_COUNTER_MAX_IDS of src/core/counter.h.
use constant COUNTER_IDS => 64;

my $small = 'time:41 node:4 slot:2 sequence:4';       # 64 ids a millisecond
my $seconds = 'time:36 node:6 slot:6 sequence:14 tick=1s';

my $node = new_node('clock_back', clock => 1);
my $dir = $node->basedir;

# Ids that one session takes, and their leads.
my $session = session($node);
my (@id, @lead);

sub take
{
	my ($count, $layout) = @_;
	my ($out, $error) = ask($session, copy_with_lead($count, $layout));

	@lead = ();
	for (split /\n/, $out)
	{
		my ($id, $lead) = split /\t/;
		push @id, $id;
		push @lead, $lead;
	}
	return $error;
}

sub largest_lead { return (sort { $a <=> $b } @lead)[-1]; }

sub take_until_level
{
	my ($name) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	do { take(10) } until $lead[-1] <= MILLISECOND || time > $end;
	cmp_ok($lead[-1], '<=', MILLISECOND, "$name: the lead is gone in the end");
	return;
}

sub in_order
{
	my ($name) = @_;

	is(scalar(grep { $id[$_] <= $id[ $_ - 1 ] } 1 .. $#id), 0, "$name: ids increase");
	return;
}

is(take(1000), '', 'a right clock: no error');
cmp_ok(largest_lead(), '<=', MILLISECOND, 'a right clock: no id is more than a tick ahead');

# --- 3 ms and 2 s, with nobody else

my $offset = 0;
for my $step (0.003, 2)
{
	my $name = "$step s back";

	take(100);
	$offset -= $step;
	set_clock($node, $offset);
	is(take(3000), '', "$name: no error");
	cmp_ok(largest_lead(), '<=', $step * SECOND + 2 * MILLISECOND, "$name: ahead by no more than that");
	take_until_level($name);
	in_order($name);
}

# --- 2 s, beneath sessions that use up every tick

my @load = start_load($node, map {
	{ file => "$dir/load$_", sql => copy_with_lead(500, $small) }
} 1 .. 4);

load_goes_on(1000, @load);
$offset -= 2;
set_clock($node, $offset);
load_goes_on(1000, @load);
take_until_level('2 s back beneath a load');
is(stop_load(@load), '', '2 s back beneath a load: no errors');
my @file = map { $_->{file} } @load;
cmp_ok(scalar(take_leads(@file)), '<=', 2 * SECOND + 2 * MILLISECOND,
	'2 s back beneath a load: ahead by no more than that');
is(ids_problem(@file), '', "2 s back beneath a load: ids are distinct and each session's in order");

# --- an hour: an error that says so, and no harm done

sub refused_by
{
	my ($name, $error, $pattern, $least, $most) = @_;

	like($error, qr/ERROR:  55000: $pattern/, "$name: error");
	my ($seconds) = $error =~ /$pattern/;
	cmp_ok($seconds // 0, '>=', $least, "$name: it says by how much");
	cmp_ok($seconds // 0, '<=', $most, "$name: and not more");
	return;
}

my $behind = qr/clock is (\d+\.\d+) seconds behind the ids already made/;

take(1);
set_clock($node, $offset - 3600);
refused_by('an hour back', take(1), $behind, 3000, 3600.1);
like(take(1), qr/HINT:.*flake\.max_clock_lead/, 'an hour back: a hint');
like((sqlstate($node, 'SELECT flake_next_id()'))[1], $behind, 'an hour back: other sessions too');
set_clock($node, $offset);
is(take(100), '', 'the hour is over: no error');
in_order('the hour is over');

# --- in the middle of a range: the session owns numbers of a tick that goes on for long

is(take(20, $seconds), '', 'a range is open');
set_clock($node, $offset - 3600);
refused_by('an hour back within a range', take(1, $seconds), $behind, 3000, 3660);
set_clock($node, $offset - 2);
@id = ();
is(take(20, $seconds), '', '2 s back within a range: no error');
set_clock($node, $offset);
is(take(20, $seconds), '', 'and forth again: no error');
in_order('within a range');
@id = ();

# --- in the middle of a statement

my $statement = { file => "$dir/statement", sql => copy_with_lead(100_000_000) };
start_sessions($node, $statement);
load_goes_on(20_000, $statement);
$offset -= 2;
set_clock($node, $offset);
load_goes_on(20_000, $statement);
set_clock($node, $offset - 3600);
refused_by('an hour back within a statement', finish_sessions($statement), $behind, 3000, 3602.1);
set_clock($node, $offset);

my @ahead = grep { $_ > 2 * SECOND + 2 * MILLISECOND } take_leads($statement->{file});
cmp_ok(scalar(@ahead), '<=', COUNTER_IDS,
	'within a statement: the step was noticed within a few ids');
is(ids_problem($statement->{file}), '', 'within a statement: ids increase');

sub slot { return ($_[0] >> 8) & 63; }

# --- a jump forward that is refused, and taken back

take_until_level('before the jump');
set_clock($node, $offset);    # and so into a new tick, where a session begins at slot 0
is(take(1), '', 'before the jump: no error');
set_clock($node, $offset + 2 * DAY);
refused_by('two days forward', take(1), qr/clock jumped forward by (\d+\.\d+) seconds/,
	2 * DAY - 10, 2 * DAY + 600);
set_clock($node, $offset);
is(take(1), '', 'the jump was taken back: no error');
is(slot($id[-1]), slot($id[-2]), 'the jump was taken back: the slot is as before');
is(take(100), '', 'the jump was taken back: no error');
cmp_ok(largest_lead(), '<=', MILLISECOND, 'the jump was taken back: ids are not ahead of the clock');
in_order('the jump was taken back');

# --- before the layout's epoch

set_clock($node, -20 * 365 * DAY);
my $error = take(1);
like($error, qr/ERROR:  55000: clock is before the epoch of the layout$/m, 'before the epoch: error');
like($error, qr/^DETAIL:  It shows .*\.  Ids of the layout can be made from .*\.$/m, '... with both times');
set_clock($node, $offset);
is(take(1), '', 'after the epoch again: no error');

# --- a set of ids whose rows come slowly: each has the time of its row

is( ask($session, <<'SQL'), '40|0', 'flake_next_ids(): no row is behind the clock by more than a tick');
SELECT count(*), count(*) FILTER (WHERE flake_timestamp(id) < asked - interval '1 millisecond')
FROM (SELECT clock_timestamp() AS asked, flake_next_ids(40) AS id, pg_sleep(0.01)) AS taken
SQL

$session->quit;
$node->stop;
done_testing();
