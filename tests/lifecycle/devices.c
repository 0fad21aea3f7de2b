// SPDX-License-Identifier: GPL-2.0
/* The disk under the device fails, vanishes, or becomes another. */
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"
#include "tap.h"

#define NULLB "/sys/kernel/config/nullb/vst0"
#define QUEUES 4

static void queues_of(struct blk *blk, struct load *l, unsigned int n)
{
	for (unsigned int i = 0; i < QUEUES; i++)
		l[i] = load_new(blk->dev->vqs[i], n);
}

static void finish_as(struct load *l, int status)
{
	for (unsigned int i = 0; i < QUEUES; i++)
		load_finish_as(&l[i], status);
}

static const char *error_disk(void)
{
	return dm_new("0 32768 error\\n");
}

/* All that is in flight fails, after a while. */
TEST(errors_of_requests_in_flight)
{
	struct blk blk = load_start(slow_disk_over(error_disk(), 600), QUEUES);
	struct load l[QUEUES];

	queues_of(&blk, l, 16);
	loads_put_all(l, QUEUES, true, 1);
	check(loads_in_flight(l, QUEUES), "nothing is in flight: the test shows nothing");
	finish_as(l, VIRTIO_BLK_S_IOERR);
	loads_put_all(l, QUEUES, false, 1);
	finish_as(l, VIRTIO_BLK_S_IOERR);
}

TEST(stop_waits_for_requests_that_fail)
{
	struct blk blk = load_start(slow_disk_over(error_disk(), 600), QUEUES);
	struct load l[QUEUES];

	queues_of(&blk, l, 16);
	loads_put_all(l, QUEUES, false, 1);
	vdev_stop(blk.dev);
	loads_check_drained(l, QUEUES);
	finish_as(l, VIRTIO_BLK_S_IOERR);
}

/* The device is told to go with I/O in flight: each request is answered. */
TEST(disk_vanishes_under_load)
{
	struct blk blk = load_start(nullb_new(&(struct nullb){ .delay_ms = 600 }), QUEUES);
	struct load l[QUEUES];

	queues_of(&blk, l, 16);
	loads_put_all(l, QUEUES, true, 1);
	check(loads_in_flight(l, QUEUES), "nothing is in flight: the test shows nothing");
	put_attribute(NULLB, "power", "0");
	finish_as(l, -1);
	loads_put_all(l, QUEUES, true, 1);
	finish_as(l, VIRTIO_BLK_S_IOERR);
	loads_put_all(l, QUEUES, false, 1);
	finish_as(l, VIRTIO_BLK_S_IOERR);
	vdev_stop(blk.dev);
}

/* The disk comes back as another one: exchanged for it, the device serves. */
TEST(disk_exchanged_after_it_vanished)
{
	struct blk blk = load_start(nullb_new(&(struct nullb){}), 1);
	const char *other = nullb_new(&(struct nullb){});
	struct load l = load_new(blk.vq, 8);

	put_attribute(NULLB, "power", "0");
	load_put_all(&l, true, 1);
	load_finish_as(&l, VIRTIO_BLK_S_IOERR);
	blk.dev->backend_fd = check_ok(open(other, O_RDWR | O_CLOEXEC));
	check(!blk.dev->ops->attach(blk.dev), "attach: %m");
	load_put_all(&l, true, 1);
	load_finish(&l);
	load_check_disk(&l, other);
}

/* Multipath and thin pools do so: a good table becomes one that fails. */
TEST(table_exchanged_under_load)
{
	const char *lower = nullb_new(&(struct nullb){}), *path = slow_disk_over(lower, 600);
	struct blk blk = load_start(path, QUEUES);
	struct load l[QUEUES];

	queues_of(&blk, l, 16);
	loads_put_all(l, QUEUES, true, 1);
	dm_set(path, "0 32768 error\\n");
	finish_as(l, -1);
	loads_put_all(l, QUEUES, true, 1);
	finish_as(l, VIRTIO_BLK_S_IOERR);
	dm_linear_set(path, lower, 32768);
	loads_put_all(l, QUEUES, true, 1);
	loads_finish(l, QUEUES);
	for (unsigned int i = 0; i < QUEUES; i++)
		load_check_disk(&l[i], lower);
}

/* While the disk is suspended nothing comes; nothing is lost either. */
TEST(suspended_disk_delays_the_requests)
{
	const char *path = slow_disk(16, 0);
	struct blk blk = load_start(path, QUEUES);
	unsigned int early = 0;
	struct load l[QUEUES];

	queues_of(&blk, l, 16);
	disk_suspend(path);
	for (unsigned int i = 0; i < QUEUES; i++)
		load_put_all(&l[i], true, 1);
	sleep_ms(200);
	for (unsigned int i = 0; i < QUEUES; i++)
		early += vq_used_idx(blk.dev->vqs[i]);
	/* Before anything is checked: nothing ends while it is suspended. */
	disk_resume(path);
	check_eq(early, 0);
	loads_finish(l, QUEUES);
}

/* A deferred removal waits for the device to let go, which is at its stop. */
TEST(deferred_removal_happens_at_the_stop)
{
	const char *path = slow_disk(16, 600);
	struct blk blk = load_start(path, QUEUES);
	struct load l[QUEUES];

	queues_of(&blk, l, 8);
	close(blk.fd);
	loads_put_all(l, QUEUES, true, 1);
	run_command("dmsetup --noudevsync remove --deferred %s", dm_name_of(path));
	loads_finish(l, QUEUES);
	loads_put_all(l, QUEUES, false, 1);
	check(!access(path, F_OK), "the disk has gone under the device");
	vdev_stop(blk.dev);
	for (int i = 0; !access(path, F_OK); i++) {
		check(i < 100, "the disk is still there");
		sleep_ms(20);
	}
	loads_finish(l, QUEUES);
}

/* Requests across the middle of a disk of which one half fails. */

#define HALF 16384u
#define ACROSS_BYTES (2u << 20)
/* Where one begins: a bio takes so many pages, the first one in the first half. */
#define ACROSS (HALF - 240 * GUEST_PAGE / SECTOR)
/* Each page of its data by itself, so that none follows on the one before. */
static const struct blk_layout in_pages = {
	"", .out = { BLK_HEADER }, .out_every = GUEST_PAGE, .in_every = GUEST_PAGE,
};

static const struct half {
	const char *name;
	uint32_t type;
	/* The second half; else the first. */
	bool second;
} halves[] = {
	{ "read_of_a_bad_first_half", VIRTIO_BLK_T_IN },
	{ "read_of_a_bad_second_half", VIRTIO_BLK_T_IN, true },
	{ "write_of_a_bad_first_half", VIRTIO_BLK_T_OUT },
	{ "write_of_a_bad_second_half", VIRTIO_BLK_T_OUT, true },
	{ "discard_of_a_bad_first_half", VIRTIO_BLK_T_DISCARD },
	{ "discard_of_a_bad_second_half", VIRTIO_BLK_T_DISCARD, true },
	{ "zeroes_of_a_bad_first_half", VIRTIO_BLK_T_WRITE_ZEROES },
	{ "zeroes_of_a_bad_second_half", VIRTIO_BLK_T_WRITE_ZEROES, true },
};

/* What is bad fails at once, what is good comes later. */
static const char *half_broken(bool second)
{
	const char *lower = nullb_new(&(struct nullb){ .attributes = "discard=1" });
	char table[200];

	run_command("modprobe dm_delay");
	if (second)
		snprintf(table, sizeof(table), "0 %u delay %s 0 200\\n%u %u error\\n", HALF, lower,
			 HALF, HALF);
	else
		snprintf(table, sizeof(table), "0 %u error\\n%u %u delay %s %u 200\\n", HALF, HALF,
			 HALF, lower, HALF);
	return dm_new(table);
}

TEST_V(error_of_one_half, halves)
{
	struct virtio_blk_discard_write_zeroes ranges[] = {
		{ .sector = htole64(HALF - 1024), .num_sectors = htole32(1024) },
		{ .sector = htole64(HALF), .num_sectors = htole32(1024) },
	};
	struct blk_io io = { .type = v->type, .layout = &in_pages };
	struct blk blk = blk_start(&(struct blk_setup){
		.path = half_broken(v->second), .features = BLK_FEATURES |
		BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES) });

	if (v->type == VIRTIO_BLK_T_IN) {
		io.in_len = ACROSS_BYTES;
		io.sector = ACROSS;
	} else if (v->type == VIRTIO_BLK_T_OUT) {
		io.out = calloc(1, ACROSS_BYTES);
		io.out_len = ACROSS_BYTES;
		io.sector = ACROSS;
	} else {
		io.out = ranges;
		io.out_len = sizeof(ranges);
	}
	blk_expect_len(blk.vq, &io, VIRTIO_BLK_S_IOERR, io.in_len ? 0 : 1);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN, .in_len = SECTOR,
			.sector = v->second ? 0 : HALF }, VIRTIO_BLK_S_OK);
}
