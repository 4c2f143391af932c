--
-- What the catalogs say about the objects of both extensions: what a function
-- promises, how the planner may use an operator, who may do what, and what a dump
-- contains.  The defaults are not shown.
--
SET intervalstyle = postgres;
CREATE EXTENSION flake;
CREATE EXTENSION flake_registry;
CREATE VIEW member AS
SELECT e.extname, d.classid, d.objid, d.objsubid, e.extowner
FROM pg_depend AS d JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE d.deptype = 'e' AND e.extname IN ('flake', 'flake_registry');
\pset format unaligned
\pset tuples_only on

-- the extensions themselves
SELECT name, schema, relocatable, superuser, trusted, requires
FROM pg_available_extension_versions WHERE name IN ('flake', 'flake_registry') ORDER BY name;
SELECT extname, unnest(extconfig)::regclass, unnest(extcondition) FROM pg_extension ORDER BY extname;

-- functions
SELECT concat_ws(' ', p.oid::regprocedure,
	CASE WHEN l.lanname <> 'c' THEN l.lanname END,
	CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
	CASE WHEN p.proisstrict THEN 'strict' END,
	CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END,
	CASE WHEN p.proleakproof THEN 'leakproof' END,
	CASE WHEN p.procost <> 1 THEN 'cost ' || p.procost END,
	CASE WHEN p.proretset THEN 'rows ' || p.prorows END,
	'support ' || nullif(p.prosupport, 0)::regproc,
	CASE WHEN p.prosecdef THEN 'definer' END,
	array_to_string(p.proconfig, '; '))
FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid JOIN pg_language AS l ON l.oid = p.prolang
ORDER BY m.extname, p.oid::regprocedure::text COLLATE "C";
SELECT p.oid::regproc, pg_get_function_arguments(p.oid), '->', pg_get_function_result(p.oid)
FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
WHERE p.proname !~ '^flake_layout_([^i]|in$)' ORDER BY m.extname, p.oid::regprocedure::text COLLATE "C";

-- who may do what; a function is for everybody where nothing is said
SELECT object, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
	string_agg(privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END, ' ' ORDER BY privilege_type COLLATE "C")
FROM (
	SELECT 'schema ' || nspname, nspowner, coalesce(nspacl, acldefault('n', nspowner))
	FROM pg_namespace JOIN member AS m ON m.classid = 'pg_namespace'::regclass AND m.objid = oid
	UNION ALL
	SELECT CASE relkind WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view ' ELSE 'table ' END || oid::regclass, relowner,
		coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
	FROM pg_class JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = oid
	UNION ALL
	SELECT 'type ' || oid::regtype, typowner, coalesce(typacl, acldefault('T', typowner))
	FROM pg_type JOIN member AS m ON m.classid = 'pg_type'::regclass AND m.objid = oid WHERE typtype = 'b' AND typelem = 0
) AS o (object, owner, acl), aclexplode(acl)
WHERE grantee <> owner GROUP BY object, grantee ORDER BY object COLLATE "C", grantee;
SELECT p.oid::regprocedure, coalesce(g.grantees, 'nobody else')
FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid,
	LATERAL (SELECT string_agg(CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, ', ' ORDER BY grantee) AS grantees
		FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) WHERE grantee <> p.proowner) AS g
WHERE g.grantees IS DISTINCT FROM 'PUBLIC' ORDER BY m.extname, p.oid::regprocedure::text COLLATE "C";

-- the type, its casts, operators and operator classes
SELECT typlen, typbyval, typtype, typcategory, typispreferred, typdelim, typalign, typstorage, typcollation,
	typinput, typoutput, typreceive, typsend, typmodin, typmodout, typanalyze, typsubscript
FROM pg_type WHERE oid = 'flake_layout'::regtype;
SELECT castsource::regtype, casttarget::regtype, castcontext, castmethod
FROM pg_cast AS c JOIN member AS m ON m.classid = 'pg_cast'::regclass AND m.objid = c.oid ORDER BY 1, 2;
SELECT o.oid::regoperator, oprcode, oprcom::regoperator, oprnegate::regoperator, oprrest, oprjoin,
	CASE WHEN oprcanhash THEN 'hashes' END, CASE WHEN oprcanmerge THEN 'merges' END
FROM pg_operator AS o JOIN member AS m ON m.classid = 'pg_operator'::regclass AND m.objid = o.oid ORDER BY oprcode::text COLLATE "C";
SELECT amname, opcname, opcdefault, opckeytype::regtype, amvalidate(c.oid), (
		SELECT string_agg(amopstrategy || ' ' || amopopr::regoperator, ', ' ORDER BY amopstrategy) FROM pg_amop WHERE amopfamily = opcfamily
	), (
		SELECT string_agg(amprocnum || ' ' || amproc, ', ' ORDER BY amprocnum) FROM pg_amproc WHERE amprocfamily = opcfamily)
FROM pg_opclass AS c JOIN pg_am AS a ON a.oid = opcmethod JOIN member AS m ON m.classid = 'pg_opclass'::regclass AND m.objid = c.oid ORDER BY amname;

-- what is kept, and the views
SELECT seqrelid::regclass, seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle, relpersistence
FROM pg_sequence AS s JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = seqrelid JOIN pg_class AS c ON c.oid = seqrelid;
SELECT c.oid::regclass, relkind, relpersistence, relrowsecurity, reloptions
FROM pg_class AS c JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
WHERE relkind <> 'S' ORDER BY c.oid::regclass::text COLLATE "C";
SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'not null' END, pg_get_expr(adbin, adrelid)
FROM pg_attribute AS a JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = attrelid
LEFT JOIN pg_attrdef AS d ON adrelid = attrelid AND adnum = attnum
WHERE attnum > 0 AND attrelid <> 'flake.mark'::regclass ORDER BY attrelid::regclass::text COLLATE "C", attnum;
SELECT conrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'flake'::regnamespace AND contype <> 'n' ORDER BY conrelid::regclass::text COLLATE "C", pg_get_constraintdef(oid) COLLATE "C";
SELECT tgenabled, pg_get_triggerdef(t.oid) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = tgrelid
WHERE relnamespace = 'flake'::regnamespace AND NOT tgisinternal ORDER BY pg_get_triggerdef(t.oid) COLLATE "C";

-- everything that is seen by \d and its like has a comment; these do not
SELECT pg_describe_object(classid, objid, objsubid) FROM member
WHERE classid IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_operator'::regclass, 'pg_namespace'::regclass)
	AND obj_description(objid, classid::regclass::name) IS NULL
UNION ALL
SELECT format('column %s of %s', attname, attrelid::regclass)
FROM pg_attribute JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = attrelid
WHERE attnum > 0 AND attrelid <> 'flake.mark'::regclass AND col_description(attrelid, attnum) IS NULL
UNION ALL
SELECT format('trigger %s of %s', tgname, tgrelid::regclass) FROM pg_trigger AS t JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = tgrelid
WHERE NOT tgisinternal AND obj_description(t.oid, 'pg_trigger') IS NULL
UNION ALL
SELECT 'type flake_layout' WHERE obj_description('flake_layout'::regtype, 'pg_type') IS NULL;

\pset format aligned
\pset tuples_only off
DROP VIEW member;
DROP EXTENSION flake_registry;
DROP EXTENSION flake;
