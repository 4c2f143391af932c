# shellcheck shell=bash disable=SC2034,SC2154
# Functions alone: the cost of a call (section 1), its latency and that of a connection's first
# statement (5), and what flake's other functions cost (6).  Part of test/bench/run.

# ------------------------------------------------------------------ the contenders

# call_of CONTENDER: what is called.
call_of()
{
    case $1 in
        constant) echo "bench_constant()" ;;
        clock) echo "bench_clock()" ;;
        flake) echo "flake_next_id()" ;;
        flake_wide) echo "flake_next_id('wide')" ;;
        flake_ordered) echo "flake_next_id('ordered')" ;;
        prefixed) echo "flake_prefixed('ORD_')" ;;
        concatenated) echo "'ORD_' || flake_next_id()" ;;
        nextval) echo "nextval('s')" ;;
        nextval_1000) echo "nextval('s1000')" ;;
        uuid) echo "gen_random_uuid()" ;;
        uuidv7) echo "uuidv7()" ;;
    esac
}

others() { echo nextval nextval_1000 uuid ${HAVE_UUIDV7:+uuidv7}; }

# ------------------------------------------------------- 1: the cost of one call

section_calls()
{
    local n
    # shellcheck disable=SC2046 # one word per contender
    set -- constant clock flake flake_wide flake_ordered $(others)
    often often each_round "1 cost of a call, ns" one_session "$@"
    for n in "${CLIENTS[@]}"; do
        SESSIONS=$n
        each_round "1 calls per second, $n at once" many_sessions "$@"
    done
}

# The nanoseconds of a call, and of the constant function's in the same session ("floor").
one_session() { two_calls "call $1 $(call_of "$1")" "floor $1 $(call_of constant)"; }

# two_calls "MEASURE CONTENDER CALL" "MEASURE CONTENDER CALL": nanoseconds of both calls, one
# after the other in one session, either first in turn: two sessions differ by more than a
# few nanoseconds.
two_calls()
{
    local what warm='' both='' ms i=0 measure contender call
    [ $((ROUND % 2)) = 1 ] || set -- "$2" "$1"
    for what in "$@"; do
        read -r measure contender call <<<"$what"
        warm+="SELECT count($call) FROM generate_series(1, 1000);"
        both+="SELECT count($call) FROM generate_series(1, $CALLS);"
    done
    mapfile -t ms < <(timed "$warm" "${both%;}")
    for what in "$@"; do
        read -r measure contender call <<<"$what"
        record 1 "$measure" "$contender" 1 ns "$(calculate "${ms[i]:-nan} * 1e6 / $CALLS")"
        i=$((i + 1))
    done
}

many_sessions()
{
    local tps
    tps=$(clients "$SESSIONS" \
        "SELECT count($(call_of "$1")) FROM generate_series(1, $CLIENT_CALLS);" -T "$CLIENT_SECONDS")
    record 1 total "$1" "$SESSIONS" calls/s "$(calculate "${tps:-nan} * $CLIENT_CALLS" 0)"
}

# ---------------------------------------------------------------- 5: latency

section_latency()
{
    # shellcheck disable=SC2046
    each_round "5 latency, ns" one_latency constant clock flake flake_wide flake_ordered $(others)
    for SESSIONS in 1 2; do
        each_round "5 latency of a call each millisecond, $SESSIONS at once, ns" paced_latency \
            constant flake flake_wide flake_ordered nextval
    done
    each_round "5 first statement of a connection, us" first_statement nothing nextval flake \
        flake_preloaded
}

# The function and the argument that a contender is for bench_latency().
latency_of()
{
    case $1 in
        flake) echo "'flake_next_id(flake_layout)', 'flake'" ;;
        flake_*) echo "'flake_next_id(flake_layout)', '${1#flake_}'" ;;
        nextval) echo "'nextval(regclass)', 's'" ;;
        nextval_1000) echo "'nextval(regclass)', 's1000'" ;;
        *) echo "'$(call_of "$1")', NULL" ;;
    esac
}

# How far the mark went tells that it was moved meanwhile.
one_latency()
{
    local answer name i=0 mark
    answer=$(sql -F ' ' 2>>"$WORK/log" <<SQL
SELECT count(flake_next_id()) AS x, (SELECT last_value FROM flake.mark) AS before
FROM generate_series(1, 1000) \\gset
SELECT * FROM bench_latency($(latency_of "$1"), $LATENCY_CALLS, 0);
SELECT (last_value - :before) / 1000000 FROM flake.mark;
SQL
    )
    mark=$(tail -n 1 <<<"$answer")
    read -r -a answer <<<"$(head -n 1 <<<"$answer")"
    for name in p50 p99 p99.9 max mean; do
        record 5 latency "$1" $name ns "${answer[i++]:-}"
    done
    [[ $1 != flake* ]] || record 5 latency "$1" mark_moved ms "$mark"
}

# What a client sees that asks for an id now and then: of several such clients the mean.
paced_latency()
{
    local i quantiles p50 p99 p999
    quantiles=$(
        for ((i = 0; i < SESSIONS; i++)); do
            paced_client "$1" &
        done
        wait
    )
    read -r p50 p99 p999 < <(awk '{ a += $1; b += $2; c += $3 } END { if (NR) print a / NR, b / NR, c / NR }' <<<"$quantiles")
    record 5 paced_p50 "$1" "$SESSIONS" ns "${p50:-}"
    record 5 paced_p99 "$1" "$SESSIONS" ns "${p99:-}"
    record 5 paced_p99.9 "$1" "$SESSIONS" ns "${p999:-}"
}

# The first calls are not counted: they move the mark after a silence.
paced_client()
{
    sql -F ' ' 2>>"$WORK/log" <<SQL
SELECT * FROM bench_latency($(latency_of "$1"), 100, 1000) \\gset x_
SELECT p50, p99, p999 FROM bench_latency($(latency_of "$1"), $PACED_CALLS, 1000);
SQL
}

# A connection for each statement; pgbench's log has how long each took without connecting.
# Preloading takes a restart.
first_statement()
{
    local select=1
    [ "$1" = nothing ] || select=$(call_of "${1%_preloaded}")
    [[ $1 != *_preloaded ]] || quietly restart_server -c shared_preload_libraries=flake
    rm -f "$WORK"/server/first.*
    clients 1 "SELECT $select;" -M simple -C -t "$CONNECTIONS" -l \
        --log-prefix="$WORK/server/first" >/dev/null
    record 5 first "$1" 1 us "$(cut -d ' ' -f 3 "$WORK"/server/first.* | sort -n |
        awk '{ us[NR] = $1 } END { print us[int((NR + 1) / 2)] }')"
    [[ $1 != *_preloaded ]] || quietly restart_server
}

# ------------------------------------------------------ 6: flake's other functions

section_other_functions()
{
    often often each_round "6 other functions, ns per id" other_function flake prefixed \
        concatenated next_ids series reserve_256 flake_wide next_ids_wide reserve_1024_wide
    each_round "6 memory, kB" set_memory next_ids next_ids_wide
}

other_function()
{
    local layout=flake size
    [[ $1 != *_wide ]] || layout=wide
    case $1 in
        flake*) many_ids "$1" "SELECT count(flake_next_id('$layout')) FROM generate_series(1, $CALLS)" ;;
        prefixed | concatenated) many_ids "$1" "SELECT count($(call_of "$1")) FROM generate_series(1, $CALLS)" ;;
        series) many_ids "$1" "SELECT count(*) FROM (SELECT generate_series(1, $CALLS)) AS ids" ;;
        next_ids*) many_ids "$1" "SELECT count(*) FROM (SELECT flake_next_ids($CALLS, '$layout')) AS ids" ;;
        reserve_*)
            size=${1//[^0-9]/}
            many_ids "$1" "SELECT count(flake_reserve($size, '$layout')) FROM generate_series(1, $CALLS / $size)"
            ;;
    esac
}

# many_ids CONTENDER STATEMENT: nanoseconds per id of a statement that makes $CALLS.
many_ids()
{
    local ms
    ms=$(timed "SELECT count(flake_next_id()), count(flake_next_id('wide')) FROM generate_series(1, 1000)" "$2")
    record 6 id "$1" 1 ns "$(calculate "${ms:-nan} * 1e6 / $CALLS" 3)"
}

# What a session's memory grew by between a tenth of the ids and all of them: at its peak
# (Linux tells), and what it keeps.
set_memory()
{
    local layout=flake tenth=$((CALLS / 10)) peak kept
    [ "$1" = next_ids ] || layout=wide
    read -r peak kept < <(sql -F ' ' 2>>"$WORK/log" <<SQL
CREATE TEMP VIEW memory AS
SELECT coalesce(substring(pg_read_file('/proc/self/status', 0, 100000, true)
                          FROM 'VmHWM:\\s+(\\d+)')::bigint, 0) AS peak,
       (SELECT sum(total_bytes) / 1024 FROM pg_backend_memory_contexts)::bigint AS kept;
SELECT peak FROM memory \\gset x
SELECT count(*) FROM (SELECT flake_next_ids($tenth, '$layout')) AS ids \\gset x
SELECT * FROM memory \\gset before_
SELECT count(*) FROM (SELECT flake_next_ids($CALLS, '$layout')) AS ids \\gset x
SELECT peak - :before_peak, kept - :before_kept FROM memory;
SQL
    )
    record 6 memory_peak "$1" 1 kB "${peak:-}"
    record 6 memory_kept "$1" 1 kB "${kept:-}"
}
