# More demand than a tick has ids: nobody gets an id twice, an error, or a time that runs ahead,
# and a session that wants one id now and then is served beside the burst, also after the clock
# was set back.  Promises P3 and P4 (src/core/refill.c, src/core/lanes.c).
#
# check: both clocks
# check: one major

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# 64 ids in each millisecond; 16 in each fifth of a second
my $small = 'time:41 node:4 slot:2 sequence:4';
my $slow = 'time:34 node:4 slot:1 sequence:3 tick=200ms';
use constant { MILLISECOND => 1_000, SECOND => 1_000_000, SLOW_TICK => 200_000 };

sub median { return (sort { $a <=> $b } @_)[ @_ / 2 ]; }

# --- a burst by itself, on the machine's clock

my $node = new_node('burst');

my @burst = map {
	{ file => $node->basedir . "/burst$_", sql => copy_with_lead(15_000, $small) }
} 1 .. 8;
my @file = map { $_->{file} } @burst;
my $begin = time;

is(run_sessions($node, @burst), '', 'a burst: no errors');
my $took = time - $begin;
cmp_ok(scalar(take_leads(@file)), '<=', MILLISECOND, 'a burst: no id is more than a tick ahead of the clock');
is(ids_problem(@file), '', "a burst: ids are distinct and each session's in order");
# 120,000 ids are 1,875 full ticks, so there was no way but to wait
note sprintf 'took %.1f s', $took;
$node->stop;

# --- an occasional session beside a burst, and the clock set back under both

SKIP:
{
	skip 'no libfaketime', 1 unless defined faketime_library();

	$node = new_node('beside', clock => 1);

	my @load = start_load($node, map {
		{ file => $node->basedir . "/slow$_", sql => copy_with_lead(4, $slow) }
	} 1 .. 4);
	my $occasional = session($node);
	my (@id, @lead, @waited);

	my $now_and_then = sub {
		my $asked = time;
		my ($id, $lead) = split /\t/, scalar ask($occasional, copy_with_lead(1, $slow));
		push @waited, (time - $asked) * SECOND / SLOW_TICK;
		push @id, $id;
		push @lead, $lead;
	};

	load_goes_on(1, @load);
	$now_and_then->() for 1 .. 6;
	cmp_ok((sort { $a <=> $b } @lead)[-1], '<=', SLOW_TICK,
		'beside a burst: no id is more than a tick ahead of the clock');
	# three ticks at most, says the simulation; more only because this machine is slow
	cmp_ok(median(@waited), '<', 10, 'beside a burst: served within a few ticks');

	@waited = @lead = ();
	set_clock($node, -2);
	$now_and_then->() for 1 .. 6;
	cmp_ok((sort { $a <=> $b } @lead)[-1], '<=', 2 * SECOND + 2 * SLOW_TICK,
		'clock set back beneath a burst: ahead by no more than that');
	cmp_ok(median(@waited), '<', 10,
		'clock set back beneath a burst: served within a few ticks');

	is(stop_load(@load), '', 'clock set back beneath a burst: no errors');

	# Whoever asks for no more than there is finds the lead gone when the clock has come that far.
	$now_and_then->();
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	my $passed = "SELECT clock_timestamp() > flake_timestamp($id[-1], '$slow')";

	1 until ask($occasional, $passed) eq 't' || time > $end;
	$now_and_then->();
	cmp_ok($lead[-1], '<=', SLOW_TICK, 'after the burst: the lead is gone in the end');
	$occasional->quit;

	append_to_file($node->basedir . '/occasional', join '', map { "$_\n" } @id);
	@file = map { $_->{file} } @load;
	cmp_ok(scalar(take_leads(@file)), '<=', 2 * SECOND + 2 * SLOW_TICK, 'no session ran further ahead');
	is(ids_problem($node->basedir . '/occasional', @file), '',
		"ids are distinct and each session's in order");

	# the load was what this is about
	my %ids_of_tick;
	$ids_of_tick{ $_ >> 8 }++ for @id, map { split /\n/, slurp_file($_) } @file;
	cmp_ok(scalar(grep { $_ >= 12 } values %ids_of_tick), '>', 0, 'ticks were used up, or nearly');
	$node->stop;
}

done_testing();
