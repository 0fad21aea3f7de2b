// SPDX-License-Identifier: GPL-2.0
/* Each ioctl's errors, and what attaching, exchanging and detaching do. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "blk.h"
#include "tap.h"

static const struct blk_io flush = { .type = VIRTIO_BLK_T_FLUSH };

/* SET_BACKEND */

TEST(backend_bad_file_rejected)
{
	struct blk blk = blk_prepare(&(struct blk_setup){});
	int pipes[2];

	check_ok(pipe(pipes));
	vdev_setup(blk.dev);
	check_errno(blk_set_backend(blk.dev, 9999), EBADF);
	check_errno(blk_set_backend(blk.dev, -2), EBADF);
	check_errno(blk_set_backend(blk.dev, check_ok(open("/dev/null", O_RDWR))), ENOTBLK);
	check_errno(blk_set_backend(blk.dev, pipes[0]), ENOTBLK);
	check_errno(blk_set_backend(blk.dev, check_ok(open("/proc/version", O_RDONLY))),
		    ENOTBLK);
	check_errno(blk_set_backend(blk.dev, check_ok(open("/tmp", O_RDONLY))), ENOTBLK);
	check_errno(blk_set_backend(blk.dev, check_ok(open(blk.path, O_PATH))), EBADF);
	check_errno(ioctl(blk.dev->fd, VHOST_BLK_SET_BACKEND, NULL), EFAULT);
}

TEST(backend_index_other_than_0_rejected)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .queues = 2 });
	struct vhost_vring_file f = { .index = 1, .fd = blk.fd };

	vdev_setup(blk.dev);
	check_errno(ioctl(blk.dev->fd, VHOST_BLK_SET_BACKEND, &f), EINVAL);
	f = (struct vhost_vring_file){ .index = ~0u, .fd = -1 };
	check_errno(ioctl(blk.dev->fd, VHOST_BLK_SET_BACKEND, &f), EINVAL);
}

TEST(backend_without_owner_rejected)
{
	struct vdev *dev = vdev_open_bare(&blk_ops);
	int fd = check_ok(open(nullb_new(&(struct nullb){}), O_RDWR));

	check_errno(blk_set_backend(dev, fd), EPERM);
	check_errno(blk_set_backend(dev, -1), EPERM);
}

TEST(backend_without_a_ring_rejected)
{
	struct blk blk = blk_prepare(&(struct blk_setup){});

	check_ok(vdev_set_mem_table(blk.dev));
	check_errno(blk_set_backend(blk.dev, blk.fd), EFAULT);
}

TEST(backend_without_memory_rejected)
{
	struct blk blk = blk_prepare(&(struct blk_setup){});

	vq_setup(blk.vq);
	check_errno(blk_set_backend(blk.dev, blk.fd), EFAULT);
}

/* The ring's addresses are the owner's; they must lie in the memory table. */
TEST(backend_with_a_ring_outside_memory_rejected)
{
	struct blk blk = blk_prepare(&(struct blk_setup){});
	struct vhost_vring_addr a = {
		.desc_user_addr = 1ull << 62, .avail_user_addr = 1ull << 62,
		.used_user_addr = 1ull << 62,
	};

	vdev_setup(blk.dev);
	check_ok(ioctl(blk.dev->fd, VHOST_SET_VRING_ADDR, &a));
	check_errno(blk_set_backend(blk.dev, blk.fd), EFAULT);
}

/* An address that no process can have. */
TEST(backend_with_a_ring_in_the_kernel_rejected)
{
	struct blk blk = blk_prepare(&(struct blk_setup){});
	struct vhost_vring_addr a = {
		.desc_user_addr = 0xffff888000000000,
		.avail_user_addr = 0xffff888000001000,
		.used_user_addr = 0xffff888000002000,
	};

	vdev_setup(blk.dev);
	check_ok(ioctl(blk.dev->fd, VHOST_SET_VRING_ADDR, &a));
	check_errno(blk_set_backend(blk.dev, blk.fd), EFAULT);
}

TEST(ring_of_2048_rejected)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .num = 2048 });

	vdev_setup(blk.dev);
	check_errno(blk_set_backend(blk.dev, blk.fd), EINVAL);
}

TEST(version_1_is_required)
{
	struct blk blk = blk_prepare(&(struct blk_setup){
		.features = BIT(VIRTIO_RING_F_INDIRECT_DESC) });

	vdev_setup(blk.dev);
	check_errno(blk_set_backend(blk.dev, blk.fd), EINVAL);
	vdev_negotiate(blk.dev, BLK_FEATURES);
	check_ok(blk_set_backend(blk.dev, blk.fd));
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
}

/* A refused file leaves what is attached as it is. */
TEST(refused_exchange_leaves_the_old_backend)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	check_errno(blk_set_backend(blk.dev, check_ok(open("/dev/null", O_RDWR))), ENOTBLK);
	check_errno(blk_set_backend(blk.dev, 9999), EBADF);
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
}

TEST(second_backend_is_an_exchange)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	const char *other = nullb_new(&(struct nullb){});
	unsigned char one[SECTOR], two[SECTOR], got[SECTOR];

	fill(one, SECTOR, 1);
	fill(two, SECTOR, 2);
	blk_write(blk.vq, 7, one, SECTOR);
	check_ok(blk_set_backend(blk.dev, check_ok(open(other, O_RDWR | O_CLOEXEC))));
	blk_write(blk.vq, 7, two, SECTOR);
	device_read(blk.path, 7 * SECTOR, got, SECTOR);
	check_same(got, one, SECTOR, "the first disk");
	device_read(other, 7 * SECTOR, got, SECTOR);
	check_same(got, two, SECTOR, "the second disk");
	/* Back, to the same file as before. */
	check_ok(blk_set_backend(blk.dev, blk.fd));
	blk_read(blk.vq, 7, got, SECTOR);
	check_same(got, one, SECTOR, "the first disk's data");
}

TEST(backend_stays_when_the_caller_closes_the_file)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	close(blk.fd);
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
}

TEST(detach_without_a_backend_ok)
{
	struct blk blk = blk_prepare(&(struct blk_setup){});

	check_ok(blk_set_backend(blk.dev, -1));
	vdev_start(blk.dev);
	check_ok(blk_set_backend(blk.dev, -1));
	check_ok(blk_set_backend(blk.dev, -1));
}

/* Nothing is served while nothing is attached; then all of it is. */
TEST(detached_device_serves_nothing)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct blk_req req;

	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
	vdev_stop(blk.dev);
	req = blk_add(blk.vq, &flush);
	vq_publish(blk.vq);
	vq_kick_always(blk.vq);
	vq_quiet(blk.vq, VQ_QUIET_MS);
	check_ok(blk_set_backend(blk.dev, blk.fd));
	blk_finish(&req, vq_get(blk.vq));
}

/* When the call returns, all requests that were taken have come back. */
static void in_flight(int exchange)
{
	struct blk blk = blk_start(&(struct blk_setup){ .disk.delay_ms = 300 });
	const struct blk_io io = { .type = VIRTIO_BLK_T_IN, .in_len = SECTOR };
	struct blk_req req[16];
	unsigned int taken, done;

	for (unsigned int i = 0; i < 16; i++)
		req[i] = blk_add(blk.vq, &io);
	blk_send(blk.vq);
	sleep_ms(50);
	check_ok(blk_set_backend(blk.dev, exchange ? blk.fd : -1));
	done = vq_used_idx(blk.vq);
	if (exchange) {
		blk_reap(blk.vq, req, 16);
		return;
	}
	taken = vq_get_base(blk.vq);
	check(taken > 0, "nothing was in flight: the test proves nothing");
	check_eq(done, taken);
	blk_reap(blk.vq, req, done);
	vq_quiet(blk.vq, 500);
	check_ok(blk_set_backend(blk.dev, blk.fd));
	for (unsigned int i = done; i < 16; i++)
		vq_get(blk.vq);
}

TEST(detach_waits_for_requests_in_flight)
{
	in_flight(false);
}

TEST(exchange_waits_for_requests_in_flight)
{
	in_flight(true);
}

/* Closed with requests in flight: the runner sees pins or a module in use. */
TEST(close_with_requests_in_flight_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){ .disk.delay_ms = 500,
							.queues = 4 });
	const struct blk_io io = { .type = VIRTIO_BLK_T_IN, .in_len = 8 * SECTOR };

	for (unsigned int q = 0; q < 4; q++) {
		for (unsigned int i = 0; i < 16; i++)
			blk_add(blk.dev->vqs[q], &io);
		blk_send(blk.dev->vqs[q]);
	}
	sleep_ms(50);
	check_ok(close(blk.dev->fd));
}

TEST(exit_with_requests_in_flight_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){ .disk.delay_ms = 500 });
	const struct blk_io io = { .type = VIRTIO_BLK_T_IN, .in_len = 8 * SECTOR };

	for (unsigned int i = 0; i < 32; i++)
		blk_add(blk.vq, &io);
	blk_send(blk.vq);
	sleep_ms(50);
	_exit(0);
}

/* Features */

static const uint64_t bits_that_are_ours = BIT(VIRTIO_F_VERSION_1) |
	BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) |
	BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_MQ) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
	BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_RO) |
	BIT(VHOST_F_LOG_ALL);

static const struct {
	const char *name;
	unsigned int bit;
} not_ours[] = {
	{ "SCSI", VIRTIO_BLK_F_SCSI },
	{ "BARRIER", VIRTIO_BLK_F_BARRIER }, { "LIFETIME", 15 },
	{ "RING_PACKED", VIRTIO_F_RING_PACKED }, { "IN_ORDER", VIRTIO_F_IN_ORDER },
	{ "NOTIFICATION_DATA", VIRTIO_F_NOTIFICATION_DATA },
	{ "RING_RESET", VIRTIO_F_RING_RESET },
};

TEST(offered_features)
{
	struct vdev *dev = vdev_open(&blk_ops, 0);

	check(!(bits_that_are_ours & ~dev->offered), "0x%llx are not offered",
	      (unsigned long long)(bits_that_are_ours & ~dev->offered));
	/* Nothing is promised that is not there. */
	for (unsigned int i = 0; i < ARRAY_SIZE(not_ours); i++)
		check(!(dev->offered & BIT(not_ours[i].bit)), "%s is offered", not_ours[i].name);
}

TEST(features_not_offered_rejected)
{
	struct vdev *dev = vdev_open(&blk_ops, 0);

	for (unsigned int bit = 0; bit < 64; bit++) {
		if (dev->offered & BIT(bit))
			check_ok(vdev_set_features(dev, BIT(bit)));
		else
			check_errno(vdev_set_features(dev, BIT(bit)), EOPNOTSUPP);
	}
	check_errno(ioctl(dev->fd, VHOST_SET_FEATURES, NULL), EFAULT);
	check_errno(ioctl(dev->fd, VHOST_GET_FEATURES, NULL), EFAULT);
}

TEST(features_under_a_backend_busy)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	/* Logging may begin at any time: blk/log. */
	for (unsigned int bit = 0; bit < 64; bit++)
		if (blk.dev->offered & BIT(bit) && bit != VHOST_F_LOG_ALL)
			check_errno(vdev_set_features(blk.dev, BLK_FEATURES ^ BIT(bit)),
				    EBUSY);
	/* The same again is no change. */
	check_ok(vdev_set_features(blk.dev, BLK_FEATURES));
	vdev_stop(blk.dev);
	check_ok(vdev_set_features(blk.dev, BLK_FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX)));
}

/* What vhost itself answers; our device must hand it on. */

TEST(second_owner_busy)
{
	struct vdev *dev = vdev_open(&blk_ops, 0);

	check_errno(ioctl(dev->fd, VHOST_SET_OWNER), EBUSY);
}

TEST(ring_ioctls_without_owner_rejected)
{
	struct vdev *dev = vdev_open_bare(&blk_ops);
	struct vhost_vring_state s = { .index = 0, .num = 16 };
	struct vhost_memory m = { 0 };

	check_errno(ioctl(dev->fd, VHOST_SET_VRING_NUM, &s), EPERM);
	check_errno(ioctl(dev->fd, VHOST_SET_MEM_TABLE, &m), EPERM);
}

TEST(ring_size_and_base_under_a_backend_busy)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct vhost_vring_state s = { .index = 0, .num = 3 };

	check_errno(vq_set_num(blk.vq, 64), EBUSY);
	check_errno(ioctl(blk.dev->fd, VHOST_SET_VRING_BASE, &s), EBUSY);
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
}

static const struct {
	const char *name;
	unsigned int num;
} bad_nums[] = { { "0", 0 }, { "3", 3 }, { "1023", 1023 }, { "65536", 65536 } };

TEST_V(ring_size_rejected, bad_nums)
{
	struct blk blk = blk_prepare(&(struct blk_setup){});

	check_errno(vq_set_num(blk.vq, v->num), EINVAL);
}

TEST(unknown_ioctls_rejected)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	char room[512] = { 0 };

	for (unsigned int nr = 0x55; nr <= 0x5f; nr++)
		check_errno(ioctl(blk.dev->fd, _IOW(VHOST_VIRTIO, nr, int), room), ENOTTY);
	check_errno(ioctl(blk.dev->fd, VHOST_NET_SET_BACKEND, room), ENOTTY);
	check_errno(ioctl(blk.dev->fd, VHOST_SCSI_SET_ENDPOINT, room), ENOTTY);
	/* What newer kernels have for more than 64 feature bits. */
	check_errno(ioctl(blk.dev->fd, _IOR(VHOST_VIRTIO, 0x83, uint64_t), room), ENOTTY);
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
}

TEST(serial_errors)
{
	struct vdev *bare = vdev_open_bare(&blk_ops), *dev = vdev_open(&blk_ops, 0);
	struct vhost_blk_serial s = { "x" };

	check_errno(ioctl(bare->fd, VHOST_BLK_SET_SERIAL, &s), EPERM);
	check_errno(ioctl(dev->fd, VHOST_BLK_SET_SERIAL, NULL), EFAULT);
	check_ok(ioctl(dev->fd, VHOST_BLK_SET_SERIAL, &s));
}
