# The clock steps back and forth while 8 sessions insert, and is set back while the server is down.
# Within flake.max_clock_lead nobody notices; beyond it there is an error that says by how much, and
# that ends when the clock has come near enough, for every session.  Promises P1 to P3, P6
# (src/core/refill.c, src/core/mark.c).
#
# check: both clocks

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

use constant { SESSIONS => 8, LEAD_US => 5_000_000, GRACE_US => 1_000_000 };

need_faketime();
random_seed();

my $node = new_node('steps', clock => 1);
my $dir = $node->basedir;
my @file;

value($node, 'CREATE TABLE made (id bigint PRIMARY KEY DEFAULT flake_next_id(), process int)');

# --- 8 sessions insert; the clock goes anywhere within 4 s of the true time

my @load = map {
	{   file => "$dir/load$_",
		sql => 'INSERT INTO made SELECT flake_next_id(), pg_backend_pid() FROM generate_series(1, 10) RETURNING id'
	}
} 1 .. SESSIONS;
push @file, map { $_->{file} } @load;
start_endless($node, @load);

# Every session makes ids after each step.
sub every_session_goes_on
{
	my %size = map { $_->{file} => -s $_->{file} } @load;

	wait_until('every session makes ids', sub {
		eval { $_->{run}->pump_nb } for @load;
		!grep { -s $_->{file} == $size{ $_->{file} } && $_->{errors} eq '' } @load;
	});
	return;
}

for my $step (1 .. 12)
{
	set_clock($node, rand(4) - 2);
	every_session_goes_on();
}
set_clock($node, 0);
end_load($node);
my @errors = grep { !/57P01/ } end_endless(@load);
is("@errors", '', '8 sessions insert while the clock steps: no error');
is(ids_problem(@file), '', 'no id twice, each session has its in order');
is(value($node, 'SELECT count(DISTINCT process) FROM made'), SESSIONS, 'all of them took part');
cmp_ok(id_us(last_id(@file)), '<=', 1e6 * (time + 1 + 2) + 2 * TICK_US,
	'no id is later than any clock there was');

# --- set back while the server is down, by what is allowed

my $offset = 0;
my $last;

# the steps have left ids ahead of the clock
wait_until('the clock catches up', sub { $last = next_id($node); id_us($last) <= clock_us($node) });
stop_node($node);
set_clock($node, $offset -= 3);
start_node($node);
my $mark = mark_us($node);
my $id = next_id($node);
later_ids_ok('clean restart, 3 s back', $mark, $last, $id);
cmp_ok(id_us($id) - clock_us($node), '<=', 3e6 + 1e6 + 2 * TICK_US,
	'... and ahead by at most a second and two ticks more than that');
$last = $id;

# --- by more: for every session, until the clock is near enough

my $mark_ahead = qr/ERROR:  55000: durable mark is ([\d.]+) seconds ahead of the clock/;

stop_node($node);
set_clock($node, $offset -= 30);
start_node($node);
$mark = mark_us($node);
my @session = map { session($node) } 1 .. SESSIONS;
my @waiting = @session;
my (%first, @ahead);

# Each session that has no id yet asks for one.
sub ask_again
{
	for my $session (@waiting)
	{
		my ($out, $error) = ask($session, NEXT_ID);

		die $error if $error ne '' && $error !~ $mark_ahead;
		$error =~ $mark_ahead ? push @ahead, $1 : ($first{$session} = $out);
	}
	@waiting = grep { !exists $first{$_} } @waiting;
	return !@waiting;
}

ok(!ask_again() && @ahead == SESSIONS, 'clean restart, 30 s more: an error in every session');
set_clock($node, $offset += ($mark - clock_us($node) - LEAD_US - 1.5 * GRACE_US) / 1e6);
wait_until('the clock is near enough', \&ask_again);
# the first id's tick begins up to a tick after the mark, and the error rounds
cmp_ok($ahead[-1] * 1e6, '>=', LEAD_US + GRACE_US - 2 * TICK_US,
	'which ends when it is no more than a second too far behind');
is("@ahead", join(' ', sort { $b <=> $a } @ahead), 'it says by how much, ever less');
my @first = sort { $a <=> $b } values %first;
later_ids_ok('then', $mark, $last, $first[0]);
is(scalar keys %{ { map { $_ => 1 } @first } }, SESSIONS, 'ids of all sessions differ');
cmp_ok(id_us($first[0]) - clock_us($node), '<=', LEAD_US + TICK_US,
	'no id is further ahead than allowed');
$last = $first[-1];

# --- the same without a restart, and the clock is set right

my $behind = qr/ERROR:  55000: clock is ([\d.]+) seconds behind the ids already made/;

set_clock($node, $offset - 60);
for my $session (@session)
{
	my (undef, $error) = ask($session, NEXT_ID);

	like($error, $behind, 'a minute back: an error');
	my ($seconds) = $error =~ $behind;
	cmp_ok(abs(($seconds // 0) - 65), '<=', 5, '... that says by how much') or diag $error;
	like($error, qr/^HINT:  If the clock is wrong, set it right\..* wait until .*; or raise "flake\.max_clock_lead" to \d+ s to .*; or change "flake\.node_id"/m,
		'... and what to do');
}
set_clock($node, $offset = 0);
my %seen = map { $_ => 1 } @first;
my @wrong = grep { !/^\d+$/ || $seen{$_}++ || id_us($_) < id_us($last) }
  map { join '', ask($_, NEXT_ID) } @session;
is("@wrong", '', 'with the clock right every session goes on at once');

$_->quit for @session;
stop_node($node);
unlink @file;
done_testing();
