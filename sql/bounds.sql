--
-- flake_min_id(), flake_max_id(), flake_id_at(): at both ends of every layout, in
-- range queries, and as bounds of partitions.
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
FROM pg_proc WHERE proname IN ('flake_min_id', 'flake_max_id', 'flake_id_at') ORDER BY proname;

--
-- The lowest and the highest id of a time
--
SELECT flake_min_id('2025-01-01'), flake_max_id('2025-01-01'), flake_min_id('2025-01-01', 'twitter');
SELECT flake_min_id(NULL), flake_min_id(NULL, 'js'), flake_min_id('2025-01-01', NULL), flake_max_id(NULL, 'js');
SELECT t, to_hex(flake_min_id(t)) AS lowest, to_hex(flake_max_id(t)) AS highest
FROM unnest(ARRAY['2025-01-01 00:00:00.000999+00', '2025-01-01 00:00:00.001+00', '2025-01-01 02:00:00.001+02',
	'2025-01-02', '2026-11-01', '2094-09-07 15:47:35.551+00', '2094-09-07 15:47:35.551999+00']::timestamptz[]) AS t;
-- a day is 86400000 << 22 from midnight to midnight
SELECT bool_and(flake_min_id(t + interval '1 day') - flake_min_id(t) = 86400000::bigint << 22) AS exact_days
FROM generate_series('2025-01-01'::timestamptz, '2094-09-01', '1 day') AS t;
-- the bounds of a tick, for every length of a tick
SELECT l, bool_and(flake_timestamp(lo, l) <= t) AS not_after, bool_and(flake_timestamp(lo, l) = flake_timestamp(hi, l)) AS same,
	bool_and(flake_timestamp(hi + 1, l) > t) AS next_is, bool_and(lo = 0 OR flake_timestamp(lo - 1, l) < t) AS previous_is,
	bool_and(flake_min_id(flake_timestamp(lo, l), l) = lo AND flake_max_id(flake_timestamp(lo, l), l) = hi) AS goes_back
FROM unnest(ARRAY['flake', 'twitter', 'sonyflake', 'cockroachdb', 'time:53 node:3 tick=1us epoch=1950-06-15',
		'time:40 sequence:20 tick=7s', 'time:20 sequence:20 tick=86400s epoch=1950-06-15']::flake_layout[]) AS l,
	generate_series('2025-01-01'::timestamptz, '2039-01-01', '10 days 07:11:13.456789') AS t,
	LATERAL (SELECT flake_min_id(t, l) AS lo, flake_max_id(t, l) AS hi) AS r
GROUP BY l ORDER BY l::text COLLATE "C";

-- beyond both ends: no error, and every comparison is right
SELECT l, t, flake_min_id(time, layout), flake_max_id(time, layout)
FROM (VALUES
	(1, 'flake', '-infinity'), (2, 'flake', '4714-11-24 00:00:00 BC'), (3, 'flake', '2024-12-31 23:59:59.999999'), (4, 'flake', '2025-01-01'),
	(5, 'flake', '2094-09-07 15:47:35.551999'), (6, 'flake', '2094-09-07 15:47:35.552'), (7, 'flake', '294276-12-31 23:59:59.999999'), (8, 'flake', 'infinity'),
	(9, 'js', '-infinity'), (10, 'js', '2094-09-07 15:47:35.551999'), (11, 'js', '2094-09-07 15:47:35.552'), (12, 'js', 'infinity'),
	(13, 'time:1', '2025-01-01 00:00:00.001999'), (14, 'time:1', '2025-01-01 00:00:00.002'), (15, 'time:1', 'infinity'),
	(16, 'time:63 tick=1us', '4714-11-24 00:00:00 BC'), (17, 'time:63 tick=1us epoch=0001-01-01', '294276-12-31 23:59:59.999999'),
	(18, 'time:63 tick=1us', '-infinity'), (19, 'time:63 tick=1us', 'infinity'), (20, 'time:63 tick=86400s', '2024-12-31 23:59:59.999999'),
	(21, 'time:63 tick=86400s', 'infinity'), (22, 'time:20 sequence:20 tick=1s epoch=9999-12-31', '9999-12-30'),
	(23, 'time:40 shard:13=5 sequence:10', '2024-12-31'), (24, 'time:40 shard:13=5 sequence:10', '2025-01-01'),
	(25, 'time:40 shard:13=5 sequence:10', 'infinity')
) AS v (n, l, t), LATERAL (SELECT l::flake_layout, t::timestamptz) AS x (layout, time)
ORDER BY n;

-- As a property: an id compares with the bounds of a time as its tick compares
-- with the tick of the time.
SELECT setseed(0.25);
CREATE FUNCTION floor_time(t timestamptz, l flake_layout) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN NOT isfinite(t) OR t < first_timestamp OR t >= last_timestamp + tick THEN t
		ELSE first_timestamp + interval '1 us' * floor(extract(epoch FROM t - first_timestamp) * 1000000 / (extract(epoch FROM tick) * 1000000))::bigint
			* (extract(epoch FROM tick) * 1000000)::bigint END
	FROM flake_layout_info(l)
$$;
CREATE TABLE bound AS
	SELECT l, t, floor_time(t, l) AS tick_of_t, flake_min_id(t, l) AS lowest, flake_max_id(t, l) AS highest
	FROM unnest(ARRAY['flake', 'js', 'sonyflake', 'time:30 node:3=2 sequence:10 tick=7us', 'time:12 sequence:3 tick=86400s epoch=2019-12-31']::flake_layout[]) AS l,
		LATERAL (SELECT first_timestamp AS first, last_timestamp + tick AS past FROM flake_layout_info(l)) AS i,
		LATERAL (SELECT first + random() * (past - first) FROM generate_series(1, 40) WHERE l IS NOT NULL
			UNION ALL SELECT first - random() * interval '40 years' FROM generate_series(1, 5) WHERE l IS NOT NULL
			UNION ALL SELECT past + random() * interval '40 years' FROM generate_series(1, 5) WHERE l IS NOT NULL
			UNION ALL SELECT unnest(ARRAY[first, past, first - interval '1 us', past - interval '1 us', first + interval '1 us', '-infinity', 'infinity'])) AS r (t);
CREATE TABLE id AS
	SELECT l, id, flake_timestamp(id, l) AS created_at
	FROM (SELECT DISTINCT l FROM bound) AS d, LATERAL (SELECT (2::numeric ^ (flake_layout_info(l)).bits - 1)::bigint AS last) AS i,
		LATERAL (SELECT 0 UNION SELECT last
			UNION SELECT floor(random() * last)::bigint FROM generate_series(1, 100) WHERE l IS NOT NULL
			UNION SELECT n FROM bound AS b, unnest(ARRAY[lowest - 1, lowest, highest, highest + 1]) AS n
				WHERE b.l = d.l AND n BETWEEN 0 AND last AND highest < 9223372036854775807) AS r (id);
SELECT count(*) > 250 AS bounds FROM bound;
SELECT count(*) > 1000 AS ids FROM id;
-- the pairs where one of the four comparisons is wrong
SELECT b.*, id.*
FROM bound AS b JOIN id USING (l)
WHERE (id >= lowest) <> (created_at >= tick_of_t) AND NOT (id = 9223372036854775807 AND created_at < tick_of_t)
	OR (id < lowest) <> (created_at < tick_of_t) AND NOT (id = 9223372036854775807 AND created_at < tick_of_t)
	OR (id <= highest) <> (created_at <= tick_of_t)
	OR (id > highest) <> (created_at > tick_of_t);
-- excepted above: the highest bigint, for which there is no higher bound
SELECT DISTINCT l, t, lowest FROM bound WHERE lowest = 9223372036854775807 AND t = 'infinity' ORDER BY 1;

--
-- Range queries use the primary key
--
CREATE TABLE event (id bigint PRIMARY KEY);
INSERT INTO event SELECT flake_id_at('2026-10-30 00:00+00'::timestamptz + n * interval '1 hour', 0, n % 3) FROM generate_series(0, 72) AS n;
ANALYZE event;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM event
	WHERE id >= flake_min_id('2026-10-31 00:00+00') AND id < flake_min_id('2026-11-01 00:00+00');
RESET enable_seqscan;
RESET enable_bitmapscan;
SELECT count(*) FROM event WHERE id >= flake_min_id('2026-10-31 00:00+00') AND id < flake_min_id('2026-11-01 00:00+00');
SELECT count(*) FROM event WHERE id BETWEEN flake_min_id('2026-10-31 00:00+00') AND flake_max_id('2026-10-31 23:59:59.999+00');
SELECT count(*) FROM event WHERE id >= flake_min_id('2000-01-01') AND id < flake_min_id('infinity');
SELECT count(*) FROM event WHERE id <= flake_max_id('-infinity') OR id > flake_max_id('2200-01-01');

-- Partitions by month, bounded by ids
CREATE TABLE measurement (id bigint PRIMARY KEY, value int) PARTITION BY RANGE (id);
CREATE TABLE measurement_2026_10 PARTITION OF measurement
	FOR VALUES FROM (flake_min_id('2026-10-01')) TO (flake_min_id('2026-11-01'));
CREATE TABLE measurement_2026_11 PARTITION OF measurement
	FOR VALUES FROM (flake_min_id('2026-11-01')) TO (flake_min_id('2026-12-01'));
CREATE TABLE measurement_2026_12 PARTITION OF measurement
	FOR VALUES FROM (flake_min_id('2026-12-01')) TO (flake_min_id('2027-01-01'));
INSERT INTO measurement SELECT flake_min_id(t), 1 FROM generate_series('2026-10-01'::timestamptz, '2026-12-31', '1 day') AS t;
SELECT tableoid::regclass, count(*), min(flake_timestamp(id)), max(flake_timestamp(id))
FROM measurement GROUP BY 1 ORDER BY 1;
SELECT pg_get_expr(relpartbound, oid) = format('FOR VALUES FROM (%L) TO (%L)',
	flake_min_id('2026-11-01'), flake_min_id('2026-12-01')) AS plain_numbers
FROM pg_class WHERE oid = 'measurement_2026_11'::regclass;
SET enable_bitmapscan = off;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
-- pruned by the planner
EXPLAIN (COSTS OFF) SELECT * FROM measurement
	WHERE id >= flake_min_id('2026-11-05 00:00+00'::timestamptz)
	AND id < flake_min_id('2026-11-06 00:00+00'::timestamptz) AND value = 1;
RESET enable_bitmapscan;
RESET enable_indexscan;
RESET enable_indexonlyscan;
-- the first and the last partition can reach beyond the layout
CREATE TABLE measurement_before PARTITION OF measurement
	FOR VALUES FROM (flake_min_id('-infinity')) TO (flake_min_id('2026-10-01'));
CREATE TABLE measurement_after PARTITION OF measurement
	FOR VALUES FROM (flake_min_id('2027-01-01')) TO (flake_min_id('infinity'));
INSERT INTO measurement VALUES (0), (flake_max_id('2093-01-01'));
SELECT tableoid::regclass, flake_timestamp(id) FROM measurement WHERE value IS NULL ORDER BY id;

--
-- Ids for older rows
--
SELECT n, to_hex(flake_id_at('2026-11-01 00:00+00', n, 7)) FROM unnest(ARRAY[0, 1, 255, 256, 16383]) AS n;
SELECT * FROM flake_fields(flake_id_at('2026-11-01 00:00:00.0005+00', 3 * 256 + 9, 7));
SELECT flake_timestamp(flake_id_at('2026-11-01 00:00:00.0019+00', 0, 0)) AS tick;
-- ids are in the order of n, distinct, and within the bounds of the time
SELECT name, count(*), bool_and(id > previous) AS rising, count(DISTINCT id) = count(*) AS distinct,
	bool_and(id BETWEEN flake_min_id('2026-11-01', name::flake_layout) AND flake_max_id('2026-11-01', name::flake_layout)) AS in_tick,
	bool_and(flake_node_id(id, name::flake_layout) = node) AS node
FROM (SELECT name, (node_of)::int AS node, id, lag(id) OVER (PARTITION BY name ORDER BY n) AS previous
	FROM (VALUES ('flake', 255), ('classic', 1023), ('js', 31), ('ordered', 255), ('twitter', 1000), ('snowfall', 4095), ('hazelcast', 65535), ('sonyflake2', 9),
			('time:44 rack:3 slot:2 sequence:3 host:4', 77), ('time:41 slot:4 node:3', 5), ('time:41 slot:4', 0), ('time:41 sequence:9', 0), ('time:41', 0))
			AS v (name, node_of),
		LATERAL generate_series(0, least((flake_layout_info(name::flake_layout)).ids_per_tick, 3000) - 1) AS n,
		LATERAL (SELECT flake_id_at('2026-11-01', n, node_of, name::flake_layout)) AS i (id)) AS t
GROUP BY name ORDER BY name COLLATE "C";
-- the node id is spread over the parts that are not fixed
SELECT l, node, flake_fields(flake_id_at('2026-11-01', 1, node, l), l)
FROM (VALUES ('time:41 seed:5=31 pid:5 sequence:12'::flake_layout, 9), ('time:41 a:2 b:3=5 c:2 sequence:1', 13), ('time:40 shard:13=5 sequence:10', 0)) AS v (l, node);
SELECT flake_id_at(NULL, 0, 0), flake_id_at('2026-11-01', NULL, 0), flake_id_at('2026-11-01', 0, NULL), flake_id_at('2026-11-01', 0, 0, NULL);
SELECT flake_id_at(created_at => '2026-11-01', n => 3, node_id => 7, layout => 'js') = flake_id_at('2026-11-01', 3, 7, 'js') AS named;
-- the first and the last id of a layout
SELECT flake_id_at('2025-01-01', 0, 0) AS first, flake_id_at('2094-09-07 15:47:35.551999', 16383, 255) AS last;
\a
SELECT t, n, node, l, error_of(format('SELECT flake_id_at(%L, %s, %s, %L)', t, n, node, l))
FROM (VALUES
	('2026-11-01', '-1', 0, 'flake'), ('2026-11-01', '16384', 0, 'flake'), ('2026-11-01', '9223372036854775807', 0, 'flake'),
	('2026-11-01', '-9223372036854775808', 0, 'flake'), ('2026-11-01', '1', 0, 'cockroachdb'), ('2026-11-01', '1', 0, 'time:41'),
	('2026-11-01', '0', -1, 'flake'), ('2026-11-01', '0', 256, 'flake'), ('2026-11-01', '0', 2147483647, 'flake'), ('2026-11-01', '0', 1, 'mastodon'),
	('2026-11-01', '0', 32, 'time:41 seed:5=31 pid:5 sequence:12'), ('2026-11-01', '0', 5, 'time:40 shard:13=5 sequence:10'),
	('2024-12-31 23:59:59.999999', '0', 0, 'flake'), ('2094-09-07 15:47:35.552', '0', 0, 'flake'), ('-infinity', '0', 0, 'flake'), ('infinity', '0', 0, 'flake'),
	('infinity', '0', 0, 'time:63 tick=1s'), ('4714-11-24 00:00:00 BC', '0', 0, 'time:63 tick=1us'), ('2025-01-01 00:00:00.002', '0', 0, 'time:1'),
	('294276-12-31 23:59:59.999999', '0', 0, 'time:63 tick=1us epoch=0001-01-01'),
	('2024-12-31', '0', 0, 'time:44 tick=510ms epoch=9965-03-03T03:42:28.15Z'),
	('2026-11-01', '0', 0, 'time:40 node:23'), ('2026-11-01', '0', 0, 'time:41 slot:13'), ('2026-11-01', '0', 0, 'time:41 sequence:3 slot:3'),
	('2026-11-01', '0', 0, 'time:41 tick=2s')
) AS v (t, n, node, l);
-- the message shows times in the session's time zone, in one style
SET timezone = 'Asia/Kolkata';
SET datestyle = 'German';
SELECT error_of($$SELECT flake_id_at('2024-12-31', 0, 0)$$);
\a

DROP TABLE bound, id, event, measurement;
DROP FUNCTION error_of, floor_time;
DROP EXTENSION flake;
