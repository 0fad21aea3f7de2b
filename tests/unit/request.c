// SPDX-License-Identifier: GPL-2.0
/* drivers/vhost/blk/request.c: what a header asks for, and whether it may. */
#include "../../drivers/vhost/blk/request.c"

#include <errno.h>
#include <stdint.h>
#include "tap.h"

#define OK	VIRTIO_BLK_S_OK
#define IOERR	VIRTIO_BLK_S_IOERR
#define UNSUPP	VIRTIO_BLK_S_UNSUPP

/* A device of 1000 sectors unless a test says otherwise. */
static const struct vhost_blk_limits disk = { .capacity = 1000, .block_size = 512 };

static u8 parse(u32 type, u64 sector, u64 out, u64 in,
		const struct vhost_blk_limits *limits,
		struct vhost_blk_command *command)
{
	struct virtio_blk_outhdr hdr = {
		.type = htole32(type),
		.sector = htole64(sector),
	};

	return vhost_blk_parse(&hdr, out, in, limits, command);
}

static const struct range {
	const char *name;
	u64 sector, bytes;
	u8 want;
} ranges[] = {
	{ "first_ok", 0, 512, OK },
	{ "last_ok", 999, 512, OK },
	{ "all_ok", 0, 512000, OK },
	{ "nothing_ok", 0, 0, OK },
	{ "nothing_at_the_end_ok", 1000, 0, OK },
	{ "nothing_past_the_end_rejected", 1001, 0, IOERR },
	{ "at_the_end_rejected", 1000, 512, IOERR },
	{ "over_the_end_rejected", 999, 1024, IOERR },
	{ "more_than_all_rejected", 0, 512512, IOERR },
	{ "sector_2_63_rejected", 1ULL << 63, 512, IOERR },
	{ "sector_2_55_rejected", 1ULL << 55, 512, IOERR },
	{ "sector_max_rejected", UINT64_MAX, 512, IOERR },
	{ "sum_wraps_rejected", UINT64_MAX - 1, 1024, IOERR },
	{ "part_of_a_sector_rejected", 0, 513, IOERR },
	{ "less_than_a_sector_rejected", 0, 511, IOERR },
	{ "huge_rejected", 0, 1ULL << 42, IOERR },
};

TEST_V(read_range, ranges)
{
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_IN, v->sector, 0, v->bytes, &disk, &command), v->want);
	if (v->want != OK)
		return;
	check_eq(command.op, VHOST_BLK_READ);
	check_eq(command.sector, v->sector);
	check_eq(command.bytes, v->bytes);
}

TEST_V(write_range, ranges)
{
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_OUT, v->sector, v->bytes, 0, &disk, &command), v->want);
	if (v->want != OK)
		return;
	check_eq(command.op, VHOST_BLK_WRITE);
	check_eq(command.sector, v->sector);
	check_eq(command.bytes, v->bytes);
}

static const struct range blocks_4k[] = {
	{ "whole_ok", 8, 4096, OK },
	{ "two_ok", 8, 8192, OK },
	{ "half_rejected", 8, 2048, IOERR },
	{ "odd_start_rejected", 4, 4096, IOERR },
	{ "one_and_a_half_rejected", 8, 6144, IOERR },
};

TEST_V(logical_block_4096, blocks_4k)
{
	const struct vhost_blk_limits limits = { .capacity = 1000, .block_size = 4096 };
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_IN, v->sector, 0, v->bytes, &limits, &command), v->want);
}

TEST(most_bytes_ok)
{
	const struct vhost_blk_limits big = { .capacity = 1ULL << 54, .block_size = 512 };
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_IN, 0, 0, VHOST_BLK_BYTES_MAX, &big, &command), OK);
	check_eq(command.bytes, VHOST_BLK_BYTES_MAX);
	check_eq(parse(VIRTIO_BLK_T_IN, 0, 0, VHOST_BLK_BYTES_MAX + 512, &big, &command), IOERR);
}

TEST(empty_device_rejected)
{
	const struct vhost_blk_limits gone = { .capacity = 0, .block_size = 512 };
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_IN, 0, 0, 512, &gone, &command), IOERR);
}

TEST(read_only_write_rejected)
{
	const struct vhost_blk_limits ro = { .capacity = 1000, .block_size = 512,
					     .read_only = true };
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_OUT, 0, 512, 0, &ro, &command), IOERR);
	check_eq(parse(VIRTIO_BLK_T_OUT, 0, 0, 0, &ro, &command), IOERR);
	check_eq(parse(VIRTIO_BLK_T_IN, 0, 0, 512, &ro, &command), OK);
	check_eq(parse(VIRTIO_BLK_T_FLUSH, 0, 0, 0, &ro, &command), OK);
}

TEST(data_of_the_other_direction_rejected)
{
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_IN, 0, 512, 0, &disk, &command), IOERR);
	check_eq(parse(VIRTIO_BLK_T_IN, 0, 512, 512, &disk, &command), IOERR);
	check_eq(parse(VIRTIO_BLK_T_OUT, 0, 0, 512, &disk, &command), IOERR);
}

TEST(write_with_a_wide_status_ok)
{
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_OUT, 0, 512, 15, &disk, &command), OK);
	check_eq(command.bytes, 512);
}

TEST(flush_ignores_the_sector_ok)
{
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_FLUSH, 0, 0, 0, &disk, &command), OK);
	check_eq(command.op, VHOST_BLK_FLUSH);
	check_eq(parse(VIRTIO_BLK_T_FLUSH, UINT64_MAX, 0, 0, &disk, &command), OK);
}

TEST(get_id_bytes_ok)
{
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_GET_ID, 0, 0, 20, &disk, &command), OK);
	check_eq(command.op, VHOST_BLK_GET_ID);
	check_eq(command.bytes, 20);
	check_eq(parse(VIRTIO_BLK_T_GET_ID, 0, 0, 19, &disk, &command), OK);
	check_eq(command.bytes, 19);
	check_eq(parse(VIRTIO_BLK_T_GET_ID, 0, 0, 0, &disk, &command), OK);
	check_eq(command.bytes, 0);
	check_eq(parse(VIRTIO_BLK_T_GET_ID, 0, 0, 1ULL << 40, &disk, &command), OK);
	check_eq(command.bytes, 20);
}

/* Every type that is not one of the four, and every single bit. */
TEST(other_types_unsupported)
{
	struct vhost_blk_command command;
	u32 type;
	int bit;

	for (type = 0; type < 1024; type++) {
		if (type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_OUT ||
		    type == VIRTIO_BLK_T_FLUSH || type == VIRTIO_BLK_T_GET_ID)
			continue;
		check_eq(parse(type, 0, 0, 512, &disk, &command), UNSUPP);
	}
	for (bit = 10; bit < 32; bit++)
		check_eq(parse(1U << bit, 0, 0, 512, &disk, &command), UNSUPP);
}

#define RANGE_FEATURES (1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES | \
			1ULL << VIRTIO_BLK_F_SECURE_ERASE)

static const struct vhost_blk_limits rangy = {
	.features = RANGE_FEATURES, .capacity = 1000, .block_size = 512,
	.max_discard = 100, .max_write_zeroes = 200, .max_secure_erase = 300,
};

static const struct range_op {
	const char *name;
	u32 type, max;
	enum vhost_blk_op op;
	u64 feature;
} range_ops[] = {
	{ "discard", VIRTIO_BLK_T_DISCARD, 100, VHOST_BLK_DISCARD, VIRTIO_BLK_F_DISCARD },
	{ "write_zeroes", VIRTIO_BLK_T_WRITE_ZEROES, 200, VHOST_BLK_WRITE_ZEROES,
	  VIRTIO_BLK_F_WRITE_ZEROES },
	{ "secure_erase", VIRTIO_BLK_T_SECURE_ERASE, 300, VHOST_BLK_SECURE_ERASE,
	  VIRTIO_BLK_F_SECURE_ERASE },
};

TEST_V(ranges_request, range_ops)
{
	struct vhost_blk_limits limits = rangy;
	struct vhost_blk_command command;
	u64 out;

	for (out = 0; out < 1024; out++) {
		bool good = out && out % 16 == 0 && out <= 16 * VHOST_BLK_RANGES_MAX;

		check_eq(parse(v->type, 0, out, 0, &limits, &command), good ? OK : IOERR);
		if (!good)
			continue;
		check_eq(command.op, v->op);
		check_eq(command.bytes, out);
	}
	check_eq(parse(v->type, 0, (1ULL << 32) + 16, 0, &limits, &command), IOERR);
	limits.read_only = true;
	check_eq(parse(v->type, 0, 16, 0, &limits, &command), IOERR);
	limits = rangy;
	limits.features &= ~(1ULL << v->feature);
	check_eq(parse(v->type, 0, 16, 0, &limits, &command), UNSUPP);
	limits = rangy;
	limits.max_discard = limits.max_write_zeroes = limits.max_secure_erase = 0;
	check_eq(parse(v->type, 0, 16, 0, &limits, &command), UNSUPP);
}

static u8 parse_range(u64 sector, u32 sectors, u32 flags, enum vhost_blk_op op,
		      const struct vhost_blk_limits *limits, struct vhost_blk_range *range)
{
	struct virtio_blk_discard_write_zeroes raw = {
		htole64(sector), htole32(sectors), htole32(flags) };

	return vhost_blk_parse_range(&raw, op, limits, range);
}

TEST_V(range_bounds, range_ops)
{
	struct vhost_blk_range range;

	check_eq(parse_range(5, v->max, 0, v->op, &rangy, &range), OK);
	check_eq(range.sector, 5);
	check_eq(range.sectors, v->max);
	check(!range.unmap, "unmap was not asked for");
	check_eq(parse_range(5, v->max + 1, 0, v->op, &rangy, &range), IOERR);
	check_eq(parse_range(1000 - v->max, v->max, 0, v->op, &rangy, &range), OK);
	check_eq(parse_range(1001 - v->max, v->max, 0, v->op, &rangy, &range), IOERR);
	check_eq(parse_range(1000, 0, 0, v->op, &rangy, &range), OK);
	check_eq(parse_range(1001, 0, 0, v->op, &rangy, &range), IOERR);
	check_eq(parse_range(UINT64_MAX, 1, 0, v->op, &rangy, &range), IOERR);
	check_eq(parse_range(1ULL << 55, 1, 0, v->op, &rangy, &range), IOERR);
	check_eq(parse_range(0, UINT32_MAX, 0, v->op, &rangy, &range), IOERR);
}

TEST_V(range_flags, range_ops)
{
	struct vhost_blk_range range;
	bool zeroes = v->op == VHOST_BLK_WRITE_ZEROES;
	int bit;

	for (bit = 1; bit < 32; bit++)
		check_eq(parse_range(0, 1, 1U << bit, v->op, &rangy, &range), UNSUPP);
	check_eq(parse_range(0, 1, 1, v->op, &rangy, &range), zeroes ? OK : UNSUPP);
	check(!zeroes || range.unmap, "unmap was asked for");
}

TEST(range_of_whole_blocks)
{
	struct vhost_blk_limits limits = rangy;
	struct vhost_blk_range range;

	limits.block_size = 4096;
	check_eq(parse_range(8, 16, 0, VHOST_BLK_DISCARD, &limits, &range), OK);
	check_eq(parse_range(4, 16, 0, VHOST_BLK_DISCARD, &limits, &range), IOERR);
	check_eq(parse_range(8, 12, 0, VHOST_BLK_DISCARD, &limits, &range), IOERR);
}

TEST(used_len_counts_to_the_first_hole)
{
	check_eq(vhost_blk_used_len(4096, 4096), 4097);
	check_eq(vhost_blk_used_len(4096, 0), 0);
	check_eq(vhost_blk_used_len(0, 0), 1);
	check_eq(vhost_blk_used_len(20, 20), 21);
	check_eq(vhost_blk_used_len(512, 20), 20);
	check_eq(vhost_blk_used_len(UINT32_MAX - 1, 0), 0);
}
