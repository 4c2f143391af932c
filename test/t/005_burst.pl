# More demand than a tick has ids: nobody gets an id twice, an error, or a time that runs ahead,
# and a session that wants one id now and then is served beside the burst, also after the clock
# was set back.
#
# pg_regress has no other sessions to compete with and no clock to set.

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

# 64 ids in each millisecond, and 16 in each fifth of a second
my $small = 'time:41 node:4 slot:2 sequence:4';
my $slow = 'time:34 node:4 slot:1 sequence:3 tick=200ms';
my $generators = <<"SQL";
SELECT flake_create_generator('small', '$small');
SELECT flake_create_generator('slow', '$slow');
SQL

# How many ticks an id is ahead of the clock that was read after it.  The epoch's day has a whole
# number of ticks.
sub ahead_of_clock
{
	my ($generator, $ticks_per_second) = @_;

	return <<"SQL" =~ s/\n/ /gr;
SELECT id, flake_tick(id) - floor(extract(epoch FROM after - '2025-01-01T00:00:00Z') * $ticks_per_second)
FROM (SELECT flake_next_id('$generator') AS id, clock_timestamp() AS after
SQL
}

# --- on the machine's own clock

my $node = new_node('burst');
my $dir = $node->basedir;
$node->safe_psql('postgres', $generators);

my @burst = map {
	{   file => "$dir/burst$_",
		sql => <<"SQL"
COPY (
	SELECT id, (flake_parse(id, '$small')).tick
		- floor(extract(epoch FROM after - '2025-01-01T00:00:00Z') * 1000)
	FROM (SELECT flake_next_id('small') AS id, clock_timestamp() AS after
		  FROM generate_series(1, 15000) OFFSET 0) AS taken
) TO STDOUT
SQL
	}
} 1 .. 8;

is(run_sessions($node, @burst), '', 'a burst: no errors');
sub split_ahead
{
	my @ahead;

	for my $file (@_)
	{
		my @line = map { [ split /\t/ ] } split /\n/, slurp_file($file);

		unlink $file;
		append_to_file($file, join '', map { "$_->[0]\n" } @line);
		push @ahead, map { $_->[1] } @line;
	}
	return sort { $a <=> $b } @ahead;
}
my @ahead = split_ahead(map { $_->{file} } @burst);
is(ids_problem(map { $_->{file} } @burst), '', "a burst: ids are distinct and each session's in order");
cmp_ok($ahead[-1], '<=', 1, 'a burst: no id is more than one tick ahead of the clock');
