// SPDX-License-Identifier: GPL-2.0
/* The guest's memory exchanged, or taken away, while the device works on it. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "load.h"
#include "tap.h"

#define DATA_GPA 0x80000000ull
#define DATA_SIZE (4ull << 20)

struct scene {
	struct blk blk;
	struct load load;
	const char *lower;
	/* The region of the data, as the device knows it. */
	struct guest_region *data;
};

/* Rings, headers and status bytes lie in region 0, data in region 1. */
static struct scene scene_start(unsigned int n, unsigned int offset)
{
	struct scene s = { .lower = nullb_new(&(struct nullb){}) };

	s.blk = blk_prepare(&(struct blk_setup){ .path = slow_disk_over(s.lower, SLOW_DISK_MS) });
	guest_add(s.blk.mem, DATA_GPA, DATA_SIZE);
	s.data = &s.blk.mem->region[1];
	vdev_start(s.blk.dev);
	s.load = load_new_at(s.blk.vq, n, LOAD_BYTES, 1, offset);
	load_prefill(&s.load, s.lower, 31);
	return s;
}

static void *other_memory(void)
{
	void *p = mmap(NULL, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);

	check(p != MAP_FAILED, "mmap: %m");
	memset(p, BLK_UNTOUCHED, DATA_SIZE);
	return p;
}

/* Row 11 of the bug list. */
TEST(old_memory_untouched_after_set_mem_table)
{
	struct scene s = scene_start(32, 0);
	void *old = s.data->hva;
	struct snapshot snapshot;

	loads_put_all(&s.load, 1, false, 0);
	check(load_in_flight(&s.load), "nothing is in flight: the test shows nothing");
	s.data->hva = other_memory();
	check_ok(vdev_set_mem_table(s.blk.dev));
	snapshot = snapshot_take(old, DATA_SIZE);
	loads_check_drained(&s.load, 1);
	snapshot_check(&snapshot, SLOW_DISK_MS + 200, "the old memory");
	/* What was read before lies there, and nowhere else. */
	memcpy(s.data->hva, old, DATA_SIZE);
	check(!munmap(old, DATA_SIZE), "munmap: %m");
	load_finish(&s.load);
	loads_put_all(&s.load, 1, false, 0);
	load_finish(&s.load);
}

/* A table that cannot be is refused, and all goes on with the one there was. */
TEST(refused_mem_table_changes_nothing)
{
	struct scene s = scene_start(8, 0);
	void *good = s.data->hva;

	loads_put_all(&s.load, 1, false, 0);
	s.data->hva = (void *)(~0ul << 12);
	check_errno(vdev_set_mem_table(s.blk.dev), EFAULT);
	s.data->hva = good;
	load_finish(&s.load);
	loads_put_all(&s.load, 1, false, 0);
	load_finish(&s.load);
}

/* The table goes round while requests come and go. */
TEST_LIMIT(set_mem_table_many_times_under_load, 60)
{
	const char *path = nullb_new(&(struct nullb){ .delay_ms = 3 });
	struct blk blk = load_start(path, 4);
	uint64_t end = now_ms() + stress_ms(5000);
	struct load l[4];
	unsigned int round;

	for (unsigned int i = 0; i < 4; i++)
		l[i] = load_new(blk.dev->vqs[i], 8);
	for (round = 0; round < 100 && now_ms() < end; round++) {
		for (unsigned int i = 0; i < 4; i++)
			load_put_all(&l[i], true, 1000 * round + 100 * i);
		for (unsigned int k = 0; k < 3; k++)
			check_ok(vdev_set_mem_table(blk.dev));
		loads_finish(l, 4);
	}
	for (unsigned int i = 0; i < 4; i++)
		load_check_disk(&l[i], path);
	diag("%u rounds", round);
}

/* The pages of a read in flight are pinned: the read ends well, in nobody's. */
TEST(munmap_with_reads_in_flight)
{
	struct scene s = scene_start(16, 0);

	loads_put_all(&s.load, 1, false, 0);
	check(load_in_flight(&s.load), "nothing is in flight: the test shows nothing");
	check(!munmap(s.data->hva, DATA_SIZE), "munmap: %m");
	for (unsigned int i = 0; i < s.load.n; i++) {
		vq_get(s.blk.vq);
		s.load.slots[i].busy = false;
	}
	for (unsigned int i = 0; i < s.load.n; i++)
		check_eq(*load_status(&s.load, &s.load.slots[i]), VIRTIO_BLK_S_OK);
}

static const struct {
	const char *name;
	unsigned int offset;
	bool write;
} holes[] = {
	{ "read", 0, false }, { "write", 0, true },
	{ "bounced_read", 1, false }, { "bounced_write", 1, true },
};

static void put_blind(struct load *l, bool write)
{
	struct load_slot *s = &l->slots[0];
	struct virtio_blk_outhdr h = {
		.type = htole32(write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN),
	};
	struct seg segs[] = {
		{ s->meta, BLK_HEADER, false }, { s->gpa, l->bytes, !write },
		{ s->meta + BLK_HEADER, 1, true },
	};

	memcpy(guest_ptr(&l->vq->dev->mem, s->meta, BLK_HEADER), &h, BLK_HEADER);
	*load_status(l, s) = BLK_NO_STATUS;
	vq_submit(l->vq, segs, 3, VQ_DIRECT);
}

/* Memory that the table names and the owner does not have: an I/O error. */
TEST_PATHS(request_in_unmapped_memory, holes)
{
	struct scene s = scene_start(1, v->offset);
	long pins = pages_pinned();
	unsigned char before[LOAD_BYTES], after[LOAD_BYTES];

	device_read(s.lower, 0, before, sizeof(before));
	check(!munmap(s.data->hva, DATA_SIZE), "munmap: %m");
	put_blind(&s.load, v->write);
	vq_get(s.blk.vq);
	check_eq(*load_status(&s.load, &s.load.slots[0]), VIRTIO_BLK_S_IOERR);
	device_read(s.lower, 0, after, sizeof(after));
	check_same(after, before, sizeof(after), "the disk");
	check_eq(pages_pinned(), pins);
	/* The queue goes on. */
	s.data->hva = other_memory();
	check_ok(vdev_set_mem_table(s.blk.dev));
	load_put_all(&s.load, false, 0);
	load_finish(&s.load);
}

/* A bounced read finds its buffer gone when the data has come. */
TEST(munmap_with_bounced_reads_in_flight)
{
	struct scene s = scene_start(8, 1);

	loads_put_all(&s.load, 1, false, 0);
	check(load_in_flight(&s.load), "nothing is in flight: the test shows nothing");
	check(!munmap(s.data->hva, DATA_SIZE), "munmap: %m");
	for (unsigned int i = 0; i < s.load.n; i++)
		vq_get(s.blk.vq);
	for (unsigned int i = 0; i < s.load.n; i++)
		check_eq(*load_status(&s.load, &s.load.slots[i]), VIRTIO_BLK_S_IOERR);
}
