# The mark in other hands: its sequence dropped and made again with the extension, set by setval() or
# a restore, near and too far, given another file, made unlogged, its page lost.  All sessions see it
# at the next id, and after a crash with the clock set back ids go on after all before.  Promises P1,
# P3 and P6 (src/core/mark.c (e) and (f)).

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

my $node = new_node('hands', clock => 1, conf => "flake.max_clock_lead = 1min\nwal_writer_delay = 10s");
my @session = map { session($node) } 1 .. 2;
my @id = (0);    # in order
my $offset = 0;

# The next id of every session is a new one, of the tick of the last one made or a later tick.
sub all_go_on
{
	my ($name) = @_;
	my %made = map { $_ => 1 } @id;
	my @wrong;

	for my $session (@session)
	{
		my ($id, $errors) = ask($session, NEXT_ID);

		push @wrong, $errors || $id
		  if $errors ne '' || $made{$id}++ || id_us($id) < id_us($id[-1]);
		push @id, $id if $errors eq '';
	}
	@id = sort { $a <=> $b } @id;
	is("@wrong", '', "$name: all sessions go on with new ids");
	return;
}

# Sets the clock back, so that the published mark still covers ids and no session moves it
# for its own need.
sub back
{
	my ($by) = @_;

	set_clock($node, $offset -= $by);
	return;
}

# Crashes the server and starts it with the clock set back again.
sub crash
{
	my ($name) = @_;

	stop_node($node, 'immediate');
	eval { $_->quit } for @session;
	back(2);
	start_node($node);
	my $mark = mark_us($node);
	@session = map { session($node) } 1 .. 2;
	my $before = $id[-1];
	my $after = ask($session[0], NEXT_ID);
	later_ids_ok("crash after $name", $mark, $before, $after);
	push @id, $after;
	all_go_on("crash after $name");

	# time goes on
	set_clock($node, $offset = 0);
	restart_node($node);
	eval { $_->quit } for @session;
	@session = map { session($node) } 1 .. 2;
	all_go_on('with the clock right');
	return;
}

all_go_on('at first');

# The extension made again: by another session, by the session itself.
back(2);
value($node, 'DROP EXTENSION flake; CREATE EXTENSION flake');
all_go_on('extension made again');
crash('extension made again');

back(2);
ask($session[1], 'BEGIN; DROP EXTENSION flake; CREATE EXTENSION flake');
ask($session[1], NEXT_ID);
ask($session[1], 'ROLLBACK');
all_go_on('extension made again and rolled back');
crash('extension made again and rolled back');

value($node, 'DROP EXTENSION flake');
back(2);
ask($session[0], 'BEGIN; CREATE EXTENSION flake');
my $lost = ask($session[0], NEXT_ID);
ask($session[0], 'ROLLBACK');
ok(!(grep { $_ == $lost } @id) && id_us($lost) >= id_us($id[-1]),
	'an id in a creation that is rolled back');
@id = sort { $a <=> $b } @id, $lost;
value($node, 'CREATE EXTENSION flake');
all_go_on('extension made after that');
crash('extension made after that');

# Another file for the sequence.
for my $sql ('ALTER SEQUENCE flake.mark RESTART', 'ALTER SEQUENCE flake.mark CACHE 1',
	'BEGIN; ALTER SEQUENCE flake.mark RESTART; ROLLBACK')
{
	back(2);
	value($node, $sql);
	all_go_on($sql);
	crash($sql);
}

# Set lower: written again by the next id that looks at it.
back(2);
value($node, set_mark(1));
all_go_on('mark set lower');
cmp_ok(mark_us($node), '>=', id_us($id[-1]), 'it is higher again');
crash('mark set lower');

# Set between the last id and what is published, as a restore can while the clock is behind: the
# dump's rows have ids up to there.  Sessions that have made one id, and such that have numbers left
# of a tick that the clock has yet to come to.
for my $case ([ 'another session', 0 ], [ 'itself', 0 ], [ 'another session', 100 ], [ 'itself', 100 ])
{
	my ($who, $ids) = @$case;

	eval { $_->quit } for @session;
	@session = map { session($node) } 1 .. 2;
	next_id($node);
	back(2);
	ask($_, "SELECT count(flake_next_id()) FROM generate_series(1, $ids)") for @session;
	all_go_on('before a restore');
	my $restored = id_us($id[-1]) + 300_000;
	cmp_ok(mark_us($node), '>', $restored, 'what the dump has is covered already');
	$who eq 'itself' ? ask($session[0], set_mark($restored)) : value($node, set_mark($restored));
	all_go_on("mark restored by $who, after $ids ids");
	cmp_ok(id_us($id[ -@session ]), '>', $restored, '... after the ids of the dump');
	set_clock($node, $offset = 0);
	wait_until('the clock catches up', sub { clock_us($node) > id_us($id[-1]) });
}
crash('mark restored from a dump');

# Set higher: honoured by the next id of every session, and kept.
for my $who ('another session', 'itself')
{
	my $later = clock_us($node) + 20_000_000;

	$who eq 'itself' ? ask($session[0], set_mark($later)) : value($node, set_mark($later));
	all_go_on("mark set higher by $who");
	cmp_ok(id_us($id[ -@session ]), '>', $later, 'their ids are later than what was set');
	cmp_ok(mark_us($node), '>=', id_us($id[-1]), 'the mark covers them');
	crash("mark set higher by $who");
}

# nextval() as well, which also changes the page.
value($node, q(SELECT nextval('flake.mark') FROM generate_series(1, 100)));
all_go_on('nextval()');
crash('nextval()');

# --- raised by a margin, as scripts do with all sequences before a switch-over, in two databases

value($node, 'CREATE DATABASE other');
value($node, 'CREATE EXTENSION flake', 'other');
wait_until('the clock catches up', sub { all_in_time(10_000) });

# Have both databases the next id no further ahead of the clock?
sub all_in_time
{
	my ($lead_us) = @_;

	for my $database (qw(postgres other))
	{
		my $id = next_id($node, $database);

		# those of the other are covered by its own mark
		push @id, $id if $database eq 'postgres';
		return 0 if id_us($id) > clock_us($node) + $lead_us;
	}
	return 1;
}

for my $margin (10_000, 1_000_000, 1_000_000_000)
{
	value($node, "SELECT setval(seqrelid, pg_sequence_last_value(seqrelid) + $margin) FROM pg_sequence", $_)
	  for qw(postgres other);
	ok(all_in_time(2_000_000 + 2 * TICK_US), "all sequences raised by $margin: ids are at most two seconds ahead");
}
@id = sort { $a <=> $b } @id;
crash('all sequences raised');

# --- too far: refused while it stands, in this database only, and nothing is left of it

wait_until('the clock catches up', sub { all_in_time(10_000) });

# All sessions are refused, by an error that names the mark; reports speak.
sub all_refused
{
	my ($name, $ahead) = @_;

	for my $session (@session)
	{
		my (undef, $errors) = ask($session, NEXT_ID);

		like($errors, qr/ERROR:  55000: durable mark is $ahead\.\d{3} seconds ahead of the clock$/m,
			"$name: an error that names the mark");
		like($errors, qr/^HINT:  .*If somebody has set sequence "flake\.mark" ahead, set it back\./m,
			'... with a hint');
	}
	like(value($node, 'SELECT severity, what FROM flake_check()'),
		qr/^error\|the durable mark is $ahead\.\d{3} seconds ahead of the clock$/m, '... flake_check() tells it');
	is(value($node, 'SELECT count(*) FROM flake.layouts'), 1, '... flake.layouts does not raise');
	ok(id_us(next_id($node, 'other')) <= clock_us($node) + 1_000_000 + 2 * TICK_US,
		'... another database makes ids of the true time');
	return;
}

for my $far ([ 'an hour', '3[56]\d\d', 3600 ], [ 'ten years', '31\d{7}', 3_652 * 86_400 ],
	[ 'the largest value', '\d{10}', undef ])
{
	my ($name, $ahead, $seconds) = @$far;
	my $before = mark_us($node);

	value($node, defined $seconds ? set_mark(clock_us($node) + $seconds * 1_000_000)
		: q{SELECT setval('flake.mark', 9223372036854775807)});
	all_refused($name, $ahead);
	# a start does not take it over either
	restart_node($node, 'immediate');
	eval { $_->quit } for @session;
	@session = map { session($node) } 1 .. 2;
	all_refused("$name, after a crash", $ahead);
	value($node, set_mark($before));
	all_go_on("$name, set back");
	cmp_ok(id_us($id[-1]), '<=', clock_us($node) + 1_000_000 + 4 * TICK_US, '... with the true time');

	# without a crash ids go on whatever it is set back to
	value($node, q{SELECT setval('flake.mark', 9223372036854775807)});
	all_refused("$name, again", '\d{10}');
	value($node, set_mark(1));
	all_go_on("$name, set back too far");
}
crash('mark set too far');

# --- by less than ids may be ahead: all databases go along, no further, and it is told why

my $later = clock_us($node) + 20_000_000;
value($node, set_mark($later));
all_go_on('mark set 20 s ahead');
my $other = next_id($node, 'other');
cmp_ok(id_us($other), '>=', $later, 'another database goes along');
cmp_ok(id_us($other), '<=', $later + 10 * TICK_US, '... and no further');
like(value($node, 'SELECT severity, what, why FROM flake_check()', 'other'),
	qr/^warning\|ids of layout "flake" under node id 1 are \d+\.\d+ seconds ahead of the clock\|The durable mark of database "postgres" is ahead/m,
	'... flake_check() tells it');
crash('mark set 20 s ahead');

# --- unlogged: an error for everybody, until it is logged again

value($node, 'ALTER SEQUENCE flake.mark SET UNLOGGED');
for my $session (@session)
{
	my (undef, $errors) = ask($session, NEXT_ID);

	like($errors, qr/ERROR:  55000: "flake\.mark" is not a permanent, logged sequence/,
		'unlogged: an error');
	like($errors, qr/^HINT:  Use ALTER SEQUENCE flake\.mark SET LOGGED\.$/m, '... with a hint');
}
value($node, 'ALTER SEQUENCE flake.mark SET LOGGED');
all_go_on('logged again');
crash('logged again');

# --- a page that is not a sequence's: an error, and nothing is written to it

my $file = $node->data_dir . '/' . value($node, q{SELECT pg_relation_filepath('flake.mark')});
stop_node($node);
eval { $_->quit } for @session;
my $page = slurp_file($file);
my $zeroes = "\0" x length $page;
unlink $file;
append_to_file($file, $zeroes);
start_node($node);
# with checksums, PostgreSQL finds it first
like((sqlstate($node, NEXT_ID))[1],
	qr/ERROR:  XX001: (sequence "flake\.mark" has no valid page|invalid page in block 0 of relation ".*")$/m,
	'a page that is not a sequence\'s: an error');
stop_node($node);
ok(slurp_file($file) eq $zeroes, '... and it stays as it is');
unlink $file;
append_to_file($file, $page);
start_node($node);
@session = map { session($node) } 1 .. 2;
all_go_on('with its page again');

stop_node($node);
eval { $_->quit } for @session;
is(scalar keys %{ { map { $_ => 1 } @id } }, scalar @id, 'no id twice');
done_testing();
