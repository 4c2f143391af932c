-- The functions of the benchmark's module; :module is its file.

CREATE FUNCTION bench_constant() RETURNS bigint
	AS :'module' LANGUAGE C VOLATILE PARALLEL SAFE;

CREATE FUNCTION bench_clock() RETURNS bigint
	AS :'module' LANGUAGE C VOLATILE PARALLEL SAFE;

CREATE FUNCTION bench_latency(function regprocedure, argument text, calls bigint, gap_us bigint,
	OUT p50 bigint, OUT p99 bigint, OUT p999 bigint, OUT max bigint, OUT mean bigint)
	AS :'module' LANGUAGE C VOLATILE;
