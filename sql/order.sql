--
-- Ids are in the order of the rows, as with nextval(), also where parallel workers
-- run the rest of the query.
--
CREATE EXTENSION flake;
CREATE TABLE source AS
SELECT (g * 7919) % 30011 AS n, repeat('x', 50) AS filler FROM generate_series(1, 30000) AS g;
ANALYZE source;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 4;
SET parallel_leader_participation = off;

-- only workers scan and sort
CREATE FUNCTION is_parallel(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		IF line ~ 'Gather' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
CREATE VIEW numbered AS
SELECT n, flake_next_id() AS a, flake_next_id('ordered') AS b, flake_prefixed('X_') AS c, filler
FROM source ORDER BY n;
SELECT is_parallel('SELECT * FROM numbered');

-- the number of rows with a lower id than the row before
CREATE FUNCTION out_of_order(relation regclass, OUT rows bigint, OUT a bigint, OUT b bigint, OUT c bigint)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT count(*), count(*) FILTER (WHERE a <= before_a), count(*) FILTER (WHERE b <= before_b),
			count(*) FILTER (WHERE c <= before_c)
		FROM (SELECT a, lag(a) OVER w AS before_a, b, lag(b) OVER w AS before_b,
				c COLLATE "C", lag(c) OVER w COLLATE "C" AS before_c
			FROM %s WINDOW w AS (ORDER BY n)) AS s', relation) INTO rows, a, b, c;
END $$;
CREATE TABLE made AS SELECT * FROM numbered;
SELECT * FROM out_of_order('made');
CREATE MATERIALIZED VIEW seen AS SELECT * FROM numbered;
SELECT * FROM out_of_order('seen');
REFRESH MATERIALIZED VIEW seen;
SELECT * FROM out_of_order('seen');
SELECT n, flake_next_id() AS a, flake_next_id('ordered') AS b, flake_prefixed('X_') AS c
INTO into_made FROM source ORDER BY n;
SELECT * FROM out_of_order('into_made');
CREATE TABLE defaults (n integer, a bigint DEFAULT flake_next_id(), b bigint DEFAULT flake_next_id('ordered'),
	c text DEFAULT flake_prefixed('X_'));
INSERT INTO defaults (n) SELECT n FROM source ORDER BY n;
SELECT * FROM out_of_order('defaults');
-- the test can fail
UPDATE defaults SET a = 0, b = 0, c = '' WHERE n = 2;
SELECT * FROM out_of_order('defaults');

-- functions that read ids run in workers
SELECT is_parallel('SELECT count(*) FROM made WHERE flake_node_id(a) = 1');
SELECT count(*), count(*) FILTER (WHERE flake_unformat(c, 'X_') > a) AS later
FROM made WHERE flake_timestamp(b, 'ordered') > '2025-01-01';

DROP MATERIALIZED VIEW seen;
DROP VIEW numbered;
DROP TABLE source, made, into_made, defaults;
DROP FUNCTION is_parallel(text), out_of_order(regclass);
DROP EXTENSION flake;
