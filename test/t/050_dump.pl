# pg_dump and restore take the mark along, and what a table's definition says of ids: as superuser and
# as a database owner who is none, in one step and schema and data apart, into another server whose
# clock is behind and into a database that makes ids meanwhile.

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

# The server that ids come from is a minute ahead of the one that they go to.
my $source = new_node('source');
my $target = new_node('target', clock => 1, extension => 0, conf => 'flake.max_clock_lead = 2min');
my $dir = $source->basedir;

set_clock($target, -60);
for my $node ($source, $target)
{
	value($node, 'CREATE ROLE keeper LOGIN; CREATE ROLE visitor LOGIN');
}

sub connection
{
	my ($node, $user, $database) = @_;

	return ('-d', $node->connstr($database) . ($user eq '' ? '' : " user=$user"));
}

sub runs
{
	my ($name, @command) = @_;
	my ($code, $out, $error) = run_program(@command);

	is("$code $error", '0 ', $name);
	return;
}

# All rows that were dumped, as they are read by everything that a definition can say of ids.
my $rows = <<'SQL';
SELECT md5(string_agg(m::text || flake_node_id(m.id), ',' ORDER BY id)) FROM made AS m WHERE n IS NOT NULL
UNION ALL SELECT md5(string_agg(e::text, ',' ORDER BY id)) FROM event AS e
UNION ALL SELECT string_agg(d::text, ',' ORDER BY name) FROM described AS d
UNION ALL SELECT string_agg(pg_get_expr(adbin, adrelid), ',' ORDER BY adrelid::regclass::text COLLATE "C", adnum) FROM pg_attrdef
UNION ALL SELECT string_agg(pg_get_constraintdef(oid), ',' ORDER BY conname) FROM pg_constraint WHERE conrelid = 'made'::regclass
SQL

# Two databases of the same kind, the superuser's and one whose owner made the extension.
my %owner = (super => '', kept => 'keeper');
my %last;

for my $database (sort keys %owner)
{
	my $user = $owner{$database};

	value($source, "CREATE DATABASE $database" . ($user eq '' ? '' : " OWNER $user"));
	runs("$database: the extension is made",
		'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', connection($source, $user, $database), '-c', <<'SQL');
CREATE EXTENSION flake;
CREATE FUNCTION order_id() RETURNS bigint RETURN flake_next_id('ordered');
CREATE TABLE made (
	id bigint PRIMARY KEY DEFAULT flake_next_id(),
	other bigint DEFAULT flake_next_id('classic'),
	named bigint DEFAULT order_id(),
	code text DEFAULT flake_prefixed('ORD_', layout => 'time:41 tenant:10=7 sequence:12'),
	n integer,
	made_at timestamptz GENERATED ALWAYS AS (flake_timestamp(id)) STORED,
	label text GENERATED ALWAYS AS (flake_format(other, 'EV_', 3, 'base32')) STORED,
	CHECK (flake_node_id(id) = 1 AND flake_node_id(other, 'classic') = 1),
	CHECK (id BETWEEN flake_min_id('2025-01-01+00') AND flake_max_id('infinity'))
);
CREATE INDEX made_ms ON made (flake_unix_ms(id), flake_node_id(other, 'classic'));
INSERT INTO made (n) SELECT generate_series(1, 1000);
CREATE VIEW parsed AS
	SELECT m.*, p.* FROM made AS m, LATERAL flake_parse(other, 'classic') AS p;
CREATE TABLE event (id bigint PRIMARY KEY DEFAULT flake_next_id()) PARTITION BY RANGE (id);
CREATE TABLE event_early PARTITION OF event
	FOR VALUES FROM (flake_min_id('2025-01-01+00')) TO (flake_min_id('2026-01-01+00'));
CREATE TABLE event_late PARTITION OF event
	FOR VALUES FROM (flake_min_id('2026-01-01+00')) TO (flake_max_id('infinity'));
INSERT INTO event SELECT flake_id_at('2025-06-01+00', n, 1) FROM generate_series(0, 99) AS n;
INSERT INTO event SELECT FROM generate_series(1, 100);
CREATE TABLE described (name text PRIMARY KEY, layout flake_layout UNIQUE);
INSERT INTO described VALUES ('t', 'twitter'), ('x', 'time:30 a:3 slot:2 b:4=9 sequence:5 epoch=-5 tick=7us');
SQL
	$last{$database} = value($source, 'SELECT max(id) FROM made', $database);
}

# The first id goes on after those that were dumped, though this clock is behind.
sub begins_later
{
	my ($name, $from, $to) = @_;

	later_ids_ok($name, mark_us($target, $to), $last{$from}, next_id($target, $to));
	return goes_on($name, $from, $to);
}

# So do all ids, of every layout.
sub goes_on
{
	my ($name, $from, $to) = @_;

	is(value($target, $rows, $to), value($source, $rows, $from), "$name: the same rows");
	runs("$name: rows are added", 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1',
		connection($target, $owner{$from}, $to), '-c', 'INSERT INTO made SELECT FROM generate_series(1, 1000)');
	is( value($target, <<'SQL', $to), '2000|2000|2000|2000|2000', "$name: all ids differ");
SELECT count(*), count(DISTINCT id), count(DISTINCT other), count(DISTINCT named), count(DISTINCT code) FROM made
SQL
	is( value($target, 'SET enable_seqscan = off; SELECT count(*) FROM made WHERE flake_unix_ms(id) > 0', $to),
		2000, "$name: they are in the index");
	my $plan = value($target, "EXPLAIN SELECT FROM event WHERE id < flake_min_id('2025-12-01+00')", $to);
	ok($plan =~ /event_early/ && $plan !~ /event_late/, "$name: a range of time is a partition");
	return;
}

for my $database (sort keys %owner)
{
	my $user = $owner{$database};
	my $owned = $user eq '' ? '' : " OWNER $user";
	my @restore = ('--exit-on-error', '--no-password');

	# all at once, as text and as an archive
	value($target, "CREATE DATABASE ${database}_$_$owned") for qw(text archive apart running);
	runs("$database: dump as text", 'pg_dump', connection($source, $user, $database),
		'-f', "$dir/$database.sql");
	runs("$database: restore", 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null',
		connection($target, $user, "${database}_text"), '-f', "$dir/$database.sql");
	begins_later("$database as text", $database, "${database}_text");

	runs("$database: dump as archive", 'pg_dump', '-Fc', connection($source, $user, $database),
		'-f', "$dir/$database.dump");
	runs("$database: restore", 'pg_restore', @restore, '-j', 2,
		connection($target, $user, "${database}_archive"), "$dir/$database.dump");
	begins_later("$database as archive", $database, "${database}_archive");

	# schema and data apart
	for my $part (qw(schema data))
	{
		runs("$database: $part only", 'pg_dump', "--$part-only", '-Fc',
			connection($source, $user, $database), '-f', "$dir/$database.$part");
		runs("$database: restore", 'pg_restore', @restore,
			connection($target, $user, "${database}_apart"), "$dir/$database.$part");
	}
	begins_later("$database in two parts", $database, "${database}_apart");

	# The data into a database that has made ids, in a session that goes on.  After a restart, or
	# the server's ids would be late already, all databases' together.
	restart_node($target);
	runs("$database: the schema", 'pg_restore', @restore,
		connection($target, $user, "${database}_running"), "$dir/$database.schema");
	my $session = session($target, "${database}_running");
	my $early = ask($session, NEXT_ID);
	runs("$database: the data", 'pg_restore', @restore,
		connection($target, $user, "${database}_running"), "$dir/$database.data");
	my $late = ask($session, NEXT_ID);
	cmp_ok($early, '<', $last{$database}, "$database: the running session's clock is behind");
	cmp_ok($late, '>', $last{$database}, "$database: its next id is later than what came in");
	goes_on("$database into a running database", $database, "${database}_running");
	$session->quit;
}

# Somebody else with the right to read can dump too.
value($source, 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO visitor', 'kept');
runs('dump as another user', 'pg_dump', connection($source, 'visitor', 'kept'), '-f', "$dir/visitor.sql");

# A crash right after a restore: what it set was made durable by the first id.
stop_node($target, 'immediate');
start_node($target);
my $mark = mark_us($target, 'super_running');
my $made = value($target, 'SELECT max(id) FROM made', 'super_running');
later_ids_ok('a crash after the restore', $mark, $made, next_id($target, 'super_running'));

stop_node($source);
stop_node($target);
done_testing();
