--
-- Type flake_layout: text and binary form, rules, presets, comparison; and
-- flake_layout_info().
--
CREATE EXTENSION flake;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
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

--
-- Presets: output is the name.  The meaning of a name never changes, because
-- stored ids are read by it.
--
CREATE TABLE preset (place int, name text, layout flake_layout);
INSERT INTO preset
	SELECT place, name, name::flake_layout
	FROM unnest(ARRAY['flake', 'classic', 'js', 'wide', 'ordered',
		'timeshard', 'easyflake', 'snowfall', 'pyflake', 'hazelcast', 'twitter', 'discord',
		'instagram', 'sonyflake', 'sonyflake2', 'mastodon', 'pgedge', 'pgedge_old', 'pgflake',
		'tsid', 'cockroachdb']) WITH ORDINALITY AS t (name, place);
SELECT name, (flake_layout_info(layout)).layout FROM preset ORDER BY place;
SELECT bool_and(layout::text = name) AS prints_name
FROM preset;
-- the full form of a preset is output as its name; no two names mean the same
SELECT bool_and(i.layout::flake_layout = p.layout AND i.layout::flake_layout::text = name) AS full_form_prints_name,
	count(DISTINCT i.layout) = count(*) AS all_differ
FROM preset AS p, flake_layout_info(p.layout) AS i;
SELECT text, text::flake_layout
FROM unnest(ARRAY['time:41 node:8 slot:6 sequence:8', 'flake tick=1000us epoch=1735689600000', 'sonyflake2 epoch=2014-09-01',
	'time:041 node:010 sequence:012 epoch=2020-01-01T01:00:00+01:00']) AS text;
-- another name of a field, another order, another option: another layout
SELECT text, text::flake_layout
FROM unnest(ARRAY['time:41 server:8 slot:6 sequence:8', 'time:41 slot:6 node:8 sequence:8', 'flake epoch=2025-01-02', 'flake tick=2ms',
	'time:40 node:8 slot:6 sequence:8', 'time:41 node:8=0 slot:6 sequence:8', 'time:40 node:8 slot:6 sequence:8 x:1']) AS text;

-- the options of a preset can be replaced, the fields cannot
SELECT 'sonyflake2 tick=1ms'::flake_layout;
SELECT 'twitter epoch=2020-01-01 tick=2ms'::flake_layout;
SELECT error_of($$SELECT 'twitter node:3'::flake_layout$$);
SELECT error_of($$SELECT 'twitter flake'::flake_layout$$);

--
-- Fields
--
SELECT 'time:41 node:8 slot:6 sequence:8'::flake_layout = 'flake' AS defaults;
-- any white space separates
SELECT E'\t time:41\n\nnode:8\r\fslot:6 \x0b sequence:8 '::flake_layout = 'flake' AS spaces;
-- the fewest bits, the most bits, and the most parts
SELECT 'time:1'::flake_layout;
SELECT 'time:63'::flake_layout;
SELECT 'time:1 slot:31 sequence:31'::flake_layout;
SELECT 'time:1 sequence:31 node:31'::flake_layout;
SELECT text::flake_layout::text = text || ' epoch=2025-01-01T00:00:00Z tick=1ms' AS most_and_longest
FROM (SELECT 'time:32' || string_agg(' ' || rpad('part_' || n || '_', 31, 'x') || ':1', '' ORDER BY n)
	FROM generate_series(1, 31) AS n) AS t (text);
-- leading zeros do not matter
SELECT 'time:041 node:0008'::flake_layout;

--
-- Fixed parts of the node
--
SELECT text, i.layout, i.bits, i.nodes, i.can_issue
FROM unnest(ARRAY['time:40 shard:13=5 sequence:10', 'time:40 shard:13=0 sequence:10', 'time:40 shard:13=8191 sequence:10', 'time:40 shard:013=0005 sequence:10',
	'time:41 seed:5=31 pid:5 sequence:12', 'time:41 seed:5 pid:5=31 sequence:12', 'time:41 seed:5=1 pid:5=2 sequence:12',
	'time:31 a:31=2147483647', 'time:20 a:1=1 slot:6 b:20 sequence:8 c:1=0']) AS text, flake_layout_info(text::flake_layout) AS i;
SELECT 'time:40 shard:13=5'::flake_layout = 'time:40 shard:13=6' AS equal, 'time:40 shard:13=0'::flake_layout = 'time:40 shard:13' AS zero_is_free;
-- the longest text
SELECT length(text) AS length, text::flake_layout::text = text AS same
FROM (SELECT 'time:1 slot:1 sequence:1' || string_agg(' ' || rpad('part_' || n || '_', 31, 'x') || ':1=1', '' ORDER BY n)
	|| ' epoch=2025-01-01T00:00:00.000001Z tick=999us'
	FROM generate_series(1, 31) AS n) AS t (text);

\a
SELECT '<' || text || '>' AS wrong, error_of(format('SELECT %L::flake_layout', text))
FROM unnest(ARRAY[
	'', ' ', 'foo', 'Flake', 'flake,', 'node:8 time:41', 'epoch=0', 'epoch=0 time:41',
	'time:0', 'time:64', 'time:-1', 'time:', 'time:x', 'time:4x', 'time:4.1', 'time: 41', 'time:99999999999999999999',
	'time', 'time=41', 'time:41 node', 'time:41 :8', 'time:41 Node:8', 'time:41 8:8', 'time:41 _node:8',
	'time:41 no-de:8', 'time:41 knöten:8', 'time:41 ' || repeat('n', 32) || ':8',
	'time:41 ' || repeat('ö', 30) || ':8',
	'time:41 node:0', 'time:41 node:32', 'time:41 slot:0', 'time:41 slot:32', 'time:41 sequence:0',
	'time:31 sequence:32', 'time:41 time:1', 'time:41 node:8 node:8', 'time:41 slot:3 node:8 slot:3',
	'time:41 sequence:3 sequence:3', 'time:31 a:16 b:16', 'time:63 node:1', 'time:41 node:10 sequence:13',
	'time:41 epoch:8', 'time:41 tick:8', 'time:41 epoch=0 node:8', 'time:41 color=red', 'time:41 =',
	'time:41 epoch=0 epoch=0', 'time:41 tick=1s tick=1s',
	'time:41 shard:13=', 'time:41 shard:13=x', 'time:41 shard:13=-1', 'time:41 shard:13=8192', 'time:41 shard:13=99999999999999999999',
	'time:41 shard:13=5=6', 'time:41 shard:13=5:6', 'time:41 shard:=5', 'time:41 shard:13:5', 'time:41 shard=13', 'time:41 node:1=2',
	'time:41=5', 'time:41 slot:6=0', 'time:41 sequence:6=0', 'time:41 shard:32=5', 'flake node:8=5', 'time:41 shard:13=5 shard:13=5'
]) AS text;
\a

-- an error shows 48 bytes of a word
SELECT substring(error_of(format('SELECT ''time:41 %s:8''::flake_layout', repeat('n', n))) FROM '".*"') AS shown
FROM unnest(ARRAY[46, 47]) AS n;

--
-- Options
--
SELECT text, (format('time:41 %s', text)::flake_layout)::text
FROM unnest(ARRAY[
	'epoch=2025-01-01', 'epoch=1735689600000', 'epoch=0', 'epoch=-0', 'epoch=-1', 'epoch=1969-12-31',
	'epoch=2024-02-29', 'epoch=2000-02-29', 'epoch=0001-01-01', 'epoch=-62135596800000',
	'epoch=9999-12-31T23:59:59.999999Z', 'epoch=253402300799999',
	'epoch=2025-01-01T00:00Z', 'epoch=2025-01-01T12:34:56Z', 'epoch=2025-01-01T12:34:56.5Z',
	'epoch=2025-01-01T12:34:56.000010Z', 'epoch=1969-12-31T23:59:59.999999Z',
	'epoch=2025-01-01T00:00:00+14', 'epoch=2025-01-01T00:00:00-05:30', 'epoch=2024-12-31T23:30:00-00:30',
	'epoch=0001-01-01T01:00:00+01:00', 'epoch=1900-03-01',
	'tick=1us', 'tick=999us', 'tick=1000us', 'tick=1ms', 'tick=1500us', 'tick=1000ms', 'tick=1500ms', 'tick=60s',
	'tick=86400s', 'tick=86400000000us', 'tick=10ms epoch=0', 'epoch=0 tick=10ms'
]) AS text;

\a
SELECT '<' || text || '>' AS wrong, error_of(format('SELECT %L::flake_layout', 'time:41 ' || text))
FROM unnest(ARRAY[
	'epoch=', 'epoch=-', 'epoch=x', 'epoch=1.5', 'epoch=+1', 'epoch=2025-1-1', 'epoch=2025-01', 'epoch=2025-13-01',
	'epoch=2025-00-01', 'epoch=2025-01-00', 'epoch=2025-01-32', 'epoch=2025-02-29', 'epoch=1900-02-29',
	'epoch=0000-12-31', 'epoch=10000-01-01', 'epoch=-62135596800001', 'epoch=253402300800000',
	'epoch=-9223372036854775808', 'epoch=99999999999999999999999', 'epoch=2025-01-01T', 'epoch=2025-01-01T00',
	'epoch=2025-01-01T00:00:00', 'epoch=2025-01-01 00:00:00Z', 'epoch=2025-01-01T24:00:00Z',
	'epoch=2025-01-01T00:60:00Z', 'epoch=2025-01-01T00:00:60Z', 'epoch=2025-01-01T00:00:00.Z',
	'epoch=2025-01-01T00:00:00.1234567Z', 'epoch=2025-01-01T00:00:00+24:00', 'epoch=2025-01-01T00:00:00+1',
	'epoch=2025-01-01T00:00:00+01:60', 'epoch=2025-01-01T00:00:00Zz', 'epoch=2025-01-01T00:00:00CET',
	'epoch=0001-01-01T00:59:59+01:00', 'epoch=9999-12-31T23:59:59.999999-00:01',
	'tick=', 'tick=ms', 'tick=1', 'tick=0ms', 'tick=-1ms', 'tick=1.5ms', 'tick=1m', 'tick=1MS', 'tick=1 ms',
	'tick=86401s', 'tick=86400000001us', 'tick=99999999999999999999s'
]) AS text;
\a

-- Epochs are read and written as PostgreSQL does: the ends of every year and of
-- every February.
SELECT d, layout
FROM (SELECT d, ('time:1 epoch=' || to_char(d, 'YYYY-MM-DD'))::flake_layout AS layout
	FROM generate_series(1, 9999) AS y, LATERAL (VALUES (make_date(y, 1, 1)), (make_date(y, 2, 28)),
		(make_date(y, 3, 1) - 1), (make_date(y, 3, 1)), (make_date(y, 12, 31))) AS v (d)) AS t
WHERE (flake_layout_info(layout)).first_timestamp <> d::timestamptz
	OR layout::text <> 'time:1 epoch=' || to_char(d, 'YYYY-MM-DD') || 'T00:00:00Z tick=1ms';
SET max_parallel_workers_per_gather = 0;	-- not one for each year, where they are forced
SELECT y, outcome
FROM generate_series(1, 9999) AS y, error_of(format('SELECT ''time:1 epoch=%s-02-29''::flake_layout', to_char(y, 'fm0000'))) AS outcome
WHERE left(outcome, 8) <> CASE extract(day FROM make_date(y, 3, 1) - 1) WHEN 29 THEN 'no error' ELSE '22P02: i' END;
RESET max_parallel_workers_per_gather;

--
-- Casts, comparison, hashing
--
CREATE TABLE t (layout flake_layout);
SELECT error_of($$INSERT INTO t SELECT 'flake'::text$$);
INSERT INTO t VALUES ('flake');
INSERT INTO t SELECT 'classic'::text::flake_layout;
CREATE TEMP TABLE texts (layout text);
INSERT INTO texts SELECT layout FROM t;
SELECT * FROM texts ORDER BY layout COLLATE "C";

SELECT 'flake'::flake_layout = 'classic' AS equal, 'flake'::flake_layout <> 'classic' AS different,
	'flake'::flake_layout = NULL AS unknown;
-- layouts that differ in names of parts are not equal
SELECT 'time:41 a:8'::flake_layout = 'time:41 b:8' AS equal;

INSERT INTO t SELECT layout FROM preset;
INSERT INTO t VALUES (NULL);
SELECT count(DISTINCT layout::text), count(*) FILTER (WHERE layout IS NULL) AS nulls FROM t;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT layout, count(*) FROM t GROUP BY layout;
SELECT count(*) AS groups, max(n) FROM (SELECT count(*) AS n FROM t GROUP BY layout) AS g;
RESET enable_sort;
SET enable_mergejoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM t JOIN preset USING (layout);
SELECT count(*) FROM t JOIN preset USING (layout);
RESET enable_mergejoin;
RESET enable_nestloop;
CREATE INDEX preset_layout ON preset USING hash (layout);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT name FROM preset WHERE layout = 'twitter';
SELECT name FROM preset WHERE layout = 'twitter';
RESET enable_seqscan;
RESET enable_bitmapscan;
CREATE TABLE hashed (layout flake_layout) PARTITION BY HASH (layout);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hashed SELECT layout FROM preset;
SELECT count(*) FROM hashed JOIN preset USING (layout);
SELECT flake_layout_hash('flake') = flake_layout_hash('time:41 node:8 slot:6 sequence:8') AS same,
	flake_layout_hash('flake') <> flake_layout_hash('classic') AS other,
	flake_layout_hash_extended('flake', 0) <> flake_layout_hash_extended('flake', 1) AS seeded,
	flake_layout_hash_extended('flake', 0) & 4294967295 = flake_layout_hash('flake')::bigint & 4294967295 AS low_bits;

-- ordered by the bytes of the text
SELECT bool_and((a.layout < b.layout) = (a.layout::text < b.layout::text COLLATE "C")) AS less,
	bool_and((a.layout <= b.layout) = (a.layout::text <= b.layout::text COLLATE "C")) AS less_or_equal,
	bool_and((a.layout >= b.layout) = (a.layout::text >= b.layout::text COLLATE "C")) AS greater_or_equal,
	bool_and((a.layout > b.layout) = (a.layout::text > b.layout::text COLLATE "C")) AS greater,
	bool_and((a.layout = b.layout) = (a.name = b.name)) AS equal, bool_and((a.layout <> b.layout) = (a.name <> b.name)) AS different,
	bool_and(sign(flake_layout_cmp(a.layout, b.layout)) = (a.layout > b.layout)::int - (a.layout < b.layout)::int) AS cmp
FROM (SELECT name, layout FROM preset UNION ALL SELECT text, text::flake_layout FROM unnest(ARRAY['time:41', 'time:41 a:1', 'flake tick=2ms']) AS text) AS a,
	(SELECT name, layout FROM preset UNION ALL SELECT text, text::flake_layout FROM unnest(ARRAY['time:41', 'time:41 a:1', 'flake tick=2ms']) AS text) AS b;
SELECT count(DISTINCT layout), count(*) FROM (SELECT layout FROM preset UNION ALL SELECT layout FROM preset) AS twice;
SELECT string_agg(layout::text, ' ' ORDER BY layout DESC) AS falling FROM preset;
CREATE TABLE uniquely (layout flake_layout UNIQUE);
INSERT INTO uniquely SELECT layout FROM preset;
SELECT error_of($$INSERT INTO uniquely VALUES ('time:41 node:10 slot:5 sequence:7')$$);
SET enable_hashjoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM uniquely JOIN preset USING (layout);
SELECT count(*) FROM uniquely JOIN preset USING (layout);
RESET enable_hashjoin;
RESET enable_nestloop;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT layout FROM uniquely WHERE layout > 'tsid' ORDER BY layout;
SELECT layout FROM uniquely WHERE layout > 'tsid' ORDER BY layout;
RESET enable_seqscan;
RESET enable_bitmapscan;
SELECT amname, opcname, amvalidate(c.oid) FROM pg_opclass AS c JOIN pg_am AS a ON a.oid = opcmethod
WHERE opcintype = 'flake_layout'::regtype ORDER BY amname;

--
-- Binary form
--
SELECT convert_from(flake_layout_send('classic'), 'UTF8') = 'classic' AS is_text;
\getenv builddir PG_ABS_BUILDDIR
\set copy '\\copy (SELECT layout FROM preset) TO ''' :builddir '/results/layout.bin'' (FORMAT binary)'
:copy
CREATE TABLE copied (layout flake_layout);
\set copy '\\copy copied FROM ''' :builddir '/results/layout.bin'' (FORMAT binary)'
:copy
SELECT count(*) AS both FROM copied JOIN preset USING (layout);
\set copy '\\copy (SELECT ''flake,''::text) TO ''' :builddir '/results/layout.bin'' (FORMAT binary)'
:copy
\set VERBOSITY sqlstate
\set copy '\\copy copied FROM ''' :builddir '/results/layout.bin'' (FORMAT binary)'
:copy
\set VERBOSITY default

-- Invalid text is a soft error, where PostgreSQL has them (from 16 on).
DO $$
DECLARE
	valid boolean = false;
BEGIN
	IF to_regproc('pg_input_is_valid') IS NOT NULL THEN
		EXECUTE 'SELECT pg_input_is_valid(''foo'', ''flake_layout'')' INTO valid;
	END IF;
	RAISE NOTICE '%', valid;
END $$;

--
-- flake_layout_info
--
SELECT name, i.bits, i.nodes, i.slots, i.ids_per_tick, i.ids_per_second, i.tick, i.first_timestamp, i.last_timestamp, i.below_2_53, i.can_issue
FROM preset AS p, flake_layout_info(p.layout) AS i
ORDER BY place;
-- the ends
\x on
SELECT * FROM flake_layout_info('time:1');
SELECT * FROM flake_layout_info('time:63 tick=1us epoch=0001-01-01');
SELECT * FROM flake_layout_info('time:32 node:31 tick=86400s epoch=9999-12-31T23:59:59.999999Z');
SELECT * FROM flake_layout_info('time:1 slot:31 sequence:31 tick=1us');
SELECT * FROM flake_layout_info('time:53 tick=7s');
SELECT * FROM flake_layout_info(NULL);
\x off
-- last_timestamp is NULL if it is out of range
SELECT last_timestamp FROM flake_layout_info('time:63 tick=1us epoch=1970-01-01');
SELECT last_timestamp FROM flake_layout_info('time:48 tick=32769us epoch=1970-01-01');
SELECT last_timestamp FROM flake_layout_info('time:63 tick=1us epoch=1999-12-31');
-- layouts that can issue ids
SELECT text, (flake_layout_info(text::flake_layout)).can_issue
FROM unnest(ARRAY['time:41 node:22', 'time:40 node:23', 'time:30 a:11 b:11', 'time:30 a:11 b:12', 'time:41 slot:12',
	'time:41 slot:13', 'time:41 slot:3 sequence:3', 'time:41 sequence:3 slot:3', 'time:41 slot:3 node:3 sequence:3',
	'time:41 slot:3 sequence:3 node:3', 'time:41 slot:3 node:3', 'time:41 tick=1s', 'time:41 tick=1001ms', 'time:30 a:11=1 b:11',
	'time:30 a:12=1 b:11']) AS text;

DROP TABLE preset, t, texts, hashed, uniquely, copied;
DROP FUNCTION error_of;
DROP EXTENSION flake;
