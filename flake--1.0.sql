/*
 * flake 1.0
 *
 * While this script runs, search_path contains only pg_catalog, so names there
 * need no schema.
 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION flake" to load this file. \quit

/*----------
 * Type flake_layout
 *----------
 */

CREATE TYPE flake_layout;

CREATE FUNCTION flake_layout_in(cstring)
	RETURNS flake_layout
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_in(cstring) IS 'I/O';

CREATE FUNCTION flake_layout_out(flake_layout)
	RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_out(flake_layout) IS 'I/O';

CREATE FUNCTION flake_layout_recv(internal)
	RETURNS flake_layout
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_recv(internal) IS 'I/O';

CREATE FUNCTION flake_layout_send(flake_layout)
	RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_send(flake_layout) IS 'I/O';

-- A value is its canonical text, so it is stored like text.
CREATE TYPE flake_layout (
	INPUT = flake_layout_in,
	OUTPUT = flake_layout_out,
	RECEIVE = flake_layout_recv,
	SEND = flake_layout_send,
	LIKE = text
);
COMMENT ON TYPE flake_layout IS
	'layout of an id: a preset, or fields such as "time:41 node:8 sequence:14"';

-- The cast from text is explicit, so that no text becomes a layout unasked.
CREATE CAST (text AS flake_layout) WITH INOUT;
CREATE CAST (flake_layout AS text) WITHOUT FUNCTION AS ASSIGNMENT;

CREATE FUNCTION flake_layout_lt(flake_layout, flake_layout)
	RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_lt(flake_layout, flake_layout) IS 'implementation of < operator';

CREATE FUNCTION flake_layout_le(flake_layout, flake_layout)
	RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_le(flake_layout, flake_layout) IS 'implementation of <= operator';

CREATE FUNCTION flake_layout_eq(flake_layout, flake_layout)
	RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_eq(flake_layout, flake_layout) IS 'implementation of = operator';

CREATE FUNCTION flake_layout_ge(flake_layout, flake_layout)
	RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_ge(flake_layout, flake_layout) IS 'implementation of >= operator';

CREATE FUNCTION flake_layout_gt(flake_layout, flake_layout)
	RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_gt(flake_layout, flake_layout) IS 'implementation of > operator';

CREATE FUNCTION flake_layout_ne(flake_layout, flake_layout)
	RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_ne(flake_layout, flake_layout) IS 'implementation of <> operator';

CREATE FUNCTION flake_layout_cmp(flake_layout, flake_layout)
	RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_cmp(flake_layout, flake_layout) IS 'less-equal-greater';

CREATE FUNCTION flake_layout_hash(flake_layout)
	RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_hash(flake_layout) IS 'hash';

CREATE FUNCTION flake_layout_hash_extended(flake_layout, bigint)
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_hash_extended(flake_layout, bigint) IS 'hash';

CREATE OPERATOR < (
	LEFTARG = flake_layout, RIGHTARG = flake_layout,
	FUNCTION = flake_layout_lt,
	COMMUTATOR = >, NEGATOR = >=,
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (flake_layout, flake_layout) IS 'less than';

CREATE OPERATOR <= (
	LEFTARG = flake_layout, RIGHTARG = flake_layout,
	FUNCTION = flake_layout_le,
	COMMUTATOR = >=, NEGATOR = >,
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (flake_layout, flake_layout) IS 'less than or equal';

CREATE OPERATOR = (
	LEFTARG = flake_layout, RIGHTARG = flake_layout,
	FUNCTION = flake_layout_eq,
	COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR = (flake_layout, flake_layout) IS 'equal';

CREATE OPERATOR >= (
	LEFTARG = flake_layout, RIGHTARG = flake_layout,
	FUNCTION = flake_layout_ge,
	COMMUTATOR = <=, NEGATOR = <,
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (flake_layout, flake_layout) IS 'greater than or equal';

CREATE OPERATOR > (
	LEFTARG = flake_layout, RIGHTARG = flake_layout,
	FUNCTION = flake_layout_gt,
	COMMUTATOR = <, NEGATOR = <=,
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (flake_layout, flake_layout) IS 'greater than';

CREATE OPERATOR <> (
	LEFTARG = flake_layout, RIGHTARG = flake_layout,
	FUNCTION = flake_layout_ne,
	COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (flake_layout, flake_layout) IS 'not equal';

CREATE OPERATOR CLASS flake_layout_ops
	DEFAULT FOR TYPE flake_layout USING btree AS
	OPERATOR 1 <,
	OPERATOR 2 <=,
	OPERATOR 3 =,
	OPERATOR 4 >=,
	OPERATOR 5 >,
	FUNCTION 1 flake_layout_cmp(flake_layout, flake_layout);

CREATE OPERATOR CLASS flake_layout_ops
	DEFAULT FOR TYPE flake_layout USING hash AS
	OPERATOR 1 =,
	FUNCTION 1 flake_layout_hash(flake_layout),
	FUNCTION 2 flake_layout_hash_extended(flake_layout, bigint);

CREATE FUNCTION flake_layout_info(layout flake_layout,
	OUT layout text,
	OUT bits integer,
	OUT nodes bigint,
	OUT slots bigint,
	OUT ids_per_tick bigint,
	OUT ids_per_second numeric,
	OUT tick interval,
	OUT first_timestamp timestamptz,
	OUT last_timestamp timestamptz,
	OUT below_2_53 boolean,
	OUT can_issue boolean)
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_info(flake_layout) IS
	'properties of a layout: full form, node ids, slots, capacity, time range';

/*----------
 * Ids and their parts
 *----------
 */

CREATE FUNCTION flake_parse(id bigint, layout flake_layout DEFAULT 'flake',
	OUT created_at timestamptz,
	OUT unix_ms bigint,
	OUT tick bigint,
	OUT node_id integer,
	OUT slot integer,
	OUT sequence integer)
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_parse(bigint, flake_layout) IS
	'parts of an id, 0 for those the layout does not have; error if it has no such id';

CREATE FUNCTION flake_timestamp(id bigint, layout flake_layout DEFAULT 'flake')
	RETURNS timestamptz
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_timestamp(bigint, flake_layout) IS 'time of an id: when its tick began';

CREATE FUNCTION flake_unix_ms(id bigint, layout flake_layout DEFAULT 'flake')
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_unix_ms(bigint, flake_layout) IS
	'time of an id in milliseconds since 1970, rounded down';

CREATE FUNCTION flake_node_id(id bigint, layout flake_layout DEFAULT 'flake')
	RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_node_id(bigint, flake_layout) IS 'node id of an id';

CREATE FUNCTION flake_fields(id bigint, layout flake_layout DEFAULT 'flake',
	OUT field text,
	OUT bits integer,
	OUT value bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 4;
COMMENT ON FUNCTION flake_fields(bigint, flake_layout) IS 'fields of an id, most significant first';

CREATE FUNCTION flake_min_id(created_at timestamptz, layout flake_layout DEFAULT 'flake')
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_min_id(timestamptz, flake_layout) IS
	'lowest id of the tick of a time; if out of range, a bound that compares correctly';

CREATE FUNCTION flake_max_id(created_at timestamptz, layout flake_layout DEFAULT 'flake')
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_max_id(timestamptz, flake_layout) IS
	'highest id of the tick of a time; if out of range, a bound that compares correctly';

CREATE FUNCTION flake_id_at(created_at timestamptz, n bigint, node_id integer,
	layout flake_layout DEFAULT 'flake')
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_id_at(timestamptz, bigint, integer, flake_layout) IS
	'id for an older row: the n-th, from 0, of a node in the tick of a time';

/*----------
 * Ids as text
 *----------
 */

CREATE FUNCTION flake_encode(id bigint, encoding text)
	RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_encode(bigint, text) IS
	'id as text: digits, decimal, hex, base32, base58 or base62';

CREATE FUNCTION flake_decode(value text, encoding text)
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_decode(text, text) IS
	'id from text made by flake_encode; error for other text';

CREATE FUNCTION flake_format(id bigint, prefix text, pos integer DEFAULT 0,
	encoding text DEFAULT 'digits')
	RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_format(bigint, text, integer, text) IS
	'id as text with a prefix before character pos, from 0';

CREATE FUNCTION flake_unformat(value text, prefix text, pos integer DEFAULT 0,
	encoding text DEFAULT 'digits')
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_unformat(text, text, integer, text) IS
	'id from text made by flake_format; error for other text';

/*----------
 * Sharding
 *----------
 */

CREATE FUNCTION flake_shard(id bigint, shards integer)
	RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_shard(bigint, integer) IS
	'shard from 0 to shards - 1: hashint8extended(id, 0), as unsigned, modulo shards';

/*----------
 * Schema flake
 *
 * It is in nobody's search_path, so that tools that compare, truncate or drop
 * the contents of schema public do not touch it.
 *----------
 */

CREATE FUNCTION flake_check_schema()
	RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C;
SELECT flake_check_schema();
DROP FUNCTION flake_check_schema();

CREATE SCHEMA flake;
COMMENT ON SCHEMA flake IS 'durable mark and reports of extension flake';
GRANT USAGE ON SCHEMA flake TO PUBLIC;

-- Written by the library (src/server/durable.c), and by the database's owner in
-- pg_restore and for repairs.
CREATE SEQUENCE flake.mark AS bigint MINVALUE 0 START WITH 0;
COMMENT ON SEQUENCE flake.mark IS
	'durable mark: no id is later than last_value, in nanoseconds since 1970';
GRANT SELECT ON flake.mark TO PUBLIC;
GRANT UPDATE ON flake.mark TO pg_database_owner;
SELECT pg_extension_config_dump('flake.mark', '');

/*----------
 * New ids
 *----------
 */

CREATE FUNCTION flake_copy_support(internal)
	RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_copy_support(internal) IS
	'planner support for flake_next_id and flake_prefixed';

CREATE FUNCTION flake_next_ids_support(internal)
	RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_next_ids_support(internal) IS 'planner support for flake_next_ids';

CREATE FUNCTION flake_next_id(layout flake_layout DEFAULT 'flake')
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
	SUPPORT flake_copy_support;
COMMENT ON FUNCTION flake_next_id(flake_layout) IS 'next id';

CREATE FUNCTION flake_next_ids(count bigint, layout flake_layout DEFAULT 'flake')
	RETURNS SETOF bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
	SUPPORT flake_next_ids_support;
COMMENT ON FUNCTION flake_next_ids(bigint, flake_layout) IS 'next count ids, in increasing order';

CREATE FUNCTION flake_reserve(count bigint, layout flake_layout DEFAULT 'flake',
	OUT first_id bigint, OUT last_id bigint, OUT step bigint)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION flake_reserve(bigint, flake_layout) IS
	'reserve count ids, up to the size of the sequence field: first_id, first_id + step, ..., last_id';

CREATE FUNCTION flake_prefixed(prefix text, pos integer DEFAULT 0,
	encoding text DEFAULT 'digits', layout flake_layout DEFAULT 'flake')
	RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
	SUPPORT flake_copy_support;
COMMENT ON FUNCTION flake_prefixed(text, integer, text, flake_layout) IS
	'next id as text with a prefix before character pos, from 0';

-- COPY calls these instead; src/sql/planner.c explains why they can be STABLE,
-- and what the COST is for.
CREATE FUNCTION flake_next_id_in_copy(flake_layout, internal)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'flake_next_id' LANGUAGE C STABLE STRICT
	PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION flake_next_id_in_copy(flake_layout, internal) IS
	'flake_next_id for column defaults in COPY';

CREATE FUNCTION flake_prefixed_in_copy(text, integer, text, flake_layout, internal)
	RETURNS text
	AS 'MODULE_PATHNAME', 'flake_prefixed' LANGUAGE C STABLE STRICT
	PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION flake_prefixed_in_copy(text, integer, text, flake_layout, internal) IS
	'flake_prefixed for column defaults in COPY';

/*----------
 * Existing columns
 *----------
 */

-- The settings make the undo independent of the caller's, and a row security
-- policy that hides rows from the caller an error.
CREATE FUNCTION flake_adopt(target regclass, column_name name,
	layout flake_layout DEFAULT 'flake',
	OUT statement text, OUT undo text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT ROWS 1
	SET search_path = pg_catalog, pg_temp
	SET datestyle = iso
	SET intervalstyle = postgres
	SET extra_float_digits = 1
	SET row_security = off;
COMMENT ON FUNCTION flake_adopt(regclass, name, flake_layout) IS
	'statements that make an existing bigint column use flake_next_id, and their undo';

/*----------
 * This server
 *----------
 */

CREATE FUNCTION flake_node(layout flake_layout DEFAULT 'flake',
	OUT node_id integer, OUT source text, OUT read_from text,
	OUT lease_end timestamptz)
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION flake_node(flake_layout) IS
	'node id of this server, where it comes from, and end of its lease';

CREATE FUNCTION flake_accept_clock()
	RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION flake_accept_clock() IS
	'accept the clock after a jump by more than flake.max_clock_jump';
REVOKE ALL ON FUNCTION flake_accept_clock() FROM PUBLIC;

/*----------
 * State of this server and database
 *
 * These functions report problems in columns, and raise no errors for them.
 *----------
 */

CREATE FUNCTION flake.layout_states(OUT layout flake_layout, OUT node_id integer,
	OUT ids_taken bigint, OUT last_id bigint, OUT last_time timestamptz,
	OUT lead interval, OUT waits bigint, OUT wait_time interval,
	OUT slots_used_up bigint, OUT lease_end timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'flake_layout_states' LANGUAGE C VOLATILE ROWS 10;
COMMENT ON FUNCTION flake.layout_states() IS
	'ids made since the server started, by layout and node id';

CREATE FUNCTION flake.mark_state(OUT mark timestamptz, OUT start_mark timestamptz,
	OUT mark_moves bigint, OUT clock_steps bigint, OUT max_lead interval,
	OUT latest_start_mark timestamptz, OUT latest_database text, OUT problem text)
	AS 'MODULE_PATHNAME', 'flake_mark_state' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION flake.mark_state() IS 'durable mark of this database, and steps of the clock';

CREATE FUNCTION flake.node_state(layout flake_layout,
	OUT node_id integer, OUT source text, OUT read_from text,
	OUT problem text, OUT detail text, OUT hint text)
	AS 'MODULE_PATHNAME', 'flake_node_state' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION flake.node_state(flake_layout) IS 'node id for a layout, or why there is none';

CREATE FUNCTION flake.lease_state(OUT node_id integer, OUT valid_from timestamptz,
	OUT valid_until timestamptz, OUT renewed timestamptz, OUT worker integer,
	OUT late boolean, OUT failing_since timestamptz, OUT problem text,
	OUT detail text, OUT hint text, OUT connection_error text)
	AS 'MODULE_PATHNAME', 'flake_lease_state_row' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION flake.lease_state() IS
	'lease of the node id and last problem with it; NULL if not leased';

CREATE FUNCTION flake.citus_state(OUT group_id integer, OUT has_workers boolean,
	OUT highest_group integer)
	AS 'MODULE_PATHNAME', 'flake_citus_state' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION flake.citus_state() IS 'group of this node in a Citus cluster; NULL if in none';

CREATE FUNCTION flake.citus_nodes(OUT node text, OUT group_id integer,
	OUT node_id integer, OUT source text, OUT problem text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'flake_citus_nodes' LANGUAGE C VOLATILE ROWS 10;
COMMENT ON FUNCTION flake.citus_nodes() IS 'groups and node ids of all nodes of the Citus cluster';

CREATE FUNCTION flake.version_state(OUT problem text, OUT hint text)
	AS 'MODULE_PATHNAME', 'flake_version_state' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION flake.version_state() IS
	'why library and extension do not match; NULL if they do';

CREATE FUNCTION flake.kernel_clock(OUT synchronized boolean,
	OUT estimated_error interval)
	AS 'MODULE_PATHNAME', 'flake_kernel_clock' LANGUAGE C VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION flake.kernel_clock() IS
	'what the kernel reports about its clock; NULL if nothing';

CREATE FUNCTION flake.layout_in_default(pg_node_tree)
	RETURNS flake_layout
	AS 'MODULE_PATHNAME', 'flake_layout_in_default' LANGUAGE C STABLE STRICT
	PARALLEL SAFE;
COMMENT ON FUNCTION flake.layout_in_default(pg_node_tree) IS
	'layout in an expression; NULL if there is none';

-- Columns whose default calls flake_next_id() or flake_prefixed(), with the layout.
CREATE FUNCTION flake.id_columns(OUT table_oid oid, OUT column_name name,
	OUT column_number smallint, OUT type_oid oid, OUT layout flake_layout)
	RETURNS SETOF record
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT a.attrelid, a.attname, a.attnum, a.atttypid,
		coalesce(flake.layout_in_default(d.adbin), 'flake')
	FROM pg_attrdef AS d
	JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
	WHERE EXISTS (SELECT FROM pg_depend AS p
		WHERE p.classid = 'pg_attrdef'::regclass::oid AND p.objid = d.oid
			AND p.refclassid = 'pg_proc'::regclass::oid
			AND p.refobjid IN ('flake_next_id(flake_layout)'::regprocedure::oid,
				'flake_prefixed(text,integer,text,flake_layout)'::regprocedure::oid));
END;
COMMENT ON FUNCTION flake.id_columns() IS 'columns whose default makes ids, and the layout';

CREATE FUNCTION flake.registry_findings(OUT severity text, OUT what text, OUT why text,
	OUT what_to_do text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'flake_registry_findings' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION flake.registry_findings() IS
	'rows of flake.check_registry(), if extension flake_registry is installed';

CREATE VIEW flake.layouts AS
	SELECT l.layout, l.node_id, l.ids_taken, l.last_id, l.last_time, l.lead,
		l.waits, l.wait_time, l.slots_used_up,
		m.mark, m.start_mark, m.mark_moves, m.clock_steps, l.lease_end
	FROM flake.layout_states() AS l, flake.mark_state() AS m;
COMMENT ON VIEW flake.layouts IS
	'layouts and node ids used since the server started, in all databases';
COMMENT ON COLUMN flake.layouts.layout IS
	'layout; the first used of those that differ in names or fixed parts';
COMMENT ON COLUMN flake.layouts.node_id IS 'node id; NULL if the layout does not use it';
COMMENT ON COLUMN flake.layouts.ids_taken IS
	'ids taken, including those that sessions have not used yet or have lost';
COMMENT ON COLUMN flake.layouts.last_id IS 'highest id taken';
COMMENT ON COLUMN flake.layouts.last_time IS 'time of last_id';
COMMENT ON COLUMN flake.layouts.lead IS 'how far last_time is ahead of the clock';
COMMENT ON COLUMN flake.layouts.waits IS 'number of waits for the next tick';
COMMENT ON COLUMN flake.layouts.wait_time IS 'total time of these waits';
COMMENT ON COLUMN flake.layouts.slots_used_up IS 'how often a slot had no number left in a tick';
COMMENT ON COLUMN flake.layouts.mark IS 'durable mark of this database: no id is later';
COMMENT ON COLUMN flake.layouts.start_mark IS
	'mark found at the start: ids of this database begin after it';
COMMENT ON COLUMN flake.layouts.mark_moves IS 'how often the mark was written';
COMMENT ON COLUMN flake.layouts.clock_steps IS 'steps of the clock by a second or more';
COMMENT ON COLUMN flake.layouts.lease_end IS
	'end of the lease of the node id; NULL if it is not leased';

/*----------
 * Problems
 *
 * flake_check() gathers what these functions find.  Sets of layouts are sets of
 * texts in them, because pg_upgrade creates functions before operator classes.
 *----------
 */

-- shared memory, version, and durable mark
CREATE FUNCTION flake.check_server(OUT severity text, OUT what text, OUT why text,
	OUT what_to_do text)
	RETURNS SETOF record
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH mark AS MATERIALIZED (
		SELECT m.problem, m.mark, m.on_disk,
			m.on_disk / 1000000000.0 - extract(epoch FROM clock_timestamp()) AS ahead,
			extract(epoch FROM m.max_lead) AS max_lead
		-- the state is read first, because the mark on disk can be moved meanwhile
		FROM (SELECT s.*, (SELECT last_value FROM flake.mark) AS on_disk
			FROM flake.mark_state() AS s OFFSET 0) AS m
	)
	SELECT 'error', 'shared memory is not available: ' || m.problem,
		'No ids can be made.',
		'Enlarge /dev/shm; or add flake to shared_preload_libraries or raise '
			'min_dynamic_shared_memory, and restart the server.'
	FROM mark AS m
	WHERE m.problem IS NOT NULL
	UNION ALL
	SELECT 'error', v.problem,
		'Sessions cannot begin to make ids in this database.',
		v.hint
	FROM flake.version_state() AS v
	WHERE v.problem IS NOT NULL
	UNION ALL
	SELECT 'error', 'sequence flake.mark is unlogged',
		'Ids could repeat after a crash, so none are made.',
		'Run ALTER SEQUENCE flake.mark SET LOGGED.'
	FROM pg_class AS c
	WHERE c.oid = 'flake.mark'::regclass AND c.relpersistence = 'u'
	UNION ALL
	SELECT 'error', 'the durable mark on disk is lower than the one in use',
		'Somebody has set flake.mark back; ids could repeat after a crash.',
		'Make an id in this database: this repairs the mark.'
	FROM mark AS m
	WHERE m.on_disk / 1000 < extract(epoch FROM m.mark) * 1000000
	UNION ALL
	SELECT 'error',
		format('the durable mark is %s seconds ahead of the clock', round(m.ahead, 3)),
		format('Ids must be later than the mark, but at most %s seconds ahead of the clock.  '
			'None can be made in this database after a restart, or if flake.mark was set.',
			round(m.max_lead, 3)),
		concat('If the clock is wrong, correct it.  If somebody has set flake.mark ahead, '
			'set it back.  Otherwise wait',
			CASE WHEN m.ahead < 2147483 -- the highest setting
				THEN format(' or raise flake.max_clock_lead to %s s', ceil(m.ahead + 1)) END, '.')
	FROM mark AS m
	WHERE m.ahead > m.max_lead + 1;
END;
COMMENT ON FUNCTION flake.check_server() IS 'problems of shared memory, version and mark';

-- node ids: of this server, its lease, and the other nodes of a Citus cluster
CREATE FUNCTION flake.check_node_ids(OUT severity text, OUT what text, OUT why text,
	OUT what_to_do text)
	RETURNS SETOF record
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH nodes AS MATERIALIZED (
		SELECT l.layout, n.*
		FROM (SELECT layout::text FROM flake.id_columns() UNION SELECT 'flake') AS l (layout),
			LATERAL flake.node_state(l.layout::flake_layout) AS n
	),
	lease AS MATERIALIZED (
		SELECT *,
			CASE WHEN valid_until > clock_timestamp() THEN 'warning' ELSE 'error' END AS severity
		FROM flake.lease_state()
	),
	citus AS MATERIALIZED (
		SELECT * FROM flake.citus_state()
	),
	citus_nodes AS MATERIALIZED (
		SELECT * FROM flake.citus_nodes()
	)
	SELECT 'error', n.problem,
		concat_ws('  ', n.detail, format('No ids of layout "%s" can be made.', n.layout)),
		n.hint
	FROM nodes AS n
	WHERE n.problem IS NOT NULL
	UNION ALL
	SELECT 'warning', format('node id %s is derived from the system identifier', n.node_id),
		CASE WHEN NOT c.has_workers
			THEN 'This is the coordinator of a Citus cluster without workers.  Its node id becomes '
				'0 when the first worker is added, and a worker may get the present one.'
			WHEN EXISTS (SELECT FROM pg_publication)
				OR EXISTS (SELECT FROM pg_replication_slots WHERE slot_type = 'logical')
			THEN 'This server takes part in logical replication.  Another server that writes may '
				'have the same node id and make the same ids.'
			ELSE 'Another server that makes ids may have the same node id and make the same ids.'
			END,
		CASE WHEN NOT c.has_workers THEN 'Set flake.node_id to citus.'
			ELSE 'Set flake.node_id to a number that no other server has.' END
	FROM nodes AS n, citus AS c
	WHERE n.layout = 'flake' AND n.problem IS NULL AND n.source = 'system identifier'
	UNION ALL
	-- leases
	SELECT l.severity, l.problem,
		concat_ws('  ', l.detail, 'The connection failed with: ' || l.connection_error),
		l.hint
	FROM lease AS l
	WHERE l.problem IS NOT NULL
	UNION ALL
	SELECT l.severity,
		format('the lease of node id %s has not been renewed since %s', l.node_id, l.renewed),
		format('No ids can be made after it ends at %s.', l.valid_until),
		'Check that this server can reach the registry.'
	FROM lease AS l
	WHERE l.late
	UNION ALL
	SELECT 'warning', format('no worker renews the lease of node id %s', l.node_id),
		format('No ids can be made after it ends at %s, unless a worker can be started then.',
			l.valid_until),
		'Check the server log for why the worker stopped.'
	FROM lease AS l
	WHERE l.node_id IS NOT NULL AND l.worker IS NULL
	UNION ALL
	-- Citus
	SELECT 'error', format('several nodes of the Citus cluster have node id %s: %s', c.node_id,
			string_agg(c.node, ', ' ORDER BY c.node COLLATE "C")),
		'They can make the same ids.',
		'Leave flake.node_id empty on all nodes, or set it to a different number on each.'
	FROM citus_nodes AS c
	WHERE c.node_id IS NOT NULL
	GROUP BY c.node_id
	HAVING count(DISTINCT c.group_id) > 1 -- a standby has the group of its primary
	UNION ALL
	SELECT 'warning',
		format('node id %s of this server is also the group of node %s of the Citus cluster',
			n.node_id, c.node),
		'The node id of that node is not known.  If it is the group, both can make the same ids.',
		'Leave flake.node_id empty on all nodes, or set it to a different number on each.'
	FROM citus AS own, citus_nodes AS c, flake.node_state('time:41 node:22') AS n
	WHERE c.node_id IS NULL AND c.group_id = n.node_id AND c.group_id <> own.group_id
	UNION ALL
	SELECT 'error',
		format('the node id of node %s of the Citus cluster is derived from the system identifier',
			c.node),
		'Another node may have the same node id and make the same ids.  '
			'The node may make none while shards are moved to it.',
		'Make sure that Citus synchronizes its metadata to that node (hasmetadata and '
			'metadatasynced in pg_dist_node), or set flake.node_id there to a number that no '
			'other node has.'
	FROM citus_nodes AS c
	WHERE c.source = 'system identifier'
	UNION ALL
	SELECT 'warning',
		CASE WHEN c.node IS NULL
			THEN 'the node ids of the Citus cluster are not known: ' || c.problem
			ELSE format('the node id of node %s of the Citus cluster is not known: %s', c.node,
				c.problem) END,
		CASE WHEN c.node IS NULL THEN 'Several nodes may have the same.'
			ELSE 'Another node may have the same.' END,
		'Check flake_node() on the node, and that this role can connect to it.  '
			'A copy of another node has the group of that node.'
	FROM citus_nodes AS c
	WHERE c.problem IS NOT NULL
	UNION ALL
	SELECT 'warning',
		format('the groups of the Citus cluster, up to %s now, will soon not fit layout "%s"',
			c.highest_group, n.layout),
		format('A new worker gets a higher group as its node id.  An attempt that fails uses one '
			'up, too, and a crash or failover of the coordinator up to 32.  Workers with a group '
			'above %s cannot make ids of the layout.', i.nodes - 1),
		'Use a layout with more node bits for new tables, or set flake.node_id on the nodes.'
	FROM citus AS c, nodes AS n, LATERAL flake_layout_info(n.layout::flake_layout) AS i
	WHERE n.source = 'Citus' AND n.problem IS NULL AND i.nodes > 1
		AND c.highest_group::bigint + n.node_id - c.group_id >= i.nodes * 3 / 4;
END;
COMMENT ON FUNCTION flake.check_node_ids() IS 'problems of node ids, leases and Citus nodes';

-- columns with ids: types, layouts, partitions, and values
CREATE FUNCTION flake.check_columns(OUT severity text, OUT what text, OUT why text,
	OUT what_to_do text)
	RETURNS SETOF record
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH RECURSIVE
	columns AS MATERIALIZED (
		SELECT * FROM flake.id_columns()
	),
	-- these columns, and the columns that reference them
	holders AS MATERIALIZED (
		SELECT c.table_oid, c.column_name, c.column_number, c.type_oid,
			a.atttypmod AS type_modifier, c.layout, NULL::oid AS referenced
		FROM columns AS c
			JOIN pg_attribute AS a ON a.attrelid = c.table_oid AND a.attnum = c.column_number
		UNION ALL
		SELECT a.attrelid, a.attname, a.attnum, a.atttypid, a.atttypmod, c.layout, c.table_oid
		FROM columns AS c
			JOIN pg_constraint AS k ON k.confrelid = c.table_oid AND k.contype = 'f'
				AND k.conparentid = 0,
			unnest(k.conkey, k.confkey) AS u (own, referenced),
			pg_attribute AS a
		WHERE u.referenced = c.column_number AND a.attrelid = k.conrelid AND a.attnum = u.own
	),
	-- their types, and those below a domain
	types (table_oid, column_number, type_oid, type_modifier) AS (
		SELECT table_oid, column_number, type_oid, type_modifier FROM holders
		UNION
		SELECT s.table_oid, s.column_number, t.typbasetype, t.typtypmod
		FROM types AS s
			JOIN pg_type AS t ON t.oid = s.type_oid AND t.typtype = 'd'
	),
	-- the same with the scale and the digits before the point of a numeric
	digits AS (
		SELECT s.*, n.scale, ((s.type_modifier - 4) >> 16) - n.scale AS whole
		FROM types AS s,
			LATERAL (SELECT CASE WHEN s.type_oid = 'numeric'::regtype AND s.type_modifier >= 0
				THEN (((s.type_modifier - 4) & 2047) # 1024) - 1024 END) AS n (scale)
	),
	ancestors (table_oid, ancestor) AS (
		SELECT inhrelid, inhparent FROM pg_inherits
		WHERE inhrelid IN (SELECT table_oid FROM columns)
		UNION
		SELECT a.table_oid, i.inhparent
		FROM ancestors AS a
			JOIN pg_inherits AS i ON i.inhrelid = a.ancestor
	),
	roots (table_oid, root) AS (
		SELECT table_oid, ancestor FROM ancestors
		WHERE NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = ancestor)
		UNION
		SELECT inhparent, inhparent FROM pg_inherits
	),
	-- tables that are partitioned by ranges of ids and have no default partition
	partitioned AS MATERIALIZED (
		SELECT c.table_oid, c.layout
		FROM columns AS c
			JOIN pg_partitioned_table AS p ON p.partrelid = c.table_oid
		WHERE p.partstrat = 'r' AND p.partnatts = 1 AND p.partattrs[0] = c.column_number
			AND p.partdefid = 0 AND c.type_oid = 'bigint'::regtype
	),
	-- their partitions, from low to below high
	partitions AS MATERIALIZED (
		SELECT p.table_oid AS parent, c.oid AS table_oid,
			coalesce(substring(b.bound FROM 'FROM \(''?(-?[0-9]+)')::bigint,
				-9223372036854775808) AS low,
			coalesce(substring(b.bound FROM 'TO \(''?(-?[0-9]+)')::bigint,
				9223372036854775807) AS high
		FROM partitioned AS p
			JOIN pg_inherits AS i ON i.inhparent = p.table_oid
			JOIN pg_class AS c ON c.oid = i.inhrelid,
			LATERAL pg_get_expr(c.relpartbound, c.oid) AS b (bound)
	),
	-- those that have no partition for ids of a day, but should
	gaps AS (
		SELECT p.table_oid, min(d.day) AS day
		FROM partitioned AS p, generate_series(0, 3) AS d (day),
			LATERAL flake_min_id(now() + d.day * interval '1 day', p.layout) AS m (id)
		WHERE NOT EXISTS (SELECT FROM partitions AS r
				WHERE r.parent = p.table_oid AND m.id >= r.low AND m.id < r.high)
			AND NOT EXISTS (SELECT FROM partitions AS r
				WHERE r.table_oid = p.table_oid AND (m.id < r.low OR m.id >= r.high))
		GROUP BY p.table_oid
	)
	SELECT 'error',
		format('column "%s" of table %s is of type %s, but %s', h.column_name,
			h.table_oid::regclass, format_type(h.type_oid, h.type_modifier),
			CASE WHEN h.referenced IS NULL THEN 'its default makes ids'
				ELSE format('references ids of table %s', h.referenced::regclass) END),
		CASE WHEN d.type_oid IN ('real'::regtype, 'double precision'::regtype) OR d.scale < 0
			THEN 'Ids are 64-bit numbers.  This type rounds them, so different ones become equal.'
			WHEN h.referenced IS NULL
			THEN 'Ids are 64-bit numbers.  Inserts that use the default fail.'
			ELSE 'Ids are 64-bit numbers.  Rows that reference new ids cannot be written.' END,
		'Change the type of the column to bigint.'
	FROM holders AS h
		JOIN digits AS d ON d.table_oid = h.table_oid AND d.column_number = h.column_number
	WHERE d.type_oid IN ('smallint'::regtype, 'integer'::regtype, 'real'::regtype,
			'double precision'::regtype)
		OR d.scale < 0
		OR 10::numeric ^ d.whole < 2::numeric ^ (flake_layout_info(h.layout)).bits
	UNION ALL
	SELECT 'error',
		format('column "%s" of table %s and its child tables makes ids of different layouts: %s',
			c.column_name, r.root::regclass,
			string_agg(DISTINCT format('"%s"', c.layout), ', ')),
		'Ids of different layouts can be equal.',
		'Use the same layout in all of these tables.'
	FROM columns AS c
		JOIN roots AS r ON r.table_oid = c.table_oid
	GROUP BY r.root, c.column_name
	HAVING count(DISTINCT c.layout::text) > 1
	UNION ALL
	SELECT CASE g.day WHEN 0 THEN 'error' ELSE 'warning' END,
		CASE g.day WHEN 0
			THEN format('table %s has no partition for new ids', g.table_oid::regclass)
			ELSE format('table %s has no partition for ids from %s on', g.table_oid::regclass,
				to_char((now() + g.day * interval '1 day') AT TIME ZONE 'UTC', 'YYYY-MM-DD')) END,
		'Inserts of ids without a partition fail.',
		'Create partitions with bounds made by flake_min_id(), and check what should have '
			'created them.'
	FROM gaps AS g
	UNION ALL
	SELECT 'warning',
		format('column "%s" of table %s has values above new ids, up to %s', c.column_name,
			c.table_oid::regclass, f.highest),
		format('New ids of layout "%s" will reach them, and can be equal to them.', c.layout),
		'If they were made while a clock was ahead, set flake.node_id to a number that was never '
			'used, before new ids reach them.  If they are not ids of this layout, use a layout '
			'whose ids are higher.'
	FROM flake.mark_state() AS m, columns AS c
		JOIN pg_class AS t ON t.oid = c.table_oid
		JOIN pg_namespace AS n ON n.oid = t.relnamespace,
		LATERAL (SELECT max(b.bounds[array_upper(b.bounds, 1)]) AS highest
			FROM pg_stats AS s,
				LATERAL (SELECT s.histogram_bounds::text::bigint[]) AS b (bounds)
			WHERE c.type_oid = 'bigint'::regtype AND s.schemaname = n.nspname
				AND s.tablename = t.relname AND s.attname = c.column_name) AS f
	WHERE f.highest > flake_max_id(now() + m.max_lead + interval '2 seconds', c.layout);
END;
COMMENT ON FUNCTION flake.check_columns() IS 'problems of columns that hold ids';

-- times: the end of a layout, ids ahead of the clock, and the clock itself
CREATE FUNCTION flake.check_times(OUT severity text, OUT what text, OUT why text,
	OUT what_to_do text)
	RETURNS SETOF record
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH ends AS MATERIALIZED (
		SELECT l.layout, i.last_timestamp,
			to_char(i.last_timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day
		FROM (SELECT layout::text FROM flake.id_columns() UNION SELECT 'flake') AS l (layout),
			LATERAL flake_layout_info(l.layout::flake_layout) AS i
		WHERE i.last_timestamp < now() + interval '10 years'
	)
	SELECT 'error', format('the time of layout "%s" ended on %s', e.layout, e.day),
		'No ids of it can be made.',
		'Use a layout with more time bits, or with a later epoch for new tables.'
	FROM ends AS e
	WHERE e.last_timestamp < now()
	UNION ALL
	SELECT 'warning', format('the time of layout "%s" ends on %s', e.layout, e.day),
		'No ids of it can be made after that.',
		'Plan to use a layout with more time bits, or with a later epoch for new tables.'
	FROM ends AS e
	WHERE e.last_timestamp >= now()
	UNION ALL
	SELECT CASE WHEN s.lead > interval '1 second'
				+ greatest(m.max_lead, 2 * (flake_layout_info(s.layout)).tick)
			THEN 'error' ELSE 'warning' END,
		format('ids of layout "%s"%s are %s seconds ahead of the clock', s.layout,
			' under node id ' || s.node_id, round(extract(epoch FROM s.lead), 3)),
		CASE WHEN m.latest_start_mark > clock_timestamp() + interval '1.5 seconds'
			THEN format('The durable mark of database "%s" is ahead of the clock, and ids of all '
				'databases are made after it.  Their times are wrong.', m.latest_database)
			ELSE 'The clock was set back, or was ahead when ids were made.  Their times are wrong.'
			END,
		concat('If the clock is wrong, correct it.  If it is right, wait; if ids are refused, ',
			CASE WHEN s.lead < interval '2147483 seconds' -- the highest setting
				THEN format('raise flake.max_clock_lead to %s s or ',
					ceil(extract(epoch FROM s.lead))) END,
			CASE WHEN s.node_id IS NULL THEN 'use another layout'
				ELSE 'change flake.node_id to a number that was never used' END, '.')
	FROM flake.mark_state() AS m, flake.layout_states() AS s
	WHERE s.lead > interval '1.5 seconds'
		AND (s.node_id IS NULL
			OR s.node_id = (SELECT n.node_id FROM flake.node_state(s.layout) AS n))
	UNION ALL
	SELECT 'warning', 'the clock is not synchronized',
		'The kernel reports that nothing keeps it right, and ids get their times from it.',
		'Run a time service such as chrony, ntpd or systemd-timesyncd.'
	FROM flake.kernel_clock() AS k
	WHERE NOT k.synchronized
	UNION ALL
	SELECT 'warning',
		format('the clock may be wrong by %s seconds',
			round(extract(epoch FROM k.estimated_error), 3)),
		'Ids of different servers are ordered by their clocks.',
		'Check the time service of this machine.'
	FROM flake.kernel_clock() AS k
	WHERE k.synchronized AND k.estimated_error > interval '100 milliseconds';
END;
COMMENT ON FUNCTION flake.check_times() IS 'problems of layouts and clocks';

CREATE FUNCTION flake_check(OUT severity text, OUT what text, OUT why text,
	OUT what_to_do text)
	RETURNS SETOF record
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT * FROM flake.check_server()
	UNION ALL
	SELECT * FROM flake.check_node_ids()
	UNION ALL
	SELECT * FROM flake.check_columns()
	UNION ALL
	SELECT * FROM flake.check_times()
	UNION ALL
	SELECT * FROM flake.registry_findings();
END;
COMMENT ON FUNCTION flake_check() IS 'problems: severity, what, why, and what to do';

/*----------
 * Privileges
 *----------
 */

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA flake FROM PUBLIC;
REVOKE ALL ON FUNCTION flake_check() FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA flake TO pg_monitor, pg_database_owner;
GRANT EXECUTE ON FUNCTION flake_check() TO pg_monitor, pg_database_owner;
GRANT SELECT ON flake.layouts TO pg_monitor, pg_database_owner;
