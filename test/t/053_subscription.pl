# Since PostgreSQL 19 a subscription can bring the values of all sequences, the mark's too.  Ids go
# on after a later one; an earlier one is replaced.

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

my $publisher = new_node('publisher', clock => 1, init => [ allows_streaming => 'logical' ]);
if ($publisher->safe_psql('postgres', 'SHOW server_version_num') < 190000)
{
	stop_node($publisher);
	plan skip_all => 'no subscriptions to sequences before PostgreSQL 19';
}
my $subscriber = new_node('subscriber', clock => 1, init => [ allows_streaming => 'logical' ],
	conf => "flake.node_id = 2\nflake.max_clock_lead = 1min\nwal_writer_delay = 10s");

# The publisher's clock is ahead.
set_clock($publisher, 20);
my $theirs = next_id($publisher);
my $session = session($subscriber);
my $ours = ask($session, NEXT_ID);
cmp_ok($ours, '<', $theirs, 'the publisher is ahead');
value($publisher, 'CREATE PUBLICATION everything FOR ALL SEQUENCES');
my $connection = $publisher->connstr . ' dbname=postgres';
value($subscriber, "CREATE SUBSCRIPTION everything CONNECTION '$connection' PUBLICATION everything");

# Brings the publisher's values over and waits for the mark's.
sub refresh
{
	my $mark = mark_us($publisher);

	value($subscriber, 'ALTER SUBSCRIPTION everything REFRESH SEQUENCES');
	$subscriber->poll_query_until('postgres', <<'SQL') or die 'sequences are not there';
SELECT count(*) > 0 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel
SQL
	return $mark;
}

my $mark = refresh();
is(mark_us($subscriber), $mark, 'the mark came over');
my $later = ask($session, NEXT_ID);
cmp_ok($later, '>', $theirs, 'the next id goes on after what was there');
cmp_ok(id_us($later), '>', $mark, '... after the mark');
cmp_ok(mark_us($subscriber), '>=', id_us($later), 'and the mark covers it');

# Now it is behind.
value($publisher, "SELECT setval('flake.mark', 1)");
refresh();
my $last = ask($session, NEXT_ID);
cmp_ok($last, '>', $later, 'an earlier mark: ids go on');
cmp_ok(mark_us($subscriber), '>=', id_us($last), '... and the mark covers them again');

stop_node($subscriber, 'immediate');
eval { $session->quit };
set_clock($subscriber, -5);
start_node($subscriber);
later_ids_ok('a crash after that', mark_us($subscriber), $last, next_id($subscriber));

stop_node($subscriber);
stop_node($publisher);
done_testing();
