/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random requests, most of them good, for a ring that gets nothing else; and what
 * spoils them. All that is chosen follows from a seed.
 *
 * What a device may touch is known however a request is spoilt, torn or read half
 * old and half new, so that whoever looks can tell a wrong write:
 *
 *   - descriptors and table entries have fixed places for readable and for
 *     writable ones, and only the latter have VRING_DESC_F_WRITE, ever;
 *   - each place for a request has a region of its own for data, and a part of
 *     another one for the status: no change of few bits leads from one to the other,
 *     so that what a queue is spoilt with writes to no memory of another queue;
 *   - so have a queue's headers and tables: a change that the second thread takes back
 *     when there is another request already leads to none of another queue, whose
 *     writes go elsewhere;
 *   - memory at GEN_CANARY is only named by readable descriptors, and lies as far;
 *   - writes, and ranges, go to the end of the disk, or to the part of it that is the
 *     queue's in this round: a sector that is changed, or a length, is still there or
 *     behind it;
 *   - all data consist of bytes from 0x80 on, or are zero: taken for a descriptor or a
 *     header, they name nothing that exists, or ask for nothing.
 */
#ifndef TESTS_GENERATOR_H
#define TESTS_GENERATOR_H

#include "blk.h"

/* So far apart are the slots of all queues, which is a stretch of memory_model.h. */
#define GEN_STRIDE 0x10000ull
#define GEN_MOST_QUEUES 4
#define GEN_MOST_SLOTS (GEN_MOST_QUEUES * GEN_SLOTS)
#define GEN_DATA 0x50000000ull
#define GEN_DATA_BYTES 0x8000ull
#define GEN_STATUS 0x60000000ull
#define GEN_STATUS_BYTES (GEN_MOST_SLOTS * GEN_STRIDE)
/* In stretches that no slot has. What a queue has there is so far from another's. */
#define GEN_META_STRIDE 0x40000ull
#define GEN_META 0x48280000ull
#define GEN_META_BYTES (64ull << 10)
#define GEN_CANARY 0x7f8000200000ull
#define GEN_CANARY_BYTES (256ull << 10)

#define GEN_DISK_MB 16
#define GEN_DISK_SECTORS 0x8000u
/* Of the disk, what may be written: all of it, its first half, and its end. */
#define GEN_FIRST_SECTOR 0x6000u
#define GEN_WRITABLE_BITS 13
#define GEN_HALF_BITS 12
#define GEN_LAST_SECTOR 0x7c00u
#define GEN_LAST_BITS 10

/* What the driver must have accepted, and the disk must have. */
#define GEN_FEATURES (BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))
#define GEN_RANGES 4

/* A ring's descriptors are dealt out to so many requests. */
#define GEN_SLOTS 8
#define GEN_HALF 8
#define GEN_RING (GEN_SLOTS * 2 * GEN_HALF)

struct gen_slot {
	/* The places: 8 descriptors to read, 8 to write, and a table of the same. */
	uint16_t first;
	uint64_t data_gpa, hdr_gpa, status_gpa, table_gpa, ranges_gpa;
	struct virtio_blk_outhdr *hdr;
	struct virtio_blk_discard_write_zeroes *ranges;
	uint8_t *status;
	struct vring_desc *table;
	/* The request that is there: its descriptors. */
	struct vring_desc *used[2 * GEN_HALF];
	unsigned int nused;
};

/* A part of the disk: 1 << bits sectors, from a multiple of that on. */
struct gen_zone {
	uint32_t first;
	unsigned int bits;
};

struct gen {
	struct vq *vq;
	uint64_t random;
	struct gen_zone zone;
	struct gen_slot slot[GEN_SLOTS];
};

/* Adds the regions of all of them. Before the device starts. */
void gen_add_memory(struct guest *g);
/* A region's index, of what devices read only; of the data of a queue's slot. */
unsigned int gen_canary_region(void);
unsigned int gen_status_region(void);
unsigned int gen_data_region(unsigned int queue, unsigned int slot);
/* Bytes of which each is 0x80 or more. */
void gen_fill(void *at, size_t len, uint64_t seed);

void gen_init(struct gen *gen, struct vq *vq);
/*
 * What follows is chosen by this, and goes to that part of the disk. The slots are as
 * before the first request.
 */
void gen_seed(struct gen *gen, uint64_t seed, struct gen_zone zone);
/* Writes a good request to the slot's places, and its head to the avail ring. */
void gen_request(struct gen *gen, unsigned int slot);
/* Spoils what gen_request() put there last, in one place. */
void gen_spoil(struct gen *gen, unsigned int slot);

/*
 * A change that may be made while the device is looking, and taken back: bits of a
 * word. False when the slot has nothing to change.
 */
struct gen_flip {
	void *at;
	unsigned int size;
	uint64_t bits;
};

bool gen_flip(struct gen *gen, unsigned int slot, uint64_t *random, struct gen_flip *flip);
void gen_apply(const struct gen_flip *flip);

#endif
