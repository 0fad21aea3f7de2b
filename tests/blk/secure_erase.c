// SPDX-License-Identifier: GPL-2.0
/* SECURE_ERASE on a device that has it. */
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "blk.h"
#include "tap.h"
#include "vduse.h"

#define FEATURES (BLK_FEATURES | BIT(VIRTIO_BLK_F_SECURE_ERASE))
#define TRACING "/sys/kernel/tracing"
#define ISSUED TRACING "/events/block/block_rq_issue"

typedef struct virtio_blk_discard_write_zeroes range_t;

static range_t range(uint64_t sector, uint32_t sectors)
{
	return (range_t){ htole64(sector), htole32(sectors), 0 };
}

static struct blk start(const char *path)
{
	return blk_start(&(struct blk_setup){ .path = path, .features = FEATURES });
}

static void do_erase(struct blk *blk, const range_t *ranges, unsigned int n, uint8_t status)
{
	blk_expect(blk->vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_SECURE_ERASE, .out = ranges,
			.out_len = n * sizeof(*ranges) }, status);
}

static void watch(void)
{
	put_attribute(TRACING, "trace", "");
	put_attribute(ISSUED, "enable", "1");
}

/* The driver below was given this, as a secure erase. */
static void check_issued(uint64_t sector, uint32_t sectors)
{
	char line[400], want[64];
	bool found = false;
	FILE *f;

	put_attribute(ISSUED, "enable", "0");
	f = fopen(TRACING "/trace", "r");
	check(f, "no trace: %m");
	snprintf(want, sizeof(want), "() %llu + %u ", (unsigned long long)sector, sectors);
	while (fgets(line, sizeof(line), f))
		found |= strstr(line, " DE") && strstr(line, want);
	fclose(f);
	check(found, "no secure erase of %u sectors at %llu was sent", sectors,
	      (unsigned long long)sector);
}

TEST(limits_of_the_device_are_told)
{
	struct vduse_disk *disk = vduse_disk_new();
	struct blk blk = start(disk->path);
	struct virtio_blk_config config;
	struct vhost_blk_config c;

	check_ok(blk_get_config(blk.dev, -1, &c));
	memcpy(&config, c.config, sizeof(config));
	check(c.features & BIT(VIRTIO_BLK_F_SECURE_ERASE), "the feature is not told");
	check_eq(le32toh(config.max_secure_erase_sectors), VDUSE_ERASE_SECTORS);
	check_eq(le32toh(config.max_secure_erase_seg), 32);
	check(config.secure_erase_sector_alignment, "no alignment is told");
}

/* The device gets each as what it is, and no more. */
TEST(ranges_are_erased)
{
	struct vduse_disk *disk = vduse_disk_new();
	struct blk blk = start(disk->path);
	range_t r[] = { range(8, 16), range(0, 0), range(1024, VDUSE_ERASE_SECTORS) };

	watch();
	do_erase(&blk, r, ARRAY_SIZE(r), VIRTIO_BLK_S_OK);
	check_eq(disk->erases, 2);
	check_issued(8, 16);
	check_issued(1024, VDUSE_ERASE_SECTORS);
}

TEST(dm_passes_it_through)
{
	struct vduse_disk *disk = vduse_disk_new();
	range_t r = range(8, 16);
	char table[100];
	struct blk blk;

	snprintf(table, sizeof(table), "0 4096 linear %s 64\\n", disk->path);
	blk = start(dm_new(table));
	watch();
	do_erase(&blk, &r, 1, VIRTIO_BLK_S_OK);
	check_eq(disk->erases, 1);
	check_issued(64 + 8, 16);
}

static const struct {
	const char *name;
	uint64_t sector;
	uint32_t sectors, flags;
	uint8_t status;
} bad[] = {
	{ "over_the_end", VDUSE_DISK_BYTES / SECTOR - 8, 16, 0, VIRTIO_BLK_S_IOERR },
	{ "larger_than_told", 0, VDUSE_ERASE_SECTORS + 8, 0, VIRTIO_BLK_S_IOERR },
	{ "with_unmap", 0, 8, 1, VIRTIO_BLK_S_UNSUPP },
};

TEST_V(bad_range_erases_nothing, bad)
{
	struct vduse_disk *disk = vduse_disk_new();
	struct blk blk = start(disk->path);
	range_t r[] = { range(0, 8), range(v->sector, v->sectors) };

	r[1].flags = htole32(v->flags);
	do_erase(&blk, r, 2, v->status);
	check_eq(disk->erases, 0);
}

TEST(read_only_rejected)
{
	struct vduse_disk *disk = vduse_disk_new();
	struct blk blk = blk_start(&(struct blk_setup){
		.path = disk->path, .features = FEATURES, .read_only = true });
	range_t r = range(0, 8);

	do_erase(&blk, &r, 1, VIRTIO_BLK_S_IOERR);
	check_eq(disk->erases, 0);
}
