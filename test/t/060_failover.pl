# A streaming standby with the same node id takes over while its clock is 3 s behind: its ids go on
# after all those whose write-ahead log it had, with load on the primary until it dies.  The old
# primary is rewound and takes over again, its clock further back.  Then the same with a synchronous
# standby: after every id that a client was told as committed.

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

need_faketime();
random_seed();

my $conf = <<'CONF';
wal_log_hints = on
wal_keep_size = 512MB
flake.max_clock_lead = 30s
CONF
my $primary = new_node('one', clock => 1, init => [ allows_streaming => 1 ], conf => $conf);
my $dir = $primary->basedir;
my $insert = 'INSERT INTO made SELECT FROM generate_series(1, 10) RETURNING id';
my @inserted;    # files of ids whose commit the client was told
my @shown;       # files of ids that were shown without being stored

value($primary, 'CREATE TABLE made (id bigint PRIMARY KEY DEFAULT flake_next_id())');
$primary->backup('copy');

my $standby = PostgreSQL::Test::Cluster->new('two');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
use_clock($standby);
set_clock($standby, -3);
start_node($standby);
$primary->wait_for_catchup($standby);

# Load until the primary dies.  Returns the jobs of the ids that were stored, and of the others.
sub load_until_death
{
	my ($node, $name) = @_;
	my @stored = map { { file => "$dir/$name.stored$_", sql => $insert } } 1 .. 2;
	my @other = map { { file => "$dir/$name.shown$_", sql => IDS } } 1 .. 2;

	start_endless($node, @stored, @other);
	usleep(rand(1_500_000));
	stop_node($node, 'immediate');
	end_endless(@stored, @other);
	push @inserted, map { $_->{file} } @stored;
	push @shown, map { $_->{file} } @other;
	return (last_id(map { $_->{file} } @stored), last_id(map { $_->{file} } @stored, @other));
}

sub promote
{
	my ($node) = @_;

	$node->promote;
	$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'still a standby';
	return mark_us($node);
}

# The standby's ids go on after its mark, which covers all that it has: and so all ids that were
# ever made before that mark.  Everything that was made later than the mark was made after the
# log broke off.
sub takes_over
{
	my ($name, $node, $mark, $last, $session) = @_;

	my $stored = value($node, 'SELECT max(id) FROM made');
	my $id = ask($session, NEXT_ID);

	later_ids_ok("$name, rows", $mark, $stored, $id);
	note sprintf '%s: the last id of the old primary was made %.3f s before the mark of the new one',
	  $name, ($mark - id_us($last)) / 1e6;
	like($id, qr/^\d+$/, "$name: in the session that was open on the standby");
	return $id;
}

# --- the primary dies; ids that a reader was shown count too, as far as the log reached
my $session = session($standby);
like((ask($session, NEXT_ID))[1],
	qr/ERROR:  25006: cannot execute flake_next_id\(\) in a read-only transaction/,
	'on the standby there are no ids');
my (undef, $last) = load_until_death($primary, 'first');
my $mark = promote($standby);
my $first = takes_over('standby', $standby, $mark, $last, $session);
my $late = grep { id_us($_) > $mark } map { split /\n/, slurp_file($_) } @inserted, @shown;
SKIP:
{
	skip "the standby lagged: $late ids are later than its mark", 1 if $late;
	cmp_ok($first, '>', $last, 'ids go on after every id that was shown');
}
$session->quit;

# --- the old primary comes back, rewound, and takes over
my @new = map { { file => "$dir/second.$_", sql => $insert } } 1 .. 2;
start_endless($standby, @new);
# pg_rewind finds the new timeline in the control file
value($standby, 'CHECKPOINT');
my ($code, undef, $error) = run_program('pg_rewind', '--target-pgdata', $primary->data_dir,
	'--source-server', $standby->connstr('postgres'), '--no-sync');
is($code, 0, 'the old primary is rewound') or die $error;
# its configuration is the other one's now
$primary->append_conf('postgresql.conf', 'port = ' . $primary->port);
$primary->enable_streaming($standby);
$primary->set_standby_mode;
set_clock($primary, -6);
start_node($primary);
$session = session($primary);
ask($session, NEXT_ID);

# Synchronous now: what a client was told as committed is there.
$standby->append_conf('postgresql.conf', "synchronous_standby_names = '*'");
$standby->reload;
$standby->poll_query_until('postgres', <<'SQL')
SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'
SQL
  or die 'no synchronous standby';
my $synchronous_from = last_id(map { $_->{file} } @new);
load_goes_on(50, @new);
usleep(rand(500_000));
stop_node($standby, 'immediate');
end_endless(@new);
push @inserted, map { $_->{file} } @new;
$last = last_id(map { $_->{file} } @new);
cmp_ok($last, '>', $synchronous_from, 'there were ids while the standby was synchronous');
$mark = promote($primary);
cmp_ok($last, '<=', value($primary, 'SELECT max(id) FROM made'), 'synchronous: all committed rows are there');
my $second = takes_over('synchronous, rewound', $primary, $mark, $last, $session);
cmp_ok($second, '>', $last, 'ids go on after every id that was committed');

# --- and ids of all three times are different, but for those the log did not reach
value($primary, "ALTER SYSTEM SET synchronous_standby_names = ''");
$primary->reload;
my @third = map { { file => "$dir/third.$_", sql => IDS } } 1 .. 2;
start_endless($primary, @third);
load_goes_on(1000, @third);
$session->quit;
stop_node($primary, 'immediate');
end_endless(@third);
SKIP:
{
	skip 'the standby lagged', 1 if $late;
	is(ids_problem(@inserted, @shown, map { $_->{file} } @third), '', 'no id twice');
}
done_testing();
