# The clock jumps forward.  By more than flake.max_clock_jump: refused without a trace, until it is
# right again, or accepted by flake_accept_clock() or a restart.  By less, and it was wrong all the
# same: once it is right ids are refused, until more lead is allowed or the node id is changed; a
# crash and a restart change nothing.  Promises P1, P2, P3 and P6 (src/core/mark.c,
# src/core/refill.c, src/server/durable.c).
#
# check: both clocks
# check: one major

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use List::Util qw(max min);
use PostgreSQL::Test::Utils;
use Test::More;

# PostgreSQL's checkpointer asserts that no clock jumps by 24 days.
use constant { SESSIONS => 4, DAY => 86_400, HOUR => 3_600, US => 1_000_000 };

# What a start may leave ids ahead of the clock.
use constant START_US => 1_000_000 + 10 * TICK_US;

need_faketime();

my $node = new_node('jump', clock => 1, conf => 'wal_writer_delay = 10s');
my $dir = $node->basedir;
my @databases = qw(postgres second);
my @session;
my %made;    # every id

value($node, 'CREATE DATABASE second');
value($node, 'CREATE EXTENSION flake; CREATE ROLE somebody', 'second');

# Sessions, those of the second database last; all of them make ids.
sub new_sessions
{
	my ($name, @bounds) = @_;

	eval { $_->quit } for splice @session;
	push @session, map { session($node) } 1 .. SESSIONS;
	push @session, map { session($node, 'second') } 1 .. 2;
	all_go_on("$name, new sessions", @bounds);
	return;
}

sub crash
{
	restart_node($node, 'immediate');
	eval { $_->quit } for splice @session;
	return;
}

# Every session makes some ids, new ones, in order, and with the time that the clock shows, but for
# what they may be ahead of it; returns them.
sub all_go_on
{
	my ($name, $most_us) = @_;
	my $before = clock_us($node);
	my (@id, @wrong);

	for my $session (@session)
	{
		my ($out, $error) = ask($session, 'SELECT flake_next_id() FROM generate_series(1, 3)');
		my @of_session = split /\n/, $out;

		push @wrong, $error if $error ne '';
		push @wrong, "not in order: @of_session"
		  if grep { $of_session[$_] <= $of_session[ $_ - 1 ] } 1 .. $#of_session;
		push @id, @of_session;
	}
	my $after = clock_us($node);

	push @wrong, map { "$_ again" } grep { $made{$_}++ } @id;
	push @wrong, map { "$_ too early" } grep { id_us($_) < $before - TICK_US } @id;
	push @wrong, map { "$_ too late" } grep { id_us($_) > $after + ($most_us // START_US) } @id;
	is("@wrong", '', "$name: every session makes ids");
	return @id;
}

# Returns what flake.max_clock_lead is to be raised to, if the hint says that.
sub all_refused
{
	my ($name, $message, $hint) = @_;
	my $lead;

	for my $session (@session)
	{
		my (undef, $error) = ask($session, NEXT_ID);

		like($error, qr/ERROR:  55000: $message/, "$name: refused");
		like($error, qr/^HINT:  .*$hint/m, '... with a hint');
		($lead) = $error =~ /raise "flake\.max_clock_lead" to (\d+ s) to /;
		next unless defined $lead;
		my ($ahead) = $error =~ /(?:clock|mark) is (\d+\.\d+) seconds/;
		cmp_ok($lead =~ s/ s$//r, '>=', $ahead, '... which names a lead that is enough');
	}
	return $lead;
}

# --- rights

is(sqlstate($node, 'SET ROLE somebody; SELECT flake_accept_clock()'), '42501',
	'flake_accept_clock() is not for everybody');
value($node, 'GRANT EXECUTE ON FUNCTION flake_accept_clock() TO somebody', 'second');
is(sqlstate($node, 'SET ROLE somebody; SELECT flake_accept_clock()', 'second'), '', '... but can be granted');

# --- ten days forward, and right again

new_sessions('at first');
my @mark = map { mark_us($node, $_) } @databases;
set_clock($node, 10 * DAY);
for my $who ('ten days forward', 'ten days forward, new sessions')
{
	all_refused($who, qr/clock jumped forward by 86\d{4}\.\d{3} seconds/,
		qr/If the clock is right now, run flake_accept_clock\(\); otherwise set it right\./);
	eval { $_->quit } for splice @session;
	push @session, map { session($node, $_) } @databases;
}
is_deeply([ map { mark_us($node, $_) } @databases ], \@mark, 'no mark has moved');
set_clock($node, 0);
all_go_on('with the clock right');
crash();
new_sessions('after a crash');

# --- ten days forward, and accepted; in one database for all

set_clock($node, 10 * DAY);
all_refused('ten days forward again', 'clock jumped forward', 'flake_accept_clock');
is(value($node, 'SELECT flake_accept_clock()'), '', 'the clock is accepted');
all_go_on('accepted');

# --- two days more: refused, and accepted by a restart

set_clock($node, 12 * DAY);
all_refused('two days forward', qr/clock jumped forward by 17\d{4}\.\d{3} seconds/, 'flake_accept_clock');
restart_node($node);
new_sessions('accepted by a restart');

# --- any jump, if that is allowed; half a day always

set_everywhere($node, 'flake.max_clock_jump', '0');
set_clock($node, 14 * DAY);
all_go_on('two days forward, no limit');
set_everywhere($node, 'flake.max_clock_jump', '1d');
set_clock($node, 14.5 * DAY);
all_go_on('half a day forward');

# --- all that was wrong: a node id that was never used, and the extension made again

my $behind = qr/clock is (\d+)\.\d{3} seconds behind the ids already made/;
my $mark_ahead = qr/durable mark is \d+\.\d{3} seconds ahead of the clock/;

set_clock($node, 0);
all_refused('the clock was wrong', qr/clock is 12\d{5}\.\d{3} seconds behind the ids already made/,
	qr/wait until .*; or raise "flake\.max_clock_lead" to 12\d{5} s to .*; or change "flake\.node_id"/);

# As the documentation has it for a clock that was too far ahead to wait for.
sub begin_anew
{
	my ($node_id) = @_;

	set_node_id($node, $node_id);
	value($node, 'DROP EXTENSION flake', $_) for @databases;
	restart_node($node);
	value($node, 'CREATE EXTENSION flake', $_) for @databases;
	new_sessions("begun anew with node id $node_id");
	return;
}
begin_anew(2);

# --- an hour, which is allowed: another node id gives true times at once

# The clock goes an hour ahead, ids with it, and is right again; returns what lead would allow
# them, and the ids.
sub an_hour_ahead
{
	my ($name) = @_;

	all_go_on("$name, before");
	set_clock($node, HOUR);
	my @id = all_go_on("$name, an hour ahead");
	set_clock($node, 0);
	my $lead = all_refused("$name, right again", qr/clock is 3[56]\d\d\.\d{3} seconds behind the ids already made/,
		qr/raise "flake\.max_clock_lead" to 3[56]\d\d s to .*; or change "flake\.node_id" to a number that was never used/);
	like(value($node, 'SELECT severity, what, what_to_do FROM flake_check()'),
		qr/^error\|ids of layout "flake" under node id \d are 3[56]\d\d\.\d+ seconds ahead of the clock\|.*raise flake\.max_clock_lead to 3[56]\d\d s .*change flake\.node_id/m,
		"$name: flake_check() tells it, and what to do");
	return ($lead, @id);
}

sub node_ids { return join ' ', sort keys %{ { map { (($_ >> 14) & 255) => 1 } @_ } }; }

my (undef, @before) = an_hour_ahead('first hour');
set_node_id($node, 3);
is(node_ids(all_go_on('another node id')), 3, 'its ids have the true time');
set_node_id($node, 2);
all_refused('the node id is changed back', $behind, 'flake\.node_id');
set_node_id($node, 3);
all_go_on('the new one again');

# after a start the mark is an hour ahead, whatever the node id
crash();
push @session, map { session($node, $_) } @databases;
set_everywhere($node, 'flake.max_clock_lead',
	all_refused('another node id, after a crash', $mark_ahead, 'raise "flake\.max_clock_lead"'));
cmp_ok(min(all_go_on('another node id, after a crash, with more lead', (HOUR + 5) * US)),
	'>', max(@before), '... after all that there were');

# --- an hour, and more lead: ids go on in order, and do not gain on the clock

set_everywhere($node, 'flake.max_clock_lead', '5s');
begin_anew(4);
my ($allowed, @ahead) = an_hour_ahead('second hour');
set_everywhere($node, 'flake.max_clock_lead', $allowed);
# they go on in the tick of the last one, at the earliest
my ($lead, $previous) = (HOUR * US, max(@ahead) >> 22 << 22);
for my $round ('more lead', 'more lead, after a crash', 'more lead, after another')
{
	my @of_round = all_go_on($round, (HOUR + 5) * US);
	my @job = map { { file => "$dir/ahead$_", sql => copy_with_lead(20_000) } } 1 .. 4;
	is(run_sessions($node, @job), '', "$round: four sessions make many");
	my $now = take_leads(map { $_->{file} } @job);
	cmp_ok($now, '<=', $lead + START_US, "$round: they are no further ahead of the clock");
	$lead = $now;
	is(ids_problem(map { $_->{file} } @job), '', "$round: they are distinct, and in order");
	@of_round = sort { $a <=> $b } @of_round, map { split /\n/, slurp_file($_->{file}) } @job;
	cmp_ok($of_round[0], '>', $previous, "$round: after all of the round before");
	$previous = $of_round[-1];
	crash();
	push @session, map { session($node, $_) } @databases;
}

# --- under load: an hour ahead, and another node id while everybody tries

set_everywhere($node, 'flake.max_clock_lead', '5s');
begin_anew(5);
my @load = map { { file => "$dir/load$_", sql => IDS, errors_go_on => 1 } } 1 .. 4;
start_endless($node, @load);
set_clock($node, HOUR);
wait_until('ids are an hour ahead',
	sub { !grep { id_us(last_id($_->{file})) < (time + HOUR - 10) * US } @load });
set_clock($node, 0);
wait_until('errors in every session', sub {
	eval { $_->{run}->pump_nb } for @load;
	!grep { $_->{errors} !~ /55000: clock is 3\d{3}\.\d+ seconds behind/ } @load;
});
set_node_id($node, 6);
wait_until('every session goes on', sub {
	eval { $_->{run}->pump_nb } for @load;
	!grep { id_us(last_id($_->{file})) > (time + 60) * US } @load;
});
ok(1, 'another node id under load: every session goes on');
end_load($node);
my @strange = grep { /ERROR|FATAL/ && !/55000: clock is|57P01/ } map { split /\n/ } end_endless(@load);
is("@strange", '', '... with no other error');
is(ids_problem({ order => 0 }, map { $_->{file} } @load), '', '... and no id twice');
unlink map { $_->{file} } @load;

eval { $_->quit } for @session;
stop_node($node);
done_testing();
