# What the pages below doc/ show is run, each page in a database of its own, and what they say comes
# out does.  Of doc/citus.md so much as works without Citus; 016_citus_cluster.pl runs it with it.
# The examples of doc/spread.md, doc/fleet.md and doc/active-active.md are for several servers, and
# run by 017_spread.pl, 094_fleet_page.pl and 085_active_active.pl.
#
# pg_regress can't read the pages.

use strict;
use warnings FATAL => 'all';

use FindBin;
use FlakeCitus;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('pages', extension => 0, conf => "flake.node_id = 3\ntimezone = 'UTC'\nfsync = on\n");
my $doc = "$FindBin::RealBin/../../doc";
my %elsewhere = map { $_ => 1 } qw(spread fleet active-active);

# As psql prints it, but for spaces at the ends of lines.
sub printed
{
	my ($database, $sql) = @_;
	my ($status, $out, $err) = $node->psql($database, $sql,
		extra_params => [ '-P', 'tuples_only=off', '-P', 'format=aligned' ]);

	return ($status, $out =~ s/[ \n]+$//mgr, $err);
}

for my $file (sort glob "$doc/*.md")
{
	my ($name) = $file =~ m{/([^/]+)\.md$};
	my $page = slurp_file($file);
	my $number = 0;

	value($node, qq(CREATE DATABASE "$name"));
	value($node, 'CREATE EXTENSION flake', $name);
	value($node, CITUS_FUNCTIONS, $name) if $name eq 'citus';
	value($node, 'CREATE EXTENSION flake_registry', $name) if $name eq 'fleet';
	while (!$elsewhere{$name} && $page =~ /^```sql\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/msg)
	{
		my ($example, $expected) = ($1, $2);
		my ($status, $out, $err) = printed($name, $example);

		$number++;
		is($status, 0, "$name: example $number runs") or diag("$example\n$err");
		is($out, $expected =~ s/[ \n]+$//mgr, '... and gives what the page shows')
		  if defined $expected;
	}
	cmp_ok($number, '>', 0, "$name: there are examples") unless $elsewhere{$name};
	is(() = $page =~ /^```text$/mg, () = $page =~ /^```\n```text$/mg,
		"$name: every output follows an example");

	# What is called or looked at in the text is there.
	my %named = map { $_ => 1 } $page =~ /`(flake[_.]\w+)(?:\(\))?`/g;
	for my $thing (sort keys %named)
	{
		is(value($node, <<"SQL", $name), 't', "$name: there is $thing");
LOAD 'flake';
SELECT EXISTS (SELECT FROM pg_proc WHERE proname = '$thing')
	OR to_regclass('$thing') IS NOT NULL
	OR EXISTS (SELECT FROM pg_settings WHERE name = '$thing')
	OR EXISTS (SELECT FROM pg_extension WHERE extname = '$thing')
SQL
	}
}

stop_node($node);
done_testing();
