/*
 * atomics.h
 *		Replaces the 64-bit atomics of src/core by the model's, which know the
 *		cost of each access.  Included by -include before everything else.
 */
#ifndef FLAKE_CONTENTION_ATOMICS_H
#define FLAKE_CONTENTION_ATOMICS_H

#include "postgres.h"

#include "port/atomics.h"

extern uint64 model_read(pg_atomic_uint64 *atomic);
extern bool model_compare_exchange(pg_atomic_uint64 *atomic, uint64 *expected,
								   uint64 value);
extern uint64 model_fetch_add(pg_atomic_uint64 *atomic, int64 more);

#define pg_atomic_read_u64				model_read
#define pg_atomic_compare_exchange_u64	model_compare_exchange
#define pg_atomic_fetch_add_u64			model_fetch_add

#endif							/* FLAKE_CONTENTION_ATOMICS_H */
