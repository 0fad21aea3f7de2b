// SPDX-License-Identifier: GPL-2.0
/* VHOST_BLK_SET_CONFIG_CALL: the capacity changes while the device is in use. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "load.h"
#include "tap.h"

/* A second is promised; an emulated machine may be late. */
#define CHANGE_MS patience(2500)
#define IDLE_MS 1500

static const char *lower;

static void table_of(char *table, size_t size, unsigned int mb)
{
	snprintf(table, size, "0 %u linear %s 0\\n", mb * 2048, lower);
}

static void resize(const char *path, unsigned int mb)
{
	char table[100];

	table_of(table, sizeof(table), mb);
	dm_set(path, table);
}

static const char *disk_of(unsigned int mb)
{
	char table[100];

	lower = nullb_new(&(struct nullb){ .mb = 64 });
	table_of(table, sizeof(table), mb);
	return dm_new(table);
}

static int set_config_call(struct blk *blk, int fd)
{
	return ioctl(blk->dev->fd, VHOST_BLK_SET_CONFIG_CALL, &fd);
}

static int config_call(struct blk *blk)
{
	int fd = check_ok(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));

	check_ok(set_config_call(blk, fd));
	return fd;
}

static uint64_t told_capacity(struct blk *blk)
{
	struct vhost_blk_config c;
	struct virtio_blk_config config;

	check_ok(blk_get_config(blk->dev, -1, &c));
	memcpy(&config, c.config, sizeof(config));
	return le64toh(config.capacity);
}

TEST(resize_is_told_once)
{
	const char *path = disk_of(16);
	struct blk blk = load_start(path, 1);
	struct load l = load_new(blk.vq, 1);
	int event = config_call(&blk);

	check(!event_wait(event, IDLE_MS), "an event, and nothing has changed");
	resize(path, 32);
	check(event_wait(event, CHANGE_MS), "no event in %u ms", CHANGE_MS);
	check_eq(told_capacity(&blk), 32 * 2048);
	check(!event_wait(event, IDLE_MS), "a second event for one change");
	l.slots[0].sector = 32 * 2048 - 8;
	load_put_all(&l, true, 1);
	load_finish(&l);

	resize(path, 8);
	check(event_wait(event, CHANGE_MS), "no event in %u ms", CHANGE_MS);
	check_eq(told_capacity(&blk), 8 * 2048);
	load_put_all(&l, true, 1);
	load_finish_as(&l, VIRTIO_BLK_S_IOERR);
}

TEST(no_config_call_no_event)
{
	const char *path = disk_of(16);
	struct blk blk = load_start(path, 1);
	int event = config_call(&blk);

	check_ok(set_config_call(&blk, -1));
	resize(path, 32);
	check(!event_wait(event, IDLE_MS), "an event on an eventfd that was taken away");
}

/* Set before there is a backend, it works from the first one on. */
TEST(config_call_outlives_the_backend)
{
	const char *path = disk_of(16);
	struct blk blk = blk_prepare(&(struct blk_setup){ .path = path });
	int event = config_call(&blk);

	vdev_start(blk.dev);
	check(!event_wait(event, IDLE_MS), "an event for the first backend");
	vdev_stop(blk.dev);
	check(!event_wait(event, IDLE_MS), "an event for a stop");
	check(!blk.dev->ops->attach(blk.dev), "attach: %m");
	check(!event_wait(event, IDLE_MS), "an event for the same backend");
	resize(path, 32);
	check(event_wait(event, CHANGE_MS), "no event in %u ms", CHANGE_MS);
}

TEST(exchange_for_another_size_is_told)
{
	struct blk blk = load_start(disk_of(16), 1);
	int event = config_call(&blk);

	check_ok(blk_set_backend(blk.dev, check_ok(open(lower, O_RDWR | O_CLOEXEC))));
	check(event_wait(event, CHANGE_MS), "no event in %u ms", CHANGE_MS);
	check_eq(told_capacity(&blk), 64 * 2048);
}

TEST(config_call_refuses_other_files)
{
	struct blk blk = load_start(disk_of(16), 1);

	check_errno(set_config_call(&blk, 9999), EBADF);
	check_errno(set_config_call(&blk, blk.fd), EINVAL);
	check_errno(ioctl(blk.dev->fd, VHOST_BLK_SET_CONFIG_CALL, NULL), EFAULT);
}
