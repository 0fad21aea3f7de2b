/* SPDX-License-Identifier: GPL-2.0 */
/*
 * I/O in flight, for tests of what happens to it: requests that each have a
 * place in the guest's memory and on the disk of their own, so that one that is
 * lost, doubled or torn shows.
 */
#ifndef TESTS_LOAD_H
#define TESTS_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "blk.h"

/* Bytes of a request, unless a test wants others. */
#define LOAD_BYTES 4096
#define LOAD_SEGMENT (128u * 1024)
#define LOAD_SEGMENTS 300

/* Of a slow disk whose requests must still be under way when a test does its worst. */
#define SLOW_DISK_MS (200 + patience(200))

struct load_slot {
	uint64_t gpa;		/* of the data */
	uint64_t meta;		/* header and answer */
	uint64_t sector;
	uint64_t on_disk;	/* seed of what is there, or will be */
	bool write;
	bool busy;
};

struct load;

/* What a request is, of a kind of device: a header, the data, and an answer. */
struct load_kind {
	uint32_t header, answer;
	/* Before the data that is read, not behind it. */
	bool answer_first;
	void (*put)(const struct load *l, const struct load_slot *s, void *header);
	/* As virtio-blk has it; BLK_NO_STATUS: none, all of it is as it was. */
	uint8_t (*status)(const void *answer);
};

extern const struct load_kind blk_load;

/* The requests of a queue. */
struct load {
	const struct load_kind *kind;
	struct vq *vq;
	struct load_slot *slots;
	unsigned int n;
	uint32_t bytes;
	unsigned int region;	/* of the data */
	/* In a table; at first, what has more than a segment of data is. */
	bool indirect;
	unsigned long sent, done;
	unsigned int of_head[1024];
};

/* A disk of which every request takes that long before its data moves. */
const char *slow_disk_over(const char *lower, unsigned int ms);
const char *slow_disk(unsigned int mb, unsigned int ms);
/* A device over that disk, otherwise as blk_setup has it. */
struct blk load_start(const char *path, unsigned int queues);
/* Places for n requests of that many bytes, offset bytes past a page. */
struct load load_new_of(const struct load_kind *kind, struct vq *vq, unsigned int n,
			uint32_t bytes, unsigned int region, unsigned int offset);
struct load load_new_at(struct vq *vq, unsigned int n, uint32_t bytes,
			unsigned int region, unsigned int offset);
struct load load_new(struct vq *vq, unsigned int n);
void *load_data(const struct load *l, const struct load_slot *s);
uint8_t *load_status(const struct load *l, const struct load_slot *s);

/* Adds a request to the ring; seed is what a write puts on the disk. */
void load_put(struct load *l, unsigned int i, bool write, uint64_t seed);
void load_send(struct load *l);
/* All places at once: writes, or reads. */
void load_put_all(struct load *l, bool write, uint64_t seed);
void load_check_data(const struct load *l, const struct load_slot *s);
/* A used entry came: it must be of a request that is out, and end it. */
void load_take(struct load *l, struct used u, int status);
/* Takes what is in the used ring, without waiting. */
unsigned int load_collect(struct load *l, int status);
/* Waits for all that is out. A status of -1 stands for any. */
void load_finish_as(struct load *l, int status);
void load_finish(struct load *l);
/* Waits until the device has taken all that was published. */
void load_wait_taken(const struct load *l);
/* How many the device has taken and not answered; at least, it may go down. */
unsigned int load_in_flight(const struct load *l);
/* For each of several queues. */
void loads_put_all(struct load *l, unsigned int n, bool write, uint64_t seed);
unsigned int loads_in_flight(const struct load *l, unsigned int n);
void loads_finish(struct load *l, unsigned int n);
/* All that was taken is in the used ring. */
void loads_check_drained(const struct load *l, unsigned int n);
/* What the disk holds is what was written last. */
void load_check_disk(const struct load *l, const char *path);
/* Puts onto the disk what reads are to find. */
void load_prefill(struct load *l, const char *path, uint64_t seed);

/* Loads to stop a device under. */
struct load_way {
	const char *name;
	unsigned int queues;
	bool indirect;
	unsigned int bytes, offset;
};

extern const struct load_way load_ways[6];

/*
 * Stops a device and starts it again at random points, STOPS times, from the environment,
 * or 30 times in 6 seconds: what it has taken it has answered then, what it has not taken
 * it serves later, and while it is stopped it writes nothing. With a queue for each load.
 */
void loads_stop_at_random(struct load *l, const struct load_way *way, const char *path);

/* Memory as it is, and that it stays so for a time. */
struct snapshot {
	const void *at;
	void *copy;
	size_t len;
};

struct snapshot snapshot_take(const void *at, size_t len);
void snapshot_check(const struct snapshot *s, unsigned int ms, const char *what);

/* The kernel's counts: pages that are pinned, users of the module. */
long pages_pinned(void);
/* KiB that count as pinned memory of this process. */
unsigned long pinned_kib(void);
int module_users(void);
/* The pages must be let go of within a time. */
void check_unpinned(long pins, unsigned int ms);
/* The device and the pages must be let go of within a time. */
void check_released(long pins, unsigned int ms);

/* dmsetup knows a device by its name, tests by its node /dev/dm-N. */
const char *dm_name_of(const char *path);
/* What a suspended disk is given waits, all of it and as long as it takes. */
void disk_suspend(const char *path);
void disk_resume(const char *path);
/* In the background, in half a second. */
void disk_resume_soon(const char *path);
/* Removing a device that anybody has open fails. */
void check_dm_is_free(const char *path);

#endif
