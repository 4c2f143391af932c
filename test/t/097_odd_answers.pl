# A registry that answers in another way than it should: with a warning, with no row or several, with
# an error when the transaction commits, with the end of the connection.  None of that is a lease.
# And what the registry sees of who asks.
#
# Functions in SQL take the place of the registry's own and call them.
#
# check: one major

use strict;
use warnings FATAL => 'all';

use FlakeLease;
use FlakeTest;
use Test::More;

my $registry = new_registry('registry', 10, 19, conf => "listen_addresses = '127.0.0.1'\n");
my $node = new_holder('holder', [ connection($registry, host => '127.0.0.1', application_name => 'other') ]);

value($registry, <<'SQL', 'ids');
SET allow_system_table_mods = on;
UPDATE flake.node_registry SET max_lease = '4 s';
ALTER FUNCTION flake_lease_node RENAME TO true_lease_node;
ALTER FUNCTION flake_renew_node RENAME TO true_renew_node;
CREATE TABLE refused_at_commit (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED);
GRANT INSERT ON refused_at_commit TO ids;
INSERT INTO refused_at_commit VALUES (1);
CREATE TABLE seen (application_name text);
GRANT INSERT ON seen TO ids;
SQL

# The functions' bodies, of what is done before the true ones are called, and the rows that come.
sub answers
{
	my ($before, $lease, $renewal) = @_;

	$lease //= 'SELECT * FROM true_lease_node($1, $2, $3, $4)';
	$renewal //= 'SELECT true_renew_node($1, $2, $3, $4, $5)';
	value($registry, <<"SQL", 'ids');
SET allow_system_table_mods = on;
CREATE OR REPLACE FUNCTION pg_catalog.flake_lease_node(text, uuid, bigint, bigint,
	OUT node_id integer, OUT valid_from bigint, OUT valid_until bigint)
RETURNS SETOF record LANGUAGE plpgsql AS '
BEGIN
	$before
	RETURN QUERY $lease;
END';
CREATE OR REPLACE FUNCTION pg_catalog.flake_renew_node(integer, uuid, uuid, bigint, bigint)
RETURNS SETOF bigint LANGUAGE plpgsql AS '
BEGIN
	$before
	RETURN QUERY $renewal;
END';
SQL
	return;
}

# No id can be made, and why; then, with what the registry says as it should, ids are.
sub refused
{
	my ($name, $message, $says) = @_;
	my ($state, $text) = sqlstate($node, 'SELECT flake_next_id()');

	is($state, '55000', "$name: no ids") or die 'it counts';
	like($text, $message, '... message');
	like($text, $says, '... and more');
	is(value($node, 'SELECT count(*) FROM flake_node() WHERE lease_end > clock_timestamp()'), 0, '... and no lease');
	answers('');
	$node->poll_query_until('postgres', 'SELECT flake_next_id() > 0') or die 'no ids';
	return;
}

# Nothing of what it held is left, so that the next id needs a claim.
sub forget
{
	set_node_id($node, 7);
	value($node, 'SELECT flake_next_id()');
	set_node_id($node, 'lease');
	return;
}

answers(q{RAISE NOTICE ''well''; INSERT INTO public.seen VALUES (current_setting(''application_name''));});
cmp_ok(node_of($node), '>=', 10, 'a notice is none of it');
is(value($registry, 'SELECT DISTINCT application_name FROM seen', 'ids'), 'flake lease', 'the registry sees who asks');
is(value($registry, q{SELECT address FROM flake.nodes WHERE state = 'held'}, 'ids'), '127.0.0.1', '... and from where');
$registry->poll_query_until('ids', q{SELECT count(*) > 1 FROM seen}) or die 'no renewal';
is(value($registry, q{SELECT address FROM flake.nodes WHERE state = 'held'}, 'ids'), '127.0.0.1', '... when it is renewed, too');
my $away = qr/could not reach the registry of node ids/;
for my $case (
	[ 'a warning', q{RAISE WARNING ''not replicated'';}, undef, undef,
		qr/leases no node id/, qr/The registry says: not replicated/ ],
	[ 'no row', '', 'SELECT 1, 2::bigint, 3::bigint WHERE false', 'SELECT 1::bigint WHERE false', $away, qr/Every connection has been lost to/ ],
	[ 'two rows', '', 'SELECT l.* FROM true_lease_node($1, $2, $3, $4) AS l, generate_series(1, 2)',
		'SELECT true_renew_node($1, $2, $3, $4, $5) FROM generate_series(1, 2)', $away, qr/Every connection has been lost to/ ],
	[ 'an error at the commit', 'INSERT INTO public.refused_at_commit VALUES (1);', undef, undef,
		qr/leases no node id/, qr/The registry says: duplicate key value/ ],
	# what is called besides does not commit before it says that it is done
	[ 'an error after the row', 'INSERT INTO public.refused_at_commit VALUES (1);', 'SELECT 5, $3, $4', 'SELECT $5',
		qr/leases no node id/, qr/The registry says: duplicate key value/ ],
	[ 'the end of the connection', 'PERFORM pg_terminate_backend(pg_backend_pid());', undef, undef, $away, qr/Every connection has been lost to/ ])
{
	my ($name, $before, $lease, $renewal, $message, $says) = @$case;

	# a claim
	forget();
	answers($before, $lease, $renewal);
	refused("$name for a claim", $message, $says);

	# renewals, when the lease that there is has ended
	answers($before, $lease, $renewal);
	$node->poll_query_until('postgres', 'SELECT lease_end IS NULL OR lease_end < clock_timestamp() FROM flake_node()') or die 'renewed';
	refused("$name for renewals", $message, $says);
}

is( value($node, 'SELECT DISTINCT l.node_id = n.node_id, l.lease_end IS NULL FROM flake.layouts AS l, flake_node() AS n ORDER BY 1'),
	"f|t\nt|f", 'flake.layouts tells the end of the lease for the node id that is leased now only');

stop_node($node);
stop_node($registry);
done_testing();
