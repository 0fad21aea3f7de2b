// SPDX-License-Identifier: GPL-2.0
/* VHOST_BLK_SET_CONFIG_CALL: the capacity changes while the device is in use. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "load.h"
#include "tap.h"
#include "targets.h"

#define IDLE_MS 1500

static const char *lower;

static void resize(const char *path, unsigned int mb)
{
	dm_linear_set(path, lower, mb * 2048);
}

static const char *disk_of(unsigned int mb)
{
	lower = nullb_new(&(struct nullb){ .mb = 64 });
	return dm_linear_new(lower, mb * 2048);
}

static int config_call(struct blk *blk)
{
	int fd = check_ok(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));

	check_ok(blk_set_config_call(blk->dev, fd));
	return fd;
}

static void must_be_told(int event, const char *what)
{
	uint64_t before = now_ms();

	check(event_wait(event, CHANGE_MS), "no event in %u ms of %s", CHANGE_MS, what);
	diag("told of %s after %llu ms", what, (unsigned long long)(now_ms() - before));
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
	must_be_told(event, "the growth");
	check_eq(told_capacity(&blk), 32 * 2048);
	check(!event_wait(event, IDLE_MS), "a second event for one change");
	l.slots[0].sector = 32 * 2048 - 8;
	load_put_all(&l, true, 1);
	load_finish(&l);

	resize(path, 8);
	must_be_told(event, "the cut");
	check_eq(told_capacity(&blk), 8 * 2048);
	load_put_all(&l, true, 1);
	load_finish_as(&l, VIRTIO_BLK_S_IOERR);
}

/* The file that a loop device is over. */
static void resize_loop_file(const char *path, unsigned int mb)
{
	run_command("truncate -s %uM $(losetup -nO BACK-FILE %s)", mb, path);
}

static void resize_loop(const char *path, unsigned int mb)
{
	resize_loop_file(path, mb);
	run_command("losetup -c %s", path);
}

static const char *loop_of(unsigned int mb)
{
	return loop_new(mb, 512);
}

/* A target's namespace, over a file and over a disk; its host hears of it by itself. */
static const char *nvme_file_of(unsigned int mb)
{
	char file[64];
	FILE *f;

	lower = loop_new(mb, 512);
	snprintf(file, sizeof(file), "losetup -nO BACK-FILE %s", lower);
	f = popen(file, "r");
	check(f && fgets(file, sizeof(file), f) && !pclose(f), "%s is over no file", lower);
	file[strcspn(file, "\n")] = 0;
	return nvmet_new(file);
}

static void resize_nvme_file(const char *path, unsigned int mb)
{
	(void)path;
	resize_loop_file(lower, mb);
	nvmet_put("revalidate_size", "1");
}

static const char *nvme_disk_of(unsigned int mb)
{
	lower = loop_new(mb, 512);
	return nvmet_new(lower);
}

static void resize_nvme_disk(const char *path, unsigned int mb)
{
	(void)path;
	resize_loop(lower, mb);
	nvmet_put("revalidate_size", "1");
}

static void block_page(const char *path, int op, unsigned int mb)
{
	struct blkpg_partition p = { .pno = 1, .start = 1 << 20, .length = (uint64_t)mb << 20 };
	struct blkpg_ioctl_arg arg = { .op = op, .datalen = sizeof(p), .data = &p };
	int fd = check_ok(open(path, O_RDWR | O_CLOEXEC));

	check_ok(ioctl(fd, BLKPG, &arg));
	close(fd);
}

static const char *partition_of(unsigned int mb)
{
	static char path[64];

	lower = nullb_new(&(struct nullb){ .mb = 64 });
	block_page(lower, BLKPG_ADD_PARTITION, mb);
	snprintf(path, sizeof(path), "%sp1", lower);
	return path;
}

static void resize_partition(const char *path, unsigned int mb)
{
	(void)path;
	block_page(lower, BLKPG_RESIZE_PARTITION, mb);
}

static const struct resizable {
	const char *name;
	const char *(*make)(unsigned int mb);
	void (*set)(const char *path, unsigned int mb);
} resizables[] = {
	{ "loop", loop_of, resize_loop },
	{ "nvme_over_a_file", nvme_file_of, resize_nvme_file },
	{ "nvme_over_a_disk", nvme_disk_of, resize_nvme_disk },
	{ "partition", partition_of, resize_partition },
};

/* Behind the end nothing is served, and what came to be before it is. */
TEST_PATHS(growth_and_cut_reach_the_guest, resizables)
{
	const char *path = v->make(16);
	struct blk blk = load_start(path, 1);
	struct load l = load_new(blk.vq, 1);
	int event = config_call(&blk);

	l.slots[0].sector = 32 * 2048 - 8;
	load_put_all(&l, true, 1);
	load_finish_as(&l, VIRTIO_BLK_S_IOERR);
	v->set(path, 32);
	must_be_told(event, "the growth");
	check_eq(told_capacity(&blk), 32 * 2048);
	load_put_all(&l, true, 1);
	load_finish(&l);
	v->set(path, 8);
	must_be_told(event, "the cut");
	check_eq(told_capacity(&blk), 8 * 2048);
	load_put_all(&l, true, 1);
	load_finish_as(&l, VIRTIO_BLK_S_IOERR);
	l.slots[0].sector = 8 * 2048 - 8;
	load_put_all(&l, true, 1);
	load_finish(&l);
}

/* Disks that answer late, so that requests are in flight when they go. */
#define LATE_MS 100

static const char *late_dm(unsigned int mb)
{
	return slow_disk(mb, LATE_MS);
}

static void load_error_table(const char *path, unsigned int mb)
{
	char table[100];

	snprintf(table, sizeof(table), "0 %u error\\n", mb * 2048);
	dm_set(path, table);
}

static const char *late_nullb(unsigned int mb)
{
	return nullb_new(&(struct nullb){ .mb = mb, .delay_ms = LATE_MS });
}

static void power_off(const char *path, unsigned int mb)
{
	(void)path, (void)mb;
	put_attribute("/sys/kernel/config/nullb/vst0", "power", "0");
}

static const char *late_nvme(unsigned int mb)
{
	return nvmet_new(late_dm(mb));
}

static const char *late_namespace(unsigned int mb)
{
	if (on_debug_kernel())
		skip("the kernel's nvmet takes a mutex where nvme-loop must not sleep");
	return late_nvme(mb);
}

static void disable_namespace(const char *path, unsigned int mb)
{
	(void)path, (void)mb;
	nvmet_put("enable", "0");
}

static void disconnect(const char *path, unsigned int mb)
{
	(void)path, (void)mb;
	nvmet_disconnect();
}

static const char *scsi_disk(unsigned int mb)
{
	return scsi_debug_new(mb, "");
}

static void delete_scsi(const char *path, unsigned int mb)
{
	char dir[96];

	(void)mb;
	snprintf(dir, sizeof(dir), "/sys/block/%s/device", strrchr(path, '/') + 1);
	put_attribute(dir, "delete", "1");
}

static const struct vanishing {
	const char *name;
	const char *(*make)(unsigned int mb);
	void (*vanish)(const char *path, unsigned int mb);
} vanishings[] = {
	{ "dm_error_table", late_dm, load_error_table },
	{ "null_blk_without_power", late_nullb, power_off },
	{ "nvme_namespace_disabled", late_namespace, disable_namespace },
	{ "nvme_disconnected", late_nvme, disconnect },
	{ "scsi_deleted", scsi_disk, delete_scsi },
};

/* In flight or not, everything is answered; another disk takes its place. */
TEST_PATHS_LIMIT(vanished_disk_gives_ioerr, vanishings, 60)
{
	const char *path = v->make(16);
	struct blk blk = load_start(path, 1);
	struct load l = load_new(blk.vq, 32);
	int event = config_call(&blk);
	bool gone;

	load_put_all(&l, true, 1);
	v->vanish(path, 16);
	load_finish_as(&l, -1);
	for (unsigned int i = 0; i < 2; i++) {
		load_put_all(&l, i, 1);
		load_finish_as(&l, VIRTIO_BLK_S_IOERR);
	}
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_GET_ID, .in_len = 20 },
		   VIRTIO_BLK_S_OK);
	gone = told_capacity(&blk) != 16 * 2048;
	if (gone)
		must_be_told(event, "a disk without sectors");
	path = nullb_new(&(struct nullb){});
	check_ok(blk_set_backend(blk.dev, check_ok(open(path, O_RDWR | O_CLOEXEC))));
	if (gone)
		must_be_told(event, "a disk with sectors again");
	load_put_all(&l, true, 2);
	load_finish(&l);
	load_check_disk(&l, path);
}

TEST(no_config_call_no_event)
{
	const char *path = disk_of(16);
	struct blk blk = load_start(path, 1);
	int event = config_call(&blk);

	check_ok(blk_set_config_call(blk.dev, -1));
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
	must_be_told(event, "the growth");
}

TEST(exchange_for_another_size_is_told)
{
	struct blk blk = load_start(disk_of(16), 1);
	int event = config_call(&blk);

	check_ok(blk_set_backend(blk.dev, check_ok(open(lower, O_RDWR | O_CLOEXEC))));
	must_be_told(event, "the exchange");
	check_eq(told_capacity(&blk), 64 * 2048);
}

TEST(config_call_refuses_other_files)
{
	struct blk blk = load_start(disk_of(16), 1);

	check_errno(blk_set_config_call(blk.dev, 9999), EBADF);
	check_errno(blk_set_config_call(blk.dev, blk.fd), EINVAL);
	check_errno(ioctl(blk.dev->fd, VHOST_BLK_SET_CONFIG_CALL, NULL), EFAULT);
}
