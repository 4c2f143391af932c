# The clock jumps forward.  By more than flake.max_clock_jump: refused without a trace, until it is
# right again, or accepted by flake_accept_clock() or a restart.  By less, and corrected later: an
# error until flake_reset_clock(), which brings all sessions back to the clock under a new node id.
#
# pg_regress can't set the clock.
#
# check: both clocks

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

use constant { SESSIONS => 6, DAY => 86_400, YEARS => 3_652 * 86_400, MINUTE => 60_000_000 };

need_faketime();

my $node = new_node('jump', clock => 1, conf => 'wal_writer_delay = 10s');
my @session;
my %made;    # every id
my $clock = 'SELECT extract(epoch FROM clock_timestamp()) * 1e6';

value($node, 'CREATE DATABASE second');
value($node, 'CREATE EXTENSION flake; CREATE ROLE somebody', 'second');

# Sessions of several slots, those of the second database last; all of them have made ids.
sub new_sessions
{
	push @session, map { session($node) } 1 .. SESSIONS;
	push @session, map { session($node, 'second') } 1 .. 2;
	all_go_on('new sessions');
	return;
}

# Every session makes some ids, new ones, with the time that the clock shows, but for the little
# that the mark may be ahead after a restart.
sub all_go_on
{
	my ($name, $sql) = @_;
	my $before = value($node, $clock);
	my (@id, @wrong);

	for my $session (@session)
	{
		my ($out, $error) = ask($session, 'SELECT flake_next_id() FROM generate_series(1, 3)');

		push @wrong, $error if $error ne '';
		push @id, split /\n/, $out;
	}
	my $after = value($node, $clock);

	push @wrong, map { "$_ again" } grep { $made{$_}++ } @id;
	push @wrong, map { "$_ too early" } grep { id_us($_) < $before - TICK_US } @id;
	push @wrong, map { "$_ too late" } grep { id_us($_) > $after + MINUTE } @id;
	is("@wrong", '', "$name: every session goes on with the clock's time");
	return @id;
}

sub all_refused
{
	my ($name, $message, $hint, @of) = @_;

	for my $session (@of ? @of : @session)
	{
		my (undef, $error) = ask($session, NEXT_ID);

		like($error, qr/ERROR:  55000: $message/, "$name: refused");
		like($error, qr/^HINT:  .*$hint/m, '... with a hint');
	}
	return;
}

# --- rights

for my $function (qw(flake_accept_clock() flake_reset_clock()))
{
	is(sqlstate($node, "SET ROLE somebody; SELECT $function"), '42501', "$function is not for everybody");
	value($node, "GRANT EXECUTE ON FUNCTION $function TO somebody", 'second');
	is(sqlstate($node, "SET ROLE somebody; SELECT $function", 'second'), '', '... but can be granted');
}

# --- ten years forward, and right again

new_sessions();
my @mark = map { mark_us($node, $_) } qw(postgres second);
set_clock($node, YEARS);
all_refused('ten years forward', qr/clock jumped forward by 3155\d{5}\.\d+ seconds/,
	qr/If the clock is right now, run flake_accept_clock\(\), else set it right\./);
push @session, session($node);
all_refused('ten years forward, new session', 'clock jumped forward', 'flake_accept_clock',
	$session[-1]);
is_deeply([ map { mark_us($node, $_) } qw(postgres second) ], \@mark, 'no mark has moved');
set_clock($node, 0);
all_go_on('with the clock right');
new_sessions();
restart_node($node, 'immediate');
eval { $_->quit } for @session;
@session = ();
new_sessions();

# --- ten years forward, and accepted; in one database for all
set_clock($node, YEARS);
all_refused('ten years forward again', 'clock jumped forward', 'flake_accept_clock');
is(value($node, 'SELECT flake_accept_clock()'), '', 'the clock is accepted');
all_go_on('accepted');

# --- two days more: refused, and accepted by a restart
set_clock($node, YEARS + 2 * DAY);
all_refused('two days forward', qr/clock jumped forward by 17\d{4}\.\d+ seconds/, 'flake_accept_clock');
restart_node($node);
eval { $_->quit } for @session;
@session = ();
new_sessions();

# --- any jump, if that is allowed; half a day always
set_everywhere($node, 'flake.max_clock_jump', '0');
set_clock($node, YEARS + 4 * DAY);
all_go_on('two days forward, no limit');
set_everywhere($node, 'flake.max_clock_jump', '1d');
set_clock($node, YEARS + 4.5 * DAY);
all_go_on('half a day forward');

# --- all that was wrong
set_clock($node, 0);
all_refused('the clock was wrong', qr/clock is 3159\d{5}\.\d+ seconds behind the ids already made/,
	qr/if it was wrong before, see flake_reset_clock\(\)/);
set_node_id($node, 2);
is(value($node, 'SELECT flake_reset_clock()'), '', 'the clock is reset');
my @second = splice @session, SESSIONS;
my @id = all_go_on('reset');
is(value($node, "SELECT DISTINCT flake_node_id(id) FROM unnest('{@{[ join ',', @id ]}}'::bigint[]) id"),
	2, 'ids have the new node id');
all_refused('in the second database', 'clock is 315', 'flake_reset_clock', @second);
is(value($node, 'SELECT flake_reset_clock()', 'second'), '', 'the clock is reset there');
push @session, @second;
all_go_on('in both databases');

# The marks are back on disk at once.
stop_node($node, 'immediate');
eval { $_->quit } for @session;
start_node($node);
cmp_ok(mark_us($node, $_), '<=', value($node, $clock) + MINUTE, "$_: the mark is back")
  for qw(postgres second);
@session = ();
new_sessions();

# --- under load: an hour ahead, and reset while everybody tries
my $dir = $node->basedir;
my @load = map { { file => "$dir/load$_", sql => IDS, errors_go_on => 1 } } 1 .. 4;
start_endless($node, @load);
set_clock($node, 3600);
wait_until('ids are an hour ahead',
	sub { !grep { id_us(last_id($_->{file})) < (time + 3590) * 1e6 } @load });
set_node_id($node, 3);
set_clock($node, 0);
wait_until('errors in every session', sub {
	eval { $_->{run}->pump_nb } for @load;
	!grep { $_->{errors} !~ /55000: clock is 3\d{3}\.\d+ seconds behind/ } @load;
});
value($node, 'SELECT flake_reset_clock()');
wait_until('every session goes on', sub {
	eval { $_->{run}->pump_nb } for @load;
	!grep { id_us(last_id($_->{file})) > (time + 60) * 1e6 } @load;
});
ok(1, 'reset under load: every session goes on');
end_load($node);
my @strange = grep { /ERROR|FATAL/ && !/55000: clock is|57P01/ } map { split /\n/ } end_endless(@load);
is("@strange", '', '... with no other error');
is(ids_problem({ order => 0 }, map { $_->{file} } @load), '', '... and no id twice');
unlink map { $_->{file} } @load;

$_->quit for @session;
stop_node($node);
done_testing();
