/*
 * flake 1.0: ids for rows, unique across servers and ordered by time.
 *
 * Names begin with flake_, so that the extension can live in any schema.
 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION flake" to load this file. \quit

/*----------
 * The type flake_layout
 *----------
 */

CREATE TYPE flake_layout;

CREATE FUNCTION flake_layout_in(cstring) RETURNS flake_layout
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_in(cstring) IS
	'input function of type flake_layout';

CREATE FUNCTION flake_layout_out(flake_layout) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_out(flake_layout) IS
	'output function of type flake_layout';

CREATE FUNCTION flake_layout_recv(internal) RETURNS flake_layout
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_recv(internal) IS
	'binary input function of type flake_layout';

CREATE FUNCTION flake_layout_send(flake_layout) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_send(flake_layout) IS
	'binary output function of type flake_layout';

-- A value is its canonical text, so it is stored and aligned as text is.
CREATE TYPE flake_layout (
	INPUT = flake_layout_in,
	OUTPUT = flake_layout_out,
	RECEIVE = flake_layout_recv,
	SEND = flake_layout_send,
	LIKE = text
);
COMMENT ON TYPE flake_layout IS
	'what the bits of an id mean: fields from the most significant bit, then the options epoch (of tick 0) and tick (length, 1us to 86400s), such as "time:41 node:8 slot:6 sequence:8 epoch=2025-01-01T00:00:00Z tick=1ms"; input takes a preset''s name as well, and options after it';

CREATE FUNCTION flake_layout_eq(flake_layout, flake_layout) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_eq(flake_layout, flake_layout) IS
	'implementation of = operator';

CREATE FUNCTION flake_layout_ne(flake_layout, flake_layout) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_ne(flake_layout, flake_layout) IS
	'implementation of <> operator';

CREATE FUNCTION flake_layout_hash(flake_layout) RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_hash(flake_layout) IS
	'hash of a layout';

CREATE FUNCTION flake_layout_hash_extended(flake_layout, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_hash_extended(flake_layout, bigint) IS
	'hash of a layout, with a seed';

CREATE OPERATOR = (
	LEFTARG = flake_layout, RIGHTARG = flake_layout,
	FUNCTION = flake_layout_eq,
	COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel, HASHES
);
COMMENT ON OPERATOR = (flake_layout, flake_layout) IS
	'equal: same fields, names included, same epoch, same tick';

CREATE OPERATOR <> (
	LEFTARG = flake_layout, RIGHTARG = flake_layout,
	FUNCTION = flake_layout_ne,
	COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (flake_layout, flake_layout) IS 'not equal';

CREATE OPERATOR CLASS flake_layout_hash_ops
	DEFAULT FOR TYPE flake_layout USING hash AS
	OPERATOR 1 =,
	FUNCTION 1 flake_layout_hash(flake_layout),
	FUNCTION 2 flake_layout_hash_extended(flake_layout, bigint);

-- The cast from text is explicit, so that no text becomes a layout unasked.
CREATE CAST (text AS flake_layout) WITH INOUT;
CREATE CAST (flake_layout AS text) WITHOUT FUNCTION AS ASSIGNMENT;

CREATE FUNCTION flake_layout_info(layout flake_layout,
	OUT bits integer,
	OUT nodes bigint,
	OUT slots bigint,
	OUT ids_per_tick bigint,
	OUT ids_per_second numeric,
	OUT tick interval,
	OUT first_timestamp timestamptz,
	OUT last_timestamp timestamptz,
	OUT below_2_53 boolean,
	OUT for_generator boolean)
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_layout_info(flake_layout) IS
	'what a layout can do: bits used (of 63); nodes that write; slots of a node; ids per tick and per second of one node, all slots together; length of a tick; time of the first and of the last tick (null: later than timestamptz can hold); whether ids stay below 2^53, exact in JavaScript; whether a generator can use it';

/*----------
 * Ids taken apart
 *
 * Each with a layout, then IMMUTABLE, and without, then for the layout of the
 * generator "default" and STABLE.
 *----------
 */

CREATE FUNCTION flake_parse(id bigint,
	OUT id bigint,
	OUT created_at timestamptz,
	OUT unix_ms bigint,
	OUT tick bigint,
	OUT node_id integer,
	OUT slot integer,
	OUT sequence integer)
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_parse(bigint) IS
	'an id taken apart: when its tick began, that time in milliseconds since 1970 (rounded down), its tick (counted from the epoch), node id (parts put together), slot and sequence (0 for what the layout does not have), by the layout of the generator "default"; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_parse(id bigint, layout flake_layout,
	OUT id bigint,
	OUT created_at timestamptz,
	OUT unix_ms bigint,
	OUT tick bigint,
	OUT node_id integer,
	OUT slot integer,
	OUT sequence integer)
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_parse(bigint, flake_layout) IS
	'an id taken apart: when its tick began, that time in milliseconds since 1970 (rounded down), its tick (counted from the epoch), node id (parts put together), slot and sequence (0 for what the layout does not have); errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_timestamp(id bigint)
	RETURNS timestamptz
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_timestamp(bigint) IS
	'when the tick of an id began: epoch + (id >> bits below the time) * tick, by the layout of the generator "default"; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_timestamp(id bigint, layout flake_layout)
	RETURNS timestamptz
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_timestamp(bigint, flake_layout) IS
	'when the tick of an id began: epoch + (id >> bits below the time) * tick; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_unix_ms(id bigint)
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_unix_ms(bigint) IS
	'when the tick of an id began, in milliseconds since 1970, rounded down, by the layout of the generator "default"; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_unix_ms(id bigint, layout flake_layout)
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_unix_ms(bigint, flake_layout) IS
	'when the tick of an id began, in milliseconds since 1970, rounded down; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_node_id(id bigint)
	RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_node_id(bigint) IS
	'node id in an id, its parts put together with the most significant first; 0 if the layout has no node, by the layout of the generator "default"; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_node_id(id bigint, layout flake_layout)
	RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_node_id(bigint, flake_layout) IS
	'node id in an id, its parts put together with the most significant first; 0 if the layout has no node; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_slot(id bigint)
	RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_slot(bigint) IS
	'slot in an id; 0 if the layout has none, by the layout of the generator "default"; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_slot(id bigint, layout flake_layout)
	RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_slot(bigint, flake_layout) IS
	'slot in an id; 0 if the layout has none; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_sequence(id bigint)
	RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_sequence(bigint) IS
	'number in an id within its tick (and slot); 0 if the layout has none, by the layout of the generator "default"; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_sequence(id bigint, layout flake_layout)
	RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_sequence(bigint, flake_layout) IS
	'number in an id within its tick (and slot); 0 if the layout has none; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_fields(id bigint, OUT field text, OUT bits integer, OUT value bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 4;
COMMENT ON FUNCTION flake_fields(bigint) IS
	'every field of an id, parts of the node included, from the most significant: name, width in bits, value, by the layout of the generator "default"; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_fields(id bigint, layout flake_layout, OUT field text, OUT bits integer, OUT value bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 4;
COMMENT ON FUNCTION flake_fields(bigint, flake_layout) IS
	'every field of an id, parts of the node included, from the most significant: name, width in bits, value; errors: an id with bits that the layout does not have is 22003, one whose time is beyond timestamptz 22008';

CREATE FUNCTION flake_min_id(created_at timestamptz)
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_min_id(timestamptz) IS
	'lowest id of the tick that holds a time, for id ranges: id >= flake_min_id(from) AND id < flake_min_id(to), by the layout of the generator "default"; errors: a time outside the layout is 22008';

CREATE FUNCTION flake_min_id(created_at timestamptz, layout flake_layout)
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_min_id(timestamptz, flake_layout) IS
	'lowest id of the tick that holds a time, for id ranges: id >= flake_min_id(from) AND id < flake_min_id(to); errors: a time outside the layout is 22008';

CREATE FUNCTION flake_max_id(created_at timestamptz)
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_max_id(timestamptz) IS
	'highest id of the tick that holds a time, by the layout of the generator "default"; errors: a time outside the layout is 22008';

CREATE FUNCTION flake_max_id(created_at timestamptz, layout flake_layout)
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_max_id(timestamptz, flake_layout) IS
	'highest id of the tick that holds a time; errors: a time outside the layout is 22008';

/*----------
 * Ids as texts
 *----------
 */

CREATE FUNCTION flake_encode(id bigint, encoding text)
	RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_encode(bigint, text) IS
	'id as text: digits (plain decimal), or of fixed width and in the order of the ids under COLLATE "C": decimal (19 digits), hex (16), base32 (13, Crockford), base58 (11, Bitcoin), base62 (11, 0-9A-Za-z); errors: a negative id is 22003, another encoding 22023';

CREATE FUNCTION flake_decode(value text, encoding text)
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_decode(text, text) IS
	'id in a text of that encoding (see flake_encode); hex reads upper case, base32 lower case, i and l as 1, o as 0; errors: a text that is none, or above 2^63 - 1, is 22P02, another encoding 22023';

CREATE FUNCTION flake_format(id bigint, prefix text, pos integer DEFAULT 0,
	encoding text DEFAULT 'digits')
	RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_format(bigint, text, integer, text) IS
	'id as text with prefix put before position pos, counted in characters from 0, in front, to the length of the id''s text, behind; errors: a negative id is 22003, another position or encoding 22023';

CREATE FUNCTION flake_unformat(value text, prefix text, pos integer DEFAULT 0,
	encoding text DEFAULT 'digits')
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_unformat(text, text, integer, text) IS
	'id in a text that flake_format made with the same arguments; errors: a text that does not fit is 22P02, a position that no id has, or another encoding, 22023';

/*----------
 * Sharding
 *----------
 */

CREATE FUNCTION flake_shard(id bigint, shards integer)
	RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flake_shard(bigint, integer) IS
	'shard of an id, 0 to shards - 1, evenly spread: hashint8extended(id, 0), taken unsigned, modulo shards, in every version; any bigint; errors: less than 1 shard is 22023';
/*
 * What is kept in the database: the durable mark and the generators
 */

-- The mark: its last_value, in microseconds since 1970, is a time after which
-- no id of this database was ever issued.  Only the library writes it.
CREATE SEQUENCE flake_mark AS bigint MINVALUE 0 START WITH 0;
COMMENT ON SEQUENCE flake_mark IS
'durable mark of extension flake: last_value is a time in microseconds since 1970; no id of this database with a later time was ever issued';

CREATE TABLE flake_generator (
	name text COLLATE "C" PRIMARY KEY,
	layout flake_layout NOT NULL
);
COMMENT ON TABLE flake_generator IS
'generators of extension flake: names for layouts, 1 to 63 bytes long; who may insert here may make one';
COMMENT ON COLUMN flake_generator.name IS 'name, as in flake_next_id(name)';
COMMENT ON COLUMN flake_generator.layout IS 'layout of its ids; can''t be changed';

CREATE FUNCTION flake_generator_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_generator_changed() IS
'trigger of flake_generator: checks new rows and tells running sessions';

CREATE TRIGGER flake_generator_row
BEFORE INSERT OR UPDATE OR DELETE ON flake_generator
FOR EACH ROW EXECUTE FUNCTION flake_generator_changed();

CREATE TRIGGER flake_generator_truncate
BEFORE TRUNCATE ON flake_generator
FOR EACH STATEMENT EXECUTE FUNCTION flake_generator_changed();

-- Also where logical replication brings the rows.
ALTER TABLE flake_generator ENABLE ALWAYS TRIGGER flake_generator_row;
ALTER TABLE flake_generator ENABLE ALWAYS TRIGGER flake_generator_truncate;
REVOKE ALL ON FUNCTION flake_generator_changed() FROM PUBLIC;

-- Dumped with the database, also by an owner who is no superuser.
SELECT pg_catalog.pg_extension_config_dump('flake_mark', '');
SELECT pg_catalog.pg_extension_config_dump('flake_generator', '');
GRANT SELECT ON flake_mark, flake_generator TO PUBLIC;
GRANT UPDATE ON flake_mark TO pg_database_owner;
GRANT INSERT, DELETE ON flake_generator TO pg_database_owner;

/*
 * Generators
 */

CREATE FUNCTION flake_create_generator(name text, layout flake_layout) RETURNS void
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_create_generator(text, flake_layout) IS
'make a generator: a name, 1 to 63 bytes long, for a layout; the name "default" overrides the built-in one; errors: exists already (42710), layout is for reading only or its epoch in the future (22023), no right to insert into flake_generator (42501)';

CREATE FUNCTION flake_drop_generator(name text) RETURNS void
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_drop_generator(text) IS
'drop a generator; one of the same layout made later goes on after its ids; errors: does not exist (42704), no right to delete from flake_generator (42501)';

CREATE FUNCTION flake_generator_layout(name text) RETURNS flake_layout
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_generator_layout(text) IS
'layout of a generator; error: does not exist (42704)';

/*
 * Making ids
 */

-- Lets COPY insert in batches, as it does with nextval(); see src/sql_copy.c.
CREATE FUNCTION flake_copy_support(internal) RETURNS internal
LANGUAGE c STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_copy_support(internal) IS
'planner support: in a default that COPY plans, calls the twin whose name ends in _in_copy';

CREATE FUNCTION flake_next_id() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL SAFE SUPPORT flake_copy_support AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_next_id() IS
'next id of generator "default": unique across servers of different node ids, increasing within a session, its time the wall clock to the tick; errors: clock too far behind, jumped forward or before the epoch (55000), past the last tick (2200H), node id does not fit (53400) or can''t be derived (F0000), on a standby (25006)';

CREATE FUNCTION flake_next_id(generator text) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL SAFE SUPPORT flake_copy_support AS 'MODULE_PATHNAME', 'flake_next_id_of';
COMMENT ON FUNCTION flake_next_id(text) IS
'next id of the named generator; errors as flake_next_id(), and: generator does not exist (42704)';

CREATE FUNCTION flake_next_ids(count bigint) RETURNS SETOF bigint
LANGUAGE c VOLATILE STRICT PARALLEL SAFE ROWS 1000 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_next_ids(bigint) IS
'next ids of generator "default", count of them, increasing; errors as flake_next_id(), and: count below 0 (22023)';

CREATE FUNCTION flake_next_ids(count bigint, generator text) RETURNS SETOF bigint
LANGUAGE c VOLATILE STRICT PARALLEL SAFE ROWS 1000 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_next_ids(bigint, text) IS
'next ids of the named generator, count of them, increasing; errors as flake_next_ids(count), and: generator does not exist (42704)';

CREATE FUNCTION flake_reserve(count bigint, OUT first_id bigint, OUT last_id bigint, OUT step bigint) RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_reserve(bigint) IS
'ranges of ids of generator "default", together count ids, for the caller to give out: first_id, first_id + step, ... last_id; one row if count is at most what the sequence field holds (256 in the default layout), else rows that fill it; a range never leaves its tick, node and slot; errors as flake_next_ids(count)';

CREATE FUNCTION flake_reserve(count bigint, generator text, OUT first_id bigint, OUT last_id bigint, OUT step bigint) RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_reserve(bigint, text) IS
'ranges of ids of the named generator, as flake_reserve(count); errors also: generator does not exist (42704)';

CREATE FUNCTION flake_last_id() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_last_id() IS
'id that this process gave out last; error if there is none (55000)';

CREATE FUNCTION flake_last_id(generator text) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'flake_last_id_of';
COMMENT ON FUNCTION flake_last_id(text) IS
'id that this process gave out last by the named generator; errors: there is none (55000), generator does not exist (42704)';

CREATE FUNCTION flake_prefixed(prefix text, pos integer DEFAULT 0, encoding text DEFAULT 'digits', generator text DEFAULT 'default') RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL SAFE SUPPORT flake_copy_support AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_prefixed(text, integer, text, text) IS
'new id as a text with prefix before position pos of its digits, 0 (in front) to their number (at the end); errors as flake_next_id(), and: pos out of range or unknown encoding (22023), no id is used up';

/*
 * What COPY calls instead; src/sql_copy.c says why STABLE does no harm there, and
 * what the cost is for.
 */

CREATE FUNCTION flake_next_id_in_copy(internal) RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'flake_next_id';
COMMENT ON FUNCTION flake_next_id_in_copy(internal) IS
'flake_next_id() as the default of a column that COPY fills; not for queries';

CREATE FUNCTION flake_next_id_in_copy(text, internal) RETURNS bigint
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'flake_next_id_of';
COMMENT ON FUNCTION flake_next_id_in_copy(text, internal) IS
'flake_next_id(generator) as the default of a column that COPY fills; not for queries';

CREATE FUNCTION flake_prefixed_in_copy(text, integer, text, text, internal) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'flake_prefixed';
COMMENT ON FUNCTION flake_prefixed_in_copy(text, integer, text, text, internal) IS
'flake_prefixed() as the default of a column that COPY fills; not for queries';

/*
 * This server
 */

CREATE FUNCTION flake_node(OUT node_id integer, OUT source text) RETURNS record
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'flake_node_sql';
COMMENT ON FUNCTION flake_node() IS
'node id in force for generator "default", and where it comes from: setting, hostname, address, or system identifier; errors: does not fit the layout (53400), can''t be read or derived (F0000)';

CREATE FUNCTION flake_accept_clock() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_accept_clock() IS
'take the clock as it is for the true time, after ids were refused because it jumped forward by more than flake.max_clock_jump';
REVOKE ALL ON FUNCTION flake_accept_clock() FROM PUBLIC;

CREATE FUNCTION flake_reset_clock() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_reset_clock() IS
'bring back to the clock what is refused because it is further ahead than flake.max_clock_lead: slots of the server, mark of this database; set the clock right, then change flake.node_id and reload, because ids from the future are stored somewhere and would come again; run it in each database';
REVOKE ALL ON FUNCTION flake_reset_clock() FROM PUBLIC;

/*
 * Looking inside
 */

CREATE FUNCTION flake_layout_state(layout flake_layout,
	OUT node_id integer, OUT node_source text, OUT node_fits boolean,
	OUT ids_taken bigint, OUT last_id bigint, OUT last_time timestamptz,
	OUT ahead interval, OUT waits bigint, OUT wait_time interval,
	OUT slots_used_up bigint) RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_layout_state(flake_layout) IS
'what this server did with a layout since it started, see view flake_generators';

CREATE FUNCTION flake_mark_state(OUT mark timestamptz, OUT start_mark timestamptz,
	OUT mark_moves bigint, OUT clock_steps bigint) RETURNS record
LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_mark_state() IS
'this database''s durable mark and the clock steps seen since the server started, see view flake_generators';

CREATE FUNCTION flake_kernel_clock(OUT synchronized boolean, OUT estimated_error interval) RETURNS record
LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION flake_kernel_clock() IS
'what the kernel says of its clock: whether something keeps it right, and how far off it may be; NULL where it does not say';

CREATE VIEW flake_generators AS
SELECT g.name AS generator, g.layout, s.node_id, s.node_source, s.ids_taken,
	s.last_id, s.last_time, s.ahead, s.waits, s.wait_time, s.slots_used_up,
	m.clock_steps, m.mark, m.start_mark, m.mark_moves
FROM (SELECT name, layout FROM flake_generator
	UNION ALL
	SELECT 'default', flake_generator_layout('default')
	WHERE NOT EXISTS (SELECT FROM flake_generator WHERE name = 'default')) AS g,
	LATERAL flake_layout_state(g.layout) AS s,
	flake_mark_state() AS m;
COMMENT ON VIEW flake_generators IS
'generators and what they did since the server started; ids_taken to slots_used_up are of all generators of the layout in all databases, mark and start_mark of this database';
COMMENT ON COLUMN flake_generators.node_id IS 'node id in force; NULL if it does not fit the layout';
COMMENT ON COLUMN flake_generators.node_source IS 'where it comes from: setting, hostname, address, or system identifier';
COMMENT ON COLUMN flake_generators.ids_taken IS 'ids taken from the slots; what a session holds in its range counts';
COMMENT ON COLUMN flake_generators.last_id IS 'latest id taken, under the node id now in force';
COMMENT ON COLUMN flake_generators.last_time IS 'its time';
COMMENT ON COLUMN flake_generators.ahead IS 'how far that is ahead of the clock; 0 if it is not';
COMMENT ON COLUMN flake_generators.waits IS 'how often a session waited for the next tick';
COMMENT ON COLUMN flake_generators.wait_time IS 'how long sessions waited, together';
COMMENT ON COLUMN flake_generators.slots_used_up IS 'how often a slot gave all its numbers of a tick';
COMMENT ON COLUMN flake_generators.clock_steps IS 'steps of the clock by a second or more that were noticed';
COMMENT ON COLUMN flake_generators.mark IS 'durable mark: no id of this database is later';
COMMENT ON COLUMN flake_generators.start_mark IS 'mark found at the start: ids of this database began after it';
COMMENT ON COLUMN flake_generators.mark_moves IS 'how often the mark was written';

-- Bound when it is created, so every function and every operator between
-- types of its own is pg_catalog's: somebody else's in the extension's schema
-- must not fit better.
CREATE FUNCTION flake_check(OUT severity text, OUT what text, OUT why text, OUT what_to_do text) RETURNS SETOF record
LANGUAGE sql VOLATILE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH generators AS (
		SELECT g.name, g.layout, s.node_id, s.node_source, s.node_fits, s.last_time, s.ahead
		FROM (SELECT name, layout FROM flake_generator
			UNION ALL
			SELECT 'default', flake_generator_layout('default')
			WHERE NOT EXISTS (SELECT FROM flake_generator WHERE name = 'default')) AS g,
			LATERAL flake_layout_state(g.layout) AS s)
	SELECT 'error', pg_catalog.format('node id does not fit the layout of generator "%s"', name),
		'It can make no ids.',
		'Set flake.node_id to a smaller number, or use a layout with more node bits.'
	FROM generators WHERE NOT node_fits
	UNION ALL
	SELECT 'error', pg_catalog.format('sequence flake_mark is %s', CASE relpersistence WHEN 'u' THEN 'unlogged' ELSE 'temporary' END),
		'Without a durable mark ids could repeat after a crash, so none are made.',
		'ALTER SEQUENCE flake_mark SET LOGGED'
	FROM pg_catalog.pg_class WHERE oid = 'flake_mark'::pg_catalog.regclass::pg_catalog.oid AND relpersistence <> 'p'
	UNION ALL
	SELECT 'error', 'the durable mark is behind what was issued',
		'Somebody has set flake_mark back; after a crash ids could repeat.',
		'Make an id in this database: that mends the mark.'
	FROM flake_mark_state() AS m, flake_mark AS f
	WHERE f.last_value < pg_catalog.int8(pg_catalog.date_part('epoch', m.mark) * 1000000::pg_catalog.float8) - 1::pg_catalog.int8
	UNION ALL
	SELECT 'error', pg_catalog.format('column "%s" of table %s is of type %s, but its default makes ids', a.attname, a.attrelid::pg_catalog.regclass, pg_catalog.format_type(a.atttypid, NULL)),
		CASE WHEN a.atttypid IN ('real'::pg_catalog.regtype::pg_catalog.oid, 'double precision'::pg_catalog.regtype::pg_catalog.oid)
			THEN 'Ids are 64-bit numbers; this type rounds them, so different ones become equal.'
			ELSE 'Ids are 64-bit numbers; inserts that use the default fail.' END,
		'Change the column''s type to bigint.'
	FROM pg_catalog.pg_attrdef AS d
	JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
	WHERE a.atttypid IN ('smallint'::pg_catalog.regtype::pg_catalog.oid, 'integer'::pg_catalog.regtype::pg_catalog.oid, 'real'::pg_catalog.regtype::pg_catalog.oid, 'double precision'::pg_catalog.regtype::pg_catalog.oid)
		AND EXISTS (SELECT FROM pg_catalog.pg_depend AS p
			WHERE p.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass::pg_catalog.oid AND p.objid = d.oid
				AND p.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid
				AND p.refobjid IN ('flake_next_id()'::pg_catalog.regprocedure::pg_catalog.oid, 'flake_next_id(text)'::pg_catalog.regprocedure::pg_catalog.oid))
	UNION ALL
	SELECT 'warning', pg_catalog.format('node id %s is derived from the system identifier, but this server takes part in logical replication', n.node_id),
		'Another server that writes may have the same node id, and then the same ids.',
		'Set flake.node_id to a number that no other server has.'
	FROM flake_node() AS n
	WHERE n.source = 'system identifier'
		AND (EXISTS (SELECT oid FROM pg_catalog.pg_subscription)
			OR EXISTS (SELECT FROM pg_catalog.pg_publication)
			OR EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_type = 'logical'))
	UNION ALL
	SELECT 'warning', pg_catalog.format('ids of generator "%s" are %s seconds ahead of the clock', name, pg_catalog.round(pg_catalog.date_part('epoch', ahead)::pg_catalog.numeric, 3)),
		'The clock was set back, or was ahead when ids were made; their times are not the true ones.',
		'Set the clock right, or wait for it; if it was wrong before and is right now, see flake_reset_clock().'
	FROM generators WHERE ahead > interval '1.5 seconds'
	UNION ALL
	SELECT 'warning', pg_catalog.format('generator "%s" comes to its end on %s', g.name, pg_catalog.to_char(i.last_timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD')),
		'Its layout has no time after that; no ids are made then.',
		'Plan a change to a layout with a later epoch or more bits of time.'
	FROM generators AS g, LATERAL flake_layout_info(g.layout) AS i
	WHERE i.last_timestamp < pg_catalog.now() + interval '10 years'
	UNION ALL
	SELECT 'warning', 'the clock is not synchronized',
		'The kernel says that nothing keeps it right; ids have the time of this clock.',
		'Run a time service such as chrony, ntpd or systemd-timesyncd.'
	FROM flake_kernel_clock() AS k WHERE NOT k.synchronized
	UNION ALL
	SELECT 'warning', pg_catalog.format('the clock may be wrong by %s seconds', pg_catalog.round(pg_catalog.date_part('epoch', k.estimated_error)::pg_catalog.numeric, 3)),
		'Ids of several servers are ordered by their clocks.',
		'Look at the time service of this machine.'
	FROM flake_kernel_clock() AS k WHERE k.estimated_error > interval '100 milliseconds' AND k.synchronized;
END;
COMMENT ON FUNCTION flake_check() IS
'things that deserve attention, one row each: severity (error, warning), what, why it matters, what to do; no rows: nothing found';

REVOKE ALL ON FUNCTION flake_layout_state(flake_layout), flake_mark_state(), flake_kernel_clock(), flake_check() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION flake_layout_state(flake_layout), flake_mark_state(), flake_kernel_clock(), flake_check() TO pg_monitor, pg_database_owner;
GRANT SELECT ON flake_generators TO pg_monitor, pg_database_owner;
