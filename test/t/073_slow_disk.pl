# A disk whose flushes take longer than the mark is moved ahead: ids are made all the same, and a
# cancelled query ends.  Takes a disk that is slow when it is told to.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# an absolute path: the server runs in its data directory
my $directory = PostgreSQL::Test::Utils::tempdir_short();
my $delay = "$directory/delay";
append_to_file("$directory/slow.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int
fdatasync(int fd)
{
	int			(*real) (int) = (int (*) (int)) dlsym(RTLD_NEXT, "fdatasync");
	FILE	   *f = fopen(getenv("FLAKE_TEST_DELAY"), "r");
	unsigned int us = 0;

	if (f != NULL)
	{
		if (fscanf(f, "%u", &us) == 1)
			usleep(us);
		fclose(f);
	}
	return real(fd);
}
C
my ($code, $out, $err) = run_program('cc', '-shared', '-fPIC', '-o', "$directory/slow.so",
	"$directory/slow.c", '-ldl');
is($code, 0, 'the slow disk compiles') or diag($err);

my $node = new_node('slow_disk',
	conf => "wal_sync_method = fdatasync\nautovacuum = off\n",
	env => { LD_PRELOAD => "$directory/slow.so", FLAKE_TEST_DELAY => $delay });
my $session = session($node);
my $last = ask($session, 'SELECT flake_next_id()');

for my $us (700_000, 1_300_000)
{
	unlink $delay;
	append_to_file($delay, "$us\n");

	# each of them finds the mark in the past; a statement that does not get on is ended
	for my $try (1 .. 3)
	{
		my ($id, $error) = ask($session, "SET statement_timeout = '60s'; SELECT flake_next_id()");
		is($error, '', "a flush of $us us: an id is made");
		cmp_ok($id, '>', $last, 'a later one');
		$last = $id;
	}
	# and it does not have to be alone
	my @ids = split /\n/, ask($session, 'SELECT flake_next_ids(1000)');
	is(scalar @ids, 1000, 'many as well');
	$last = $ids[-1];
}

# Slower still: whoever waits for it can be cancelled, when the flush is over.
unlink $delay;
append_to_file($delay, "3000000\n");
my ($none, $error) = ask($session, "SET statement_timeout = '1s'; SELECT flake_next_id()");
like($error, qr/57014|^$/, 'cancelled, or done');
unlink $delay;
cmp_ok(ask($session, "SET statement_timeout = 0; SELECT flake_next_id()"), '>', $last, 'and goes on');

$session->quit;
stop_node($node);
done_testing();
