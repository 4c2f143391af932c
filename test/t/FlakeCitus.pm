# A stand-in for Citus on servers without it: the two tables that flake reads, and functions that
# the examples of doc/citus.md call.
package FlakeCitus;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';

our @EXPORT = qw(CITUS_INSTALL CITUS_DROP CITUS_FUNCTIONS);

# As after CREATE EXTENSION citus: group 0, and no node.  The triggers announce changes as those of
# Citus do, by an invalidation of the relation alone: that is what a change of one of its columns'
# rows in the catalog sends.
use constant CITUS_INSTALL => <<'SQL';
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_node (
	nodeid integer PRIMARY KEY,
	groupid integer NOT NULL,
	nodename text NOT NULL,
	nodeport integer NOT NULL DEFAULT 5432,
	isactive boolean NOT NULL DEFAULT true,
	noderole text NOT NULL DEFAULT 'primary'
);
CREATE TABLE pg_catalog.pg_dist_local_group (groupid integer NOT NULL PRIMARY KEY);
INSERT INTO pg_catalog.pg_dist_local_group VALUES (0);

CREATE FUNCTION pg_catalog.dist_cache_invalidate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL allow_system_table_mods = on;
	UPDATE pg_attribute SET attstattarget = attstattarget WHERE attrelid = TG_RELID AND attnum = 1;
	RETURN NULL;
END $$;
CREATE TRIGGER dist_node_cache_invalidate AFTER INSERT OR UPDATE OR DELETE
	ON pg_catalog.pg_dist_node FOR EACH ROW EXECUTE FUNCTION pg_catalog.dist_cache_invalidate();
CREATE TRIGGER dist_local_group_cache_invalidate AFTER UPDATE
	ON pg_catalog.pg_dist_local_group FOR EACH ROW EXECUTE FUNCTION pg_catalog.dist_cache_invalidate();
RESET allow_system_table_mods;
SQL

# They do nothing.
use constant CITUS_FUNCTIONS => <<'SQL';
CREATE FUNCTION create_distributed_table(regclass, text) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION create_reference_table(regclass) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION undistribute_table(regclass) RETURNS void LANGUAGE sql AS '';
SQL

use constant CITUS_DROP => <<'SQL';
SET allow_system_table_mods = on;
DROP TABLE IF EXISTS pg_catalog.pg_dist_node, pg_catalog.pg_dist_local_group;
DROP FUNCTION IF EXISTS pg_catalog.dist_cache_invalidate();
RESET allow_system_table_mods;
SQL

1;
