# What the tests of faults (030 to 069) share: load that goes on until its server dies, the first
# and last ids of what it left, and the durable mark as it is on disk and in the log.
package FlakeFaults;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use FlakeTest;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  TICK_US NEXT_ID IDS ENDLESS random_seed
  id_us mark_us set_mark clock_us next_id later_ids_ok
  start_endless end_load end_endless first_id last_id wait_until
  wait_for_server set_everywhere
  mark_records wal_position
  compile_library
);

# A tick of the default layout.
use constant TICK_US => 1_000;

# One id; some, each a line, with all of them at the client when it ends; and a statement that makes
# ids until it is cut off and shows none.
use constant NEXT_ID => 'SELECT flake_next_id()';
use constant IDS => 'COPY (SELECT flake_next_id() FROM generate_series(1, 25)) TO STDOUT';
use constant ENDLESS =>
  'SELECT count(flake_next_id()) FROM (SELECT generate_series(1, 2000000000)) g';

# The seed of a test that throws dice, printed, and to be given again as FLAKE_TEST_SEED.
sub random_seed
{
	my $seed = $ENV{FLAKE_TEST_SEED} // int(rand(2**31));

	srand $seed;
	diag "FLAKE_TEST_SEED=$seed";
	return $seed;
}

# ----------------------------------------------------------------------------- ids and the mark

# An id's time, which is the start of its tick, in microseconds since 1970, by the default layout.
sub id_us
{
	my ($id) = @_;

	return (($id >> 22) + 1_735_689_600_000) * TICK_US;
}

# The durable mark in microseconds, rounded up, as ids begin after it.
sub mark_us
{
	my ($node, $database) = @_;

	return value($node, 'SELECT ceil(last_value / 1000.0) FROM flake.mark', $database);
}

# setval() on the mark, in microseconds.
sub set_mark
{
	my ($us) = @_;

	return sprintf q{SELECT setval('flake.mark', %d)}, $us * 1_000;
}

# The server's clock in microseconds since 1970.
sub clock_us
{
	my ($node) = @_;

	return value($node, 'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)');
}

sub next_id
{
	my ($node, $database) = @_;

	return value($node, NEXT_ID, $database);
}

# ----------------------------------------------------------------------------------------- load

# start_endless(NODE, {sql => ..., file => ..., database => ...}...): one psql per job that repeats
# its statement until it is cut off, or there is an error and no {errors_go_on}.  Nothing has to be
# fed to it, so it goes on also while the test is busy.
sub start_endless
{
	my ($node, @job) = @_;

	for my $job (@job)
	{
		my $script = "$job->{file}.sql";

		unlink map { "$script.$_" } 1 .. 3;
		append_to_file("$script.1", "$job->{sql};\n" x 100);
		append_to_file("$script.2", "\\i $script.1\n" x 100);
		append_to_file("$script.3", "\\i $script.2\n" x 100);
		unlink $job->{file};
		append_to_file($job->{file}, '');

		$job->{errors} = '';
		$job->{run} = IPC::Run::start(
			[   'psql', '-XAtq', '-v', 'ON_ERROR_STOP=' . ($job->{errors_go_on} ? 0 : 1),
				'-v', 'VERBOSITY=verbose', '-d', $node->connstr($job->{database} // 'postgres'), '-f', "$script.3"
			],
			'<', \undef, '>', $job->{file}, '2>', \$job->{errors},
			IPC::Run::timeout(4 * $PostgreSQL::Test::Utils::timeout_default));
	}
	wait_until('every session makes ids', sub { !grep { -z $_->{file} } @job });
	return @job;
}

# Has the server end such sessions, which then say 57P01.
sub end_load
{
	my ($node) = @_;

	value($node, <<'SQL');
SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND query ~ '^(COPY|INSERT|SELECT flake_next_id)'
SQL
	return;
}

# After the server is gone, or the sessions were ended: waits for the clients, and returns what they
# said.
sub end_endless
{
	my (@job) = @_;

	for my $job (@job)
	{
		eval { $job->{run}->finish; 1 } or die "$job->{file}: $@";
		unlink map { "$job->{file}.sql.$_" } 1 .. 3;
	}
	return map { $_->{errors} } @job;
}

# Waits for a condition of the test's own.
sub wait_until
{
	my ($what, $condition) = @_;
	my $until = time + $PostgreSQL::Test::Utils::timeout_default;

	until ($condition->())
	{
		die "in vain: $what" if time > $until;
		usleep(5_000);
	}
	return;
}

# The lowest and highest id in files where each has its ids in order; undef if there is none.
sub first_id
{
	my @line = grep { /\S/ } map { scalar `head -n 1 '$_'` } @_;

	chomp @line;
	return (sort { $a <=> $b } @line)[0];
}

sub last_id
{
	my @line = grep { /\S/ } map { scalar `tail -n 1 '$_'` } @_;

	chomp @line;
	return (sort { $b <=> $a } @line)[0];
}

# Tests that ids made after a fault all come after those before it, and that the mark covered
# these.  The mark is given as it was before any new id was made; ids begin after the tick that
# holds it.
sub later_ids_ok
{
	my ($name, $mark, $before, $after) = @_;

	ok($mark >= id_us($before) && $after > $before && id_us($after) > $mark,
		"$name: the mark covers what was made, and ids go on after it")
	  or diag "last id before $before (@{[ id_us($before) ]}), mark $mark, "
	  . "first id after $after (@{[ id_us($after) ]})";
	return;
}

# ------------------------------------------------------------------------------------- servers

# ALTER SYSTEM, and until it is in force.
sub set_everywhere
{
	my ($node, $name, $value) = @_;

	value($node, "LOAD 'flake'; ALTER SYSTEM SET $name = '$value'");
	return setting_everywhere($node, $name, $value);
}

# Waits until the server takes connections (again).
sub wait_for_server
{
	my ($node) = @_;

	wait_until('the server is there',
		sub { (run_program('psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'SELECT 1'))[0] == 0 });
	return;
}

# compile_library(NAME, C): a library for a server's LD_PRELOAD, to stand between it and the system;
# the path of it.  Skips the test where there is no compiler.
sub compile_library
{
	my ($name, $source) = @_;
	# absolute: the server runs in its data directory
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$name";

	append_to_file("$file.c", $source);
	my ($code, undef, $err) = eval {
		run_program('cc', '-shared', '-fPIC', '-O1', '-o', "$file.so", "$file.c", '-ldl');
	};
	plan skip_all => 'no C compiler' unless defined $code;
	die $err if $code != 0;
	return "$file.so";
}

# ---------------------------------------------------------------------------------------- WAL

sub wal_position
{
	my ($node) = @_;

	return value($node, 'SELECT pg_current_wal_flush_lsn()');
}

# The log's records of the mark between two positions, as pg_waldump prints them.
sub mark_records
{
	my ($node, $from, $to) = @_;

	my @record;

	return @record if $from eq $to;    # where pg_waldump finds nothing to read
	my ($code, $out, $err) = run_program('pg_waldump', '--rmgr=Generic', '-p',
		$node->data_dir . '/pg_wal', '-s', $from, '-e', $to);

	die "pg_waldump: $err" if $code != 0;
	@record = grep { /^rmgr: Generic/ } split /\n/, $out;
	return @record;
}

1;
