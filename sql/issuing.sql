--
-- Making ids: flake_next_id, flake_next_ids, flake_reserve, flake_last_id,
-- flake_prefixed.  Properties only, no id is printed.
--
-- an id that a parallel worker makes is not this process's last one
SET max_parallel_workers_per_gather = 0;
SET client_min_messages = error;	-- the one warning about a derived node id
CREATE EXTENSION flake;

-- none made yet
\set VERBOSITY sqlstate
SELECT flake_last_id();
\set VERBOSITY terse
SELECT flake_last_id();

-- one id
SELECT flake_next_id() > 0 AS positive;
SELECT flake_next_id() < flake_next_id() AS increasing;
SELECT flake_next_id() = flake_last_id() AS last;
SELECT id = flake_last_id() AS last_of_default, flake_last_id('default') = id AS by_name
FROM (SELECT flake_next_id() AS id OFFSET 0) AS s;

-- its time is the clock's, to the tick
SELECT created_at >= date_trunc('milliseconds', before) AS not_before,
       created_at <= clock_timestamp() + interval '1.1 s' AS not_after
FROM (SELECT clock_timestamp() AS before, flake_next_id() AS id OFFSET 0) AS s,
     LATERAL flake_parse(id);

-- node and slot
SELECT (flake_parse(id)).node_id = (flake_node()).node_id AS node,
       (flake_parse(id)).slot BETWEEN 0 AND 63 AS slot
FROM (SELECT flake_next_id() AS id OFFSET 0) AS s;

-- many: distinct, in order, across statements and forms
CREATE TEMP TABLE taken (n serial, id bigint);
INSERT INTO taken (id) SELECT flake_next_id() FROM generate_series(1, 50000);
INSERT INTO taken (id) SELECT flake_next_ids(50000);
INSERT INTO taken (id) SELECT flake_next_id('default') FROM generate_series(1, 10000);
INSERT INTO taken (id) SELECT * FROM flake_next_ids(10000);
SELECT count(*), count(DISTINCT id) FROM taken;
SELECT count(*) AS out_of_order
FROM (SELECT id <= lag(id) OVER (ORDER BY n) AS wrong FROM taken) AS s WHERE wrong;

-- a key
CREATE TEMP TABLE orders (id bigint PRIMARY KEY DEFAULT flake_next_id(), n int);
INSERT INTO orders (n) SELECT generate_series(1, 1000);
SELECT count(*) FROM orders;
INSERT INTO orders (n) VALUES (1001) RETURNING id = flake_last_id() AS last;

-- a range of time uses the key
INSERT INTO orders (n) SELECT generate_series(1, 20000);
ANALYZE orders;
EXPLAIN (COSTS OFF) SELECT * FROM orders
WHERE id >= flake_min_id('2025-01-01 00:00+00') AND id < flake_min_id('2025-01-02 00:00+00');
SELECT count(*) FROM orders
WHERE id >= flake_min_id('2025-01-01 00:00+00') AND id < flake_min_id(now() + interval '1 hour');

-- flake_next_ids: none, one, some, too few
SELECT count(*) FROM flake_next_ids(0);
SELECT count(*) FROM flake_next_ids(1);
SELECT count(*), count(DISTINCT id) FROM (SELECT flake_next_ids(100) AS id LIMIT 7) AS s;
SELECT flake_next_ids(-1);
SELECT flake_next_ids(NULL) IS NULL AS none;
\set VERBOSITY sqlstate
SELECT flake_next_ids(-1);
SELECT flake_next_ids('-9223372036854775808');
\set VERBOSITY terse

-- rows of two calls, and single ids between them, keep the order of taking
SELECT count(*) AS out_of_order
FROM (SELECT a < b AND b < c AS right
      FROM (SELECT flake_next_ids(1000) AS a, flake_next_id() AS b, flake_next_ids(1000) AS c) AS s) AS t
WHERE NOT "right";
BEGIN;
DECLARE cur CURSOR FOR SELECT flake_next_ids(10);
MOVE 3 FROM cur;
SELECT flake_next_id() AS meanwhile \gset
CREATE TEMP TABLE fetched (id bigint);
DO $$
DECLARE
	c refcursor := 'cur';
	v bigint;
BEGIN
	FETCH c INTO v;
	INSERT INTO fetched VALUES (v);
END $$;
SELECT id > :meanwhile AS later FROM fetched;
COMMIT;

-- flake_reserve: exactly so many, in runs that stay in their tick and slot
CREATE TEMP TABLE reserved AS SELECT * FROM flake_reserve(5000);
SELECT sum((last_id - first_id) / step + 1) AS ids, bool_and(first_id <= last_id) AS ordered FROM reserved;
SELECT count(*) AS runs_that_leave FROM reserved
WHERE flake_timestamp(first_id) <> flake_timestamp(last_id)
   OR flake_slot(first_id) <> flake_slot(last_id)
   OR flake_node_id(first_id) <> flake_node_id(last_id);
SELECT count(*), count(DISTINCT id) FROM
  (SELECT generate_series(first_id, last_id, step) AS id FROM reserved UNION ALL SELECT id FROM taken) AS s;
SELECT max(last_id) = flake_last_id() AS last FROM reserved;
SELECT flake_next_id() > max(last_id) AS later FROM reserved;
-- one row as long as the sequence field holds it, else rows that fill it
SELECT n, count(*) AS rows, max((last_id - first_id) / step + 1) AS longest
FROM unnest(ARRAY[1, 50, 255, 256, 257, 512, 1000]) AS n, LATERAL flake_reserve(n) GROUP BY n ORDER BY n;
SELECT bool_and(c = 1) AS always_one
FROM (SELECT (SELECT count(*) FROM flake_reserve(50 + 0 * i)) AS c FROM generate_series(1, 2000) AS i) AS s;
SELECT count(*) FROM flake_reserve(0);
\set VERBOSITY sqlstate
SELECT * FROM flake_reserve(-1);
\set VERBOSITY terse

-- flake_prefixed
SELECT flake_prefixed('ORD_') ~ '^ORD_[0-9]{18}$' AS in_front;
SELECT flake_prefixed('-TAX-', 6) ~ '^[0-9]{6}-TAX-[0-9]{12}$' AS inside;
SELECT flake_prefixed('!', 18) ~ '^[0-9]{18}!$' AS at_the_end;
SELECT flake_unformat(flake_prefixed('ORD_'), 'ORD_') = flake_last_id() AS back;
SELECT flake_unformat(flake_prefixed('X', 3, 'base32'), 'X', 3, 'base32') = flake_last_id() AS back;
SELECT flake_prefixed(NULL) IS NULL AS none, flake_prefixed('a', NULL) IS NULL AS none;
-- a wrong one uses up no id
SELECT flake_next_id() AS before \gset
SELECT flake_prefixed('x', 19);
SELECT flake_prefixed('x', -1);
SELECT flake_prefixed('x', 0, 'roman');
SELECT flake_last_id() = :before AS none_used_up;
\set VERBOSITY sqlstate
SELECT flake_prefixed('x', 19);
SELECT flake_prefixed('x', -1);
SELECT flake_prefixed('x', 0, 'roman');
SELECT flake_prefixed('x', 0, 'digits', 'nobody');
\set VERBOSITY terse

-- in a read-only transaction, and after a subtransaction rolled back
BEGIN READ ONLY;
SELECT flake_next_id() > 0 AS made;
COMMIT;
DO $$
DECLARE
	a bigint;
	b bigint;
BEGIN
	BEGIN
		a := flake_next_id();
		RAISE EXCEPTION 'undo';
	EXCEPTION WHEN raise_exception THEN
		b := flake_next_id();
	END;
	ASSERT a < b, 'an id came again after a rollback';
END $$;

-- volatility, strictness and parallel safety are part of the contract
SELECT p.proname, pg_get_function_arguments(p.oid) AS arguments, p.provolatile, p.proisstrict, p.proparallel
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
WHERE p.proname IN ('flake_next_id', 'flake_next_ids', 'flake_reserve', 'flake_last_id', 'flake_prefixed', 'flake_node',
                    'flake_accept_clock', 'flake_reset_clock')
ORDER BY p.proname COLLATE "C", p.pronargs;

-- everything has a comment
SELECT p.oid::regprocedure FROM pg_proc p
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'flake'
WHERE obj_description(p.oid, 'pg_proc') IS NULL;

DROP EXTENSION flake CASCADE;
