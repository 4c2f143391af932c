--
-- Random layouts: input and output, the parts of ids, the bounds of a time, and
-- values just out of range.
--
CREATE EXTENSION flake;
SET timezone = 'UTC';
-- Thousands of small statements, which need no worker each.
SET max_parallel_workers_per_gather = 0;

-- Any other seed must give the same output.
SELECT setseed(0.20250101);

CREATE FUNCTION random_int(low bigint, high bigint) RETURNS bigint LANGUAGE sql AS $$
	SELECT low + floor(random() * (high - low + 1))::bigint
$$;

CREATE FUNCTION random_layout() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	time_bits int = random_int(1, 63);
	bits int = 63 - time_bits;		-- left
	node int = 31;				-- left
	words text[];
	word text;
	width int;
	fixed text;
	result text;
BEGIN
	-- the other fields in any order, each as wide as it may, often less
	FOR word IN SELECT w FROM unnest(ARRAY['slot', 'sequence', 'node', 'rack', 'x', 'a_1']) AS w ORDER BY random() LOOP
		width = least(bits, CASE WHEN word IN ('slot', 'sequence') THEN 31 ELSE node END);
		fixed = '';
		IF width > 0 AND random() < 0.7 THEN
			width = random_int(1, width);
			bits = bits - width;
			IF word NOT IN ('slot', 'sequence') THEN
				node = node - width;
				IF random() < 0.3 THEN
					fixed = '=' || random_int(0, (1::bigint << width) - 1);
				END IF;
			END IF;
			words = words || format('%s:%s%s', word, width, fixed);
		END IF;
	END LOOP;
	result = concat_ws(' ', format('time:%s', time_bits), array_to_string(words, ' '));
	IF random() < 0.8 THEN
		result = result || ' epoch=' || CASE random_int(1, 3)
			WHEN 1 THEN random_int(-62135596800000, 253402300799999)::text
			WHEN 2 THEN to_char('0001-01-01'::timestamp + random_int(0, 3652058) * interval '1 day', 'YYYY-MM-DD')
			ELSE to_char('1900-01-01'::timestamp + random_int(0, 6311433600000000) * interval '1 us', 'YYYY-MM-DD"T"HH24:MI:SS.USZ') END;
	END IF;
	IF random() < 0.8 THEN
		result = result || ' tick=' || CASE random_int(1, 3)
			WHEN 1 THEN random_int(1, floor(86400000000 ^ random())::bigint) || 'us'
			WHEN 2 THEN random_int(1, floor(86400000 ^ random())::bigint) || 'ms'
			ELSE random_int(1, floor(86400 ^ random())::bigint) || 's' END;
	END IF;
	RETURN result;
END $$;

-- The SQLSTATE of a statement
CREATE FUNCTION sqlstate_of(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN '00000';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;

CREATE TABLE t AS
	SELECT n, text, text::flake_layout AS layout
	FROM (SELECT n, random_layout() AS text FROM generate_series(1, 3000) AS n OFFSET 0) AS r;
SELECT count(*) FROM t;

-- Output can be read, and gives the same layout.
SELECT text, layout FROM t
WHERE layout::text::flake_layout <> layout OR layout::text::flake_layout::text <> layout::text;
-- Exact, unlike the product of a large interval
CREATE FUNCTION from_ms(unix_ms bigint) RETURNS timestamptz LANGUAGE sql AS $$
	SELECT to_timestamp(0) + unix_ms / 86400000 * interval '1 day' + unix_ms % 86400000 * interval '1 ms'
$$;
-- The epoch and the tick are as specified.
SELECT text, i.layout FROM t, flake_layout_info(t.layout) AS i
WHERE i.first_timestamp <> coalesce(
		from_ms(substring(text FROM 'epoch=(-?\d+)(?: |$)')::bigint),
		substring(text FROM 'epoch=(\d+-\S+)')::timestamptz, '2025-01-01')
	OR i.tick <> coalesce(substring(text FROM 'tick=(\S+)'), '1ms')::interval;

-- Ids: a random one, and both ends
CREATE TABLE id AS
	SELECT t.*, i.highest, v.id
	FROM t, LATERAL (SELECT ((2::numeric ^ (flake_layout_info(layout)).bits) - 1)::bigint AS highest) AS i,
		LATERAL (VALUES (0), (highest), (random_int(0, 2147483647) * 4294967296 + random_int(0, 4294967295) & highest)) AS v (id);
-- A time that timestamptz cannot hold is an error of its own.
ALTER TABLE id ADD valid boolean;
UPDATE id SET valid = outcome = '00000' FROM (SELECT ctid AS place, sqlstate_of(format('SELECT flake_parse(%s, %L)', id, layout)) AS outcome FROM id) AS o
	WHERE id.ctid = place AND outcome IN ('00000', '22008');
SELECT count(*) AS ids, count(valid) = count(*) AS no_other_error, count(*) FILTER (WHERE valid) BETWEEN 4000 AND 8900 AS many_valid FROM id;
SELECT bool_and(valid = ((extract(epoch FROM (flake_layout_info(layout)).first_timestamp)::numeric * 1000000
		+ (id >> ((flake_layout_info(layout)).bits - substring(text FROM 'time:(\d+)')::int))::numeric
		* extract(epoch FROM (flake_layout_info(layout)).tick)::numeric * 1000000)
	< extract(epoch FROM '294276-12-31 23:59:59.999999+00'::timestamptz) * 1000000 + 1)) AS as_reckoned
FROM id;

-- The parts are in range, give the same id, and agree with other functions.
CREATE FUNCTION from_fields(id bigint, layout flake_layout) RETURNS bigint LANGUAGE sql AS $$
	SELECT sum(value << shift)::bigint
	FROM (SELECT value, coalesce(sum(bits) OVER (ORDER BY place DESC
				ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::int AS shift
		FROM flake_fields(id, layout) WITH ORDINALITY AS f (field, bits, value, place)) AS s
$$;
SELECT text, id FROM id WHERE valid AND from_fields(id, layout) <> id;
SELECT text, id FROM id, flake_fields(id, layout) AS f
WHERE valid AND (value < 0 OR value >> least(bits, 62) > (bits = 63)::int
	OR value <> CASE field WHEN 'time' THEN (flake_parse(id, layout)).tick WHEN 'slot' THEN (flake_parse(id, layout)).slot
		WHEN 'sequence' THEN (flake_parse(id, layout)).sequence ELSE value END);
SELECT text, id FROM id, LATERAL (SELECT sum(value << below::int) AS node
	FROM (SELECT *, coalesce(sum(bits) OVER (ORDER BY place DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS below
		FROM flake_fields(id, layout) WITH ORDINALITY AS f (field, bits, value, place)
		WHERE field NOT IN ('time', 'slot', 'sequence')) AS p) AS n
WHERE valid AND flake_node_id(id, layout) IS DISTINCT FROM coalesce(n.node, 0);
SELECT text, id FROM id, flake_parse(id, layout) AS p
WHERE valid AND (p.created_at, p.unix_ms, p.node_id) IS DISTINCT FROM
	(flake_timestamp(id, layout), flake_unix_ms(id, layout), flake_node_id(id, layout))
	OR valid AND p.unix_ms <> floor(extract(epoch FROM created_at) * 1000);

-- Ids made for a time, a number and a node id: the fields say these, and that fixed
-- parts have their values.
CREATE TABLE made AS
	SELECT text, l.layout, l.at, l.number, l.node, flake_id_at(l.at, l.number, l.node, l.layout) AS id
	FROM (SELECT text, id.layout, flake_timestamp(id, id.layout) AS at, random_int(0, ids_per_tick - 1) AS number,
			random_int(0, nodes - 1)::int AS node
		FROM id, flake_layout_info(id.layout) WHERE valid AND can_issue) AS l;
SELECT count(*) > 500 AS many FROM made;
SELECT text, id, number FROM made, flake_parse(id, layout) AS p
WHERE p.created_at <> at OR number <> (p.slot::bigint << coalesce(substring(text FROM 'sequence:(\d+)')::int, 0)) + p.sequence;
SELECT text, id, node
FROM made, LATERAL (
	SELECT sum(value << below::int) FILTER (WHERE fixed IS NULL) AS free, bool_and(value = fixed) AS fixed_right
	FROM (SELECT *, coalesce(sum(bits) FILTER (WHERE fixed IS NULL) OVER (ORDER BY place DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS below
		FROM (SELECT *, substring(text FROM '\m' || field || ':\d+=(\d+)')::bigint AS fixed
			FROM flake_fields(id, layout) WITH ORDINALITY AS f (field, bits, value, place)
			WHERE field NOT IN ('time', 'slot', 'sequence')) AS part) AS placed) AS p
WHERE coalesce(free, 0) <> node OR NOT fixed_right;

-- The lowest and the highest id of its time bracket an id, and the next id beyond
-- them is of another tick.
SELECT text, id FROM id, LATERAL (SELECT flake_timestamp(id, layout) AS at) AS c,
	LATERAL (SELECT flake_min_id(at, layout) AS lo, flake_max_id(at, layout) AS hi) AS b
WHERE valid AND (id NOT BETWEEN lo AND hi OR flake_timestamp(lo, layout) <> at OR flake_timestamp(hi, layout) <> at
	OR lo > 0 AND flake_timestamp(lo - 1, layout) >= at
	OR hi < highest AND sqlstate_of(format('SELECT 1/(flake_timestamp(%s, %L) > %L)::int', hi + 1, layout, at)) NOT IN ('00000', '22008'));
-- any microsecond of a tick is in it, the ones beside it are not
SELECT text, id FROM id, LATERAL (SELECT flake_timestamp(id, layout) AS at, (flake_layout_info(layout)).tick) AS c
WHERE valid AND at < '290000-01-01' AND (flake_min_id(at + tick - interval '1 us', layout) <> flake_min_id(at, layout)
	OR id < highest AND flake_max_id(at, layout) < highest AND flake_min_id(at + tick, layout) <> flake_max_id(at, layout) + 1
	OR flake_min_id(at, layout) > 0 AND flake_max_id(at - interval '1 us', layout) <> flake_min_id(at, layout) - 1);

-- The neighbours beyond both ends are errors: of ids ...
SELECT sqlstate_of(format('SELECT flake_parse(-1, %L)', layout)) AS below,
	CASE WHEN highest < 9223372036854775807 THEN sqlstate_of(format('SELECT flake_parse(%s, %L)', highest + 1, layout)) END AS above,
	count(*) > 0 AS some
FROM (SELECT DISTINCT layout, highest FROM id) AS t GROUP BY 1, 2 ORDER BY 1, 2;
-- ... and of times, when an id is to be made; the bounds of a time have no end
SELECT sqlstate_of(format('SELECT flake_id_at(%L, 0, 0, %L)', first_timestamp - interval '1 us', t.layout)) AS before,
	CASE WHEN last_timestamp < '290000-01-01' THEN sqlstate_of(format('SELECT flake_id_at(%L, 0, 0, %L)', last_timestamp + tick, t.layout)) END AS after,
	count(*) > 0 AS some
FROM t, flake_layout_info(layout) WHERE can_issue GROUP BY 1, 2 ORDER BY 1, 2;
SELECT text FROM t, flake_layout_info(layout), LATERAL (SELECT (2::numeric ^ bits - 1)::bigint AS last) AS l
WHERE flake_min_id(first_timestamp - interval '1 us', t.layout) <> 0 OR flake_max_id(first_timestamp - interval '1 us', t.layout) <> -1
	OR last_timestamp < '290000-01-01' AND (flake_max_id(last_timestamp + tick, t.layout) <> last
		OR flake_min_id(last_timestamp + tick, t.layout) <> least(last, 9223372036854775806) + 1);

DROP TABLE t, id, made;
DROP FUNCTION random_int, random_layout, sqlstate_of, from_ms, from_fields;
DROP EXTENSION flake;
