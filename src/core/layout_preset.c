/*
 * layout_preset.c
 *		The layouts that have a name.
 *
 * flake's own come first, then those of other software, taken from its source
 * code or documentation.  A preset must never change, because stored ids are
 * parsed with it and defaults of columns name it.  Where the other software uses
 * the sign bit for the time, the preset has one time bit less, and negative ids
 * are out of range.  Where its bits can be configured, the preset has its
 * defaults.
 */
#include "postgres.h"

#include "core/layout_text.h"

const LayoutPreset flake_layout_presets[] =
{
	/* The default: 256 servers, 64 lanes, 16,384 ids per ms and server. */
	{"flake", "time:41 node:8 slot:6 sequence:8"},

	/* 41/10/12 as Twitter's snowflakes; the slot is taken from the sequence. */
	{"classic", "time:41 node:10 slot:5 sequence:7"},

	/* Below 2^53, so JavaScript's numbers are exact. */
	{"js", "time:41 node:5 slot:2 sequence:5"},

	/* 64 servers, 65,536 ids per ms and server. */
	{"wide", "time:41 node:6 slot:6 sequence:10"},

	/* As the default, but without slots: ids increase across all sessions. */
	{"ordered", "time:41 node:8 sequence:14"},

	/*
	 * Timeshard, timeshard/generator.py.  Its epoch is 12:52:13 UTC (its
	 * comment says 00:00:00).  Node bits 1..16, sequence 22 - node bits.
	 */
	{"timeshard", "time:41 node:10 sequence:12 epoch=1702385533000"},

	/*
	 * EasyFlake 0.3.1, easyflake/easyflake.py.  The time has the rest of the
	 * 64 bits; time_scale sets ticks of 1us to 1s.
	 */
	{"easyflake", "time:47 node:8 sequence:8 epoch=1675859040000"},

	/* Snowfall 1.0.7, snowfall/main.py.  The counter is above the node. */
	{"snowfall", "time:40 sequence:11 node:12 epoch=1577836800000"},

	/*
	 * pyflake, main.py.  It has no default epoch: this one is in its
	 * examples.
	 */
	{"pyflake", "time:41 seed:5 pid:5 sequence:12 epoch=1555301520000"},

	/* Hazelcast FlakeIdGeneratorProxy.java.  The sequence is above the node. */
	{"hazelcast", "time:41 sequence:6 node:16 epoch=1514764800000"},

	/* Twitter's snowflake.  The node is a data centre and a worker. */
	{"twitter", "time:41 datacenter:5 worker:5 sequence:12 epoch=1288834974657"},

	/* Discord developer documentation, "Snowflakes". */
	{"discord", "time:41 worker:5 process:5 sequence:12 epoch=1420070400000"},

	/* Instagram, "Sharding & IDs at Instagram".  The node is a shard. */
	{"instagram", "time:40 node:13 sequence:10 epoch=1314220021721"},

	/* Sonyflake v1, sonyflake.go.  The sequence is above the machine id. */
	{"sonyflake", "time:39 sequence:8 node:16 epoch=1409529600000 tick=10ms"},

	/* Sonyflake v2, v2/sonyflake.go: another default epoch. */
	{"sonyflake2", "time:39 sequence:8 node:16 epoch=1735689600000 tick=10ms"},

	/*
	 * Mastodon, lib/mastodon/snowflake.rb.  Not exact: its low bits are not a
	 * counter, and it rounds the time to the nearest millisecond.
	 */
	{"mastodon", "time:47 sequence:16 epoch=0"},

	/* pgEdge snowflake.c since version 1.2. */
	{"pgedge", "time:41 node:10 sequence:12 epoch=1672531200000"},

	/* pgEdge before 1.2, as in the examples of its documentation. */
	{"pgedge_old", "time:41 sequence:12 node:10 epoch=1672531200000"},

	/* pgflake, pgflake.c.  Its clock runs up to 998 s ahead. */
	{"pgflake", "time:41 node:10 sequence:12 epoch=1314220021721"},

	/* tsid-creator.  Node bits 0..20, counter 22 - node bits. */
	{"tsid", "time:41 node:10 sequence:12 epoch=1577836800000"},

	/*
	 * CockroachDB unique_rowid(), pkg/sql/sem/builtins.  Not exact: it
	 * exclusive-ors the node into the time, so nodes above 32767 flip bits of
	 * the time.
	 */
	{"cockroachdb", "time:48 node:15 epoch=1420070400000 tick=10us"},
};

const int	flake_layout_preset_count = lengthof(flake_layout_presets);
