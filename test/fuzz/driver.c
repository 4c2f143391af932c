/*
 * driver.c
 *		A replacement for libFuzzer: feeds a target with given inputs and with
 *		random changes of them.
 *
 *	driver SECONDS SEED FILE...
 *
 * If it crashes, the last input is in the file "last-input" of the current
 * directory.
 */
#include "fuzz.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define MAX_INPUTS	256
#define MAX_SIZE	2048

typedef struct Input
{
	size_t		size;
	uint8_t		data[MAX_SIZE];
} Input;

static Input inputs[MAX_INPUTS];
static int	ninputs = 0;
static Input current;
static uint64 state;

static uint64
next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static size_t
below(size_t n)
{
	return n == 0 ? 0 : (size_t) (next_random() % n);
}

/* The sanitizers also end the program by SIGABRT. */
static void
save_input(int signum)
{
	FILE	   *file = fopen("last-input", "wb");

	if (file != NULL)
	{
		fwrite(current.data, 1, current.size, file);
		fclose(file);
	}
	signal(signum, SIG_DFL);
	raise(signum);
}

static void
insert(size_t at, const uint8_t *bytes, size_t size)
{
	size = Min(size, MAX_SIZE - current.size);
	memmove(current.data + at + size, current.data + at, current.size - at);
	memcpy(current.data + at, bytes, size);
	current.size += size;
}

static void
mutate(void)
{
	size_t		at = below(current.size + 1);
	size_t		size = below(current.size - at + 1);
	uint8_t		byte = (uint8_t) next_random();
	const Input *other = &inputs[below(ninputs)];
	size_t		from = below(other->size);

	switch (next_random() % 6)
	{
		case 0:					/* change a byte */
			if (at < current.size)
				current.data[at] = byte;
			break;
		case 1:					/* increment or decrement a digit */
			if (at < current.size)
				current.data[at] += next_random() % 2 ? 1 : -1;
			break;
		case 2:					/* insert a byte */
			insert(at, &byte, 1);
			break;
		case 3:					/* remove a piece */
			memmove(current.data + at, current.data + at + size,
					current.size - at - size);
			current.size -= size;
			break;
		case 4:					/* insert a piece of another input */
			insert(at, other->data + from, below(other->size - from + 1));
			break;
		case 5:					/* flip a bit */
			if (at < current.size)
				current.data[at] ^= 1 << byte % 8;
			break;
	}
}

static void
read_input(const char *name)
{
	FILE	   *file = fopen(name, "rb");

	if (file == NULL || ninputs == MAX_INPUTS)
		return;
	inputs[ninputs].size = fread(inputs[ninputs].data, 1, MAX_SIZE, file);
	ninputs++;
	fclose(file);
}

int
main(int argc, char **argv)
{
	time_t		end = time(NULL) + atoi(argv[1]);
	uint64		runs = 0;

	state = strtoull(argv[2], NULL, 10) | 1;
	for (int i = 3; i < argc; i++)
		read_input(argv[i]);
	if (ninputs == 0)
		ninputs = 1;			/* the empty one */
	signal(SIGABRT, save_input);
	signal(SIGALRM, save_input);

	while (runs % 1024 != 0 || time(NULL) < end)
	{
		uint8_t    *exact;

		current = inputs[runs < (uint64) ninputs ? runs : below(ninputs)];
		if (runs >= (uint64) ninputs)
			for (size_t n = 1 + below(8); n > 0; n--)
				mutate();

		/* of exactly its size, so that a read beyond the end is noticed */
		exact = malloc(current.size);
		memcpy(exact, current.data, current.size);
		alarm(10);				/* an endless loop is a crash, too */
		LLVMFuzzerTestOneInput(exact, current.size);
		free(exact);
		runs++;
	}
	printf("stat::number_of_executed_units: %llu\n", (unsigned long long) runs);
	return 0;
}
