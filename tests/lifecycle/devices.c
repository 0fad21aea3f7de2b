// SPDX-License-Identifier: GPL-2.0
/* The disk under the device fails, vanishes, or becomes another. */
#include <fcntl.h>
#include <stdio.h>
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
