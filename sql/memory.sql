--
-- No function leaks memory, neither until the end of its statement nor for as
-- long as its session lasts.
--
-- check: not parallel
CREATE EXTENSION flake;
CREATE FUNCTION used_memory() RETURNS bigint LANGUAGE sql VOLATILE
	AS 'SELECT sum(used_bytes)::bigint FROM pg_backend_memory_contexts';

-- By how much memory grows from the 1000th row to the 6000th, if that is more than
-- the first measurement itself needs.
CREATE FUNCTION growth(expression text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	bytes bigint;
BEGIN
	EXECUTE format('SELECT max(CASE n WHEN 6000 THEN used_memory() END) - max(CASE n WHEN 1000 THEN used_memory() END)
		FROM (SELECT n, %s IS NULL AS called FROM generate_series(1, 6000) AS n OFFSET 0) AS s WHERE called IS NOT NULL', expression)
		INTO bytes;
	RETURN nullif(bytes, least(bytes, 100000));
END $$;

SELECT expression, growth(expression)
FROM unnest(ARRAY[
	-- made
	'flake_next_id()', 'flake_next_id(''ordered'')', 'flake_next_id((ARRAY[''js'', ''wide'', ''time:41 node:8=3 slot:6 sequence:8'']::flake_layout[])[n % 3 + 1])',
	'(SELECT count(*) FROM flake_next_ids(n % 5))', 'flake_reserve(3)', 'flake_prefixed(''ORD_'')', 'flake_prefixed(''ORD_'', 4, ''base58'', ''js'')',
	-- read
	'flake_parse(n)', 'flake_parse(n, (ARRAY[''flake'', ''twitter'']::flake_layout[])[n % 2 + 1])', '(SELECT count(*) FROM flake_fields(n, ''twitter''))',
	'flake_timestamp(n)', 'flake_unix_ms(n)', 'flake_node_id(n)', 'flake_min_id(now() + n * interval ''1 s'')', 'flake_max_id(now() + n * interval ''1 s'')',
	'flake_id_at(now() + n * interval ''1 s'', 1, n % 256)',
	-- as text
	'flake_encode(n, ''base32'')', 'flake_decode(flake_encode(n, ''hex''), ''hex'')', 'flake_format(n::bigint + 1000000000000000000, ''X-'', 5)',
	'flake_unformat(flake_format(n, ''X-''), ''X-'')',
	-- layouts
	'format(''time:41 node:8=%s slot:6 sequence:8'', n % 256)::flake_layout', 'format(''time:41 node:8=%s slot:6 sequence:8'', n % 256)::flake_layout::text',
	'flake_layout_info(format(''time:41 node:8=%s slot:6 sequence:8'', n % 256)::flake_layout)',
	'flake_layout_hash(format(''time:41 node:8=%s slot:6 sequence:8'', n % 256)::flake_layout)',
	-- the server
	'flake_node()', '(SELECT count(*) FROM flake.layouts)'
]) AS expression;

-- what stays after a statement, also one that fails
DO $$
DECLARE
	used bigint[];
BEGIN
	FOR i IN 1 .. 120 LOOP
		PERFORM flake_next_id();
		PERFORM count(*) FROM flake_check();
		PERFORM count(*) FROM flake.layouts;
		BEGIN
			PERFORM flake_next_id('time:30 node:23');
		EXCEPTION WHEN OTHERS THEN
		END;
		used[i] := used_memory();
	END LOOP;
	IF used[120] - used[20] > 4000 THEN
		RAISE INFO 'memory grows by % bytes', used[120] - used[20];
	END IF;
END $$;

DROP FUNCTION growth, used_memory;
DROP EXTENSION flake;
