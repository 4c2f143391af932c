/*
 * fuzz.h
 *		What the fuzz targets share: the entry point, which libFuzzer or driver.c
 *		calls, and an assertion that is always on.
 */
#ifndef FLAKE_FUZZ_H
#define FLAKE_FUZZ_H

#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>

/* Use libc's, because the server's are not linked. */
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

/* The memory of the input must have exactly its size, to notice reads beyond. */
extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif							/* FLAKE_FUZZ_H */
