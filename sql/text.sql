--
-- flake_format(), flake_unformat(), flake_shard().
--
CREATE EXTENSION flake;

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

SELECT proname, provolatile, proisstrict, proparallel FROM pg_proc
WHERE proname IN ('flake_format', 'flake_unformat', 'flake_shard') ORDER BY proname;

--
-- flake_format
--
SELECT flake_format(1730678523123456789, 'ORD_');
SELECT pos, flake_format(12345, '-', pos) FROM generate_series(0, 5) AS pos;
SELECT encoding, flake_format(1234567890123456789, 'TX-', 3, encoding)
FROM unnest(ARRAY['digits', 'decimal', 'hex', 'base32', 'base58', 'base62']) AS encoding;
SELECT flake_format(id => 7, prefix => 'x', encoding => 'decimal') AS named;
-- positions count characters of the id, not of the prefix
SELECT flake_format(12345, 'Ж€', 2), flake_format(12345, '日本', 5), flake_format(12345, '', 3), flake_format(0, 'é', 1);
SELECT flake_format(5, NULL), flake_format(NULL, 'a'), flake_format(5, 'a', NULL), flake_format(5, 'a', 0, NULL);

--
-- flake_unformat
--
SELECT flake_unformat('ORD_1730', 'ORD_');
SELECT flake_timestamp(flake_unformat('ORD_541165879296', 'ORD_'), 'flake') AT TIME ZONE 'UTC';
SELECT flake_unformat('12Ж€345', 'Ж€', 2), flake_unformat('123', '', 1), flake_unformat('0é', 'é', 1);
SELECT flake_unformat('1', NULL), flake_unformat(NULL, 'a'), flake_unformat('1', 'a', NULL), flake_unformat('1', 'a', 0, NULL);
-- read back, with prefixes that look like ids, at every position
SELECT count(*), bool_and(flake_unformat(flake_format(id, prefix, pos, encoding), prefix, pos, encoding) = id) AS back_again
FROM unnest(ARRAY[0, 7, 10, 1000000007, 1730678523123456789, 9223372036854775807]) AS id,
	unnest(ARRAY['', '0', '1', '00', 'ORD_', '日本', '9223372036854775807', ' ', '''', '\', '%s']) AS prefix,
	unnest(ARRAY['digits', 'decimal', 'hex', 'base32', 'base58', 'base62']) AS encoding,
	generate_series(0, length(flake_encode(id, encoding))) AS pos;

--
-- Errors
--
\a
SELECT error_of(format('SELECT flake_format(%s, ''ORD_'', %s, %L)', id, pos, encoding))
FROM (VALUES (1730678523123456789, -1, 'digits'), (1730678523123456789, 20, 'digits'), (7, 2, 'digits'), (7, 2147483647, 'digits'),
	(7, -2147483648, 'digits'), (7, 20, 'decimal'), (7, 17, 'hex'), (7, 14, 'base32'), (7, 12, 'base58'), (7, 12, 'base62'),
	(-7, 0, 'digits'), (7, 0, 'base64')) AS v (id, pos, encoding);
SELECT value, prefix, pos, encoding, error_of(format('SELECT flake_unformat(%L, %L, %s, %L)', value, prefix, pos, encoding))
FROM (VALUES ('', '', 0, 'digits'), ('ORD_', 'ORD_', 0, 'digits'), ('INV_5', 'ORD_', 0, 'digits'), ('ORD-5', 'ORD_', 0, 'digits'), ('12', '', 3, 'digits'), ('12', 'x', 2147483647, 'digits'), ('ORD', 'ORD_', 0, 'digits'),
	('ord_5', 'ORD_', 0, 'digits'), ('ORD_5', 'ORD_', 1, 'digits'), ('5ORD_', 'ORD_', 0, 'digits'), ('5ORD_', 'ORD_', 2, 'digits'),
	('ORD_05', 'ORD_', 0, 'digits'), ('ORD_-5', 'ORD_', 0, 'digits'), ('ORD_5x', 'ORD_', 0, 'digits'), ('xORD_5', 'ORD_', 1, 'digits'),
	('1ORD_x', 'ORD_', 1, 'digits'), ('1日本é', '日本', 1, 'digits'), ('ORD_9223372036854775808', 'ORD_', 0, 'digits'),
	('ORD_5', 'ORD_', 0, 'decimal'), ('ORD_5', 'ORD_', 5, 'hex'), ('本5', '日', 0, 'digits'),
	('ORD_5', 'ORD_', -1, 'digits'), ('ORD_5', 'ORD_', 20, 'digits'), ('ORD_5', 'ORD_', 14, 'base32'), ('ORD_5', 'ORD_', 0, 'roman')
) AS v (value, prefix, pos, encoding);
\a

--
-- flake_shard: the formula never changes; an even spread, also if low bits are 0
--
SELECT id, flake_shard(id, 16) FROM unnest(ARRAY[0, 1, 4194304, 1730678523123456789, 9223372036854775807, -1, -9223372036854775808]) AS id;
SELECT bool_and(flake_shard(id, shards) = (CASE WHEN h < 0 THEN h + 18446744073709551616 ELSE h END) % shards) AS formula
FROM generate_series(-2000::bigint, 2000) AS n, LATERAL (SELECT n * 4611686018427387 AS id) AS i,
	LATERAL (SELECT hashint8extended(id, 0)::numeric AS h) AS h, unnest(ARRAY[1, 2, 3, 7, 1000, 2147483647]) AS shards;
SELECT count(*) AS shards, min(n) > 850 AND max(n) < 1150 AS even
FROM (SELECT count(*) AS n FROM generate_series(0::bigint, 9999) AS t GROUP BY flake_shard(t << 22, 10)) AS s;
SELECT flake_shard(5, 1) AS one, flake_shard(NULL, 3) IS NULL AND flake_shard(3, NULL) IS NULL AS null_in_null_out;
\a
SELECT error_of(format('SELECT flake_shard(5, %s)', shards)) FROM unnest(ARRAY[0, -1, -2147483648]) AS shards;
\a

DROP FUNCTION error_of;
DROP EXTENSION flake;
