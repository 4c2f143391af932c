/*
 * layout.h
 *		Layouts: what the bits of an id mean.
 *
 * The functions here are pure: they use their arguments and nothing else, no
 * shared memory, settings, clock, error reporting or memory allocation.  So SQL
 * functions, the simulation and the fuzzers can all use them.
 *
 * Vocabulary:
 *
 *	layout		which bits of a 63-bit id hold which field, how long a tick is,
 *				and when tick 0 began
 *	field		a named run of bits: "time", "slot", "sequence", or, with any
 *				other name, a part of the node
 *	epoch		when tick 0 began
 *	tick		the unit of an id's time, counted from the epoch
 *	node		the server: all its parts together, most significant first
 *	part		a field of the node.  A free part holds bits of the server's node
 *				id (flake.node_id); a fixed part has the value that the layout
 *				gives it
 *	slot		one of the server's counters; the one that an id was taken from
 *	lane		the slots that a session keeps to when others get in its way
 *	sequence	the number within one tick and slot
 *	preset		a layout that has a name
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

#define FLAKE_ID_BITS			63	/* bit 63 would make a bigint negative */
#define FLAKE_FIELD_NAME_MAX	31	/* bytes of a field's name */
#define FLAKE_MAX_TICK_US		INT64CONST(86400000000) /* a day */

/* SQL functions show node, slot and sequence as integers */
#define FLAKE_MAX_NODE_BITS		31
#define FLAKE_MAX_SLOT_BITS		31
#define FLAKE_MAX_SEQUENCE_BITS 31

/* Lower limits for layouts that issue ids, and do not only read them */
#define FLAKE_MAX_ISSUE_NODE_BITS 22
#define FLAKE_MAX_ISSUE_SLOT_BITS 12	/* a slot takes 64 bytes of memory */
#define FLAKE_MAX_ISSUE_TICK_US INT64CONST(1000000) /* a second */

/* Time, slot, sequence, and parts of the node that have one bit each. */
#define FLAKE_MAX_FIELDS		(3 + FLAKE_MAX_NODE_BITS)

/* The longest text form: all fields, each as long as possible, and options. */
#define FLAKE_LAYOUT_TEXT_MAX \
	(FLAKE_MAX_FIELDS * (FLAKE_FIELD_NAME_MAX + sizeof(":31=2147483647 ")) + 80)

/* A timestamptz counts from 2000-01-01, 10957 days after the Unix epoch. */
#define FLAKE_PG_EPOCH_US		(10957 * INT64CONST(86400000000))

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
	bool		fixed;			/* true only for a part of the node */
	int64		value;			/* value of a fixed part, else 0 */
} FlakeField;

/*
 * A parsed layout.  A missing field has 0 bits.
 */
typedef struct FlakeLayout
{
	int64		epoch_us;		/* start of tick 0, microseconds since 1970 */
	int64		tick_us;		/* length of a tick in microseconds, >= 1 */
	uint8		time_bits;
	uint8		time_shift;		/* the number of bits below the time */
	uint8		node_bits;		/* of all parts of the node together */
	uint8		free_node_bits; /* of the parts that are not fixed */
	uint8		slot_bits;
	uint8		slot_shift;
	uint8		seq_bits;
	uint8		seq_shift;
	uint8		nfields;
	int64		fixed_id;		/* an id with only the fixed parts set */
	FlakeField	fields[FLAKE_MAX_FIELDS];	/* most significant first */
} FlakeLayout;

/*
 * Why a layout was refused: a primary message, and perhaps a detail and a hint,
 * in PostgreSQL's style.
 */
typedef struct FlakeLayoutError
{
	char		message[256];
	char		detail[256];	/* may be empty */
	char		hint[256];		/* may be empty */
} FlakeLayoutError;

/* The result of a conversion between time and tick. */
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
extern size_t flake_layout_format_full(const FlakeLayout *layout,
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
extern int64 flake_layout_node_part(const FlakeLayout *layout, int64 node);

/* The highest value of a field with this many bits. */
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

/* The highest node id that fits the free parts of the node. */
static inline int64
flake_layout_max_node(const FlakeLayout *layout)
{
	return flake_mask(layout->free_node_bits);
}

/* The highest number that slot and sequence together can have. */
static inline int64
flake_layout_max_number(const FlakeLayout *layout)
{
	return flake_mask(layout->slot_bits + layout->seq_bits);
}

/* The highest id of the layout, with every bit set that it uses. */
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

/* The lowest and the highest id of a tick, fixed parts disregarded. */
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
