/*
 * main.c
 *		Options, configurations, seeds and results of the simulation.
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CONFIGS 32			/* seed % MAX_CONFIGS is the configuration */

/* Rates that are not set are 0. */
static const Config configs[] =
{
	{.name = "right clock",
	.databases = 1, .turns = 250, .kill_rate = 4},
	{.name = "right clock, more sessions than ids",
	.databases = 1, .turns = 400, .crowd = true, .kill_rate = 4},
	{.name = "no slot bits: order across sessions",
		.databases = 1, .turns = 300, .no_slots = true, .step_rate = 8,
	.kill_rate = 4, .freeze_rate = 4},
	{.name = "clock is set",
		.databases = 1, .turns = 300, .step_rate = 16, .kill_rate = 4,
	.lead_rate = 4},
	{.name = "clock stands still",
	.databases = 1, .turns = 300, .freeze_rate = 16, .back_rate = 4},
	{.name = "clock jumps",
	.databases = 1, .turns = 300, .jump_rate = 8, .restart_rate = 4},
	{.name = "node id changes",
		.databases = 1, .turns = 300, .node_rate = 32, .step_rate = 4,
	.kill_rate = 2},
	{.name = "node id changes, clock is set",
	.databases = 2, .turns = 300, .node_rate = 24, .step_rate = 16},
	{.name = "restarts, two databases",
		.databases = 2, .turns = 400, .restart_rate = 8, .step_rate = 6,
	.kill_rate = 4, .node_rate = 2, .writer_rate = 16},
	{.name = "a standby takes over",
		.databases = 2, .turns = 400, .promote_rate = 8, .restart_rate = 2,
	.step_rate = 4, .writer_rate = 16},
	{.name = "others set the mark",
		.databases = 1, .turns = 400, .others_rate = 16, .kill_rate = 2,
	.writer_rate = 16},
	{.name = "others set marks, restarts",
		.databases = 2, .turns = 400, .others_rate = 12, .restart_rate = 6,
	.promote_rate = 2, .step_rate = 4, .writer_rate = 16},
	{.name = "relations are exchanged",
		.databases = 2, .turns = 400, .exchange_rate = 64, .restart_rate = 4,
	.step_rate = 4, .kill_rate = 4, .writer_rate = 16},
	{.name = "slow disk",
		.databases = 1, .turns = 400, .slow_rate = 16, .fail_rate = 16,
	.restart_rate = 4, .back_rate = 4, .writer_rate = 8},
	{.name = "ends of the layout",
		.databases = 1, .turns = 150, .ends = true, .step_rate = 12,
	.restart_rate = 2, .crowd = true},
	{.name = "cycle counter",
		.databases = 1, .turns = 500, .long_ranges = true, .freeze_rate = 1,
	.step_rate = 2, .kill_rate = 1},
	{.name = "cycle counter goes wrong",
		.databases = 1, .turns = 500, .long_ranges = true,
	.counter_rate = 8, .step_rate = 2},
	{.name = "everything at once",
		.databases = 2, .turns = 600, .step_rate = 8, .freeze_rate = 4,
		.kill_rate = 6, .restart_rate = 2, .promote_rate = 1, .node_rate = 8,
		.lead_rate = 2, .others_rate = 4, .exchange_rate = 16,
		.slow_rate = 2, .fail_rate = 8, .counter_rate = 2,
	.writer_rate = 16},
	{.name = "leases",
		.databases = 2, .turns = 400, .leases = true, .kill_rate = 4,
	.restart_rate = 4, .step_rate = 6},
	{.name = "leases, node ids by hand, others set marks",
		.databases = 2, .turns = 400, .leases = true, .kill_rate = 2,
		.restart_rate = 6, .step_rate = 4, .node_rate = 12,
		.others_rate = 6, .exchange_rate = 16, .freeze_rate = 2,
	.writer_rate = 16},
	{.name = "true time over quick starts",
		.databases = 1, .turns = 1500, .starts = true,
	.restart_rate = 16, .writer_rate = 4},
	{.name = "flushes, clock right or set back",
		.databases = 1, .turns = 6000, .flushes = true,
	.back_rate = 1, .crowd = true, .writer_rate = 16},
	{.name = "flushes, ids are made steadily",
		.databases = 1, .turns = 6000, .flushes = true, .steady = true,
	.crowd = true},
	{.name = "waits: right clock",
		.databases = 1, .turns = 1500, .prompt = true, .spread = true,
	.wait_ticks = 3},
	{.name = "waits: clock set back",
		.databases = 1, .turns = 1500, .prompt = true, .spread = true,
	.back_rate = 4, .wait_ticks = 4},
	{.name = "waits: clock stands still",
		.databases = 1, .turns = 1500, .prompt = true, .spread = true,
	.freeze_rate = 4, .wait_ticks = 3},
	{.name = "waits: restarts",
		.databases = 2, .turns = 1500, .prompt = true, .spread = true,
	.restart_rate = 4, .wait_ticks = 6},
	{.name = "waits: any home slots",
	.databases = 1, .turns = 1500, .prompt = true, .wait_ticks = 50},
};

/* Processor time, so that a busy machine runs as many schedules. */
static double
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Run a configuration for some time; true if nothing failed. */
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
	printf("usage: sim [--base N] [--seconds S] [--config TEXT] [--exhaustive] [--quick] | --seed N | --list\n");
}

int
main(int argc, char **argv)
{
	uint64		base = 1;
	double		seconds = 40;
	const char *only = NULL;
	bool		quick = false;	/* stop at the first failure */
	bool		exhaustive = false;
	bool		ok = true;
	int			chosen = 0;

	for (int i = 1; i < argc; i++)
	{
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--quick") == 0)
			quick = true;
		else if (strcmp(argv[i], "--exhaustive") == 0)
			exhaustive = true;
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

	if (exhaustive)
		return search_all(only, quick) ? 0 : 1;
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
