// SPDX-License-Identifier: GPL-2.0
#include "transfer_model.h"
#include "verdict.h"

void transfer_begin(struct disk_model *d, const void *owner, enum disk_op op,
		    const struct span *s, struct ring_cursor *from)
{
	unsigned char copy[DISK_SECTOR];
	const unsigned char *bytes = NULL;

	for (uint32_t i = 0; i < s->sectors; i++) {
		if (op == DISK_WRITE)
			bytes = ring_bytes(from, copy, DISK_SECTOR);
		disk_begin(d, owner, op, s->sector + i, bytes);
	}
}

void transfer_end(struct disk_model *d, const void *owner, const struct span *s, bool done)
{
	for (uint32_t i = 0; i < s->sectors; i++)
		disk_end(d, owner, s->sector + i, done);
}

void transfer_forget(struct disk_model *d, const void *owner, const struct span *s)
{
	for (uint32_t i = 0; i < s->sectors; i++)
		disk_forget(d, owner, s->sector + i);
}

const char *transfer_judge_read(const struct disk_model *d, const struct span *s,
				struct ring_cursor *at, uint64_t since)
{
	unsigned char copy[DISK_SECTOR];
	const unsigned char *bytes;

	for (uint32_t i = 0; i < s->sectors; i++) {
		bytes = ring_bytes(at, copy, DISK_SECTOR);
		if (!disk_may_read(d, s->sector + i, bytes, since))
			return wrong("a read of %u sectors from %llu: %s", s->sectors,
				     (unsigned long long)s->sector,
				     disk_explain(d, s->sector + i, bytes));
	}
	return NULL;
}
