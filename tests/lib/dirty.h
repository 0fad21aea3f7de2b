/* SPDX-License-Identifier: GPL-2.0 */
/* The dirty log of a device: a bit for each of the guest's pages, as a VMM keeps it. */
#ifndef TESTS_DIRTY_H
#define TESTS_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

#include "vring.h"

struct dirty {
	struct vdev *dev;
	/* What the device writes, and what was taken out of it or lies in earlier ones. */
	uint64_t *live, *seen;
	uint64_t words;
	bool on;
};

/* For a device that has its memory. */
struct dirty dirty_new(struct vdev *dev);
/* On: with a map that is empty. Off: the map is not there any more when it returns. */
void dirty_start(struct dirty *d);
void dirty_stop(struct dirty *d);
/* Another map in the place of the one that is used, which is not there any more. */
void dirty_move(struct dirty *d);
/* Takes the bits that are set, as a VMM does before it sends the pages. */
void dirty_sync(struct dirty *d);
/* Was the page of that address written since the start? */
bool dirty_has(const struct dirty *d, uint64_t gpa);

#endif
