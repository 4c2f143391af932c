# shellcheck shell=bash disable=SC2034,SC2154
# A throwaway server with database "bench", for test/bench/run and test/bench/registry.

# What decides the price of a row, such as fsync, synchronous_commit and full_page_writes, is
# left at PostgreSQL's default.
server_settings()
{
    cat <<'CONF'
shared_buffers = 1GB
checkpoint_timeout = 1h
min_wal_size = 4GB
max_wal_size = 16GB
autovacuum = off
jit = off
max_parallel_workers_per_gather = 0
CONF
}

start_server() { new_server "$WORK/server" "$(server_settings)"$'\n'"flake.node_id = '1'"; }

create_database()
{
    as_tester "$PG_BINDIR/createdb" -h "$WORK/server" bench && sql -c "CREATE EXTENSION flake"
}

# sql PSQL-OPTION...
sql() { as_tester "$PG_BINDIR/psql" -X -q -At -v ON_ERROR_STOP=1 -h "$WORK/server" -d bench "$@"; }

calculate() { awk "BEGIN { printf \"%.${2:-2}f\", $1 }"; }
