# On a standby no ids are made, with nextval()'s error; taking ids apart works there.  Promise P5
# (src/server/backend.c).

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', init => [ allows_streaming => 1 ]);
$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE stored (id bigint PRIMARY KEY DEFAULT flake_next_id());
INSERT INTO stored SELECT FROM generate_series(1, 100);
CREATE SEQUENCE usual;
SQL
$primary->backup('copy');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

# What the server itself says of its own.
my ($state, $said) = sqlstate($standby, q{SELECT nextval('usual')});
is($state, '25006', 'nextval() is refused');
my ($text) = $said =~ /25006: (.*)/;

for my $call ('flake_next_id()', q{flake_next_id('classic')}, 'flake_next_ids(3)',
	'flake_reserve(3)', q{flake_prefixed('a')})
{
	my ($name) = $call =~ /(\w+)/;
	my $expected = $text =~ s/nextval\(\)/$name()/r;

	($state, $said) = sqlstate($standby, "SELECT $call");
	is($state, '25006', "$call is refused");
	like($said, qr/25006: \Q$expected\E/, "$call: in the words of nextval()");
}

is(value($standby, <<'SQL'), '100|t|1', 'ids are taken apart');
SELECT count(*), bool_and(flake_timestamp(id) <= now() + interval '1 minute'), max(flake_node_id(id))
FROM stored
SQL
is(value($standby, 'SELECT count(*) FROM stored WHERE id >= flake_min_id(now() - interval \'1 hour\')'),
	100, 'and looked up by time');
is(value($standby, 'SELECT node_id FROM flake_node()'), 1, 'the node id is told');

is(sqlstate($standby, 'SELECT flake_accept_clock()'), '25006', 'no clock is accepted');
is(value($standby, 'SELECT mark, start_mark, problem FROM flake.mark_state()'), '||', 'there is no mark in force, and no problem');
is(value($standby, 'SELECT count(*) FROM flake.layouts'), 0, 'no layout was used');
is(value($standby, q{SELECT what FROM flake_check() WHERE severity = 'error'}), '', 'there is nothing wrong with it');

# A session that was refused makes ids when the standby has become a primary.
my $session = session($standby);
like((ask($session, 'SELECT flake_next_id()'))[1], qr/25006/, 'a session is refused');
my $last = value($primary, 'SELECT max(id) FROM stored');
$primary->stop;
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'still a standby';
my ($id, $error) = ask($session, 'SELECT flake_next_id()');
is($error, '', 'the same session makes an id after the promotion');
cmp_ok($id, '>', $last, 'which is later than those of the old primary');
$session->quit;

$standby->stop;
done_testing();
