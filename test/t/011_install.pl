# Installing: by a database's owner who is no superuser, into a schema of one's own, moved to
# another while sessions use it, dumped and restored by the owner.
#
# pg_regress is a superuser, has one session, and no pg_dump.

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
CREATE DATABASE owned OWNER owner;
CREATE DATABASE restored OWNER owner;
CREATE DATABASE foreign_to_them;
SQL

sub as
{
	my ($role, $sql, $database) = @_;

	return sqlstate($node, "SET SESSION AUTHORIZATION $role;\n$sql", $database // 'owned');
}

is((as('visitor', 'CREATE EXTENSION flake'))[0], '42501', 'a visitor can not install it');
is((as('owner', 'CREATE EXTENSION flake', 'foreign_to_them'))[0], '42501', "nor the owner of another database");
is((as('owner', 'CREATE EXTENSION flake'))[0], '', 'the owner can');
for my $role (qw(owner visitor))
{
	is((as($role, 'SELECT flake_next_id(), flake_parse(flake_next_id()), flake_node()'))[0], '',
		"$role: makes ids");
	is((as($role, "SELECT setval('flake_mark', 1)"))[0], '42501', "$role: the mark")
	  if $role eq 'visitor';
	is((as($role, "SELECT $_()"))[0], '42501', "$role: may not call $_()")
	  for qw(flake_accept_clock flake_reset_clock);
}
is((as('visitor', "SELECT flake_create_generator('mine', 'classic')"))[0], '42501',
	'a visitor can not make a generator');
is((as('owner', <<'SQL'))[0], '', 'the owner can make a generator and a table');
SELECT flake_create_generator('mine', 'classic');
CREATE TABLE stored (id bigint PRIMARY KEY DEFAULT flake_next_id(), other bigint DEFAULT flake_next_id('mine'));
INSERT INTO stored SELECT FROM generate_series(1, 1000);
GRANT SELECT, INSERT ON stored TO visitor;
SQL
is((as('visitor', 'INSERT INTO stored DEFAULT VALUES'))[0], '', 'a visitor fills it');

# --- dumped and restored by the owner, who owns less than a superuser

my @dump = ('-h', $node->host, '-p', $node->port, '-U', 'owner');
my ($code, $out, $err) = run_program('pg_dump', @dump, '-f', "$dir/dump.sql", 'owned');
is("$code $err", '0 ', 'the owner dumps');
($code, $out, $err) =
  run_program('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', @dump, '-f', "$dir/dump.sql", 'restored');
is("$code $err", '0 ', 'and restores');
is(value($node, 'SELECT count(*) FROM stored', 'restored'), 1001, 'the rows are there');
is(value($node, q{SELECT flake_generator_layout('mine') = 'classic'::flake_layout}, 'restored'), 't',
	'and the generator');
is( value($node, <<'SQL', 'restored'), 't|t', 'ids go on after the restored ones');
SELECT flake_next_id() > max(id), flake_next_id('mine') > max(other) FROM stored
SQL
is((as('owner', 'DROP EXTENSION flake CASCADE'))[0], '', 'the owner drops it');

# --- in a schema that nobody searches

$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA first;
CREATE SCHEMA "Second one";
CREATE EXTENSION flake SCHEMA first;
CREATE TABLE kept (id bigint PRIMARY KEY DEFAULT first.flake_next_id(), text text DEFAULT first.flake_prefixed('K-'));
CREATE VIEW both_kinds AS SELECT first.flake_next_id() AS id, first.flake_next_id('g') AS named;
SELECT first.flake_create_generator('g', 'time:41 node:8 slot:6 sequence:8 tick=2ms');
SQL
is(value($node, 'SELECT first.flake_next_id() > 0, first.flake_next_id(\'g\') > 0'), 't|t', 'in a schema of its own');
is((sqlstate($node, 'SELECT flake_next_id()'))[0], '42883', 'where it must be named');

# --- moved under open sessions

# Ids by a view, which keeps the functions whatever they are called, by name, and by a default.
sub take_all
{
	my ($session, $schema, $name) = @_;
	my ($ids, $error) = ask($session, 'SELECT id, named FROM both_kinds');

	is($error, '', "$name: a view");
	is((ask($session, $_))[1], '', "$name: $_")
	  for 'INSERT INTO kept DEFAULT VALUES', "SELECT $schema.flake_next_id(), $schema.flake_next_id('g')";
	return split /\|/, $ids;
}

my @session = map { session($node) } 1, 2;
my @id;

for my $session (@session)
{
	ask($session, 'BEGIN') if $session == $session[1];    # which must not hold it up
	push @id, take_all($session, 'first', 'before the move');
	ask($session, 'COMMIT');
}

for my $schema ('"Second one"', 'first', '"Second one"')
{
	$node->safe_psql('postgres', "ALTER EXTENSION flake SET SCHEMA $schema");
	push @id, take_all($_, $schema, "in schema $schema") for @session;
}
my %seen;
is(scalar(grep { $seen{$_}++ } @id), 0, 'ids from before and after the moves are distinct');
is(value($node, 'SELECT count(*), count(DISTINCT id), count(DISTINCT text) FROM kept'), '8|8|8', 'and those in the table');

# dropped beneath a session, and made elsewhere
$node->safe_psql('postgres', 'DROP EXTENSION flake CASCADE; CREATE EXTENSION flake SCHEMA public');
for my $session (@session)
{
	is((ask($session, 'SELECT flake_next_id()'))[1], '', 'made again in another schema');
	like((ask($session, q{SELECT flake_next_id('g')}))[1], qr/42704: /, 'the generator went with it');
	$session->quit;
}

$node->stop;
done_testing();
