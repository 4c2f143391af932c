# doc/active-active.md: two servers that write, and each the other's subscriber.  The examples of the
# page are run as they stand, but for the hosts' names, while clients write.

use strict;
use warnings FATAL => 'all';

use FindBin;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$FindBin::RealBin/../../doc/active-active.md");
my ($copied) = $page =~ /^(SELECT [^\n]* FROM pg_subscription_rel);$/m or die 'no query for the copy';
my %examples;
my $title = '';
while ($page =~ /^## ([^\n]*)$|^```sql (\w+)\n(.*?)^```$/msg)
{
	$title = $1 and next if defined $1;
	push @{ $examples{$title} }, [ $2, $3 ];
}

my %node;
my @job;

# Runs an example where it belongs.
sub run_example
{
	my ($where, $sql) = @_;

	$sql =~ s/host=(first|second) dbname=shop/$node{$1}->connstr . ' dbname=shop'/ge;
	for my $server ($where eq 'both' ? qw(first second) : $where)
	{
		# statements of their own, as ALTER SYSTEM must be
		value($node{$server}, $sql, 'shop');
		$node{$server}->poll_query_until('shop', "SELECT current_setting('flake.node_id') = '$1'")
		  if $sql =~ /flake\.node_id = '(\d)'/;
		# as the page says: when the copy is complete
		$node{$server}->poll_query_until('shop', $copied) || die "$server: no copy"
		  if $sql =~ /CREATE SUBSCRIPTION/;
	}
	return;
}

sub start_writers
{
	my ($server) = @_;

	push @job, start_load($node{$server},
		map { {
			file => $node{$server}->basedir . "/ids.$_",
			database => 'shop',
			sql => "INSERT INTO orders (item) VALUES ('$server') RETURNING id;"
		} } 1, 2);
	load_goes_on(20, @job[ -2, -1 ]);
	return;
}

# Both have taken over all that the other wrote.
sub caught_up
{
	$node{first}->wait_for_catchup('from_first');
	$node{second}->wait_for_catchup('from_second');
	return;
}

sub rows
{
	my ($server) = @_;

	return value($node{$server}, q(SELECT count(*), md5(string_agg(format('%s %s', id, item), ',' ORDER BY id)) FROM orders), 'shop');
}

sub active_active
{
	my ($section) = @_;
	my $name = lc($section =~ s/\W+/_/gr);

	@job = ();
	for my $server (qw(first second))
	{
		# as the package sets nothing, the page's node ids count
		$node{$server} = new_node("${server}_$name", extension => 0,
			init => [ allows_streaming => 'logical' ], conf => "flake.node_id = ''\n");
		value($node{$server}, 'CREATE DATABASE shop');
		# settings of a library that no session has loaded are unknown to ALTER SYSTEM
		value($node{$server}, q(ALTER DATABASE shop SET session_preload_libraries = 'flake'));
	}
	run_example(@$_) for @{ $examples{''} };

	# old rows, and clients that write from the beginning
	value($node{first}, "INSERT INTO orders SELECT n, 'old' FROM generate_series(1, 20000) AS n", 'shop');
	start_writers('first');
	run_example(@$_) for @{ $examples{$section} };
	start_writers('second');
	load_goes_on(200, @job);
	is(stop_load(@job[ 0, 1 ]), '', "$section: no errors on the first");
	is(stop_load(@job[ 2, 3 ]), '', '... nor on the second');
	my @file = map { $_->{file} } @job;
	is(ids_problem(@file), '', '... and all ids differ');
	caught_up();
	my ($count) = rows('first') =~ /^(\d+)/;
	is($count, 20000 + count_lines(@file), '... all rows are on the first');
	is(rows('second'), rows('first'), '... and the same on the second');
	return;
}

my $version = do
{
	my ($code, $out) = run_program('pg_config', '--version');
	$out =~ /(\d+)/ ? $1 : die 'no version';
};

if ($version >= 16)
{
	active_active('From PostgreSQL 16 on');
	value($node{first}, "UPDATE orders SET item = 'changed' WHERE item = 'second'", 'shop');
	value($node{second}, "DELETE FROM orders WHERE item = 'first'", 'shop');
	caught_up();
	is(rows('second'), rows('first'), 'each may change and delete the rows of the other');

	if ($version >= 19)
	{
		for my $example (@{ $examples{Sequences} })
		{
			my ($where, $sql) = @$example;

			run_example($where, $sql);
			run_example('first', $sql =~ s/host=first/host=second/r) if $where eq 'second';
		}
		my %before = map { $_ => value($node{$_}, 'SELECT flake_next_id()', 'shop') } qw(first second);
		for my $server (qw(first second))
		{
			$node{$server}->poll_query_until('shop', $copied);
			cmp_ok(value($node{$server}, 'SELECT flake_next_id()', 'shop'), '>', $before{$server},
				"all sequences: ids of the $server go on");
		}
	}
	stop_node($_) for values %node;
}

# The filters work on every version.
active_active('PostgreSQL 15');
value($node{$_}, "UPDATE orders SET item = item || ' changed' WHERE item = '$_'", 'shop') for qw(first second);
value($node{first}, "DELETE FROM orders WHERE id <= 100", 'shop');
caught_up();
is(rows('second'), rows('first'), 'each may change and delete its own rows');
my $before = rows('second');
value($node{first}, "UPDATE orders SET item = 'mine' WHERE item = 'second changed'", 'shop');
caught_up();
is(rows('second'), $before, 'a change of a row of the other is not published');

stop_node($_) for values %node;
done_testing();
