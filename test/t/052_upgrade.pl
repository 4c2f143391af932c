# pg_upgrade takes the mark along, and tables that read ids; and a registry of node ids, which is on
# another server then and says so.
#
# From an older major where the environment says where one is installed, with flake, as test/upgrade
# does: FLAKE_UPGRADE_FROM=/usr/lib/postgresql/15/bin.  Else from the same one, which shows that the
# extension's objects can be made one by one.

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();
my @install;
push @install, install_path => $ENV{FLAKE_UPGRADE_FROM} =~ s{/bin/*$}{}r
  if defined $ENV{FLAKE_UPGRADE_FROM};

# Their defaults are not the same in all majors.
my @init = ('--data-checksums', '--locale=C', '--encoding=UTF8');

my $old = PostgreSQL::Test::Cluster->new('old', @install);
$old->init(extra => \@init);
$old->append_conf('postgresql.conf', "flake.node_id = 1\nautovacuum = off");
$old->start;
for my $database (qw(template1 postgres))
{
	value($old, <<'SQL', $database);
CREATE EXTENSION flake;
CREATE TABLE made (id bigint PRIMARY KEY DEFAULT flake_next_id(),
	other bigint UNIQUE DEFAULT flake_next_id('classic'),
	made_at timestamptz GENERATED ALWAYS AS (flake_timestamp(id)) STORED,
	CHECK (flake_node_id(other, 'classic') = 1));
CREATE INDEX ON made (flake_node_id(id));
INSERT INTO made SELECT FROM generate_series(1, 1000);
SQL
}
value($old, 'CREATE DATABASE ids');
value($old, <<'SQL', 'ids');
CREATE EXTENSION flake_registry CASCADE;
SELECT flake_create_nodes(1, 2, never_used => true);
UPDATE flake.node_registry SET fsync_off = true;
SELECT flake_lease_node('h', '00000000-0000-4000-8000-000000000001', now, now + 3600000000)
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS c;
SQL
my %last = map { $_ => value($old, 'SELECT max(id) FROM made', $_) } qw(template1 postgres);
my %mark = map { $_ => mark_us($old, $_) } qw(template1 postgres);
$old->stop;

my $new = new_node('new', clock => 1, start => 0, init => [ extra => \@init ],
	conf => 'flake.max_clock_lead = 1min');
chdir $new->basedir or die $new->basedir . ": $!";
my ($code, $out, $err) = run_program('pg_upgrade',
	'-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'), '-d', $old->data_dir, '-D', $new->data_dir,
	'-p', $old->port, '-P', $new->port, '-s', $new->host);
if ($code != 0)
{
	# Some minors can't upgrade from each other at all: is it flake?
	my $plain_old = PostgreSQL::Test::Cluster->new('plain_old', @install);
	$plain_old->init(extra => \@init);
	$plain_old->start;
	value($plain_old, 'CREATE TABLE t (a int)');
	$plain_old->stop;
	my $plain_new = new_node('plain_new', start => 0, init => [ extra => \@init ]);
	my ($plain_code) = run_program('pg_upgrade',
		'-b', $old->config_data('--bindir'), '-B', $plain_new->config_data('--bindir'), '-d', $plain_old->data_dir,
		'-D', $plain_new->data_dir, '-p', $plain_old->port, '-P', $plain_new->port, '-s', $plain_new->host);
	plan skip_all => 'these two minors cannot upgrade a cluster without flake either' if $plain_code != 0;
}
is($code, 0, 'pg_upgrade') or diag $out, $err;

set_clock($new, -10);
start_node($new);
for my $database (qw(template1 postgres))
{
	is(mark_us($new, $database), $mark{$database}, "$database: the mark is there");
	later_ids_ok($database, $mark{$database}, $last{$database}, next_id($new, $database));
	is(value($new, <<'SQL', $database), '2000|2000', "$database: so are ids and what reads them");
INSERT INTO made SELECT FROM generate_series(1, 1000);
SET enable_seqscan = off;
SELECT count(*), count(made_at) FROM made WHERE flake_node_id(id) = 1
SQL
	is(value($new, q{SELECT what FROM flake_check() WHERE severity = 'error'}, $database), '',
		"$database: nothing is wrong");
}

my $renew = <<'SQL';
SELECT flake_renew_node(1, '00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002', now, now + 60000000) > now
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS c
SQL
my ($state, $message) = sqlstate($new, $renew, 'ids');
is($state, '55000', 'the registry does not answer');
like($message, qr/DETAIL:  The system identifier is \d+, and was \d+/, '... and says why');
value($new, 'SELECT flake_accept_registry()', 'ids');
is(value($new, $renew, 'ids'), 't', 'once accepted, it knows its leases');
is(sqlstate($new, 'DELETE FROM flake.node', 'ids'), '55000', '... and its tables are guarded');
is(value($new, q{SELECT what FROM flake_check() WHERE what LIKE '%trigger%'}, 'ids'), '', '... by all triggers');

stop_node($new);
done_testing();
