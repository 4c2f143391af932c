--
-- Texts and layouts as tables keep them: with a short header, compressed, out of
-- line, and both.
--
CREATE EXTENSION flake;
-- The filler leaves no room in the row for anything else.
CREATE TABLE stored (kind text, prefix text, layout flake_layout, filler text DEFAULT repeat('x', 2100));
ALTER TABLE stored ALTER kind SET STORAGE PLAIN, ALTER filler SET STORAGE PLAIN;
CREATE FUNCTION long_prefix() RETURNS text LANGUAGE sql AS $$ SELECT repeat('日本_', 1000) $$;
CREATE FUNCTION long_layout() RETURNS flake_layout LANGUAGE sql AS $$
	SELECT ('time:32' || string_agg(' ' || rpad('part_' || n || '_', 31, 'x') || ':1', '' ORDER BY n))::flake_layout
	FROM generate_series(1, 31) AS n $$;
CREATE FUNCTION issuing_layout() RETURNS flake_layout LANGUAGE sql AS $$
	SELECT ('time:41' || string_agg(' ' || rpad('part_' || n || '_', 31, 'x') || ':1', '' ORDER BY n) || ' sequence:9')::flake_layout
	FROM generate_series(1, 8) AS n $$;
ALTER TABLE stored ALTER prefix SET STORAGE MAIN, ALTER layout SET STORAGE MAIN;
INSERT INTO stored VALUES ('compressed', long_prefix(), long_layout()), ('compressed, issuing', long_prefix(), issuing_layout());
ALTER TABLE stored ALTER prefix SET STORAGE EXTERNAL, ALTER layout SET STORAGE EXTERNAL;
INSERT INTO stored VALUES ('out of line', long_prefix(), long_layout()), ('out of line, issuing', long_prefix(), issuing_layout());
ALTER TABLE stored ALTER prefix SET STORAGE EXTENDED, ALTER layout SET STORAGE EXTENDED;
INSERT INTO stored VALUES ('both', long_prefix(), long_layout()), ('both, issuing', long_prefix(), issuing_layout());
INSERT INTO stored VALUES ('short', 'X_', 'classic'), ('short, issuing', 'X_', issuing_layout());
SELECT kind, octet_length(prefix) - pg_column_size(prefix) > 0 AS prefix_is_smaller,
	octet_length(layout::text) - pg_column_size(layout) > 0 AS layout_is_smaller
FROM stored;
SELECT pg_relation_size(reltoastrelid) > 0 AS some_out_of_line FROM pg_class WHERE oid = 'stored'::regclass;

-- texts
SELECT kind, flake_format(12345, prefix, 2) = '12' || prefix || '345' AS format, flake_unformat('12' || prefix || '345', prefix, 2) AS unformat,
	flake_unformat(flake_prefixed(prefix), prefix) > 0 AS prefixed
FROM stored;
ALTER TABLE stored ADD code text, ADD encoding text;
UPDATE stored SET code = flake_format(12345, prefix, 5), encoding = 'digits';
SELECT kind, flake_unformat(code, prefix, 5, encoding), flake_decode(left(code, 5), encoding) FROM stored;

-- layouts
SELECT a.kind, b.kind, a.layout = b.layout AS eq, a.layout <> b.layout AS ne, a.layout < b.layout AS lt, a.layout <= b.layout AS le,
	a.layout > b.layout AS gt, a.layout >= b.layout AS ge, sign(flake_layout_cmp(a.layout, b.layout)) AS cmp,
	flake_layout_hash(a.layout) = flake_layout_hash(b.layout) AS hash,
	flake_layout_hash_extended(a.layout, 7) = flake_layout_hash_extended(b.layout, 7) AS hash_extended
FROM stored AS a, stored AS b WHERE b.kind !~ 'issuing' ORDER BY a.kind, b.kind;
SELECT kind, length(flake_layout_send(layout)) AS send, length(layout::text) AS text, length((flake_layout_info(layout)).layout) AS info,
	flake_node_id(12345, layout) AS node_id, (flake_parse(12345, layout)).sequence, (SELECT sum(value) FROM flake_fields(12345, layout)) AS fields,
	flake_min_id(flake_timestamp(12345, layout), layout) AS min_id, flake_max_id(flake_timestamp(12345, layout), layout) AS max_id, flake_unix_ms(12345, layout)
FROM stored;
-- to the same call, one after the other
SELECT n, kind, flake_node_id(12345, layout) FROM stored, generate_series(1, 2) AS n ORDER BY n, kind;
SELECT kind, flake_next_id(layout) > 0 AS next_id, (SELECT count(*) FROM flake_next_ids(3, layout)) AS next_ids,
	(flake_reserve(3, layout)).step, flake_prefixed('', layout => layout) > '' AS prefixed, flake_id_at(now(), 1, 1, layout) > 0 AS id_at, (flake_node(layout)).node_id >= 0 AS node
FROM stored WHERE kind LIKE '%issuing';
CREATE FUNCTION length_of_error(layout flake_layout) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	RETURN flake_next_id(layout);
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN length(SQLERRM);
END $$;
SELECT kind, length_of_error(layout) FROM stored WHERE kind <> 'short' AND kind !~ 'issuing';

DROP TABLE stored;
DROP FUNCTION long_prefix, long_layout, issuing_layout, length_of_error;
DROP EXTENSION flake;
