--
-- flake_next_id(), flake_next_ids(), flake_reserve(), flake_prefixed(): properties
-- of the ids, which differ in each run.
--
CREATE EXTENSION flake;

-- one id
SELECT flake_next_id() > 0 AS positive;
SELECT flake_next_id() < flake_next_id() AS increasing;
SELECT flake_next_id() < flake_next_id('flake') AS same_layout;
SELECT flake_next_id(NULL) IS NULL AS none;

-- its time is the clock's, or a moment ahead after a start
SELECT created_at >= date_trunc('milliseconds', before) AS not_before,
       created_at <= clock_timestamp() + interval '1.1 s' AS not_after
FROM (SELECT clock_timestamp() AS before, flake_next_id() AS id OFFSET 0) AS s,
     LATERAL flake_parse(id);

-- node and slot
SELECT (flake_parse(id)).node_id = (flake_node()).node_id AS node,
       (flake_parse(id)).slot BETWEEN 0 AND 63 AS slot
FROM (SELECT flake_next_id() AS id OFFSET 0) AS s;

-- many: distinct and in order, across statements and functions
CREATE TEMP TABLE taken (n serial, id bigint);
INSERT INTO taken (id) SELECT flake_next_id() FROM generate_series(1, 50000);
INSERT INTO taken (id) SELECT flake_next_ids(50000);
INSERT INTO taken (id) SELECT flake_next_id('flake') FROM generate_series(1, 10000);
INSERT INTO taken (id) SELECT * FROM flake_next_ids(10000);
SELECT count(*), count(DISTINCT id) FROM taken;
SELECT count(*) AS out_of_order
FROM (SELECT id <= lag(id) OVER (ORDER BY n) AS wrong FROM taken) AS s WHERE wrong;

-- as a primary key
CREATE TEMP TABLE orders (id bigint PRIMARY KEY DEFAULT flake_next_id(), n int);
INSERT INTO orders (n) SELECT generate_series(1, 1000);
SELECT count(*) FROM orders;
INSERT INTO orders (n) VALUES (1001);
SELECT n FROM orders ORDER BY id DESC LIMIT 1;

-- a range of time uses its index
INSERT INTO orders (n) SELECT generate_series(1, 20000);
ANALYZE orders;
EXPLAIN (COSTS OFF) SELECT * FROM orders
WHERE id >= flake_min_id('2025-01-01 00:00+00') AND id < flake_min_id('2025-01-02 00:00+00');
SELECT count(*) FROM orders
WHERE id >= flake_min_id('2025-01-01 00:00+00') AND id < flake_min_id(now() + interval '1 hour');

-- flake_next_ids: none, one, some
SELECT count(*) FROM flake_next_ids(0);
SELECT count(*) FROM flake_next_ids(1);
SELECT count(*), count(DISTINCT id) FROM (SELECT flake_next_ids(100) AS id LIMIT 7) AS s;
SELECT count(*) FROM flake_next_ids(NULL);
SELECT count(*) FROM flake_next_ids(1, NULL);

-- each id has the time at which its row was fetched
SELECT count(*) AS rows, bool_and(flake_timestamp(id) > before - interval '2 ms') AS not_stale
FROM (SELECT clock_timestamp() AS before, flake_next_ids(5) AS id, pg_sleep(0.01)) AS s;

-- so has each other id: what is left of a range is of an older tick
DO $$
DECLARE
	call text;
	before timestamptz;
	id bigint;
BEGIN
	FOREACH call IN ARRAY ARRAY['flake_next_id()', '(flake_reserve(2)).first_id', 'flake_unformat(flake_prefixed(''''), '''')', 'flake_next_ids(1)'] LOOP
		FOR i IN 1 .. 10 LOOP
			PERFORM flake_next_id() FROM generate_series(1, 100);
			PERFORM pg_sleep(0.005);
			before := clock_timestamp();
			EXECUTE 'SELECT ' || call INTO id;
			ASSERT flake_timestamp(id) > before - interval '2 ms', call;
		END LOOP;
	END LOOP;
END $$;
-- what a call keeps outlives a row, whatever else the row needs memory for
SELECT count(DISTINCT id) AS ids, count(filler) AS fillers
FROM (SELECT flake_next_ids(5) AS id, repeat(to_char(clock_timestamp(), 'US'), 200) AS filler) AS s;

-- ids of two calls, and of single calls between them, are in order
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

-- the planner knows the number of rows
CREATE FUNCTION estimate(query text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan->0->'Plan'->>'Plan Rows';
END $$;
SELECT estimate('SELECT flake_next_ids(50000)') AS in_the_list,
       estimate('SELECT * FROM flake_next_ids(12345, ''ordered'')') AS in_from,
       estimate('SELECT * FROM flake_next_ids(5 * 5)') AS computed,
       estimate('SELECT * FROM flake_next_ids(extract(epoch FROM now() - now())::bigint + 9)') AS when_planned,
       estimate('SELECT * FROM flake_next_ids((SELECT 7))') AS not_known,
       estimate('SELECT * FROM flake_next_ids(0)') AS none,
       estimate('SELECT * FROM flake_next_ids(-1)') AS wrong;

-- flake_reserve: count ids of one tick and slot
CREATE TEMP TABLE reserved AS
SELECT n, r.* FROM generate_series(1, 256) AS n, LATERAL flake_reserve(n) AS r;
SELECT count(*) AS rows, bool_and((last_id - first_id) / step + 1 = n AND (last_id - first_id) % step = 0) AS exact,
       bool_and(flake_timestamp(first_id) = flake_timestamp(last_id)) AS one_tick,
       bool_and((flake_parse(first_id)).slot = (flake_parse(last_id)).slot) AS one_slot,
       bool_and(flake_node_id(first_id) = flake_node_id(last_id)) AS one_node
FROM reserved;
SELECT count(*) AS out_of_order
FROM (SELECT first_id <= lag(last_id) OVER (ORDER BY n) AS wrong FROM reserved) AS s WHERE wrong;
SELECT count(*), count(DISTINCT id) FROM
  (SELECT generate_series(first_id, last_id, step) AS id FROM reserved UNION ALL SELECT id FROM taken) AS s;
SELECT flake_next_id() > max(last_id) AS later FROM reserved;
-- up to the size of the sequence field, wherever that is
SELECT layout, most, (r.last_id - r.first_id) / r.step + 1 AS reserved
FROM (VALUES ('ordered', 4096), ('js', 32), ('time:41 slot:3 sequence:6 node:8', 64),
             ('time:41 node:8 tick=100ms', 1)) AS v (layout, most),
     LATERAL flake_reserve(most, layout::flake_layout) AS r;
SELECT flake_reserve(NULL) IS NULL AS none;

-- flake_prefixed
SELECT flake_prefixed('ORD_') ~ '^ORD_[0-9]{18}$' AS in_front;
SELECT flake_prefixed('-TAX-', 6) ~ '^[0-9]{6}-TAX-[0-9]{12}$' AS inside;
SELECT flake_prefixed('!', 18) ~ '^[0-9]{18}!$' AS at_the_end;
SELECT flake_prefixed('') ~ '^[0-9]{18}$' AS without;
SELECT flake_next_id() < flake_unformat(flake_prefixed('ORD_'), 'ORD_') AS back;
SELECT flake_next_id('wide') < flake_unformat(flake_prefixed('X', 3, 'base32', 'wide'), 'X', 3, 'base32') AS back;
SELECT flake_prefixed(NULL) IS NULL AS none, flake_prefixed('a', NULL) IS NULL AS none,
       flake_prefixed('a', 0, NULL) IS NULL AS none, flake_prefixed('a', layout => NULL) IS NULL AS none;

-- errors
\set SHOW_CONTEXT never
DO $$
DECLARE
	call text;
	detail text;
BEGIN
	FOREACH call IN ARRAY ARRAY[
		'flake_next_ids(-1)', 'flake_next_ids(''-9223372036854775808'')',
		'flake_reserve(0)', 'flake_reserve(-1)', 'flake_reserve(257)', 'flake_reserve(9223372036854775807)',
		'flake_reserve(33, ''js'')', 'flake_reserve(2, ''time:41 node:8 tick=100ms'')',
		'flake_prefixed(''x'', 19)', 'flake_prefixed(''x'', -1)', 'flake_prefixed(''x'', 0, ''roman'')']
	LOOP
		BEGIN
			EXECUTE 'SELECT ' || call;
			RAISE INFO '% succeeded', call;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
			RAISE INFO USING MESSAGE = format('%s: %s: %s', call, SQLSTATE, SQLERRM), DETAIL = detail;
		END;
	END LOOP;
END $$;
\set VERBOSITY terse

-- a wrong position takes no id
SELECT flake_prefixed('x', 0, 'digits', 'time:41 node:8 tick=100ms') IS NOT NULL AS made;
SELECT ids_taken AS before FROM flake.layouts WHERE layout = 'time:41 node:8 tick=100ms' \gset
SELECT flake_prefixed('x', 20, 'digits', 'time:41 node:8 tick=100ms');
SELECT flake_prefixed('x', -1, 'digits', 'time:41 node:8 tick=100ms');
SELECT ids_taken - :before AS used_up FROM flake.layouts WHERE layout = 'time:41 node:8 tick=100ms';

-- in a read-only transaction, and after a subtransaction is rolled back
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

-- no transaction id is assigned
BEGIN;
SELECT count(flake_next_id()) FROM generate_series(1, 1000);
SELECT pg_current_xact_id_if_assigned() IS NULL AS none_assigned;
COMMIT;

-- everybody may make ids
CREATE ROLE regress_flake_user;
SET ROLE regress_flake_user;
SELECT flake_next_id() > 0 AS made;
SELECT flake_accept_clock();
SELECT setval('flake.mark', 1);
SELECT * FROM flake_check();
RESET ROLE;
GRANT EXECUTE ON FUNCTION flake_accept_clock() TO regress_flake_user;
SET ROLE regress_flake_user;
SELECT flake_accept_clock();
RESET ROLE;
SELECT flake_next_id() > 0 AS goes_on;
DROP OWNED BY regress_flake_user;
DROP ROLE regress_flake_user;

-- settings of the server cannot be set in a session
SET flake.node_id = '3';
SET flake.max_clock_lead = 1;
SET flake.max_clock_jump = 1;
SET flake.colour = 'red';
SHOW flake.max_clock_lead;
SHOW flake.max_clock_jump;

-- volatility, strictness and parallel safety
SELECT p.oid::regprocedure AS function, p.provolatile, p.proisstrict, p.proparallel
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
WHERE p.proname IN ('flake_next_id', 'flake_next_ids', 'flake_reserve', 'flake_prefixed', 'flake_node',
                    'flake_accept_clock')
ORDER BY p.proname COLLATE "C";

-- everything has a description
SELECT p.oid::regprocedure FROM pg_proc p
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'flake'
WHERE obj_description(p.oid, 'pg_proc') IS NULL;

DROP FUNCTION estimate(text);
DROP TABLE taken, orders, fetched, reserved;
DROP EXTENSION flake;
