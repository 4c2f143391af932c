--
-- flake_encode() and flake_decode() in all encodings.
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

CREATE TABLE encoding (place int, name text, width int);
INSERT INTO encoding VALUES (1, 'digits', NULL), (2, 'decimal', 19), (3, 'hex', 16), (4, 'base32', 13),
	(5, 'base58', 11), (6, 'base62', 11);

SELECT proname, provolatile, proisstrict, proparallel FROM pg_proc
WHERE proname IN ('flake_encode', 'flake_decode') ORDER BY proname;

-- both ends, and every digit
SELECT name, flake_encode(0, name) AS lowest, flake_encode(1, name) AS one,
	flake_encode(1234567890123456789, name) AS one_to_nine, flake_encode(9223372036854775807, name) AS highest
FROM encoding ORDER BY place;
SELECT string_agg(right(flake_encode(n, 'hex'), 1), '' ORDER BY n) AS hex FROM generate_series(0, 15) AS n;
SELECT string_agg(right(flake_encode(n, 'base32'), 1), '' ORDER BY n) AS base32 FROM generate_series(0, 31) AS n;
SELECT string_agg(right(flake_encode(n, 'base58'), 1), '' ORDER BY n) AS base58 FROM generate_series(0, 57) AS n;
SELECT string_agg(right(flake_encode(n, 'base62'), 1), '' ORDER BY n) AS base62 FROM generate_series(0, 61) AS n;

-- Powers of two, of ten and of the bases, their neighbours, and random ids: they
-- decode to the same id, and texts of fixed width sort like ids.
SELECT setseed(0.62);
CREATE TABLE sample AS
	SELECT DISTINCT id::bigint
	FROM (SELECT base::numeric ^ power + shift
			FROM unnest(ARRAY[2, 10, 16, 32, 58, 62]) AS base, generate_series(0, 62) AS power, generate_series(-1, 1) AS shift
		UNION ALL SELECT (random() * 2147483647)::bigint * 4294967296 + (random() * 4294967295)::bigint FROM generate_series(1, 2000)
		UNION ALL SELECT 0
		UNION ALL SELECT 9223372036854775807) AS t (id)
	WHERE id BETWEEN 0 AND 9223372036854775807;
SELECT count(*) > 2200 AS many FROM sample;
SELECT name, bool_and(flake_decode(text, name) = id) AS back_again, bool_and(length(text) = coalesce(width, length(id::text))) AS width,
	bool_and(rank_text = rank_id) FILTER (WHERE width IS NOT NULL) AS in_order
FROM (SELECT *, rank() OVER (PARTITION BY name ORDER BY text COLLATE "C") AS rank_text,
		rank() OVER (PARTITION BY name ORDER BY id) AS rank_id
	FROM encoding, sample, flake_encode(id, name) AS text) AS t
GROUP BY name, place ORDER BY place;
SELECT bool_and(flake_encode(id, 'hex') = lpad(to_hex(id), 16, '0')) AS hex_is_to_hex,
	bool_and(flake_encode(id, 'decimal') = lpad(id::text, 19, '0')) AS decimal_is_padded,
	bool_and(flake_encode(id, 'digits') = id::text) AS digits_are_the_number
FROM sample;

-- what is accepted besides the text that flake_encode() makes
SELECT flake_decode('112210F47DE98115', 'hex') = flake_decode('112210f47de98115', 'hex') AS hex_upper,
	flake_decode('1248gyhyykg8n', 'base32') = flake_decode('1248GYHYYKG8N', 'base32') AS base32_lower,
	flake_decode('0000000000Oo0', 'base32') AS o, flake_decode('00000000000iI', 'base32') AS i, flake_decode('00000000000lL', 'base32') AS l;
-- base58 and base62 are case-sensitive
SELECT flake_decode('1111111111A', 'base58') <> flake_decode('1111111111a', 'base58') AS base58,
	flake_decode('0000000000A', 'base62') <> flake_decode('0000000000a', 'base62') AS base62;

SELECT flake_encode(NULL, 'hex') IS NULL AND flake_encode(1, NULL) IS NULL
	AND flake_decode(NULL, 'hex') IS NULL AND flake_decode('1', NULL) IS NULL AS null_in_null_out;

--
-- Errors
--
\a
SELECT error_of(format('SELECT flake_encode(-1, %L)', name)) FROM encoding ORDER BY place;
SELECT error_of($$SELECT flake_encode(-9223372036854775808, 'hex')$$);
SELECT name AS encoding, error_of(format('SELECT flake_encode(1, %L)', name)), error_of(format('SELECT flake_decode(''1'', %L)', name))
FROM unnest(ARRAY['', 'HEX', 'base64', 'hex ']) AS name;
-- too short, too long, and a wrong character: the message shows the first one
SELECT name, value, error_of(format('SELECT flake_decode(%L, %L)', value, name))
FROM (VALUES
	('digits', ''), ('digits', '007'), ('digits', '00'), ('digits', '-1'), ('digits', '+1'), ('digits', ' 1'), ('digits', '1 '),
	('digits', '1_000'), ('digits', '1e3'), ('digits', '12345678901234567890'), ('digits', '9223372036854775808'),
	('digits', '9999999999999999999'), ('digits', '12日本3'), ('digits', '٣'),
	('decimal', ''), ('decimal', '1'), ('decimal', '000000000000000001'), ('decimal', '00000000000000000001'),
	('decimal', '000000000000000000x'), ('decimal', '9223372036854775808'),
	('hex', '0x00000000000001'), ('hex', '000000000000000g'), ('hex', '8000000000000000'), ('hex', 'ffffffffffffffff'), ('hex', '00'),
	('base32', '000000000000U'), ('base32', '000000000000u'), ('base32', '00000000000-0'), ('base32', '8000000000000'),
	('base32', 'ZZZZZZZZZZZZZ'), ('base32', '0'), ('base32', '00000000000000'),
	('base58', '11111111110'), ('base58', '1111111111O'), ('base58', '1111111111I'), ('base58', '1111111111l'),
	('base58', 'zzzzzzzzzzz'), ('base58', '1'), ('base58', '111111111111'),
	('base62', '0000000000-'), ('base62', 'é'), ('base62', '000000000é0'), ('base62', 'AzL8n0Y58m8'), ('base62', 'zzzzzzzzzzz'), ('base62', '0')
) AS v (name, value);
\a
DROP TABLE encoding, sample;
DROP FUNCTION error_of;
DROP EXTENSION flake;
