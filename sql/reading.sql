-- Ids taken apart, and the lowest and highest id of a time: with a layout and
-- without, at both ends of every range, in indexes, generated columns and
-- partitions.
CREATE EXTENSION flake;
SET timezone = 'UTC';
SET datestyle = 'ISO';
\pset null '(null)'

-- What a statement's error says; what is not said is not shown.
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

-- The functions' promises: with a layout immutable, without stable, all strict
-- and parallel safe.
SELECT proname, string_agg(CASE WHEN 'flake_layout'::regtype = ANY (proargtypes::oid[]) THEN 'with ' ELSE 'without ' END
		|| provolatile::text, ', ' ORDER BY pronargs DESC) AS volatile,
	bool_and(proisstrict) AS strict, bool_and(proparallel = 's') AS parallel_safe
FROM pg_proc
WHERE proname IN ('flake_parse', 'flake_timestamp', 'flake_unix_ms', 'flake_node_id', 'flake_slot',
	'flake_sequence', 'flake_fields', 'flake_min_id', 'flake_max_id')
GROUP BY proname ORDER BY proname;

--
-- One id by many layouts.  An untyped literal is the layout.
--
SELECT * FROM flake_parse(541165879296, 'classic');
SELECT * FROM flake_parse(541165879296);
SELECT name, p.* FROM unnest(ARRAY['flake', 'wide', 'hazelcast', 'discord', 'sonyflake', 'mastodon', 'cockroachdb',
	'time:63 tick=1us', 'time:31 slot:31', 'time:31 sequence:31', 'time:31 node:31']) AS name,
	flake_parse(1234567890123456789, name::flake_layout) AS p;
SELECT flake_timestamp(1234567890123456789, 'twitter'), flake_unix_ms(1234567890123456789, 'twitter'),
	flake_node_id(1234567890123456789, 'twitter'), flake_slot(1234567890123456789, 'twitter'),
	flake_sequence(1234567890123456789, 'twitter');
SELECT * FROM flake_fields(1234567890123456789, 'twitter');
SELECT * FROM flake_fields(1234567890123456789);
SELECT * FROM flake_fields(5, 'time:3');
-- a node's parts need not be side by side
SELECT flake_node_id(b'10101110'::bigint, 'time:2 rack:2 sequence:1 slot:1 host:2'),
	flake_fields(b'10101110'::bigint, 'time:2 rack:2 sequence:1 slot:1 host:2');
-- what a layout does not have is 0
SELECT flake_node_id(5, 'mastodon'), flake_slot(5, 'twitter'), flake_sequence(5, 'cockroachdb'),
	flake_slot(5, 'flake'), flake_sequence(5, 'flake');

-- null in, null out
SELECT flake_parse(NULL), flake_parse(5, NULL), flake_timestamp(NULL), flake_timestamp(5, NULL),
	flake_unix_ms(NULL, 'js'), flake_node_id(NULL, 'js'), flake_slot(NULL, 'js'), flake_sequence(NULL, 'js'),
	flake_min_id(NULL), flake_min_id(NULL, 'js'), flake_min_id('2025-01-01', NULL), flake_max_id(NULL, 'js');
SELECT * FROM flake_fields(NULL, 'js');

-- the layout may change from row to row, and come back
SELECT string_agg(flake_sequence(1023, l::flake_layout)::text, ' ' ORDER BY n) AS sequences
FROM unnest(ARRAY['flake', 'classic', 'flake', 'time:41 sequence:8', 'time:41 node:3 sequence:8', 'twitter', 'flake'])
	WITH ORDINALITY AS t (l, n);

--
-- Both ends of the ids
--
SELECT flake_unix_ms(0, 'js'), flake_unix_ms(9007199254740991, 'js'),
	flake_node_id(9007199254740991, 'js'), flake_slot(9007199254740991, 'js'), flake_sequence(9007199254740991, 'js');
SELECT flake_unix_ms(9223372036854775807, 'flake'), flake_node_id(9223372036854775807, 'flake'),
	flake_slot(9223372036854775807, 'flake'), flake_sequence(9223372036854775807, 'flake');
\a
SELECT error_of(format('SELECT %s(%s, ''js'')', f, id))
FROM unnest(ARRAY['flake_parse', 'flake_timestamp', 'flake_unix_ms', 'flake_node_id', 'flake_slot', 'flake_sequence',
	'flake_fields']) WITH ORDINALITY AS t (f, n), unnest(ARRAY['-1', '9007199254740992']) AS id
ORDER BY n, id;
SELECT error_of(format('SELECT %s(-1)', f))
FROM unnest(ARRAY['flake_parse', 'flake_timestamp', 'flake_unix_ms', 'flake_node_id', 'flake_slot', 'flake_sequence',
	'flake_fields']) AS f;
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
-- Where timestamptz ends: its last microsecond is a time, the next is an
-- error in every function, the unix time included.
--
SELECT flake_min_id('294276-12-31 23:59:59.999999', 'time:63 tick=1us') AS last_us \gset
SELECT * FROM flake_parse(:last_us, 'time:63 tick=1us');
SELECT flake_min_id('294276-12-31 23:59:59.999999', 'time:62 sequence:1 tick=86400s epoch=0001-01-01') AS last_day \gset
SELECT * FROM flake_parse(:last_day + 1, 'time:62 sequence:1 tick=86400s epoch=0001-01-01');
\a
SELECT error_of(format('SELECT %s(%s, %L)', f, id, l))
FROM unnest(ARRAY['flake_parse', 'flake_timestamp', 'flake_unix_ms', 'flake_node_id', 'flake_slot', 'flake_sequence',
	'flake_fields']) WITH ORDINALITY AS t (f, n),
	(VALUES (:last_us + 1, 'time:63 tick=1us'), (9223372036854775807, 'time:63 tick=86400s')) AS v (id, l)
ORDER BY l, n;
SELECT error_of(format('SELECT flake_unix_ms(%s, %L)', id, l))
FROM (VALUES (:last_day + 2, 'time:62 sequence:1 tick=86400s epoch=0001-01-01'),
	(9223372036854775807, 'time:63 tick=86400s epoch=9999-12-31T23:59:59.999999Z')) AS v (id, l);
\a

--
-- The lowest and the highest id of a time
--
SELECT flake_min_id('2025-01-01'), flake_max_id('2025-01-01'), flake_min_id('2025-01-01', 'flake');
SELECT t, to_hex(flake_min_id(t, 'flake')) AS lowest, to_hex(flake_max_id(t, 'flake')) AS highest
FROM unnest(ARRAY['2025-01-01 00:00:00.000999+00', '2025-01-01 00:00:00.001+00', '2025-01-01 02:00:00.001+02',
	'2025-01-02', '2026-11-01', '2094-09-07 15:47:35.551+00', '2094-09-07 15:47:35.551999+00']::timestamptz[]) AS t;
-- a day is 86400000 << 22 from midnight to midnight
SELECT bool_and(flake_min_id(t + interval '1 day', 'flake') - flake_min_id(t, 'flake') = 86400000::bigint << 22) AS exact_days
FROM generate_series('2025-01-01'::timestamptz, '2094-09-01', '1 day') AS t;
-- what they bracket, at every tick length
SELECT l, bool_and(flake_timestamp(lo, l) <= t) AS not_after, bool_and(flake_timestamp(lo, l) = flake_timestamp(hi, l)) AS same,
	bool_and(flake_timestamp(hi + 1, l) > t) AS next_is, bool_and(lo = 0 OR flake_timestamp(lo - 1, l) < t) AS previous_is,
	bool_and(flake_min_id(flake_timestamp(lo, l), l) = lo AND flake_max_id(flake_timestamp(lo, l), l) = hi) AS goes_back
FROM unnest(ARRAY['flake', 'twitter', 'sonyflake', 'cockroachdb', 'time:53 node:3 tick=1us epoch=1950-06-15',
		'time:40 sequence:20 tick=7s', 'time:20 sequence:20 tick=86400s epoch=1950-06-15']::flake_layout[]) AS l,
	generate_series('2025-01-01'::timestamptz, '2039-01-01', '10 days 07:11:13.456789') AS t,
	LATERAL (SELECT flake_min_id(t, l) AS lo, flake_max_id(t, l) AS hi) AS r
GROUP BY l ORDER BY l::text COLLATE "C";
-- beyond both ends, and infinity
\a
SELECT error_of(format('SELECT %s(%L, %L)', f, t, l))
FROM unnest(ARRAY['flake_min_id', 'flake_max_id']) AS f,
	(VALUES (1, '2024-12-31 23:59:59.999999', 'flake'), (2, '2094-09-07 15:47:35.552', 'flake'), (3, '-infinity', 'flake'),
		(4, 'infinity', 'flake'), (5, 'infinity', 'time:63 tick=86400s'), (6, '4714-11-24 00:00:00 BC', 'time:63 tick=1us'),
		(7, '294276-12-31 23:59:59.999999', 'time:63 tick=1us epoch=0001-01-01'),
		(8, '2024-12-31 23:59:59', 'time:63 tick=86400s'), (9, '2025-01-01 00:00:00.002', 'time:1')) AS v (n, t, l)
ORDER BY n, f DESC;
SELECT error_of($$SELECT flake_min_id('2024-12-31')$$);
SELECT error_of($$SELECT flake_max_id('infinity')$$);
-- the message shows times as the session does
SET timezone = 'Asia/Kolkata';
SELECT error_of($$SELECT flake_min_id('2024-12-31', 'flake')$$);
SET timezone = 'UTC';
\a
SELECT flake_max_id('2025-01-01 00:00:00.001999', 'time:1') AS last_of_two_ticks;

--
-- Where immutable functions are needed
--
CREATE TABLE event (
	id bigint PRIMARY KEY,
	created_at timestamptz GENERATED ALWAYS AS (flake_timestamp(id, 'flake')) STORED,
	node int GENERATED ALWAYS AS (flake_node_id(id, 'time:41 node:8 slot:6 sequence:8')) STORED
);
CREATE INDEX event_day ON event ((flake_unix_ms(id, 'flake') / 86400000));
INSERT INTO event
	SELECT flake_min_id('2026-10-30', 'flake') + (n * 3600000 << 22) + ((n % 3) << 14)
	FROM generate_series(0::bigint, 72) AS n;
ANALYZE event;
SELECT min(created_at), max(created_at), min(node), max(node) FROM event;
-- the primary key serves time ranges, with a layout and without
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM event
	WHERE id >= flake_min_id('2026-10-31 00:00+00') AND id < flake_min_id('2026-11-01 00:00+00');
SELECT count(*) FROM event
	WHERE id >= flake_min_id('2026-10-31 00:00+00') AND id < flake_min_id('2026-11-01 00:00+00');
SELECT count(*) FROM event
	WHERE id BETWEEN flake_min_id('2026-10-31 00:00+00', 'flake') AND flake_max_id('2026-10-31 23:59:59.999+00', 'flake');
-- the index on an expression
EXPLAIN (COSTS OFF) SELECT count(*) FROM event WHERE flake_unix_ms(id, 'flake') / 86400000 = 20757;
SELECT count(*) FROM event WHERE flake_unix_ms(id, 'flake') / 86400000 = 20757;
RESET enable_seqscan;
RESET enable_bitmapscan;

-- Without a layout they are not immutable, and PostgreSQL says so.
\set VERBOSITY sqlstate
CREATE INDEX event_wrong ON event (flake_timestamp(id));
\set VERBOSITY default

-- Partitions by month, bounded by ids
CREATE TABLE measurement (id bigint PRIMARY KEY, value int) PARTITION BY RANGE (id);
CREATE TABLE measurement_2026_10 PARTITION OF measurement
	FOR VALUES FROM (flake_min_id('2026-10-01', 'flake')) TO (flake_min_id('2026-11-01', 'flake'));
CREATE TABLE measurement_2026_11 PARTITION OF measurement
	FOR VALUES FROM (flake_min_id('2026-11-01', 'flake')) TO (flake_min_id('2026-12-01', 'flake'));
CREATE TABLE measurement_2026_12 PARTITION OF measurement
	FOR VALUES FROM (flake_min_id('2026-12-01', 'flake')) TO (flake_min_id('2027-01-01', 'flake'));
INSERT INTO measurement SELECT flake_min_id(t, 'flake'), 1 FROM generate_series('2026-10-01'::timestamptz, '2026-12-31', '1 day') AS t;
SELECT tableoid::regclass, count(*), min(flake_timestamp(id, 'flake')), max(flake_timestamp(id, 'flake'))
FROM measurement GROUP BY 1 ORDER BY 1;
SELECT pg_get_expr(relpartbound, oid) = format('FOR VALUES FROM (%L) TO (%L)',
	flake_min_id('2026-11-01', 'flake'), flake_min_id('2026-12-01', 'flake')) AS plain_numbers
FROM pg_class WHERE oid = 'measurement_2026_11'::regclass;
SET enable_bitmapscan = off;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
-- pruned when planned
EXPLAIN (COSTS OFF) SELECT * FROM measurement
	WHERE id >= flake_min_id('2026-11-05 00:00+00'::timestamptz, 'flake')
	AND id < flake_min_id('2026-11-06 00:00+00'::timestamptz, 'flake') AND value = 1;
-- pruned when executed, because the layout is that of the generator
EXPLAIN (COSTS OFF) SELECT * FROM measurement
	WHERE id >= flake_min_id('2026-12-05 00:00+00') AND value = 1;
RESET enable_bitmapscan;
RESET enable_indexscan;
RESET enable_indexonlyscan;
-- a month that the layout does not have
SELECT error_of($$CREATE TABLE measurement_early PARTITION OF measurement
	FOR VALUES FROM (flake_min_id('2024-12-01', 'flake')) TO (flake_min_id('2025-01-01', 'flake'))$$);

DROP TABLE event, measurement;
DROP FUNCTION error_of;
DROP EXTENSION flake;
