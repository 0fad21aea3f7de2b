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
 *   - memory at GEN_CANARY is only named by readable ones, and lies so far from the
 *     rest that no change of few bits leads there;
 *   - writes, and ranges, go to the end of the disk: a sector that is changed, or a
 *     length, is still there or past the end;
 *   - headers and tables, status bytes, and data have regions of their own, and
 *     what is written to each cannot run over into another;
 *   - all data consist of bytes from 0x80 on: taken for a descriptor or a header,
 *     they name nothing that exists.
 */
#ifndef TESTS_GENERATOR_H
#define TESTS_GENERATOR_H

#include "blk.h"

#define GEN_DATA 0x50000000ull
#define GEN_DATA_BYTES (2ull << 20)
#define GEN_META 0x48000000ull
#define GEN_STATUS 0x60000000ull
#define GEN_META_BYTES (64ull << 10)
#define GEN_STATUS_BYTES (64ull << 10)
#define GEN_CANARY 0x7f8000000000ull
#define GEN_CANARY_BYTES (256ull << 10)

#define GEN_DISK_MB 16
#define GEN_DISK_SECTORS 0x8000u
/* Of the disk, what may be written. */
#define GEN_FIRST_SECTOR 0x6000u

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
	uint64_t hdr_gpa, status_gpa, table_gpa, ranges_gpa;
	struct virtio_blk_outhdr *hdr;
	struct virtio_blk_discard_write_zeroes *ranges;
	uint8_t *status;
	struct vring_desc *table;
	/* The request that is there: its descriptors, and what must come of it. */
	struct vring_desc *used[2 * GEN_HALF];
	unsigned int nused;
	uint8_t want;
};

struct gen {
	struct vq *vq;
	uint64_t random;
	struct gen_slot slot[GEN_SLOTS];
};

/* Adds the regions of all of them. Before the device starts. */
void gen_add_memory(struct guest *g);
/* Bytes of which each is 0x80 or more. */
void gen_fill(void *at, size_t len, uint64_t seed);

void gen_init(struct gen *gen, struct vq *vq);
/* What follows is chosen by this. The slots are as before the first request. */
void gen_seed(struct gen *gen, uint64_t seed);
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
