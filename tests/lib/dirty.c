// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dirty.h"
#include "tap.h"

static uint64_t *map_new(const struct dirty *d)
{
	return check_ok(mmap(NULL, d->words * sizeof(uint64_t), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static void map_free(const struct dirty *d, uint64_t *map)
{
	check_ok(munmap(map, d->words * sizeof(uint64_t)));
}

struct dirty dirty_new(struct vdev *dev)
{
	struct dirty d = { .dev = dev };
	uint64_t end = 0;

	for (unsigned int i = 0; i < dev->mem.nregions; i++)
		if (dev->mem.region[i].gpa + dev->mem.region[i].size > end)
			end = dev->mem.region[i].gpa + dev->mem.region[i].size;
	d.words = (end / GUEST_PAGE + 63) / 64;
	d.seen = map_new(&d);
	return d;
}

static void set_base(struct dirty *d, uint64_t *map)
{
	uint64_t base = (uintptr_t)map;

	check_ok(vdev_request(d->dev, VHOST_SET_LOG_BASE, &base));
}

/* In the order in which QEMU does it. */
static void set_logging(struct dirty *d, bool on)
{
	uint64_t bit = BIT(VHOST_F_LOG_ALL);

	d->dev->features = on ? d->dev->features | bit : d->dev->features & ~bit;
	check_ok(vdev_set_features(d->dev, d->dev->features));
	for (unsigned int i = 0; i < d->dev->nvqs; i++) {
		d->dev->vqs[i]->log_used = on;
		check_ok(vq_set_addr(d->dev->vqs[i]));
	}
}

void dirty_start(struct dirty *d)
{
	d->live = map_new(d);
	memset(d->seen, 0, d->words * sizeof(uint64_t));
	set_base(d, d->live);
	set_logging(d, true);
	d->on = true;
}

void dirty_stop(struct dirty *d)
{
	set_logging(d, false);
	dirty_sync(d);
	map_free(d, d->live);
	d->live = NULL;
	d->on = false;
}

void dirty_sync(struct dirty *d)
{
	for (uint64_t i = 0; i < d->words; i++)
		if (d->live[i])
			d->seen[i] |= __atomic_exchange_n(&d->live[i], 0, __ATOMIC_SEQ_CST);
}

void dirty_move(struct dirty *d)
{
	uint64_t *before = d->live, *after = map_new(d);

	set_base(d, after);
	dirty_sync(d);
	d->live = after;
	map_free(d, before);
}

bool dirty_has(const struct dirty *d, uint64_t gpa)
{
	uint64_t page = gpa / GUEST_PAGE, bit = 1ull << page % 64;

	return (d->seen[page / 64] | __atomic_load_n(&d->live[page / 64], __ATOMIC_SEQ_CST)) & bit;
}
