# pg_dump and restore take the mark and the generators along: as superuser and as a database owner
# who is none, in one step and schema and data apart, into another server whose clock is behind and
# into a database that makes ids meanwhile.
#
# pg_regress can't run pg_dump, nor is there a second server with another clock.

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

# What a database has that ids depend on.
my $inventory = <<'SQL';
SELECT string_agg(name || layout, ',' ORDER BY name COLLATE "C") FROM flake_generator
SQL

# Two databases of the same kind: a table with ids, a generator, privileges.  The superuser's and
# one whose owner made the extension.
my %owner = (super => '', kept => 'keeper');
my %last;

for my $database (sort keys %owner)
{
	my $user = $owner{$database};

	value($source, "CREATE DATABASE $database" . ($user eq '' ? '' : " OWNER $user"));
	runs("$database: the extension is made",
		'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', connection($source, $user, $database), '-c', <<'SQL');
CREATE EXTENSION flake;
SELECT flake_create_generator('orders', 'classic');
CREATE TABLE made (id bigint PRIMARY KEY DEFAULT flake_next_id(),
	other bigint DEFAULT flake_next_id('orders'));
INSERT INTO made SELECT FROM generate_series(1, 1000);
CREATE VIEW parsed AS
	SELECT flake_timestamp(id) AS made_at, flake_timestamp(other, 'classic') AS other_at FROM made;
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

# So do all ids, of every generator.
sub goes_on
{
	my ($name, $from, $to) = @_;

	is(value($target, $inventory, $to), value($source, $inventory, $from), "$name: generators");
	runs("$name: rows are added", 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1',
		connection($target, $owner{$from}, $to), '-c', 'INSERT INTO made SELECT FROM generate_series(1, 1000)');
	is(value($target, 'SELECT count(*), count(DISTINCT id), count(DISTINCT other) FROM made', $to),
		'2000|2000|2000', "$name: all ids differ");
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
	value($target, "DELETE FROM flake_generator", "${database}_running");
	runs("$database: the data", 'pg_restore', @restore,
		connection($target, $user, "${database}_running"), "$dir/$database.data");
	my $late = ask($session, NEXT_ID);
	cmp_ok($early, '<', $last{$database}, "$database: the running session's clock is behind");
	cmp_ok($late, '>', $last{$database}, "$database: its next id is later than what came in");
	goes_on("$database into a running database", $database, "${database}_running");
	$session->quit;
}

# Somebody else with the right to read can dump too.
value($source, 'GRANT SELECT ON made, parsed TO visitor', 'kept');
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
