--
-- flake_parse() and others: many layouts, both ends of every range, indexes,
-- generated columns, check constraints and partitions.
--
CREATE EXTENSION flake;
SET timezone = 'UTC';
SET datestyle = 'ISO';
\pset null '(null)'

-- The error of a statement, without empty parts.
CREATE FUNCTION error_of(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE command;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', state || ': ' || message, nullif(detail, ''), nullif(hint, ''));
END $$;

-- volatility, strictness, parallel safety and defaults
SELECT oid::regprocedure, provolatile, proisstrict, proparallel, pg_get_function_arguments(oid)
FROM pg_proc
WHERE proname IN ('flake_parse', 'flake_timestamp', 'flake_unix_ms', 'flake_node_id', 'flake_fields')
ORDER BY proname;

--
-- One id in many layouts; a literal needs no cast to flake_layout
--
SELECT * FROM flake_parse(541165879296, 'classic');
SELECT * FROM flake_parse(541165879296);
SELECT name, p.* FROM unnest(ARRAY['flake', 'wide', 'hazelcast', 'discord', 'sonyflake', 'mastodon', 'cockroachdb',
	'time:63 tick=1us', 'time:31 slot:31', 'time:31 sequence:31', 'time:31 node:31']) AS name,
	flake_parse(1234567890123456789, name::flake_layout) AS p;
SELECT flake_timestamp(1234567890123456789, 'twitter'), flake_unix_ms(1234567890123456789, 'twitter'),
	flake_node_id(1234567890123456789, 'twitter');
SELECT * FROM flake_fields(1234567890123456789, 'twitter');
SELECT * FROM flake_fields(1234567890123456789);
SELECT * FROM flake_fields(5, 'time:3');
-- parts of the node that are not adjacent
SELECT flake_node_id(b'10101110'::bigint, 'time:2 rack:2 sequence:1 slot:1 host:2'),
	flake_fields(b'10101110'::bigint, 'time:2 rack:2 sequence:1 slot:1 host:2');
-- 0 for fields that the layout does not have
SELECT (flake_parse(5, 'mastodon')).node_id, (flake_parse(5, 'twitter')).slot, (flake_parse(5, 'cockroachdb')).sequence;
-- the default layout is 'flake'
SELECT flake_parse(id) = flake_parse(id, 'flake') AS parse, flake_timestamp(id) = flake_timestamp(id, 'flake') AS timestamp,
	flake_unix_ms(id) = flake_unix_ms(id, 'flake') AS unix_ms, flake_node_id(id) = flake_node_id(id, 'flake') AS node_id,
	flake_min_id(at) = flake_min_id(at, 'flake') AS min_id, flake_max_id(at) = flake_max_id(at, 'flake') AS max_id,
	flake_id_at(at, 9, 7) = flake_id_at(at, 9, 7, 'flake') AS id_at
FROM (VALUES (1234567890123456789, '2031-05-05'::timestamptz)) AS v (id, at);

-- a fixed part is read from the id, not from the layout
SELECT l, flake_node_id((5 << 10) + 3, l), flake_fields((5 << 10) + 3, l)
FROM unnest(ARRAY['time:40 shard:13=5 sequence:10', 'time:40 shard:13=6 sequence:10', 'time:40 shard:13 sequence:10']::flake_layout[]) AS l;
SELECT flake_node_id((3 << 17) + (9 << 12), 'time:41 seed:5=31 pid:5 sequence:12') AS parts_together;

-- null in, null out
SELECT flake_parse(NULL), flake_parse(5, NULL), flake_timestamp(NULL), flake_timestamp(5, NULL),
	flake_unix_ms(NULL, 'js'), flake_node_id(NULL, 'js');
SELECT * FROM flake_fields(NULL, 'js');

-- the layout can change from row to row
SELECT string_agg((flake_parse(1023, l::flake_layout)).sequence::text, ' ' ORDER BY n) AS sequences
FROM unnest(ARRAY['flake', 'classic', 'flake', 'time:41 sequence:8', 'time:41 node:3 sequence:8', 'twitter', 'flake'])
	WITH ORDINALITY AS t (l, n);
-- what a call keeps outlives a row, whatever else the row needs memory for
SELECT string_agg((parse).sequence::text, ' ' ORDER BY n) AS sequences, sum(length(filler)) AS filler
FROM (SELECT n, repeat('x', n * 1000) AS filler, flake_parse(4096 + n, CASE WHEN n % 5 = 0 THEN 'ordered' ELSE 'classic' END::flake_layout) AS parse
	FROM generate_series(1, 12) AS n OFFSET 0) AS s;

-- with the columns of a table in a view: no name occurs twice
CREATE TABLE orders (id bigint PRIMARY KEY, total numeric);
CREATE VIEW order_parts AS SELECT o.*, p.* FROM orders AS o, flake_parse(o.id) AS p;
INSERT INTO orders VALUES (541165879296, 12.50);
SELECT * FROM order_parts;
DROP TABLE orders CASCADE;

--
-- Both ends of the ids
--
SELECT * FROM flake_parse(0, 'js');
SELECT * FROM flake_parse(9007199254740991, 'js');
SELECT * FROM flake_parse(9223372036854775807, 'flake');
\a
SELECT error_of(format('SELECT %s(%s, ''js'')', f, id))
FROM unnest(ARRAY['flake_parse', 'flake_timestamp', 'flake_unix_ms', 'flake_node_id', 'flake_fields']) WITH ORDINALITY AS t (f, n),
	unnest(ARRAY['-1', '9007199254740992']) AS id
ORDER BY n, id;
SELECT error_of(format('SELECT %s(-1)', f))
FROM unnest(ARRAY['flake_parse', 'flake_timestamp', 'flake_unix_ms', 'flake_node_id', 'flake_fields']) AS f;
SELECT error_of($$SELECT flake_parse(-9223372036854775808, 'time:63')$$);
\a

--
-- Times before 1970 and before 2000, and milliseconds rounded down
--
SELECT id, flake_timestamp(id, layout), flake_unix_ms(id, layout)
FROM (SELECT 'time:41 tick=300us epoch=1969-12-31T23:59:59.999Z'::flake_layout AS layout) AS l, generate_series(0, 7) AS id;
SELECT flake_timestamp(0, 'time:41 epoch=0001-01-01'), flake_unix_ms(0, 'time:41 epoch=0001-01-01'),
	flake_timestamp(1, 'time:41 epoch=1999-12-31T23:59:59.999999Z tick=1us'),
	flake_unix_ms(0, 'time:41 epoch=1999-12-31T23:59:59.999999Z tick=1us'),
	flake_unix_ms(1, 'time:41 epoch=1999-12-31T23:59:59.999999Z tick=1us');

--
-- The end of timestamptz: its last microsecond is valid, the next one is an error
-- in every function.
--
SELECT flake_min_id('294276-12-31 23:59:59.999999', 'time:63 tick=1us') AS last_us \gset
SELECT * FROM flake_parse(:last_us, 'time:63 tick=1us');
SELECT flake_min_id('294276-12-31 23:59:59.999999', 'time:62 sequence:1 tick=86400s epoch=0001-01-01') AS last_day \gset
SELECT * FROM flake_parse(:last_day + 1, 'time:62 sequence:1 tick=86400s epoch=0001-01-01');
\a
SELECT error_of(format('SELECT %s(%s, %L)', f, id, l))
FROM unnest(ARRAY['flake_parse', 'flake_timestamp', 'flake_unix_ms', 'flake_node_id', 'flake_fields']) WITH ORDINALITY AS t (f, n),
	(VALUES (:last_us + 1, 'time:63 tick=1us'), (9223372036854775807, 'time:63 tick=86400s')) AS v (id, l)
ORDER BY l, n;
SELECT error_of(format('SELECT flake_unix_ms(%s, %L)', id, l))
FROM (VALUES (:last_day + 2, 'time:62 sequence:1 tick=86400s epoch=0001-01-01'),
	(9223372036854775807, 'time:63 tick=86400s epoch=9999-12-31T23:59:59.999999Z')) AS v (id, l);
\a

--
-- Uses that require immutable functions
--
CREATE TABLE event (
	id bigint PRIMARY KEY CHECK (flake_timestamp(id) < '2027-01-01 00:00+00'),
	created_at timestamptz GENERATED ALWAYS AS (flake_timestamp(id)) STORED,
	node int GENERATED ALWAYS AS (flake_node_id(id, 'time:41 node:8 slot:6 sequence:8')) STORED
);
CREATE INDEX event_day ON event ((flake_unix_ms(id) / 86400000));
INSERT INTO event SELECT flake_id_at('2026-10-30 00:00+00'::timestamptz + n * interval '1 hour', 0, n % 3) FROM generate_series(0, 72) AS n;
ANALYZE event;
SELECT min(created_at), max(created_at), min(node), max(node) FROM event;
-- a layout is printed as its name
SELECT attname, pg_get_expr(adbin, adrelid)
FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
WHERE adrelid = 'event'::regclass ORDER BY attnum;
\set VERBOSITY terse
INSERT INTO event VALUES (flake_min_id('2027-01-01 00:00+00'));
INSERT INTO event VALUES (-1);
\set VERBOSITY default
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM event WHERE flake_unix_ms(id) / 86400000 = 20757;
SELECT count(*) FROM event WHERE flake_unix_ms(id) / 86400000 = 20757;
RESET enable_seqscan;
RESET enable_bitmapscan;
-- partitions by a part of the id
CREATE TABLE by_node (id bigint) PARTITION BY LIST (flake_node_id(id));
CREATE TABLE by_node_1 PARTITION OF by_node FOR VALUES IN (1);
CREATE TABLE by_node_others PARTITION OF by_node DEFAULT;
INSERT INTO by_node SELECT id FROM event;
SELECT tableoid::regclass, count(*), min(flake_node_id(id)), max(flake_node_id(id)) FROM by_node GROUP BY 1 ORDER BY 1;

DROP TABLE event, by_node;
DROP FUNCTION error_of;
DROP EXTENSION flake;
