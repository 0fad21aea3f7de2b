// SPDX-License-Identifier: GPL-2.0
/* VHOST_BLK_GET_CONFIG and VHOST_BLK_SET_CONFIG_CALL: what QEMU is told. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blk.h"
#include "tap.h"

static const struct {
	const char *name;
	unsigned int mb, blocksize;
} disks[] = { { "1_mib_512", 1, 512 }, { "16_mib_512", 16, 512 },
	      { "16_mib_4096", 16, 4096 }, { "1000_mib_4096", 1000, 4096 } };

static struct virtio_blk_config config_of(const struct vdev *dev, int fd,
					  struct vhost_blk_config *answer)
{
	struct virtio_blk_config config;

	check_ok(blk_get_config(dev, fd, answer));
	memcpy(&config, answer->config, sizeof(config));
	return config;
}

static int open_disk(const struct nullb *disk)
{
	return check_ok(open(nullb_new(disk), O_RDWR | O_CLOEXEC));
}

TEST_V(describes_the_disk, disks)
{
	struct vdev *dev = vdev_open_bare(&blk_ops);
	int fd = open_disk(&(struct nullb){ .mb = v->mb, .blocksize = v->blocksize });
	struct vhost_blk_config answer;
	struct virtio_blk_config c = config_of(dev, fd, &answer);

	check_eq(le64toh(c.capacity), v->mb * 2048ull);
	check_eq(le32toh(c.blk_size), v->blocksize);
	check_eq(le16toh(c.num_queues), VHOST_BLK_MAX_QUEUES);
	check(le32toh(c.seg_max) > 0, "no segments are allowed");
	check(answer.features & BIT(VIRTIO_BLK_F_BLK_SIZE), "BLK_SIZE is not offered");
	check(answer.features & BIT(VIRTIO_BLK_F_FLUSH), "FLUSH is not offered");
	check(answer.features & BIT(VIRTIO_BLK_F_MQ), "MQ is not offered");
	check(answer.features & BIT(VIRTIO_F_VERSION_1), "VERSION_1 is not offered");
	check_eq(answer.fd, fd);
	check_eq(answer.reserved, 0);
	check(answer.config_size >= 36 && answer.config_size <= VHOST_BLK_CONFIG_BYTES,
	      "config_size is %u", answer.config_size);
}

TEST(features_are_a_subset_of_the_devices)
{
	struct vdev *dev = vdev_open(&blk_ops, 0);
	int fd = open_disk(&(struct nullb){});
	struct vhost_blk_config answer;

	config_of(dev, fd, &answer);
	check(!(answer.features & ~dev->offered), "0x%llx are only in GET_CONFIG",
	      (unsigned long long)(answer.features & ~dev->offered));
}

TEST(rest_of_config_is_zero)
{
	struct vdev *dev = vdev_open_bare(&blk_ops);
	int fd = open_disk(&(struct nullb){});
	struct vhost_blk_config answer;

	memset(&answer, 0xff, sizeof(answer));
	answer.fd = fd;
	answer.flags = 0;
	check_ok(ioctl(dev->fd, VHOST_BLK_GET_CONFIG, &answer));
	for (unsigned int i = answer.config_size; i < VHOST_BLK_CONFIG_BYTES; i++)
		check(!answer.config[i], "byte %u behind config_size is not 0", i);
	check_eq(answer.reserved, 0);
	check_eq(answer.flags, 0);
}

static const char *plain_disk(void)
{
	return nullb_new(&(struct nullb){});
}

static const char *discarding_disk(void)
{
	return nullb_new(&(struct nullb){ .attributes = "discard=1" });
}

static const char *loop_disk(void)
{
	return loop_new(16, 512);
}

/* Over it, and told to discard nothing; a loop device would remember that. */
static const char *keeping_disk(void)
{
	const char *path = dm_linear_new(loop_disk(), 32768);

	run_command("echo 0 >/sys/block/%s/queue/discard_max_bytes", strrchr(path, '/') + 1);
	return path;
}

static const char *regular_file(void)
{
	return file_new(16);
}

static const struct {
	const char *name;
	const char *(*make)(void);
	bool read_only, may_unmap;
} deallocating[] = {
	{ "neither_command", plain_disk, false, false },
	{ "discard_alone", discarding_disk, false, false },
	{ "write_zeroes_alone", keeping_disk, false, false },
	{ "both", loop_disk, false, true },
	{ "both_read_only", loop_disk, true, false },
	{ "file", regular_file, false, true },
};

/* 5.2.5.2: cleared where WRITE_ZEROES never deallocates. */
TEST_V(write_zeroes_may_unmap_where_it_can, deallocating)
{
	struct vdev *dev = vdev_open_bare(&blk_ops);
	int fd = check_ok(open(v->make(), (v->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
	struct vhost_blk_config answer;
	struct virtio_blk_config c = config_of(dev, fd, &answer);

	check_eq(!!(answer.features & BIT(VIRTIO_BLK_F_WRITE_ZEROES)), !v->read_only);
	check_eq(c.write_zeroes_may_unmap, v->may_unmap);
}

/* No owner needed, and the disk is neither attached nor kept open. */
TEST(leaves_the_disk_alone)
{
	struct vdev *dev = vdev_open_bare(&blk_ops);
	int fd = open_disk(&(struct nullb){});
	struct vhost_blk_config answer;

	config_of(dev, fd, &answer);
	check_errno(blk_get_config(dev, -1, &answer), ENODEV);
	close(fd);
	/* What tidies up needs the disk to be closed; so does this. */
	run_command("rmdir /sys/kernel/config/nullb/vst0");
}

TEST(of_the_attached_backend)
{
	struct blk blk = blk_start(&(struct blk_setup){ .disk.mb = 8 });
	struct vhost_blk_config answer;
	struct virtio_blk_config c = config_of(blk.dev, -1, &answer);

	check_eq(le64toh(c.capacity), 8 * 2048);
	check_eq(answer.fd, -1);
	/* Another disk may be asked about at the same time. */
	c = config_of(blk.dev, open_disk(&(struct nullb){ .mb = 4 }), &answer);
	check_eq(le64toh(c.capacity), 4 * 2048);
	vdev_stop(blk.dev);
	check_errno(blk_get_config(blk.dev, -1, &answer), ENODEV);
}

TEST(errors)
{
	struct vdev *dev = vdev_open_bare(&blk_ops);
	int fd = open_disk(&(struct nullb){});
	struct vhost_blk_config c;
	int null = check_ok(open("/dev/null", O_RDWR)), pipes[2];
	char *page = check_ok(mmap(NULL, 4096, PROT_READ,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	check_ok(pipe(pipes));
	check_errno(blk_get_config(dev, -1, &c), ENODEV);
	check_errno(blk_get_config(dev, 9999, &c), EBADF);
	check_errno(blk_get_config(dev, -2, &c), EBADF);
	check_errno(blk_get_config(dev, null, &c), ENOTBLK);
	check_errno(blk_get_config(dev, pipes[0], &c), ENOTBLK);
	check_errno(blk_get_config(dev, dev->fd, &c), ENOTBLK);
	check_errno(ioctl(dev->fd, VHOST_BLK_GET_CONFIG, NULL), EFAULT);
	/* fd 0 in a page that cannot be written. */
	check_ok(dup2(fd, 0));
	check_errno(ioctl(dev->fd, VHOST_BLK_GET_CONFIG, page), EFAULT);
	c = (struct vhost_blk_config){ .fd = fd, .flags = 1 };
	check_errno(ioctl(dev->fd, VHOST_BLK_GET_CONFIG, &c), EINVAL);
	c = (struct vhost_blk_config){ .fd = fd, .flags = 1u << 31 };
	check_errno(ioctl(dev->fd, VHOST_BLK_GET_CONFIG, &c), EINVAL);
}

/* The capacity */

static void resize(const struct blk *blk, unsigned long long sectors, const char *lower)
{
	dm_linear_set(blk->path, lower, sectors);
}

static struct blk start_resizable(const char **lower)
{
	*lower = nullb_new(&(struct nullb){});
	return blk_start(&(struct blk_setup){ .path = dm_linear_new(*lower, 4096) });
}

TEST(a_change_of_capacity_is_signalled_within_a_second)
{
	int call = check_ok(eventfd(0, EFD_NONBLOCK));
	struct vhost_blk_config answer;
	struct virtio_blk_config c;
	const char *lower;
	struct blk blk = start_resizable(&lower);
	unsigned char data[SECTOR] = { 1 };

	check_ok(blk_set_config_call(blk.dev, call));
	check(!event_wait(call, 1500), "a signal though nothing has changed");
	resize(&blk, 8192, lower);
	check(event_wait(call, CHANGE_MS), "the growth was not signalled");
	c = config_of(blk.dev, -1, &answer);
	check_eq(le64toh(c.capacity), 8192);
	blk_write(blk.vq, 8191, data, SECTOR);
	resize(&blk, 2048, lower);
	check(event_wait(call, CHANGE_MS), "the shrinking was not signalled");
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN, .sector = 2048,
					     .in_len = SECTOR }, VIRTIO_BLK_S_IOERR);
	check(!event_wait(call, 1500), "a signal though nothing has changed");
}

TEST(no_call_no_signal)
{
	int call = check_ok(eventfd(0, EFD_NONBLOCK));
	const char *lower;
	struct blk blk = start_resizable(&lower);

	check_ok(blk_set_config_call(blk.dev, call));
	check_ok(blk_set_config_call(blk.dev, -1));
	resize(&blk, 8192, lower);
	check(!event_wait(call, 1500), "a signal on an eventfd that was taken back");
}

TEST(exchange_for_another_size_is_signalled)
{
	int call = check_ok(eventfd(0, EFD_NONBLOCK));
	struct blk blk = blk_start(&(struct blk_setup){ .disk.mb = 2 });

	check_ok(blk_set_config_call(blk.dev, call));
	check_ok(blk_set_backend(blk.dev, open_disk(&(struct nullb){ .mb = 4 })));
	check(event_wait(call, CHANGE_MS), "the new capacity was not signalled");
}

TEST(config_call_errors)
{
	struct vdev *bare = vdev_open_bare(&blk_ops), *dev = vdev_open(&blk_ops, 0);
	int call = check_ok(eventfd(0, 0)), none = -1, bad = 9999, null;

	null = check_ok(open("/dev/null", O_RDWR));
	check_errno(ioctl(bare->fd, VHOST_BLK_SET_CONFIG_CALL, &call), EPERM);
	check_errno(ioctl(dev->fd, VHOST_BLK_SET_CONFIG_CALL, &bad), EBADF);
	check_errno(ioctl(dev->fd, VHOST_BLK_SET_CONFIG_CALL, &null), EINVAL);
	check_errno(ioctl(dev->fd, VHOST_BLK_SET_CONFIG_CALL, NULL), EFAULT);
	check_ok(ioctl(dev->fd, VHOST_BLK_SET_CONFIG_CALL, &none));
	check_ok(ioctl(dev->fd, VHOST_BLK_SET_CONFIG_CALL, &call));
}
