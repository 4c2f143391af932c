# The function of doc/partitions.md: periods as the calendar has them, calls at the same time, a
# silence, what is too old, and which partitions a query reads.  080_pages.pl runs the page.

use strict;
use warnings FATAL => 'all';

use FindBin;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

my $node = new_node('partitions', clock => 1,
	conf => "timezone = 'UTC'\nflake.max_clock_jump = 0\n");
my ($function) =
  slurp_file("$FindBin::RealBin/../../doc/partitions.md") =~ /^```sql\n(CREATE FUNCTION keep_partitions.*?)^```$/ms
  or die 'no function in the page';

value($node, $function);
# from and to as times; the name without that of the table
value($node, <<'SQL');
CREATE VIEW bounds AS
SELECT i.inhparent::regclass AS parent, replace(c.relname, i.inhparent::regclass::text, '') AS name,
	flake_timestamp(b.bound[1]::bigint) AS begins, flake_timestamp(b.bound[2]::bigint) AS ends
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid,
	regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\) TO \(''(\d+)''\)') AS b (bound)
WHERE c.relkind = 'r'
SQL

sub table
{
	my ($name) = @_;

	value($node, "CREATE TABLE $name (id bigint PRIMARY KEY DEFAULT flake_next_id(), v text) PARTITION BY RANGE (id)");
	return;
}

sub keep
{
	my ($arguments) = @_;

	return value($node, "SELECT count(*) FROM keep_partitions($arguments)");
}

# Whole periods of a time zone, from the present one on, without a gap.
my %periods = (month => [ '13 months', 14 ], week => [ '60 weeks', 61 ], day => [ '400 days', 401 ]);
for my $unit (sort keys %periods)
{
	my ($ahead, $count) = @{ $periods{$unit} };

	table("by_$unit");
	my $made = keep("'by_$unit', '$unit', '$ahead', zone => 'America/New_York'");
	cmp_ok(abs($made - $count), '<=', 1, "$unit: $made partitions");
	is(value($node, <<"SQL"), 't|t|t|t', '... of whole periods, side by side, from now to then');
SELECT bool_and(begins AT TIME ZONE 'America/New_York' = date_trunc('$unit', begins AT TIME ZONE 'America/New_York')
		AND ends AT TIME ZONE 'America/New_York' = begins AT TIME ZONE 'America/New_York' + interval '1 $unit'),
	bool_and(previous = begins OR previous IS NULL), min(begins) <= now(), max(ends) > now() + '$ahead'
FROM (SELECT *, lag(ends) OVER (ORDER BY begins) AS previous FROM bounds WHERE parent = 'by_$unit'::regclass) AS b
SQL
	is(keep("'by_$unit', '$unit', '$ahead', zone => 'America/New_York'"), 0, '... and no more at the next call');
}

# Calls at the same time.
table("busy_$_") for 1 .. 10;
my @jobs = map {
	{
		file => $node->basedir . "/calls.$_",
		sql => join '', map { "SELECT keep_partitions('busy_$_', 'month', '3 months');\n" } 1 .. 10
	}
} 1 .. 4;
is(run_sessions($node, @jobs), '', 'four sessions at a time');
is(value($node, <<'SQL'), '10|1', '... make each partition once');
SELECT count(*), count(DISTINCT n) FROM (SELECT count(*) AS n FROM bounds WHERE parent::text LIKE 'busy%' GROUP BY parent) AS b
SQL
is(count_lines(map { $_->{file} } @jobs), value($node, "SELECT count(*) FROM bounds WHERE parent::text LIKE 'busy%'"),
	'... and say so once');

# Where something is there already, it goes on.
table('begun');
value($node, <<'SQL');
CREATE TABLE begun_1 PARTITION OF begun FOR VALUES FROM (0) TO (flake_min_id(now() + interval '10 days'))
SQL
cmp_ok(keep("'begun', 'month', '3 months'"), '>=', 3, 'partitions after one that reaches into a month');
is(value($node, <<'SQL'), 't', '... begin where it ends');
SELECT bool_and(previous = begins OR previous IS NULL)
FROM (SELECT *, lag(ends) OVER (ORDER BY begins) AS previous FROM bounds WHERE parent = 'begun'::regclass) AS b
SQL

# A silence: the calls and the rows stop for longer than the partitions reach.
table($_) for qw(kept dropped);
value($node, "SELECT keep_partitions('$_', 'week', '3 weeks')") for qw(kept dropped);
value($node, "INSERT INTO $_ (v) VALUES ('before')") for qw(kept dropped);
my $before = value($node, "SELECT tableoid::regclass FROM kept");
set_clock($node, 100 * 86400);
is(sqlstate($node, "INSERT INTO kept (v) VALUES ('too late')"), '23514', 'after a silence there is no partition');

is(value($node, "SELECT count(*) > 0 FROM keep_partitions('kept', 'week', '3 weeks')"), 't', '... until the next call');
value($node, "INSERT INTO kept (v) VALUES ('after')");
cmp_ok(keep("'kept', 'week', '3 weeks', keep => '30 days'"), '>=', 3, 'what is too old is detached');
is(value($node, "SELECT string_agg(v, ' ') FROM kept"), 'after', '... from the table');
is(value($node, "SELECT v FROM $before"), 'before', '... and is there');
cmp_ok(keep("'dropped', 'week', '3 weeks', keep => '30 days', drop_old => true"), '>=', 8, 'or dropped');
is(value($node, "SELECT to_regclass(replace('$before', 'kept', 'dropped')) IS NULL"), 't', '... and is not there');
is(keep("'dropped', 'week', '3 weeks', keep => '30 days', drop_old => true"), 0, '... once');

# Which partitions a query reads.
table('read');
value($node, "CREATE TABLE read_$_ PARTITION OF read FOR VALUES FROM (flake_min_id('2026-$_-01+00')) TO (flake_min_id('2026-$_-28+00'))")
  for qw(09 10 11);
my %read = (
	"id >= flake_min_id('2026-10-02+00') AND id < flake_min_id('2026-10-05+00')" => '10',
	"id >= flake_min_id('2026-10-02+00')" => '10 11',
	'id = flake_min_id(\'2026-09-05+00\') + 7' => '09',
	"flake_timestamp(id) >= '2026-11-05'" => '09 10 11');
for my $condition (sort keys %read)
{
	my $plan = value($node, "EXPLAIN (COSTS OFF) SELECT * FROM read WHERE $condition");
	my %seen = map { $_ => 1 } $plan =~ / on read_(\d+)/g;

	is(join(' ', sort keys %seen), $read{$condition}, "WHERE $condition reads $read{$condition}");
}
my $plan = value($node, <<'SQL');
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT * FROM read WHERE id >= flake_min_id(now() - interval '20 years')
	AND id < flake_min_id('2026-10-02+00'::text::timestamptz)
SQL
unlike($plan, qr/ on read_11/, 'a time that is known when the query is executed leaves partitions out, too');

stop_node($node);

# Somebody uses the table: the new partitions are made, the old ones stay.  lock_timeout does not
# work under libfaketime.
my $true = new_node('true_clock');
value($true, $function);
value($true, <<'SQL');
CREATE TABLE used (id bigint PRIMARY KEY DEFAULT flake_next_id()) PARTITION BY RANGE (id);
CREATE TABLE used_old PARTITION OF used FOR VALUES FROM (0) TO (flake_min_id('2025-02-01+00'));
SQL
my $reader = session($true);
ask($reader, 'BEGIN; SELECT count(*) FROM used');
my ($status, undef, $warning) = $true->psql('postgres', "SELECT keep_partitions('used', 'week', '3 weeks', keep => '30 days')");
is($status, 0, 'a call while the table is read');
like($warning, qr/WARNING:  old partitions of used stay/, '... says that it could not do all');
like(value($true, 'INSERT INTO used VALUES (DEFAULT) RETURNING id'), qr/^\d+$/, '... but rows go in');
is(value($true, "SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = 'used_old'::regclass"), 'used',
	'... and the old one is still there');
ask($reader, 'COMMIT');
$reader->quit;
is(value($true, "SELECT keep_partitions('used', 'week', '3 weeks', keep => '30 days')"), 'detached used_old',
	'the next call takes it off');

stop_node($true);
done_testing();
