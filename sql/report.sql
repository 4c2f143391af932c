--
-- flake.layouts and flake_check().
--
-- A TAP test looks at the kernel's clock.  This test sets the mark of its database
-- ahead, so it has its own.
--
SELECT current_database() AS here \gset
CREATE DATABASE regress_flake_report;
\c regress_flake_report
\set VERBOSITY terse
CREATE EXTENSION flake;

-- no mark before the first id
SELECT mark, start_mark, mark_moves, max_lead FROM flake.mark_state();
-- ids taken, at least those that were made
SELECT coalesce(sum(ids_taken), 0) AS before FROM flake.layouts WHERE layout = 'time:32 node:8 slot:2 sequence:14 tick=1s' \gset
SELECT max(id) AS mine FROM flake_next_ids(1000, 'time:32 node:8 slot:2 sequence:14 tick=1s') AS id \gset
SELECT ids_taken - :before BETWEEN 1000 AND 20000 AS counted,
       last_id >= :mine AS latest,
       last_time = flake_timestamp(last_id, layout) AS its_time,
       lead BETWEEN interval '0' AND interval '3 s' AS lead,
       node_id = (flake_node()).node_id AS node,
       waits >= 0 AND wait_time >= interval '0' AS waits,
       mark > last_time AND mark < last_time + interval '10 s' AS mark,
       start_mark IS NULL OR start_mark < mark AS start_mark, mark_moves > 0 AS moved, clock_steps >= 0 AS steps
FROM flake.layouts WHERE layout = 'time:32 node:8 slot:2 sequence:14 tick=1s';
-- the last id is in the highest slot, and of this node
SELECT max(id) AS mine FROM flake_next_ids(40, 'time:32 node:8 slot:2 sequence:4 tick=1s') AS id \gset
SELECT last_id >= :mine AS latest, last_id - :mine < 16 AS near, flake_node_id(last_id, layout) = node_id AS node
FROM flake.layouts WHERE layout = 'time:32 node:8 slot:2 sequence:4 tick=1s';
-- slots that are used up
SELECT count(flake_next_id()) FROM generate_series(1, 100000);
SELECT slots_used_up > 0 AS counted FROM flake.layouts WHERE layout = 'flake' AND node_id = (flake_node()).node_id;
-- one row for layouts that share slots; node_id is NULL if not used
SELECT count(flake_next_id(format('time:41 tenant:10=%s sequence:12', n)::flake_layout)) FROM generate_series(1, 10) AS n;
SELECT count(*), bool_and(node_id IS NULL) AS without_node FROM flake.layouts WHERE layout::text LIKE '%tenant:10=%sequence:12%';

-- problems, but for the clock; the node id of this server is derived
CREATE VIEW findings AS
SELECT severity, regexp_replace(regexp_replace(what, 'node id [0-9]+', 'node id N'), '[0-9.]+ seconds', 'N seconds') AS what,
       why LIKE '%.' AS why, what_to_do <> '' AS what_to_do
FROM flake_check() WHERE what !~ '^the clock'
ORDER BY what COLLATE "C";
CREATE TABLE layouts (a bigint DEFAULT flake_next_id('wide'), b bigint DEFAULT flake_next_id('js'));
SELECT * FROM findings;
DROP TABLE layouts;
CREATE OR REPLACE VIEW findings AS
SELECT severity, regexp_replace(regexp_replace(what, 'node id [0-9]+', 'node id N'), '[0-9.]+ seconds', 'N seconds') AS what,
       why LIKE '%.' AS why, what_to_do <> '' AS what_to_do
FROM flake_check() WHERE what !~ '^the clock' AND what NOT LIKE '%is derived%'
ORDER BY what COLLATE "C";

-- a column that is too narrow
CREATE TABLE small (a integer DEFAULT flake_next_id(), b smallint DEFAULT flake_next_id('wide'),
                    c double precision DEFAULT flake_next_id(), d real DEFAULT flake_next_id(),
                    e bigint DEFAULT flake_next_id(), f text DEFAULT flake_prefixed('x'));
SELECT * FROM findings;
DROP TABLE small;

-- domains, decimal numbers, and columns that reference ids
CREATE DOMAIN narrow AS integer;
CREATE DOMAIN narrower AS narrow;
CREATE DOMAIN decimals AS numeric(18,0);
CREATE DOMAIN wide AS bigint;
CREATE TABLE small (a narrower DEFAULT flake_next_id(), b numeric(10) DEFAULT flake_next_id(),
                    c numeric(20,2) DEFAULT flake_next_id(), d decimals DEFAULT flake_next_id(),
                    e numeric(16) DEFAULT flake_next_id('js'), f numeric(15,-4) DEFAULT flake_next_id(),
                    g numeric DEFAULT flake_next_id(), h wide DEFAULT flake_next_id());
CREATE TABLE wide_key (id bigint PRIMARY KEY DEFAULT flake_next_id());
CREATE TABLE refers (a integer REFERENCES wide_key, b bigint REFERENCES wide_key, c narrow REFERENCES wide_key);
SELECT * FROM findings;
SELECT why, count(*) FROM flake_check() WHERE why LIKE 'Ids are 64-bit%' GROUP BY why ORDER BY why COLLATE "C";
DROP TABLE small, refers, wide_key;
DROP DOMAIN narrower, narrow, decimals, wide;

-- no partition for ids of now or of the next days; a default partition
CREATE TABLE ranges (id bigint DEFAULT flake_next_id('wide')) PARTITION BY RANGE (id);
CREATE TABLE range_1 PARTITION OF ranges FOR VALUES FROM (MINVALUE) TO (flake_min_id(now() - interval '1 hour', 'wide'));
SELECT * FROM findings;
CREATE TABLE range_2 PARTITION OF ranges
	FOR VALUES FROM (flake_min_id(now() - interval '1 hour', 'wide')) TO (flake_min_id(now() + interval '47 hours', 'wide'));
SELECT severity, replace(what, to_char((now() + interval '2 days') AT TIME ZONE 'UTC', 'YYYY-MM-DD'), 'the day after tomorrow') AS what
FROM findings;
CREATE TABLE range_3 PARTITION OF ranges
	FOR VALUES FROM (flake_min_id(now() + interval '47 hours', 'wide')) TO (flake_min_id(now() + interval '70 hours', 'wide'));
SELECT count(*) FROM findings;
CREATE TABLE range_4 PARTITION OF ranges FOR VALUES FROM (flake_min_id(now() + interval '70 hours', 'wide')) TO (MAXVALUE);
SELECT * FROM findings;
DROP TABLE range_1, range_2, range_3, range_4;
-- a partition that takes no new ids needs no partition for them
CREATE TABLE range_1 PARTITION OF ranges FOR VALUES FROM (MINVALUE) TO (1000000) PARTITION BY RANGE (id);
CREATE TABLE range_2 PARTITION OF ranges FOR VALUES FROM (1000000) TO (MAXVALUE) PARTITION BY RANGE (id);
SELECT * FROM findings;
DROP TABLE range_1, range_2;
CREATE TABLE range_default PARTITION OF ranges DEFAULT;
SELECT * FROM findings;
DROP TABLE ranges;

-- a partition that begins tomorrow, one that ends before all ids, and one that ends
-- with this very tick
CREATE TABLE ranges (id bigint DEFAULT flake_next_id('wide')) PARTITION BY RANGE (id);
CREATE TABLE range_1 PARTITION OF ranges FOR VALUES FROM (flake_min_id(now() + interval '1 day', 'wide')) TO (MAXVALUE);
SELECT what FROM findings;
DROP TABLE range_1;
CREATE TABLE range_1 PARTITION OF ranges FOR VALUES FROM (-7) TO (-5);
SELECT what FROM findings;
BEGIN;
CREATE TABLE range_2 PARTITION OF ranges FOR VALUES FROM (-5) TO (flake_min_id(now(), 'wide'));
SELECT what FROM findings;
ROLLBACK;
-- more than three days ahead is enough, and the day is that of UTC in every session
CREATE TABLE range_2 PARTITION OF ranges FOR VALUES FROM (-5) TO (flake_min_id(now() + interval '73 hours', 'wide'));
SELECT what FROM findings;
DROP TABLE range_2;
CREATE TABLE range_2 PARTITION OF ranges FOR VALUES FROM (-5) TO (flake_min_id(now() + interval '47 hours', 'wide'));
SET timezone = 'Etc/GMT+12';
SELECT what AS west FROM findings \gset
SET timezone = 'Etc/GMT-12';
SELECT what = :'west' AS same_day FROM findings;
RESET timezone;
DROP TABLE ranges;
-- lists and keys of two columns are not looked at
CREATE TABLE listed (id bigint DEFAULT flake_next_id('wide')) PARTITION BY LIST (id);
CREATE TABLE two (id bigint DEFAULT flake_next_id('wide'), n integer) PARTITION BY RANGE (id, n);
CREATE TABLE second (n bigint, id bigint DEFAULT flake_next_id('wide')) PARTITION BY RANGE (n);
SELECT what FROM findings;
DROP TABLE listed, two, second;

-- stored values above new ids, from the statistics
CREATE TABLE future (id bigint DEFAULT flake_next_id('classic'), t text DEFAULT flake_prefixed('x'));
INSERT INTO future SELECT flake_next_id('classic') FROM generate_series(1, 100);
ANALYZE future;
SELECT * FROM findings;
INSERT INTO future VALUES (flake_min_id('2050-01-01+00', 'classic'));
ANALYZE future;
SELECT * FROM findings;
DROP TABLE future;
CREATE TABLE future (id bigint DEFAULT flake_next_id('js'));
INSERT INTO future SELECT flake_min_id('2050-01-01+00', 'js') + n FROM generate_series(1, 100) AS n;
ANALYZE future;
SELECT count(*) FROM findings;
DROP TABLE future;

-- different layouts in a partition and its parent, or in two partitions, at any
-- depth; but not in two columns, nor two names of one layout
CREATE TABLE parts (id bigint DEFAULT flake_next_id(), other bigint DEFAULT flake_next_id('ordered'), n integer) PARTITION BY RANGE (n);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (1) TO (2);
CREATE TABLE part_2 PARTITION OF parts FOR VALUES FROM (2) TO (3) PARTITION BY RANGE (n);
CREATE TABLE part_2_2 PARTITION OF part_2 FOR VALUES FROM (2) TO (3);
ALTER TABLE part_2_2 ALTER id SET DEFAULT flake_next_id('time:41 node:8 slot:6 sequence:8');
SELECT * FROM findings;
ALTER TABLE part_1 ALTER id SET DEFAULT flake_next_id('ordered');
SELECT * FROM findings;
ALTER TABLE parts ALTER id DROP DEFAULT;
ALTER TABLE part_2 ALTER id DROP DEFAULT;
SELECT * FROM findings;
ALTER TABLE part_1 ALTER id DROP DEFAULT;
ALTER TABLE part_2_2 ALTER other SET DEFAULT flake_next_id('wide');
SELECT * FROM findings;
DROP TABLE parts;

-- a layout whose time has ended, and one whose time ends within ten years
CREATE TABLE ends (a bigint DEFAULT flake_next_id('time:28 worker:22 sequence:13 epoch=2016-05-20 tick=1s'),
                   b bigint DEFAULT flake_next_id('time:33 node:8 slot:1 sequence:8 tick=100ms epoch=2005-01-01'),
                   c text DEFAULT flake_prefixed('x', layout => 'time:28 node:22 sequence:12 epoch=2016-05-20 tick=1s'));
SELECT * FROM findings;
SET timezone = 'Etc/GMT+12';
SELECT string_agg(what, ';') AS west FROM findings \gset
SET timezone = 'Etc/GMT-12';
SELECT string_agg(what, ';') = :'west' AS same_day FROM findings;
RESET timezone;
DROP TABLE ends;

-- a mark that is not durable: no ids are made
ALTER SEQUENCE flake.mark SET UNLOGGED;
SELECT * FROM findings;
SELECT flake_next_id('ordered');
\set VERBOSITY sqlstate
SELECT flake_next_id('ordered');
\set VERBOSITY terse
ALTER SEQUENCE flake.mark SET LOGGED;
SELECT * FROM findings;

-- a mark that was set back is repaired by the first id of the next tick
CREATE FUNCTION next_tick() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	tick CONSTANT bigint := flake_next_id('ordered') >> 22;
BEGIN
	WHILE flake_next_id('ordered') >> 22 = tick LOOP
	END LOOP;
	RETURN true;
END $$;
SELECT next_tick();
SELECT setval('flake.mark', 1);
SELECT * FROM findings;
SELECT next_tick();
SELECT * FROM findings;
SELECT last_value > 1 AS repaired FROM flake.mark;
-- also by a millisecond
SELECT setval('flake.mark', (extract(epoch FROM mark) * 1000000000)::bigint - 1000000) > 0 AS set FROM flake.mark_state();
SELECT * FROM findings;
SELECT next_tick();
SELECT * FROM findings;

-- a mark that was set too far ahead: no ids until it is set back
SELECT last_value AS mark FROM flake.mark \gset
SELECT setval('flake.mark', 9223372036854775807) > 0 AS set;
SELECT * FROM findings;
-- a lead that would do is told if there can be such a setting
SELECT setval('flake.mark', :mark + 2140000000000000) > 0 AS set;
SELECT what_to_do ~ 'or raise flake.max_clock_lead to 21\d{5} s\.$' AS with_lead FROM flake_check() WHERE what LIKE 'the durable mark is %';
SELECT setval('flake.mark', :mark + 2150000000000000) > 0 AS set;
SELECT what_to_do LIKE '%max_clock_lead%' AS with_lead FROM flake_check() WHERE what LIKE 'the durable mark is %';
SELECT setval('flake.mark', :mark + 3600000000000) > 0 AS set;
SELECT * FROM findings;
SELECT setval('flake.mark', :mark) > 0 AS set;
SELECT * FROM findings;
SELECT next_tick();
-- set ahead by less: ids are after it, and so ahead of the clock
SELECT setval('flake.mark', (1e9 * extract(epoch FROM clock_timestamp() + interval '4.9 s'))::bigint) AS ahead \gset
SELECT extract(epoch FROM flake_timestamp(id, 'time:41 node:8 sequence:9')) * 1e9 > :ahead AS after_it
FROM flake_next_id('time:41 node:8 sequence:9') AS id;
SELECT * FROM findings;
SELECT why FROM flake_check() WHERE what LIKE 'ids of layout%';
-- another database tells which one it is
\c :here
CREATE EXTENSION flake;
SELECT latest_database, start_mark IS DISTINCT FROM latest_start_mark AS differs FROM flake.mark_state();
DROP EXTENSION flake;
\c regress_flake_report

-- in a read-only transaction
BEGIN READ ONLY;
SELECT count(*) > 0 AS seen FROM flake_check();
SELECT count(*) > 0 AS seen FROM flake.layouts;
COMMIT;

-- privileges
CREATE ROLE regress_flake_user;
CREATE ROLE regress_flake_monitor IN ROLE pg_monitor;
CREATE ROLE regress_flake_owner;
SET ROLE regress_flake_user;
SELECT count(*) > 0 AS seen FROM flake.layouts;
SELECT count(*) FROM flake_check();
SET ROLE regress_flake_monitor;
SELECT count(*) > 0 AS seen FROM flake.layouts;
SELECT count(*) >= 0 AS seen FROM flake_check();
RESET ROLE;
ALTER DATABASE regress_flake_report OWNER TO regress_flake_owner;
SET ROLE regress_flake_owner;
SELECT count(*) > 0 AS seen FROM flake.layouts;
SELECT count(*) >= 0 AS seen FROM flake_check();
RESET ROLE;

\c :here
DROP DATABASE regress_flake_report;
DROP ROLE regress_flake_user, regress_flake_monitor, regress_flake_owner;
