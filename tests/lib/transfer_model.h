/* SPDX-License-Identifier: GPL-2.0 */
/* Data on their way between a chain's buffers and a disk, for models of devices. */
#ifndef TESTS_TRANSFER_MODEL_H
#define TESTS_TRANSFER_MODEL_H

#include "disk_model.h"
#include "ring_model.h"

/* Sectors, all of which are on the disk. */
struct span {
	uint64_t sector;
	uint32_t sectors;
};

/* A request changes them; the cursor is at the data of a DISK_WRITE. */
void transfer_begin(struct disk_model *d, const void *owner, enum disk_op op,
		    const struct span *s, struct ring_cursor *from);
void transfer_end(struct disk_model *d, const void *owner, const struct span *s, bool done);
void transfer_forget(struct disk_model *d, const void *owner, const struct span *s);

/* Is what the cursor is at what a read that began then may have found? Or what is wrong. */
const char *transfer_judge_read(const struct disk_model *d, const struct span *s,
				struct ring_cursor *at, uint64_t since);

#endif
