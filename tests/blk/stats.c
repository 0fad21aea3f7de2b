// SPDX-License-Identifier: GPL-2.0
/* The counters in debugfs, Documentation/statistics.md. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"
#include "tap.h"

static const struct blk_io flush = { .type = VIRTIO_BLK_T_FLUSH };

static unsigned long long stat_of(const char *name, unsigned int column)
{
	return vdev_stat(0, name, column);
}

/* Sum of a histogram's buckets from one on. */
static unsigned long long stat_sum(const char *name, unsigned int from, unsigned int to)
{
	unsigned long long sum = 0;

	while (from <= to)
		sum += stat_of(name, from++);
	return sum;
}

#define BATCH_BUCKETS 10
#define LATENCY_BUCKETS 25

TEST(requests_and_bytes_are_counted)
{
	struct blk blk = blk_start(&(struct blk_setup){ .disk.attributes = "discard=1",
		.features = BLK_FEATURES | BIT(VIRTIO_BLK_F_DISCARD) });
	struct virtio_blk_discard_write_zeroes range = { .sector = 8, .num_sectors = 8 };
	unsigned char data[8192] = { 1 };

	blk_write(blk.vq, 0, data, 8192);
	for (unsigned int i = 0; i < 3; i++)
		blk_read(blk.vq, 0, data, 4096);
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_GET_ID, .in_len = 20 },
		   VIRTIO_BLK_S_OK);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_DISCARD, .out = &range,
					     .out_len = sizeof(range) }, VIRTIO_BLK_S_OK);
	blk_expect(blk.vq, &(struct blk_io){ .type = 12345 }, VIRTIO_BLK_S_UNSUPP);
	blk_expect(blk.vq, &(struct blk_io){ .in_len = 512, .sector = 1ull << 40 },
		   VIRTIO_BLK_S_IOERR);
	vq_settle(blk.vq);

	check_eq(stat_of("write", 1), 1);
	check_eq(stat_of("write", 2), 8192);
	check_eq(stat_of("read", 1), 4);
	check_eq(stat_of("read", 2), 3 * 4096);
	check_eq(stat_of("flush", 1), 1);
	check_eq(stat_of("get_id", 1), 1);
	check_eq(stat_of("discard", 1), 1);
	check_eq(stat_of("unknown", 1), 1);
	check_eq(stat_of("status_ok", 1), 7);
	check_eq(stat_of("status_unsupp", 1), 1);
	check_eq(stat_of("status_ioerr", 1), 1);
	check_eq(stat_of("protection_errors", 1), 0);
	check_eq(stat_of("in_flight", 1), 0);
	check_eq(stat_of("breaks", 1), 0);
	check_eq(stat_sum("latency", 1, LATENCY_BUCKETS), 9);
}

/* The worker may take the request as it looks once more, before it sees the kick. */
static void flush_until_kick_is_counted(struct vq *vq)
{
	unsigned long long kicks = stat_of("kicks", 1);
	uint64_t end = now_ms() + VQ_WAIT_MS;

	blk_expect(vq, &flush, VIRTIO_BLK_S_OK);
	for (; stat_of("kicks", 1) == kicks; sleep_ms(1))
		check(now_ms() < end, "still %llu kicks", kicks);
}

/* One at a time: each is a batch, and each interrupt a signal. */
TEST(kicks_signals_and_batches_are_counted)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	unsigned long long signals;

	/* A vq is shown from its first kick on. */
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 5; i++)
		flush_until_kick_is_counted(blk.vq);
	vq_settle(blk.vq);
	check_eq(stat_of("signals", 1), 6);
	check_eq(stat_of("taken", 1), 6);
	check_eq(stat_of("pushed", 1), 6);
	check(stat_of("worker", 1) > 0, "no worker");

	blk_batch(blk.vq, &flush, 20);
	vq_settle(blk.vq);
	check_eq(stat_of("taken", 5), 1);

	vq_put_avail_flags(blk.vq, VRING_AVAIL_F_NO_INTERRUPT);
	blk.vq->no_interrupt = true;
	signals = stat_of("signals", 1);
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
	vq_settle(blk.vq);
	check_eq(stat_of("signals", 1), signals);
}

TEST(broken_queue_is_counted)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	vq_put_desc(&blk.vq->desc[0], 1ull << 60, 16, 0, 0);
	vq_put_avail(blk.vq, 0);
	vq_publish(blk.vq);
	vq_kick_always(blk.vq);
	check(event_wait(blk.vq->err, VQ_WAIT_MS), "the queue does not stop");
	vq_settle(blk.vq);
	check_eq(stat_of("breaks", 1), 1);
}

/* Some 50 ms each: in the buckets from 33 ms on. */
TEST(latency_is_that_of_the_disk)
{
	struct blk blk = load_start(slow_disk(16, 50), 1);
	struct load l = load_new(blk.vq, 8);

	load_put_all(&l, true, 1);
	load_finish(&l);
	check_eq(stat_sum("latency", 17, LATENCY_BUCKETS), 8);
	check(stat_of("latency_ns", 1) >= 8 * 50000000ull, "%llu ns", stat_of("latency_ns", 1));
}

static void *detach(void *blk)
{
	vdev_stop(((struct blk *)blk)->dev);
	return NULL;
}

/* The disk hangs, and so does an ioctl, with the device's lock: still readable. */
TEST_LIMIT(readable_while_all_hangs, 60)
{
	const char *disk = slow_disk(16, 1);
	struct blk blk = load_start(disk, 1);
	struct load l = load_new(blk.vq, 8);
	pthread_t detacher;

	disk_suspend(disk);
	load_put_all(&l, true, 1);
	load_wait_taken(&l);
	pthread_create(&detacher, NULL, detach, &blk);
	sleep_ms(200);
	check_eq(stat_of("in_flight", 1), 8);
	disk_resume(disk);
	pthread_join(detacher, NULL);
	load_finish(&l);
	check_eq(stat_of("in_flight", 1), 0);
}

/* What others chose is shown as it is safe to print. */
TEST(names_are_shown)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	char want[64];

	blk_set_serial(blk.dev, "a\nb\033c");
	snprintf(want, sizeof(want), "serial a\\nb\\ec\n");
	check(strstr(vdev_stats(), want), "no '%s' in: %s", want, vdev_stats());
	snprintf(want, sizeof(want), "backend %s\n", strrchr(blk.path, '/') + 1);
	check(strstr(vdev_stats(), want), "no '%s' in: %s", want, vdev_stats());
	vdev_stop(blk.dev);
	check(strstr(vdev_stats(), "owner 0\nbackend \n"), "detached, and: %s", vdev_stats());
}

TEST(file_goes_with_its_device)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	char path[64];
	unsigned int number;

	check(sscanf(vdev_stats(), "device %u\n", &number) == 1, "no number: %s", vdev_stats());
	snprintf(path, sizeof(path), "/sys/kernel/debug/vhost_blk/%u", number);
	check_ok(access(path, R_OK));
	close(blk.dev->fd);
	check_errno(access(path, R_OK), ENOENT);
}

/* Requests count once each, as the disk has ended them, however many rounds that took. */
TEST(failures_and_rounds_are_counted)
{
	const char *disk = dm_linear_new(nullb_new(&(struct nullb){}), 32768);
	struct blk blk = blk_start(&(struct blk_setup){ .path = disk,
		.features = BLK_FEATURES | BIT(VIRTIO_BLK_F_WRITE_ZEROES) });
	struct virtio_blk_discard_write_zeroes ranges[8];

	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (struct virtio_blk_discard_write_zeroes){
			.sector = i * 1024, .num_sectors = 1024 };
	for (unsigned int i = 0; i < 2; i++)
		blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_WRITE_ZEROES,
				.out = ranges, .out_len = sizeof(ranges) }, VIRTIO_BLK_S_OK);
	dm_set(disk, "0 32768 error\\n");
	for (unsigned int i = 0; i < 3; i++)
		blk_expect(blk.vq, &(struct blk_io){ .in_len = SECTOR }, VIRTIO_BLK_S_IOERR);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_WRITE_ZEROES,
			.out = ranges, .out_len = sizeof(ranges) }, VIRTIO_BLK_S_IOERR);
	vq_settle(blk.vq);
	check_eq(stat_of("write_zeroes", 1), 3);
	check_eq(stat_of("read", 1), 3);
	check_eq(stat_of("status_ok", 1), 2);
	check_eq(stat_of("status_ioerr", 1), 4);
	check_eq(stat_sum("latency", 1, LATENCY_BUCKETS), 6);
	check_eq(stat_of("in_flight", 1), 0);
}
