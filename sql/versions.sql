--
-- A library and an extension of different versions, or no mark: no ids are made, all
-- else works.
--
-- The test changes the catalogs, so it has its own database.
--
SELECT current_database() AS here \gset
CREATE DATABASE regress_flake_versions;
\c regress_flake_versions
CREATE EXTENSION flake;
CREATE TABLE orders (id bigint PRIMARY KEY DEFAULT flake_next_id());
INSERT INTO orders DEFAULT VALUES;
SELECT count(*) FROM flake_check() WHERE what LIKE '%version%';

UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'flake';
-- a session that makes ids continues, but with no other layout
INSERT INTO orders DEFAULT VALUES;
SELECT flake_next_id('ordered');
-- a new session makes none
\c -
INSERT INTO orders DEFAULT VALUES;
\set VERBOSITY sqlstate
INSERT INTO orders DEFAULT VALUES;
SELECT flake_next_id();
SELECT flake_next_id('wide');
SELECT count(*) FROM flake_next_ids(2);
SELECT * FROM flake_reserve(2);
SELECT flake_prefixed('x');
\set VERBOSITY default
-- other functions and the reports work
SELECT count(*) FROM orders
WHERE id BETWEEN flake_min_id(now() - interval '1 hour') AND flake_max_id('infinity')
  AND flake_timestamp(id) > now() - interval '1 hour'
  AND flake_node_id(id) = (flake_node()).node_id;
SELECT count(*) > 0 AS seen FROM flake.layouts;
SELECT * FROM flake_check() WHERE what LIKE '%version%';

-- as after ALTER EXTENSION ... UPDATE: the same session makes ids
UPDATE pg_extension SET extversion = '1.0' WHERE extname = 'flake';
INSERT INTO orders DEFAULT VALUES;
SELECT count(*), count(DISTINCT id) FROM orders;
SELECT count(*) FROM flake_check() WHERE what LIKE '%version%';

-- a version that begins alike is another one
UPDATE pg_extension SET extversion = '1.0.1' WHERE extname = 'flake';
\c -
\set VERBOSITY terse
SELECT flake_next_id();
UPDATE pg_extension SET extversion = '1.0' WHERE extname = 'flake';

-- the mark is a sequence: something else of its name is refused
ALTER SEQUENCE flake.mark RENAME TO no_mark;
SELECT flake_next_id();
CREATE TABLE flake.mark AS SELECT 1::bigint AS last_value;
SELECT flake_next_id();

\c :here
DROP DATABASE regress_flake_versions;
