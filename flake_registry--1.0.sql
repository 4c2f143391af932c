/*
 * flake_registry 1.0; see doc/leases.md and src/sql/registry.c
 *
 * An extension of its own, so that only the database of a registry has its tables.
 *
 * While this script runs, search_path contains only pg_catalog, so names there
 * need no schema.
 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION flake_registry" to load this file. \quit

/*----------
 * Tables
 *
 * Times are in microseconds since 1970.
 *----------
 */

-- Renewals are HOT updates: they change no indexed column, and the fillfactor
-- leaves room in each page.
CREATE TABLE flake.node (
	node_id integer PRIMARY KEY,
	reserved boolean NOT NULL DEFAULT false,
	dropped boolean NOT NULL DEFAULT false,
	lease uuid,
	previous_lease uuid,
	holder text,
	valid_from bigint,
	used_until bigint NOT NULL,
	clock_offset bigint,
	address inet,
	CHECK (lease IS NULL OR valid_from < used_until AND NOT reserved AND NOT dropped)
) WITH (fillfactor = 50);
COMMENT ON TABLE flake.node IS
	'node ids of this registry; written by its functions only, read through flake.nodes';
COMMENT ON COLUMN flake.node.node_id IS 'node id';
COMMENT ON COLUMN flake.node.reserved IS 'given out by hand, never leased';
COMMENT ON COLUMN flake.node.dropped IS 'no longer in the registry, but kept for its used_until';
COMMENT ON COLUMN flake.node.lease IS 'name of the lease';
COMMENT ON COLUMN flake.node.previous_lease IS
	'name of the lease before its last renewal or its release';
COMMENT ON COLUMN flake.node.holder IS 'holder of the lease, or of the last one';
COMMENT ON COLUMN flake.node.valid_from IS 'start of the last lease';
COMMENT ON COLUMN flake.node.used_until IS
	'end of all leases so far; the next one starts then or later';
COMMENT ON COLUMN flake.node.clock_offset IS
	'how far the holder''s clock was ahead of the registry''s';
COMMENT ON COLUMN flake.node.address IS
	'client address of the last claim or renewal; NULL for a Unix-domain socket';

-- One row, which the first call of flake_create_nodes() inserts.
CREATE TABLE flake.node_registry (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	max_lease interval NOT NULL DEFAULT '1 hour'
		CHECK (max_lease BETWEEN '1 second' AND '30 days'),
	max_clock_offset interval NOT NULL DEFAULT '60 seconds'
		CHECK (max_clock_offset BETWEEN '1 second' AND '1 day'),
	grace interval NOT NULL DEFAULT '10 seconds'
		CHECK (grace BETWEEN '0' AND '1 day'),
	gap interval NOT NULL DEFAULT '1 hour'
		CHECK (gap BETWEEN '1 second' AND '30 days'),
	fsync_off boolean NOT NULL DEFAULT false,
	claims_from bigint,
	system_identifier bigint,
	timeline bigint,
	database oid,
	control_inode bigint,
	control_born bigint,
	CHECK (max_lease <= gap)
);
COMMENT ON TABLE flake.node_registry IS
	'rules of this registry, which a superuser may change, and its server';
COMMENT ON COLUMN flake.node_registry.only_row IS 'true';
COMMENT ON COLUMN flake.node_registry.max_lease IS
	'how far ahead of the registry''s clock a lease may end';
COMMENT ON COLUMN flake.node_registry.max_clock_offset IS
	'how far the clock of a claimer may differ from the registry''s';
COMMENT ON COLUMN flake.node_registry.grace IS
	'how long after its end a lease is left to its holder';
COMMENT ON COLUMN flake.node_registry.gap IS
	'how long leases unknown to this registry can last: the longest max_lease ever used';
COMMENT ON COLUMN flake.node_registry.fsync_off IS
	'lease even if fsync is off; only for tests, as node ids could be leased twice after a crash';
COMMENT ON COLUMN flake.node_registry.claims_from IS 'nothing is leased before; NULL: no limit';
COMMENT ON COLUMN flake.node_registry.system_identifier IS
	'of the server that the registry was set up or accepted on; NULL: not accepted';
COMMENT ON COLUMN flake.node_registry.timeline IS 'of that server, at that time';
COMMENT ON COLUMN flake.node_registry.database IS 'OID of the database';
COMMENT ON COLUMN flake.node_registry.control_inode IS 'inode of the file global/pg_control';
COMMENT ON COLUMN flake.node_registry.control_born IS 'creation time of that file; 0 if not known';

-- A dump contains the rules, by which a restored registry knows that it is not
-- new, but no leases.
SELECT pg_extension_config_dump('flake.node_registry', '');

CREATE FUNCTION flake.registry_guard()
	RETURNS trigger
	AS 'MODULE_PATHNAME', 'flake_registry_guard' LANGUAGE C;
COMMENT ON FUNCTION flake.registry_guard() IS
	'trigger that lets only functions of the registry write its tables';

CREATE TRIGGER guard
	BEFORE INSERT OR UPDATE OR DELETE ON flake.node
	FOR EACH ROW EXECUTE FUNCTION flake.registry_guard();
CREATE TRIGGER guard_truncate
	BEFORE TRUNCATE ON flake.node
	FOR EACH STATEMENT EXECUTE FUNCTION flake.registry_guard();
CREATE TRIGGER guard
	BEFORE INSERT OR DELETE OR UPDATE OF only_row, claims_from, system_identifier,
		timeline, database, control_inode, control_born ON flake.node_registry
	FOR EACH ROW EXECUTE FUNCTION flake.registry_guard();
CREATE TRIGGER guard_truncate
	BEFORE TRUNCATE ON flake.node_registry
	FOR EACH STATEMENT EXECUTE FUNCTION flake.registry_guard();
COMMENT ON TRIGGER guard ON flake.node IS 'allows only functions of the registry to write';
COMMENT ON TRIGGER guard_truncate ON flake.node IS 'refuses TRUNCATE';
COMMENT ON TRIGGER guard ON flake.node_registry IS
	'allows only functions of the registry to write, except for the rules';
COMMENT ON TRIGGER guard_truncate ON flake.node_registry IS 'refuses TRUNCATE';

-- for changes by logical replication, too
ALTER TABLE flake.node ENABLE ALWAYS TRIGGER guard, ENABLE ALWAYS TRIGGER guard_truncate;
ALTER TABLE flake.node_registry ENABLE ALWAYS TRIGGER guard, ENABLE ALWAYS TRIGGER guard_truncate;

/*----------
 * Node ids
 *
 * The functions run with the privileges of the owner of the tables.
 *----------
 */

CREATE FUNCTION flake_create_nodes(first integer, last integer,
	never_used boolean DEFAULT false)
	RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s';
COMMENT ON FUNCTION flake_create_nodes(integer, integer, boolean) IS
	'add node ids to this registry; unless never used, they are leased after the gap';

CREATE FUNCTION flake_drop_nodes(first integer, last integer)
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s';
COMMENT ON FUNCTION flake_drop_nodes(integer, integer) IS
	'remove node ids; returns until when they may be in use, in microseconds since 1970';

CREATE FUNCTION flake_reserve_node(node integer)
	RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s';
COMMENT ON FUNCTION flake_reserve_node(integer) IS
	'keep a node id from being leased; error if it may be in use';

CREATE FUNCTION flake_accept_registry()
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s';
COMMENT ON FUNCTION flake_accept_registry() IS
	'accept this copy as the registry; returns when leases start, in microseconds since 1970';

/*----------
 * Leases
 *----------
 */

CREATE FUNCTION flake_lease_node(holder text, lease uuid, now bigint, until bigint,
	OUT node_id integer, OUT valid_from bigint, OUT valid_until bigint)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s';
COMMENT ON FUNCTION flake_lease_node(text, uuid, bigint, bigint) IS
	'lease a node id for ids with times from valid_from to before valid_until';

CREATE FUNCTION flake_renew_node(node integer, lease uuid, next_lease uuid, now bigint,
	until bigint)
	RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s';
COMMENT ON FUNCTION flake_renew_node(integer, uuid, uuid, bigint, bigint) IS
	'renew a lease, with a new name; returns its end, in microseconds since 1970';

CREATE FUNCTION flake_release_node(node integer, lease uuid, last_id_time bigint)
	RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s';
COMMENT ON FUNCTION flake_release_node(integer, uuid, bigint) IS
	'release a node id whose ids have times up to last_id_time, or 0 if none was made';

/*----------
 * Reports
 *----------
 */

CREATE VIEW flake.nodes AS
	SELECT node_id,
		CASE WHEN reserved THEN 'reserved'
			WHEN lease IS NULL THEN 'free'
			WHEN used_until > extract(epoch FROM clock_timestamp()) * 1000000 THEN 'held'
			ELSE 'lapsed' END AS state,
		CASE WHEN lease IS NOT NULL THEN holder END AS holder,
		timestamptz 'epoch' + valid_from * interval '1 microsecond' AS valid_from,
		timestamptz 'epoch' + used_until * interval '1 microsecond' AS used_until,
		CASE WHEN lease IS NOT NULL THEN clock_offset * interval '1 microsecond' END AS clock_offset,
		CASE WHEN lease IS NOT NULL THEN address END AS address
	FROM flake.node
	WHERE NOT dropped;
COMMENT ON VIEW flake.nodes IS 'node ids of this registry and their holders';
COMMENT ON COLUMN flake.nodes.node_id IS 'node id';
COMMENT ON COLUMN flake.nodes.state IS
	'free, held, lapsed (not renewed by its holder), or reserved';
COMMENT ON COLUMN flake.nodes.holder IS 'name that the holder gave';
COMMENT ON COLUMN flake.nodes.valid_from IS 'start of the lease, or of the last one';
COMMENT ON COLUMN flake.nodes.used_until IS 'end of the lease; the next one starts then or later';
COMMENT ON COLUMN flake.nodes.clock_offset IS 'how far the holder''s clock was ahead of the registry''s';
COMMENT ON COLUMN flake.nodes.address IS
	'client address of the last claim or renewal; NULL for a Unix-domain socket';

CREATE FUNCTION flake.registry_state(OUT problem text, OUT detail text, OUT hint text)
	AS 'MODULE_PATHNAME', 'flake_registry_state' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION flake.registry_state() IS 'why this registry does not answer; NULL if it does';

-- called by flake.registry_findings() of extension flake
CREATE FUNCTION flake.check_registry(OUT severity text, OUT what text, OUT why text,
	OUT what_to_do text)
	RETURNS SETOF record
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH nodes AS MATERIALIZED (
		SELECT * FROM flake.nodes
	),
	counts AS (
		SELECT count(*) AS leasable, count(*) FILTER (WHERE state = 'held') AS held
		FROM nodes
		WHERE state <> 'reserved'
	)
	SELECT 'error', s.problem, s.detail, s.hint
	FROM flake.registry_state() AS s
	WHERE s.problem IS NOT NULL
	UNION ALL
	SELECT 'error', format('table %s is unlogged', c.oid::regclass),
		'After a crash leases could be granted again, so none are.',
		format('ALTER TABLE %s SET LOGGED', c.oid::regclass)
	FROM pg_class AS c
	WHERE c.oid IN ('flake.node'::regclass, 'flake.node_registry'::regclass)
		AND c.relpersistence = 'u'
	UNION ALL
	SELECT 'error',
		format('trigger %I of table %s does not fire always', t.tgname, t.tgrelid::regclass),
		'Others could change what was leased to whom.',
		format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.tgrelid::regclass, t.tgname)
	FROM pg_trigger AS t
	WHERE t.tgfoid = 'flake.registry_guard()'::regprocedure AND t.tgenabled <> 'A'
	UNION ALL
	SELECT DISTINCT 'warning', format('%s has rights on table %s', g.grantee, c.oid::regclass),
		'Who can read it knows the leases of others and can release them.',
		format('REVOKE ALL ON %s FROM %s', c.oid::regclass, g.grantee)
	FROM pg_class AS c, aclexplode(c.relacl) AS a,
		LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC'
			ELSE a.grantee::regrole::text END) AS g (grantee)
	WHERE c.oid = 'flake.node'::regclass AND a.grantee <> c.relowner
	UNION ALL
	SELECT 'warning',
		format('no node ids are leased until %s',
			timestamptz 'epoch' + r.claims_from * interval '1 microsecond'),
		'The registry was accepted by flake_accept_registry(), and leases that are missing in it '
			'may go on until then.',
		'Reserve and drop again, by then, the node ids that were reserved and dropped after this '
			'copy was made.'
	FROM flake.node_registry AS r
	WHERE r.claims_from > extract(epoch FROM clock_timestamp()) * 1000000
	UNION ALL
	SELECT CASE WHEN c.held = c.leasable THEN 'error' ELSE 'warning' END,
		format('%s of %s node ids are held', c.held, c.leasable),
		'When all are, who asks for one is refused.',
		'Add node ids with flake_create_nodes(), or see in flake.nodes who holds several.'
	FROM counts AS c
	WHERE c.held > 0.9 * c.leasable
	UNION ALL
	SELECT 'warning', format('holder "%s" holds %s node ids', n.holder, count(*)),
		'It may be crashing and starting again and again, or several have the same name.',
		'Look at its log; give each holder a name of its own.'
	FROM nodes AS n
	WHERE n.state = 'held'
	GROUP BY n.holder
	HAVING count(*) >= 4;
END;
COMMENT ON FUNCTION flake.check_registry() IS 'problems of this registry, for flake_check';

/*----------
 * Privileges
 *
 * None to begin with, even if ALTER DEFAULT PRIVILEGES grants some.
 *----------
 */

CREATE FUNCTION flake.registry_close()
	RETURNS void
	AS 'MODULE_PATHNAME', 'flake_registry_close' LANGUAGE C VOLATILE;
SELECT flake.registry_close();
DROP FUNCTION flake.registry_close();

GRANT SELECT ON flake.node_registry TO PUBLIC;
GRANT EXECUTE ON FUNCTION flake.registry_state(), flake.check_registry()
	TO pg_monitor, pg_database_owner;
GRANT SELECT ON flake.nodes TO pg_monitor, pg_database_owner;
