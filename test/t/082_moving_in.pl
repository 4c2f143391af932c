# The recipes of doc/moving-in.md beside sessions that go on writing: none of these meets an error,
# and what they write arrives in the new columns.  080_pages.pl runs the page without them.

use strict;
use warnings FATAL => 'all';

use FindBin;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

# The recipes' lock_timeout is below it, also when the machine stands still for a while.
my $node = new_node('moving', extension => 0,
	conf => "timezone = 'UTC'\ndeadlock_timeout = 60s\n");
my $page = slurp_file("$FindBin::RealBin/../../doc/moving-in.md");

# The statements of a section: an example in each block.
sub examples
{
	my ($title) = @_;
	my ($section) = $page =~ /^## \Q$title\E\n(.*?)(?=^## |\z)/ms or die "no section $title";

	return $section =~ /^```sql\n(.*?)^```$/msg;
}

# Runs an example until it does not give way to others any more.
sub run_example
{
	my ($database, $sql) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	my ($status, $out, $err);

	do
	{
		($status, $out, $err) = $node->psql($database, $sql);
	} while ($status != 0 && $err =~ /lock timeout/ && time < $end);
	return $status == 0 ? '' : $err;
}

# move(TITLE, STEPS, PATTERN, LOAD): runs a section whose tables are made by the example that
# matches, under a load.
sub move
{
	my ($title, $made, $load) = @_;
	my $database = lc($title =~ s/\W+/_/gr);
	my @example = examples($title);
	my @job;

	value($node, qq(CREATE DATABASE "$database"));
	value($node, 'CREATE EXTENSION flake', $database);
	for my $n (1 .. @example)
	{
		my $example = $example[ $n - 1 ];

		is(run_example($database, $example), '', "$title: example $n");
		if ($example =~ $made)
		{
			@job = start_load($node,
				map { { file => $node->basedir . "/$database.$_", database => $database, sql => $load } } 1 .. 3);
		}
		load_goes_on(5, @job) if @job;
	}
	is(stop_load(@job), '', "$title: nobody met an error");
	return ($database, count_lines(map { $_->{file} } @job));
}

# An account with a payment, and another payment to an account that is there.
my ($database, $written) = move('Keys of type integer', qr/CREATE TABLE accounts/, <<'SQL');
WITH new AS (INSERT INTO accounts (owner) VALUES ('new') RETURNING id)
INSERT INTO payments (account_id, amount) SELECT id, 2 FROM new RETURNING account_id;
INSERT INTO payments (account_id, amount) SELECT id, 3 FROM accounts WHERE owner = 'new' LIMIT 1 RETURNING account_id;
UPDATE payments SET amount = amount + 1 WHERE id = (SELECT min(id) + pg_backend_pid() % 1000 FROM payments);
SQL

is(value($node, <<'SQL', $database), "$written", 'all payments of the load are with their accounts');
SELECT count(*) FROM payments JOIN accounts ON accounts.id = account_id WHERE owner = 'new'
SQL
is(value($node, <<'SQL', $database), '25000', '... and those from before');
SELECT count(*) FROM payments JOIN accounts ON accounts.id = account_id WHERE owner = 'old' AND accounts.id <= 25000
SQL
is(value($node, <<'SQL', $database), 't|t|t', 'accounts of both kinds, and no other');
SELECT bool_or(id < 1000000), bool_or(id > flake_min_id(now() - interval '1 hour')),
	bool_and(id < 1000000 OR id > flake_min_id(now() - interval '1 hour')) FROM accounts WHERE owner = 'new'
SQL

($database, $written) = move('UUIDs', qr/CREATE TABLE documents \(/, <<'SQL');
WITH new AS (INSERT INTO documents (title) VALUES ('new') RETURNING id)
INSERT INTO pages (document_id, body) SELECT id, 'a' FROM new RETURNING document_id;
INSERT INTO pages (document_id, body) SELECT id, 'b' FROM documents WHERE title = 'old' LIMIT 1 RETURNING document_id;
UPDATE pages SET body = body || '.' WHERE id = (SELECT min(id) + pg_backend_pid() % 1000 FROM pages);
SQL

is(value($node, <<'SQL', $database), 15000 + $written, 'all pages are with their documents');
SELECT count(*) FROM pages JOIN documents ON documents.id = document_id
SQL
is(value($node, <<'SQL', $database), 't', 'documents have the times of their rows, to the minute');
SELECT bool_and(abs(extract(epoch FROM created - flake_timestamp(id, 'time:42 node:8 slot:5 sequence:8 epoch=2019-01-01'))) < 60)
FROM documents
SQL

stop_node($node);
done_testing();
