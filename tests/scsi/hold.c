// SPDX-License-Identifier: GPL-2.0
/* Commands whose data is in huge pages that stay pinned; lifecycle/hold has the rest. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "load.h"
#include "scsi.h"
#include "tap.h"

#define DATA_GPA 0x80000000ull
#define DATA_BYTES (4 * HUGE_PAGE)

/* As QEMU has a guest's. */
static unsigned char *memory(void)
{
	unsigned char *p = huge_memory(DATA_BYTES, BLK_UNTOUCHED);

	check(!madvise(p, DATA_BYTES, MADV_DONTFORK), "madvise: %m");
	return p;
}

/* One command of 64 KiB, its data anywhere in the memory. */
static void do_io(struct vq *vq, bool write, uint32_t lba, uint64_t offset)
{
	struct scsi_io io = write ? scsi_write10(lba, 128, DATA_GPA + offset) :
				    scsi_read10(lba, 128, DATA_GPA + offset);

	scsi_do(vq, &io);
}

static const struct {
	const char *name;
	bool direct;
} ways[] = { { "short_way", true }, { "long_way", false } };

TEST_PATHS_LIMIT(held_pages_move_the_same_data, ways, 60)
{
	const char *disk = nullb_new(&(struct nullb){});
	struct vdev *dev = scsi_start(scsi_target_with(&(struct scsi_lun){ .path = disk }), 1, 64,
				      SCSI_FEATURES);
	uint64_t end = now_ms() + patience(10000);
	unsigned char *p = memory(), want[65536];
	long pins = pages_pinned();
	struct vq *vq;

	scsi_set_direct(v->direct);
	guest_add_at(&dev->mem, DATA_GPA, DATA_BYTES, p);
	vdev_start(dev);
	vq = scsi_queue(dev, 0);
	while (!pinned_kib()) {
		check(now_ms() < end, "no page is held");
		for (unsigned int i = 0; i < 64; i++)
			do_io(vq, false, 0, i * 65536);
	}
	for (unsigned int i = 0; i < 32; i++) {
		/* Over the border of two huge pages, and in the middle of small ones. */
		uint64_t from = HUGE_PAGE - 65536 + i * 2048, to = 2 * HUGE_PAGE - 512 * i;

		fill(want, sizeof(want), i);
		memcpy(p + from, want, sizeof(want));
		do_io(vq, true, i * 128, from);
		memset(p + to, 0, sizeof(want));
		do_io(vq, false, i * 128, to);
		check_same(p + to, want, sizeof(want), "read");
	}
	check(pinned_kib(), "no page is held any more");
	check_ok(scsi_clear_endpoint(dev, SCSI_WWPN));
	check_eq(pinned_kib(), 0);
	check_unpinned(pins, 1000);
}
