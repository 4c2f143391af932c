# Copies take the mark along: pg_basebackup under load, CREATE DATABASE ... TEMPLATE by both
# strategies.  Where the copy's clock is behind, its ids go on after those it has.

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

my $node = new_node('original', clock => 1, init => [ allows_streaming => 1 ],
	conf => 'flake.max_clock_lead = 1min');
my $dir = $node->basedir;
my $table = 'CREATE TABLE made (id bigint PRIMARY KEY DEFAULT flake_next_id())';
my $insert = 'INSERT INTO made SELECT FROM generate_series(1, 10) RETURNING id';

value($node, $table);

# --- a copy of the server, taken while ids are made; then the original is gone

my @load = map { { file => "$dir/load$_", sql => $insert } } 1 .. 4;
start_endless($node, @load);
$node->backup('copy');
stop_node($node, 'immediate');
end_endless(@load);

my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($node, 'copy');
use_clock($copy);
set_clock($copy, -3);
start_node($copy);
my $mark = mark_us($copy);
later_ids_ok('pg_basebackup under load', $mark, value($copy, 'SELECT max(id) FROM made'), next_id($copy));
stop_node($copy);

# --- copies of a database

start_node($node);
value($node, 'CREATE DATABASE template');
value($node, "CREATE EXTENSION flake; $table", 'template');
for my $strategy (qw(wal_log file_copy))
{
	value($node, 'INSERT INTO made SELECT FROM generate_series(1, 1000)', 'template');
	my $last = value($node, 'SELECT max(id) FROM made', 'template');

	value($node, "CREATE DATABASE $strategy TEMPLATE template STRATEGY $strategy");
	stop_node($node, 'immediate');
	set_clock($node, -3);
	start_node($node);
	my $mark = mark_us($node, $strategy);
	later_ids_ok("TEMPLATE, $strategy, and a crash", $mark, $last, next_id($node, $strategy));

	# both at once: no id of a layout in common while the server runs
	for my $layout ('flake', 'ordered', 'time:41 tenant:10=7 sequence:12')
	{
		my $ids = "COPY (SELECT flake_next_id('$layout') FROM generate_series(1, 50000)) TO STDOUT";
		my @both =
		  map { { file => "$dir/$strategy.$_", database => $_, sql => $ids } } ('template', $strategy);

		is(run_sessions($node, @both), '', "$strategy, $layout: both make ids");
		is(ids_problem(map { $_->{file} } @both), '', "$strategy, $layout: they have none in common");
		unlink map { $_->{file} } @both;
	}
	is( value($node, <<'SQL', $strategy), 't', "$strategy: nor with those that were there");
INSERT INTO made SELECT FROM generate_series(1, 1000);
SELECT count(*) > 1000 FROM made;
SQL
	set_clock($node, 0);
	restart_node($node);
}

stop_node($node);
done_testing();
