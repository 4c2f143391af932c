# Where and how the library comes in: loaded by its first use, by many sessions at once, or
# preloaded; in read-only transactions, subtransactions, and in a server of one user.
#
# pg_regress's server has the library loaded one way, long before the tests, and no other users.

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('loading');
my $dir = $node->basedir;
my @before;

# The very first ids after a start, by sessions that all come at once.
sub first_use
{
	my ($name, $number) = @_;
	my @job = map {
		{   file => "$dir/$number.$_",
			sql => 'COPY (SELECT flake_next_id() FROM generate_series(1, 2000)) TO STDOUT'
		}
	} 1 .. 16;

	is(run_sessions($node, @job), '', "$name: 16 sessions at once are the first");
	push @before, map { $_->{file} } @job;
	is(ids_problem(@before), '', "$name: ids are distinct, also from those before, and in order");
	return;
}

is(value($node, q{SELECT current_setting('shared_preload_libraries')}), '', 'not preloaded');
restart_node($node);
first_use('not preloaded', 1);

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'flake'");
restart_node($node);
is(value($node, 'SHOW flake.max_clock_lead'), '5s', 'preloaded: the settings are there before the first use');
first_use('preloaded', 2);

# --- transactions

is(value($node, <<'SQL'), 't', 'in a read-only transaction');
BEGIN TRANSACTION READ ONLY;
SELECT flake_next_id() > 0;
COMMIT;
SQL
like(
	value($node, <<'SQL'), qr/\At\n\z|\At\z/, 'read-only by default, and without a transaction id');
SET default_transaction_read_only = on;
SELECT flake_next_id() > 0 AND pg_current_xact_id_if_assigned() IS NULL;
SQL

# one with its rollbacks: nothing is given back
my $session = session($node);
my @id = map { scalar ask($session, $_) } (
	'SELECT flake_next_id()',
	'BEGIN; SAVEPOINT a; SELECT flake_next_id()',
	'ROLLBACK TO a; SELECT flake_next_id()',
	'SAVEPOINT b; SELECT flake_next_id()',
	'RELEASE b; SELECT flake_next_id()',
	'ROLLBACK; SELECT flake_next_id()',
	'DO $$ BEGIN PERFORM flake_next_id(); RAISE division_by_zero; EXCEPTION WHEN OTHERS THEN END $$;'
	  . 'SELECT flake_next_id()');
is(scalar(grep { $_ > 0 } @id), 7, 'subtransactions: ids');
is(scalar(grep { $id[$_] <= $id[ $_ - 1 ] } 1 .. $#id), 0, 'subtransactions: nothing is given back');
$session->quit;

# --- one user

$node->stop;
for my $preload ('', 'flake')
{
	my $sql = <<'SQL';
SELECT flake_next_id()
SELECT 'different ' || count(DISTINCT id) FROM flake_next_ids(1000) id
SQL
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir,
			'-c', "shared_preload_libraries=$preload", 'postgres' ],
		'<', \$sql, '>', \$out, '2>', \$err);
	my $name = $preload ? 'single user, preloaded' : 'single user';
	my @id = $out =~ /flake_next_id = "(\d+)"/g;

	# it works, or the error says why not
	if (@id)
	{
		like($out, qr/different 1000"/, "$name: works");
		append_to_file("$dir/single", "$id[0]\n");
	}
	else
	{
		like($err, qr/ERROR:  .*shared memory.*HINT:/s, "$name: says why not");
	}
}
start_node($node);
is(run_sessions($node, { file => "$dir/after", sql => 'SELECT flake_next_id()' }), '',
	'after a single user: no error');
is(ids_problem(@before, grep { -e } "$dir/single", "$dir/after"), '',
	'before, with and after a single user: ids are distinct and in order');

$node->stop;
done_testing();
