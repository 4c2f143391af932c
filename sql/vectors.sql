--
-- Ids made by other software: flake reads them as that software does, and makes
-- the same ids from their parts.  test/vectors/README.md describes the files.
--
CREATE EXTENSION flake;
SET timezone = 'UTC';

-- 'error' and its SQLSTATE, or 'fine'
CREATE FUNCTION outcome(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN 'fine';
EXCEPTION WHEN OTHERS THEN
	RETURN 'error ' || SQLSTATE;
END $$;

CREATE TABLE layout_row (layout text, epoch_unix_ms bigint, tick_us bigint, fields text, sign_bit text, source text, remarks text);
CREATE TABLE vector_row (layout text, params text, id numeric, unix_ms bigint, node_id int, sequence int, extra text, source text);
CREATE TABLE prefixed_row (prefix text, pos int, id bigint, expected text);

-- \copy expands no variables, but a variable can be the whole command
\getenv srcdir PG_ABS_SRCDIR
\set copy '\\copy layout_row FROM ''' :srcdir '/test/vectors/layouts.csv'' (FORMAT csv, HEADER)'
:copy
\set copy '\\copy vector_row FROM ''' :srcdir '/test/vectors/vectors.csv'' (FORMAT csv, HEADER)'
:copy
\set copy '\\copy prefixed_row FROM ''' :srcdir '/test/vectors/prefixed.csv'' (FORMAT csv, HEADER, FORCE_NOT_NULL (prefix))'
:copy
SELECT (SELECT count(*) FROM layout_row) AS layouts, (SELECT count(*) FROM vector_row) AS ids,
	(SELECT count(*) FROM prefixed_row) AS prefixed;

--
-- The layouts.  Params of a row override them.  The time has the bits that the
-- other fields leave of 63, one less where it uses the sign bit.
--
CREATE FUNCTION param(params text, name text) RETURNS bigint LANGUAGE sql AS $$
	SELECT substring(params FROM '(?:^|;)' || name || '=(-?[0-9]+)')::bigint
$$;
CREATE FUNCTION layout_text(l layout_row, params text) RETURNS text LANGUAGE sql AS $$
	SELECT format('time:%s%s epoch=%s tick=%sus', 63 - coalesce(sum(bits), 0),
		string_agg(format(' %s:%s', name, bits), '' ORDER BY place),
		coalesce(param(params, 'epoch_ms'), l.epoch_unix_ms), coalesce(param(params, 'tick_us'), l.tick_us))
	FROM (SELECT place, split_part(word, ':', 1) AS name,
			coalesce(param(params, split_part(word, ':', 1) || '_bits'), split_part(word, ':', 2)::bigint) AS bits
		FROM unnest(string_to_array(l.fields, '|')) WITH ORDINALITY AS w (word, place)) AS f
	WHERE name <> 'time' AND bits > 0
$$;

-- the presets are these layouts
SELECT l.layout, layout_text(l, NULL)::flake_layout AS preset, layout_text(l, NULL)::flake_layout::text = l.layout AS same,
	split_part(split_part(fields, '|', 1), ':', 2)::int - substring(i.layout FROM 'time:([0-9]+)')::int AS bits_less,
	sign_bit
FROM layout_row AS l, flake_layout_info(layout_text(l, NULL)::flake_layout) AS i
ORDER BY l.layout COLLATE "C";

--
-- The ids; "inside" if they are positive bigints
--
CREATE TABLE vector AS
	SELECT row_number() OVER () AS n, v.layout AS software, v.params, layout_text(l, v.params)::flake_layout AS layout,
		CASE WHEN v.extra LIKE '%int8=%' THEN param(v.extra, 'int8') ELSE v.id::bigint END AS id,
		v.id BETWEEN 0 AND 9223372036854775807 AS inside,
		v.unix_ms, v.node_id, v.sequence, coalesce(v.extra, '') AS extra
	FROM vector_row AS v JOIN layout_row AS l USING (layout);
SELECT software, count(*), count(DISTINCT layout) AS layouts, count(*) FILTER (WHERE NOT inside) AS outside
FROM vector GROUP BY software ORDER BY software COLLATE "C";

-- rows that flake reads differently
SELECT v.*, p.*
FROM vector AS v, flake_parse(v.id, v.layout) AS p
WHERE inside AND (p.unix_ms, p.node_id, p.sequence) IS DISTINCT FROM
	(v.unix_ms, coalesce(v.node_id, 0), coalesce(v.sequence, 0));
-- also ticks and microseconds, where the file has them
SELECT count(*) FILTER (WHERE extra LIKE '%ticks=%') AS with_ticks, count(*) FILTER (WHERE extra LIKE '%unix_us=%') AS with_us,
	bool_and(tick = param(extra, 'ticks')) AS ticks,
	bool_and(extract(epoch FROM created_at) * 1000000 = param(extra, 'unix_us')) FILTER (WHERE extra NOT LIKE '%true_unix_us=%') AS us
FROM vector AS v, flake_parse(v.id, v.layout) AS p
WHERE inside;
-- the parts of split nodes
SELECT software, field, count(*), bool_and(value = param(extra, field)) AS same
FROM vector AS v, flake_fields(v.id, v.layout)
WHERE inside AND field NOT IN ('time', 'node', 'sequence')
GROUP BY software, field ORDER BY software COLLATE "C", field COLLATE "C";
-- tsid's own text is base32
SELECT count(*), bool_and(flake_encode(id, 'base32') = substring(extra FROM 'text=(\w+)')
	AND flake_decode(substring(extra FROM 'text=(\w+)'), 'base32') = id) AS same
FROM vector WHERE inside AND extra LIKE '%text=%';

-- rows where the parts give another id
CREATE FUNCTION from_fields(id bigint, layout flake_layout, but text) RETURNS bigint LANGUAGE sql AS $$
	SELECT coalesce(sum(value << shift), 0)::bigint
	FROM (SELECT field, value, coalesce(sum(bits) OVER (ORDER BY place DESC
				ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::int AS shift
		FROM flake_fields(id, layout) WITH ORDINALITY AS f (field, bits, value, place)) AS s
	WHERE field <> but
$$;
SELECT * FROM vector
WHERE inside AND (from_fields(id, layout, '') <> id
	OR flake_min_id(flake_timestamp(id, layout), layout) + from_fields(id, layout, 'time') <> id
	OR id NOT BETWEEN flake_min_id(flake_timestamp(id, layout), layout) AND flake_max_id(flake_timestamp(id, layout), layout));
-- Exact, unlike the product of a large interval
CREATE FUNCTION from_ms(unix_ms bigint) RETURNS timestamptz LANGUAGE sql AS $$
	SELECT to_timestamp(0) + unix_ms / 86400000 * interval '1 day' + unix_ms % 86400000 * interval '1 ms'
$$;
-- also from the parts in the file alone, where no node is split
SELECT count(*), bool_and(id = flake_min_id(from_ms(unix_ms), layout)
	+ (coalesce(node_id, 0)::bigint << node_shift) + (coalesce(sequence, 0)::bigint << sequence_shift)) AS same
FROM vector, LATERAL (SELECT
		tick >= interval '1 ms' AS whole_ms,
		CASE WHEN i.layout ~ 'sequence:\d+ node:' THEN 0 ELSE coalesce(substring(i.layout FROM 'sequence:(\d+)')::int, 0) END AS node_shift,
		CASE WHEN i.layout ~ 'sequence:\d+ node:' THEN substring(i.layout FROM 'node:(\d+)')::int ELSE 0 END AS sequence_shift
	FROM flake_layout_info(vector.layout) AS i) AS s
WHERE inside AND whole_ms;

-- ids with the sign bit are out of range
SELECT software, outcome(format('SELECT flake_parse(%s, %L)', id, layout)) AS outcome, count(*)
FROM vector WHERE NOT inside GROUP BY software, outcome ORDER BY software COLLATE "C", outcome;

--
-- Text with a prefix, as timeshard makes it, and its errors
--
SELECT * FROM prefixed_row
WHERE expected NOT LIKE 'ValueError%' AND flake_format(id, prefix, coalesce(pos, 0)) <> expected;
SELECT * FROM prefixed_row
WHERE expected NOT LIKE 'ValueError%' AND flake_unformat(expected, prefix, coalesce(pos, 0)) <> id;
SELECT split_part(expected, ':', 1) AS expected, outcome(format('SELECT flake_format(%s, %L, %s)', id, prefix, pos)) AS outcome, count(*)
FROM prefixed_row WHERE expected LIKE 'ValueError%' GROUP BY 1, 2;

DROP TABLE layout_row, vector_row, prefixed_row, vector CASCADE;
DROP FUNCTION outcome, param, from_ms, from_fields;
DROP EXTENSION flake;
