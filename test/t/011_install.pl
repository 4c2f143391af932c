# Installing: by a database's owner who is no superuser, dumped and restored by the owner, and rights.
# (Where the objects are put is in sql/placement.sql.)

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('install', extension => 0);
my $dir = $node->basedir;

# --- trusted: the owner of a database is enough

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE owner LOGIN;
CREATE ROLE visitor LOGIN;
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
CREATE DATABASE owned OWNER owner;
CREATE DATABASE restored OWNER owner;
CREATE DATABASE foreign_to_them;
SQL

sub as
{
	my ($role, $sql, $database) = @_;

	return scalar sqlstate($node, "SET SESSION AUTHORIZATION $role;\n$sql", $database // 'owned');
}

is(as('visitor', 'CREATE EXTENSION flake'), '42501', 'a visitor can not install it');
is(as('owner', 'CREATE EXTENSION flake', 'foreign_to_them'), '42501', 'nor the owner of another database');
is(as('owner', 'CREATE EXTENSION flake'), '', 'the owner can');
for my $role (qw(owner visitor))
{
	is(as($role, q{SELECT flake_next_id(), flake_parse(flake_next_id('js')), flake_node()}), '', "$role: makes ids");
	is(as($role, 'SELECT flake_accept_clock()'), '42501', "$role: may not accept a clock");
	is(as($role, 'SELECT last_value FROM flake.mark'), '', "$role: sees the mark");
	is(as($role, 'CREATE TABLE flake.mine ()'), '42501', "$role: has no place in schema flake");
}
for my $report ('flake_check()', 'flake.layouts', 'flake.layout_states()', 'flake.mark_state()',
	q{flake.node_state('flake')}, 'flake.kernel_clock()', 'flake.id_columns()')
{
	is(as('visitor', "SELECT * FROM $report"), '42501', "a visitor does not see $report");
	is(as($_, "SELECT * FROM $report"), '', "$_: sees $report") for qw(owner monitor);
}
is(value($node, <<'SQL', 'owned'), '', 'a visitor may execute none of the functions in schema flake');
SELECT proname FROM pg_proc WHERE pronamespace = 'flake'::regnamespace AND has_function_privilege('visitor', oid, 'EXECUTE')
SQL
is(as('visitor', q{SELECT setval('flake.mark', 1)}), '42501', 'a visitor does not set the mark');
is(as('owner', q{SELECT setval('flake.mark', last_value) FROM flake.mark}), '', 'the owner can');
is(as('owner', <<'SQL'), '', 'the owner makes a table');
CREATE TABLE stored (id bigint PRIMARY KEY DEFAULT flake_next_id(), other bigint DEFAULT flake_next_id('classic'));
INSERT INTO stored SELECT FROM generate_series(1, 1000);
GRANT SELECT, INSERT ON stored TO visitor;
SQL
is(as('visitor', 'INSERT INTO stored DEFAULT VALUES'), '', 'a visitor fills it');

# --- dumped and restored by the owner, who owns less than a superuser

my @dump = ('-h', $node->host, '-p', $node->port, '-U', 'owner');
my ($code, $out, $err) = run_program('pg_dump', @dump, '-f', "$dir/dump.sql", 'owned');
is("$code $err", '0 ', 'the owner dumps');
($code, $out, $err) =
  run_program('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', @dump, '-f', "$dir/dump.sql", 'restored');
is("$code $err", '0 ', 'and restores');
is(value($node, 'SELECT count(*) FROM stored', 'restored'), 1001, 'the rows are there');
is( value($node, <<'SQL', 'restored'), 't|t', 'ids go on after the restored ones');
SELECT flake_next_id() > max(id), flake_next_id('classic') > max(other) FROM stored
SQL
is(as('owner', 'DROP EXTENSION flake CASCADE', 'restored'), '', 'the owner drops it');
is(as('owner', 'CREATE EXTENSION flake', 'restored'), '', '... and makes it again');

# --- dropped beneath open sessions, and made again

my $session = session($node, 'owned');
my $id = ask($session, 'SELECT flake_next_id()');
$node->safe_psql('owned', 'DROP EXTENSION flake CASCADE');
like((ask($session, 'SELECT flake_next_id()'))[1], qr/ERROR:  42883: /, 'dropped: the function is gone');
is(value($node, q{SELECT count(*) FROM pg_namespace WHERE nspname = 'flake'}, 'owned'), 0, '... and the schema');
$node->safe_psql('owned', 'CREATE EXTENSION flake');
cmp_ok(scalar ask($session, 'SELECT flake_next_id()'), '>', $id, 'made again: ids go on');
$session->quit;

$node->stop;
done_testing();
