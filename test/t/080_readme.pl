# What README.md shows is run, and what it says comes out does; the functions and
# settings that it lists are those that exist.  pg_regress can't read the page.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$FindBin::RealBin/../../README.md");

my $node = PostgreSQL::Test::Cluster->new('readme');
$node->init;
$node->append_conf('postgresql.conf', q{
flake.node_id = '3'
timezone = 'UTC'
});
$node->start;

# As psql prints it, but for spaces at the ends of lines.
sub printed
{
	my ($sql) = @_;
	my ($status, $out, $err) = $node->psql(
		'postgres', $sql,
		on_error_stop => 1,
		extra_params => [ '-P', 'tuples_only=off', '-P', 'format=aligned' ]);

	return ($status, $out =~ s/[ \n]+$//mgr, $err);
}

# New ids are others each time.
sub same_numbers { return $_[0] =~ s/\d+/9/gr =~ s/-+/-/gr =~ s/ +/ /gr; }

# The examples in their order, each with the output that follows it, if any.
my $number = 0;
while ($page =~ /^```sql\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/msg)
{
	my ($example, $expected) = ($1, $2);
	my ($status, $out, $err) = printed($example);

	$number++;
	is($status, 0, "example $number runs") or diag("$example\n$err");
	next if !defined $expected;
	$expected =~ s/[ \n]+$//mg;
	($out, $expected) = map { same_numbers($_) } ($out, $expected)
	  if $example =~ /^INSERT/m;
	is($out, $expected, "and gives what the page shows") or diag($example);
}
cmp_ok($number, '>=', 10, 'there are examples');
is(() = $page =~ /^```text$/mg, () = $page =~ /^```\n```text$/mg,
	'every output follows an example');

# Statements within the text.
$number = 0;
while ($page =~ /`((?:SELECT|CREATE|ALTER SEQUENCE|LOAD) [^`…]*)`/g)
{
	my ($status, undef, $err) = printed($1);

	$number++;
	is($status, 0, "statement runs: $1") or diag($err);
}
cmp_ok($number, '>=', 3, 'there are statements within the text');

# Every layout that is written out is one, and so is every part of a function's call.
while ($page =~ /`(time:\d+ [^`]*)`/g)
{
	my ($status, undef, $err) =
	  printed("SELECT flake_layout_info('$1')");

	is($status, 0, "layout is one: $1") or diag($err);
}
while ($page =~ /`(flake_\w+\((?:'|\d)[^`…]*\))`/g)
{
	my ($status, undef, $err) = printed("SELECT $1");

	is($status, 0, "call runs: $1") or diag($err);
}

# The tables of functions against the catalog.
my %listed;
foreach my $row ($page =~ /^\| (`flake[_.].*?) \|/mg)
{
	$listed{$_} = 1 foreach $row =~ /`(flake_[a-z_]+|flake\.[a-z]+)(?:[(]|` \(view)/g;
}
my $existing = $node->safe_psql(
	'postgres', q{
	SELECT DISTINCT proname FROM pg_proc AS p
	JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'flake'
	WHERE pronamespace = 'pg_catalog'::regnamespace
	  -- not what only the server calls, nor what makes flake_layout a type
	  AND NOT 'internal'::regtype = ANY (proargtypes)
	  AND NOT (proname ~ '^flake_layout_' AND proname <> 'flake_layout_info')
	UNION ALL SELECT 'flake.' || relname FROM pg_class
	WHERE relnamespace = 'flake'::regnamespace AND relkind = 'v'});
foreach my $name (split /\n/, $existing)
{
	ok(delete $listed{$name}, "$name is in the page");
}
is_deeply([ sort keys %listed ], [], 'and nothing else is');

# The layouts that have a name.
my $presets = slurp_file("$FindBin::RealBin/../../src/core/layout_preset.c");
my %presets = map { $_ => 1 } $presets =~ /^\t\{"(\w+)"/mg;
my ($table) = $page =~ /^\| name \| for \|\n(.*?)\n\n/ms;
my %named = map { $_ => 1 } map { /`(\w+)`/g } map { (split / \| /)[0] } split /\n/, $table;
is_deeply([ sort keys %named ], [ sort keys %presets ], 'the page names the layouts that have a name');

# The settings, with their defaults.
my %setting;
foreach my $row (split /\n/, $node->safe_psql('postgres', q{
	LOAD 'flake';
	SELECT name, coalesce(nullif(current_setting(name), ''), 'empty') FROM pg_settings
	WHERE name LIKE 'flake.%' AND name <> 'flake.node_id'}))
{
	my ($name, $value) = split /\|/, $row;
	$setting{$name} = $value;
}
$setting{'flake.node_id'} = 'empty';
my ($settings) = $page =~ /^\| setting \| default \| meaning \|\n(.*?)\n\n/ms;
my %default = $settings =~ /^\| `(flake\.\w+)` \| `?([^|`]*)`? \|/mg;
is_deeply(\%default, \%setting, 'the page has the settings and their defaults');

$node->stop;
done_testing();
