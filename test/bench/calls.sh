# shellcheck shell=bash disable=SC2034,SC2154
# Functions alone: the cost of a call (section 1), its latency (5), and what flake's other
# functions cost (6).  Part of test/bench/run.

# ------------------------------------------------------------------ the contenders

# call_of CONTENDER: what is called.
call_of()
{
    case ${1%@*} in
        constant) echo "bench_constant()" ;;
        clock) echo "bench_clock()" ;;
        flake | flake_wide | flake_ordered) echo "flake_next_id()" ;;
        flake_named) echo "flake_next_id('named')" ;;
        flake_named_wide) echo "flake_next_id('wide')" ;;
        prefixed) echo "flake_prefixed('ORD_')" ;;
        nextval) echo "nextval('s')" ;;
        nextval_1000) echo "nextval('s1000')" ;;
        uuid) echo "gen_random_uuid()" ;;
        uuidv7) echo "uuidv7()" ;;
    esac
}

# database_of CONTENDER
database_of()
{
    case $1 in
        *@*) echo "bench_${1#*@}" ;;
        *_wide) echo bench_wide ;;
        *_ordered) echo bench_ordered ;;
        *) echo bench ;;
    esac
}

others() { echo nextval nextval_1000 uuid ${HAVE_UUIDV7:+uuidv7}; }

# ------------------------------------------------------- 1: the cost of one call

section_calls()
{
    local n
    # shellcheck disable=SC2046 # one word per contender
    set -- constant clock flake flake_wide flake_ordered $(others)
    often often each_round "1 cost of a call, ns" one_session "$@" flake_named_wide
    for n in "${CLIENTS[@]}"; do
        SESSIONS=$n
        each_round "1 calls per second, $n at once" many_sessions "$@"
    done
}

one_session() { beside_constant 1 "$1"; }

# beside_constant SECTION CONTENDER: the nanoseconds of its call, and of the constant
# function's in the same session ("floor").
beside_constant()
{
    two_calls "$1" "$(database_of "$2")" "call $2 $(call_of "$2")" "floor $2 $(call_of constant)"
}

# two_calls SECTION DATABASE "MEASURE CONTENDER CALL" "MEASURE CONTENDER CALL": nanoseconds of
# both calls, one after the other in one session, either first in turn.  What a few
# nanoseconds make is less than what two sessions differ by.
two_calls()
{
    local section=$1 database=$2 what warm='' both='' ms i=0 measure contender call
    shift 2
    [ $((ROUND % 2)) = 1 ] || set -- "$2" "$1"
    for what in "$@"; do
        read -r measure contender call <<<"$what"
        warm+="SELECT count($call) FROM generate_series(1, 1000);"
        both+="SELECT count($call) FROM generate_series(1, $CALLS);"
    done
    mapfile -t ms < <(timed "$database" "$warm" "${both%;}")
    for what in "$@"; do
        read -r measure contender call <<<"$what"
        record "$section" "$measure" "$contender" 1 ns "$(calculate "${ms[i]:-nan} * 1e6 / $CALLS")"
        i=$((i + 1))
    done
}

calls_per_second()
{
    local tps
    tps=$(clients "$(database_of "$1")" "$SESSIONS" \
        "SELECT count($(call_of "$1")) FROM generate_series(1, $CLIENT_CALLS);" -T "$CLIENT_SECONDS")
    calculate "${tps:-nan} * $CLIENT_CALLS" 0
}

many_sessions() { record 1 total "$1" "$SESSIONS" calls/s "$(calls_per_second "$1")"; }

# ----------------------------------------- 1 with both ways to read the clock

CLOCKS=(system counter)

require_two_clocks()
{
    grep -q FLAKE_CLOCK "$ROOT/Makefile" ||
        die "--compare-clocks: this flake has one clock only (its Makefile knows no FLAKE_CLOCK)"
}

# Both builds serve at once, each in databases of its own whose functions point to it.
build_clock()
{
    local clock=$1 d copy=$WORK/build-$1
    copy_tree "$copy"
    build "$copy" FLAKE_CLOCK="$clock" with_llvm=no || return 1
    for d in bench bench_wide; do
        sql postgres -c "CREATE DATABASE ${d}_$clock TEMPLATE $d" &&
            sql "${d}_$clock" -c "UPDATE pg_proc SET probin = '$copy/flake' WHERE probin = '\$libdir/flake'" ||
            return 1
    done
}

section_clocks()
{
    local clock contenders=(constant clock)
    for clock in "${CLOCKS[@]}"; do
        quietly build_clock "$clock"
        contenders+=("flake@$clock" "flake@wide_$clock")
    done
    often often each_round "1 both clocks, ns" one_session_clock "${contenders[@]}"
    for SESSIONS in 1 2; do
        each_round "1 both clocks, $SESSIONS at once" many_sessions_clock "${contenders[@]}"
    done
}

one_session_clock() { beside_constant clocks "$1"; }
many_sessions_clock() { record clocks total "$1" "$SESSIONS" calls/s "$(calls_per_second "$1")"; }

# ---------------------------------------------------------------- 5: latency

section_latency()
{
    # shellcheck disable=SC2046
    each_round "5 latency, ns" one_latency constant clock flake flake_wide flake_ordered $(others)
}

# How far the mark went tells that it was moved meanwhile.
one_latency()
{
    local function argument=0 answer name i=0 mark
    function=$(call_of "$1")
    case $1 in
        nextval) function='nextval(regclass)' argument="'s'::regclass" ;;
        nextval_1000) function='nextval(regclass)' argument="'s1000'::regclass" ;;
    esac
    answer=$(sql "$(database_of "$1")" -F ' ' 2>>"$WORK/log" <<SQL
SELECT count(flake_next_id()) AS x, (SELECT last_value FROM flake_mark) AS before
FROM generate_series(1, 1000) \\gset
SELECT * FROM bench_latency('$function', $argument, $LATENCY_CALLS);
SELECT (last_value - :before) / 1000 FROM flake_mark;
SQL
    )
    mark=$(tail -n 1 <<<"$answer")
    read -r -a answer <<<"$(head -n 1 <<<"$answer")"
    for name in p50 p99 p99.9 max mean; do
        record 5 latency "$1" $name ns "${answer[i++]:-}"
    done
    [[ $1 != flake* ]] || record 5 latency "$1" mark_moved ms "$mark"
}

# ------------------------------------------------------ 6: flake's other functions

section_other_functions()
{
    often often each_round "6 other functions, ns per id" other_function flake prefixed \
        next_ids reserve flake_wide next_ids_wide reserve_wide
    each_round "6 memory, kB" set_memory next_ids next_ids_wide
}

other_function()
{
    case $1 in
        flake) with_name flake flake_named ;;
        flake_wide) with_name flake_wide flake_named_wide ;;
        prefixed) many_ids "$1" "SELECT count($(call_of "$1")) FROM generate_series(1, $CALLS)" ;;
        next_ids*) many_ids "$1" "SELECT count(*) FROM (SELECT flake_next_ids($CALLS)) AS ids" ;;
        reserve*) many_ids "$1" "SELECT sum((last_id - first_id) / step + 1) FROM flake_reserve($CALLS)" ;;
    esac
}

with_name() # CONTENDER ITS-NAMED
{
    two_calls 6 "$(database_of "$1")" "id $1 $(call_of "$1")" "id $2 $(call_of "$2")"
}

# many_ids CONTENDER STATEMENT: nanoseconds per id of a statement that makes $CALLS.
many_ids()
{
    local ms
    ms=$(timed "$(database_of "$1")" "SELECT count(flake_next_id()) FROM generate_series(1, 1000)" "$2")
    record 6 id "$1" 1 ns "$(calculate "${ms:-nan} * 1e6 / $CALLS" 3)"
}

# What a session's memory grew by between a tenth of the ids and all of them: at its peak
# (Linux tells), and what it keeps.
set_memory()
{
    local tenth=$((CALLS / 10)) peak kept
    read -r peak kept < <(sql "$(database_of "$1")" -F ' ' 2>>"$WORK/log" <<SQL
CREATE TEMP VIEW memory AS
SELECT coalesce(substring(pg_read_file('/proc/self/status', 0, 100000, true)
                          FROM 'VmHWM:\\s+(\\d+)')::bigint, 0) AS peak,
       (SELECT sum(total_bytes) / 1024 FROM pg_backend_memory_contexts)::bigint AS kept;
SELECT peak FROM memory \\gset x
SELECT count(*) FROM (SELECT flake_next_ids($tenth)) AS ids \\gset x
SELECT * FROM memory \\gset before_
SELECT count(*) FROM (SELECT flake_next_ids($CALLS)) AS ids \\gset x
SELECT peak - :before_peak, kept - :before_kept FROM memory;
SQL
    )
    record 6 memory_peak "$1" 1 kB "${peak:-}"
    record 6 memory_kept "$1" 1 kB "${kept:-}"
}
