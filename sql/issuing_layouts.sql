--
-- Ids of other layouts.
--
-- A database can use 16 layouts besides the presets, so this test has its own
-- database.
--
SELECT current_database() AS here \gset
CREATE DATABASE regress_flake_layouts;
\c regress_flake_layouts
CREATE EXTENSION flake;

-- with and without slots, sequence and node, coarse and fine ticks, another order
-- of fields, fixed parts of the node
CREATE TABLE kind (layout flake_layout PRIMARY KEY);
INSERT INTO kind VALUES ('flake'), ('ordered'), ('classic'), ('js'), ('wide'), ('twitter'), ('mastodon'),
	('time:48 node:8 tick=100us'),
	('time:53 node:4 slot:4 tick=1us epoch=2025-01-01'),
	('time:41 slot:3 sequence:6 node:8'),
	('time:32 node:8 slot:2 sequence:14 tick=1s'),
	('time:41 shard:13=5 sequence:9'),
	('time:41 shard:5=5 node:8 slot:1 sequence:5');
CREATE TABLE made (layout flake_layout, n serial, id bigint);
SELECT clock_timestamp() AS start \gset
INSERT INTO made (layout, id) SELECT layout, flake_next_id(layout) FROM kind, generate_series(1, 20);
INSERT INTO made (layout, id) SELECT layout, flake_next_ids(20, layout) FROM kind;
INSERT INTO made (layout, id)
	SELECT layout, first_id FROM kind, generate_series(1, 5), LATERAL flake_reserve(1, layout);
INSERT INTO made (layout, id)
	SELECT layout, flake_unformat(flake_prefixed('X_', layout => layout), 'X_') FROM kind, generate_series(1, 5);
SELECT m.layout, count(DISTINCT id) AS ids, count(DISTINCT id) FILTER (WHERE later) AS in_order,
       bool_and(created_at BETWEEN :'start'::timestamptz - tick AND clock_timestamp() + interval '1.1 s' + 2 * tick) AS true_time,
       bool_and(f.value = (flake_node(m.layout)).node_id) FILTER (WHERE field = 'node') AS node
FROM (SELECT *, id > lag(id) OVER (PARTITION BY layout ORDER BY n) AS later FROM made) AS m,
     LATERAL flake_timestamp(id, layout) AS created_at,
     LATERAL flake_fields(id, layout) AS f,
     LATERAL flake_layout_info(layout) AS i
GROUP BY m.layout ORDER BY m.layout;
SELECT DISTINCT layout, field, value
FROM made, LATERAL flake_fields(id, layout) WHERE field = 'shard' ORDER BY layout;

-- the layout is a parameter that changes
PREPARE one(flake_layout) AS SELECT flake_next_id($1) < 9007199254740992 AS below_2_53;
SET plan_cache_mode = force_generic_plan;
EXECUTE one('js');
EXECUTE one('flake');
EXECUTE one('js');
DEALLOCATE one;

-- layouts that differ in names only share their slots, so their ids differ
SELECT count(*), count(DISTINCT id) FROM
  (SELECT flake_next_id('time:41 node:8 slot:6 sequence:8') AS id FROM generate_series(1, 5000)
   UNION ALL SELECT flake_next_id('time:41 datacenter:4 server:4 slot:6 sequence:8') FROM generate_series(1, 5000)
   UNION ALL SELECT flake_next_id() FROM generate_series(1, 5000)) AS s;
-- the node id is spread over all free parts
SELECT layout, flake_node_id(flake_next_id(layout), layout) = (flake_node(layout)).node_id AS node
FROM unnest(ARRAY['twitter', 'discord', 'time:41 datacenter:4 server:4 slot:6 sequence:8']::flake_layout[]) AS layout;

-- layouts that differ in their last characters only are different ones
SELECT layout, bool_and(flake_timestamp(flake_next_id(layout), layout) BETWEEN now() - interval '1 hour' AND now() + interval '1 hour') AS true_time
FROM generate_series(1, 3), unnest(ARRAY['time:41 node:8 slot:1 sequence:4 epoch=2025-01-01', 'time:41 node:8 slot:1 sequence:4 epoch=2025-01-02',
	'time:41 node:8 slot:1 sequence:4 epoch=2025-01-01 tick=9ms']::flake_layout[]) AS layout
GROUP BY layout ORDER BY layout;

-- so do those that differ in fixed values, and they count as one layout
CREATE TABLE tenants (tenant integer, n serial, id bigint PRIMARY KEY);
INSERT INTO tenants (tenant, id)
SELECT tenant, flake_next_id(format('time:41 tenant:10=%s node:4 sequence:8', tenant)::flake_layout)
FROM generate_series(0, 999) AS tenant, generate_series(1, 5);
SELECT count(*), bool_and((f).value = tenant) AS right_tenant
FROM (SELECT tenant, flake_fields(id, 'time:41 tenant:10 node:4 sequence:8') AS f FROM tenants) AS s
WHERE (f).field = 'tenant';
SELECT count(*) FROM flake.layouts WHERE layout::text LIKE '%tenant:10=%node:4%';

-- layouts that cannot make ids
\set VERBOSITY terse
SELECT flake_next_id('time:30 node:23');
SELECT flake_next_ids(1, 'time:40 slot:13');
SELECT flake_reserve(1, 'time:41 node:8 tick=1001ms');
SELECT flake_prefixed('x', layout => 'time:41 slot:4 node:4 sequence:8');
SELECT flake_next_id('time:41 node:8 colour=red');
SELECT flake_next_id('nobody');
\set VERBOSITY sqlstate
SELECT flake_next_id('time:30 node:23');
SELECT flake_next_ids(1, 'time:40 slot:13');
SELECT flake_reserve(1, 'time:41 node:8 tick=1001ms');
SELECT flake_prefixed('x', layout => 'time:41 slot:4 node:4 sequence:8');
SELECT flake_next_id('time:41 node:8 colour=red');
SELECT flake_next_id('nobody');

-- its time has ended, or has not begun
CREATE FUNCTION outcome(layout flake_layout) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN flake_next_id(layout) > 0;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN format('%s: %s; %s', SQLSTATE, SQLERRM, regexp_replace(detail, 'shows [-0-9]+ [-+:.0-9]+', 'shows <now>.'));
END $$;
SELECT outcome('time:28 worker:22 sequence:13 epoch=2016-05-20 tick=1s');
SELECT outcome('time:41 node:8 epoch=9000-01-01T00:00:00Z tick=1ms');
-- no id is made after the last tick
\set VERBOSITY terse
\set SHOW_CONTEXT never
DO $$
DECLARE
	ends flake_layout := 'time:2 sequence:1 tick=100ms epoch=' ||
		(date_part('epoch', clock_timestamp()) * 1000)::bigint - 1;
	made bigint[] := '{}';
BEGIN
	LOOP
		made := made || flake_next_id(ends);
	END LOOP;
EXCEPTION WHEN sequence_generator_limit_exceeded THEN
	-- on a slow machine the time ends before the first id
	ASSERT coalesce(made[cardinality(made)], 0) <= 7, 'an id beyond the end: ' || made::text;
	RAISE INFO 'SQLSTATE %: %', SQLSTATE, SQLERRM;
END $$;

-- at most 16 besides the presets; those in use continue
DO $$
DECLARE
	since bigint := date_part('epoch', clock_timestamp()) * 1000 - 1000;
BEGIN
	FOR i IN 1 .. 17 LOOP
		PERFORM flake_next_id(format('time:41 node:8 slot:1 sequence:5 epoch=%s', since - i)::flake_layout);
	END LOOP;
	RAISE INFO 'all of them';
EXCEPTION WHEN configuration_limit_exceeded THEN
	RAISE INFO 'SQLSTATE %: %', SQLSTATE, SQLERRM;
END $$;
SELECT flake_next_id('discord') > 0 AS built_in, flake_next_id('time:48 node:8 tick=100us') > 0 AS in_use;
-- no limit for layouts in column defaults, except those of temporary tables
CREATE TEMPORARY TABLE mine (id bigint DEFAULT flake_next_id('time:41 node:8 slot:2 sequence:4'));
SELECT outcome('time:41 node:8 slot:2 sequence:4');
CREATE TABLE ours (id bigint DEFAULT flake_next_id('time:41 node:8 slot:2 sequence:4'));
INSERT INTO ours DEFAULT VALUES RETURNING id > 0 AS made;
SELECT outcome('time:41 node:8 slot:1 sequence:3');
-- also where the extension, and so its type, was made anew
DROP EXTENSION flake CASCADE;
CREATE EXTENSION flake;
CREATE TABLE again (id bigint DEFAULT flake_next_id('time:41 node:8 slot:1 sequence:2'));
INSERT INTO again DEFAULT VALUES RETURNING id > 0 AS made;

-- another database has 16 of its own, besides those of defaults
CREATE DATABASE regress_flake_layouts_2;
\c regress_flake_layouts_2
CREATE EXTENSION flake;
CREATE TABLE default_first (id bigint DEFAULT flake_next_id('time:41 node:8 slot:1 sequence:1'));
INSERT INTO default_first DEFAULT VALUES;
\set VERBOSITY terse
DO $$
DECLARE
	since bigint := date_part('epoch', clock_timestamp()) * 1000 - 1000;
	made integer := 0;
BEGIN
	LOOP
		PERFORM flake_next_id(format('time:41 node:8 slot:1 sequence:6 epoch=%s', since - made)::flake_layout);
		made := made + 1;
	END LOOP;
EXCEPTION WHEN configuration_limit_exceeded THEN
	RAISE INFO '%: %', made, SQLERRM;
END $$;

\c :here
DROP DATABASE regress_flake_layouts_2;
DROP DATABASE regress_flake_layouts;
