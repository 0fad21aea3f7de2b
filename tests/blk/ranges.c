// SPDX-License-Identifier: GPL-2.0
/* DISCARD, WRITE_ZEROES, SECURE_ERASE: requests that name ranges (VIRTIO 5.2.6). */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "blk.h"
#include "tap.h"

#define FEATURES (BLK_FEATURES | BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))
#define UNMAP VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP
#define RANGES_MAX 32
/* Sectors at the start of the disk that hold data before the request. */
#define FILLED 256

typedef struct virtio_blk_discard_write_zeroes range_t;

static range_t range(uint64_t sector, uint32_t sectors, uint32_t flags)
{
	return (range_t){ htole64(sector), htole32(sectors), htole32(flags) };
}

/* null_blk whose discards are real; it has no command for zeroes. */
static const struct blk_setup nullb = {
	.disk.attributes = "discard=1", .features = FEATURES };

/* A disk full of data, that of which is 0 after the request. */
struct disk {
	struct blk blk;
	unsigned char want[FILLED * SECTOR];
};

static struct disk disk_start(const struct blk_setup *setup)
{
	struct disk disk = { .blk = blk_prepare(setup) };

	fill(disk.want, sizeof(disk.want), 7);
	device_write(disk.blk.path, 0, disk.want, sizeof(disk.want));
	vdev_start(disk.blk.dev);
	return disk;
}

static void disk_zeroed(struct disk *disk, uint64_t sector, uint32_t sectors)
{
	memset(disk->want + sector * SECTOR, 0, sectors * SECTOR);
}

static void disk_check(const struct disk *disk)
{
	unsigned char got[FILLED * SECTOR];

	device_read(disk->blk.path, 0, got, sizeof(got));
	check_same(got, disk->want, sizeof(got), "the medium");
}

static void do_ranges(struct blk *blk, uint32_t type, const range_t *ranges, unsigned int n,
		      uint8_t status)
{
	blk_expect_len(blk->vq, &(struct blk_io){
			.type = type, .out = ranges, .out_len = n * sizeof(*ranges) },
		       status, 1);
}

static const struct {
	const char *name;
	uint32_t type, flags;
} erasing[] = {
	{ "discard", VIRTIO_BLK_T_DISCARD, 0 },
	{ "write_zeroes", VIRTIO_BLK_T_WRITE_ZEROES, 0 },
	{ "write_zeroes_unmap", VIRTIO_BLK_T_WRITE_ZEROES, UNMAP },
};

TEST_PATHS(one_range_ok, erasing)
{
	struct disk disk = disk_start(&nullb);
	range_t r = range(8, 16, v->flags);

	do_ranges(&disk.blk, v->type, &r, 1, VIRTIO_BLK_S_OK);
	disk_zeroed(&disk, 8, 16);
	disk_check(&disk);
}

static const struct {
	const char *name;
	uint32_t flags;
} zeroing[] = { { "kept", 0 }, { "unmapped", UNMAP } };

/* By whatever way the disk at hand has. */
TEST_PATHS(zeroes_on_any_disk, zeroing)
{
	struct disk disk = disk_start(&(struct blk_setup){ .features = FEATURES });
	range_t r[] = { range(1, 7, v->flags), range(16, 128, v->flags) };

	do_ranges(&disk.blk, VIRTIO_BLK_T_WRITE_ZEROES, r, 2, VIRTIO_BLK_S_OK);
	disk_zeroed(&disk, 1, 7);
	disk_zeroed(&disk, 16, 128);
	disk_check(&disk);
}

/* What was discarded is as it was or zeroes, and may be written again. */
TEST(discard_on_any_disk)
{
	const struct blk_setup any = { .features = FEATURES };
	struct disk disk = disk_start(getenv("BLK_BACKEND") ? &any : &nullb);
	static const unsigned char zeroes[SECTOR];
	range_t r[] = { range(200, 8, 0), range(16, 128, 0) };
	struct vhost_blk_config config;
	unsigned char got[SECTOR];

	check_ok(blk_get_config(disk.blk.dev, -1, &config));
	if (!(config.features & BIT(VIRTIO_BLK_F_DISCARD))) {
		do_ranges(&disk.blk, VIRTIO_BLK_T_DISCARD, r, 2, VIRTIO_BLK_S_UNSUPP);
		disk_check(&disk);
		skip("DISCARD is not offered");
	}
	do_ranges(&disk.blk, VIRTIO_BLK_T_DISCARD, r, 2, VIRTIO_BLK_S_OK);
	for (unsigned int sector = 16; sector < 16 + 128; sector++) {
		blk_read(disk.blk.vq, sector, got, SECTOR);
		if (memcmp(got, zeroes, SECTOR))
			check_same(got, disk.want + sector * SECTOR, SECTOR, "a sector");
	}
	blk_write(disk.blk.vq, 16, disk.want + 16 * SECTOR, 128 * SECTOR);
	blk_write(disk.blk.vq, 200, disk.want + 200 * SECTOR, 8 * SECTOR);
	disk_check(&disk);
}

/* They need not be in order, and may be cut anywhere like any request. */
TEST_PATHS(many_ranges_ok, erasing)
{
	const struct blk_layout pieces = { "", .out = { 3, 13, 5 }, .out_every = 7 };
	struct disk disk = disk_start(&nullb);
	range_t r[RANGES_MAX];

	for (unsigned int i = 0; i < RANGES_MAX; i++) {
		uint64_t sector = (i * 5 % RANGES_MAX) * 8;

		r[i] = range(sector, 4, v->flags);
		disk_zeroed(&disk, sector, 4);
	}
	blk_expect(disk.blk.vq, &(struct blk_io){ .type = v->type, .out = r,
			.out_len = sizeof(r), .layout = &pieces }, VIRTIO_BLK_S_OK);
	disk_check(&disk);
}

TEST_PATHS(empty_range_does_nothing, erasing)
{
	struct disk disk = disk_start(&nullb);
	range_t r[] = { range(0, 0, v->flags), range(disk.blk.capacity, 0, v->flags),
			range(4, 1, v->flags) };

	do_ranges(&disk.blk, v->type, r, 2, VIRTIO_BLK_S_OK);
	disk_check(&disk);
	do_ranges(&disk.blk, v->type, r, 3, VIRTIO_BLK_S_OK);
	disk_zeroed(&disk, 4, 1);
	disk_check(&disk);
}

/* The last one is bad: nothing may be done to those before it. */
static const struct {
	const char *name;
	uint64_t sector;
	uint32_t sectors;
	uint64_t at_end;
} outside[] = {
	{ "over_the_end", 0, 2, 1 }, { "at_the_end", 0, 1, 0 }, { "sector_2_63", 1ull << 63, 1, 0 },
	{ "sum_wraps", ~0ull, 2, 0 }, { "sectors_2_32", 0, ~0u, 0 },
};

TEST_V(discard_outside_rejected, outside)
{
	struct disk disk = disk_start(&nullb);
	uint64_t sector = v->sector || v->sectors == ~0u ? v->sector : disk.blk.capacity - v->at_end;
	range_t r[] = { range(0, 8, 0), range(sector, v->sectors, 0) };

	do_ranges(&disk.blk, VIRTIO_BLK_T_DISCARD, r, 2, VIRTIO_BLK_S_IOERR);
	do_ranges(&disk.blk, VIRTIO_BLK_T_WRITE_ZEROES, r, 2, VIRTIO_BLK_S_IOERR);
	disk_check(&disk);
}

static const struct {
	const char *name;
	uint32_t type, flags;
} flagged[] = {
	{ "discard_unmap", VIRTIO_BLK_T_DISCARD, UNMAP },
	{ "discard_bit_1", VIRTIO_BLK_T_DISCARD, 2 },
	{ "discard_bit_31", VIRTIO_BLK_T_DISCARD, 1u << 31 },
	{ "zeroes_bit_1", VIRTIO_BLK_T_WRITE_ZEROES, 2 },
	{ "zeroes_unmap_and_bit_31", VIRTIO_BLK_T_WRITE_ZEROES, UNMAP | 1u << 31 },
};

TEST_V(unknown_flag_unsupported, flagged)
{
	struct disk disk = disk_start(&nullb);
	range_t r[] = { range(0, 8, 0), range(8, 8, v->flags) };

	do_ranges(&disk.blk, v->type, r + 1, 1, VIRTIO_BLK_S_UNSUPP);
	do_ranges(&disk.blk, v->type, r, 2, VIRTIO_BLK_S_UNSUPP);
	disk_check(&disk);
}

static const struct {
	const char *name;
	uint32_t bytes;
} lengths[] = {
	{ "none", 0 }, { "15", 15 }, { "17", 17 }, { "one_too_many", (RANGES_MAX + 1) * 16 },
	{ "1_mib", 1 << 20 },
};

TEST_V(data_not_of_whole_ranges_rejected, lengths)
{
	static range_t r[(1 << 20) / sizeof(range_t)];
	struct disk disk = disk_start(&nullb);

	for (unsigned int i = 0; i < sizeof(r) / sizeof(*r); i++)
		r[i] = range(0, 1, 0);
	for (unsigned int i = 0; i < 2; i++)
		blk_expect(disk.blk.vq, &(struct blk_io){ .type = erasing[i].type, .out = r,
				.out_len = v->bytes }, VIRTIO_BLK_S_IOERR);
	disk_check(&disk);
}

TEST(not_negotiated_unsupported)
{
	struct blk_setup plain = nullb;
	struct disk disk;
	range_t r = range(0, 8, 0);

	plain.features = BLK_FEATURES;
	disk = disk_start(&plain);
	do_ranges(&disk.blk, VIRTIO_BLK_T_DISCARD, &r, 1, VIRTIO_BLK_S_UNSUPP);
	do_ranges(&disk.blk, VIRTIO_BLK_T_WRITE_ZEROES, &r, 1, VIRTIO_BLK_S_UNSUPP);
	do_ranges(&disk.blk, VIRTIO_BLK_T_SECURE_ERASE, &r, 1, VIRTIO_BLK_S_UNSUPP);
	disk_check(&disk);
}

TEST_PATHS(read_only_rejected, erasing)
{
	struct blk_setup setup = nullb;
	struct disk disk;
	range_t r = range(0, 8, v->flags);

	setup.read_only = true;
	disk = disk_start(&setup);
	do_ranges(&disk.blk, v->type, &r, 1, VIRTIO_BLK_S_IOERR);
	disk_check(&disk);
}

/* What a backend cannot do is told as such, though it was negotiated. */
TEST(backend_without_discard_unsupported)
{
	struct disk disk = disk_start(&(struct blk_setup){ .disk.mb = 16,
		.features = FEATURES | BIT(VIRTIO_BLK_F_SECURE_ERASE) });
	range_t r = range(0, 8, 0);

	do_ranges(&disk.blk, VIRTIO_BLK_T_DISCARD, &r, 1, VIRTIO_BLK_S_UNSUPP);
	do_ranges(&disk.blk, VIRTIO_BLK_T_SECURE_ERASE, &r, 1, VIRTIO_BLK_S_UNSUPP);
	disk_check(&disk);
}

TEST(misaligned_to_the_block_rejected)
{
	struct disk disk = disk_start(&(struct blk_setup){
		.path = loop_new(16, 4096), .features = FEATURES });
	range_t r[] = { range(4, 8, 0), range(0, 4, 0) };

	for (unsigned int i = 0; i < 2; i++)
		do_ranges(&disk.blk, VIRTIO_BLK_T_WRITE_ZEROES, &r[i], 1, VIRTIO_BLK_S_IOERR);
	disk_check(&disk);
}

/*
 * A loop device over tmpfs says that it can write zeroes, and finds out with the
 * first request that it can but unmap: zeroes are written then, page by page.
 */
TEST(zeroes_where_the_command_fails)
{
	struct disk disk = disk_start(&(struct blk_setup){
		.path = loop_new(16, 512), .features = FEATURES });
	range_t r[] = { range(3, 1, 0), range(8, 100, 0), range(200, 5, 0) };

	for (int i = 0; i < 2; i++) {
		do_ranges(&disk.blk, VIRTIO_BLK_T_WRITE_ZEROES, r, 3, VIRTIO_BLK_S_OK);
		disk_zeroed(&disk, 3, 1);
		disk_zeroed(&disk, 8, 100);
		disk_zeroed(&disk, 200, 5);
		disk_check(&disk);
	}
}

/*
 * The same with ranges as large as that command could have done, of which the guest
 * was told: small enough, they are zeroed; larger, they are the guest's to write.
 */
TEST(large_zeroes_where_the_command_fails)
{
	struct blk blk = blk_start(&(struct blk_setup){
		.path = loop_new(128, 512), .features = FEATURES });
	range_t all = range(0, blk.capacity, 0), part = range(0, (16 << 20) / SECTOR, 0);
	static unsigned char data[16 << 20], zeroes[16 << 20];

	for (int i = 0; i < 2; i++) {
		fill(data, sizeof(data), i);
		device_write(blk.path, 0, data, sizeof(data));
		do_ranges(&blk, VIRTIO_BLK_T_WRITE_ZEROES, &all, 1, VIRTIO_BLK_S_UNSUPP);
		do_ranges(&blk, VIRTIO_BLK_T_WRITE_ZEROES, &part, 1, VIRTIO_BLK_S_OK);
		device_read(blk.path, 0, data, sizeof(data));
		check_same(data, zeroes, sizeof(data), "the medium");
	}
}

/* As many zeroes as a request can name, several at once, to the disk's end. */
#define ZEROED (512u << 10)

TEST(large_zeroes_ok)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .disk.mb = 64, .features = FEATURES });
	static unsigned char data[64 << 20], want[64 << 20];
	struct blk_req req[4];
	range_t r[4][RANGES_MAX];

	fill(data, sizeof(data), 5);
	device_write(blk.path, 0, data, sizeof(data));
	vdev_start(blk.dev);
	for (unsigned int i = 0; i < 4 * RANGES_MAX; i++) {
		r[0][i] = range(i * (ZEROED / SECTOR) + 1, ZEROED / SECTOR - 1, 0);
		memcpy(want + i * ZEROED, data + i * ZEROED, SECTOR);
	}
	for (unsigned int i = 0; i < 4; i++)
		req[i] = blk_add(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_WRITE_ZEROES,
				.out = r[i], .out_len = sizeof(r[i]) });
	blk_send(blk.vq);
	blk_reap(blk.vq, req, 4);
	for (unsigned int i = 0; i < 4; i++)
		check_eq(req[i].status, VIRTIO_BLK_S_OK);
	device_read(blk.path, 0, data, sizeof(data));
	check_same(data, want, sizeof(data), "the medium");
}

/* Detaching waits for what was taken: of zeroes not more than of data. */
TEST(large_zeroes_take_turns)
{
	struct blk blk = blk_start(&(struct blk_setup){ .features = FEATURES,
		.path = nullb_new(&(struct nullb){ .mb = 32, .delay_ms = 40 }) });
	struct blk_req req[3];
	range_t r[RANGES_MAX];

	for (unsigned int i = 0; i < RANGES_MAX; i++)
		r[i] = range(i * (ZEROED / SECTOR), ZEROED / SECTOR, 0);
	for (unsigned int i = 0; i < 3; i++)
		req[i] = blk_add(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_WRITE_ZEROES,
				.out = r, .out_len = sizeof(r) });
	blk_send(blk.vq);
	vdev_wait_in_flight(1);
	/* The second counts while it is found to be too much. */
	vq_settle(blk.vq);
	check_eq(vdev_stat(0, "in_flight", 1), 1);
	vdev_stop(blk.dev);
	check_eq((uint16_t)(vq_used_idx(blk.vq) - blk.vq->last_used), 1);
	check(!blk.dev->ops->attach(blk.dev), "attach: %m");
	blk_reap(blk.vq, req, 3);
	for (unsigned int i = 0; i < 3; i++)
		check_eq(req[i].status, VIRTIO_BLK_S_OK);
}

/* What the device cannot do at once is split by the block layer. */
TEST(discard_of_the_whole_disk_ok)
{
	struct blk_setup setup = nullb;
	struct disk disk;
	range_t r;

	setup.disk.mb = 64;
	disk = disk_start(&setup);
	r = range(0, disk.blk.capacity, 0);
	do_ranges(&disk.blk, VIRTIO_BLK_T_DISCARD, &r, 1, VIRTIO_BLK_S_OK);
	disk_zeroed(&disk, 0, FILLED);
	disk_check(&disk);
}

/* Detaching waits for all rounds of a request that was taken. */
TEST(detached_while_zeroing)
{
	struct disk disk = disk_start(&(struct blk_setup){
		.path = loop_new(16, 512), .features = FEATURES });
	range_t r = range(0, disk.blk.capacity, 0);
	struct blk_req req = blk_add(disk.blk.vq, &(struct blk_io){
		.type = VIRTIO_BLK_T_WRITE_ZEROES, .out = &r, .out_len = sizeof(r) });

	blk_send(disk.blk.vq);
	sleep_ms(2);
	check_ok(blk_set_backend(disk.blk.dev, -1));
	if (vq_used_idx(disk.blk.vq) != disk.blk.vq->last_used) {
		blk_reap(disk.blk.vq, &req, 1);
		check_eq(req.status, VIRTIO_BLK_S_OK);
		disk_zeroed(&disk, 0, FILLED);
	}
	disk_check(&disk);
}
