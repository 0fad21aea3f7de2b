// SPDX-License-Identifier: GPL-2.0
/*
 * Queues beside each other: all 64, unlike sizes, one that breaks, one that is
 * not set up, completions out of order, queues on workers of their own.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "blk.h"
#include "load.h"
#include "tap.h"

#define QUEUES VHOST_BLK_MAX_QUEUES

static const struct blk_io flush = { .type = VIRTIO_BLK_T_FLUSH };

/* A write through one queue is read through another, all in flight at once. */
static void write_all_read_all(struct blk *blk, unsigned int queues)
{
	struct blk_req req[QUEUES];
	unsigned char data[QUEUES][SECTOR];

	for (unsigned int q = 0; q < queues; q++) {
		fill(data[q], SECTOR, q);
		req[q] = blk_add(blk->dev->vqs[q], &(struct blk_io){
			.type = VIRTIO_BLK_T_OUT, .sector = q, .out = data[q],
			.out_len = SECTOR });
		blk_send(blk->dev->vqs[q]);
	}
	for (unsigned int q = 0; q < queues; q++) {
		blk_reap(blk->dev->vqs[q], &req[q], 1);
		check_eq(req[q].status, VIRTIO_BLK_S_OK);
	}
	for (unsigned int q = 0; q < queues; q++) {
		req[q] = blk_add(blk->dev->vqs[q], &(struct blk_io){
			.type = VIRTIO_BLK_T_IN, .sector = queues - 1 - q,
			.in_len = SECTOR });
		blk_send(blk->dev->vqs[q]);
	}
	for (unsigned int q = 0; q < queues; q++) {
		blk_reap(blk->dev->vqs[q], &req[q], 1);
		check_eq(req[q].status, VIRTIO_BLK_S_OK);
		check_same(req[q].in, data[queues - 1 - q], SECTOR, "the data");
	}
}

TEST(all_64_queues_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){ .queues = QUEUES, .num = 16 });

	for (unsigned int round = 0; round < 4; round++)
		write_all_read_all(&blk, QUEUES);
}

TEST(queue_65_rejected)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .num = 16 });
	struct vq *vq = vq_new(blk.dev, QUEUES, 16);

	check_errno(vq_set_num(vq, 16), ENOBUFS);
}

TEST(unlike_queue_sizes_ok)
{
	static const unsigned int nums[] = { 2, 1024, 16, 512 };
	struct blk blk = blk_prepare(&(struct blk_setup){});

	for (unsigned int i = 0; i < ARRAY_SIZE(nums); i++)
		vq_new(blk.dev, i + 1, nums[i]);
	vdev_start(blk.dev);
	for (unsigned int i = 0; i <= ARRAY_SIZE(nums); i++)
		blk_expect(blk.dev->vqs[i], &flush, VIRTIO_BLK_S_OK);
}

/* Queues 0 and 5 are set up, what lies between is not: it is left alone. */
TEST(queues_not_set_up_are_left_alone)
{
	struct blk blk = blk_prepare(&(struct blk_setup){});
	struct vq *late, *other = vq_new(blk.dev, 5, 32);

	vdev_start(blk.dev);
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
	blk_expect(other, &flush, VIRTIO_BLK_S_OK);
	/* Set up while the device runs, started by the next exchange. */
	late = vq_new(blk.dev, 3, 64);
	vq_setup(late);
	check_ok(blk_set_backend(blk.dev, blk.fd));
	blk_expect(late, &flush, VIRTIO_BLK_S_OK);
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
	blk_expect(other, &flush, VIRTIO_BLK_S_OK);
}

/* No status byte, no answer: only this queue stops. */
TEST(no_status_byte_breaks_only_its_vq)
{
	struct blk blk = blk_start(&(struct blk_setup){ .queues = 3 });
	unsigned char data[SECTOR] = { 0 };

	blk_add(blk.dev->vqs[1], &(struct blk_io){
		.type = VIRTIO_BLK_T_OUT, .out = data, .out_len = SECTOR,
		.no_status = true });
	blk_send(blk.dev->vqs[1]);
	vq_must_break(blk.dev->vqs[1]);
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
	blk_expect(blk.dev->vqs[2], &flush, VIRTIO_BLK_S_OK);
	/* It stays stopped: kicks and requests do nothing. */
	blk_add(blk.dev->vqs[1], &flush);
	vq_publish(blk.dev->vqs[1]);
	vq_kick_always(blk.dev->vqs[1]);
	vq_quiet(blk.dev->vqs[1], VQ_QUIET_MS);
}

/*
 * What was good before the bad one is answered, though the device takes until long
 * after the error; nothing behind it is.
 */
TEST(requests_before_the_bad_one_are_answered)
{
	const struct blk_io read = { .type = VIRTIO_BLK_T_IN, .in_len = SECTOR };
	struct blk blk = blk_start(&(struct blk_setup){ .path = slow_disk(16, 300) });
	struct blk_req good[2];

	good[0] = blk_add(blk.vq, &read);
	good[1] = blk_add(blk.vq, &read);
	blk_add(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH, .no_status = true });
	blk_add(blk.vq, &read);
	blk_send(blk.vq);
	check(event_wait(blk.vq->err, VQ_WAIT_MS), "the error eventfd did not fire");
	blk_reap(blk.vq, good, 2);
	check_eq(good[0].status, VIRTIO_BLK_S_OK);
	check_eq(good[1].status, VIRTIO_BLK_S_OK);
	vq_quiet(blk.vq, VQ_QUIET_MS);
}

/* Nor is it looked at again, though the chain is a good one by now. */
TEST(broken_vq_stays_broken)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct vring_desc *first = &blk.vq->desc[0];
	uint64_t addr;

	check_eq(blk_add(blk.vq, &flush).head, 0);
	addr = first->addr;
	first->addr = htole64(1ull << 60);
	blk_send(blk.vq);
	vq_must_break(blk.vq);
	first->addr = addr;
	vq_kick_always(blk.vq);
	vq_quiet(blk.vq, VQ_QUIET_MS);
	check_eq(vdev_stat(0, "breaks", 1), 1);
	check(!event_take(blk.vq->err), "the error eventfd fired once more");
}

TEST(broken_vq_is_mended_by_a_new_start)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	blk_add(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH, .no_status = true });
	blk_send(blk.vq);
	vq_must_break(blk.vq);
	vdev_stop(blk.dev);
	/* As after a reset of the device: the ring begins anew. */
	vq_set_base(blk.vq, 0);
	vq_setup(blk.vq);
	check_ok(blk_set_backend(blk.dev, blk.fd));
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
}

/* A slow request does not hold up the ones behind it. */
TEST(out_of_order_completion_ok)
{
	const char *disk = nullb_new(&(struct nullb){});
	uint64_t half = device_sectors(disk) / 2;
	struct blk blk = blk_start(&(struct blk_setup){
		.path = dm_half_delayed_new(disk, half * 2, 1000) });
	unsigned char data[2][SECTOR];
	struct blk_req slow, fast;
	struct used u;

	fill(data[0], SECTOR, 10);
	fill(data[1], SECTOR, 11);
	device_write(disk, half * SECTOR, data[0], SECTOR);
	device_write(disk, 0, data[1], SECTOR);
	slow = blk_add(blk.vq, &(struct blk_io){
		.type = VIRTIO_BLK_T_IN, .sector = half, .in_len = SECTOR });
	fast = blk_add(blk.vq, &(struct blk_io){
		.type = VIRTIO_BLK_T_IN, .sector = 0, .in_len = SECTOR });
	blk_send(blk.vq);
	u = vq_get(blk.vq);
	check(u.head == fast.head, "the slow request came first");
	blk_finish(&fast, u);
	check_same(fast.in, data[1], SECTOR, "the fast data");
	blk_finish(&slow, vq_get(blk.vq));
	check_same(slow.in, data[0], SECTOR, "the slow data");
}

/* One queue waits for a slow device, the others are served meanwhile. */
TEST(slow_queue_does_not_hold_up_the_others)
{
	const char *disk = nullb_new(&(struct nullb){});
	uint64_t half = device_sectors(disk) / 2;
	struct blk blk = blk_start(&(struct blk_setup){
		.path = dm_half_delayed_new(disk, half * 2, 1500), .queues = 8 });
	unsigned char data[SECTOR], got[SECTOR];
	struct blk_req slow;

	fill(data, SECTOR, 12);
	slow = blk_add(blk.vq, &(struct blk_io){
		.type = VIRTIO_BLK_T_OUT, .sector = half, .out = data, .out_len = SECTOR });
	blk_send(blk.vq);
	for (unsigned int q = 1; q < 8; q++) {
		blk_write(blk.dev->vqs[q], q, data, SECTOR);
		blk_read(blk.dev->vqs[q], q, got, SECTOR);
		check_same(got, data, SECTOR, "the data");
	}
	check(vq_used_idx(blk.vq) == 0, "the slow write came before the fast ones");
	blk_finish(&slow, vq_get(blk.vq));
	check_eq(slow.status, VIRTIO_BLK_S_OK);
}

TEST(queues_on_workers_of_their_own_ok)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .queues = 4 });

	vdev_setup(blk.dev);
	for (unsigned int q = 0; q < 4; q++) {
		int worker = vdev_new_worker(blk.dev);

		if (worker < 0 && errno == ENOTTY)
			skip("this kernel has one worker a device");
		check(worker >= 0, "VHOST_NEW_WORKER: %m");
		check_ok(vq_attach_worker(blk.dev->vqs[q], worker));
	}
	check_ok(blk_set_backend(blk.dev, blk.fd));
	for (unsigned int round = 0; round < 8; round++)
		write_all_read_all(&blk, 4);
}

/* Exchanged with requests in flight: all of them come back. */
TEST(worker_exchanged_under_load_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){ .disk.delay_ms = 20 });
	const struct blk_io io = { .type = VIRTIO_BLK_T_IN, .in_len = SECTOR };
	struct blk_req req[16];
	int worker = vdev_new_worker(blk.dev);

	if (worker < 0)
		skip("this kernel has one worker a device");
	for (unsigned int round = 0; round < 5; round++) {
		for (unsigned int i = 0; i < 16; i++)
			req[i] = blk_add(blk.vq, &io);
		blk_send(blk.vq);
		check_ok(vq_attach_worker(blk.vq, worker));
		blk_reap(blk.vq, req, 16);
		worker = check_ok(vdev_new_worker(blk.dev));
	}
}
