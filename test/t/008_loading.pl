# Where and how the library comes in: loaded by its first use, by many sessions at once, or
# preloaded; in read-only transactions, subtransactions, in a server of one user, and where there is
# no more shared memory.  Promises P5 and P6 (src/server/shmem.c, src/sql/report.c).

use strict;
use warnings FATAL => 'all';

use FindBin;
use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Stands for a full /dev/shm.
my $full = PostgreSQL::Test::Utils::tempdir() . '/full';
my $library = compile_library('shm', <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define SHIM(name, type) \
int name(int fd, type offset, type length) \
{ \
	static int (*real) (int, type, type); \
	if (access(getenv("FLAKE_TEST_FULL"), F_OK) == 0) \
		return ENOSPC; \
	if (real == NULL) \
		real = (int (*) (int, type, type)) dlsym(RTLD_NEXT, #name); \
	return real(fd, offset, length); \
}

SHIM(posix_fallocate, off_t)
/* what a 32-bit server calls */
SHIM(posix_fallocate64, off64_t)
C

my $node = new_node('loading', conf => "dynamic_shared_memory_type = posix",
	env => { LD_PRELOAD => $library, FLAKE_TEST_FULL => $full });
my $dir = $node->basedir;
my @before;

# The very first ids after a start, by sessions that all come at once.
sub first_use
{
	my ($name, $number) = @_;
	my @job = map {
		{   file => "$dir/$number.$_",
			sql => 'COPY (SELECT flake_next_id() FROM generate_series(1, 2000)) TO STDOUT'
		}
	} 1 .. 16;

	is(run_sessions($node, @job), '', "$name: 16 sessions at once are the first");
	push @before, map { $_->{file} } @job;
	is(ids_problem(@before), '', "$name: ids are distinct, also from those before, and in order");
	return;
}

is(value($node, q{SELECT current_setting('shared_preload_libraries')}), '', 'not preloaded');
restart_node($node);
first_use('not preloaded', 1);

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'flake'");
restart_node($node);
is(value($node, 'SHOW flake.max_clock_lead'), '5s', 'preloaded: the settings are there before the first use');
first_use('preloaded', 2);

# --- transactions

is(value($node, <<'SQL'), 't', 'in a read-only transaction');
BEGIN TRANSACTION READ ONLY;
SELECT flake_next_id() > 0;
COMMIT;
SQL
is(value($node, <<'SQL'), 't', 'read-only by default, and without a transaction id');
SET default_transaction_read_only = on;
SELECT flake_next_id() > 0 AND pg_current_xact_id_if_assigned() IS NULL;
SQL

# one with its rollbacks: nothing is given back
my $session = session($node);
my @id = map { scalar ask($session, $_) } (
	'SELECT flake_next_id()',
	'BEGIN; SAVEPOINT a; SELECT flake_next_id()',
	'ROLLBACK TO a; SELECT flake_next_id()',
	'SAVEPOINT b; SELECT flake_next_id()',
	'RELEASE b; SELECT flake_next_id()',
	'ROLLBACK; SELECT flake_next_id()',
	'DO $$ BEGIN PERFORM flake_next_id(); RAISE division_by_zero; EXCEPTION WHEN OTHERS THEN END $$;'
	  . 'SELECT flake_next_id()');
is(scalar(grep { $_ > 0 } @id), 7, 'subtransactions: ids');
is(scalar(grep { $id[$_] <= $id[ $_ - 1 ] } 1 .. $#id), 0, 'subtransactions: nothing is given back');
$session->quit;

# --- one user

$node->stop;
for my $preload ('', 'flake')
{
	my $sql = <<'SQL';
SELECT flake_next_id()
SELECT 'different ' || count(DISTINCT id) FROM flake_next_ids(1000) id
SQL
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir,
			'-c', "shared_preload_libraries=$preload", 'postgres' ],
		'<', \$sql, '>', \$out, '2>', \$err);
	my $name = $preload ? 'single user, preloaded' : 'single user';
	my @id = $out =~ /flake_next_id = "(\d+)"/g;

	# it works, or the error says why not
	if (@id)
	{
		like($out, qr/different 1000"/, "$name: works");
		append_to_file("$dir/single", "$id[0]\n");
	}
	else
	{
		like($err, qr/ERROR:  .*shared memory.*HINT:/s, "$name: says why not");
	}
}
start_node($node);
is(run_sessions($node, { file => "$dir/after", sql => 'SELECT flake_next_id()' }), '',
	'after a single user: no error');
is(ids_problem(@before, grep { -e } "$dir/single", "$dir/after"), '',
	'before, with and after a single user: ids are distinct and in order');

# --- no shared memory: preloaded, the built-in layouts need none, under two node ids

# from the source, so that a new one can't be forgotten
my $source = slurp_file("$FindBin::RealBin/../../src/core/layout_preset.c");
my @preset = $source =~ /^\t\{"([a-z0-9_]+)",/mg;
my $issuing = join ' UNION ALL ', map { "SELECT flake_next_id('$_')" } grep {
	value($node, "SELECT can_issue FROM flake_layout_info('$_')") eq 't'
} @preset;

restart_node($node);
append_to_file($full, '');
for my $node_id (1, 2)
{
	set_node_id($node, $node_id);
	is((sqlstate($node, $issuing))[1], '', "preloaded, no shared memory: all built-in layouts, node id $node_id");
}
is(value($node, q{SELECT count(*) FROM flake_check() WHERE what ~ 'memory'}), 0, '... and nothing to report');
unlink $full;

# --- not preloaded: an error with a hint, reports that speak, and ids when there is room again

my $hint = qr/^HINT:  flake needs a megabyte of shared memory: add "flake" to "shared_preload_libraries" or raise "min_dynamic_shared_memory"/m;
my $no_room = qr/^(?:53100|53200)$/;

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
restart_node($node);
my $open = session($node);
append_to_file($full, '');
for my $function ('flake_next_id()', 'flake_reserve(2)')
{
	my ($state, $said) = sqlstate($node, "SELECT $function");

	like($state, $no_room, "no shared memory: $function");
	like($said, $hint, '... with a hint');
}
like((ask($open, 'SELECT flake_next_id()'))[1], $hint, '... in an open session');
like(value($node, 'SELECT severity, what FROM flake_check()'),
	qr/^error\|shared memory is not available: could not resize shared memory segment/m,
	'flake_check() says why');
is(value($node, 'SELECT count(*) FROM flake.layouts'), 0, 'flake.layouts is empty');
unlink $full;
like(ask($open, 'SELECT flake_next_id()'), qr/^\d+$/, 'room again: the session goes on');
is(value($node, q{SELECT count(*) FROM flake_check() WHERE what ~ 'memory'}), 0, '... nothing to report');

# what is there already is enough for it, but not for large layouts
append_to_file($full, '');
my ($state, $said) = ('', '');
for my $ms (1 .. 10)
{
	($state, $said) = sqlstate($node, "SELECT flake_next_id('time:38 node:8 slot:12 sequence:5 tick=${ms}ms')")
	  if $state eq '';
}
like($state, $no_room, 'no more shared memory: large layouts');
like($said, $hint, '... with a hint');
like(ask($open, 'SELECT flake_next_id()'), qr/^\d+$/, '... others go on');
is(value($node, q{SELECT count(*) > 1 FROM flake.layouts}), 't', '... and are reported');
unlink $full;

$open->quit;
$node->stop;
done_testing();
