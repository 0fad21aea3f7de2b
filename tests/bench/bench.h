/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A closed loop of reads or writes over lanes: each keeps the same number of requests
 * under way, and sends as many again as have come back. What a lane is, a vring or a
 * part of an io_uring, its engine knows.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "vring.h"

#define BENCH_LANES 256
#define BENCH_DEPTH 1024
#define BENCH_HUGE_PAGE (2ull << 20)

/* In whole huge pages, as a guest has its memory. */
static inline uint64_t bench_whole_pages(uint64_t bytes)
{
	return (bytes + BENCH_HUGE_PAGE - 1) / BENCH_HUGE_PAGE * BENCH_HUGE_PAGE;
}

struct bench;

struct lane {
	struct bench *bench;
	unsigned int index;
	/* Which the next request is, or what it is drawn from. */
	uint64_t next;
	/* Of the device's blocks, of the bench's size, how many there are. */
	uint64_t blocks;
	/* With vrings. */
	struct vq *vq;
	uint64_t slots_gpa;
	uint8_t *slots;
};

struct engine {
	const char *name;
	/* What --device is, for the usage. */
	const char *device;
	/* Makes the lanes of b->paths. */
	void (*start)(struct bench *b);
	/* Readies a request in the slot; submit() sends what was put. */
	void (*put)(struct lane *lane, unsigned int slot, uint64_t block);
	void (*submit)(struct lane *lane);
	/* Waits until something has come back; puts the lanes to look at into ready. */
	unsigned int (*wait)(struct bench *b, struct lane **ready);
	/* Which slots have come back, in any order; fails unless all is well. */
	unsigned int (*reap)(struct lane *lane, uint16_t *slots);
	/* How long, in ms, until all that it makes once for many requests is there; or 0. */
	unsigned int settles_ms;
	/* Makes a part of the lanes one to wait for; NULL: they cannot be parted. */
	void (*watch)(struct bench *part);
};

struct bench {
	const struct engine *engine;
	char **paths;
	unsigned int devices, vqs, depth;
	uint32_t bytes;
	bool write, random;
	unsigned int poll_us;
	bool log, pi;
	/* A thread and a worker for each lane, on a CPU of their own. */
	bool threads;
	/* Wait for a line on stdin before and after what is measured. */
	bool pause;
	uint64_t ios, warm_up;

	struct lane lanes[BENCH_LANES];
	unsigned int nlanes;
	int epoll;
	uint64_t waits, done;
};

/* The calling thread, and workers that it makes, run on this CPU from now on. */
void bench_run_on(unsigned int cpu);

extern const struct engine engine_none, engine_vhost_blk, engine_vhost_scsi,
	engine_vhost_user_blk, engine_io_uring;

#endif
