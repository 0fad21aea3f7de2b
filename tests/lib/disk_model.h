/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a disk may hold, sector by sector, while it is read and written from several
 * queues at once.
 *
 * A sector is atomic, and nothing larger: of two writes at the same time each sector
 * has one or the other. It has the versions that a write may have left. One is out of
 * the question once a write has ended that began after it had: a read that begins
 * later must not see it. Time is counted in beginnings and ends as the driver sees
 * them: a request begins before it is published and ends when its used entry is seen.
 *
 * A write, and one of zeroes, replaces what was there. A discard may or may not:
 * VIRTIO leaves the content open, but no disk under test makes something up, so the
 * sector has what it had, or zeroes. Where nobody knows what is written it is anything,
 * until another write ends or the disk is read back.
 */
#ifndef TESTS_DISK_MODEL_H
#define TESTS_DISK_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define DISK_SECTOR 512

struct disk_version;

struct disk_model {
	uint64_t sectors;
	/* What it held at first, which is what a sector without versions holds. */
	const unsigned char *initial;
	struct disk_version **versions;
	uint64_t clock;
	/* No request that began before this one is out. */
	uint64_t floor;
};

enum disk_op { DISK_WRITE, DISK_ZERO, DISK_DISCARD, DISK_ANYTHING };

/* The bytes are kept, not copied. */
void disk_init(struct disk_model *d, const void *initial, uint64_t sectors);
void disk_free(struct disk_model *d);

/* One step of time, as a request begins or ends; returns when. */
uint64_t disk_tick(struct disk_model *d);
/* No request is out now. */
void disk_idle(struct disk_model *d);

/*
 * A request changes a sector, from now on until it ends: for good, or perhaps not at
 * all. The owner is whoever asks; it ends what it has begun. The bytes are those of a
 * DISK_WRITE.
 */
void disk_begin(struct disk_model *d, const void *owner, enum disk_op op, uint64_t sector,
		const void *bytes);
void disk_end(struct disk_model *d, const void *owner, uint64_t sector, bool done);
/* What a request that is out writes to a sector is not known after all. */
void disk_forget(struct disk_model *d, const void *owner, uint64_t sector);

/* Writes it at once, when nobody else does. */
void disk_put(struct disk_model *d, uint64_t sector, const void *bytes);

/* May a read that began then find this? */
bool disk_may_read(const struct disk_model *d, uint64_t sector, const void *bytes,
		   uint64_t since);

/* What is wrong with these bytes of a sector that may not be that: where they are from. */
const char *disk_explain(const struct disk_model *d, uint64_t sector, const void *bytes);

/*
 * Sectors as they are while no request is out. Returns what is wrong with them; from
 * then on each holds what it was found to hold.
 */
const char *disk_read_back(struct disk_model *d, uint64_t sector, uint64_t n,
			   const unsigned char *bytes);

#endif
