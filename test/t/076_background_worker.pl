# A background worker that runs SQL has the settings of its role and its database, as a session has,
# but no client.  It makes ids under the configuration file's node id, or refuses (F0000).
# Promises P1 and P3; src/server/settings.c.
#
# The workers are pg_cron's: each runs one job, as a role in a database.  The jobs are those of the
# server's start, so nothing waits for the next minute.

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $share = `pg_config --sharedir`);
plan skip_all => 'pg_cron is not installed' unless -e "$share/extension/pg_cron.control";

my $node = new_node('background_worker', conf => <<'CONF');
shared_preload_libraries = 'pg_cron'
cron.use_background_workers = on
flake.node_id = 42
CONF
value($node, 'CREATE EXTENSION pg_cron; CREATE DATABASE other');
value($node, 'CREATE EXTENSION flake', 'other');

# Of each job its role, its database and what it does before it makes an id.
my $superuser = value($node, 'SELECT current_user');
my %job = (
	plain => [ 'plain', 'postgres', '' ],
	set => [ 'plain', 'postgres', q(SET flake.node_id = '7';) ],
	loaded => [ $superuser, 'postgres', q(SET LOCAL flake.node_id = '7'; LOAD 'flake';) ],
	role => [ 'role', 'postgres', '' ],
	role_here => [ 'role_here', 'postgres', '' ],
	database => [ 'plain', 'other', '' ]);

value($node, "CREATE ROLE $_ LOGIN") for qw(plain role role_here);
for my $database (qw(postgres other))
{
	value($node, 'CREATE TABLE made (job text, node_id integer, process text)', $database);
	value($node, 'GRANT INSERT ON made TO PUBLIC', $database);
}
while (my ($name, $job) = each %job)
{
	my ($role, $database, $first) = @$job;

	value($node, <<"SQL");
SELECT cron.schedule_in_database('$name', '\@reboot', \$\$
	$first
	INSERT INTO made SELECT '$name', flake_node_id(flake_next_id()), backend_type
	FROM pg_stat_activity WHERE pid = pg_backend_pid()
\$\$, '$database', '$role')
SQL
}
value($node, "ALTER ROLE role SET flake.node_id = '7'");
value($node, "ALTER ROLE role_here IN DATABASE postgres SET flake.node_id = '7'");
value($node, "ALTER DATABASE other SET flake.node_id = '7'");

# Runs them by a restart; returns for each its process and its id's node id, or its error.
sub run_jobs
{
	my $ended = q(FROM cron.job_run_details WHERE status IN ('succeeded', 'failed'));
	my %result;

	value($node, 'TRUNCATE cron.job_run_details');
	value($node, 'TRUNCATE made', $_) for qw(postgres other);
	restart_node($node);
	$node->poll_query_until('postgres', "SELECT count(*) $ended", scalar keys %job)
	  or die 'jobs do not end';
	for (
		value($node, "SELECT jobname, split_part(return_message, E'\\n', 1) "
			  . q(FROM cron.job_run_details JOIN cron.job USING (jobid) WHERE status = 'failed')),
		map { value($node, q(SELECT job, process || ' ' || node_id FROM made), $_) } qw(postgres other))
	{
		%result = (%result, map { split /\|/, $_, 2 } split /\n/);
	}
	return \%result;
}

my $refused = 'ERROR: "flake.node_id" cannot be set for a session, a role or a database';
is_deeply(run_jobs(), {
		plain => 'pg_cron 42',
		set => 'pg_cron 42',
		loaded => 'pg_cron 42',
		role => $refused,
		role_here => $refused,
		database => $refused
	},
	'each has the file\'s node id or an error');

# Then the server refuses what was set before the library was there.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_cron, flake'\n");
my $no_change = 'ERROR: parameter "flake.node_id" cannot be changed now';
is_deeply(run_jobs(), {
		plain => 'pg_cron 42',
		set => $no_change,
		loaded => $no_change,
		role => 'pg_cron 42',
		role_here => 'pg_cron 42',
		database => 'pg_cron 42'
	},
	'... preloaded');

stop_node($node);
done_testing();
