# flake: build and install by PGXS.
#
#   make                       build for the PostgreSQL of the pg_config in PATH
#   make PG_CONFIG=/path/...   build for another one
#   make install               install (may need root)
#   make installcheck          pg_regress, isolation and TAP tests against a
#                              running server; ./check needs none and runs more
#   make bench                 the benchmarks, on a throwaway server
#   make dist                  the archive for PGXN, of the last commit
#   make WERROR=1              every warning is an error (what ./check does)
#   make FLAKE_CLOCK=system   read the clock for every id (see src/core/counter.h)
#   make with_llvm=no          no bitcode for JIT inlining (done by itself where
#                              the clang that PostgreSQL was built with is missing)
#
# "make -f /path/to/Makefile" builds in another directory.

# As PGXS finds it, which is included too late for the lists below.
srcdir := $(or $(VPATH),$(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST)))))

# The files of a directory of the source tree, named from its top.
files = $(patsubst $(srcdir)/%,%,$(sort $(wildcard $(addprefix $(srcdir)/,$(1)))))

EXTENSION = flake flake_registry
MODULE_big = flake
PGFILEDESC = "flake - unique 64-bit ids, ordered by time"

OBJS = $(patsubst %.c,%.o,$(call files,src/core/*.c src/server/*.c src/sql/*.c))

# libpq is linked by a library of its own, which only the lease worker loads.
MODULES = flake_libpq

# The install scripts and, later, the upgrade scripts.
DATA = $(call files,flake--*.sql) $(call files,flake_registry--*.sql)

# Every test file stands alone, so the order of their names is as good as any.
REGRESS = $(patsubst sql/%.sql,%,$(call files,sql/*.sql))

# pg_isolation_regress looks for specs/ and expected/ below its input directory.
ISOLATION = $(patsubst test/specs/%.spec,%,$(call files,test/specs/*.spec))
ISOLATION_OPTS = --inputdir=$(srcdir)/test

TAP_TESTS = 1
PROVE_TESTS = $(wildcard $(srcdir)/test/t/*.pl)

# The control file is the one place where the version stands.
FLAKE_VERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(srcdir)/flake.control)
PG_CPPFLAGS := -I$(srcdir)/src -DFLAKE_VERSION=\"$(FLAKE_VERSION)\"

# A developer's choice: FLAKE_CLOCK=system reads the clock for every id, also
# where the processor's cycle counter could save most readings.
ifeq ($(FLAKE_CLOCK),system)
PG_CPPFLAGS += -DFLAKE_CLOCK_SYSTEM
endif

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)

# Users' compilers warn about things that ours do not know, and must not fail
# for it: only the tests turn warnings into errors.  PostgreSQL's own headers are
# taken as system headers, or theirs would count too.  A function that SQL calls
# has its arguments from a macro and often needs none.
ifdef WERROR
PG_CPPFLAGS += -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = -Wall -Wextra -Werror -Wno-unused-parameter
endif

# PostgreSQL's flags are gcc's where it was built with gcc.
ifneq (,$(findstring clang,$(CC)))
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument
endif

# Bitcode needs the very clang that PostgreSQL was built with.
PG_CLANG := $(shell sed -n 's/^CLANG *= *//p' $(dir $(PGXS))../Makefile.global)
ifeq (,$(shell command -v $(PG_CLANG)))
override with_llvm = no
endif

include $(PGXS)

# While the library is loaded, a function of ours that another of ours calls need
# not be looked for in all libraries of the server.  From PostgreSQL 16 on the
# compiler sees to that, by hiding the names.
ifneq (,$(filter linux %bsd,$(PORTNAME)))
SHLIB_LINK += -Wl,-Bsymbolic
endif

# After PGXS, which empties it: the tests' own modules.
PROVE_FLAGS += -I $(srcdir)/test/t

# PGXS knows no dependencies on headers; the sources are few and quick to build.
$(OBJS) $(OBJS:.o=.bc): $(wildcard $(srcdir)/src/*/*.h) $(srcdir)/flake.control \
	$(srcdir)/Makefile

flake_libpq.o flake_libpq.bc: src/libpq/flake_libpq.c $(wildcard $(srcdir)/src/*/*.h) \
	$(srcdir)/flake.control $(srcdir)/Makefile

flake_libpq.o: src/libpq/flake_libpq.c
	@test -e '$(includedir)/libpq-fe.h' || { echo 'libpq-fe.h is not in $(includedir): install the development files of libpq (libpq-dev, libpq-devel)' >&2; exit 1; }
	$(CC) $(CFLAGS) -I$(includedir) $(CPPFLAGS) -c -o $@ $<

flake_libpq.bc: src/libpq/flake_libpq.c
	$(COMPILE.c.bc) -I$(includedir) -o $@ $<

# PGXS links it.
flake_libpq$(DLSUFFIX): override LDFLAGS_SL += $(libpq)

# Not by a rule: VPATH would find the source tree's directories.
$(shell mkdir -p $(sort $(dir $(OBJS))))

.PHONY: bench
bench:
	PG_CONFIG='$(PG_CONFIG)' $(srcdir)/test/bench/run

# PGXN wants three numbers; META.json has them.
DIST = flake-$(shell sed -n 's/^   "version": "\(.*\)",/\1/p' $(srcdir)/META.json)
DIST_DIR = .

.PHONY: dist
dist:
	git -C $(srcdir) archive --format=zip --prefix=$(DIST)/ -o $(abspath $(DIST_DIR))/$(DIST).zip HEAD
