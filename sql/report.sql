--
-- Looking inside: flake_generators and flake_check().
--
-- "the clock is not synchronized" depends on the machine and is left out here;
-- a TAP test has a kernel that says what it is told to.
--
-- what a parallel worker does is counted as well, but not yet when it is asked
SET max_parallel_workers_per_gather = 0;
SET client_min_messages = error;
\set VERBOSITY terse
CREATE EXTENSION flake;

-- counted from the slots: at least what was given out, in time order
SELECT flake_create_generator('seconds', 'time:32 node:8 slot:2 sequence:14 tick=1s');
SELECT ids_taken AS before FROM flake_generators WHERE generator = 'seconds' \gset
SELECT count(flake_next_id('seconds')) FROM generate_series(1, 1000);
SELECT ids_taken - :before BETWEEN 1000 AND 20000 AS counted,
       last_id >= flake_last_id('seconds') AS latest,
       last_time = flake_timestamp(last_id, layout) AS its_time,
       ahead BETWEEN interval '0' AND interval '3 s' AS ahead,
       node_id = (flake_node()).node_id AS node, node_source = (flake_node()).source AS source,
       waits >= 0 AND wait_time >= interval '0' AS waits,
       mark > last_time AND mark < last_time + interval '10 s' AS mark,
       start_mark < mark AS start_mark, mark_moves > 0 AS moved, clock_steps >= 0 AS steps
FROM flake_generators WHERE generator = 'seconds';

-- a slot that is used up counts
SELECT sum(slots_used_up) AS before FROM flake_generators WHERE generator = 'default' \gset
SELECT count(flake_next_id()) FROM generate_series(1, 100000);
SELECT sum(slots_used_up) > :before AS counted FROM flake_generators WHERE generator = 'default';

-- one row each; default is there with a row in the table and without
SELECT generator FROM flake_generators ORDER BY generator;
SELECT flake_create_generator('default', 'classic');
SELECT generator, flake_slot(0, layout) FROM flake_generators ORDER BY generator;
SELECT flake_drop_generator('default');

-- findings, but for the clock's
CREATE VIEW findings AS SELECT severity, what, why <> '' AS why, what_to_do <> '' AS what_to_do
FROM flake_check() WHERE what NOT LIKE '%the clock%' ORDER BY what;
SELECT * FROM findings;
-- a column that is too small
CREATE TABLE small (a integer DEFAULT flake_next_id(), b smallint DEFAULT flake_next_id('seconds'),
                    c double precision DEFAULT flake_next_id(), d real DEFAULT flake_next_id(),
                    e bigint DEFAULT flake_next_id(), f text DEFAULT flake_prefixed('x'));
SELECT * FROM findings;
DROP TABLE small;
-- a generator that comes to its end within ten years
SELECT flake_create_generator('short', 'time:33 node:8 slot:1 sequence:8 tick=10ms epoch=2025-01-01');
SELECT severity, what ~ '^generator "short" comes to its end on 202[0-9]-' AS what FROM findings;
SELECT flake_drop_generator('short');
-- a mark that is not durable; no id is made then
ALTER SEQUENCE flake_mark SET UNLOGGED;
SELECT * FROM findings;
SELECT flake_next_id();
\set VERBOSITY sqlstate
SELECT flake_next_id();
\set VERBOSITY terse
ALTER SEQUENCE flake_mark SET LOGGED;
SELECT * FROM findings;
-- a mark that was set back, until the next id; what is left of a range may be
-- given out before, so this waits for the end of the last id's tick
CREATE PROCEDURE end_of_tick() LANGUAGE plpgsql AS $$
BEGIN
	WHILE clock_timestamp() < flake_timestamp(flake_last_id()) + interval '2 ms' LOOP
	END LOOP;
END $$;
SELECT flake_next_id() > 0 AS made;
SELECT setval('flake_mark', 1);
SELECT * FROM findings;
CALL end_of_tick();
SELECT flake_next_id() > 0 AS made;
SELECT * FROM findings;
SELECT last_value > 1 AS mended FROM flake_mark;
-- a mark that was set forward is honoured by the next id
SELECT setval('flake_mark', (date_part('epoch', clock_timestamp()) * 1000000)::bigint + 3000000) AS later \gset
CALL end_of_tick();
SELECT date_part('epoch', flake_timestamp(flake_next_id())) * 1000000 > :later AS honoured;
SELECT severity, what ~ '^ids of generator "default" are [23]\.[0-9]{3} seconds ahead of the clock$' AS what
FROM flake_check() WHERE what LIKE '%ahead%';
-- that is not refused, so it stays and goes on by itself
SELECT flake_reset_clock();
SELECT date_part('epoch', flake_timestamp(flake_next_id())) * 1000000 > :later AS stays;
-- a mark so far ahead that ids are refused is brought back
SELECT setval('flake_mark', (date_part('epoch', clock_timestamp()) * 1000000)::bigint + 3600000000) > 0 AS set;
-- (what is left of a range that is ahead of the clock may still be given out)
\set VERBOSITY sqlstate
SELECT max(id) FROM flake_next_ids(100000) AS id;
\set VERBOSITY terse
SELECT flake_reset_clock();
SELECT flake_timestamp(flake_next_id()) < clock_timestamp() + interval '10 s' AS back;
SELECT last_value < (date_part('epoch', clock_timestamp()) * 1000000)::bigint + 10000000 AS mark_too FROM flake_mark;

-- who may look
CREATE ROLE regress_flake_user;
CREATE ROLE regress_flake_monitor IN ROLE pg_monitor;
SET ROLE regress_flake_user;
SELECT count(*) > 0 AS seen FROM flake_generators;
SELECT count(*) FROM flake_check();
SET ROLE regress_flake_monitor;
SELECT count(*) > 0 AS seen FROM flake_generators;
SELECT count(*) >= 0 AS seen FROM flake_check();
RESET ROLE;
DROP ROLE regress_flake_user, regress_flake_monitor;

DROP VIEW findings;
DROP PROCEDURE end_of_tick();
DROP EXTENSION flake;
