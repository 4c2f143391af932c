--
-- The registry of node ids: leases, their renewal and release, rights, the guard
-- of its tables, and what flake_check() says.  What several sessions do to it is
-- in test/specs/registry.spec, what crashes and copies do in test/t/.
--
-- In a database of its own.
--
SELECT current_database() AS here \gset
CREATE DATABASE regress_flake_registry;
\c regress_flake_registry
\set VERBOSITY terse
SET datestyle = ISO;
-- what default privileges give to others
CREATE ROLE regress_flake_holder;
CREATE ROLE regress_flake_monitor IN ROLE pg_monitor;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_flake_holder WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO regress_flake_holder;
CREATE EXTENSION flake;
CREATE EXTENSION flake_registry;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC, regress_flake_holder;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM regress_flake_holder;
-- is not theirs: each object that others have rights on
SELECT object, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS grantee, string_agg(privilege_type, ', ') AS rights
FROM pg_depend AS d, pg_extension AS e, LATERAL (
	SELECT 'table ' || oid::regclass, relowner, relacl FROM pg_class WHERE oid = d.objid AND d.classid = 'pg_class'::regclass
	UNION ALL
	SELECT 'function ' || oid::regprocedure, proowner, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc WHERE oid = d.objid AND d.classid = 'pg_proc'::regclass
) AS o(object, owner, acl), aclexplode(acl) AS a
WHERE extname = 'flake_registry' AND refclassid = 'pg_extension'::regclass AND refobjid = e.oid AND deptype = 'e' AND grantee <> owner
GROUP BY object, grantee ORDER BY object COLLATE "C", grantee;
SELECT proname, proconfig FROM pg_proc WHERE proname ~ '^flake_.*_(nodes?|registry)$' AND prosecdef ORDER BY proname COLLATE "C";

-- times in seconds from now
CREATE FUNCTION at(seconds float8) RETURNS bigint
	RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + (seconds * 1000000)::bigint;
-- uuids that are easy to read
CREATE FUNCTION u(n integer) RETURNS uuid RETURN ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid;

-- not set up
SELECT * FROM flake_lease_node('a', u(1), at(0), at(30));
\set VERBOSITY sqlstate
SELECT flake_accept_registry();
\set VERBOSITY terse
SELECT * FROM flake.nodes;
SELECT flake_create_nodes(-1, 5);
SELECT flake_create_nodes(0, 4194304);
SELECT flake_create_nodes(5, 4);
SELECT flake_create_nodes(NULL, 4);
SELECT flake_create_nodes(1, 4, NULL);
SELECT flake_release_node(1, u(1), NULL);

-- node ids that an earlier registry may have leased begin after a gap
SELECT now() AS before \gset
SELECT flake_create_nodes(0, 3);
UPDATE flake.node_registry SET fsync_off = true;
SELECT node_id, state, valid_from, used_until BETWEEN timestamptz :'before' + interval '1 hour 1 min' AND now() + interval '1 hour 1 min' AS after_gap FROM flake.nodes;
SELECT * FROM flake_lease_node('a', u(1), at(0), at(30));
\set VERBOSITY sqlstate
SELECT * FROM flake_lease_node('a', u(1), at(0), at(30));
SELECT flake_reserve_node(0);
\set VERBOSITY terse
SELECT flake_drop_nodes(0, 3) > at(3600) AS may_be_in_use;
SELECT flake_drop_nodes(0, 3);
SELECT * FROM flake_lease_node('a', u(1), at(0), at(30));
-- those that were never used don't
SELECT flake_create_nodes(0, 3, never_used => true);
SELECT flake_create_nodes(3, 4);
SELECT flake_reserve_node(3);
SELECT flake_reserve_node(3);
SELECT flake_reserve_node(4);
-- one that was given out by hand may have been used until it is dropped
SELECT at(0) AS dropped \gset
SELECT flake_create_nodes(90, 90, never_used => true), flake_reserve_node(90);
SELECT flake_drop_nodes(90, 90) > :dropped + 2 * 60000000 AS by_any_clock;
SELECT flake_drop_nodes(90, 90);
SELECT flake_create_nodes(90, 90, never_used => true);
SELECT state, used_until > timestamptz 'epoch' + (:dropped + 60000000) * interval '1 us' AS not_before FROM flake.nodes WHERE node_id = 90;
SELECT flake_drop_nodes(90, 90) > 0 AS dropped;

--
-- Claims
--
CREATE VIEW nodes AS SELECT node_id, state, holder FROM flake.nodes ORDER BY node_id;
SELECT at(0) AS before \gset
SELECT node_id, valid_from, valid_until FROM flake_lease_node('a', u(1), at(0), at(30)) \gset
SELECT :node_id AS node_id, :valid_from BETWEEN :before AND at(0) AS from_now, :valid_until BETWEEN :before + 30000000 AND at(30) AS for_so_long;
-- the same claim again: the same answer, but for a later end
SELECT node_id, valid_from = :valid_from AS same, valid_until > :valid_until AS later FROM flake_lease_node('a', u(1), at(0), at(30));
-- never further than max_lease, nor by less than it was
SELECT node_id, valid_from = :valid_from AS same, valid_until BETWEEN at(3500) AND at(3600) AS clamped FROM flake_lease_node('a', u(1), at(0), at(100000));
SELECT node_id, valid_until BETWEEN at(3500) AND at(3600) AS stays FROM flake_lease_node('a', u(1), at(0), at(30));
SELECT node_id FROM flake_lease_node('b', u(2), at(0), at(30));
SELECT * FROM nodes;
SELECT holder, clock_offset BETWEEN interval '-1 min' AND '0' AS clock_offset FROM flake.nodes WHERE state = 'held';

-- arguments
SELECT * FROM flake_lease_node(NULL, u(3), at(0), at(30));
SELECT * FROM flake_lease_node('c', NULL, at(0), at(30));
SELECT * FROM flake_lease_node('', u(3), at(0), at(30));
SELECT * FROM flake_lease_node(repeat('c', 256), u(3), at(0), at(30));
SELECT * FROM flake_lease_node(repeat('é', 128), u(3), at(0), at(30));
SELECT * FROM flake_lease_node('c', u(3), 1000000, 1000000);
-- a clock that is off by more than a minute
\set VERBOSITY sqlstate
SELECT * FROM flake_lease_node('c', u(3), at(3600), at(7200));
SELECT * FROM flake_lease_node('c', u(3), at(-3600), at(30));
SELECT * FROM flake_lease_node('c', u(3), 9223372036854775806, 9223372036854775807);
SELECT * FROM flake_lease_node('c', u(3), -9223372036854775808, 9223372036854775807);
\set VERBOSITY terse
-- one that is off by less: not before what was granted
SELECT at(-40) AS behind \gset
SELECT node_id, valid_from = :behind AS from_then FROM flake_lease_node('c', u(3), :behind, at(1));
SELECT at(-20) AS last \gset
SELECT flake_release_node(2, u(3), :last);
SELECT node_id, valid_from - :last AS after_it FROM flake_lease_node('c', u(4), :behind, at(30));
SELECT flake_release_node(2, u(4), 0);
-- one that has ended is left to its holder for a while
UPDATE flake.node_registry SET grace = '1 h';
SELECT node_id FROM flake_lease_node('c', u(6), at(-10), at(-1));
SELECT node_id, state FROM flake.nodes WHERE node_id = 2;
SELECT * FROM flake_lease_node('d', u(7), at(0), at(30));
\set VERBOSITY sqlstate
UPDATE flake.node_registry SET max_clock_offset = '1 s';
SELECT flake_reserve_node(2);
UPDATE flake.node_registry SET max_clock_offset = DEFAULT;
SELECT substr(:'LAST_ERROR_MESSAGE', 1, 30) AS message, substr(:'LAST_ERROR_MESSAGE', 31)::timestamptz > now() + interval '59 min' AS in_the_future;
\set VERBOSITY terse
SELECT flake_renew_node(2, u(6), u(7), at(-10), at(-0.5)) < at(-0.4) AS renewed;
UPDATE flake.node_registry SET grace = '0';
SELECT node_id FROM flake_lease_node('d', u(8), at(0), at(30));
SELECT previous_lease FROM flake.node WHERE node_id = 2;
UPDATE flake.node_registry SET grace = DEFAULT;
SELECT flake_renew_node(2, u(7), u(6), at(0), at(30));
SELECT flake_release_node(2, u(8), 0);
SELECT at(40) AS ahead \gset
SELECT node_id, valid_from = :ahead AS from_then FROM flake_lease_node('c', u(5), :ahead, at(80));
SELECT clock_offset BETWEEN interval '1 s' AND '40 s' AS off FROM flake.nodes WHERE node_id = 2;

-- all are taken
\set VERBOSITY sqlstate
SELECT * FROM flake_lease_node('d', u(6), at(0), at(30));
\set VERBOSITY terse
SELECT * FROM flake_lease_node('d', u(6), at(0), at(30));
SELECT severity, what FROM flake_check() WHERE what LIKE '% of % node ids are held';

--
-- Renewals
--
-- under the next name; the same again is answered again
SELECT t BETWEEN at(3500) AND at(3600) AS renewed FROM flake_renew_node(0, u(1), u(11), at(0), at(4000)) AS t;
SELECT t BETWEEN at(3500) AND at(3600) AS renewed FROM flake_renew_node(0, u(1), u(11), at(0), at(4000)) AS t;
-- of two copies of a holder one is renewed again
SELECT flake_renew_node(0, u(1), u(12), at(0), at(30));
-- nor one that knows the name by which it is held only
SELECT flake_renew_node(0, u(99), u(11), at(0), at(30));
SELECT flake_renew_node(0, u(11), u(13), at(0), at(30)) > at(3500) AS never_shorter;
SELECT flake_renew_node(0, u(1), u(11), at(0), at(30));
-- whatever the clock says
SELECT t BETWEEN at(3500) AND at(3600) AS clamped FROM flake_renew_node(1, u(2), u(21), at(100000), at(200000)) AS t;
SELECT t BETWEEN at(3500) AND at(3600) AS stays FROM flake_renew_node(1, u(21), u(22), at(-100000), at(-99000)) AS t;
SELECT clock_offset BETWEEN interval '-100001 s' AND '-99999 s' AS off FROM flake.nodes WHERE node_id = 1;
-- of another node id, of nobody, of one that is not there
SELECT flake_renew_node(1, u(13), u(14), at(0), at(30));
SELECT flake_renew_node(3, u(13), u(14), at(0), at(30));
SELECT flake_renew_node(99, u(13), u(14), at(0), at(30));
SELECT flake_renew_node(0, u(13), u(13), at(0), at(30));
SELECT flake_renew_node(0, NULL, u(13), at(0), at(30));
\set VERBOSITY sqlstate
SELECT flake_renew_node(0, u(1), u(12), at(0), at(30));
\set VERBOSITY terse

--
-- Release
--
-- not by the name before a renewal, which a copy of the holder may have; twice is once
SELECT valid_from AS began FROM flake.nodes WHERE node_id = 0 \gset
SELECT flake_release_node(0, u(12), at(0));
SELECT flake_release_node(0, u(11), 0);
SELECT state, holder FROM flake.nodes WHERE node_id = 0;
SELECT at(1) AS last \gset
SELECT flake_release_node(0, u(13), :last);
SELECT flake_release_node(0, u(13), :last);
SELECT flake_release_node(0, u(13), 0);
SELECT flake_renew_node(0, u(13), u(14), at(0), at(30));
SELECT state, holder, used_until = timestamptz 'epoch' + (:last + 1) * interval '1 us' AS after_the_last FROM flake.nodes WHERE node_id = 0;
-- it is not leased before that
SELECT node_id FROM flake_lease_node('d', u(31), at(0), at(30));
-- not before its beginning, not after its end
SELECT flake_drop_nodes(0, 0) > :last AS dropped;
SELECT flake_create_nodes(91, 91, never_used => true);
SELECT node_id AS mine, valid_from AS began FROM flake_lease_node('d', u(32), at(0), at(30)) \gset
SELECT flake_release_node(:mine, u(32), 0);
SELECT used_until = timestamptz 'epoch' + :began * interval '1 us' AS all_back FROM flake.nodes WHERE node_id = :mine;
SELECT node_id = :mine AS again, valid_until AS ends FROM flake_lease_node('d', u(31), at(0), at(30)) \gset
SELECT :'again' AS again;
SELECT flake_release_node(:mine, u(32), at(0));
SELECT flake_release_node(:mine, u(31), 9223372036854775807);
SELECT used_until = timestamptz 'epoch' + :ends * interval '1 us' AS all_used FROM flake.nodes WHERE node_id = :mine;

-- the order in which claims choose: what is behind the claimer's clock, its own
-- name, the longest unused
SELECT flake_release_node(1, u(22), 0), flake_release_node(2, u(5), 0);
SELECT flake_drop_nodes(0, 2) > 0 AS dropped, flake_drop_nodes(91, 91) > 0 AS dropped;
SELECT flake_create_nodes(10, 13, never_used => true), at(0) AS base \gset
SELECT node_id FROM generate_series(10, 13) AS n, LATERAL flake_lease_node('n' || n, u(n + 100), :base - 50000000, :base + 10000000);
SELECT count(flake_release_node(n, u(n + 100), :base - 50000000 + n * 1000000)) FROM generate_series(10, 13) AS n;
SELECT node_id FROM flake_lease_node('n12', u(41), at(0), at(30));
SELECT flake_release_node(12, u(41), 0);
SELECT node_id FROM flake_lease_node('n12', u(42), :base - 39500000, at(30));
SELECT node_id FROM flake_lease_node('n9', u(43), at(0), at(30));
SELECT * FROM nodes;

--
-- A transaction of its own
--
BEGIN;
SELECT * FROM flake_lease_node('e', u(50), at(0), at(30));
ROLLBACK;
BEGIN;
SELECT flake_renew_node(1, u(21), u(22), at(0), at(30));
ROLLBACK;
BEGIN;
SELECT flake_release_node(1, u(21), at(0));
ROLLBACK;
SELECT 1 AS one \; SELECT * FROM flake_lease_node('e', u(50), at(0), at(30));
DO $$ BEGIN
	PERFORM flake_lease_node('e', u(50), at(0), at(30));
EXCEPTION WHEN division_by_zero THEN NULL;
END $$;
SET default_transaction_isolation = 'repeatable read';
SELECT * FROM flake_lease_node('e', u(50), at(0), at(30));
SET default_transaction_isolation = 'serializable';
SELECT * FROM flake_lease_node('e', u(50), at(0), at(30));
RESET default_transaction_isolation;
SET default_transaction_read_only = on;
SELECT * FROM flake_lease_node('e', u(50), at(0), at(30));
SELECT flake_drop_nodes(0, 0);
RESET default_transaction_read_only;
-- what is set for the session does not matter
SET synchronous_commit = off;
SET lock_timeout = '1 ms';
SET search_path = public;
CREATE FUNCTION public.greatest_of(bigint, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
CREATE OPERATOR public.<= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = public.greatest_of);
SET search_path = public, pg_catalog;
SELECT l.node_id, current_setting('synchronous_commit', l.node_id IS NULL) AS synchronous_commit,
	current_setting('lock_timeout', l.node_id IS NULL) AS lock_timeout, current_setting('search_path', l.node_id IS NULL) AS search_path
FROM flake_lease_node('e', u(50), at(0), at(30)) AS l;
SHOW synchronous_commit;
RESET search_path;
RESET lock_timeout;
RESET synchronous_commit;
DROP OPERATOR public.<= (bigint, bigint);
DROP FUNCTION public.greatest_of;

--
-- Node ids that go and come again
--
SELECT (1000000 * extract(epoch FROM max(used_until)))::bigint AS until FROM flake.nodes \gset
SELECT flake_drop_nodes(10, 99) = :until + 60000000 AS by_any_clock;
SELECT * FROM nodes;
SELECT * FROM flake_lease_node('e', u(51), at(0), at(30));
SELECT flake_renew_node(12, u(42), u(51), at(0), at(30));
-- what was leased is not leased again before its end
SELECT flake_create_nodes(10, 13, never_used => true);
SELECT node_id, state, used_until > now() AS still FROM flake.nodes ORDER BY node_id;
\set VERBOSITY sqlstate
SELECT flake_reserve_node(10);
-- nor by a clock that is behind
SELECT flake_reserve_node(12);
\set VERBOSITY terse

--
-- Rights
--
SET ROLE regress_flake_holder;
SELECT * FROM flake_lease_node('f', u(60), at(0), at(30));
SELECT flake_renew_node(1, u(60), u(61), at(0), at(30));
SELECT flake_release_node(1, u(60), 0);
RESET ROLE;
GRANT EXECUTE ON FUNCTION flake_lease_node, flake_renew_node, flake_release_node TO regress_flake_holder;
SELECT flake_create_nodes(20, 29, never_used => true);
SET ROLE regress_flake_holder;
SELECT node_id AS mine FROM flake_lease_node('f', u(60), at(0), at(30)) \gset
SELECT flake_renew_node(:mine, u(60), u(61), at(0), at(30)) > at(0) AS renewed;
SELECT flake_release_node(:mine, u(61), at(0));
-- nothing else
SELECT flake_create_nodes(30, 31);
SELECT flake_drop_nodes(0, 1);
SELECT flake_reserve_node(22);
SELECT flake_accept_registry();
SELECT count(*) FROM flake.node;
SELECT count(*) FROM flake.nodes;
DELETE FROM flake.node;
UPDATE flake.node_registry SET max_lease = '2 s';
SELECT flake.registry_state();
SELECT current_user;
-- one who monitors sees no credentials
SET ROLE regress_flake_monitor;
SELECT count(*) > 0 AS seen FROM flake.nodes;
SELECT count(lease) FROM flake.node;
SELECT problem FROM flake.registry_state();
SELECT count(*) >= 0 AS seen FROM flake_check();
RESET ROLE;

--
-- The tables' guard
--
UPDATE flake.node SET used_until = 0;
DELETE FROM flake.node;
INSERT INTO flake.node (node_id, used_until) VALUES (77, 0);
TRUNCATE flake.node;
TRUNCATE flake.node_registry;
UPDATE flake.node_registry SET timeline = 7;
DELETE FROM flake.node_registry;
COPY flake.node (node_id, used_until) FROM stdin;
77	0
\.
-- nor is the guard called by hand, or what closes the tables to others
SELECT flake.registry_guard() IS NULL;
CREATE FUNCTION close() RETURNS void AS '$libdir/flake', 'flake_registry_close' LANGUAGE C;
SELECT close();
DROP FUNCTION close;
-- also when a superuser's trigger calls the functions between two of their rows, and
-- when it fails
CREATE FUNCTION nested() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM problem FROM flake.registry_state();
	IF current_setting('flake_test.fail', true) = 'on' THEN RAISE EXCEPTION 'failed'; END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER nested BEFORE UPDATE ON flake.node FOR EACH ROW EXECUTE FUNCTION nested();
SELECT flake_create_nodes(60, 62, never_used => true), flake_reserve_node(60), flake_reserve_node(61), flake_reserve_node(62);
SELECT flake_drop_nodes(60, 62) > 0 AS dropped;
UPDATE flake.node SET used_until = 0;
SET flake_test.fail = on;
SELECT flake_create_nodes(60, 62, never_used => true);
UPDATE flake.node SET used_until = 0;
RESET flake_test.fail;
DROP TRIGGER nested ON flake.node;
-- a restore's row is not taken where there is one
COPY flake.node_registry (max_lease, gap) FROM stdin;
1 day	1 day
\.
-- nor what replication brings
SET session_replication_role = replica;
INSERT INTO flake.node (node_id, used_until) VALUES (77, 0);
UPDATE flake.node SET used_until = 0;
DELETE FROM flake.node;
DELETE FROM flake.node_registry;
TRUNCATE flake.node;
SELECT node_id FROM flake_lease_node('g', u(70), at(0), at(30));
RESET session_replication_role;
-- rules may be changed
UPDATE flake.node_registry SET max_lease = '2 h';
UPDATE flake.node_registry SET max_lease = '2 h', gap = '2 h', max_clock_offset = '2 min', grace = '0';
UPDATE flake.node_registry SET max_lease = '0';
UPDATE flake.node_registry SET max_clock_offset = '0';
UPDATE flake.node_registry SET max_lease = '1 year', gap = '1 year';
SELECT max_lease, max_clock_offset, grace, gap, fsync_off FROM flake.node_registry;
SELECT node_id, valid_from BETWEEN at(60) AND at(110) AS ahead FROM flake_lease_node('g', u(71), at(110), at(200));
-- also in months
UPDATE flake.node_registry SET max_lease = '1 mon', gap = '1 mon';
SELECT flake_create_nodes(40, 40, never_used => true);
SELECT node_id, valid_until BETWEEN at(29.9 * 86400) AND at(30 * 86400) AS thirty_days FROM flake_lease_node('g', u(75), at(0), at(31 * 86400));
SELECT flake_release_node(40, u(75), 0), flake_drop_nodes(40, 40) > 0 AS dropped;
UPDATE flake.node_registry SET max_lease = '2 h', gap = '2 h';
-- what is written to the server's files leaves it the same
CHECKPOINT;
SELECT problem FROM flake.registry_state();
-- not logged
ALTER TABLE flake.node SET UNLOGGED;
SELECT * FROM flake_lease_node('g', u(72), at(0), at(30));
SELECT severity, what FROM flake_check() WHERE what LIKE 'table%';
ALTER TABLE flake.node SET LOGGED;
ALTER TABLE flake.node_registry SET UNLOGGED;
SELECT * FROM flake_lease_node('g', u(72), at(0), at(30));
ALTER TABLE flake.node_registry SET LOGGED;

--
-- What flake_check() says
--
CREATE VIEW findings AS
SELECT severity, regexp_replace(what, '[0-9]{4}-.*', 'T') AS what, why LIKE '%.' AS why, what_to_do <> '' AS what_to_do
FROM flake.check_registry() ORDER BY what COLLATE "C";
SELECT * FROM findings;
SELECT node_id FROM flake_lease_node('g', u(73), at(0), at(30));
SELECT count(*) FROM findings WHERE what LIKE 'holder%';
SELECT node_id FROM flake_lease_node('g', u(74), at(0), at(30));
SELECT * FROM findings;
ALTER TABLE flake.node DISABLE TRIGGER guard;
ALTER TABLE flake.node_registry ENABLE TRIGGER guard_truncate;
GRANT SELECT, UPDATE ON flake.node TO regress_flake_monitor, PUBLIC;
SELECT * FROM findings;
REVOKE ALL ON flake.node FROM regress_flake_monitor, PUBLIC;
ALTER TABLE flake.node ENABLE ALWAYS TRIGGER guard;
ALTER TABLE flake.node_registry ENABLE ALWAYS TRIGGER guard_truncate;
SELECT count(*) FROM flake_check() WHERE what LIKE 'holder "g" holds % node ids';

--
-- A registry that is accepted
--
-- by a superuser who knows better: leases that go on are renewed, those that have
-- ended are not, and none is made before the gap has passed
SELECT node_id AS gone FROM flake_lease_node('h', u(80), at(-1), at(0.2)) \gset
SELECT node_id AS goes_on FROM flake_lease_node('i', u(81), at(0), at(1000)) \gset
SELECT t BETWEEN at(7200 + 60) AND at(7200 + 120) AS after_gap FROM flake_accept_registry() AS t;
-- not for long among other things, for nobody else can renew meanwhile
BEGIN;
SELECT flake_accept_registry();
ROLLBACK;
-- again: from then on, but never earlier
SELECT claims_from AS first_time FROM flake.node_registry \gset
SELECT flake_accept_registry() > :first_time AS later;
UPDATE flake.node_registry SET max_lease = '2 s', gap = '2 s';
SELECT claims_from AS second_time FROM flake.node_registry \gset
SELECT flake_accept_registry() = :second_time AS as_late;
UPDATE flake.node_registry SET max_lease = '2 h', gap = '2 h';
SELECT flake_renew_node(:gone, u(80), u(82), at(0), at(30));
SELECT flake_renew_node(:goes_on, u(81), u(83), at(0), at(1000)) > at(990) AS renewed;
\set VERBOSITY sqlstate
SELECT * FROM flake_lease_node('j', u(84), at(0), at(30));
\set VERBOSITY terse
SELECT * FROM findings;

-- a copy of the files is noticed by either
CREATE FUNCTION problem_with(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	ALTER TABLE flake.node_registry DISABLE TRIGGER guard;
	EXECUTE 'UPDATE flake.node_registry SET ' || change;
	found := concat_ws(': ', problem, detail) FROM flake.registry_state();
	RAISE EXCEPTION USING ERRCODE = 'FL001', MESSAGE = found;
EXCEPTION WHEN SQLSTATE 'FL001' THEN
	RETURN SQLERRM;
END $$;
SELECT problem_with('control_inode = control_inode + 1');
SELECT problem_with('control_born = control_born - 1');
SELECT problem_with('gap = gap');

-- made anew, it does not know what was leased: the rules come from the dump, and
-- it is not accepted before somebody says so
DROP EXTENSION flake_registry CASCADE;
CREATE EXTENSION flake_registry;
SELECT count(*) FROM flake.registry_state() WHERE problem IS NOT NULL;
COPY flake.node_registry (max_lease, gap, fsync_off, system_identifier, timeline, database, control_inode, control_born) FROM stdin;
5 s	10 s	t	12	13	14	15	16
\.
SELECT num_nonnulls(system_identifier, timeline, database, control_inode, control_born) AS kept FROM flake.node_registry;
\set VERBOSITY default
SELECT flake_create_nodes(0, 3);
\set VERBOSITY terse
SELECT * FROM flake_lease_node('a', u(1), at(0), at(30));
SELECT * FROM flake.registry_state();
SELECT severity, what FROM flake_check() WHERE what LIKE 'registry%';
-- also where operators of others come first
CREATE FUNCTION never(boolean, boolean) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR public.= (LEFTARG = boolean, RIGHTARG = boolean, FUNCTION = never);
CREATE OPERATOR public.<> (LEFTARG = boolean, RIGHTARG = boolean, FUNCTION = never);
SET search_path = public, pg_catalog;
SELECT problem FROM flake.registry_state();
RESET search_path;
DROP OPERATOR public.= (boolean, boolean), public.<> (boolean, boolean);
DROP FUNCTION never;
SELECT t BETWEEN at(30) AND at(70) AS after_gap FROM flake_accept_registry() AS t;
SELECT flake_create_nodes(0, 3);
SELECT problem FROM flake.registry_state();
-- not with a clock that is before the leases that it knows
DROP EXTENSION flake_registry;
CREATE EXTENSION flake_registry;
SELECT flake_create_nodes(1, 1, never_used => true);
UPDATE flake.node_registry SET fsync_off = true, max_clock_offset = '1 day', max_lease = '2 days', gap = '2 days';
SELECT at(40000) AS ahead \gset
SELECT valid_from = :ahead AS ahead FROM flake_lease_node('a', u(1), :ahead, at(80000));
UPDATE flake.node_registry SET max_clock_offset = DEFAULT;
SELECT flake_accept_registry();
UPDATE flake.node_registry SET max_clock_offset = '12 h';
SELECT flake_accept_registry() > at(2 * 86400 + 11 * 3600) AS after_gap;
-- a lease that would be over before the last one of its node id ended
DROP EXTENSION flake_registry;
CREATE EXTENSION flake_registry;
SELECT flake_create_nodes(1, 1, never_used => true);
UPDATE flake.node_registry SET fsync_off = true;
SELECT node_id FROM flake_lease_node('a', u(1), at(0), at(30));
SELECT flake_release_node(1, u(1), at(-10));
SELECT flake_lease_node('a', u(2), at(-50), at(-40));
SELECT node_id, valid_from > at(-40) AS later FROM flake_lease_node('a', u(2), at(-50), at(30));
-- three of four are held: nothing to say
SELECT flake_create_nodes(2, 4, never_used => true);
SELECT count(flake_lease_node('n' || n, u(n), at(0), at(30))) FROM generate_series(3, 4) AS n;
SELECT what FROM flake_check() WHERE what LIKE '% node ids are held';
-- the end is by the registry's clock
SELECT valid_from > at(40) AS ahead, valid_until BETWEEN at(3500) AND at(3600) AS clamped FROM flake_lease_node(repeat('é', 127), u(5), at(50), at(100000));
SELECT octet_length(holder) FROM flake.nodes WHERE holder LIKE 'é%';
-- of several the latest time is told, whichever was renewed last
SELECT flake_release_node(4, u(5), 0);
SELECT flake_renew_node(1, u(2), u(22), at(0), at(100000)) > at(3500) AS renewed;
SELECT node_id AS mine FROM flake.nodes WHERE holder = 'n3' \gset
SELECT flake_renew_node(:mine, u(3), u(33), at(0), at(30)) < at(31) AS renewed;
SELECT flake_drop_nodes(1, 4) > at(3500) AS latest;
SELECT flake_create_nodes(1, 1);
-- no node ids, and none but reserved ones
DROP EXTENSION flake_registry;
CREATE EXTENSION flake_registry;
SELECT flake_create_nodes(1, 1, never_used => true);
UPDATE flake.node_registry SET fsync_off = true;
SELECT flake_reserve_node(1);
\set VERBOSITY default
SELECT * FROM flake_lease_node('a', u(1), at(0), at(30));
SELECT flake_drop_nodes(1, 1) > 0 AS dropped;
SELECT * FROM flake_lease_node('a', u(1), at(0), at(30));
\set VERBOSITY terse

-- a copy of the database
\c :here
CREATE DATABASE regress_flake_registry_copy TEMPLATE regress_flake_registry;
\c regress_flake_registry_copy
SELECT problem, regexp_replace(detail, '[0-9]+', 'N', 'g') AS detail FROM flake.registry_state();
SELECT * FROM flake_lease_node('a', u(1), at(0), at(30));
SELECT flake_drop_nodes(0, 0);
SELECT flake_reserve_node(0);
SELECT flake_create_nodes(50, 51);
DROP EXTENSION flake CASCADE;
SELECT to_regclass('flake.node');

\c :here
DROP DATABASE regress_flake_registry_copy;
DROP DATABASE regress_flake_registry;
DROP ROLE regress_flake_holder, regress_flake_monitor;
