// SPDX-License-Identifier: GPL-2.0
/*
 * The used length counts bytes from the first writable one on, and never more
 * than were written (VIRTIO 2.7.8.1); what is behind it is as it was.
 */
#include <stdio.h>

#include "blk.h"
#include "tap.h"

static const struct {
	const char *name;
	uint32_t sectors;
} sizes[] = { { "1", 1 }, { "3", 3 }, { "8", 8 }, { "255", 255 }, { "256", 256 } };

TEST_V(read_is_data_and_status, sizes)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	uint32_t len = v->sectors * SECTOR;

	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN, .in_len = len },
		       VIRTIO_BLK_S_OK, len + 1);
}

TEST_V(write_is_1, sizes)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	static unsigned char data[256 * SECTOR];

	blk_expect_len(blk.vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_OUT, .out = data,
			.out_len = v->sectors * SECTOR }, VIRTIO_BLK_S_OK, 1);
}

TEST(get_id_is_21)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_GET_ID,
						 .in_len = VIRTIO_BLK_ID_BYTES },
		       VIRTIO_BLK_S_OK, VIRTIO_BLK_ID_BYTES + 1);
}

TEST(flush_is_1)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH },
		       VIRTIO_BLK_S_OK, 1);
}

/* The status was written, but behind data that was not: nothing is claimed. */
TEST(refused_read_is_0_and_leaves_the_buffer)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct blk_req req = blk_do(blk.vq, &(struct blk_io){
		.type = VIRTIO_BLK_T_IN, .sector = blk.capacity, .in_len = 8 * SECTOR });

	check_eq(req.status, VIRTIO_BLK_S_IOERR);
	check_eq(req.used_len, 0);
	for (unsigned int i = 0; i < 8 * SECTOR; i++)
		check(req.in[i] == BLK_UNTOUCHED, "byte %u of the buffer was changed", i);
}

TEST(refused_write_is_1)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	unsigned char data[SECTOR] = { 0 };

	blk_expect_len(blk.vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_OUT, .sector = blk.capacity, .out = data,
			.out_len = SECTOR }, VIRTIO_BLK_S_IOERR, 1);
}

/* A device of which some sectors cannot be read or written. */
static struct blk start_bad(void)
{
	const char *disk = nullb_new(&(struct nullb){});
	unsigned long long sectors = device_sectors(disk);
	char table[200];

	snprintf(table, sizeof(table), "0 64 linear %s 0\\n64 64 error\\n128 %llu linear %s 128\\n",
		 disk, sectors - 128, disk);
	return blk_start(&(struct blk_setup){ .path = dm_new(table) });
}

TEST(read_error_is_0)
{
	struct blk blk = start_bad();

	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN, .sector = 64,
						 .in_len = SECTOR },
		       VIRTIO_BLK_S_IOERR, 0);
	/* Part of it could be read; which, the driver cannot know. */
	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN, .sector = 60,
						 .in_len = 8 * SECTOR },
		       VIRTIO_BLK_S_IOERR, 0);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN, .sector = 128,
					     .in_len = SECTOR }, VIRTIO_BLK_S_OK);
}

TEST(write_error_is_1)
{
	struct blk blk = start_bad();
	unsigned char data[8 * SECTOR] = { 0 };

	blk_expect_len(blk.vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_OUT, .sector = 64, .out = data,
			.out_len = SECTOR }, VIRTIO_BLK_S_IOERR, 1);
	blk_expect_len(blk.vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_OUT, .sector = 124, .out = data,
			.out_len = 8 * SECTOR }, VIRTIO_BLK_S_IOERR, 1);
}

/* A misaligned buffer that is bounced fails in the same way, not half filled. */
TEST(misaligned_read_error_is_0)
{
	struct blk blk = start_bad();
	const struct blk_layout l = {
		"", .out = { 16 }, .in = { 3, 509 }, .direct = VQ_DIRECT, .offset = 1,
	};

	blk_expect_len(blk.vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_IN, .sector = 64, .in_len = 8 * SECTOR,
			.layout = &l }, VIRTIO_BLK_S_IOERR, 0);
}
