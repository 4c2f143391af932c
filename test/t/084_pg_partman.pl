# What doc/partitions.md says of pg_partman, where that is installed: versions 4 and 5.

use strict;
use warnings FATAL => 'all';

use FindBin;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $share = `pg_config --sharedir`);
plan skip_all => 'pg_partman is not installed' unless -e "$share/extension/pg_partman.control";

my $node = new_node('partman', conf => "timezone = 'UTC'\n");
my $page = slurp_file("$FindBin::RealBin/../../doc/partitions.md");

value($node, <<'SQL');
CREATE SCHEMA partman;
CREATE EXTENSION pg_partman SCHEMA partman;
CREATE TABLE visits (id bigint PRIMARY KEY DEFAULT flake_next_id(), url text) PARTITION BY RANGE (id);
CREATE VIEW bounds AS
SELECT flake_timestamp(b.bound[1]::bigint) AS begins, flake_timestamp(b.bound[2]::bigint) AS ends
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid,
	regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\) TO \(''(\d+)''\)') AS b (bound)
WHERE i.inhparent = 'visits'::regclass AND b.bound IS NOT NULL
SQL
my ($major) = value($node, "SELECT extversion FROM pg_extension WHERE extname = 'pg_partman'") =~ /^(\d+)/;
my ($create) = $page =~ /^-- pg_partman $major\n(SELECT .*?;)$/ms or die "no pg_partman $major in the page";
my ($retention) = $page =~ /^(UPDATE partman.*?;)$/ms or die 'no retention in the page';

value($node, $create);
is(value($node, <<'SQL'), 't|t', 'partitions are days, today first');
SELECT bool_and(begins = date_trunc('day', begins, 'UTC') AND ends = begins + interval '1 day'), min(begins) <= now() FROM bounds
SQL

# Days that have rows bring the next ones.
my $days = value($node, 'SELECT count(*) FROM bounds');
value($node, "INSERT INTO visits (url) VALUES ('now')");
value($node, "INSERT INTO visits SELECT flake_min_id(max(begins)) + 1, 'the last day' FROM bounds");
value($node, 'CALL partman.run_maintenance_proc()');
cmp_ok(value($node, 'SELECT count(*) FROM bounds'), '>', $days, 'maintenance makes more');

# Without rows it makes none, and later rows go to the default partition.
$days = value($node, 'SELECT count(*) FROM bounds');
value($node, 'CALL partman.run_maintenance_proc()') for 1 .. 2;
is(value($node, 'SELECT count(*) FROM bounds'), $days, '... but not by the clock');
is(value($node, <<'SQL'), 'visits_default', '... so after a silence rows are in the default partition');
INSERT INTO visits SELECT flake_min_id(max(ends) + interval '1 day'), 'after a silence' FROM bounds RETURNING tableoid::regclass
SQL
value($node, "DELETE FROM visits WHERE url = 'after a silence'");

# Old days go.
value($node, $retention);
value($node, <<'SQL');
UPDATE partman.part_config SET retention = (2 * 362387865600000)::text;
CALL partman.run_maintenance_proc()
SQL
cmp_ok(value($node, 'SELECT count(*) FROM bounds'), '<', $days, 'retention drops days by the highest id');

# Months are not for ids.
isnt(sqlstate($node, $create =~ s/visits/monthly/r =~ s/362387865600000/1 month/r =~ s/^/CREATE TABLE monthly (LIKE visits) PARTITION BY RANGE (id);\n/r),
	'', 'no months');

stop_node($node);
done_testing();
