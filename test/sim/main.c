/*
 * main.c
 *		Options, configurations, seeds and results of the simulation.
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CONFIGS 32			/* a seed tells the configuration */

/* All other rates are 0. */
static const Config configs[] =
{
	{.name = "right clock",
		.databases = 1, .turns = 250, .crash_rate = 4},
	{.name = "right clock, more sessions than ids",
		.databases = 1, .turns = 400, .crowd = true, .crash_rate = 4},
	{.name = "no slot bits: order across sessions",
		.databases = 1, .turns = 300, .no_slots = true, .step_rate = 8,
		.crash_rate = 4, .freeze_rate = 4},
	{.name = "clock is set",
		.databases = 1, .turns = 300, .step_rate = 16, .crash_rate = 4},
	{.name = "clock stands still",
		.databases = 1, .turns = 300, .freeze_rate = 16, .back_rate = 4},
	{.name = "node id changes",
		.databases = 1, .turns = 250, .node_rate = 32, .step_rate = 4,
		.crash_rate = 2},
	{.name = "restarts, two databases",
		.databases = 2, .turns = 400, .restart_rate = 8, .step_rate = 6,
		.crash_rate = 4},
	{.name = "restores, two databases",
		.databases = 2, .turns = 400, .restore_rate = 8, .restart_rate = 4,
		.step_rate = 4},
	{.name = "ends of the layout",
		.databases = 1, .turns = 150, .ends = true, .step_rate = 12,
		.restart_rate = 2, .crowd = true},
	{.name = "clock is given up, ids refused",
		.databases = 1, .turns = 400, .step_rate = 16, .reset_rate = 64,
		.crash_rate = 2},
	{.name = "clock is given up, two databases",
		.databases = 2, .turns = 400, .step_rate = 16, .reset_rate = 64,
		.restart_rate = 2},
	{.name = "clock is given up at any time",
		.databases = 1, .turns = 300, .step_rate = 12, .reset_rate = 24,
		.crash_rate = 2, .restart_rate = 2, .restore_rate = 2,
		.reset_any_time = true},
	{.name = "cycle counter",
		.databases = 1, .turns = 500, .long_ranges = true, .freeze_rate = 1,
		.step_rate = 2, .crash_rate = 1},
	{.name = "cycle counter goes wrong",
		.databases = 1, .turns = 500, .long_ranges = true,
		.counter_rate = 8, .step_rate = 2},
	{.name = "everything at once",
		.databases = 2, .turns = 600, .step_rate = 8, .freeze_rate = 4,
		.crash_rate = 6, .restart_rate = 2, .node_rate = 8,
		.restore_rate = 2, .counter_rate = 2},
	{.name = "waits: right clock",
		.databases = 1, .turns = 1500, .prompt = true, .spread = true,
		.wait_ticks = 3},
	{.name = "waits: clock set back",
		.databases = 1, .turns = 1500, .prompt = true, .spread = true,
		.back_rate = 4, .wait_ticks = 3},
	{.name = "waits: clock stands still",
		.databases = 1, .turns = 1500, .prompt = true, .spread = true,
		.freeze_rate = 4, .wait_ticks = 3},
	{.name = "waits: restarts",
		.databases = 2, .turns = 1500, .prompt = true, .spread = true,
		.restart_rate = 4, .wait_ticks = 6},
	{.name = "waits: any home slots",
		.databases = 1, .turns = 1500, .prompt = true, .wait_ticks = 50},
};

/* Of processor time, so that a busy machine is no excuse. */
static double
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* True: no failure. */
static bool
run_config(int number, uint64 base, double seconds, bool stop_at_once)
{
	const Config *config = &configs[number];
	double		until = seconds_now() + seconds;
	uint64		schedules = 0;
	uint64		ids = 0;
	double		longest = 0;

	while (seconds_now() < until)
	{
		for (int i = 0; i < 20; i++)
		{
			uint64		seed = (base + schedules) * MAX_CONFIGS + number;

			run_schedule(config, seed, false);
			schedules++;
			ids += world.nids;
			longest = Max(longest, (double) world.longest_wait_us /
						  world.layout.tick_us);
			if (!world.failed)
				continue;
			printf("not ok - %s\n#   seed %llu: %s\n", config->name,
				   (unsigned long long) seed, world.failure);
			fflush(stdout);
			return false;
		}
	}
	if (!stop_at_once)
	{
		printf("ok - %s\n#   %llu schedules, %llu ids", config->name,
			   (unsigned long long) schedules, (unsigned long long) ids);
		if (config->wait_ticks > 0)
			printf(", longest wait %.2f ticks", longest);
		printf("\n");
		fflush(stdout);
	}
	return true;
}

static void
usage(void)
{
	printf("usage: sim [--base N] [--seconds S] [--config TEXT] [--quick] | --seed N | --list\n");
}

int
main(int argc, char **argv)
{
	uint64		base = 1;
	double		seconds = 40;
	const char *only = NULL;
	bool		quick = false;	/* end with the first failure */
	bool		ok = true;
	int			chosen = 0;

	for (int i = 1; i < argc; i++)
	{
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--quick") == 0)
			quick = true;
		else if (strcmp(argv[i], "--list") == 0)
		{
			for (int c = 0; c < (int) lengthof(configs); c++)
				printf("%s\n", configs[c].name);
			return 0;
		}
		else if (strcmp(argv[i], "--base") == 0 && ++i < argc)
			base = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--seconds") == 0 && ++i < argc)
			seconds = strtod(value, NULL);
		else if (strcmp(argv[i], "--config") == 0 && ++i < argc)
			only = value;
		else if (strcmp(argv[i], "--seed") == 0 && ++i < argc)
		{
			uint64		seed = strtoull(value, NULL, 10);

			if (seed % MAX_CONFIGS >= lengthof(configs))
			{
				fprintf(stderr, "no schedule has this seed\n");
				return 2;
			}
			run_schedule(&configs[seed % MAX_CONFIGS], seed, true);
			printf("%s - %s\n", world.failed ? "not ok" : "ok",
				   world.config->name);
			return world.failed ? 1 : 0;
		}
		else
		{
			usage();
			return 2;
		}
	}

	for (int c = 0; c < (int) lengthof(configs); c++)
		chosen += only == NULL || strstr(configs[c].name, only) != NULL;
	for (int c = 0; c < (int) lengthof(configs); c++)
	{
		if (only != NULL && strstr(configs[c].name, only) == NULL)
			continue;
		ok = run_config(c, base, seconds / chosen, quick) && ok;
		if (!ok && quick)
			break;
	}
	return ok ? 0 : 1;
}
