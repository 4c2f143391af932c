# Who makes ids steadily flushes nothing.  A disk whose flushes take longer than the mark is moved
# ahead: ids are made all the same, whoever waits behind another session's flush can be cancelled at
# once, and a crash right after a slow flush leaves no mark that refuses ids.  Takes a disk that is
# slow, or stands still, when it is told to.
#
# check: one major

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

# an absolute path: the server runs in its data directory
my $directory = PostgreSQL::Test::Utils::tempdir_short();
my $delay = "$directory/delay";
my $flushed = "$directory/flushed";
append_to_file("$directory/slow.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* What the file says: microseconds, -1 for until it says something else, 0. */
static long
told(void)
{
	FILE	   *f = fopen(getenv("FLAKE_TEST_DELAY"), "r");
	long		us = 0;

	if (f != NULL)
	{
		if (fscanf(f, "%ld", &us) != 1)
			us = 0;
		fclose(f);
	}
	return us;
}

/* Who flushed. */
static void
note(void)
{
	FILE	   *f = fopen(getenv("FLAKE_TEST_FLUSHED"), "a");

	if (f != NULL)
	{
		fprintf(f, "%d\n", (int) getpid());
		fclose(f);
	}
}

int
fdatasync(int fd)
{
	int			(*real) (int) = (int (*) (int)) dlsym(RTLD_NEXT, "fdatasync");
	struct timespec start;
	struct timespec now;
	long		us;

	note();
	/* in short naps, as a signal ends them */
	clock_gettime(CLOCK_MONOTONIC, &start);
	do
	{
		usleep(1000);
		us = told();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (us < 0 || (now.tv_sec - start.tv_sec) * 1000000 +
			 (now.tv_nsec - start.tv_nsec) / 1000 < us);
	return real(fd);
}
C
my ($code, $out, $err) = run_program('cc', '-shared', '-fPIC', '-o', "$directory/slow.so",
	"$directory/slow.c", '-ldl');
is($code, 0, 'the slow disk compiles') or diag($err);

# How long a flush takes from now on, -1: until this is called again.
sub flushes_take
{
	my ($us) = @_;

	unlink "$delay.new";
	append_to_file("$delay.new", "$us\n");
	rename "$delay.new", $delay or die "$delay: $!";
	return;
}

my $node = new_node('slow_disk',
	conf => "fsync = on\nwal_sync_method = fdatasync\nwal_writer_delay = 20ms\n",
	env => {
		LD_PRELOAD => "$directory/slow.so",
		FLAKE_TEST_DELAY => $delay,
		FLAKE_TEST_FLUSHED => $flushed
	});
my $session = session($node);
my $last = ask($session, NEXT_ID);

# --- while ids are made steadily the flush is nobody's call

# An id each 10 ms.
sub steadily
{
	my ($ids) = @_;

	return "SELECT max(id) FROM (SELECT flake_next_id() AS id, pg_sleep(0.01) FROM generate_series(1, $ids)) AS s";
}

# Makes ids for two seconds and more, in which the mark moves; does the session flush?
sub flushes_in_its_calls
{
	my $pid = ask($session, 'SELECT pg_backend_pid()');
	my $moves = 'SELECT sum(mark_moves) FROM flake.layouts';

	ask($session, NEXT_ID);
	unlink $flushed;
	my $before = value($node, $moves);
	$last = ask($session, steadily(200));
	die 'the mark does not move' if value($node, $moves) - $before < 3;
	return scalar grep { $_ eq $pid } split /\n/, slurp_file($flushed);
}

# on a machine that stands still for some tenths of a second it may have to
my $tries = 5;
while ($tries > 0 && flushes_in_its_calls()) { $tries-- }
cmp_ok($tries, '>', 0, 'who makes ids steadily flushes nothing');

for my $us (700_000, 1_300_000)
{
	flushes_take($us);

	# each of them finds the mark in the past; a statement that does not get on is ended
	for my $try (1 .. 2)
	{
		$node->poll_query_until('postgres', 'SELECT bool_and(mark < clock_timestamp()) FROM flake.layouts')
		  or die 'the mark stays ahead';
		my $since = time;
		my ($id, $error) = ask($session, "SET statement_timeout = '60s'; " . NEXT_ID);
		cmp_ok(time - $since, '>=', $us / 1e6, "an id waits for a flush of $us us");
		is($error, '', '... and is made');
		cmp_ok($id, '>', $last, '... later than the last');
		$last = $id;
	}
	# and it does not have to be alone
	my @ids = split /\n/, ask($session, 'SELECT flake_next_ids(1000)');
	is(scalar @ids, 1000, 'many as well');
	$last = $ids[-1];
}
ask($session, 'RESET statement_timeout');

# --- behind another's flush

# A session whose ids come slowly, so that none of its waits is for a tick.
my $slowly = steadily(1000000);
my %pid;

# Starts it, and returns when it waits as said.
sub stuck
{
	my ($name, $condition) = @_;
	my $stuck = session($node);

	$pid{$name} = ask($stuck, 'SELECT pg_backend_pid()');
	ask_later($stuck, $slowly);
	$node->poll_query_until('postgres', "SELECT $condition FROM pg_stat_activity WHERE pid = $pid{$name}")
	  or die "$name does not wait";
	return $stuck;
}

flushes_take(-1);
my $flusher = stuck('flusher', q{lower(wait_event) IN ('walsync', 'walwrite')});
my $waiter = stuck('waiter', q{wait_event_type = 'Extension'});

value($node, "SELECT pg_cancel_backend($pid{waiter})");
like((answer($waiter))[1], qr/ERROR:  57014: .*user request/, 'who waits behind it is cancelled');
like((ask($waiter, "SET statement_timeout = '100ms'; " . NEXT_ID))[1], qr/ERROR:  57014: .*statement timeout/,
	'also by a timeout');
my $ended = stuck('ended', q{wait_event_type = 'Extension'});
value($node, "SELECT pg_terminate_backend($pid{ended})");
like((answer($ended))[1], qr/FATAL:  57P01/, '... and ended');
ok(!answered($flusher), 'while the flush has not come back');

flushes_take(0);
cmp_ok(ask($waiter, 'RESET statement_timeout; ' . NEXT_ID), '>', $last, 'then ids are made again');
value($node, "SELECT pg_cancel_backend($pid{flusher})");
like((answer($flusher))[1], qr/ERROR:  57014/, 'and the flusher is cancelled as well');
$flusher->quit;
eval { $ended->quit };

# --- and a slow flush is forgotten

wait_until(
	'the mark is moved by no more than a second',
	sub {
		my $before = mark_us($node);
		ask($waiter, NEXT_ID);
		my $after = mark_us($node);
		return $after != $before && $after - clock_us($node) <= 1_000_000;
	});
ok(1, 'when the disk is fast again the mark is moved by a second');
$waiter->quit;

# --- a crash after a slow flush: twice its time would be more than ids may be ahead

flushes_take(-1);
$flusher = stuck('flusher', q{lower(wait_event) IN ('walsync', 'walwrite')});
usleep(3_500_000);
flushes_take(0);
$last = ask($session, NEXT_ID);
stop_node($node, 'immediate');
# a quick start, while the mark is still as far ahead
$node->append_conf('postgresql.conf', 'fsync = off');
start_node($node);
my ($id, $error) = ask(session($node), NEXT_ID);
is($error, '', 'after a crash that follows a slow flush the first id is not refused');
cmp_ok($id, '>', $last, 'and later');

stop_node($node);
done_testing();
