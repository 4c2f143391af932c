/*
 * layout.h
 *		What the bits of an id mean: the pure part of flake.
 *
 * A layout says which bits of a 63-bit id hold which field, how long a tick
 * is and when tick 0 began.  Everything here is arithmetic on its arguments:
 * no shared memory, no settings, no clock, no error reporting, no memory
 * allocation, so that the same code serves SQL functions, the issuing code,
 * the simulation and the fuzzers.
 *
 * Vocabulary, used everywhere in flake:
 *
 *	tick		the unit of an id's time; tick 0 begins at the layout's epoch
 *	node		the server, from flake.node_id
 *	slot		one of a server's lanes for issuing; see issue.h
 *	sequence	the number within one tick and slot
 *	field		a named run of bits; every field that is not time, slot or
 *				sequence is a part of the node id, most significant part first
 *
 * The default layout, most significant bit first:
 *
 *----------
 *	 63  62                    22 21        14 13    8 7          0
 *	+---+------------------------+------------+-------+------------+
 *	| 0 |  time: 41              | node: 8    |slot: 6|sequence: 8 |
 *	+---+------------------------+------------+-------+------------+
 *		 ms since 2025-01-01 UTC
 *----------
 */
#ifndef FLAKE_LAYOUT_H
#define FLAKE_LAYOUT_H

#include "postgres.h"

#define FLAKE_ID_BITS			63	/* bit 63 would make a bigint negative */
#define FLAKE_MAX_FIELDS		FLAKE_ID_BITS	/* a field has at least a bit */
#define FLAKE_FIELD_NAME_MAX	31	/* bytes of a field's name */
#define FLAKE_MAX_NODE_BITS		31	/* to read: node_id is an int */
#define FLAKE_MAX_SEQUENCE_BITS 31	/* to read: sequence is an int */
#define FLAKE_MAX_SLOT_BITS		31	/* to read: slot is an int */
#define FLAKE_MAX_ISSUE_NODE_BITS 22	/* for a generator */
#define FLAKE_MAX_ISSUE_SLOT_BITS 12	/* for a generator: 64 bytes each */
#define FLAKE_MAX_ISSUE_TICK_US INT64CONST(1000000) /* for a generator: 1 s */
#define FLAKE_MAX_TICK_US		INT64CONST(86400000000)	/* a day */

/* The longest text form: every field a one-bit node part, plus options. */
#define FLAKE_LAYOUT_TEXT_MAX \
	(FLAKE_MAX_FIELDS * (FLAKE_FIELD_NAME_MAX + 4) + 80)

/* The layout that generator "default" has unless a row overrides it. */
#define FLAKE_DEFAULT_LAYOUT_NAME "flake"

typedef enum FlakeFieldKind
{
	FLAKE_FIELD_TIME,
	FLAKE_FIELD_NODE,			/* a part of the node id */
	FLAKE_FIELD_SLOT,
	FLAKE_FIELD_SEQUENCE,
} FlakeFieldKind;

typedef struct FlakeField
{
	char		name[FLAKE_FIELD_NAME_MAX + 1];
	FlakeFieldKind kind;
	uint8		bits;			/* 1 .. 63 */
	uint8		shift;			/* position of its lowest bit in the id */
} FlakeField;

/*
 * A layout, ready for use.  A missing field has 0 bits.
 */
typedef struct FlakeLayout
{
	int64		epoch_us;		/* start of tick 0, microseconds since 1970 */
	int64		tick_us;		/* length of a tick in microseconds, >= 1 */
	uint8		time_bits;
	uint8		time_shift;		/* = number of bits below the time */
	uint8		node_bits;		/* all parts of the node together */
	uint8		slot_bits;
	uint8		slot_shift;
	uint8		seq_bits;
	uint8		seq_shift;
	uint8		nfields;
	FlakeField	fields[FLAKE_MAX_FIELDS];	/* most significant first */
} FlakeLayout;

/*
 * Why a layout's text was refused: a whole primary message and optional
 * detail and hint in PostgreSQL's style.
 */
typedef struct FlakeLayoutError
{
	char		message[256];
	char		detail[256];	/* may be empty */
	char		hint[256];		/* may be empty */
} FlakeLayoutError;

/* How a conversion between id or time and tick can end. */
typedef enum FlakeRange
{
	FLAKE_IN_RANGE,
	FLAKE_BEFORE,				/* below the lowest value that fits */
	FLAKE_AFTER,				/* above the highest value that fits */
} FlakeRange;

extern bool flake_layout_parse(const char *text, size_t len,
							   FlakeLayout *layout, FlakeLayoutError *error);
extern size_t flake_layout_format(const FlakeLayout *layout,
								  char *buf, size_t size);
extern bool flake_layout_issuable(const FlakeLayout *layout,
								  FlakeLayoutError *error);
extern FlakeRange flake_layout_tick_at(const FlakeLayout *layout,
									   int64 unix_us, int64 *tick);
extern FlakeRange flake_layout_tick_start(const FlakeLayout *layout,
										  int64 tick, int64 *unix_us);
extern FlakeRange flake_layout_tick_at_pg(const FlakeLayout *layout,
										  int64 pg_us, int64 *tick);
extern FlakeRange flake_layout_tick_start_pg(const FlakeLayout *layout,
											 int64 tick, int64 *pg_us);
extern int64 flake_layout_node(const FlakeLayout *layout, int64 id);
extern int64 flake_layout_node_bits_of(const FlakeLayout *layout, int64 node);

/* The number of values that a field of so many bits has, minus one. */
static inline int64
flake_mask(int bits)
{
	return (int64) ((UINT64CONST(1) << bits) - 1);
}

static inline int64
flake_layout_max_tick(const FlakeLayout *layout)
{
	return flake_mask(layout->time_bits);
}

static inline int64
flake_layout_max_node(const FlakeLayout *layout)
{
	return flake_mask(layout->node_bits);
}

/* Bits in use: an id above this mask (or below 0) is none of the layout. */
static inline int64
flake_layout_max_id(const FlakeLayout *layout)
{
	return flake_mask(layout->time_bits + layout->time_shift);
}

static inline bool
flake_layout_has(const FlakeLayout *layout, int64 id)
{
	return id >= 0 && id <= flake_layout_max_id(layout);
}

static inline int64
flake_layout_tick(const FlakeLayout *layout, int64 id)
{
	return id >> layout->time_shift;
}

static inline int64
flake_layout_slot(const FlakeLayout *layout, int64 id)
{
	return (id >> layout->slot_shift) & flake_mask(layout->slot_bits);
}

static inline int64
flake_layout_sequence(const FlakeLayout *layout, int64 id)
{
	return (id >> layout->seq_shift) & flake_mask(layout->seq_bits);
}

/* The lowest and the highest id of a tick. */
static inline int64
flake_layout_min_id(const FlakeLayout *layout, int64 tick)
{
	return (int64) ((uint64) tick << layout->time_shift);
}

static inline int64
flake_layout_max_id_of(const FlakeLayout *layout, int64 tick)
{
	return flake_layout_min_id(layout, tick) | flake_mask(layout->time_shift);
}

#endif							/* FLAKE_LAYOUT_H */
