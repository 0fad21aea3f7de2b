// SPDX-License-Identifier: GPL-2.0
/* Where a request may go: within the capacity, in whole sectors and blocks. */
#include <string.h>

#include "blk.h"
#include "tap.h"

#define MB 1
#define CAPACITY (MB * 2048ull)
#define BLOCK 4096

/* sector + length against CAPACITY; ~ is for what counts from 2^64 down. */
static const struct {
	const char *name;
	uint64_t sector;
	uint32_t sectors;
	uint8_t status;
} ranges[] = {
	{ "first_sector_ok", 0, 1, VIRTIO_BLK_S_OK },
	{ "last_sector_ok", CAPACITY - 1, 1, VIRTIO_BLK_S_OK },
	{ "up_to_the_end_ok", CAPACITY - 64, 64, VIRTIO_BLK_S_OK },
	{ "one_past_the_end_rejected", CAPACITY - 1, 2, VIRTIO_BLK_S_IOERR },
	{ "64_past_the_end_rejected", CAPACITY - 63, 64, VIRTIO_BLK_S_IOERR },
	{ "at_the_end_rejected", CAPACITY, 1, VIRTIO_BLK_S_IOERR },
	{ "behind_the_end_rejected", CAPACITY + 1, 1, VIRTIO_BLK_S_IOERR },
	{ "2_32_rejected", 1ull << 32, 1, VIRTIO_BLK_S_IOERR },
	{ "2_54_rejected", 1ull << 54, 1, VIRTIO_BLK_S_IOERR },
	{ "2_55_rejected", 1ull << 55, 1, VIRTIO_BLK_S_IOERR },
	{ "2_55_minus_1_rejected", (1ull << 55) - 1, 2, VIRTIO_BLK_S_IOERR },
	{ "2_63_rejected", 1ull << 63, 1, VIRTIO_BLK_S_IOERR },
	{ "2_64_minus_1_rejected", ~0ull, 1, VIRTIO_BLK_S_IOERR },
	{ "wrap_to_0_rejected", ~0ull, 2, VIRTIO_BLK_S_IOERR },
	{ "wrap_into_the_disk_rejected", ~0ull - 3, 64, VIRTIO_BLK_S_IOERR },
};

static void check_medium(const char *path, const unsigned char *want)
{
	static unsigned char got[MB << 20];

	device_read(path, 0, got, sizeof(got));
	check_same(got, want, sizeof(got), "the medium");
}

TEST_V(read, ranges)
{
	struct blk blk = blk_start(&(struct blk_setup){ .disk.mb = MB });
	struct blk_io io = { .type = VIRTIO_BLK_T_IN, .sector = v->sector,
			     .in_len = v->sectors * SECTOR };
	static unsigned char medium[MB << 20];
	struct blk_req req;

	check_eq(blk.capacity, CAPACITY);
	fill(medium, sizeof(medium), 1);
	device_write(blk.path, 0, medium, sizeof(medium));
	req = blk_do(blk.vq, &io);
	check_eq(req.status, v->status);
	if (v->status == VIRTIO_BLK_S_OK)
		check_same(req.in, medium + v->sector * SECTOR, io.in_len, "the data");
	else
		check_eq(req.used_len, 0);
}

TEST_V(write, ranges)
{
	struct blk blk = blk_start(&(struct blk_setup){ .disk.mb = MB });
	static unsigned char medium[MB << 20], data[64 * SECTOR];
	struct blk_io io = { .type = VIRTIO_BLK_T_OUT, .sector = v->sector,
			     .out = data, .out_len = v->sectors * SECTOR };

	fill(medium, sizeof(medium), 2);
	device_write(blk.path, 0, medium, sizeof(medium));
	fill(data, sizeof(data), 3);
	blk_expect_len(blk.vq, &io, v->status, 1);
	if (v->status == VIRTIO_BLK_S_OK)
		memcpy(medium + v->sector * SECTOR, data, io.out_len);
	check_medium(blk.path, medium);
}

/* Of whatever size it is. */
TEST(end_of_any_disk)
{
	struct blk blk = blk_start(&(struct blk_setup){ 0 });
	unsigned char data[2 * SECTOR], got[2 * SECTOR] = { 0 };
	const uint64_t end = blk.capacity;

	fill(data, sizeof(data), 4);
	blk_write(blk.vq, end - 2, data, sizeof(data));
	for (uint64_t sector = end - 1; sector <= end + 1; sector++) {
		blk_expect(blk.vq, &(struct blk_io){
				.type = VIRTIO_BLK_T_OUT, .sector = sector, .out = got,
				.out_len = sizeof(got) }, VIRTIO_BLK_S_IOERR);
		blk_expect(blk.vq, &(struct blk_io){
				.type = VIRTIO_BLK_T_IN, .sector = sector,
				.in_len = sizeof(got) }, VIRTIO_BLK_S_IOERR);
	}
	blk_read(blk.vq, end - 2, got, sizeof(got));
	check_same(got, data, sizeof(got), "the last two sectors");
}

/* Data of no bytes: nothing is read there, but what is asked must exist. */
static const struct {
	const char *name;
	uint64_t sector;
	uint8_t status;
} empty[] = {
	{ "within_ok", 5, VIRTIO_BLK_S_OK }, { "at_the_end_ok", CAPACITY, VIRTIO_BLK_S_OK },
	{ "behind_the_end_rejected", CAPACITY + 1, VIRTIO_BLK_S_IOERR },
	{ "2_63_rejected", 1ull << 63, VIRTIO_BLK_S_IOERR },
};

TEST_V(zero_length, empty)
{
	struct blk blk = blk_start(&(struct blk_setup){ .disk.mb = MB });

	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN,
					     .sector = v->sector }, v->status);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_OUT,
					     .sector = v->sector }, v->status);
}

static const struct {
	const char *name;
	uint32_t len;
} lengths[] = { { "1", 1 }, { "511", 511 }, { "513", 513 }, { "1023", 1023 },
		{ "4095", 4095 }, { "65537", 65537 } };

TEST_V(length_of_no_whole_sectors_rejected, lengths)
{
	struct blk blk = blk_start(&(struct blk_setup){ .disk.mb = MB });
	static unsigned char medium[MB << 20], data[65537];

	device_read(blk.path, 0, medium, sizeof(medium));
	fill(data, sizeof(data), 4);
	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN,
						 .in_len = v->len },
		       VIRTIO_BLK_S_IOERR, 0);
	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_OUT, .out = data,
						 .out_len = v->len },
		       VIRTIO_BLK_S_IOERR, 1);
	check_medium(blk.path, medium);
}

/* Sectors have 512 bytes, whatever the device's logical block has. */
static const struct {
	const char *name;
	uint64_t sector;
	uint32_t len;
	uint8_t status;
} blocks[] = {
	{ "whole_blocks_ok", 8, 2 * BLOCK, VIRTIO_BLK_S_OK },
	{ "last_block_ok", CAPACITY - 8, BLOCK, VIRTIO_BLK_S_OK },
	{ "sector_within_a_block_rejected", 1, BLOCK, VIRTIO_BLK_S_IOERR },
	{ "sector_4_rejected", 4, BLOCK, VIRTIO_BLK_S_IOERR },
	{ "one_sector_rejected", 8, SECTOR, VIRTIO_BLK_S_IOERR },
	{ "block_and_a_sector_rejected", 8, BLOCK + SECTOR, VIRTIO_BLK_S_IOERR },
	{ "past_the_end_rejected", CAPACITY - 8, 2 * BLOCK, VIRTIO_BLK_S_IOERR },
};

TEST_V(block_of_4096, blocks)
{
	struct blk blk = blk_start(&(struct blk_setup){
		.disk = { .mb = MB, .blocksize = BLOCK } });
	static unsigned char medium[MB << 20], data[2 * BLOCK];
	struct blk_io out = { .type = VIRTIO_BLK_T_OUT, .sector = v->sector, .out = data,
			      .out_len = v->len };
	struct blk_io in = { .type = VIRTIO_BLK_T_IN, .sector = v->sector,
			     .in_len = v->len };
	struct blk_req req;

	fill(medium, sizeof(medium), 5);
	device_write(blk.path, 0, medium, sizeof(medium));
	fill(data, sizeof(data), 6);
	blk_expect(blk.vq, &out, v->status);
	if (v->status == VIRTIO_BLK_S_OK)
		memcpy(medium + v->sector * SECTOR, data, v->len);
	check_medium(blk.path, medium);
	req = blk_do(blk.vq, &in);
	check_eq(req.status, v->status);
	if (v->status == VIRTIO_BLK_S_OK)
		check_same(req.in, data, v->len, "the data");
}
