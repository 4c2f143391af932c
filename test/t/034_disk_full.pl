# The disk is full when the mark moves: the server can't write its WAL and panics, as it does for
# every WAL it can't write.  Or the disk hangs then, and the server is stopped before the mark's WAL
# is written.  No id after the old mark has got out, and after the recovery ids go on after all before.
# Promise P1 (src/core/mark.c (a) and (b), src/server/durable.c).
#
# The disk is full, or hangs, as far as the server can tell: a library that this file compiles makes
# writes to WAL files fail, or wait, while a certain file exists.  A real full disk would need root's
# rights.

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use constant { ROUNDS => 3, SESSIONS => 4 };

need_faketime();

my $made = PostgreSQL::Test::Utils::tempdir();
my $full = "$made/full";
my $stuck = "$made/stuck";

my $library = compile_library('full', <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int exists(const char *variable)
{
	const char *file = getenv(variable);

	return file != NULL && access(file, F_OK) == 0;
}

static int is_full(int fd)
{
	char link[64], path[4096];
	ssize_t length;

	if (!exists("FLAKE_TEST_FULL") && !exists("FLAKE_TEST_STUCK"))
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return 0;
	path[length] = '\0';
	if (strstr(path, "/pg_wal/") == NULL)
		return 0;
	while (exists("FLAKE_TEST_STUCK"))
		usleep(1000);
	errno = ENOSPC;
	return exists("FLAKE_TEST_FULL");
}

#define SHIM(name, arguments, ...) \
ssize_t name arguments \
{ \
	static ssize_t (*real) arguments; \
	if (real == NULL) \
		real = (ssize_t (*) arguments) dlsym(RTLD_NEXT, #name); \
	return is_full(fd) ? -1 : real(__VA_ARGS__); \
}

SHIM(write, (int fd, const void *data, size_t size), fd, data, size)
SHIM(pwrite, (int fd, const void *data, size_t size, off_t offset), fd, data, size, offset)
SHIM(pwrite64, (int fd, const void *data, size_t size, off64_t offset), fd, data, size, offset)
SHIM(pwritev, (int fd, const struct iovec *data, int count, off_t offset), fd, data, count, offset)
SHIM(pwritev64, (int fd, const struct iovec *data, int count, off64_t offset), fd, data, count, offset)
C
random_seed();
my $node = new_node('full', clock => 1,
	env => { LD_PRELOAD => $library, FLAKE_TEST_FULL => $full, FLAKE_TEST_STUCK => $stuck },
	conf => "wal_writer_delay = 10s\nflake.max_clock_lead = 1min");
my $dir = $node->basedir;
my @file;

sub load
{
	my ($name) = @_;
	# one id a statement, too, so that the client has the last one
	my @job = map { { sql => $_ % 2 ? IDS : NEXT_ID, file => "$dir/$name.$_" } } 1 .. SESSIONS;

	push @file, map { $_->{file} } @job;
	start_endless($node, @job);
	usleep(rand(300_000));
	return @job;
}

sub recover
{
	my ($name, @job) = @_;

	unlink $full, $stuck;
	set_clock($node, -3);
	start_node($node);
	my $mark = mark_us($node);
	later_ids_ok($name, $mark, last_id(map { $_->{file} } @job), next_id($node));
	set_clock($node, 0);
	return $mark;
}

for my $round (1 .. ROUNDS)
{
	my @job = load("full$round");
	my $mark = mark_us($node);

	# nobody but the mark writes, so it is the first to see it
	append_to_file($full, '');
	my $errors = join '', end_endless(@job);
	like($errors, qr/PANIC:  53100: could not write to log file|server closed the connection/,
		"disk full, $round: sessions end");

	# PostgreSQL can't recover before there is room
	wait_until('the server is gone', sub { !-e $node->data_dir . '/postmaster.pid' });
	$node->_update_pid(0);
	cmp_ok(recover("disk full, $round", @job) - $mark, '<=', 2_000_000,
		"disk full, $round: the mark is where it was, or one move on");
}
like(slurp_file($node->logfile), qr/PANIC:  could not write to log file \S+ .*No space left on device/,
	'the server panicked');
unlike(slurp_file($node->logfile), qr/PANIC:  (?!could not write to log file)/, 'for nothing else');

for my $round (1 .. ROUNDS)
{
	my @job = load("stuck$round");
	append_to_file($stuck, '');

	ok( $node->poll_query_until('postgres', <<'SQL', SESSIONS), "disk stuck, $round: all sessions wait");
SELECT count(*) FROM pg_stat_activity
WHERE query ~ '^(COPY|SELECT flake_next_id)' AND wait_event_type IN ('IO', 'LWLock', 'Extension')
SQL
	stop_node($node, 'immediate');
	end_endless(@job);
	recover("disk stuck, $round", @job);
}

stop_node($node);
is(ids_problem(@file), '', 'no id twice, each session has its in order');
unlink @file;
done_testing();
