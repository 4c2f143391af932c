# shellcheck shell=bash
# What the scripts share: results, finding PostgreSQL, installing packages, building in a
# copy, running programs without root's rights, throwaway servers, and leaving nothing
# behind.  To be sourced; $ROOT is the project's directory.
#
# Sets: PG_CONFIG, PG_BINDIR, PG_MAJOR (find_pg), WORK (make_workdir).

FLAKE_MIN_MAJOR=15
PG_CONFIG=${PG_CONFIG:-} PG_MAJOR='' PG_BINDIR=''

say() { printf '%s\n' "$*"; }
note() { printf '# %s\n' "$*"; }

die()
{
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    shift
    [ $# -eq 0 ] || printf '    %s\n' "$@" >&2
    exit 1
}

# ------------------------------------------------------------------------- results

passed=0 failed=0 skipped=0
ok() { passed=$((passed + 1)) && say "ok - $1"; }
not_ok() { failed=$((failed + 1)) && say "not ok - $1"; }

# indented LINES: the end of standard input, set off from the results.
indented() { tail -n "$1" | sed 's/^/#   /'; }

# show FILE LINES: the end of a log.
show()
{
    [ -s "$1" ] || return 0
    note "---- ${1#"$WORK/"}"
    indented "$2" <"$1"
}

# quietly COMMAND...: shows the command's output only if it fails, and then ends the script.
quietly()
{
    "$@" >"$WORK/log" 2>&1 || {
        tail -n 40 "$WORK/log" >&2
        die "failed: $*"
    }
}

# test_that NAME COMMAND...: one result.
test_that()
{
    local name=$1
    shift
    if ("$@") >"$WORK/log" 2>&1; then
        ok "$name"
    else
        not_ok "$name"
        show "$WORK/log" 60
        return 1
    fi
}

# rule NAME COMMAND...: one result; kept when the command finds nothing to print.  A command that
# prints "skipped: ..." could not look.
rule()
{
    local name=$1 found
    shift
    found=$("$@" 2>&1)
    case $found in
        '') ok "$name" ;;
        "skipped: "*) note "$name: $found" ;;
        *) not_ok "$name" && indented 20 <<<"$found" ;;
    esac
}

# results PREFIX COMMAND...: counts what a command prints as "ok - name" and "not ok - name".
results()
{
    local prefix=$1 line rc=0 before=$((passed + failed)) bad=$failed
    shift
    ("$@") >"$WORK/$prefix.log" 2>&1 || rc=$?
    while IFS= read -r line; do
        case $line in
            "ok - "*) ok "$prefix: ${line#ok - }" ;;
            "not ok - "*) not_ok "$prefix: ${line#not ok - }" ;;
        esac
    done <"$WORK/$prefix.log"
    [ $((passed + failed)) -gt "$before" ] && { [ $rc -eq 0 ] || [ "$failed" -gt "$bad" ]; } ||
        not_ok "$prefix: exit code $rc after $((passed + failed - before)) results"
    [ "$failed" -eq "$bad" ] || show "$WORK/$prefix.log" 80
}

# The last line of a script that runs tests; the exit code is 0 only if nothing failed and
# something passed.
summary()
{
    say "$passed passed, $failed failed$([ "$skipped" -eq 0 ] || echo ", $skipped skipped")"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# count PREFIX PROGRAM...: shows its output, each line after PREFIX, and adds the numbers of its
# last line to ours.
count()
{
    local prefix=$1 line last='' output
    shift
    exec {output}< <(exec "$@" 2>&1)
    COUNTED=$!
    while IFS= read -r line; do
        say "$prefix$line"
        last=$line
    done <&"$output"
    exec {output}<&-
    # shellcheck disable=SC2034 # for test/matrix, which is stopped with it
    COUNTED=''
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
    else
        not_ok "$prefix$* did not come to its end"
    fi
}

# The text that a script's header comment has between its first line and the first
# line that is no comment: one text for --help and for whoever reads the script.
usage() { sed -n '3,/^[^#]/ s/^# \{0,1\}//p' "$0"; }

# no_options ARGUMENT...: for a script that knows --help only.
no_options()
{
    case ${1:-} in
        --help | -h) usage && exit 0 ;;
        '') ;;
        *) die "unknown option \"$1\", see --help" ;;
    esac
}

# The caller's settings must not reach the builds, servers and clients started here.
clean_environment()
{
    local v
    for v in ${!PG@}; do
        case $v in
            PG_CONFIG | PG_MAJOR | PG_BINDIR | PG_TEST_*) ;;
            *) unset "$v" ;;
        esac
    done
    unset MAKEFLAGS MAKELEVEL MFLAGS CDPATH PROVE_FLAGS COPT PROFILE
    export LC_ALL=C.UTF-8
    umask 022
    # An administrator's PATH: Debian's users lack the second half.
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
}

# ---------------------------------------------------------------- root's rights

can_be_root() { [ "$EUID" -eq 0 ] || { command -v sudo && sudo -n true; } >/dev/null 2>&1; }

as_root()
{
    if [ "$EUID" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# PostgreSQL refuses to run as root, so root's tests run as somebody with no rights.
tester()
{
    if [ "$EUID" -ne 0 ]; then
        id -un
    elif id postgres >/dev/null 2>&1; then
        echo postgres
    else
        echo nobody
    fi
}

# Runs a command as the tester.  setpriv replaces itself by the command, so that
# the process id that we know is the command's.
as_tester()
{
    local user
    if [ "$EUID" -ne 0 ]; then
        HOME=$WORK/home TMPDIR=$WORK/tmp "$@"
        return
    fi
    user=$(tester)
    HOME=$WORK/home TMPDIR=$WORK/tmp USER=$user LOGNAME=$user \
        setpriv --reuid="$user" --regid="$(id -gn "$user")" --init-groups -- "$@"
}

# -------------------------------------------------------------- which PostgreSQL

# $PG_CONFIG wins, then the pg_config in PATH, then the newest of Debian's
# directories.  Leaves PG_CONFIG empty when there is none yet; PG_MAJOR is then what
# $PG_CONFIG asks for by its name, or empty for the distribution's default.
find_pg()
{
    local asked=$PG_CONFIG
    PG_MAJOR='' PG_BINDIR=''
    if [ -n "$asked" ] && ! command -v "$asked" >/dev/null; then
        [[ $asked =~ ^/usr/lib/postgresql/([0-9]+)/bin/pg_config$ ]] ||
            die "PG_CONFIG=$asked: no such program"
        PG_CONFIG='' PG_MAJOR=${BASH_REMATCH[1]}
        return
    fi
    if [ -z "$asked" ]; then
        asked=$(command -v pg_config || true)
        # Debian's wrapper is there also when nothing stands behind it.
        [ -n "$asked" ] && "$asked" --version >/dev/null 2>&1 || asked=''
    fi
    if [ -z "$asked" ]; then
        asked=$(printf '%s\n' /usr/lib/postgresql/*/bin/pg_config | sort -V | tail -n 1)
        [ -x "$asked" ] || asked=''
    fi
    PG_CONFIG=$asked
    [ -n "$asked" ] || return 0

    PG_CONFIG=$(command -v "$asked")
    PG_BINDIR=$("$PG_CONFIG" --bindir)
    # Behind a wrapper stands the one in the bin directory; only that one keeps its meaning
    # when another version gets installed.
    [ ! -x "$PG_BINDIR/pg_config" ] || PG_CONFIG=$PG_BINDIR/pg_config
    [[ $("$PG_CONFIG" --version) =~ ([0-9]+) ]] && PG_MAJOR=${BASH_REMATCH[1]}
    export PG_CONFIG
}

# ------------------------------------------------------------------- the packages

# need PACKAGE COMMAND...: PACKAGE is missing when COMMAND fails.
need()
{
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || MISSING+=("$package")
}

# libpq's header, where make looks for it.
have_libpq() { test -e "$("${PG_CONFIG:-pg_config}" --includedir 2>/dev/null)/libpq-fe.h"; }

have_faketime() { compgen -G '/usr/lib/*/faketime/libfaketime.so.1' || compgen -G '/usr/*/faketime/libfaketime.so.1'; }

have_fuzzer()
{
    echo 'int LLVMFuzzerTestOneInput(void){return 0;}' |
        clang -fsanitize=fuzzer,address -x c - -o /dev/null
}

# What is missing for the groups named: build tap fuzz matrix machines package assert more.
list_missing()
{
    local group dir=/usr/lib/postgresql/$PG_MAJOR
    MISSING=()
    for group in "$@"; do
        case $group in
            build)
                need make command -v make
                need gcc command -v "$(compiler)"
                need libc6-dev test -e /usr/include/stdio.h
                need libpq-dev have_libpq
                need "postgresql-$PG_MAJOR" test -x "${PG_BINDIR:-$dir/bin}/postgres"
                # the headers, too: Debian's client package has PGXS without them
                need "postgresql-server-dev-$PG_MAJOR" ls "$(pgxs_makefile)" \
                    "$(server_include)/postgres.h"
                ;;
            tap)
                need perl command -v prove
                need libipc-run-perl perl -MIPC::Run -e 1
                need faketime have_faketime
                ;;
            fuzz)
                need clang command -v clang
                need libclang-rt-dev have_fuzzer
                ;;
            matrix)
                need mmdebstrap command -v mmdebstrap
                need util-linux command -v unshare
                ;;
            machines)
                need gcc-aarch64-linux-gnu command -v aarch64-linux-gnu-gcc
                need libc6-dev-arm64-cross test -e /usr/aarch64-linux-gnu/include/stdio.h
                need gcc-s390x-linux-gnu command -v s390x-linux-gnu-gcc
                need libc6-dev-s390x-cross test -e /usr/s390x-linux-gnu/include/stdio.h
                need qemu-user command -v qemu-s390x
                ;;
            more) # tests and rules that are skipped where these are missing
                need shellcheck command -v shellcheck
                need libperl-critic-perl command -v perlcritic
                need python3-psycopg python3 -c 'import psycopg'
                need "postgresql-$PG_MAJOR-plproxy" test -e "$dir/lib/plproxy.so"
                need "postgresql-$PG_MAJOR-cron" test -e "$dir/lib/pg_cron.so"
                need "postgresql-$PG_MAJOR-partman" test -e "$dir/lib/pg_partman_bgw.so"
                ;;
            package)
                need git command -v git
                need unzip command -v unzip
                ;;
            assert)
                need make command -v make
                need gcc command -v gcc
                need bison command -v bison
                need flex command -v flex
                need pkg-config command -v pkg-config
                need libicu-dev test -e /usr/include/unicode/ucol.h
                need libreadline-dev test -e /usr/include/readline/readline.h
                need zlib1g-dev test -e /usr/include/zlib.h
                need libipc-run-perl perl -MIPC::Run -e 1
                ;;
        esac
    done
}

compiler()
{
    local cc=gcc
    [ -z "$PG_CONFIG" ] || read -r cc _ <<<"$("$PG_CONFIG" --cc 2>/dev/null || echo gcc)"
    echo "${cc:-gcc}"
}

pgxs_makefile()
{
    if [ -n "$PG_CONFIG" ]; then
        "$PG_CONFIG" --pgxs
    else
        echo "/usr/lib/postgresql/$PG_MAJOR/lib/pgxs/src/makefiles/pgxs.mk"
    fi
}

server_include()
{
    if [ -n "$PG_CONFIG" ]; then
        "$PG_CONFIG" --includedir-server
    else
        echo "/usr/include/postgresql/$PG_MAJOR/server"
    fi
}

is_debian() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

# The major that the distribution's package "postgresql" stands for.
default_major()
{
    apt-cache depends postgresql 2>/dev/null |
        sed -n 's/.*Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1
}

apt_update()
{
    local log
    [ -z "${APT_UPDATED:-}" ] || return 0
    log=$(as_root apt-get -q -o DPkg::Lock::Timeout=300 update 2>&1) ||
        die "apt-get update failed" "$(tail -n 5 <<<"$log")"
    APT_UPDATED=1
}

# Debian's package postgresql-N makes and starts a cluster "main" when it is
# installed.  Nobody asked us for that.  Where no PostgreSQL has been before, it is told not
# to, for the time of the installation only; where there is one, its administrator has
# decided, and nothing is changed.
without_new_cluster()
{
    local dir=/etc/postgresql-common/createcluster.d rc=0
    if [ -e /etc/postgresql-common ]; then
        "$@"
        return
    fi
    as_root mkdir -p $dir
    as_root sh -c "echo 'create_main_cluster = false' >$dir/flake-setup.conf"
    "$@" || rc=$?
    as_root rm -f $dir/flake-setup.conf
    as_root rmdir --ignore-fail-on-non-empty -p $dir 2>/dev/null || true
    return $rc
}

apt_install()
{
    local log
    note "installing: $*"
    log=$(without_new_cluster as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@" 2>&1) ||
        die "apt-get install $* failed" "$(tail -n 15 <<<"$log")"
}

# Older releases have no libclang-rt-dev: there the compiler brings the fuzzer's library, or
# the tests do without.  Not every major has the other extensions, nor every release psycopg 3.
drop_unknown_packages()
{
    local p kept=()
    for p in "${MISSING[@]}"; do
        case $p in
            libclang-rt-dev | python3-psycopg | *-plproxy | *-cron | *-partman)
                apt-cache show "$p" >/dev/null 2>&1 || continue
                ;;
        esac
        kept+=("$p")
    done
    MISSING=("${kept[@]}")
}

# setup_machine GROUP...: PostgreSQL and everything that the groups need is there
# afterwards, or the script has said what is missing and ended.
setup_machine()
{
    find_pg
    [ -n "$PG_MAJOR" ] || setup_default_major
    [ "$PG_MAJOR" -ge "$FLAKE_MIN_MAJOR" ] ||
        die "PostgreSQL $PG_MAJOR is too old, flake needs $FLAKE_MIN_MAJOR or later" \
            "With several versions installed, PG_CONFIG=/path/to/pg_config chooses."
    setup_packages "$@"
}

# setup_packages GROUP...: the same, where PostgreSQL itself is not needed.
setup_packages()
{
    list_missing "$@"
    [ ${#MISSING[@]} -gt 0 ] || return 0
    ! is_debian || ! can_be_root || apt_update
    ! is_debian || drop_unknown_packages
    [ ${#MISSING[@]} -gt 0 ] || return 0
    install_missing
    PG_CONFIG=${PG_CONFIG:-${PG_MAJOR:+/usr/lib/postgresql/$PG_MAJOR/bin/pg_config}}
    find_pg
    list_missing "$@"
    drop_unknown_packages
    [ ${#MISSING[@]} -eq 0 ] || die "still missing after the installation: ${MISSING[*]}"
}

setup_default_major()
{
    is_debian || die "no PostgreSQL found" \
        "Install PostgreSQL $FLAKE_MIN_MAJOR or later with its development files," \
        "GNU make and a C compiler, and set PG_CONFIG to its pg_config."
    ! can_be_root || apt_update
    PG_MAJOR=$(default_major)
    [ -n "$PG_MAJOR" ] || die "no PostgreSQL found, and apt knows no package \"postgresql\""
}

install_missing()
{
    local packages="${MISSING[*]}"
    case ${PG_BINDIR:-/usr/lib/postgresql/} in
        /usr/lib/postgresql/*) ;;
        *)
            [[ $packages != *postgresql-* ]] ||
                die "the PostgreSQL of $PG_CONFIG is not complete" \
                    "Needed: $PG_BINDIR/postgres and $("$PG_CONFIG" --pgxs)"
            ;;
    esac
    is_debian || die "missing: $packages (names of Debian's packages)" \
        "This system has no apt-get: install what corresponds to them, then try again."
    can_be_root || die "missing packages: $packages" \
        "Installing them needs root, or sudo without a password:" \
        "apt-get install $packages"
    apt_install "${MISSING[@]}"
}

# ------------------------------------------------------- a directory of our own

# Everything that a run makes is in one directory below /tmp (a socket's path must
# stay below 107 bytes, so $TMPDIR is not asked).
make_workdir()
{
    WORK=$(mktemp -d /tmp/flake.XXXXXX)
    # The traps come first, so that nothing is left whatever happens next.
    trap clean_workdir EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    mkdir "$WORK/home" "$WORK/tmp"
    chmod 755 "$WORK"
    give_to_tester "$WORK/home" "$WORK/tmp"
}

give_to_tester() { [ "$EUID" -ne 0 ] || chown -R "$(tester):" "$@"; }

# processes_in PREFIX: those whose current directory begins with it.  A server's is its data
# directory, so below $WORK these are ours and nobody else's.
processes_in()
{
    local p cwd
    for p in /proc/[0-9]*; do
        cwd=$(readlink "$p/cwd" 2>/dev/null) || continue
        case $cwd in
            "$1"*) [ "${p#/proc/}" = $$ ] || echo "${p#/proc/}" ;;
        esac
    done
}

# stop_processes_in PREFIX: first as PostgreSQL's immediate shutdown, which lets a postmaster
# take away its shared memory, then for good.
stop_processes_in()
{
    local signal pids
    for signal in QUIT KILL; do
        mapfile -t pids < <(processes_in "$1")
        [ ${#pids[@]} -gt 0 ] || return 0
        kill -$signal "${pids[@]}" 2>/dev/null || true
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            sleep 0.2
            [ -n "$(processes_in "$1")" ] || return 0
        done
    done
}

clean_workdir()
{
    [ -n "${WORK:-}" ] || return 0
    cd /
    stop_processes_in "$WORK/"
    if [ -n "${KEEP:-}" ]; then
        note "kept: $WORK"
    else
        rm -rf "$WORK" || { sleep 1 && rm -rf "$WORK"; }
    fi
    WORK=''
}

# ------------------------------------------------------------- build and install

# A copy, because a build by root leaves no files of root's in the checkout then, and one
# checkout serves several majors, one after the other or at once.
copy_tree()
{
    mkdir -p "$1"
    tar -C "$ROOT" -cf - --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' \
        --exclude=./results --exclude=./log --exclude=./tmp_check --exclude=./output_iso . |
        tar -C "$1" --no-same-owner -xf -
}

# build DIR MAKE-ARGUMENT...
build()
{
    local dir=$1
    shift
    make -C "$dir" -j "$(nproc)" PG_CONFIG="$PG_CONFIG" "$@"
}

# install_built DIR: root is asked for only where it is needed.
install_built()
{
    local dir=$1 target
    target=$("$PG_CONFIG" --pkglibdir)
    if [ -w "$target" ]; then
        make -C "$dir" PG_CONFIG="$PG_CONFIG" install
    elif can_be_root; then
        as_root make -C "$dir" PG_CONFIG="$PG_CONFIG" install
    else
        echo "installing into $target needs root, or sudo without a password" >&2
        return 1
    fi
}

build_and_install()
{
    copy_tree "$WORK/build"
    build "$WORK/build" && install_built "$WORK/build"
}

# ------------------------------------------------------------- throwaway servers

# new_server DIR CONFIGURATION: makes a server in DIR, whose only socket is there, and starts it.
new_server()
{
    mkdir "$1" && give_to_tester "$1" && cd "$1" &&
        as_tester "$PG_BINDIR/initdb" -D data -A trust -E UTF8 --no-locale -N -U "$(tester)" &&
        run_server "$@"
}

# run_server DIR CONFIGURATION: the same with the data directory that is in DIR.
run_server()
{
    as_tester tee -a "$1/data/postgresql.conf" <<CONF && pg_ctl "$1" start
listen_addresses = ''
unix_socket_directories = '$1'
$2
CONF
}

# pg_ctl DIR ARGUMENT...
pg_ctl() { cd "$1" && as_tester "$PG_BINDIR/pg_ctl" -D data -l log -w "${@:2}"; }

# ------------------------------------------------------------------ root directories

# The beginning of a command that runs in a root directory, with mounts and processes of its own,
# which end with it: ROOT TMP COMMAND...  TMP becomes its /tmp, and the project is in /mnt/flake.
# shellcheck disable=SC2016,SC2034 # expanded inside, used by scripts
IN_ROOT=(unshare --mount --pid --fork --kill-child --propagation private bash -c '
    set -e
    root=$0 tmp=$1
    shift
    mkdir -p "$root/mnt/flake"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mount -t proc proc "$root/proc"
    mount --bind "$tmp" "$root/tmp"
    mount --bind "$ROOT" "$root/mnt/flake"
    mount -o remount,bind,ro "$root/mnt/flake"
    exec chroot "$root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        CI="${CI:-}" FLAKE_TEST_TIMEOUT="${FLAKE_TEST_TIMEOUT:-}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"')

require_mounts()
{
    [ "$EUID" -eq 0 ] || die "needs root, for root directories and mounts"
    unshare --mount --pid --fork true 2>/dev/null ||
        die "no right to mount here (unshare failed)" "In a container, it must be a privileged one."
    export ROOT
}

# bootstrap LOG DIR SUITE MMDEBSTRAP-OPTION...: makes DIR, or nothing.  A root directory that is a few
# weeks old is as good as new: that its package lists are no longer valid is no error.
bootstrap()
{
    rm -rf "$2.new"
    mmdebstrap --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' "${@:4}" "$3" "$2.new" \
        ${FLAKE_MIRROR:+"$FLAKE_MIRROR"} >"$1" 2>&1 || { rm -rf "$2.new" && return 1; }
    rm -rf "${2:?}" && mv "$2.new" "$2"
}

# -------------------------------------------------------------- programs in Perl

# run_perl DIR COMMAND...: in $WORK/tree, as PGXS's prove_installcheck runs TAP files, with
# directories below DIR.
run_perl()
{
    local dir=$1 pgxs
    shift
    pgxs=$(dirname "$(pgxs_makefile)")
    as_tester mkdir -p "$dir"
    cd "$WORK/tree" || return 1
    TESTDIR=$dir TESTDATADIR=$dir/tmp_check TESTLOGDIR=$dir/tmp_check/log \
        PATH=$PG_BINDIR:$PATH PG_TEST_PORT_DIR=$WORK/tap/ports \
        PG_REGRESS=$pgxs/../test/regress/pg_regress PERL5LIB=$pgxs/../test/perl:$WORK/tree/test/t \
        as_tester "$@"
}
