/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest's memory as it must be. Of some regions there is a copy: a device changes
 * them only where a chain offers it, and what it wrote there is accepted piece by
 * piece, by whoever knows that it is right.
 */
#ifndef TESTS_MEMORY_MODEL_H
#define TESTS_MEMORY_MODEL_H

#include <stdbool.h>

#include "guest.h"

struct memory_model {
	const struct guest *guest;
	/* What each region must hold; NULL: nobody asks. */
	unsigned char *was[GUEST_REGIONS];
	/* Which region an address was in the last time. */
	uint8_t hint[64];
};

/* Guest memory in one region. */
struct memory_piece {
	unsigned char *now;
	unsigned char *was;
	uint32_t len;
};

void memory_init(struct memory_model *m, const struct guest *guest);
void memory_free(struct memory_model *m);

/* From now on the region must stay as it is. */
void memory_track(struct memory_model *m, unsigned int region);

/* Where so many bytes are, in how many pieces; -1: not all of it is there, or too many. */
int memory_map(struct memory_model *m, uint64_t gpa, uint32_t len, struct memory_piece *to,
	       unsigned int max);
bool memory_read(struct memory_model *m, uint64_t gpa, void *to, uint32_t len);

/*
 * The stretches of 64 KiB that an address range is in, modulo 64, as a mask: ranges
 * whose masks have no bit in common have no byte in common.
 */
uint64_t memory_stretches(uint64_t gpa, uint32_t len);

/* What is wrong with the regions that are looked after. */
const char *memory_check(const struct memory_model *m);
/* It is right as it is. */
void memory_accept(const struct memory_piece *piece);
void memory_accept_range(struct memory_model *m, uint64_t gpa, uint32_t len);
void memory_accept_region(struct memory_model *m, unsigned int region);

#endif
