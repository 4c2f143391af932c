# What the tests of a fleet share: writers whose ids go to files, faults (a proxy before a registry,
# processes that are stopped), and the oracle.
#
# The oracle: each id lies in an interval that a registry granted to the server that made it, no id is
# there twice, and no session was refused while its server had a lease that covered the clock.  What
# was granted is known from a trigger on the registry's table that keeps each version of each row, in
# the transaction that made it: what it has is what was committed.
package FlakeFleet;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use FlakeFaults;
use FlakeLease;
use FlakeTest;
use IO::Select;
use IO::Socket::UNIX;
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM);
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  HUNDREDTHS SECONDS
  new_fleet_registry set_rule retire_registry read_id fleet_problem forget_refusals
  start_writers stop_writers writers_go_on
  freeze thaw freeze_server backend_pids
  start_proxy proxy
  new_lease_id now_us stand_still wait_for_node
);

# ------------------------------------------------------------------------------------ registries

# A registry whose leases are short, and whose grants are kept.  Node ids that a server has lost are
# given away at once.
sub new_fleet_registry
{
	my ($name, $first, $last, %option) = @_;
	my $registry = new_registry($name, $first, $last, %option);

	set_rule($registry, max_lease => '1 s', grace => '0');
	watch_grants($registry);
	return $registry;
}

sub set_rule
{
	my ($registry, %rule) = @_;

	value($registry, 'UPDATE flake.node_registry SET '
		  . join(', ', map { "$_ = '$rule{$_}'" } sort keys %rule), 'ids');
	return;
}

# From now on each grant is kept in proof.granted.
sub watch_grants
{
	my ($registry) = @_;

	value($registry, <<'SQL', 'ids');
CREATE SCHEMA proof;
CREATE TABLE proof.granted (
	number bigserial PRIMARY KEY,
	node_id int, holder text, lease uuid, valid_from bigint, used_until bigint);
CREATE FUNCTION proof.keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO proof.granted (node_id, holder, lease, valid_from, used_until)
	VALUES (new.node_id, new.holder, new.lease, new.valid_from, new.used_until);
	RETURN NULL;
END $$;
CREATE TRIGGER proof AFTER UPDATE ON flake.node
	FOR EACH ROW WHEN (new.valid_from IS NOT NULL) EXECUTE FUNCTION proof.keep();
SQL
	return;
}

# What a registry has granted, as lines.
sub lines_of
{
	my ($registry) = @_;

	return split /\n/, value($registry, 'SELECT * FROM proof.granted ORDER BY number', 'ids');
}

# What was granted by registries that are gone, by their names.
my %lines_of;

# The registry never answers again.
sub retire_registry
{
	my ($registry) = @_;

	# it grants nothing after it was read
	value($registry, <<'SQL', 'ids');
ALTER ROLE ids NOLOGIN;
SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'ids';
SQL
	$lines_of{ $registry->name } = [ lines_of($registry) ];
	stop_node($registry, 'immediate');
	return;
}

# What registries have granted, as {node, holder, from, until}.  A lease that was renewed is one
# interval, and what was given back of it does not belong to it.  A copy of a registry comes after its
# original, and has what was granted before it was copied in common with it.
sub granted
{
	my (@registry) = @_;
	my (%seen, @row, %last, @grant);

	for my $registry (@registry)
	{
		for my $line (@{ $lines_of{ $registry->name } // [ lines_of($registry) ] })
		{
			my @column = split /\|/, $line, -1;

			push @row, [ $registry->name, @column ] unless $seen{$line}++;
		}
	}
	for my $row (@row)
	{
		my ($by, undef, $node, $holder, $lease, $from, $until) = @$row;
		my $grant = $last{$node};

		# such as a number that is reserved after its lease
		next if $lease eq '' && (!$grant || $grant->{ended});
		# a copy that is accepted ends the leases that it knows, which its original may have renewed
		next if $lease eq '' && $grant->{by} ne $by;
		if (!$grant || $grant->{ended} || $grant->{from} != $from || $grant->{holder} ne $holder)
		{
			$grant = $last{$node} = { node => $node, holder => $holder, from => $from };
			push @grant, $grant;
		}
		$grant->{by} = $by;
		$grant->{until} = $until;
		$grant->{ended} = $lease eq '';
	}
	return @grant;
}

# Some with other ticks.
use constant HUNDREDTHS => 'time:38 node:8 sequence:17 tick=10ms';
use constant SECONDS => 'time:32 node:8 sequence:23 tick=1s';

# Layouts of which ids are judged: the tick in microseconds, the number of its lowest bit, and of the
# node id's.
my %LAYOUT = (
	'flake' => [ 1_000, 22, 14 ],
	HUNDREDTHS() => [ 10_000, 25, 17 ],
	SECONDS() => [ 1_000_000, 31, 23 ],
);

use constant EPOCH_US => 1_735_689_600_000_000;

# An id's node id, and when its tick began, in microseconds since 1970.
sub read_id
{
	my ($id, $layout) = @_;
	my ($tick_us, $time_bit, $node_bit) = @{ $LAYOUT{$layout} };

	return ($id >> $node_bit & 255, EPOCH_US + ($id >> $time_bit) * $tick_us);
}

# What is wrong with the ids of these writers, '' if nothing is.
sub fleet_problem
{
	my ($registries, @writer) = @_;
	my @grant = granted(@$registries);
	my (%of, %file, @problem, $count);

	# so that one that overlaps any overlaps the one before it
	for my $grant (sort { $a->{from} <=> $b->{from} || $a->{until} <=> $b->{until} } @grant)
	{
		my $node = $grant->{node};

		push @problem, "node id $node was granted twice"
		  if $of{$node} && $grant->{from} < $of{$node}[-1]{until};
		push @{ $of{$node} }, $grant;
	}

	for my $writer (@writer)
	{
		my $holder = $writer->{holder};
		my ($outside, $example) = (0);

		open my $in, '<', $writer->{file} or die "$writer->{file}: $!";
		# most ids are in the interval of the one before
		my ($node, $from, $until) = (-1, 0, 0);
		while (my $id = <$in>)
		{
			my ($of_id, $us) = read_id($id, $writer->{layout});

			next if $of_id == $node && $us >= $from && $us < $until;
			my ($right) = grep {
				$_->{holder} eq $holder && $us >= $_->{from} && $us < $_->{until}
			} @{ $of{$of_id} };
			if ($right)
			{
				($node, $from, $until) = ($of_id, $right->{from}, $right->{until});
			}
			else
			{
				$example //= sprintf '%d of node id %d at %d', $id, $of_id, $us;
				$outside++;
			}
		}
		close $in;
		push @problem, "$outside ids of $holder are outside of what it was granted, as $example"
		  if $outside;
		push @{ $file{ $writer->{layout} } }, $writer->{file} if -s $writer->{file};
	}
	for my $files (values %file)
	{
		my $twice = ids_problem({ order => 0 }, @$files);

		push @problem, $twice if $twice;
	}
	my %node = map { $_->{node}->name => $_->{node} } @writer;
	push @problem, map { wrong_refusals($_) } values %node;
	note scalar(@grant) . ' intervals were granted';
	return join '; ', @problem;
}

# How far each server's log has been read.
my %log_read;

# What sessions were told since the last call although their server had a lease that covered the
# clock: an error says when the lease ends or ended, or what the clock shows.
sub wrong_refusals
{
	my ($node) = @_;
	my $name = $node->name;
	my (%error_of, @wrong);

	open my $in, '<', $node->logfile or die $node->logfile . ": $!";
	seek $in, $log_read{$name} // 0, 0;
	while (my $line = <$in>)
	{
		my ($pid, $severity, $text) = $line =~ / \[([0-9]+)\] .*?([A-Z]+):  (.*)/ or next;

		if ($severity ne 'DETAIL')
		{
			$error_of{$pid} = $severity eq 'ERROR' ? $text : undef;
		}
		elsif (defined $error_of{$pid})
		{
			my ($end, $clock) = $text =~ /grants it until (.*)\.  The clock shows (.*)\./;

			push @wrong, "$name: $error_of{$pid}: $text"
			  if $text =~ /The lease of node id [0-9]+ ends at/ || defined $end && $clock lt $end;
		}
	}
	$log_read{$name} = tell $in;
	close $in;
	return @wrong > 2 ? (@wrong[ 0, 1 ], @wrong - 2 . ' more such errors') : @wrong;
}

# What the server has said until now is not judged: its clock was set back, so that ids were ahead of
# it and needed a lease that went further.
sub forget_refusals
{
	my ($node) = @_;

	$log_read{ $node->name } = -s $node->logfile;
	return;
}

# --------------------------------------------------------------------------------------- writers

my $writers = 0;

# start_writers(NODE, COUNT, option => value...): clients that make ids until they are stopped, also
# over errors and ends of the server.
#
#   layout     the default one if there is none
#   holder     the name by which the registry knows the node, if it is not the node's
#   busy       true: without pauses
sub start_writers
{
	my ($node, $count, %option) = @_;
	my $layout = $option{layout} // 'flake';
	my $ids = "flake_next_id('$layout')";
	# pg_sleep() goes by the clock, which may be set meanwhile
	my $pause = $option{busy} ? '' : "\\! sleep 0.01\n";
	my @writer;

	for (1 .. $count)
	{
		my $file = PostgreSQL::Test::Utils::tempdir . '/writer' . ++$writers;

		append_to_file($_, '') for $file, "$file.errors";
		append_to_file("$file.sql",
			"COPY (SELECT $ids FROM generate_series(1, 25)) TO STDOUT;\n" . "SELECT $ids;\n" x 5 . $pause);
		# few enough that a writer stops soon
		append_to_file("$file.many.sql", "\\i $file.sql\n" x 40);
		my $psql = "psql -XAtq -v VERBOSITY=verbose -d '" . $node->connstr('postgres') . "' -f $file.many.sql";
		my $loop = "while kill -0 $$ 2>/dev/null && ! test -e $file.stop; do $psql || sleep 0.05; done";

		local $ENV{PGOPTIONS} = '-c statement_timeout=5s';
		push @writer,
		  { file => $file, layout => $layout, node => $node, holder => $option{holder} // $node->name,
			run => IPC::Run::start([ 'sh', '-c', $loop ], '<', \undef, '>', $file, '2>', "$file.errors") };
	}
	return @writer;
}

sub stop_writers
{
	my (@writer) = @_;

	for my $writer (@writer)
	{
		append_to_file("$writer->{file}.stop", '');
		# what it is to do again
		truncate "$writer->{file}.sql", 0 or die "$writer->{file}.sql: $!";
	}
	$_->{run}->finish for @writer;
	return;
}

# Waits until each has made ids that it begins to make now, by what it has in its file.
sub writers_go_on
{
	my (@writer) = @_;

	for my $writer (@writer)
	{
		my $size = -s $writer->{file};

		wait_until('ids of ' . $writer->{node}->name . ': ' . last_errors($writer),
			sub { -s $writer->{file} > $size + 4_000 });
	}
	return;
}

sub last_errors
{
	my ($writer) = @_;

	return join ' ', shell("tail -n 3 $writer->{file}.errors");
}

# ---------------------------------------------------------------------------- processes that stop

my %frozen;

# SIGSTOP, and until none of them runs any more; returns them, for thaw().
sub freeze
{
	my (@pid) = @_;

	for my $pid (@pid)
	{
		$frozen{$pid} = 1;
		kill 'STOP', $pid;
	}
	for my $pid (@pid)
	{
		wait_until("process $pid stops", sub { join('', shell("ps -o stat= -p $pid")) =~ /^([TZ]|$)/ });
	}
	return @pid;
}

sub thaw
{
	my (@pid) = @_;

	@pid = keys %frozen unless @pid;
	kill 'CONT', $_ for @pid;
	delete @frozen{@pid};
	return;
}

# The whole server.  The postmaster first, so that no process is new.
sub freeze_server
{
	my ($node) = @_;
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');

	freeze($postmaster);
	return ($postmaster, freeze(map { s/ //gr } shell("ps -o pid= --ppid $postmaster")));
}

# The sessions that make ids.
sub backend_pids
{
	my ($node) = @_;

	return split /\n/,
	  value($node, "SELECT pid FROM pg_stat_activity WHERE query ~ 'flake_next_id' AND pid <> pg_backend_pid()");
}

# ---------------------------------------------------------------------------------------- a proxy

my @proxy_pid;

# start_proxy(REGISTRY): between holders and the registry; connect to it with
# connection($registry, host => $proxy->{host}).  It obeys proxy($proxy, COMMAND):
#
#   up             all goes through; so it begins
#   down           what is open is closed, and nobody gets through
#   lose REGEX     the next request that matches gets through, its answer does not, and the
#                  connection ends
#   late REGEX     the next request that matches is kept, and the connection ends
#   twice REGEX    the next request that matches gets through, and is kept as well
#   caught         1 if there was such a request, else 0
#   deliver        sends what was kept; "granted", or the error's SQLSTATE
sub start_proxy
{
	my ($registry) = @_;
	my $host = PostgreSQL::Test::Utils::tempdir_short;
	my $name = '/.s.PGSQL.' . $registry->port;
	my $listen = IO::Socket::UNIX->new(Local => "$host$name", Listen => 20) or die "$host$name: $!";

	socketpair(my $ours, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!";
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		close $ours;
		eval { relay($listen, $registry->host . $name, $its) };
		warn $@ if $@;
		# not the end of the test
		POSIX::_exit(0);
	}
	close $its;
	push @proxy_pid, $pid;
	return { host => $host, control => $ours };
}

sub proxy
{
	my ($proxy, $command) = @_;
	my $answer = '';

	syswrite $proxy->{control}, "$command\n" or die "proxy: $!";
	until ($answer =~ s/\n\z//)
	{
		sysread $proxy->{control}, $answer, 100, length $answer or die 'the proxy is gone';
	}
	return $answer;
}

# The proxy's process.  A connection is {client, server, request, lose, answer}, and is found by
# either socket.
sub relay
{
	my ($listen, $server_path, $control) = @_;
	my $select = IO::Select->new($listen, $control);
	my ($is_up, $rule, $kept, $caught) = (1, undef, undef, 0);
	my %connection;

	local $SIG{PIPE} = 'IGNORE';
	my $end = sub {
		for my $socket (grep { defined } @_)
		{
			$select->remove($socket);
			delete $connection{$socket};
			close $socket;
		}
	};

	while (1)
	{
		for my $socket ($select->can_read)
		{
			if ($socket == $control)
			{
				sysread $control, my $text, 1000 or return;
				my ($command, $regex) = $text =~ /^(\w+)(?: (.*))?$/m;
				my $answer = 'done';

				if ($command eq 'up' || $command eq 'down')
				{
					$is_up = $command eq 'up';
					$end->(map { @$_{qw(client server)} } values %connection) unless $is_up;
				}
				elsif ($command eq 'caught')
				{
					$answer = $caught;
				}
				elsif ($command eq 'deliver')
				{
					$answer = deliver(@$kept);
					$kept = undef;
				}
				else
				{
					($rule, $caught) = ({ command => $command, regex => $regex }, 0);
				}
				syswrite $control, "$answer\n";
				next;
			}
			if ($socket == $listen)
			{
				my $client = $listen->accept or next;
				my $server = $is_up && IO::Socket::UNIX->new(Peer => $server_path);

				if (!$server)
				{
					close $client;
					next;
				}
				$connection{$_} = { client => $client, server => $server, request => '' } for $client, $server;
				$select->add($client, $server);
				next;
			}

			my $connection = $connection{$socket} or next;
			my ($client, $server) = @$connection{qw(client server)};

			if (!sysread $socket, my $bytes, 65536)
			{
				# what was kept still needs its connection
				$end->($client, $kept && $kept->[0] == $server ? undef : $server);
				if ($kept && $kept->[0] == $server)
				{
					$select->remove($server);
					delete $connection{$server};
				}
			}
			elsif ($socket == $server)
			{
				$connection->{answer} .= $bytes if $connection->{lose};
				if (!$connection->{lose})
				{
					syswrite $client, $bytes;
				}
				elsif ($connection->{answer} =~ /Z\0\0\0\x05.\z/s)
				{
					$end->($client, $server);
				}
			}
			elsif (!$rule || ($connection->{request} . $bytes) !~ /$rule->{regex}/)
			{
				# whoever closes a connection of which something is kept says so
				syswrite $server, $bytes unless $kept && $kept->[0] == $server;
			}
			else
			{
				my $request = $connection->{request} .= $bytes;
				my $command = $rule->{command};

				next unless $request =~ /S\0\0\0\x04\z/;
				($rule, $caught) = (undef, 1);
				$connection->{request} = '';
				$connection->{lose} = 1 if $command eq 'lose';
				$kept = [ $server, $request ] if $command eq 'late' || $command eq 'twice';
				syswrite $server, $request unless $command eq 'late';
				if ($command eq 'late')
				{
					$select->remove($server);
					delete $connection{$server};
					$end->($client);
				}
			}
		}
	}
	return;
}

sub deliver
{
	my ($server, $request) = @_;
	my $answer = '';

	syswrite $server, $request;
	until ($answer =~ /Z\0\0\0\x05.\z/s)
	{
		sysread $server, $answer, 65536, length $answer or return 'lost';
	}
	close $server;
	return $answer =~ /\0C([0-9A-Z]{5})\0M/ ? $1 : 'granted';
}

# The tests' servers are stopped after this.
END
{
	my $status = $?;

	thaw();
	kill 'TERM', @proxy_pid if @proxy_pid;
	waitpid $_, 0 for @proxy_pid;
	$? = $status;
}

# -------------------------------------------------------------------------------------- this and that

my $leases = 0;

# A uuid that no lease has had.
sub new_lease_id
{
	return sprintf '00000000-0000-4000-8000-%012d', ++$leases;
}

# The machine's clock, which is the registries'.
sub now_us
{
	return int(Time::HiRes::time() * 1_000_000);
}

# The node's clock stands from now on, until it is set anew.
sub stand_still
{
	my ($node) = @_;
	my $file = $node->basedir . '/clock';

	open my $out, '>', "$file.new" or die "$file.new: $!";
	print $out POSIX::strftime('%Y-%m-%d %H:%M:%S', localtime), "\n";
	close $out or die "$file.new: $!";
	rename "$file.new", $file or die "$file: $!";
	return;
}

# Until the node makes ids; which node id it has then.
sub wait_for_node
{
	my ($node) = @_;

	$node->poll_query_until('postgres', 'SELECT flake_next_id() > 0') or die $node->name . ' makes no ids';
	return node_of($node);
}

1;
