# The reference holder of doc/leases.md makes no id that was not leased to it, and none twice: while
# holders are stopped for longer than a lease, their clocks step, and the registry crashes.  One that
# looks at a heartbeat instead of the lease's interval does, so the test would see it.
#
# pg_regress has no holders.
#
# check: one major

use strict;
use warnings FATAL => 'all';

use FindBin;
use FlakeFaults;
use FlakeTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

need_faketime();

# The first of them that has the driver.
my ($python) = grep {
	my ($code) = eval { run_program($_, '-c', 'import psycopg; assert psycopg.__version__ >= "3"') };
	defined $code && $code == 0
} qw(python3 /usr/bin/python3);
plan skip_all => 'no Python with psycopg 3' unless defined $python;

random_seed();

my $page = slurp_file("$FindBin::RealBin/../../doc/leases.md");
my ($reference) = $page =~ /^```python\n(.*?)^```$/ms;

# Leases of a second, and half as many numbers as there are holders.
use constant LAYOUT => 'time:41 node:8 sequence:14';
my $registry = new_node('registry', conf => "fsync = on\nlog_min_duration_statement = 0\n");
my $dir = $registry->basedir;
append_to_file("$dir/reference.py", $reference);
append_to_file("$dir/run.py", <<'PYTHON');
import select, signal, sys
from reference import *


# What time.sleep() is built on fails under libfaketime.
def pause(seconds):
    select.select([], [], [], seconds)


# Renews in the background while it can, and uses what it has until it is told that it is lost.
class Naive(Holder):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        threading.Thread(target=self.heartbeat, daemon=True).start()

    def heartbeat(self):
        while True:
            with self.lock:
                try:
                    if self.node is None:
                        self.claim(clock_us())
                    else:
                        self.renew(clock_us())
                        if self.renew_at == self.valid_until:
                            self.node, self.lease = None, uuid.uuid4()
                except psycopg.Error:
                    pass
            pause(0.2)

    def next_id(self):
        tick = max(clock_us() // TICK_US, self.tick)
        self.sequence = self.sequence + 1 if tick == self.tick else 0
        self.tick, node = tick, self.node
        if node is None:
            raise NoLease()
        return (tick - EPOCH_US // TICK_US) << 22 | node << 14 | self.sequence


# Gives back what it has used.
class Forgetful(Holder):
    def release(self):
        self.used = False
        super().release()


kind, registry, name, file = sys.argv[1:]
going = True
def stop(signum, frame):
    global going
    going = False
signal.signal(signal.SIGTERM, stop)

holder = {'reference': Holder, 'naive': Naive, 'forgetful': Forgetful}[kind](registry, name, 1_000_000)
with open(file, 'w') as out:
    while going:
        try:
            out.write(f'{holder.next_id()}\n')
        except NoLease:
            pause(0.01)
        pause(0.0003)
if kind != 'naive':
    try:
        holder.release()
    except psycopg.Error:
        pass
PYTHON

value($registry, <<'SQL');
CREATE EXTENSION flake_registry;
SELECT flake_create_nodes(0, 0, never_used => true);
UPDATE flake.node_registry SET grace = '0';
CREATE ROLE holder LOGIN;
GRANT EXECUTE ON FUNCTION flake_lease_node, flake_renew_node, flake_release_node TO holder;
ALTER ROLE holder SET log_parameter_max_length = 0;

-- what was granted, as of each change, and whether it was given back then
CREATE TABLE granted (node_id int, holder text, valid_from bigint, valid_until bigint, released bool);
CREATE FUNCTION grant_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.granted VALUES (NEW.node_id, NEW.holder, NEW.valid_from, NEW.used_until, NEW.lease IS NULL);
	RETURN NULL;
END $$;
CREATE TRIGGER grant_made AFTER UPDATE ON flake.node FOR EACH ROW EXECUTE FUNCTION grant_made();
-- each lease as it was in the end
CREATE VIEW leases AS
SELECT node_id, holder, valid_from, coalesce(min(valid_until) FILTER (WHERE released), max(valid_until)) AS valid_until
FROM granted GROUP BY node_id, holder, valid_from;
CREATE TABLE made (holder text, id bigint);
SQL

# Runs four holders of a kind through so many faults, with three node ids from the given one on;
# returns how many ids were made, how many of them were not leased to who made them, how many were
# made twice, and how many holders made some.
sub suffer
{
	my ($kind, $first, $faults) = @_;
	my $connection = $registry->connstr('postgres') . ' user=holder';
	my @holder;

	value($registry, sprintf <<'SQL', $first, $first + 2);
SELECT flake_drop_nodes(0, 255), flake_create_nodes(%d, %d, never_used => true);
TRUNCATE granted, made;
SQL
	for my $number (1 .. 4)
	{
		my $holder = { name => "$kind $number", file => "$dir/$kind.$number", clock => "$dir/$kind.$number.clock", errors => '' };

		set_offset($holder, 0);
		local %ENV = (
			%ENV,
			LD_PRELOAD => faketime_library(),
			FAKETIME_TIMESTAMP_FILE => $holder->{clock},
			FAKETIME_NO_CACHE => 1,
			FAKETIME_DONT_FAKE_MONOTONIC => 1);
		$holder->{run} = IPC::Run::start([ $python, "$dir/run.py", $kind, $connection, $holder->{name}, $holder->{file} ],
			'<', \undef, '>', '/dev/null', '2>', \$holder->{errors});
		push @holder, $holder;
	}
	wait_until('three of four have a lease', sub { 3 <= grep { -s $_->{file} } @holder });

	for my $round (1 .. $faults)
	{
		my $holder = $holder[ int rand 4 ];
		my $other = $holder[ int rand 4 ];
		my $offset = (0, 3, -3, 5, -3600, 3600)[ int rand 6 ];

		note "$holder->{name} is stopped, clock of $other->{name} $offset s off";
		$holder->{run}->signal('STOP');
		set_offset($other, $offset);
		usleep(1_300_000 + rand 700_000);
		restart_node($registry, 'immediate') if $round == 4;
		$holder->{run}->signal('CONT');
		usleep(rand 500_000);
		set_offset($other, 0) if $round % 2;
	}
	set_offset($_, 0) for @holder;
	usleep(1_500_000);

	for my $holder (@holder)
	{
		$holder->{run}->signal('TERM');
		ok($holder->{run}->finish, "$holder->{name} ends well") or diag($holder->{errors});
		value($registry, <<"SQL");
ALTER TABLE made ALTER holder SET DEFAULT '$holder->{name}';
COPY made (id) FROM '$holder->{file}';
SQL
	}
	return split /\|/, value($registry, sprintf <<'SQL', LAYOUT);
SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM leases AS l
		WHERE l.holder = m.holder AND l.node_id = flake_node_id(m.id, '%1$s')
			AND flake_unix_ms(m.id, '%1$s') * 1000 >= l.valid_from AND flake_unix_ms(m.id, '%1$s') * 1000 < l.valid_until)),
	count(*) - count(DISTINCT id), count(DISTINCT holder)
FROM made AS m
SQL
}

# A holder's clock, in seconds ahead of the true one.
sub set_offset
{
	my ($holder, $offset) = @_;

	open my $out, '>', "$holder->{clock}.new" or die "$holder->{clock}: $!";
	printf $out "%+.6f\n", $offset;
	close $out or die "$holder->{clock}: $!";
	rename "$holder->{clock}.new", $holder->{clock} or die "$holder->{clock}: $!";
	return;
}

my ($made, $foreign, $twice, $holders) = suffer('reference', 1, 8);
note "reference: $made ids, $foreign not leased, $twice twice";
cmp_ok($made, '>', 1_000, 'the reference holders make ids');
is($holders, 4, '... each of them');
is($foreign, 0, '... each in an interval that was leased to who made it');
is($twice, 0, '... and none twice');
cmp_ok(value($registry, 'SELECT count(*) FROM granted WHERE released'), '>', 0, 'they release what they had');
my $log = slurp_file($registry->logfile);
ok($log =~ /flake_renew_node\(\$1/, 'the log has their statements');
ok($log !~ /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-/, '... and not their leases');

# the judge can see it
($made, $foreign) = suffer('forgetful', 21, 0);
cmp_ok($foreign, '>', 0, 'those that give back what they have used are found');

($made, $foreign, $twice) = suffer('naive', 11, 8);
note "naive: $made ids, $foreign not leased, $twice twice";
cmp_ok($foreign, '>', 0, 'naive ones make some that were not');

stop_node($registry);
done_testing();
