# What README.md and the pages below doc/ show is run, each page in a database of its own, and gives
# the output shown.  The functions, layouts and settings that they list are those that exist, and
# links lead somewhere.
#
# Of doc/citus.md this runs what works without Citus; 016_citus_cluster.pl runs it with Citus.  The
# examples of doc/spread.md, doc/fleet.md and doc/active-active.md need several servers, and are run
# by 017_spread.pl, 094_fleet_page.pl and 085_active_active.pl.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use FindBin;
use FlakeCitus;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = abs_path("$FindBin::RealBin/../..");
my $node = new_node('pages', extension => 0,
	conf => "flake.node_id = 3\ntimezone = 'UTC'\nfsync = on\n");
my %elsewhere = map { $_ => 1 } qw(spread fleet active-active);
my %page = map { basename($_, '.md') => slurp_file($_) } "$root/README.md", glob "$root/doc/*.md";

# New ids are different each time.
sub same_numbers { return $_[0] =~ s/\d+/9/gr =~ s/-+/-/gr =~ s/ +/ /gr; }

for my $name (sort keys %page)
{
	my $page = $page{$name};
	my $number = 0;

	value($node, qq(CREATE DATABASE "$name"));
	value($node, 'CREATE EXTENSION flake', $name) unless $name eq 'README';
	value($node, CITUS_FUNCTIONS, $name) if $name eq 'citus';
	value($node, 'CREATE EXTENSION flake_registry', $name) if $name eq 'fleet';
	while (!$elsewhere{$name} && $page =~ /^```sql\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/msg)
	{
		my ($example, $expected) = ($1, $2);
		my ($status, $out, $err) = printed($node, $example, $name);

		$number++;
		is($status, 0, "$name: example $number runs") or diag("$example\n$err");
		next if !defined $expected;
		$expected =~ s/[ \n]+$//mg;
		($out, $expected) = map { same_numbers($_) } ($out, $expected)
		  if $example =~ /^INSERT .* RETURNING/m;
		is($out, $expected, '... and gives what the page shows');
	}
	is(() = $page =~ /^```text$/mg, () = $page =~ /^```\n```text$/mg,
		"$name: every output follows an example");

	# What is called or named in the text is there.
	my %named = map { $_ => 1 } $page =~ /`(flake[_.]\w+)(?:\(\))?`/g;
	for my $thing (sort keys %named)
	{
		is(value($node, <<"SQL", $name), 't', "$name: there is $thing");
LOAD 'flake';
SELECT EXISTS (SELECT FROM pg_proc WHERE proname = '$thing')
	OR to_regclass('$thing') IS NOT NULL OR to_regtype('$thing') IS NOT NULL
	OR EXISTS (SELECT FROM pg_settings WHERE name = '$thing')
	OR EXISTS (SELECT FROM pg_extension WHERE extname = '$thing')
SQL
	}

	# Layouts that are written out, and calls with all their arguments.
	for my $sql ((map { "flake_layout_info('$_')" } $page =~ /`(time:\d+ [^`]*)`/g),
		$page =~ /`(flake_\w+\((?:'|\d)[^`…]*\))`/g)
	{
		my ($status, undef, $err) = printed($node, "SELECT $sql", $name);

		is($status, 0, "$name: $sql runs") or diag($err);
	}

	# Where links lead.  An anchor is a heading in lower case, without what is no letter or digit,
	# and with a hyphen for each space.
	while ($page =~ /\]\(((?!https?:)[^)#]*)(?:#([^)]*))?\)/g)
	{
		my ($file, $anchor) = ($1, $2);
		my $path = $name eq 'README' ? "$root/$file" : "$root/doc/$file";

		$path = $name eq 'README' ? "$root/README.md" : "$root/doc/$name.md" if $file eq '';
		ok(-e $path, "$name: there is $file") or next;
		next if !defined $anchor;
		ok( scalar(grep { lc =~ s/[^\w\- ]//gr =~ s/ /-/gr eq $anchor }
				  slurp_file($path) =~ /^#+ (.*)$/mg),
			"$name: $file has a heading for #$anchor");
	}
}

# The tables of functions against the catalog.
my %listed;
foreach my $row ($page{functions} =~ /^\| (`flake[_.].*?) \|/mg)
{
	$listed{$_} = 1 foreach $row =~ /`(flake_[a-z_]+|flake\.[a-z]+)(?:[(]|` \(view)/g;
}
my $existing = value($node, q{
	SELECT DISTINCT proname FROM pg_proc AS p
	JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'flake'
	WHERE pronamespace = 'pg_catalog'::regnamespace
	  -- not what only the server calls, nor what makes flake_layout a type
	  AND NOT 'internal'::regtype = ANY (proargtypes)
	  AND NOT (proname ~ '^flake_layout_' AND proname <> 'flake_layout_info')
	UNION ALL SELECT 'flake.' || relname FROM pg_class
	WHERE relnamespace = 'flake'::regnamespace AND relkind = 'v'}, 'functions');
is_deeply([ sort keys %listed ], [ sort split /\n/, $existing ], 'the page lists all functions');

# The layouts that have a name.
my %presets = map { $_ => 1 } slurp_file("$root/src/core/layout_preset.c") =~ /^\t\{"(\w+)"/mg;
my ($table) = $page{layouts} =~ /^\| name \| for \|\n(.*?)\n\n/ms;
my %named = map { $_ => 1 } map { /`(\w+)`/g } map { (split / \| /)[0] } split /\n/, $table;
is_deeply([ sort keys %named ], [ sort keys %presets ], 'the page lists all layouts');

# The settings, with their defaults.
my %setting = map { split /\|/, $_, 2 } split /\n/, value($node, q{
	LOAD 'flake';
	SELECT name, CASE WHEN name = 'flake.node_id' OR current_setting(name) = '' THEN 'empty'
		ELSE current_setting(name) END
	FROM pg_settings WHERE name LIKE 'flake.%'}, 'settings');
my ($settings) = $page{settings} =~ /^\| setting \| default \| meaning \|\n(.*?)\n\n/ms;
my %default = $settings =~ /^\| `(flake\.\w+)` \| `?([^|`]*)`? \|/mg;
is_deeply(\%default, \%setting, 'the page has the settings and their defaults');

stop_node($node);
done_testing();
