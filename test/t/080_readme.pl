# Everything that README.md shows is run: its SQL examples, in their order, in
# one session; the functions and settings that it lists are those that exist.
# pg_regress can't read the page.

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
$node->append_conf('postgresql.conf', "flake.node_id = 3");
$node->start;

my @examples = $page =~ /^```sql\n(.*?)^```$/msg;
cmp_ok(scalar @examples, '>=', 4, 'there are examples');

my $number = 0;
foreach my $example (@examples)
{
	$number++;
	my ($status, $out, $err) =
	  $node->psql('postgres', $example, on_error_stop => 1);
	is($status, 0, "example $number runs") or diag("$example\n$err");
}

# The page's tables against the catalog.
my %listed;
foreach my $row ($page =~ /^\| (`flake_.*?) \|/mg)
{
	$listed{$_} = 1 foreach $row =~ /`(flake_[a-z_]+)/g;
}
my $existing = $node->safe_psql(
	'postgres', q{
	SELECT DISTINCT proname FROM pg_proc p
	JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'flake'
	-- what queries can't call, and what only other functions do
	WHERE NOT 'internal'::regtype = ANY (proargtypes) AND NOT proname = ANY ('{flake_generator_changed,flake_layout_state,flake_mark_state,flake_kernel_clock}')
	  AND proname !~ '^flake_layout_(in|out|send|eq|ne|hash|hash_extended)$' AND prokind = 'f'
	  AND NOT EXISTS (SELECT FROM pg_cast WHERE castfunc = p.oid)
	UNION SELECT 'flake_generators'});
foreach my $function (split /\n/, $existing)
{
	ok(delete $listed{$function}, "$function is in the page");
}
is_deeply([ sort keys %listed ], [], 'and nothing else is');

foreach my $setting (qw(flake.node_id flake.max_clock_lead flake.max_clock_jump))
{
	my $default = $node->safe_psql('postgres',
		"LOAD 'flake'; SELECT CASE boot_val WHEN '' THEN 'empty' ELSE '`' || CASE name WHEN 'flake.max_clock_lead' THEN boot_val::int / 1000 || 's' ELSE boot_val::int / 86400 || 'd' END || '`' END FROM pg_settings WHERE name = '$setting'");
	like($page, qr/^\| `\Q$setting\E` \| \Q$default\E \|/m, "$setting: default $default");
}
is( $node->safe_psql('postgres', "LOAD 'flake'; SELECT count(*) FROM pg_settings WHERE name LIKE 'flake.%'"),
	3, 'there are no other settings');

$node->stop;
done_testing();
