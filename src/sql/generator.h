/*
 * generator.h
 *		Generators: a name for a layout.
 */
#ifndef FLAKE_GENERATOR_H
#define FLAKE_GENERATOR_H

#include "postgres.h"

#include "fmgr.h"

#include "server/compat.h"
#include "core/refill.h"
#include "core/layout.h"

#define FLAKE_DEFAULT_GENERATOR	"default"

/* The table of generators, and its columns that matter here. */
#define FLAKE_GENERATOR_RELATION	"flake_generator"
#define FLAKE_GENERATOR_NAME		1
#define FLAKE_GENERATOR_LAYOUT		2

/*
 * A generator as this backend knows it.  It stays where it is as long as the
 * backend lives, so its address may be kept; "valid" says whether it still is
 * what the table says.
 */
typedef struct FlakeGenerator
{
	char		name[NAMEDATALEN];	/* hash key; must be first */
	size_t		name_length;
	bool		valid;
	bool		has_last;		/* has given out an id in this process */
	int64		last_id;
	FlakeSession *session;		/* NULL until ids are wanted */
	FlakeLayout layout;
} FlakeGenerator;

extern void flake_generator_init(void);
extern void flake_generator_parse_layout(const char *text, size_t length,
										 FlakeLayout *layout);
extern FlakeGenerator *flake_generator(const char *name, size_t length);
extern FlakeGenerator *flake_default_generator(void);
extern const FlakeLayout *flake_default_layout(void);
extern FlakeGenerator *flake_generator_again(FlakeGenerator *generator);
extern FlakeSession *flake_generator_session(FlakeGenerator *generator,
											 const char *function);

/* Is this the generator of that name, and does it still hold? */
static inline bool
flake_generator_is(const FlakeGenerator *generator, const text *name)
{
	size_t		length = VARSIZE_ANY_EXHDR(name);

	return generator->valid && generator->name_length == length &&
		memcmp(generator->name, VARDATA_ANY(name), length) == 0;
}

#endif							/* FLAKE_GENERATOR_H */
