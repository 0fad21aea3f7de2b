/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What must come of a split virtqueue (VIRTIO 2.7) whose device obeys: which chains it
 * takes, in which order, what they are, where it stops, and which used entries it owes.
 * The chains are parsed here, as they are published, by nobody else's code.
 */
#ifndef TESTS_RING_MODEL_H
#define TESTS_RING_MODEL_H

#include <linux/virtio_ring.h>

#include "memory_model.h"

/* A chain that is out. */
struct ring_chain {
	struct ring_chain *next;
	uint16_t head;
	/* Its index in the available ring. */
	uint16_t place;
	/* What is readable comes first. */
	unsigned int nout, nin;
	uint64_t out_len, in_len;
	/* Stretches of memory: that are read, and written. */
	uint64_t reads, writes;
	/*
	 * Another one that was out with it writes what this one reads or writes, or reads
	 * what this one writes; or two of its own pieces are in one place.
	 */
	bool shared;
	/* Of whoever knows what is in the buffers; freed with the chain. */
	void *request;
	struct memory_piece piece[];
};

struct ring_model {
	struct memory_model *memory;
	unsigned int num;
	const struct vring_desc *desc;
	const struct vring_avail *avail;
	const struct vring_used *used;
	/* The next chain to take; the next used entry to come. */
	uint16_t taken, seen;
	/* The device must stop over the chain at @taken, or the index that leads there. */
	bool stops;
	/* Chains that are out, the newest one first. */
	struct ring_chain *out;
	unsigned int nout;
};

/* A ring whose device has taken, and used, so many. Nothing is out. */
void ring_model_init(struct ring_model *r, struct memory_model *memory, unsigned int num,
		     const struct vring_desc *desc, const struct vring_avail *avail,
		     const struct vring_used *used);
void ring_model_start(struct ring_model *r, uint16_t taken, uint16_t seen);

/*
 * The next chain that the device takes when the driver sets the available index to
 * this; NULL: there is none, or the device must stop.
 */
struct ring_chain *ring_model_take(struct ring_model *r, uint16_t avail_idx);
/* The device must stop over the chain that was taken last: it cannot be answered. */
void ring_model_refuse(struct ring_model *r, struct ring_chain *chain);

/*
 * Looks at the next used entry. Returns what is wrong with it, or NULL: then *chain is
 * the one that it ends, for the caller to judge and to free, or NULL, none has come.
 */
const char *ring_model_used(struct ring_model *r, struct ring_chain **chain, uint32_t *len);
void ring_chain_free(struct ring_chain *chain);

/*
 * All that have come: @end, if there is one, judges each chain with its used length and says
 * what is wrong, or NULL; at the first that is, this ends and returns it.
 */
const char *ring_model_collect(struct ring_model *r, const char *(*end)(void *model,
			       const struct ring_chain *chain, uint32_t len), void *model);

/*
 * The device was stopped, and says that it has taken all chains before this index.
 * Returns what is wrong with that: these have used entries, and no other ones.
 */
const char *ring_model_drained(const struct ring_model *r, uint16_t base);
/* It goes on there: over what it stopped at before it may stop again. */
void ring_model_resume(struct ring_model *r, uint16_t base);

/* Bytes of a chain one after the other: of the readable ones, or of the writable ones. */
struct ring_cursor {
	const struct memory_piece *piece;
	unsigned int left;
	uint32_t offset;
};

struct ring_cursor ring_readable(const struct ring_chain *chain);
struct ring_cursor ring_writable(const struct ring_chain *chain);
/* The next so many, where they lie if that is in one place, else copied to @copy. */
const unsigned char *ring_bytes(struct ring_cursor *c, unsigned char *copy, uint32_t len);
/* Are the next so many as they were? */
bool ring_untouched(struct ring_cursor *c, uint64_t len);
/* What was written to a chain's buffers is right. */
void ring_accept(const struct ring_chain *chain);

#endif
