# What a server that leases its node id does when there is no lease to be had: each cause is an error
# of its own, which names no secret and none of the network's words; ids go on to the end of the
# lease; the first ids come as soon as a registry answers; and a stop waits for no registry.

use strict;
use warnings FATAL => 'all';

use FlakeLease;
use FlakeTest;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

my $registry = new_registry('registry', 0, 9, conf => "listen_addresses = '127.0.0.1'\n");
my $other = new_registry('other', 9, 12, clock => 1);
my $node = new_holder('holder', [], clock => 1);
my $passfile = $node->basedir . '/passfile';

# Ids are refused so: SQLSTATE, message, and what the detail or hint says.
sub refuses
{
	my ($name, $state, $message, $says) = @_;
	my ($found, $text) = sqlstate($node, 'SELECT flake_next_id()');

	is($found, $state, "$name: SQLSTATE");
	like($text, $message, '... message');
	like($text, $says, '... and more') if defined $says;
	unlike($text, qr/secret|FATAL|psql: error/, '... but no secret and no words of libpq');
	is(value($node, "SELECT count(*) > 0 FROM flake_check() WHERE severity = 'error' AND what ~ '" . ($message =~ s/^\(\?\^[a-z]*:(.*)\)$/$1/r) . "'"),
		't', '... as flake_check() says');
	return $text;
}

# The same, with that in flake.registry.
sub refuses_registry
{
	my ($name, $setting, @expected) = @_;

	set_and_reload($node, 'flake.registry', $setting);
	return refuses($name, @expected);
}

# The settings.
refuses('nothing set', 'F0000', qr/"flake.registry" is not set/, qr/HINT:  Set "flake.registry"/);
for my $bad (
	[ 'a password', connection($registry) . ' password=secret', qr/must not contain a password or another secret/ ],
	[ 'a quoted one', connection($registry) . " sslpassword = ''secret''", qr/must not contain a password or another secret/ ],
	[ 'a URI', 'postgresql://ids:secret@localhost/ids', qr/must consist of pairs/ ],
	[ 'half a pair', 'host', qr/must consist of pairs/ ],
	[ 'an open quote', "dbname = ''ids", qr/has no end/ ])
{
	my ($name, $setting, $says) = @$bad;
	my ($state, $text) = sqlstate($node, "LOAD 'flake'; ALTER SYSTEM SET flake.registry = '$setting'");

	is($state, '22023', "$name in the setting is refused");
	like($text, $says, '... and why');
	unlike($text =~ s/^STATEMENT.*//mr, qr/secret@|=secret|''secret/, '... without it') if $name ne 'half a pair';
}
is(value($node, q{SELECT 1; CREATE ROLE somebody LOGIN}), 1, 'a role without rights');
is((sqlstate($node, "SET ROLE somebody; SELECT flake_node() IS NULL; SHOW flake.registry"))[0], '42501', '... does not see the settings');
refuses_registry('a keyword that libpq does not know', 'hots=x', 'F0000', qr/invalid connection string in "flake.registry"/);

# Connecting.
refuses_registry('nobody listens', connection($registry, port => 1), '55000', qr/could not reach the registry of node ids/, qr/There has been no connection to the registry of "flake.registry" since/);
like(value($node, 'SELECT connection_error FROM flake.lease_state()'), qr/connection to server/, 'the network\'s words are in the report');
# One that swallows packets: its queue is full.  (While libpq waits for it, no session has an answer.)
my $hole = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "cannot listen: $!";
my @queue = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $hole->sockport, Blocking => 0) } 1 .. 8;
refuses_registry('a host that swallows packets', connection($registry, host => '127.0.0.1', port => $hole->sockport),
	'55000', qr/could not reach the registry of node ids/, qr/There has been no connection to the registry of "flake.registry" since/);
refuses_registry('no such role', connection($registry, user => 'no_one'), '28000', qr/does not admit this server/, qr/pg_hba\.conf/);
value($registry, "CREATE ROLE walker LOGIN PASSWORD 'secret'; CREATE ROLE stranger LOGIN", 'ids');
my $hba = slurp_file($registry->data_dir . '/pg_hba.conf');
unlink $registry->data_dir . '/pg_hba.conf';
append_to_file($registry->data_dir . '/pg_hba.conf', "local all walker scram-sha-256\nlocal all stranger reject\n$hba");
$registry->reload;
$registry->poll_query_until('postgres', 'SELECT pg_conf_load_time() > now() - interval \'1 hour\' AND count(*) > 0 FROM pg_hba_file_rules WHERE auth_method = \'reject\'') or die;
refuses_registry('pg_hba.conf refuses', connection($registry, user => 'stranger'), '28000', qr/does not admit this server/);
refuses_registry('no password', connection($registry, user => 'walker', passfile => '/nowhere'), '28P01', qr/does not accept the password/, qr/password file/);
append_to_file($passfile, "*:*:*:*:wrong_secret\n");
chmod 0600, $passfile;
refuses_registry('a wrong password', connection($registry, user => 'walker', passfile => $passfile), '28P01', qr/does not accept the password/);
refuses_registry('no such database', connection($registry, dbname => 'nothing'), '3D000', qr/database of "flake.registry" does not exist/);
refuses_registry('no SSL', connection($registry, host => '127.0.0.1', sslmode => 'require'), '55000', qr/could not reach the registry of node ids/, qr/SSL or a certificate/);

# What is there.
refuses_registry('no extension', connection($registry, dbname => 'postgres'), '42883', qr/has no registry of node ids/, qr/CREATE EXTENSION flake_registry/);
value($registry, 'CREATE DATABASE copy TEMPLATE ids');
refuses_registry('a copy of the database', connection($registry, dbname => 'copy'), '55000', qr/leases no node id/, qr/is not accepted/);
value($registry, "UPDATE pg_extension SET extversion = '0.1' WHERE extname = 'flake_registry'", 'copy');
refuses_registry('another version', connection($registry, dbname => 'copy', keepalives => 1), '55000', qr/has another version/, qr/It has version 0\.1, and this server 1\.0/);
value($registry, 'DROP DATABASE copy; CREATE ROLE guest LOGIN');
refuses_registry('no right', connection($registry, user => 'guest'), '42501', qr/does not let this server lease/, qr/GRANT EXECUTE/);
value($node, 'CREATE EXTENSION flake_registry');
refuses_registry('its own registry', connection($node, dbname => 'postgres', user => value($node, 'SELECT current_user')),
	'F0000', qr/is on this server or on a copy of it/, qr/flake_reserve_node/);
value($node, 'DROP EXTENSION flake_registry');
value($node, "LOAD 'flake'; ALTER SYSTEM SET flake.registry_2 = '" . connection($other) . "'");
refuses_registry('two registries with a node id in common', connection($registry), 'F0000', qr/two registries have the same node ids/, qr/Both have node id 9/);
is(held($_), '', 'nothing was leased from ' . $_->name) for $registry, $other;
value($node, "LOAD 'flake'; ALTER SYSTEM SET flake.registry_2 = ''");
set_and_reload($node, 'flake.registry', '');

# Clocks, both of which the error names.
set_clock($other, -7200);
refuses_registry('a clock that is wrong', connection($other), '55000', qr/leases no node id/, qr/clock is 7\d\d\d(\.\d+)? seconds ahead of the registry/);

# All taken, and free again.
refuses_registry('nothing set again', '', 'F0000', qr/"flake.registry" is not set/);
set_clock($other, 0);
value($other, 'SELECT flake_reserve_node(n) FROM generate_series(9, 12) AS n', 'ids');
set_and_reload($node, 'flake.registry', connection($other) . ' connect_timeout=9');
refuses('no number is left', '53400', qr/leases no node id/, qr/The registry says: /);
value($other, 'SELECT flake_create_nodes(20, 20, never_used => true)', 'ids');
$node->poll_query_until('postgres', 'SELECT flake_node_id(flake_next_id()) = 20') or die 'no recovery';
pass('a number that comes is taken');

# Away: ids go on to the lease's end, by the clock of this server.
my $end = value($node, 'SELECT extract(epoch FROM lease_end)::bigint FROM flake_node()');
stop_node($other);
set_clock($node, $end - time - 2);
is(node_of($node), 20, 'ids go on while the registry is away');
set_clock($node, $end - time + 3600 + 1);
my $text = refuses('after its end', '55000', qr/could not reach the registry of node ids/, qr/The lease of node id 20 ended at/);
like($text, qr/There has been no connection to the registry of "flake\.registry" since/, '... since when');
my $session = session($node);
is(() = join('', map { (ask($session, 'SELECT flake_next_id()'))[1] } 1 .. 20) =~ /55000/g, 20, 'and so 20 times, at once');
$session->quit;
set_clock($node, $end - time + 5);
start_node($other);
$node->poll_query_until('postgres', 'SELECT flake_next_id() > 0') or die 'no ids';
pass('when it is back, so are ids');
$node->poll_query_until('postgres', 'SELECT problem IS NULL AND NOT late FROM flake.lease_state()') or die;
pass('... and nothing is wrong any more');

# The second registry takes over.  Who has only one is warned in time.
my $two = new_registry('two', 30, 35);
value($other, 'SELECT flake_create_nodes(21, 22, never_used => true)', 'ids');
my $late = new_holder('late', $other);
my $taker = new_holder('taker', [ connection($other), connection($two) ], clock => 1);
cmp_ok(node_of($_), '<', 30, $_->name . ': leases from the first registry') for $late, $taker;
stop_node($other);
cmp_ok(node_of($taker), '<', 30, 'the lease of the first registry is used to its end');
set_clock($taker, 40);
$taker->poll_query_until('postgres', 'SELECT flake_node_id(flake_next_id()) >= 30') or die 'not taken over';
is(held($two, 'taker'), node_of($taker), 'then the second registry has leased one');
$late->poll_query_until('postgres',
	"SELECT EXISTS (SELECT FROM flake_check() WHERE what LIKE 'the lease of node id % has not been renewed since %')")
  or die 'no warning';
pass('flake_check() warns when two thirds of a lease are over');
stop_node($taker);
stop_node($late);

# A host that swallows packets leaves time for the next one; and the release goes where the claim went.
SKIP:
{
	skip 'no TCP_USER_TIMEOUT', 2 if $^O ne 'linux';
	my $hosts = new_holder('hosts', [ connection($registry, host => '127.0.0.1,127.0.0.1', port => $hole->sockport . ',' . $registry->port) ]);

	is(value($hosts, 'SELECT flake_next_id() > 0'), 't', 'the second of two hosts is asked if the first swallows packets');
	stop_node($hosts);
	is(held($registry, 'hosts'), '', '... and at a stop at once');
}

# A registry that does not answer holds up neither a statement that is cancelled nor a stop.
my ($postmaster) = split /\n/, slurp_file($two->data_dir . '/postmaster.pid');
my $hung = new_holder('hung', $two);
kill 'STOP', $postmaster;
$session = session($hung);
ask_later($session, "SET statement_timeout = '100ms'; SELECT flake_next_id()");
like((answer($session))[1], qr/57014/, 'a statement that waits for a lease can be cancelled');
$session->quit;
stop_node($hung);
pass('a server that asks stops while the registry hangs');
stop_node($node);
pass('and one that holds a lease does');
kill 'CONT', $postmaster;

stop_node($_) for $two, $registry;
done_testing();
