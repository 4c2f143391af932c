# shellcheck shell=bash disable=SC2034,SC2154
# Functions at work as the default of a key: rows per second (section 2), what the table and
# its index are like afterwards (3), and how near the order of ids is to the order of commits
# (4).  Part of test/bench/run.

kinds() { echo flake flake_ordered bigserial identity identity_1000 uuid ${HAVE_UUIDV7:+uuidv7}; }

key_of()
{
    case $1 in
        flake) echo "bigint PRIMARY KEY DEFAULT flake_next_id()" ;;
        flake_ordered) echo "bigint PRIMARY KEY DEFAULT flake_next_id('ordered')" ;;
        bigserial) echo "bigserial PRIMARY KEY" ;;
        identity) echo "bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY" ;;
        identity_1000) echo "bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (CACHE 1000)" ;;
        uuid) echo "uuid PRIMARY KEY DEFAULT gen_random_uuid()" ;;
        uuidv7) echo "uuid PRIMARY KEY DEFAULT uuidv7()" ;;
    esac
}

create_table() # KIND [NAME]
{
    echo "DROP TABLE IF EXISTS ${2:-t};
CREATE TABLE ${2:-t} (id $(key_of "$1"), n integer NOT NULL, payload text NOT NULL)"
}

insert_rows() # NAME ROWS
{
    echo "INSERT INTO $1 (n, payload) SELECT g, 'a row of the benchmark' FROM generate_series(1, $2) AS g"
}

# ------------------------------------------------------------ 2: rows per second

section_rows()
{
    local file=$WORK/server/rows.copy
    sql -c "COPY (SELECT g, 'a row of the benchmark' FROM generate_series(1, $COPY_ROWS) AS g)
                  TO '$file'" || die "no file for COPY"
    COPY_FROM="COPY t (n, payload) FROM '$file'"
    # shellcheck disable=SC2046
    {
        each_round "2 INSERT ... SELECT, rows/s" insert_select $(kinds)
        each_round "2 COPY, rows/s" copy $(kinds)
        often each_round "2 single rows, 16 at once, rows/s" insert_single $(kinds)
        often each_round "2 the same, synchronous_commit off" insert_single_async $(kinds)
    }
    sql -c "DROP TABLE t"
    rm -f "$file"
}

# A checkpoint before, so that its WAL goes into files that are there.
fresh_table() { sql -c "$(create_table "$1")" -c CHECKPOINT 2>>"$WORK/log"; }

rows_per_second() # MEASURE KIND STATEMENT ROWS
{
    local ms
    fresh_table "$2"
    ms=$(timed "SELECT 1" "$3")
    record 2 "$1" "$2" 1 rows/s "$(calculate "$4 * 1000 / ${ms:-nan}" 0)"
}

single_rows() # MEASURE KIND SYNCHRONOUS_COMMIT
{
    local tps
    fresh_table "$2"
    tps=$(PGOPTIONS="-c synchronous_commit=$3" clients 16 \
        "INSERT INTO t (n, payload) VALUES (:client_id, 'a row of the benchmark');" -T "$ROW_SECONDS")
    record 2 "$1" "$2" 16 rows/s "$(calculate "${tps:-nan}" 0)"
    record_density "$1" "$2"
}

# How full the leaves of the index are, after single rows by 16 sessions.
record_density()
{
    [ "$1" = insert_single_async ] && [ -n "$HAVE_PGSTATTUPLE" ] || return 0
    record 2 leaf_density_single "$2" 16 % \
        "$(sql -c "SELECT avg_leaf_density FROM pgstatindex('t_pkey')")"
}

insert_select() { rows_per_second insert_select "$1" "$(insert_rows t "$INSERT_ROWS")" "$INSERT_ROWS"; }
copy() { rows_per_second copy "$1" "$COPY_FROM" "$COPY_ROWS"; }
insert_single() { single_rows insert_single "$1" on; }
insert_single_async() { single_rows insert_single_async "$1" off; }

# ---------------------------------------------------- 3: the table and its index

# Filled once by one statement ("bulk") and once by 16 sessions ("sessions"), with PostgreSQL's
# own distance of checkpoints: a checkpoint is what random keys pay for in WAL.  Sizes are
# measured once, times in every round.
section_tables()
{
    local kind kept=(flake flake_ordered bigserial uuid ${HAVE_UUIDV7:+uuidv7})
    ROUND=1
    for kind in "${kept[@]}"; do
        PROGRESS='' LAST=''
        default_wal_size
        one_table bulk "$kind" load_bulk
        sql -c "DROP TABLE t_$kind"
        one_table sessions "$kind" load_sessions
        own_wal_size
        quietly choose_keys "$kind"
        note "3 $TABLE_ROWS rows by one statement, then by 16 sessions:${PROGRESS#;}"
    done
    each_round "3 newest 1 %, ms" range_scan "${kept[@]}"
    each_round "3 10000 lookups, ms" lookups "${kept[@]}"
    for kind in "${kept[@]}"; do
        sql -c "DROP TABLE t_$kind, probe_$kind"
    done
}

default_wal_size()
{
    quietly sql -c "ALTER SYSTEM SET max_wal_size = '1GB'" \
        -c "ALTER SYSTEM SET min_wal_size = '80MB'" -c "SELECT pg_reload_conf()" -c "SELECT pg_sleep(0.2)"
}

own_wal_size()
{
    quietly sql -c "ALTER SYSTEM RESET max_wal_size" \
        -c "ALTER SYSTEM RESET min_wal_size" -c "SELECT pg_reload_conf()" -c "SELECT pg_sleep(0.2)"
}

load_bulk() { sql -c "$(insert_rows "t_$1" "$TABLE_ROWS")"; }

# Each transaction inserts a hundred rows.
load_sessions()
{
    clients 16 "$(insert_rows "t_$1" 100);" -t $((TABLE_ROWS / 1600))
}

one_table() # LOAD KIND COMMAND
{
    local load=$1 kind=$2 rows wal index density
    quietly sql -c "$(create_table "$kind" "t_$kind")" -c CHECKPOINT
    wal=$(sql -c "SELECT pg_current_wal_insert_lsn()")
    quietly "$3" "$kind"
    wal=$(sql -c "SELECT pg_current_wal_insert_lsn() - '$wal'")
    read -r rows index < <(sql -F ' ' -c "
        SELECT (SELECT count(*) FROM t_$kind), pg_relation_size('t_${kind}_pkey')")
    record 3 wal_per_row "$kind" "$load" bytes "$(calculate "$wal / $rows")"
    record 3 index_per_row "$kind" "$load" bytes "$(calculate "$index / $rows")"
    record 3 index_size "$kind" "$load" bytes "$index"
    [ -n "$HAVE_PGSTATTUPLE" ] || return 0
    density=$(sql -c "SELECT avg_leaf_density FROM pgstatindex('t_${kind}_pkey')")
    record 3 leaf_density "$kind" "$load" % "$density"
}

# What is looked up later.  A random UUID has no newest rows; it gets its highest keys.
choose_keys()
{
    sql <<SQL
ANALYZE t_$1;
SET client_min_messages = warning;
DROP TABLE IF EXISTS probe_$1;
SELECT setseed(0.5);
CREATE TABLE probe_$1 AS
    SELECT id FROM t_$1 TABLESAMPLE BERNOULLI (least(100, 2000000.0 / $TABLE_ROWS)) REPEATABLE (1)
    ORDER BY random() LIMIT 10000;
ANALYZE probe_$1;
CREATE TABLE IF NOT EXISTS newest (kind text PRIMARY KEY, key text);
INSERT INTO newest SELECT '$1', id FROM t_$1 ORDER BY id DESC OFFSET $TABLE_ROWS / 100 LIMIT 1
    ON CONFLICT (kind) DO UPDATE SET key = excluded.key;
SQL
}

range_scan()
{
    local key query
    key=$(sql -c "SELECT key FROM newest WHERE kind = '$1'")
    query="SELECT count(payload), sum(n) FROM t_$1 WHERE id > '$key'"
    record 3 range_scan "$1" 1 ms "$(timed "$query" "$query")"
}

lookups()
{
    local query="SELECT count(payload), sum(n) FROM probe_$1 JOIN t_$1 USING (id)"
    record 3 lookups "$1" 1 ms "$(timed "
        SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_memoize = off; $query" "$query")"
}

# ------------------------------------------------------------- 4: order in time

# The commit timestamps of all rows, in the order of their keys.
section_order()
{
    quietly sql -c "ALTER SYSTEM SET track_commit_timestamp = on"
    quietly server_control restart
    each_round "4 against the order of commits" one_order flake flake_ordered bigserial identity_1000 \
        ${HAVE_UUIDV7:+uuidv7}
    quietly sql -c "ALTER SYSTEM RESET track_commit_timestamp"
    quietly server_control restart
}

one_order()
{
    local rows share p99 max
    fresh_table "$1"
    clients 16 "INSERT INTO t (n, payload) VALUES (:client_id, 'a row of the benchmark');" \
        -T "$ORDER_SECONDS" >/dev/null
    read -r rows share p99 max < <(sql -F ' ' 2>>"$WORK/log" <<'SQL'
SELECT count(*),
       round(100.0 * count(*) FILTER (WHERE c < previous) / count(*), 3),
       round((percentile_cont(0.99) WITHIN GROUP (ORDER BY behind) * 1000)::numeric, 3),
       round((max(behind) * 1000)::numeric, 3)
FROM (SELECT c, lag(c) OVER w AS previous,
             extract(epoch FROM max(c) OVER (w ROWS UNBOUNDED PRECEDING) - c) AS behind
      FROM (SELECT id, pg_xact_commit_timestamp(xmin) AS c FROM t) AS rows
      WINDOW w AS (ORDER BY id)) AS ordered;
SQL
    )
    record 4 out_of_order "$1" 16 % "${share:-}"
    record 4 behind_p99 "$1" 16 ms "${p99:-}"
    record 4 behind_max "$1" 16 ms "${max:-}"
    record 4 rows "$1" 16 rows "${rows:-}"
}
