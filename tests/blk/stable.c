// SPDX-License-Identifier: GPL-2.0
/*
 * VIRTIO 5.2.6.2: what is stable when. dm-log-writes keeps a log of what a disk that
 * loses its cache would still have, in the order in which it got there, and marks in it
 * that tell when the guest was answered.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "blk.h"
#include "load.h"
#include "tap.h"

#define LOG_MAGIC 0x6a736677736872ull
#define LOG_FLAG_DISCARD 4
#define LOG_FLAG_MARK 8
#define DISK_MB 8
#define FILE_MB 4
#define LOG_MB 32

/* The log's first block, and the head of each entry, which has a block too. */
struct log_super {
	uint64_t magic, version, entries;
	uint32_t block;
} __attribute__((packed));

struct log_entry {
	uint64_t sector, sectors, flags, data_len;
	char mark[SECTOR - 4 * sizeof(uint64_t)];
} __attribute__((packed));

/* A disk that loses what is in its cache, or a file on one, and the disk's log. */
struct lossy {
	const char *disk, *log;
	const char *path;
	bool file;
};

static struct lossy lossy_new(bool file)
{
	const char *disk = nullb_new(&(struct nullb){ .mb = DISK_MB, .attributes = "discard=1" });
	struct lossy lossy = { .file = file, .log = nullb_new(&(struct nullb){ .mb = LOG_MB }) };
	char table[128];

	run_command("modprobe dm_log_writes");
	snprintf(table, sizeof(table), "0 %llu log-writes %s %s\\n",
		 (unsigned long long)device_sectors(disk), disk, lossy.log);
	lossy.disk = dm_new(table);
	lossy.path = file ? file_on(lossy.disk, FILE_MB) : lossy.disk;
	return lossy;
}

static void lossy_mark(const struct lossy *lossy, const char *mark)
{
	run_command("dmsetup message %s 0 mark %s", dm_name_of(lossy->disk), mark);
}

/* What the disk holds when it lost power at the mark. */
static void lossy_at(const struct lossy *lossy, const char *mark, unsigned char *image)
{
	static unsigned char log[LOG_MB << 20];
	struct log_super *super = (void *)log;
	unsigned char *at = log + SECTOR;

	/* The log's writer is a thread behind the disk. */
	run_command("sync %s", lossy->log);
	device_read(lossy->log, 0, log, sizeof(log));
	check_eq(super->magic, LOG_MAGIC);
	check_eq(super->block, SECTOR);
	memset(image, 0, DISK_MB << 20);
	for (uint64_t i = 0; i < super->entries; i++) {
		struct log_entry *e = (void *)at;

		at += SECTOR;
		if (e->flags & LOG_FLAG_MARK && !strcmp(e->mark, mark))
			return;
		if (e->flags & (LOG_FLAG_MARK | LOG_FLAG_DISCARD))
			continue;
		memcpy(image + e->sector * SECTOR, at, e->sectors * SECTOR);
		at += e->sectors * SECTOR;
	}
	fail("mark '%s' is not among the %llu entries", mark, (unsigned long long)super->entries);
}

/*
 * What the file on this disk holds. The disk is copied to another one, whose file system is
 * mounted over that of the test and goes with its mounts.
 */
static void file_of(unsigned char *image)
{
	static unsigned char data[FILE_MB << 20];
	const char *copy = nullb_new(&(struct nullb){ .mb = DISK_MB });

	device_write(copy, 0, image, DISK_MB << 20);
	run_command("mount -o ro %s /mnt", copy);
	device_read("/mnt/vst", 0, data, sizeof(data));
	run_command("umount /mnt");
	memcpy(image, data, sizeof(data));
}

/* Whether these bytes were on the disk, or in the file, by then. */
static bool stable_at(const struct lossy *lossy, const char *mark, uint64_t sector,
		      const void *data, size_t len)
{
	static unsigned char image[DISK_MB << 20];

	lossy_at(lossy, mark, image);
	if (lossy->file)
		file_of(image);
	return !memcmp(image + sector * SECTOR, data, len);
}

static void flush(struct blk *blk)
{
	blk_expect(blk->vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH }, VIRTIO_BLK_S_OK);
}

static const struct {
	const char *name;
	bool file;
} backends[] = {
	{ "device", false },
	{ "file", true },
};

/* The backend loses what was not flushed, and has what was. */
TEST_PATHS(flush_makes_writes_stable, backends)
{
	struct lossy lossy = lossy_new(v->file);
	struct blk blk = blk_start(&(struct blk_setup){ .path = lossy.path });
	unsigned char data[16 * SECTOR];

	fill(data, sizeof(data), 1);
	blk_write(blk.vq, 8, data, sizeof(data));
	lossy_mark(&lossy, "written");
	flush(&blk);
	lossy_mark(&lossy, "flushed");
	check(!stable_at(&lossy, "written", 8, data, sizeof(data)),
	      "the backend loses nothing: this test shows nothing");
	check(stable_at(&lossy, "flushed", 8, data, sizeof(data)), "lost after a flush");
}

static const struct {
	const char *name;
	uint64_t features;
	int writeback;
	bool file;
} through[] = {
	{ "flush_not_negotiated", BLK_FEATURES & ~BIT(VIRTIO_BLK_F_FLUSH), 1, false },
	{ "write_through", BLK_FEATURES | BIT(VIRTIO_BLK_F_CONFIG_WCE), 0, false },
	{ "file_flush_not_negotiated", BLK_FEATURES & ~BIT(VIRTIO_BLK_F_FLUSH), 1, true },
	{ "file_write_through", BLK_FEATURES | BIT(VIRTIO_BLK_F_CONFIG_WCE), 0, true },
};

/* More than a bio holds, so that each of them has to be stable. */
TEST_PATHS(write_is_stable_when_answered, through)
{
	struct lossy lossy = lossy_new(v->file);
	struct blk blk = blk_prepare(&(struct blk_setup){
		.path = lossy.path, .features = v->features });
	static unsigned char data[2 << 20];

	check_ok(blk_set_writeback(blk.dev, v->writeback));
	vdev_start(blk.dev);
	fill(data, sizeof(data), 2);
	blk_write(blk.vq, 24, data, sizeof(data));
	lossy_mark(&lossy, "written");
	check(stable_at(&lossy, "written", 24, data, sizeof(data)), "lost though answered");
}

TEST_PATHS(zeroes_are_stable_when_answered, through)
{
	struct lossy lossy = lossy_new(v->file);
	struct blk blk = blk_prepare(&(struct blk_setup){ .path = lossy.path,
			.features = v->features | BIT(VIRTIO_BLK_F_WRITE_ZEROES) });
	const struct virtio_blk_discard_write_zeroes range = { .sector = 8, .num_sectors = 8 };
	unsigned char data[8 * SECTOR], zeroes[8 * SECTOR] = { 0 };

	check_ok(blk_set_writeback(blk.dev, v->writeback));
	vdev_start(blk.dev);
	fill(data, sizeof(data), 3);
	blk_write(blk.vq, 8, data, sizeof(data));
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_WRITE_ZEROES,
			.out = &range, .out_len = sizeof(range) }, VIRTIO_BLK_S_OK);
	lossy_mark(&lossy, "zeroed");
	check(stable_at(&lossy, "zeroed", 8, zeroes, sizeof(zeroes)), "zeroes lost though answered");
}

/* A driver that switches the cache off flushes no more: nothing may be left in it. */
TEST_PATHS(switch_to_write_through_makes_writes_stable, backends)
{
	struct lossy lossy = lossy_new(v->file);
	struct blk blk = blk_start(&(struct blk_setup){ .path = lossy.path });
	unsigned char data[2][SECTOR];

	fill(data[0], SECTOR, 4);
	fill(data[1], SECTOR, 5);
	blk_write(blk.vq, 0, data[0], SECTOR);
	check_ok(blk_set_writeback(blk.dev, 0));
	lossy_mark(&lossy, "through");
	check(stable_at(&lossy, "through", 0, data[0], SECTOR), "lost by the switch");
	check_ok(blk_set_writeback(blk.dev, 1));
	blk_write(blk.vq, 1, data[1], SECTOR);
	lossy_mark(&lossy, "back");
	flush(&blk);
	lossy_mark(&lossy, "flushed");
	check(!stable_at(&lossy, "back", 1, data[1], SECTOR), "still write-through");
	check(stable_at(&lossy, "flushed", 1, data[1], SECTOR), "lost after a flush");
}

/* Toggled while writes are in flight, on several queues. */
TEST(switched_under_load)
{
	struct lossy lossy = lossy_new(false);
	struct blk blk = load_start(lossy.path, 4);
	struct load load[4];

	for (unsigned int i = 0; i < 4; i++)
		load[i] = load_new(blk.dev->vqs[i], 16);
	for (unsigned int round = 0; round < 20; round++) {
		loads_put_all(load, 4, true, 100 + round * 64);
		check_ok(blk_set_writeback(blk.dev, round & 1));
		loads_finish(load, 4);
	}
	for (unsigned int i = 0; i < 4; i++)
		load_check_disk(&load[i], lossy.path);
}

TEST(writeback_values)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct vhost_blk_config config;
	struct virtio_blk_config *c = (void *)config.config;

	check_errno(blk_set_writeback(blk.dev, 2), EINVAL);
	check_errno(blk_set_writeback(blk.dev, -1), EINVAL);
	check_errno(ioctl(blk.dev->fd, VHOST_BLK_SET_WRITEBACK, NULL), EFAULT);
	check_ok(blk_get_config(blk.dev, -1, &config));
	check_eq(c->wce, 1);
	check_ok(blk_set_writeback(blk.dev, 0));
	check_ok(blk_set_writeback(blk.dev, 0));
	check_ok(blk_get_config(blk.dev, -1, &config));
	check_eq(c->wce, 0);
	flush(&blk);
}
