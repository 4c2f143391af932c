# Settings are the server's.  Where the library is not preloaded a client, ALTER DATABASE or
# ALTER ROLE can name them before it is loaded: such a session must not make ids under the
# default node id instead of the server's.  Takes connections of their own.

use strict;
use warnings FATAL => 'all';

use FlakeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('session_options', conf => "flake.node_id = 42\n");
my $id = 'SELECT flake_node_id(flake_next_id())';
my $parallel =
  $node->safe_psql('postgres', 'SHOW server_version_num') >= 160000 ? 'debug_parallel_query' : 'force_parallel_mode';

is($node->safe_psql('postgres', $id), '42', 'the server\'s node id');

for my $option ('flake.node_id=7', 'flake.max_clock_lead=1s', 'flake.max_clock_jump=0')
{
	my ($name) = $option =~ /^(.*)=/;

	{
		local $ENV{PGOPTIONS} = "-c $option";
		my ($state, $message) = sqlstate($node, $id);
		is($state, 'F0000', "$option by the client is an error");
		like($message, qr/"\Q$name\E" cannot be set for a session, a role or a database/, 'that names it');
		is(sqlstate($node, 'SELECT * FROM flake_node()'), 'F0000', 'and also to look at');
		is(sqlstate($node, "SET $parallel = on; $id"), 'F0000', 'and where a parallel worker could be used');
		is(sqlstate($node, "SET $parallel = on; CREATE TABLE made AS $id"), 'F0000', 'and to make a table of');
	}
	my ($set) = $option =~ s/=/ = '/r . "'";
	$node->safe_psql('postgres', "ALTER DATABASE postgres SET $set");
	is(sqlstate($node, $id), 'F0000', "$option for the database is an error");
	$node->safe_psql('postgres', "ALTER DATABASE postgres RESET $name");
	is($node->safe_psql('postgres', $id), '42', 'and right without it');
}

# SET before the library is loaded does not hide the file's value: refused with a warning.
my ($code, $out, $err) = $node->psql('postgres', "SET flake.node_id = '7'; $id");
is($out, '42', 'SET before the library is loaded changes nothing');

# Preloaded, the client is refused at the door.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'flake'\n");
restart_node($node);
{
	local $ENV{PGOPTIONS} = '-c flake.node_id=7';
	my ($code, $out, $err) = $node->psql('postgres', $id);
	isnt($code, 0, 'preloaded: no connection');
	like($err, qr/parameter "flake.node_id" cannot be changed now/, 'and it is said why');
}
is($node->safe_psql('postgres', $id), '42', 'without it, the server\'s');

stop_node($node);
done_testing();
