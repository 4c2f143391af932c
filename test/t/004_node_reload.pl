# A reload that changes flake.node_id under sessions that make ids: all follow it, and the order
# within each holds whichever way the number goes.
#
# pg_regress can't change the server's settings beneath running sessions.

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('node_reload');
my $dir = $node->basedir;

# --- under load, up and down

my @job = start_load($node, map {
	{   file => "$dir/session$_",
		sql => 'COPY (SELECT flake_next_id() FROM generate_series(1, 100)) TO STDOUT;'
	}
} 1 .. 4);
my @node_id = (1, 2, 255, 254, 3, 200, 0, 7);

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

	for my $id (split /\n/, slurp_file($job->{file}))
	{
		my $node_id = ($id >> 14) & 255;
		push @seen, $node_id unless @seen && $seen[-1] == $node_id;
	}
	is("@seen", "@node_id", 'a session used each node id, one after the other');
}

# --- within one tick, where a smaller node id would make a smaller id

$node->safe_psql('postgres', <<'SQL');
SELECT flake_create_generator('slow', 'time:33 node:8 slot:6 sequence:10 tick=1s');
SQL
my $session = session($node);
my ($last, $last_node) = (0, 7);

for my $node_id (9, 6, 6, 4, 3, 2, 1)
{
	set_node_id($node, $node_id);
	# the reload has reached the session when its statement begins
	my ($id, $error) = ask($session, "SELECT flake_next_id('slow')");

	is($error, '', "node id $node_id: no error");
	cmp_ok($id, '>', $last, "node id $node_id after $last_node: the id is larger");
	is(ask($session, "SELECT flake_node_id($id, flake_generator_layout('slow'))"),
		$node_id, "node id $node_id is in it");
	($last, $last_node) = ($id, $node_id);
}
$session->quit;

$node->stop;
done_testing();
