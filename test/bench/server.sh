# shellcheck shell=bash disable=SC2034,SC2154
# The benchmark's server and its stopwatches.  Part of test/bench/run.

# quietly COMMAND...: shows the command's output only if it fails.
quietly()
{
    "$@" >"$WORK/log" 2>&1 || {
        tail -n 40 "$WORK/log" >&2
        die "that failed: $*"
    }
}

require_space()
{
    local free
    free=$(df --output=avail -BG "$WORK" 2>/dev/null | tail -n 1 | tr -dc 0-9)
    [ -z "$free" ] || [ "$free" -ge "$GB_NEEDED" ] ||
        die "/tmp has $free GB free, and this needs $GB_NEEDED" "--quick needs less."
}

build_and_install()
{
    copy_tree "$WORK/build"
    build "$WORK/build" &&
        build "$WORK/build/test/bench/module" with_llvm=no &&
        install_built "$WORK/build"
}

# Nothing but what is measured shall happen: no checkpoint by time or size (they are asked for
# between measurements), no autovacuum.  What decides about the price of a row, such as
# full_page_writes, fsync and synchronous_commit, is PostgreSQL's default.
server_settings()
{
    cat <<CONF
shared_buffers = 1GB
checkpoint_timeout = 1h
min_wal_size = 4GB
max_wal_size = 16GB
autovacuum = off
jit = off
max_parallel_workers_per_gather = 0
CONF
}

start_server()
{
    mkdir "$WORK/server"
    give_to_tester "$WORK/server"
    cd "$WORK/server" || return 1
    as_tester "$PG_BINDIR/initdb" -D "$WORK/server/data" -A trust -E UTF8 --no-locale \
        --no-sync -U "$(tester)" &&
        {
            server_settings
            echo "listen_addresses = ''"
            echo "unix_socket_directories = '$WORK/server'"
            echo "flake.node_id = '1'"
        } | as_tester tee -a "$WORK/server/data/postgresql.conf" &&
        server_control start
}

server_control() { as_tester "$PG_BINDIR/pg_ctl" -D "$WORK/server/data" -l "$WORK/server/log" -w "$@"; }

# restart_server SERVER-OPTION...
restart_server() { server_control stop && server_control start -o "$*"; }

# sql PSQL-OPTION...
sql()
{
    as_tester "$PG_BINDIR/psql" -X -q -At -v ON_ERROR_STOP=1 -h "$WORK/server" -d bench "$@"
}

# The functions and sequences that the sections call.
create_database()
{
    as_tester "$PG_BINDIR/createdb" -h "$WORK/server" bench &&
        sql -v module="$WORK/build/test/bench/module/flake_bench" \
            -f "$WORK/build/test/bench/module/flake_bench.sql" &&
        sql -c "CREATE EXTENSION flake" -c "CREATE SEQUENCE s" -c "CREATE SEQUENCE s1000 CACHE 1000" ||
        return 1
    HAVE_UUIDV7=''
    [ -z "$(sql -c "SELECT to_regprocedure('uuidv7()')")" ] || HAVE_UUIDV7=1
    HAVE_PGSTATTUPLE=''
    ! sql -c "CREATE EXTENSION pgstattuple" || HAVE_PGSTATTUPLE=1
}

# ---------------------------------------------------------------------- measuring

# each_round TITLE COMMAND NAME...: in every round COMMAND NAME for every NAME.  Each round
# begins with another name, so that no one has the same neighbours before it every time.
each_round()
{
    local title=$1 command=$2 i
    shift 2
    local names=("$@")
    for ((ROUND = 1; ROUND <= ROUNDS; ROUND++)); do
        PROGRESS='' LAST=''
        for ((i = 0; i < $#; i++)); do
            "$command" "${names[(i + ROUND - 1) % $#]}"
        done
        note "$title, round $ROUND of $ROUNDS:${PROGRESS#;}"
    done
}

# often COMMAND...: with three times the rounds, for what is quick or spreads much.  Twice: nine.
often()
{
    local ROUNDS=$((ROUNDS * 3))
    "$@"
}

# record SECTION MEASURE CONTENDER VARIANT UNIT VALUE: one figure of one round.
record()
{
    [[ $6 =~ ^-?[0-9]+(\.[0-9]+)?$ ]] || die "$2 of $3 gave \"$6\"" "$(tail -n 20 "$WORK/log")"
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" "$ROUND" "$6" >>"$RESULTS"
    if [ "$LAST" = "$3" ]; then PROGRESS+=" / $6"; else PROGRESS+="; $3 $6"; fi
    LAST=$3
}

calculate() { awk "BEGIN { printf \"%.${2:-2}f\", $1 }"; }

# timed BEFORE STATEMENT: the milliseconds that STATEMENT took in a new session, after the
# statements BEFORE.
timed()
{
    sql 2>>"$WORK/log" <<SQL | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
$1;
\\timing on
$2;
SQL
}

# clients CLIENTS SCRIPT-TEXT PGBENCH-OPTION...: transactions per second.
clients()
{
    local clients=$1 threads
    printf '%s\n' "$2" | as_tester tee "$WORK/server/script.sql" >/dev/null
    shift 2
    threads=$(nproc)
    [ "$threads" -le "$clients" ] || threads=$clients
    as_tester "$PG_BINDIR/pgbench" -n -M prepared -c "$clients" -j "$threads" -h "$WORK/server" \
        -f "$WORK/server/script.sql" "$@" bench >"$WORK/log" 2>&1 || return 1
    ! grep -q 'aborted in command' "$WORK/log" || return 1
    sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$WORK/log"
}
