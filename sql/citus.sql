--
-- How the nodes of a Citus cluster are asked for their node ids, by a stand-in for
-- the catalogs and functions of Citus: what they answer, and every way in which that
-- can fail.  What follows from the answers is in a TAP test.
--
SELECT current_database() AS here \gset
CREATE DATABASE regress_flake_citus;
\c regress_flake_citus
CREATE EXTENSION flake;
SELECT * FROM flake.citus_state();
SELECT * FROM flake.citus_nodes();

SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_node (nodeid integer PRIMARY KEY, groupid integer NOT NULL, nodename text NOT NULL,
	nodeport integer NOT NULL DEFAULT 5432, isactive boolean NOT NULL DEFAULT true, noderole text NOT NULL DEFAULT 'primary');
CREATE TABLE pg_catalog.pg_dist_local_group (groupid integer NOT NULL PRIMARY KEY);
CREATE FUNCTION pg_catalog.run_command_on_all_nodes(command text, OUT nodeid integer, OUT success boolean, OUT result text)
	RETURNS SETOF record LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE current_setting('test.answers') USING command; END $$;
RESET allow_system_table_mods;
INSERT INTO pg_dist_local_group VALUES (0);
-- installed, then a coordinator without workers, which asks nobody
SELECT * FROM flake.citus_state();
INSERT INTO pg_dist_node VALUES (1, 0, 'coordinator');
\c -
SELECT * FROM flake.citus_state();
SELECT * FROM flake.citus_nodes();
INSERT INTO pg_dist_node VALUES (2, 1, 'worker');
UPDATE pg_dist_local_group SET groupid = 1;
\c -
SELECT * FROM flake.citus_state();

-- the question is one that a node can answer, under any search_path
CREATE FUNCTION answer(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE command INTO answer;
	RETURN answer;
END $$;
CREATE FUNCTION public.format(text, integer, text) RETURNS text RETURN 'other';
CREATE FUNCTION public.format(text, text, text) RETURNS text RETURN 'other';
SET test.answers = 'SELECT 2, true, public.answer($1)';
SET search_path = public, pg_catalog;
SELECT * FROM flake.citus_nodes() ORDER BY node COLLATE "C";
RESET search_path;
DROP FUNCTION public.format(text, integer, text), public.format(text, text, text);
-- with numbers of any layout
SET test.answers = $$VALUES (1, true, '0 Citus'), (2, true, '4194303 flake.node_id')$$;
SELECT * FROM flake.citus_nodes() ORDER BY node COLLATE "C";
-- a coordinator that has no row, answers that are none, and nodes that are not asked
DELETE FROM pg_dist_node WHERE nodeid = 1;
INSERT INTO pg_dist_node VALUES (3, 2, 'away'), (4, 3, 'odd'), (8, 6, 'silent');
INSERT INTO pg_dist_node VALUES (5, 4, 'old', 5433, false, 'primary'), (6, 1, 'standby', 5432, true, 'secondary'),
	(7, 5, 'clone', 5432, false, 'unavailable');
SET test.answers = $$VALUES (0, true, '7 Citus'), (2, true, '1 Citus'), (3, false, 'failed to connect to away:5432'),
	(4, true, 'in 7 Citus'), (8, true, NULL)$$;
SELECT * FROM flake.citus_nodes() ORDER BY node COLLATE "C";
-- nobody can be asked: their groups are told all the same
SET test.answers = 'SELECT 2, true, (1 / 0)::text';
SELECT * FROM flake.citus_nodes() ORDER BY node COLLATE "C";
SET test.answers = $$VALUES (2, true, '1 Citus'), (2, true, (1 / (SELECT 0))::text)$$;
SELECT count(*), count(DISTINCT node) FROM flake.citus_nodes();

-- settings are as before and so is the transaction, after many errors, too
SET test.answers = $$SELECT 2, true, concat_ws(' ', current_setting('search_path'), current_setting('citus.node_connection_timeout'))$$;
SELECT problem FROM flake.citus_nodes() WHERE node LIKE 'worker%';
SHOW search_path;
SELECT DISTINCT current_setting('citus.node_connection_timeout') AS timeout, current_setting('search_path') AS path FROM flake.citus_nodes();
SET test.answers = 'SELECT 2, true, (1 / 0)::text';
BEGIN;
CREATE TEMPORARY TABLE kept AS SELECT 1 AS n;
SAVEPOINT s;
SELECT count(*) FROM kept, LATERAL flake.citus_nodes();
ROLLBACK TO s;
DO $$
DECLARE
	problem text;
BEGIN
	FOR i IN 1 .. 20 LOOP
		SELECT string_agg(c.problem, ', ') INTO problem FROM flake.citus_nodes() AS c WHERE node IS NULL;
		ASSERT problem = 'division by zero' AND repeat('x', 100 * i) <> '', problem;
	END LOOP;
END $$;
INSERT INTO kept VALUES (2);
SELECT count(*) FROM kept;
COMMIT;
SHOW search_path;
-- in a parallel operation, which can't catch an error, nobody is asked
CREATE FUNCTION asked() RETURNS bigint LANGUAGE plpgsql PARALLEL SAFE AS $$ BEGIN RETURN (SELECT count(*) FROM flake.citus_nodes()); END $$;
CREATE TABLE many AS SELECT g FROM generate_series(1, 1000) AS g;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT DISTINCT asked() FROM many;
-- a query that is cancelled ends, and nothing but it
\set VERBOSITY terse
SET test.answers = 'SELECT 2, true, pg_sleep(60)::text';
SET statement_timeout = '100ms';
SELECT count(*) FROM flake.citus_nodes();
RESET statement_timeout;
SELECT 1 AS goes_on;
BEGIN;
SAVEPOINT s;
SET LOCAL statement_timeout = '100ms';
SELECT count(*) FROM flake.citus_nodes();
ROLLBACK TO s;
COMMIT;
SELECT 1 AS goes_on;

\c :here
DROP DATABASE regress_flake_citus;
