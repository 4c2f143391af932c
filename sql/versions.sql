--
-- Library and SQL objects of different versions: ids are refused, everything
-- else goes on.
--
-- The catalog is made to say so, in a database of its own.
--
SELECT current_database() AS here \gset
CREATE DATABASE regress_flake_versions;
\c regress_flake_versions
CREATE EXTENSION flake;
CREATE TABLE orders (id bigint PRIMARY KEY DEFAULT flake_next_id());
INSERT INTO orders DEFAULT VALUES;
SELECT count(*) FROM flake_check() WHERE what LIKE '%version%';

UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'flake';
-- a session that makes ids goes on, but begins with no other layout
INSERT INTO orders DEFAULT VALUES;
SELECT flake_next_id('ordered');
-- none begins
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
-- ids are read, looked for and taken apart, and reports speak
SELECT count(*) FROM orders
WHERE id BETWEEN flake_min_id(now() - interval '1 hour') AND flake_max_id('infinity')
  AND flake_timestamp(id) > now() - interval '1 hour'
  AND flake_node_id(id) = (flake_node()).node_id;
SELECT count(*) > 0 AS seen FROM flake.layouts;
SELECT * FROM flake_check() WHERE what LIKE '%version%';

-- as ALTER EXTENSION ... UPDATE leaves it; the same session goes on
UPDATE pg_extension SET extversion = '1.0' WHERE extname = 'flake';
INSERT INTO orders DEFAULT VALUES;
SELECT count(*), count(DISTINCT id) FROM orders;
SELECT count(*) FROM flake_check() WHERE what LIKE '%version%';

\c :here
DROP DATABASE regress_flake_versions;
