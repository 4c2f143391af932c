--
-- COPY into a table whose default makes ids: it inserts in batches, as with
-- nextval().
--
CREATE EXTENSION flake;

-- A row that sees the rows before it was not inserted in the same batch.
CREATE FUNCTION rows_seen(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM %I', name) INTO n;
	RETURN n;
END $$;
CREATE TABLE ids (id bigint PRIMARY KEY DEFAULT flake_next_id(), n integer CHECK (rows_seen('ids') = 0));
COPY ids (n) FROM PROGRAM 'printf "1\n2\n3\n4\n5\n"';
SELECT count(*), count(DISTINCT id) AS ids, array_agg(n ORDER BY id) AS in_order FROM ids;
-- the test can fail
ALTER TABLE ids ALTER id SET DEFAULT floor(random() * 1e15)::bigint;
TRUNCATE ids;
\set VERBOSITY terse
COPY ids (n) FROM PROGRAM 'printf "1\n2\n3\n"';
\set VERBOSITY default
ALTER TABLE ids ALTER id SET DEFAULT flake_next_id();

-- with a layout, as text, in expressions, and in SQL functions
CREATE FUNCTION order_id() RETURNS bigint RETURN flake_next_id('ordered');
CREATE FUNCTION order_code() RETURNS text LANGUAGE sql AS $$ SELECT flake_prefixed('ORD_', layout => 'wide') $$;
CREATE TABLE forms (
	a bigint DEFAULT flake_next_id('ordered'),
	b text DEFAULT flake_prefixed('X_'),
	c text DEFAULT flake_encode(flake_next_id(), 'base62'),
	d text DEFAULT flake_prefixed('-', 3, layout => 'wide'),
	e bigint DEFAULT order_id(),
	f text DEFAULT order_code(),
	g bigint DEFAULT flake_next_id('time:41 tenant:10=7 sequence:12'),
	n integer CHECK (rows_seen('forms') = 0));
COPY forms (n) FROM PROGRAM 'printf "1\n2\n3\n4\n5\n"';
SELECT count(DISTINCT a) AS a, count(DISTINCT b) AS b, count(DISTINCT c) AS c, count(DISTINCT d) AS d,
       count(DISTINCT e) AS e, count(DISTINCT f) AS f, count(DISTINCT g) AS g, bool_and(a < e) AS one_layout
FROM forms;
-- ids of the file are kept
COPY ids FROM PROGRAM 'printf "7\t1\n8\t2\n"';
SELECT id FROM ids ORDER BY id;
-- NULL arguments make no id
ALTER TABLE forms ALTER a SET DEFAULT flake_next_id(NULL);
TRUNCATE forms;
COPY forms (n) FROM PROGRAM 'printf "6\n"';
SELECT a IS NULL AS none FROM forms;
DROP TABLE forms;

-- a function that uses its argument twice gets one id
CREATE FUNCTION with_check(bigint) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT $1::text || '-' || ($1 % 97)::text $$;
CREATE TABLE checked (code text DEFAULT with_check(flake_next_id()), n integer);
COPY checked (n) FROM PROGRAM 'printf "1\n2\n3\n4\n5\n"';
-- also where the cost of an operator is zero or infinite
SET cpu_operator_cost = 0;
COPY checked (n) FROM PROGRAM 'printf "1\n2\n3\n4\n5\n"';
SET cpu_operator_cost = 1.7e308;
COPY checked (n) FROM PROGRAM 'printf "1\n2\n3\n4\n5\n"';
RESET cpu_operator_cost;
SELECT count(*), bool_and(code = with_check(split_part(code, '-', 1)::bigint)) AS one_id FROM checked;
DROP TABLE checked;
-- the check of a domain, planned once per session, makes ids later as well
CREATE DOMAIN made AS bigint CHECK (VALUE < flake_next_id());
CREATE TABLE domains (id made DEFAULT flake_next_id(), n integer);
COPY domains (n) FROM PROGRAM 'printf "1\n2\n3\n4\n5\n"';
INSERT INTO domains (n) SELECT generate_series(6, 10);
COPY domains (n) FROM PROGRAM 'printf "11\n12\n"';
SELECT count(DISTINCT id) FROM domains;
DROP TABLE domains;
DROP DOMAIN made;

-- into partitions
CREATE TABLE parts (id bigint PRIMARY KEY DEFAULT flake_next_id(), n integer) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (flake_min_id('2025-01-01+00')) TO (flake_min_id('2093-01-01+00'));
COPY parts (n) FROM PROGRAM 'printf "1\n2\n3\n4\n5\n"';
SELECT count(DISTINCT id) FROM part_1;
DROP TABLE parts;

-- ADD COLUMN makes an id for each row, also in statements that run during COPY
CREATE TABLE old AS SELECT g AS n FROM generate_series(1, 100) AS g;
ALTER TABLE old ADD COLUMN a bigint DEFAULT flake_next_id();
CREATE FUNCTION add_column() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN
		-- the error has ended the progress report of COPY
	END;
	ALTER TABLE old ADD COLUMN IF NOT EXISTS b bigint DEFAULT flake_next_id();
	ALTER TABLE old ADD COLUMN IF NOT EXISTS c bigint DEFAULT flake_next_id('ordered');
	ALTER TABLE old ADD COLUMN IF NOT EXISTS d text DEFAULT flake_prefixed('x');
	ALTER TABLE old ADD COLUMN IF NOT EXISTS e bigint DEFAULT order_id();
	RETURN true;
END $$;
CREATE TABLE busy (id bigint DEFAULT flake_next_id(), n integer CHECK (add_column()));
SET client_min_messages = warning;	-- "column exists already"
COPY busy (n) FROM PROGRAM 'printf "1\n2\n3\n4\n5\n"';
RESET client_min_messages;
SELECT count(DISTINCT a) AS a, count(DISTINCT b) AS b, count(DISTINCT c) AS c, count(DISTINCT d) AS d,
       count(DISTINCT e) AS e
FROM old;
SELECT count(DISTINCT id) FROM busy;
-- COPY TO makes an id for each row, too
COPY (SELECT flake_next_id() FROM generate_series(1, 100)) TO PROGRAM 'test $(sort -u | wc -l) = 100';
COPY (SELECT count(*) FROM generate_series(1, 100) WHERE flake_next_id('ordered') % 2 = 0) TO PROGRAM 'read n && test $n -gt 0 && test $n -lt 100';
DROP TABLE old, busy;

-- errors are those of flake_next_id()
\set VERBOSITY sqlstate
ALTER TABLE ids ALTER id SET DEFAULT flake_next_id('time:41 node:8 tick=2s');
COPY ids (n) FROM PROGRAM 'printf "1\n2\n"';
ALTER TABLE ids ALTER id SET DEFAULT flake_next_id();
CREATE ROLE regress_flake_loader IN ROLE pg_execute_server_program;
GRANT INSERT, SELECT ON ids TO regress_flake_loader;
TRUNCATE ids;
SET ROLE regress_flake_loader;
COPY ids (n) FROM PROGRAM 'printf "1\n2\n"';
RESET ROLE;
REVOKE EXECUTE ON FUNCTION flake_next_id(flake_layout) FROM PUBLIC;
SET ROLE regress_flake_loader;
COPY ids (n) FROM PROGRAM 'printf "1\n2\n"';
RESET ROLE;
-- without EXECUTE on the alias, COPY calls the function itself
GRANT EXECUTE ON FUNCTION flake_next_id(flake_layout) TO regress_flake_loader;
REVOKE EXECUTE ON FUNCTION flake_next_id_in_copy(flake_layout, internal) FROM PUBLIC;
ALTER TABLE ids DROP CONSTRAINT ids_check;
SET ROLE regress_flake_loader;
COPY ids (n) FROM PROGRAM 'printf "1\n2\n"';
RESET ROLE;
SELECT count(*) FROM ids;
DROP OWNED BY regress_flake_loader;
DROP ROLE regress_flake_loader;

-- Queries cannot call the aliases.  Minor releases before August 2026 raise
-- another error, later.
DO $$
BEGIN
	PERFORM flake_next_id_in_copy('flake', NULL);
	RAISE WARNING 'called';
EXCEPTION WHEN OTHERS THEN
END $$;
DO $$
BEGIN
	PERFORM flake_next_id_in_copy('flake', '');
	RAISE WARNING 'called';
EXCEPTION WHEN OTHERS THEN
END $$;
SELECT flake_next_id_in_copy('flake');

DROP TABLE ids;
DROP FUNCTION rows_seen(text), add_column(), with_check(bigint), order_id(), order_code();
DROP EXTENSION flake;
