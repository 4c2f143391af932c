/*
 * layout_text.h
 *		What the parser of layouts shares with epochs and presets.
 *
 * Private to the layout_*.c files; other files include layout.h.
 */
#ifndef FLAKE_LAYOUT_TEXT_H
#define FLAKE_LAYOUT_TEXT_H

#include "core/layout.h"
#include "core/slice.h"

#define US_PER_MS		INT64CONST(1000)
#define US_PER_SEC		INT64CONST(1000000)
#define US_PER_MINUTE	(60 * US_PER_SEC)
#define US_PER_DAY		(86400 * US_PER_SEC)

/* The result of parsing an epoch. */
typedef enum EpochStatus
{
	EPOCH_VALID,
	EPOCH_INVALID,
	EPOCH_WITHOUT_OFFSET,		/* a timestamp in an unknown time zone */
	EPOCH_OUT_OF_RANGE,
} EpochStatus;

/* Enough for 2025-01-01T00:00:00.123456Z */
#define EPOCH_TEXT_MAX	32

/* layout_epoch.c */
extern EpochStatus flake_epoch_parse(Slice value, int64 *unix_us);
extern void flake_epoch_format(int64 unix_us, char buf[EPOCH_TEXT_MAX]);

/* layout_preset.c */
typedef struct LayoutPreset
{
	const char *name;
	const char *text;
} LayoutPreset;

extern const LayoutPreset flake_layout_presets[];
extern const int flake_layout_preset_count;

#endif							/* FLAKE_LAYOUT_TEXT_H */
