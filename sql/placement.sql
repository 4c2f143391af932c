--
-- Schemas: the type and the functions for users are in pg_catalog, the rest in
-- schema flake, nothing in public.
--
SELECT current_database() AS here \gset
CREATE DATABASE regress_flake_placement;
\c regress_flake_placement

-- another schema, or an existing schema flake, is refused (from 18 on, PostgreSQL
-- shows the line of the script)
CREATE EXTENSION flake SCHEMA public;
CREATE SCHEMA flake;
\set SHOW_CONTEXT never
CREATE EXTENSION flake;
\set VERBOSITY sqlstate
CREATE EXTENSION flake;
\set VERBOSITY default
DROP SCHEMA flake;
CREATE EXTENSION flake;

SELECT n.nspname AS schema, count(*) > 0 AS some
FROM pg_depend AS d
JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
LEFT JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
LEFT JOIN pg_type AS t ON d.classid = 'pg_type'::regclass AND d.objid = t.oid
JOIN pg_namespace AS n ON n.oid = coalesce(p.pronamespace, c.relnamespace, t.typnamespace)
WHERE e.extname = 'flake'
GROUP BY n.nspname ORDER BY n.nspname;
SELECT c.relname, c.relkind FROM pg_class AS c WHERE c.relnamespace = 'flake'::regnamespace ORDER BY c.relname;
ALTER EXTENSION flake SET SCHEMA public;

-- a function in another schema does not shadow one of flake
CREATE SCHEMA mine;
CREATE FUNCTION mine.flake_next_id() RETURNS bigint RETURN -1;
CREATE FUNCTION mine.flake_next_id(text) RETURNS bigint RETURN -2;
SET search_path = mine, public;
SELECT flake_next_id() > 0 AS ours, flake_next_id('ordered'::flake_layout) > 0 AS ours_too;
CREATE TABLE public.orders (id bigint PRIMARY KEY DEFAULT flake_next_id(), other bigint DEFAULT flake_next_id('ordered'::flake_layout));
INSERT INTO orders DEFAULT VALUES RETURNING id > 0 AS ours, other > 0 AS ours_too;
-- unless search_path names that schema before pg_catalog
SET search_path = mine, pg_catalog;
SELECT flake_next_id() AS theirs;
SELECT pg_catalog.flake_next_id() > 0 AS ours;
-- found under any search_path, and printed without a schema
SET search_path = '';
SELECT flake_next_id() > 0 AS found;
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'public.orders'::regclass ORDER BY adnum;
RESET search_path;
DROP SCHEMA mine CASCADE;

-- DROP SCHEMA public drops neither the extension nor its mark
SELECT max(id) AS last FROM orders \gset
SELECT last_value AS mark FROM flake.mark \gset
DROP SCHEMA public CASCADE;
SELECT extname FROM pg_extension WHERE extname = 'flake';
SELECT last_value >= :mark AS kept FROM flake.mark;
SELECT flake_next_id() > :last AS goes_on;
CREATE SCHEMA public;

-- dropped, which a dependent table prevents, and created again
CREATE TABLE orders (id bigint PRIMARY KEY DEFAULT flake_next_id());
INSERT INTO orders DEFAULT VALUES;
DROP EXTENSION flake;
DROP SCHEMA flake CASCADE;
ALTER TABLE orders ALTER id DROP DEFAULT;
DROP EXTENSION flake;
SELECT count(*) FROM pg_namespace WHERE nspname = 'flake';
SELECT count(*) FROM pg_proc WHERE proname LIKE 'flake%';
CREATE EXTENSION flake;
SELECT bool_and(flake_next_id() > id) AS later FROM orders;
-- in a transaction: rolled back, and twice
BEGIN;
DROP EXTENSION flake CASCADE;
CREATE EXTENSION flake;
SELECT bool_and(flake_next_id() > id) AS later FROM orders;
DROP EXTENSION flake;
ROLLBACK;
SELECT bool_and(flake_next_id() > id) AS later FROM orders;

\c :here
DROP DATABASE regress_flake_placement;
