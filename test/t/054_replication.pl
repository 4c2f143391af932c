# Logical replication of tables whose keys are flake's ids: what is published, how a copy of the
# schema goes on, and a subscriber without the extension.  Promise P1 between servers.

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = new_node('publisher', init => [ allows_streaming => 'logical' ]);
my $subscriber = new_node('subscriber', conf => "flake.node_id = 2\n", extension => 0);
my $plain = new_node('plain', extension => 0);
my $file = $publisher->basedir . '/schema.sql';

value($publisher, <<'SQL');
CREATE TABLE orders (
	id bigint PRIMARY KEY DEFAULT flake_next_id('wide'),
	line text UNIQUE DEFAULT flake_prefixed('L-', 0, 'base32'),
	made timestamptz GENERATED ALWAYS AS (flake_timestamp(id, 'wide')) STORED,
	CHECK (flake_node_id(id, 'wide') IN (1, 2)));
INSERT INTO orders (id) SELECT flake_next_ids(100, 'wide');
CREATE PUBLICATION everything FOR ALL TABLES;
SQL
is(value($publisher, 'SELECT tablename FROM pg_publication_tables'), 'orders',
	'nothing of the extension is published');

sub subscribe
{
	my ($node, $publication) = @_;

	# the server's name makes the slot's name another one for each
	value($node, "CREATE SUBSCRIPTION of_@{[ $node->name ]} CONNECTION '"
		  . $publisher->connstr
		  . " dbname=postgres' PUBLICATION $publication");
	$node->wait_for_subscription_sync($publisher, 'of_' . $node->name);
	return;
}

sub rows
{
	my ($node) = @_;

	return value($node, 'SELECT count(*), sum(id), min(id), max(line) FROM orders');
}

# A copy of the schema: extension, defaults, generated columns and checks, but no mark.
my ($code, undef, $errors) = run_program('pg_dump', '--schema-only', '--no-publications',
	'-f', $file, '-d', $publisher->connstr('postgres'));
is($code, 0, 'schema dumped') or diag($errors);
$subscriber->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file,
	'-d', $subscriber->connstr('postgres') ], 'and restored');
subscribe($subscriber, 'everything');
is(rows($subscriber), rows($publisher), 'the first copy brings the ids as they are');

value($plain, 'CREATE TABLE orders (id bigint PRIMARY KEY, line text, made timestamptz)');
subscribe($plain, 'everything');
is(value($plain, 'SELECT count(*), sum(id), min(id), max(line) FROM orders'), rows($publisher),
	'a server without the extension has them in plain columns');

# Both write.
for my $round (1 .. 3)
{
	value($_, 'INSERT INTO orders SELECT FROM generate_series(1, 100)') for $publisher, $subscriber;
}
$publisher->wait_for_catchup("of_$_") for qw(subscriber plain);
is(value($subscriber, <<'SQL'), "1|400\n2|300", 'both write, each under its own node id');
SELECT flake_node_id(id, 'wide') AS node, count(*) FROM orders GROUP BY node ORDER BY node
SQL
is(value($subscriber, <<'SQL'), '700|700|0', '... in one layout, no id and no text twice');
SELECT count(DISTINCT id), count(DISTINCT line),
	count(*) FILTER (WHERE made <> flake_timestamp(id, 'wide') OR made > clock_timestamp())
FROM orders
SQL
is(value($plain, 'SELECT count(*) FROM orders'), '400', 'the server without the extension has the rows');

# A row filter takes no functions but PostgreSQL's own; plain arithmetic does the same.
my ($state, $message) = sqlstate($publisher,
	q(CREATE PUBLICATION mine FOR TABLE orders WHERE (flake_node_id(id, 'wide') = 1)));
is($state, '0A000', 'a row filter with a reader is refused');
like($message, qr/^DETAIL:  .*functions are not allowed/m, '... as other functions are');
my $from = value($publisher, 'SELECT max(id) FROM orders');
value($publisher, "CREATE PUBLICATION later FOR TABLE orders WHERE (id > $from AND (id >> 16) & 63 = 1)");
value($plain, 'DROP SUBSCRIPTION of_plain; TRUNCATE orders');
subscribe($plain, 'later');
is(value($plain, 'SELECT count(*) FROM orders'), '0', 'a filter by a range of ids and the bits of the node');
value($publisher, 'INSERT INTO orders DEFAULT VALUES');
value($publisher, "INSERT INTO orders VALUES (flake_id_at('2090-01-01Z', 0, 2, 'wide'))");
$publisher->wait_for_catchup('of_plain');
is(value($plain, 'SELECT count(*) FROM orders'), '1', '... lets later ids of node 1 pass');

value($_, "DROP SUBSCRIPTION of_@{[ $_->name ]}") for $subscriber, $plain;
stop_node($_) for $subscriber, $plain, $publisher;
done_testing();
