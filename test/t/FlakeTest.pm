# What flake's TAP tests share: servers with the extension, servers whose wall clock the test
# sets, sessions whose ids go to files, and the checks of such files.
#
# Only what PostgreSQL 15's test modules have is used, so that one text serves all majors.
#
# A server with a clock of its own runs under libfaketime, which reads an offset from a file at
# every look at the wall clock; the monotonic clocks are left alone.  The server's
# clock_timestamp() shows the same wall clock, the clients' are the machine's.
package FlakeTest;

use strict;
use warnings FATAL => 'all';

use Carp;
use Exporter 'import';
use File::Spec;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  faketime_library need_faketime
  new_node start_node stop_node restart_node use_clock set_clock
  set_node_id setting_everywhere
  session ask ask_later answered answer value sqlstate
  start_sessions finish_sessions run_sessions
  start_load stop_load load_goes_on run_pgbench run_program
  ids_problem count_lines copy_with_lead take_leads shell printed
);

# Of each node by its name: environment of its server, file of its clock.
my %server_env;
my %clock_file;

# ------------------------------------------------------------------------------------ servers

# The library that gives a program another clock, or undef.
sub faketime_library
{
	return if $ENV{FLAKE_TEST_NO_FAKETIME};
	my @found = map { glob "$_/libfaketime.so.1" }
	  qw(/usr/lib/*/faketime /usr/lib/faketime /usr/lib64/faketime /usr/local/lib/faketime);
	return $found[0];
}

# For the first line of a file that needs it.
sub need_faketime
{
	plan skip_all => 'no libfaketime' unless defined faketime_library();
	return;
}

# new_node(NAME, option => value...): a running server with the extension in database postgres.
#
#   conf       text for postgresql.conf
#   clock      true: its wall clock is the test's, see set_clock()
#   env        {NAME => value} for the environment of the server
#   init       [arguments for init()], as allows_streaming => 1
#   extension  false: do not create it
#   start      false: do not start it (and so do not create the extension)
#
# flake.node_id is 1 unless conf says otherwise.
sub new_node
{
	my ($name, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(@{ $option{init} // [] });
	# every statement of a load test in the log would be the load
	$node->append_conf('postgresql.conf', <<"CONF");
log_statement = none
autovacuum = off
flake.node_id = 1
CONF
	$node->append_conf('postgresql.conf', $option{conf}) if defined $option{conf};

	$server_env{$name} = { %{ $option{env} // {} } };
	use_clock($node) if $option{clock};
	return $node if defined $option{start} && !$option{start};

	start_node($node);
	$node->safe_psql('postgres', 'CREATE EXTENSION flake')
	  unless defined $option{extension} && !$option{extension};
	return $node;
}

# From its next start the node's wall clock is the test's.  For a node that new_node() did not
# make, as a standby.
sub use_clock
{
	my ($node) = @_;
	my $env = $server_env{ $node->name } //= {};

	# absolute: the server runs in its data directory
	$clock_file{ $node->name } = File::Spec->rel2abs($node->basedir . '/clock');
	set_clock($node, 0);
	$env->{LD_PRELOAD} = join ' ', grep { defined } $env->{LD_PRELOAD}, faketime_library();
	$env->{FAKETIME_TIMESTAMP_FILE} = $clock_file{ $node->name };
	$env->{FAKETIME_NO_CACHE} = 1;
	$env->{FAKETIME_DONT_FAKE_MONOTONIC} = 1;
	# when files were made and written is not the test's to say
	$env->{NO_FAKE_STAT} = 1;
	return;
}

# A session may give out ids by the processor's cycle counter, without a look at the clock, for
# FLAKE_COUNTER_MAX_US of src/core/counter.h; this is more.
use constant COUNTER_US => 50_000;

# Sets the node's wall clock to so many seconds (a fraction is allowed) after the true one, and
# returns when no process of the server goes by the old one any more.
sub set_clock
{
	my ($node, $offset) = @_;
	my $file = $clock_file{ $node->name } // croak 'node has no clock of its own';

	open my $out, '>', "$file.new" or die "$file.new: $!";
	printf $out "%+.6f\n", $offset;
	close $out or die "$file.new: $!";
	rename "$file.new", $file or die "$file: $!";
	note sprintf '%s: clock set to %+.6f s', $node->name, $offset;
	usleep(COUNTER_US);
	return;
}

sub start_node
{
	my ($node, @option) = @_;
	local %ENV = (%ENV, %{ $server_env{ $node->name } // {} });

	return $node->start(@option);
}

sub stop_node
{
	my ($node, $mode) = @_;

	return $node->stop($mode // 'fast');
}

# Not by pg_ctl's restart, whose environment would be this program's.
sub restart_node
{
	my ($node, $mode) = @_;

	stop_node($node, $mode);
	return start_node($node);
}

# ------------------------------------------------------------------------------------ settings

# Changes flake.node_id by ALTER SYSTEM and reload, and returns when new sessions have it.
sub set_node_id
{
	my ($node, $value) = @_;

	$node->safe_psql('postgres', "LOAD 'flake'; ALTER SYSTEM SET flake.node_id = '$value'");
	return setting_everywhere($node, 'flake.node_id', $value);
}

# Reloads, and waits until sessions have that value.  A session that runs a statement has it
# when that has ended.
sub setting_everywhere
{
	my ($node, $name, $value) = @_;

	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$name') = '$value'")
	  or die "$name is not $value";
	return;
}

# ------------------------------------------------------------------------------- one session

# A session that stays open; errors do not end it.
sub session
{
	my ($node, $database) = @_;
	my $session = $node->background_psql($database // 'postgres', on_error_stop => 0);

	ask($session, '\set VERBOSITY verbose');
	return $session;
}

# ask(SESSION, SQL): (what it printed, its errors and warnings); in scalar context the first.
# Unlike query() it says nothing in the log and forgets the errors afterwards.
sub ask
{
	my ($session, $sql) = @_;

	ask_later($session, $sql);
	return answer($session);
}

# The same in two steps, with the statement running between them.
sub ask_later
{
	my ($session, $sql) = @_;
	my $banner = 'flake_test_' . ++$session->{flake_asked};

	# psql does not take a backslash command's line as the start of a statement
	$sql .= "\n;" unless $sql =~ /\A\\/;
	$session->{flake_banner} = $banner;
	$session->{stdin} .= "$sql\n\\echo '$banner'\n\\warn '$banner'\n";
	eval { $session->{run}->pump_nb };    # a terminated one has no input
	return;
}

# Has the statement come to its end, or the session?
sub answered
{
	my ($session) = @_;
	my $banner = $session->{flake_banner};

	return 1 unless eval { $session->{run}->pump_nb; $session->{run}->pumpable };
	return $session->{stdout} =~ /^$banner\n/m && $session->{stderr} =~ /^.*$banner\n/m;
}

# What a statement printed, as ask() gives it; waits for its end.  A session that was terminated
# gives what came until then.
sub answer
{
	my ($session) = @_;
	my $banner = $session->{flake_banner};
	my @said;

	$session->{timeout}->start;
	until (answered($session))
	{
		die "no answer: $session->{stdout}$session->{stderr}" if $session->{timeout}->is_expired;
		last unless eval { $session->{run}->pump; 1 };
	}
	for my $stream (qw(stdout stderr))
	{
		push @said, $session->{$stream};
		$said[-1] =~ s/^.*$banner\n//m;
		chomp $said[-1];
		$session->{$stream} = '';
	}
	return wantarray ? @said : $said[0];
}

# The one value of a statement of its own; dies if there is an error or warning.
sub value
{
	my ($node, $sql, $database) = @_;

	return $node->safe_psql($database // 'postgres', $sql);
}

# The SQLSTATE of a statement of its own ('' if it succeeds); with it, in list context, the
# message with its detail and hint.
sub sqlstate
{
	my ($node, $sql, $database) = @_;
	my ($out, $err);

	$node->psql($database // 'postgres', "\\set VERBOSITY verbose\n$sql",
		stdout => \$out, stderr => \$err, on_error_stop => 0);
	my ($state) = $err =~ /(?:ERROR|FATAL):  ([0-9A-Z]{5}): /;
	return wantarray ? ($state // '', $err) : $state // '';
}

# (exit code, output as psql shows it, errors) of an example of a page; without spaces at the ends
# of lines.
sub printed
{
	my ($node, $sql, $database) = @_;
	my ($status, $out, $err) = $node->psql($database, $sql,
		extra_params => [ '-P', 'tuples_only=off', '-P', 'format=aligned' ]);

	return ($status, $out =~ s/[ \n]+$//mgr, $err);
}

# ------------------------------------------------------------------------------ many sessions

# start_sessions(NODE, {sql => ..., file => ..., database => ...}...): one psql per job, all at
# once; each runs its statements and writes what they print to its file.  For many ids use
# COPY (...) TO STDOUT.
sub start_sessions
{
	my ($node, @job) = @_;

	for my $job (@job)
	{
		my $database = $job->{database} // 'postgres';
		my @psql = (
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose',
			'-d', $node->connstr($database), '-f', "$job->{file}.sql");

		# from a file, for nobody feeds a pipe while the test does something else
		unlink "$job->{file}.sql";
		append_to_file("$job->{file}.sql", $job->{sql});
		$job->{errors} = '';
		$job->{run} = IPC::Run::start(\@psql, '<', \undef, '>', $job->{file},
			'2>', \$job->{errors},
			IPC::Run::timeout(4 * $PostgreSQL::Test::Utils::timeout_default));
	}
	return @job;
}

# Waits for them; returns all that went wrong, '' if nothing did.
sub finish_sessions
{
	my (@job) = @_;
	my $wrong = '';

	for my $job (@job)
	{
		my $well = $job->{run}->finish;
		my $name = $job->{file} =~ s{.*/}{}r;

		$wrong .= "$name: " . ($job->{errors} || $job->{log} || "failed\n") if !$well || $job->{errors};
	}
	return $wrong;
}

sub run_sessions
{
	my ($node, @job) = @_;

	return finish_sessions(start_sessions($node, @job));
}

# Jobs that go on until they are told to stop: their sql is repeated (a million times at most),
# each time as a new command of the client, so that a reload reaches them.  A job's
# {errors_go_on} lets it survive errors.
sub start_load
{
	my ($node, @job) = @_;
	my $stop = $node->basedir . '/stop_load';

	unlink $stop;
	for my $job (@job)
	{
		my $again = "SELECT (pg_stat_file('$stop', true)).size IS NULL AS go \\gset\n";
		my $thousand = "$job->{file}.thousand.sql";

		unlink $thousand;
		append_to_file($thousand, "\\if :go\n$job->{sql}\n$again\\endif\n" x 1_000);
		$job->{stop} = $stop;
		$job->{sql} = ($job->{errors_go_on} ? "\\set ON_ERROR_STOP 0\n" : '')
		  . "\\set go true\n" . "\\if :go\n\\i $thousand\n\\endif\n" x 1_000;
	}
	return start_sessions($node, @job);
}

# Tells them, and returns what finish_sessions() does.
sub stop_load
{
	my (@job) = @_;

	append_to_file($job[0]->{stop}, "stop\n");
	return finish_sessions(@job);
}

# Waits until each job's file has so many lines more than now.
sub load_goes_on
{
	my ($lines, @job) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	for my $job (@job)
	{
		my $enough = count_lines($job->{file}) + $lines;

		while (count_lines($job->{file}) < $enough)
		{
			die "$job->{file} does not grow: $job->{errors}" if time > $end;
			eval { $job->{run}->pump_nb; 1 } or die "$job->{file}: $job->{errors}";
			usleep(10_000);
		}
	}
	return;
}

# pgbench to its end: run_pgbench(NODE, SCRIPT, OPTION...); returns what went wrong, else ''.
sub run_pgbench
{
	my ($node, $script, @option) = @_;
	my $file = $node->basedir . '/pgbench.sql';

	unlink $file;
	append_to_file($file, $script);
	my ($code, $out, $err) = run_program('pgbench', '-n', '-f', $file, @option,
		'-h', $node->host, '-p', $node->port, 'postgres');
	return $code == 0 ? '' : "exit code $code: $err";
}

# A program to its end: (exit code, standard output, standard error).
sub run_program
{
	my (@command) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

# -------------------------------------------------------------------------------- files of ids

# What is wrong with the ids in these files, '' if nothing is: all are distinct, and each
# process's strictly increase in the order of its lines.  A line is an id, or a process's
# number, a space or a tab, and an id; in a file without such numbers all are one process's.
# The option {order => 0} as first argument leaves the order out.
sub ids_problem
{
	my %option = ref $_[0] ? %{ shift @_ } : ();
	my $order = $option{order} // 1;
	my $width = id_width(@_);
	# of one width, ids are in the order of their bytes, which sort compares faster
	my $sort = 'LC_ALL=C sort --batch-size=128' . ($width ? '' : ' -n');
	my $id = $width ? "[0-9]{$width}" : '[0-9]+';
	my (@sorted, @problem);

	for my $file (@_)
	{
		my ($strange) = shell("LC_ALL=C grep -n -m 1 -v -x -E '([0-9]+[[:blank:]])?$id' '$file'");

		return "$file: not an id: $strange" if defined $strange;
		if ($order && !shell("LC_ALL=C grep -m 1 '[[:blank:]]' '$file'"))
		{
			# one process: if in order, this is the sorted file
			my ($found) = shell("$sort -c -u '$file' 2>&1");

			if (!defined $found)
			{
				push @sorted, $file;
				next;
			}
			push @problem, "not increasing: $found";
		}
		elsif ($order)
		{
			push @problem, order_problem($file);
		}
		shell("sed 's/.*[[:blank:]]//' '$file' | $sort -o '$file.sorted'");
		push @sorted, "$file.sorted";
	}

	my $files = join ' ', map { "'$_'" } @sorted;
	my @twice = shell("$sort -m $files | uniq -d | head -n 5");
	unlink grep { /\.sorted\z/ } @sorted;
	unshift @problem, "given out twice: @twice" if @twice;
	note sprintf '%d ids in %d files: %s', count_lines(@_), scalar @_, "@problem" || 'well';
	return "@problem";
}

# How many digits all ids have, 0 if not all the same.
sub id_width
{
	my ($first) = shell("head -q -n 1 @{[ map { qq('$_') } @_ ]} | head -n 1 | sed 's/.*[[:blank:]]//'");
	my $width = length($first // '');

	return 0 if $width == 0;
	for my $file (@_)
	{
		return 0
		  if shell("LC_ALL=C grep -m 1 -v -x -E '([0-9]+[[:blank:]])?[0-9]{$width}' '$file'");
	}
	return $width;
}

# The first line of a file of processes and ids where a process's ids do not increase.
sub order_problem
{
	my ($file) = @_;
	my %last;

	open my $in, '<', $file or die "$file: $!";
	while (my $line = <$in>)
	{
		my ($process, $id) = split ' ', $line;

		return "$file, line $.: $process has $id after $last{$process}"
		  if exists $last{$process} && $id <= $last{$process};
		$last{$process} = $id;
	}
	return;
}

# The lines that a shell command prints.
sub shell
{
	my ($command) = @_;
	my @line = `$command`;

	chomp @line;
	return @line;
}

# The statement that prints so many ids of a layout, each with its lead: the microseconds by which
# its tick begins after the server's clock.  The clock is read before and after the id and may be
# set in between; the later reading counts.
sub copy_with_lead
{
	my ($count, $layout) = @_;

	$layout //= 'flake';
	return <<"SQL";
COPY (
	SELECT id, (1000000 * extract(epoch FROM
		flake_timestamp(id, '$layout') - greatest(before, after)))::bigint
	FROM (SELECT clock_timestamp() AS before, flake_next_id('$layout') AS id,
		clock_timestamp() AS after FROM (SELECT generate_series(1, $count)) AS g) AS taken
) TO STDOUT;
SQL
}

# Takes the leads out of such files, so that the ids are left, and returns the largest; in list
# context all.
sub take_leads
{
	my @lead;

	for my $file (@_)
	{
		my $ids = '';

		for my $line (split /\n/, slurp_file($file))
		{
			my ($id, $lead) = split /\t/, $line;

			$ids .= "$id\n";
			push @lead, $lead;
		}
		unlink $file;
		append_to_file($file, $ids);
	}
	return wantarray ? @lead : (sort { $a <=> $b } @lead)[-1];
}

sub count_lines
{
	my $files = join ' ', map { "'$_'" } @_;

	return (shell("cat $files | wc -l"))[0];
}

1;
