# The disk is full when the mark moves: the server can't write its WAL and panics, as it does for
# every WAL it can't write.  No id after the mark has got out, and after the recovery ids go on after
# all before.
#
# The disk is full as far as the server can tell: a library that this file compiles makes writes to
# WAL files fail while a certain file exists.  A real full disk would need root's rights.
#
# pg_regress's server can't be preloaded with such a library, and must not panic.

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use constant ROUNDS => 4;

need_faketime();

my $made = PostgreSQL::Test::Utils::tempdir();
my $full = "$made/full";

append_to_file("$made/full.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_full(int fd)
{
	char link[64], path[4096];
	ssize_t length;
	const char *flag = getenv("FLAKE_TEST_FULL");

	if (flag == NULL || access(flag, F_OK) != 0)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return 0;
	path[length] = '\0';
	if (strstr(path, "/pg_wal/") == NULL)
		return 0;
	errno = ENOSPC;
	return 1;
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
SHIM(pwrite64, (int fd, const void *data, size_t size, off_t offset), fd, data, size, offset)
SHIM(pwritev, (int fd, const struct iovec *data, int count, off_t offset), fd, data, count, offset)
SHIM(pwritev64, (int fd, const struct iovec *data, int count, off_t offset), fd, data, count, offset)
C
my ($code, undef, $err) = eval {
	run_program('cc', '-shared', '-fPIC', '-O1', '-o', "$made/full.so", "$made/full.c", '-ldl');
};
plan skip_all => 'no C compiler to make the disk full' unless defined $code && $code == 0;

random_seed();
my $node = new_node('full', clock => 1, env => { LD_PRELOAD => "$made/full.so", FLAKE_TEST_FULL => $full },
	conf => "wal_writer_delay = 10s\nflake.max_clock_lead = 1min");
my $dir = $node->basedir;
my @file;

for my $round (1 .. ROUNDS)
{
	my @job = map { { sql => IDS, file => "$dir/$round.$_" } } 1 .. 4;

	push @file, map { $_->{file} } @job;
	start_endless($node, @job);
	usleep(rand(300_000));
	my $mark = mark_us($node);

	# nobody but the mark writes, so it is the first to see it
	append_to_file($full, '');
	my $errors = join '', end_endless(@job);
	like($errors, qr/PANIC:  53100: could not write to log file|server closed the connection/,
		"round $round: sessions end");

	# PostgreSQL can't recover before there is room
	wait_until('the server is gone', sub { !-e $node->data_dir . '/postmaster.pid' });
	$node->_update_pid(0);
	unlink $full;
	set_clock($node, -3);
	start_node($node);
	my $new_mark = mark_us($node);
	later_ids_ok("round $round", $new_mark, last_id(map { $_->{file} } @job), next_id($node));
	cmp_ok($new_mark - $mark, '<=', 2_000_000, "round $round: the mark is where it was, or one move on");
	set_clock($node, 0);
}
like(slurp_file($node->logfile), qr/PANIC:  could not write to log file \S+ .*No space left on device/,
	'the server panicked');
unlike(slurp_file($node->logfile), qr/PANIC:  (?!could not write to log file)/, 'for nothing else');

stop_node($node);
is(ids_problem(@file), '', 'no id twice, each session has its in order');
unlink @file;
done_testing();
