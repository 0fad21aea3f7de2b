// SPDX-License-Identifier: GPL-2.0
/*
 * vring-bench: what a request costs, with one client for every backend.
 *
 *	vring-bench --engine E [OPTION]... DEVICE...
 *
 * It prints a line for each figure, a name and a number: busy_ns_per_io (without the
 * time in which a CPU had nothing to do), ios_per_second, waits_per_io (how often the
 * client slept), and with vrings kicks_per_io and signals_per_io. Exit status: 0, 1
 * something failed, 2 wrong use.
 */
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

static const struct engine *const engines[] = {
	&engine_none, &engine_vhost_blk, &engine_vhost_scsi, &engine_vhost_user_blk,
	&engine_io_uring,
};

#define ENGINES (sizeof(engines) / sizeof(*engines))

static void usage(void)
{
	fputs("usage: vring-bench --engine E [OPTION]... DEVICE...\n"
	      "  --rw R     randread (the default), randwrite, read, write\n"
	      "  --bs N     bytes of a request (4096)\n"
	      "  --qd N     requests under way in each vq (1)\n"
	      "  --vqs N    vqs of each device (1)\n"
	      "  --ios N    requests that are measured (10000)\n"
	      "  --warm-up N  requests before that (1000)\n"
	      "  --poll-us N  vhost_blk: how long a worker looks at an empty ring\n"
	      "  --log      vhost_blk: with the dirty log of a migration on\n"
	      "  --pi       vhost_scsi: with protection information of each block\n"
	      "  --threads  a thread of this client and, with vhost, a worker for each vq, on a CPU\n"
	      "             of their own; each thread does --ios requests; one device\n"
	      "  --pause    say 'ready', wait for a line, measure, say 'done', wait for a line\n",
	      stderr);
	for (unsigned int i = 0; i < ENGINES; i++)
		fprintf(stderr, "  --engine %s: DEVICE is %s\n", engines[i]->name,
			engines[i]->device);
	exit(2);
}

static void set_engine(struct bench *b, const char *name)
{
	for (unsigned int i = 0; i < ENGINES; i++)
		if (!strcmp(engines[i]->name, name))
			b->engine = engines[i];
	if (!b->engine)
		usage();
}

static void set_rw(struct bench *b, const char *rw)
{
	b->random = !strncmp(rw, "rand", 4);
	rw += b->random ? 4 : 0;
	b->write = !strcmp(rw, "write");
	if (!b->write && strcmp(rw, "read"))
		usage();
}

static unsigned int number(const char *text, unsigned int most)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || !n || n > most)
		usage();
	return n;
}

static void options(struct bench *b, int argc, char **argv)
{
	static const struct option known[] = {
		{ "engine", 1, NULL, 'e' }, { "rw", 1, NULL, 'r' }, { "bs", 1, NULL, 'b' },
		{ "qd", 1, NULL, 'd' }, { "vqs", 1, NULL, 'q' }, { "ios", 1, NULL, 'n' },
		{ "warm-up", 1, NULL, 'w' }, { "poll-us", 1, NULL, 'p' },
		{ "log", 0, NULL, 'l' }, { "pi", 0, NULL, 'i' }, { "threads", 0, NULL, 't' },
		{ "pause", 0, NULL, 's' }, { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'e':	set_engine(b, optarg); break;
		case 'r':	set_rw(b, optarg); break;
		case 'b':	b->bytes = number(optarg, 1 << 20); break;
		case 'd':	b->depth = number(optarg, BENCH_DEPTH); break;
		case 'q':	b->vqs = number(optarg, 64); break;
		case 'n':	b->ios = number(optarg, 1u << 30); break;
		case 'w':	b->warm_up = number(optarg, 1u << 30); break;
		case 'p':	b->poll_us = number(optarg, 1u << 20); break;
		case 'l':	b->log = true; break;
		case 'i':	b->pi = true; break;
		case 't':	b->threads = true; break;
		case 's':	b->pause = true; break;
		default:	usage();
		}
	}
	b->paths = argv + optind;
	b->devices = argc - optind;
	if (!b->engine || !b->devices || b->bytes % 512 ||
	    b->devices * b->vqs > BENCH_LANES ||
	    (b->threads && (!b->engine->watch || b->devices > 1)))
		usage();
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Of all CPUs, since they came up. */
static uint64_t idle_ns(void)
{
	FILE *f = fopen("/proc/timer_list", "re");
	unsigned long long ns, sum = 0;
	char line[256];

	check(f, "/proc/timer_list: %m");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " .idle_sleeptime : %llu", &ns) == 1 ||
		    sscanf(line, " .iowait_sleeptime : %llu", &ns) == 1)
			sum += ns;
	fclose(f);
	return sum;
}

void bench_run_on(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	check_ok(sched_setaffinity(0, sizeof(set), &set));
}

static uint64_t next_block(struct lane *lane)
{
	return (lane->bench->random ? prng(&lane->next) : lane->next++) % lane->blocks;
}

static void fill_lanes(struct bench *b)
{
	for (unsigned int i = 0; i < b->nlanes; i++) {
		struct lane *lane = &b->lanes[i];

		for (unsigned int slot = 0; slot < b->depth; slot++)
			b->engine->put(lane, slot, next_block(lane));
		b->engine->submit(lane);
	}
}

/* Takes what has come back and sends as much again; how much. */
static unsigned int turn(struct lane *lane)
{
	const struct engine *engine = lane->bench->engine;
	uint16_t slots[BENCH_DEPTH];
	unsigned int n = engine->reap(lane, slots);

	for (unsigned int i = 0; i < n; i++)
		engine->put(lane, slots[i], next_block(lane));
	if (n)
		engine->submit(lane);
	return n;
}

static void run(struct bench *b, uint64_t ios)
{
	struct lane *ready[BENCH_LANES];

	b->waits = b->done = 0;
	while (b->done < ios) {
		unsigned int n = b->engine->wait(b, ready);

		b->waits++;
		for (unsigned int i = 0; i < n; i++)
			b->done += turn(ready[i]);
	}
}

static void warm_up(struct bench *b)
{
	uint64_t end;

	if (b->engine->watch)
		b->engine->watch(b);
	fill_lanes(b);
	end = now_ns() + b->engine->settles_ms * 1000000ull;
	do
		run(b, b->warm_up);
	while (now_ns() < end);
}

struct figures {
	uint64_t ns, idle_ns, kicks, signals, waits, done;
};

static void count_vqs(const struct bench *b, struct figures *f, int sign)
{
	for (unsigned int i = 0; i < b->nlanes; i++) {
		const struct vq *vq = b->lanes[i].vq;

		f->kicks += vq ? sign * vq->kicks : 0;
		f->signals += vq ? sign * vq->interrupts : 0;
	}
}

static void begin(const struct bench *b, struct figures *f)
{
	*f = (struct figures){ 0 };
	count_vqs(b, f, -1);
	f->idle_ns -= idle_ns();
	f->ns -= now_ns();
}

static void end(const struct bench *b, struct figures *f)
{
	f->ns += now_ns();
	f->idle_ns += idle_ns();
	count_vqs(b, f, 1);
}

static void add_part(const struct bench *part, struct figures *f)
{
	f->waits += part->waits;
	f->done += part->done;
}

static void report(const struct bench *b, const struct figures *f)
{
	double done = f->done;

	printf("busy_ns_per_io %.1f\n", (f->ns - f->idle_ns) / done);
	printf("ios_per_second %.0f\n", done * 1e9 / f->ns);
	printf("waits_per_io %.4f\n", f->waits / done);
	if (!b->lanes[0].vq)
		return;
	printf("kicks_per_io %.4f\n", f->kicks / done);
	printf("signals_per_io %.4f\n", f->signals / done);
}

static void pause_for_line(const struct bench *b, const char *why)
{
	char line[16];

	if (!b->pause)
		return;
	puts(why);
	fflush(stdout);
	check(fgets(line, sizeof(line), stdin), "stdin has ended");
}

static void measure(struct bench *b, struct figures *f)
{
	warm_up(b);
	pause_for_line(b, "ready");
	begin(b, f);
	run(b, b->ios);
	end(b, f);
	pause_for_line(b, "done");
	add_part(b, f);
}

/* All are under way from the one to the other. */
static pthread_barrier_t all_ready, all_done;

static void *drive(void *arg)
{
	struct bench *part = arg;

	bench_run_on(part->lanes[0].index);
	warm_up(part);
	pthread_barrier_wait(&all_ready);
	run(part, part->ios);
	pthread_barrier_wait(&all_done);
	return NULL;
}

static struct bench *part_of(const struct bench *b, unsigned int lane)
{
	struct bench *part = malloc(sizeof(*part));

	check(part, "out of memory");
	*part = *b;
	part->nlanes = 1;
	part->lanes[0] = b->lanes[lane];
	part->lanes[0].bench = part;
	return part;
}

static void measure_threads(struct bench *b, struct figures *f)
{
	struct bench *parts[BENCH_LANES];
	pthread_t threads[BENCH_LANES];

	pthread_barrier_init(&all_ready, NULL, b->nlanes + 1);
	pthread_barrier_init(&all_done, NULL, b->nlanes + 1);
	for (unsigned int i = 0; i < b->nlanes; i++) {
		parts[i] = part_of(b, i);
		check(!pthread_create(&threads[i], NULL, drive, parts[i]), "no thread");
	}
	pthread_barrier_wait(&all_ready);
	begin(b, f);
	pthread_barrier_wait(&all_done);
	end(b, f);
	for (unsigned int i = 0; i < b->nlanes; i++) {
		pthread_join(threads[i], NULL);
		add_part(parts[i], f);
		free(parts[i]);
	}
}

int main(int argc, char **argv)
{
	static struct bench b = { .devices = 1, .vqs = 1, .depth = 1, .bytes = 4096,
				  .random = true, .ios = 10000, .warm_up = 1000 };
	struct figures figures;

	options(&b, argc, argv);
	/* Threads that are made now begin here. */
	if (b.threads)
		bench_run_on(0);
	b.engine->start(&b);
	if (b.threads)
		measure_threads(&b, &figures);
	else
		measure(&b, &figures);
	report(&b, &figures);
	return 0;
}
