--
-- Named generators: made, used, dropped, rolled back, and who may.
--
-- an id that a parallel worker makes is not this process's last one
SET max_parallel_workers_per_gather = 0;
SET client_min_messages = error;
\set VERBOSITY terse
CREATE EXTENSION flake;

-- the default one needs no row
SELECT count(*) FROM flake_generator;
SELECT flake_generator_layout('default');

-- one with a layout of its own
SELECT flake_create_generator('orders', 'wide');
SELECT flake_generator_layout('orders');
SELECT flake_next_id('orders') < flake_next_id('orders') AS increasing;
SELECT flake_next_id('orders') = flake_last_id('orders') AS last, flake_last_id() = flake_last_id('orders') AS of_all;
SELECT (flake_parse(flake_next_id('orders'), flake_generator_layout('orders'))).created_at
  BETWEEN now() - interval '1 s' AND clock_timestamp() + interval '1.1 s' AS now;
SELECT count(DISTINCT id) FROM (SELECT flake_next_ids(3000, 'orders') AS id) AS s;
SELECT sum((last_id - first_id) / step + 1) FROM flake_reserve(3000, 'orders');
SELECT flake_prefixed('ORD_', generator => 'orders') LIKE 'ORD\_%' AS prefixed;

-- errors
SELECT flake_create_generator('orders', 'wide');
SELECT flake_next_id('nobody');
SELECT flake_next_ids(1, 'nobody');
SELECT * FROM flake_reserve(1, 'nobody');
SELECT flake_last_id('nobody');
SELECT flake_generator_layout('nobody');
SELECT flake_drop_generator('nobody');
SELECT flake_create_generator('', 'wide');
SELECT flake_create_generator(repeat('x', 64), 'wide');
SELECT flake_next_id(repeat('x', 64));
SELECT flake_create_generator('big', 'time:30 node:23');
SELECT flake_create_generator('big', 'time:40 slot:13');
SELECT flake_create_generator('slow', 'time:41 node:8 tick=1001ms');
SELECT flake_create_generator('apart', 'time:41 slot:4 node:4 sequence:8');
SELECT flake_create_generator('later', 'time:41 node:8 epoch=9000-01-01T00:00:00Z tick=1ms');
SELECT flake_create_generator('wrong', 'time:41 node:8 colour=red');
\set VERBOSITY sqlstate
SELECT flake_create_generator('orders', 'wide');
SELECT flake_next_id('nobody');
SELECT flake_next_ids(1, 'nobody');
SELECT * FROM flake_reserve(1, 'nobody');
SELECT flake_last_id('nobody');
SELECT flake_generator_layout('nobody');
SELECT flake_drop_generator('nobody');
SELECT flake_create_generator('', 'wide');
SELECT flake_create_generator('big', 'time:30 node:23');
SELECT flake_create_generator('later', 'time:41 node:8 epoch=9000-01-01T00:00:00Z tick=1ms');
INSERT INTO flake_generator VALUES ('big', 'time:30 node:23');
SELECT flake_next_id(NULL) IS NULL AS none;
-- a clock that is past the layout's end, and one whose node is too small
SELECT flake_create_generator('over', 'time:20 node:8 sequence:8 epoch=2025-01-01 tick=1ms');
SELECT flake_next_id('over');
\set VERBOSITY terse
-- the last tick is the end: no id beyond it, however it is come by
DO $$
DECLARE
	made bigint[] := '{}';
BEGIN
	PERFORM flake_create_generator('ends', ('time:2 sequence:1 tick=100ms epoch=' ||
		(date_part('epoch', clock_timestamp()) * 1000)::bigint - 1)::flake_layout);
	BEGIN
		LOOP
			made := made || flake_next_id('ends');
		END LOOP;
	EXCEPTION WHEN sequence_generator_limit_exceeded THEN
		RAISE WARNING 'SQLSTATE %: %', SQLSTATE, SQLERRM;
	END;
	ASSERT made[cardinality(made)] <= 7 AND made[1] >= 0, 'an id beyond the end: ' || made::text;
	PERFORM flake_drop_generator('ends');
END $$;
-- the trigger is for its own table
CREATE TEMP TABLE other (a bigint, b text);
CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION flake_generator_changed();
INSERT INTO other VALUES (5, 'x');
DROP TABLE other;
-- definitions can't be changed in place
UPDATE flake_generator SET layout = 'js' WHERE name = 'orders';

-- two generators of one layout share its slots: their ids differ
SELECT flake_create_generator('a', 'time:41 node:8 slot:6 sequence:8');
SELECT flake_create_generator('b', 'time:41 datacenter:4 server:4 slot:6 sequence:8');
SELECT count(*), count(DISTINCT id) FROM
  (SELECT flake_next_id('a') AS id FROM generate_series(1, 5000)
   UNION ALL SELECT flake_next_id('b') FROM generate_series(1, 5000)
   UNION ALL SELECT flake_next_id() FROM generate_series(1, 5000)) AS s;
SELECT flake_next_id('a') < flake_next_id('b') AS in_order;
-- also after one is dropped and made again
SELECT flake_next_id('a') AS before \gset
SELECT flake_drop_generator('a');
SELECT flake_next_id('a');
SELECT flake_create_generator('a', 'time:41 node:8 slot:6 sequence:8');
SELECT flake_last_id('b') IS NOT NULL AS b_has_one;
SELECT flake_next_id('a') > :before AS later;

-- layouts without slot or sequence bits, of other ticks and orders
SELECT flake_create_generator('single', 'time:41 node:8 sequence:12');
SELECT flake_create_generator('bare', 'time:48 node:8 tick=100us');
SELECT flake_create_generator('above', 'time:41 slot:3 sequence:6 node:8');
SELECT flake_create_generator('micro', 'time:53 node:4 slot:4 tick=1us epoch=2025-01-01');
SELECT name, count(*), count(DISTINCT id), bool_and(flake_node_id(id, layout) = flake_node_id(flake_next_id(name), layout)) AS node
FROM (SELECT name, layout, flake_next_ids(20, name) AS id FROM flake_generator WHERE name IN ('single', 'bare', 'above', 'micro') OFFSET 0) AS s
GROUP BY name ORDER BY name;

-- rolled back with their transaction
BEGIN;
SELECT flake_create_generator('undone', 'js');
SELECT flake_next_id('undone') < 9007199254740992 AS below_2_53;
ROLLBACK;
SELECT flake_next_id('undone');
BEGIN;
SELECT flake_drop_generator('orders');
SELECT flake_next_id('orders');
ROLLBACK;
SELECT flake_next_id('orders') > 0 AS back;
BEGIN;
SAVEPOINT s;
SELECT flake_create_generator('undone', 'js');
SELECT flake_next_id('undone') > 0 AS made;
ROLLBACK TO s;
SELECT flake_next_id('undone');
ROLLBACK;

-- seen at once by the statement that makes it
SELECT flake_create_generator('at_once', 'js'), flake_next_id('at_once') > 0 AS made;

-- the default one overridden, and back
SELECT flake_create_generator('default', 'js');
SELECT flake_generator_layout('default');
SELECT flake_next_id() < 9007199254740992 AS below_2_53;
SELECT (flake_parse(flake_next_id())).created_at > now() - interval '1 s' AS read_by_it;
SELECT flake_drop_generator('default');
SELECT flake_next_id() > 9007199254740992 AS above_2_53;
TRUNCATE flake_generator;
SELECT flake_next_id('orders');

-- who may
CREATE ROLE regress_flake_user;
SET ROLE regress_flake_user;
SELECT flake_next_id() > 0 AS made;
SELECT flake_generator_layout('default') IS NOT NULL AS readable;
\set VERBOSITY sqlstate
SELECT flake_create_generator('mine', 'js');
SELECT flake_accept_clock();
SELECT flake_reset_clock();
SELECT setval('flake_mark', 1);
CREATE TEMP TABLE other (a bigint, b text);
CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION flake_generator_changed();
DROP TABLE other;
\set VERBOSITY terse
RESET ROLE;
GRANT EXECUTE ON FUNCTION flake_accept_clock(), flake_reset_clock() TO regress_flake_user;
SET ROLE regress_flake_user;
SELECT flake_accept_clock();
SELECT flake_reset_clock();
RESET ROLE;
SELECT flake_next_id() > 0 AS goes_on;
GRANT INSERT ON flake_generator TO regress_flake_user;
SET ROLE regress_flake_user;
SELECT flake_create_generator('mine', 'flake');
RESET ROLE;
DROP OWNED BY regress_flake_user;
DROP ROLE regress_flake_user;

-- the server's settings are not a session's
\set VERBOSITY sqlstate
SET flake.node_id = '3';
SET flake.max_clock_lead = 1;
SET flake.max_clock_jump = 1;
SET flake.colour = 'red';
\set VERBOSITY terse
SHOW flake.max_clock_lead;
SHOW flake.max_clock_jump;

DROP EXTENSION flake;

-- at most 16 layouts through one database: one of its own, the others in this
-- server stay free
SELECT current_database() AS here \gset
CREATE DATABASE regress_flake_limit;
\c regress_flake_limit
SET client_min_messages = warning;
CREATE EXTENSION flake;
DO $$
BEGIN
	FOR i IN 1 .. 30 LOOP
		PERFORM flake_create_generator('g' || i, ('time:41 node:8 slot:1 sequence:5 tick=' || i || 'ms')::flake_layout);
		BEGIN
			PERFORM flake_next_id('g' || i);
		EXCEPTION WHEN configuration_limit_exceeded THEN
			RAISE WARNING 'layout %: SQLSTATE %: %', i, SQLSTATE, SQLERRM;
			EXIT;
		END;
	END LOOP;
END $$;

SELECT count(*) FROM flake_generator;
\c :here
DROP DATABASE regress_flake_limit;
