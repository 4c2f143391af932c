# The two waits of a session, for the next tick and for a clock that is a little too far behind:
# they are seen in pg_stat_activity, and a cancelled query or a terminated session leaves at once.
# Promise P4 (src/server/backend.c).  The wait for the mark is in 030 and 073.
#
# check: both clocks

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

use constant SECOND => 1_000_000;

my $node = new_node('waits', clock => 1, conf => "flake.max_clock_lead = '2s'");
# two ids a second, so whoever wants a hundred waits
my $rare = q{'time:36 node:8 sequence:1 tick=1s'};
my $hundred = "SELECT count(*) FROM flake_next_ids(100, $rare)";

my $watcher = session($node);
my $event = $node->pg_version >= 17 ? 'Extension:FlakeWaitForClock' : 'Extension:Extension';

sub process { return scalar ask($_[0], 'SELECT pg_backend_pid()'); }

# Waits until the session's process waits (true), or its statement has ended (false).
sub waits
{
	my ($session, $process) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $end)
	{
		my $seen = ask($watcher, <<"SQL");
SELECT wait_event_type || ':' || wait_event
FROM pg_stat_activity WHERE pid = $process
SQL
		return 1 if $seen eq $event;
		return 0 if answered($session);
	}
	die 'neither waits nor ends';
}

# --- for the next tick

my $session = session($node);
my $process = process($session);
my $other = session($node);

ask_later($session, $hundred);
ok(waits($session, $process), "for a tick: wait event $event");
is((ask($other, "SELECT flake_next_id($rare)"))[1], '', 'for a tick: others get ids meanwhile');
ask($watcher, "SELECT pg_cancel_backend($process)");
like((answer($session))[1], qr/ERROR:  57014: /, 'for a tick: a cancelled query leaves');
is((ask($session, 'SELECT flake_next_id()'))[1], '', 'for a tick: and the session goes on');

ask_later($session, $hundred);
ok(waits($session, $process), 'for a tick: it waits again');
ask($watcher, "SELECT pg_terminate_backend($process)");
like((answer($session))[1], qr/FATAL:  57P01: /, 'for a tick: a terminated session leaves');
eval { $session->quit };

# --- for the clock: ids are ahead of it by more than flake.max_clock_lead, but not by much

my $offset = 0;
$session = session($node);
$process = process($session);

sub lead_after
{
	my ($name) = @_;
	my ($out, $error) = ask($session, copy_with_lead(1));
	my ($id, $lead) = split /\t/, $out;

	is($error, '', "$name: no error");
	cmp_ok($lead, '<=', 2 * SECOND, "$name: ahead by no more than is allowed");
	return;
}

lead_after('a right clock');
$offset -= 2.6;
set_clock($node, $offset);
lead_after('a little more than the allowed lead back');

# Waits until the session's ids are level with the clock.
sub level
{
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	my $lead;

	do
	{
		$lead = (split /\t/, scalar ask($session, copy_with_lead(1)))[1];
	} until $lead <= 0.01 * SECOND || time > $end;
	return;
}

# Sets the clock back so that the session waits for almost a second.  A slow machine may miss
# that, so this tries again.
sub waits_for_clock
{
	for my $try (1 .. 20)
	{
		level();
		$offset -= 2.95;
		set_clock($node, $offset);
		ask_later($session, 'SELECT flake_next_id()');
		return 1 if waits($session, $process);
		answer($session);
	}
	return 0;
}

# Has the session leave that wait.  As soon as it is asked to, the clock goes back for good: had it
# gone on to wait, it would end with the error for that.
sub leave
{
	my ($how) = @_;

	for my $try (1 .. 20)
	{
		return 'no wait was seen' unless waits_for_clock();
		ask($watcher, "SELECT $how($process)");
		set_clock($node, $offset - 1000);
		my $said = (answer($session))[1];
		set_clock($node, $offset);
		return $said if $said ne '';
		# it had its id in the last moment
	}
	return 'always too late';
}

like(leave('pg_cancel_backend'), qr/ERROR:  57014: /, 'for the clock: a cancelled query leaves');
like(leave('pg_terminate_backend'), qr/FATAL:  57P01: /, 'for the clock: a terminated session leaves');
eval { $session->quit };

$session = session($node);
level();
lead_after('after all that');

$_->quit for $session, $other, $watcher;
$node->stop;
done_testing();
