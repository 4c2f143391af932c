/*
 * fuzz.h
 *		What the fuzz targets share: the entry point that libFuzzer and the
 *		plain driver call, and an assertion that always is on.
 */
#ifndef FLAKE_FUZZ_H
#define FLAKE_FUZZ_H

#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>

/* libc's: the server's are not linked. */
#undef fprintf
#undef printf
#undef snprintf

#define REQUIRE(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/*
 * The input as memory of exactly its size, so that a read beyond its end is
 * seen; libFuzzer already gives it so.
 */
extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif							/* FLAKE_FUZZ_H */
