# A reload changes flake.node_id, and back again, beneath short and long statements, while the clock
# steps: all sessions follow, no id comes twice, and each session has its ids in order.  So with a
# layout without node bits, which does not follow.  Promises P1 and P2 (src/core/refill.c,
# src/server/backend.c).
#
# check: both clocks
# check: one major

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

need_faketime();

# without node bits; one of 32 numbers a tick; a tick so long that all happens within a few
my $nodeless = 'time:41 sequence:12';
my $small = 'time:41 node:8 slot:1 sequence:4';
my $slow = 'time:33 node:8 slot:6 sequence:10 tick=1s';

my $node = new_node('node_reload', clock => 1);
my $dir = $node->basedir;

sub node_id { return ($_[0] >> 14) & 255; }

# --- under load, up and down

my @job = start_load($node, map {
	{   file => "$dir/session$_",
		sql => 'COPY (SELECT flake_next_id() FROM generate_series(1, 100)) TO STDOUT;'
	}
} 1 .. 4);
my @node_id = (1, 2, 255, 254, 3, 2, 0, 1);

load_goes_on(400, @job);
for my $id (@node_id[ 1 .. $#node_id ])
{
	set_node_id($node, $id);
	load_goes_on(400, @job);
}
is(stop_load(@job), '', 'sessions go on over reloads');
is(ids_problem(map { $_->{file} } @job), '', "ids are distinct and each session's in order");

for my $job (@job)
{
	my @seen;

	for my $id (map { node_id($_) } split /\n/, slurp_file($job->{file}))
	{
		push @seen, $id unless @seen && $seen[-1] == $id;
	}
	is("@seen", "@node_id", 'a session used each node id, one after the other');
}

# --- there and back beside statements that never notice, with the clock stepping

my (@short, @long);
for my $layout ('flake', 'ordered', $small, $nodeless)
{
	my $number = @long;
	my $ids = "COPY (SELECT flake_next_id('$layout') FROM (SELECT generate_series(1, %d) AS n) g%s) TO STDOUT;";

	push @short, { layout => $layout, file => "$dir/short$number", sql => sprintf($ids, 50, '') };
	# with pauses, or there would be more ids than this file could look at
	push @long, { layout => $layout, file => "$dir/long$number",
		sql => sprintf($ids, 100_000_000, ' WHERE n % 500 <> 0 OR pg_sleep(0.01) IS NOT NULL') };
}
start_load($node, @short);
start_sessions($node, @long);
my $offset = 0;
for my $id (2, 1, 3, 1, 2, 1)
{
	set_node_id($node, $id);
	load_goes_on(50, @short, @long);
	set_clock($node, $offset = $offset ? 0 : -1.5);
	load_goes_on(50, @short, @long);
}
is(stop_load(@short), '', 'there and back: short statements go on');
$node->safe_psql('postgres', <<'SQL');
SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query ~ '^COPY .* 100000000'
SQL
for my $job (@short, @long)
{
	# a cancelled COPY leaves its last line unfinished
	my $text = $job->{file} =~ /long/ && finish_sessions($job) =~ /57014/ ? slurp_file($job->{file}) : undef;

	next unless defined $text;
	unlink $job->{file};
	append_to_file($job->{file}, $text =~ s/[^\n]+\z//r);
}
for my $number (0 .. $#long)
{
	is(ids_problem($short[$number]{file}, $long[$number]{file}), '',
		"there and back, layout \"$long[$number]{layout}\": ids are distinct and in order");
}
is_deeply([ sort keys %{ { map { node_id($_) => 1 } split /\n/, slurp_file($long[0]{file}) } } ],
	[1], 'a long statement keeps the node id that it began with');
unlink map { $_->{file} } @short, @long;

# --- a change that is none: the session keeps its range

my $session = session($node);
my @id = (0);
my $tick;
# a hundred of a new tick: 27 of the last range are left
do
{
	$tick = $id[-1] >> 24;
	@id = split /\n/, scalar ask($session, "SELECT flake_next_id('$slow') FROM generate_series(1, 100)");
	usleep(100_000);
} until $id[0] >> 24 == $id[-1] >> 24 && $id[0] >> 24 != $tick;
my $taken = "SELECT ids_taken FROM flake.layouts WHERE layout = '$slow' AND node_id = 1";
my $before = value($node, $taken);
$node->append_conf('postgresql.conf', "flake.max_clock_jump = '2d'");
setting_everywhere($node, 'flake.max_clock_jump', '2d');
push @id, scalar ask($session, "SELECT flake_next_id('$slow')");
# in the same tick no other range was needed; in a later one it began with one number
my $new = $id[-1] >> 24 == $id[-2] >> 24 ? 0 : 1;
is(value($node, $taken) - $before, $new, 'a reload that changes nothing empties no range');
is($id[-1] - $id[-2], 1, '... and the next number is the next id') if !$new;

# --- within one tick, where a smaller node id would make a smaller id

# Each change takes the session to the next tick: six would be further ahead of the clock than
# allowed.
my ($last, $last_node) = ($id[-1], 1);
for my $node_id (9, 6, 6, 2, 1)
{
	set_node_id($node, $node_id);
	# the reload has reached the session when its statement begins
	my ($id, $error) = ask($session, "SELECT flake_next_id('$slow')");

	is($error, '', "node id $node_id: no error");
	cmp_ok($id, '>', $last, "node id $node_id after $last_node: the id is larger");
	is(value($node, "SELECT flake_node_id($id, '$slow')"), $node_id, "node id $node_id is in it");
	($last, $last_node) = ($id, $node_id);
}
$session->quit;

like(slurp_file($node->logfile), qr/LOG:  node id changed from 1 to 2$/m, 'the log tells of a change');

$node->stop;
done_testing();
