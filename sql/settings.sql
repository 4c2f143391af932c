--
-- The settings: their bounds, who may change them, and who may see them.
--
-- What they do needs a server that is reloaded: test/t.
--
CREATE EXTENSION flake;
LOAD 'flake';
SELECT name, vartype, unit, boot_val, min_val, max_val, context
FROM pg_settings WHERE name LIKE 'flake.%' ORDER BY name COLLATE "C";

\set VERBOSITY sqlstate
-- a session changes none, nor makes new ones
SET flake.node_id = '2';
SET flake.max_clock_lead = '1s';
SET flake.max_clock_jump = 0;
SET flake.registry = 'host=a';
SET flake.registry_2 = 'host=a';
SET flake.lease_time = '1h';
SET flake.node = '2';

-- values out of range
ALTER SYSTEM SET flake.max_clock_lead = -1;
ALTER SYSTEM SET flake.max_clock_jump = -1;
ALTER SYSTEM SET flake.lease_time = '29s';
ALTER SYSTEM SET flake.lease_time = '86401s';

-- where the registries are is for superusers
CREATE ROLE regress_flake_reader;
SET ROLE regress_flake_reader;
SHOW flake.node_id;
SHOW flake.registry;
SHOW flake.registry_2;
SELECT name FROM pg_settings WHERE name LIKE 'flake.%' ORDER BY name COLLATE "C";
RESET ROLE;
\set VERBOSITY default

DROP ROLE regress_flake_reader;
DROP EXTENSION flake;
