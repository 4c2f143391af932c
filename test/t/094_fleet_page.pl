# What doc/fleet.md shows is run, on a registry and on a server that leases from it; what it says
# comes out does, and the errors that it lists are those of the sources.

use strict;
use warnings FATAL => 'all';

use FindBin;
use FlakeLease;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$FindBin::RealBin/../../doc/fleet.md");
my $registry = new_node('registry', extension => 0, conf => "fsync = on\n");
my ($conf) = $page =~ /^```ini\n(.*?)^```/ms;
my $host = $registry->host;
my $port = $registry->port;

value($registry, 'CREATE DATABASE ids');
$conf =~ s/host=ids1/host=$host port=$port/;
my $server = new_node('server', conf => $conf);
my %place = ('in the registry\'s database' => [ $registry, 'ids' ], 'on a server' => [ $server, 'postgres' ]);
my $number = 0;

while ($page =~ /^```sql\n-- ([^\n]*)\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/msg)
{
	my ($where, $sql, $expected) = ($1, $2, $3);
	my ($status, $out, $err) = $place{$where}->[0]->psql($place{$where}->[1], $sql,
		extra_params => [ '-P', 'tuples_only=off', '-P', 'format=aligned' ]);

	$number++;
	is($status, 0, "example $number runs $where") or diag("$sql\n$err");
	is($out =~ s/[ \n]+$//mgr, $expected =~ s/[ \n]+$//mgr, '... and gives what the page shows')
	  if defined $expected;
}
is($number, () = $page =~ /^```sql$/mg, 'every example says where it is run');

my $sources = join '', map { slurp_file($_) } glob "$FindBin::RealBin/../../src/server/*.c";
$sources =~ s/\\"/"/g;
my ($errors) = $page =~ /^## Errors\n(.*?)^## /ms;
while ($errors =~ /`([^`]+)` \([0-9A-Z]{5}/g)
{
	my $pattern = join '.*?', map { quotemeta } split / … | "flake\.registry"/, $1;

	like($sources, qr/"$pattern/, "there is the error: $1");
}

stop_node($_) for $server, $registry;
done_testing();
