# The durable mark: what is written, when, and how often; and that no id is made past it, with
# sessions that wait for it, are cancelled or terminated meanwhile.  Promises P1 and P4
# (src/core/mark.c, src/server/durable.c).

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

random_seed();
my $node = new_node('mark', conf => 'log_lock_waits = off');
my $dir = $node->basedir;

# Only the mark's WAL, and it is a whole page each time, no transaction id taken.
my $session = session($node);
ask($session, NEXT_ID);
my $from = wal_position($node);
my $began = clock_gettime(CLOCK_MONOTONIC);
my $xid = ask($session, <<'SQL');
BEGIN READ ONLY;
SELECT count(flake_next_id()) FROM generate_series(1, 1000000);
SELECT pg_current_xact_id_if_assigned() IS NULL;
COMMIT;
SQL
my $took = clock_gettime(CLOCK_MONOTONIC) - $began;
is($xid, "1000000\nt", 'a million ids in a read-only transaction, without a transaction id');
cmp_ok(scalar mark_records($node, $from, wal_position($node)), '<=', 2 * $took + 2,
	'they move the mark twice per second at most');

# Under the load of several sessions as well, for as long as it takes to see five moves.  Whatever
# id is out is covered by the mark read after it.
my @load = start_endless($node, map { { file => "$dir/load$_", sql => $_ % 2 ? IDS : NEXT_ID } } 1 .. 4);
my ($moves, $past, $mark) = (0, 0, mark_us($node));
$from = wal_position($node);
$began = clock_gettime(CLOCK_MONOTONIC);
wait_until(
	'the mark moves five times',
	sub {
		my $last = last_id(map { $_->{file} } @load);
		my $now = mark_us($node);

		$past++ if id_us($last) > $now;
		$moves++ if $now != $mark;
		$mark = $now;
		return $moves >= 5;
	});
my @record = mark_records($node, $from, wal_position($node));
$took = clock_gettime(CLOCK_MONOTONIC) - $began;
is($past, 0, 'no id is past the mark');
cmp_ok(scalar @record, '<=', 2 * $took + 2, 'two moves per second at most, of all sessions together')
  or diag sprintf '%d in %.1f s', scalar @record, $took;
is_deeply([ grep { !/\bFPW\b/ } @record ], [], 'each is a full page');

# A session cannot get at the mark: all go on to where it stands, and wait there.  Meanwhile one is
# cancelled, another terminated; then the rest go on as if nothing had been.
my ($cancelled, $terminated) = map { session($node) } 1 .. 2;
my @pid = map { scalar ask($_, 'SELECT pg_backend_pid()') } $cancelled, $terminated;
my $holder = session($node);
ask($holder, 'BEGIN; ALTER SEQUENCE flake.mark CACHE 1');
$mark = mark_us($node);
ask_later($_, ENDLESS)
  for $cancelled, $terminated;
ok( $node->poll_query_until('postgres', <<'SQL', 6),
SELECT count(*) FROM pg_locks WHERE relation = 'flake.mark'::regclass AND NOT granted
SQL
	'all sessions wait for the mark');
$past = value($node, <<'SQL');
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'LWLock'
SQL
is($past, 0, 'none waits with a lock in hand that others need');
# what was made is what the clients have, but for the last statement of each
is(mark_us($node), $mark, 'the mark stands');
cmp_ok(id_us(last_id(map { $_->{file} } @load)), '<=', $mark, 'no id is past it');

value($node, "SELECT pg_cancel_backend($pid[0])");
like((answer($cancelled))[1], qr/ERROR:  57014: canceling statement due to user request/,
	'who waits for it can be cancelled');
value($node, "SELECT pg_terminate_backend($pid[1], 30000)");
# PostgreSQL 15 may add that the server closed the connection
like((answer($terminated))[1], qr/FATAL:  57P01: terminating connection/, '... and terminated');
my %length = map { $_->{file} => -s $_->{file} } @load;
ask($holder, 'ROLLBACK');
wait_until('sessions go on', sub { !grep { -s $_->{file} == $length{ $_->{file} } } @load });
ok(1, 'when the lock is released all go on');
like(ask($cancelled, NEXT_ID), qr/^\d+$/, 'so does the cancelled one');

# Cancelled at any moment, at the mark too, while others go on.  That the mark still moves twice per
# second's time shows that nobody took something along.
my @victim = map { session($node) } 1 .. 2;
my ($cut, $whole) = (0, 0);
($moves, $mark) = (0, mark_us($node));
wait_until(
	'the mark moves four times',
	sub {
		ask_later($_, 'SET statement_timeout = ' . (1 + int rand 60) . '; ' . ENDLESS) for @victim;
		(answer($_))[1] =~ /ERROR:  57014:/ ? $cut++ : $whole++ for @victim;
		my $now = mark_us($node);
		$moves++ if $now != $mark;
		$mark = $now;
		return $moves >= 4;
	});
is($whole, 0, "$cut statements cut off at any moment, while the mark moves on");
like(ask($_, "SET statement_timeout = 0; @{[ NEXT_ID ]}"), qr/^\d+$/, 'the session goes on')
  for @victim;

# Without ids there is no WAL for the mark.
end_load($node);
end_endless(@load);
$from = wal_position($node);
$mark = mark_us($node);
$node->poll_query_until('postgres', "SELECT extract(epoch FROM clock_timestamp()) * 1e6 > $mark");
is_deeply([ mark_records($node, $from, wal_position($node)) ], [], 'no ids, no move of the mark');
is(mark_us($node), $mark, 'the mark stands');

is(ids_problem(map { $_->{file} } @load), '', 'ids are distinct and each session has its in order');
unlink map { $_->{file} } @load;

# An open transaction that took ids holds no lock of the extension's: an ALTER EXTENSION does not
# wait for it, and if it did, would stop nobody.
ask($session, "BEGIN; SELECT flake_next_id(), flake_next_id('classic')");
is(value($node, q{SELECT count(*) FROM pg_locks WHERE relation = 'flake.mark'::regclass}),
	0, 'ids leave no lock until the end of the transaction');
is( sqlstate($node, q{SET lock_timeout = '30s'; ALTER SEQUENCE flake.mark CACHE 1}),
	'', 'ALTER SEQUENCE does not wait behind it');
is( sqlstate($node, q{SET lock_timeout = '30s'; BEGIN; DROP EXTENSION flake; ROLLBACK}),
	'', 'nor does DROP EXTENSION');
like(ask($session, NEXT_ID), qr/^\d+$/, 'it goes on');

$_->quit for $session, $holder, $cancelled, @victim;
$node->stop;
done_testing();
