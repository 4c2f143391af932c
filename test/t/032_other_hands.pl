# The mark in other hands: its sequence dropped and made again with the extension, set by setval(),
# given another file, made unlogged.  All sessions see it at the next id, and after a crash with the
# clock set back ids go on after all before.
#
# pg_regress has one session and no crash.

use strict;
use warnings FATAL => 'all';

use FlakeFaults;
use FlakeTest;
use PostgreSQL::Test::Utils;
use Test::More;

need_faketime();

my $node = new_node('hands', clock => 1, conf => "flake.max_clock_lead = 1min\nwal_writer_delay = 10s");
my @session = map { session($node) } 1 .. 2;
my @id = (0);
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
for my $sql ('ALTER SEQUENCE flake_mark RESTART', 'ALTER SEQUENCE flake_mark CACHE 1',
	'BEGIN; ALTER SEQUENCE flake_mark RESTART; ROLLBACK')
{
	back(2);
	value($node, $sql);
	all_go_on($sql);
	crash($sql);
}

# Set lower: mended at once here, at the next move at the latest.
back(2);
value($node, q(SELECT setval('flake_mark', 1)));
all_go_on('mark set lower');
cmp_ok(mark_us($node), '>=', id_us($id[-1]), 'it is mended');
crash('mark set lower');

# Set higher: honoured by the next id of every session, and kept.
for my $who ('another session', 'itself')
{
	my $later = value($node, 'SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint + 20000000');
	my $set = "SELECT setval('flake_mark', $later)";

	$who eq 'itself' ? ask($session[0], $set) : value($node, $set);
	all_go_on("mark set higher by $who");
	cmp_ok(id_us($id[ -@session ]), '>', $later, 'their ids are later than what was set');
	cmp_ok(mark_us($node), '>=', id_us($id[-1]), 'the mark covers them');
	crash("mark set higher by $who");
}

# nextval() as well, which also changes the page.
value($node, q(SELECT nextval('flake_mark') FROM generate_series(1, 100)));
all_go_on('nextval()');
crash('nextval()');

# Unlogged: an error for everybody, until it is logged again.
value($node, 'ALTER SEQUENCE flake_mark SET UNLOGGED');
for my $session (@session)
{
	my (undef, $errors) = ask($session, NEXT_ID);

	like($errors, qr/ERROR:  55000: "flake_mark" is not a permanent, logged sequence/,
		'unlogged: an error');
	like($errors, qr/^HINT:  Use ALTER SEQUENCE flake_mark SET LOGGED\.$/m, '... with a hint');
}
value($node, 'ALTER SEQUENCE flake_mark SET LOGGED');
all_go_on('logged again');
crash('logged again');

stop_node($node);
eval { $_->quit } for @session;
is(scalar keys %{ { map { $_ => 1 } @id } }, scalar @id, 'no id twice');
done_testing();
