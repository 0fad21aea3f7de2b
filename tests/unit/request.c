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

/* 10 zones of 64 sectors, the last of 24, that hold 48, and blocks of 512. */
static const struct vhost_blk_limits zoned = {
	.features = 1ULL << VIRTIO_BLK_F_ZONED, .capacity = 600, .block_size = 512,
	.zone_sectors = 64, .max_append = 32, .write_granularity = 4096,
};

#define INVALID		VIRTIO_BLK_S_ZONE_INVALID_CMD
#define UNALIGNED	VIRTIO_BLK_S_ZONE_UNALIGNED_WP

static const struct zone_op {
	const char *name;
	u32 type;
	enum vhost_blk_op op;
} zone_ops[] = {
	{ "open", VIRTIO_BLK_T_ZONE_OPEN, VHOST_BLK_ZONE_OPEN },
	{ "close", VIRTIO_BLK_T_ZONE_CLOSE, VHOST_BLK_ZONE_CLOSE },
	{ "finish", VIRTIO_BLK_T_ZONE_FINISH, VHOST_BLK_ZONE_FINISH },
	{ "reset", VIRTIO_BLK_T_ZONE_RESET, VHOST_BLK_ZONE_RESET },
	{ "reset_all", VIRTIO_BLK_T_ZONE_RESET_ALL, VHOST_BLK_ZONE_RESET_ALL },
	{ "report", VIRTIO_BLK_T_ZONE_REPORT, VHOST_BLK_ZONE_REPORT },
	{ "append", VIRTIO_BLK_T_ZONE_APPEND, VHOST_BLK_ZONE_APPEND },
};

/* A good one of each type, with what another sort of device makes of it. */
TEST_V(zone_request, zone_ops)
{
	bool append = v->op == VHOST_BLK_ZONE_APPEND, report = v->op == VHOST_BLK_ZONE_REPORT;
	u64 out = append ? 4096 : 0, in = append ? 8 : report ? 128 : 0;
	struct vhost_blk_limits limits = zoned;
	struct vhost_blk_command command;

	check_eq(parse(v->type, 64, out, in, &limits, &command), OK);
	check_eq(command.op, v->op);
	check_eq(command.sector, v->op == VHOST_BLK_ZONE_RESET_ALL ? 0 : 64);
	check_eq(command.bytes, append ? 4096 : report ? 128 : 0);
	limits.read_only = true;
	check_eq(parse(v->type, 64, out, in, &limits, &command), report ? OK : IOERR);
	limits.features = 0;
	check_eq(parse(v->type, 64, out, in, &limits, &command), UNSUPP);
	limits = zoned;
	limits.zone_sectors = 0;
	check_eq(parse(v->type, 64, out, in, &limits, &command), UNSUPP);
}

static const struct zone_start {
	const char *name;
	u64 sector;
	bool good;
} zone_starts[] = {
	{ "first_ok", 0, true },
	{ "last_ok", 576, true },
	{ "second_sector_rejected", 1, false },
	{ "middle_rejected", 96, false },
	{ "at_the_end_rejected", 600, false },
	{ "past_the_end_rejected", 640, false },
	{ "sector_2_63_rejected", 1ULL << 63, false },
	{ "sector_max_rejected", UINT64_MAX, false },
};

TEST_V(zone_start, zone_starts)
{
	struct vhost_blk_command command;
	unsigned int i;

	for (i = 0; i < 4; i++)
		check_eq(parse(zone_ops[i].type, v->sector, 0, 0, &zoned, &command),
			 v->good ? OK : INVALID);
	check_eq(parse(VIRTIO_BLK_T_ZONE_APPEND, v->sector, 4096, 8, &zoned, &command),
		 v->good ? OK : INVALID);
	check_eq(parse(VIRTIO_BLK_T_ZONE_RESET_ALL, v->sector, 0, 0, &zoned, &command), OK);
}

static const struct append {
	const char *name;
	u64 out, in;
	u8 want;
} appends[] = {
	{ "most_ok", 32 * 512, 8, OK },
	{ "more_than_most_rejected", 40 * 512, 8, INVALID },
	{ "huge_rejected", 1ULL << 42, 8, INVALID },
	{ "nothing_rejected", 0, 8, INVALID },
	{ "not_of_the_granularity_rejected", 512, 8, UNALIGNED },
	{ "not_of_sectors_rejected", 4097, 8, UNALIGNED },
	{ "wide_status_ok", 4096, 100, OK },
	{ "no_room_for_the_sector_rejected", 4096, 7, IOERR },
	{ "status_only_rejected", 4096, 0, IOERR },
};

TEST_V(append, appends)
{
	struct vhost_blk_limits limits = zoned;
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_ZONE_APPEND, 0, v->out, v->in, &limits, &command), v->want);
	limits.max_append = 0;
	check_eq(parse(VIRTIO_BLK_T_ZONE_APPEND, 0, v->out, v->in, &limits, &command),
		 v->want == IOERR ? IOERR : UNSUPP);
}

static const struct report {
	const char *name;
	u64 sector, out, in;
	u8 want;
	u32 bytes;
} reports[] = {
	{ "one_zone_ok", 0, 0, 128, OK, 128 },
	{ "header_only_ok", 0, 0, 64, OK, 64 },
	{ "part_of_a_zone_is_none", 0, 0, 191, OK, 128 },
	{ "within_a_zone_ok", 599, 0, 128, OK, 128 },
	{ "no_more_than_most", 0, 0, 1ULL << 40, OK, 64 + 64 * VHOST_BLK_ZONES_MAX },
	{ "part_of_the_header_rejected", 0, 0, 63, INVALID },
	{ "a_byte_rejected", 0, 0, 1, INVALID },
	{ "nothing_rejected", 0, 0, 0, INVALID },
	{ "at_the_end_rejected", 600, 0, 128, INVALID },
	{ "sector_2_63_rejected", 1ULL << 63, 0, 128, INVALID },
	{ "readable_data_rejected", 0, 1, 128, IOERR },
};

TEST_V(report, reports)
{
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_ZONE_REPORT, v->sector, v->out, v->in, &zoned, &command),
		 v->want);
	if (v->want != OK)
		return;
	check_eq(command.bytes, v->bytes);
	check_eq(command.sector, v->sector / 64 * 64);
}

static const struct crossing {
	const char *name;
	u64 sector;
	u32 sectors;
	bool crosses;
} crossings[] = {
	{ "all_of_a_zone", 64, 64, false },
	{ "last_sector", 127, 1, false },
	{ "nothing_at_a_zones_end", 128, 0, false },
	{ "two_sectors", 127, 2, true },
	{ "all", 0, 600, true },
};

TEST_V(crosses_zones, crossings)
{
	struct vhost_blk_limits limits = zoned;
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_IN, v->sector, 0, v->sectors * 512, &limits, &command), OK);
	check_eq(command.crosses, v->crosses);
	check_eq(parse(VIRTIO_BLK_T_OUT, v->sector, v->sectors * 512, 0, &limits, &command), OK);
	check_eq(command.crosses, v->crosses);
	limits.zone_sectors = 0;
	check_eq(parse(VIRTIO_BLK_T_IN, v->sector, 0, v->sectors * 512, &limits, &command), OK);
	check(!command.crosses, "there are no zones");
}

TEST(write_that_is_no_multiple_of_blocks)
{
	struct vhost_blk_limits limits = zoned;
	struct vhost_blk_command command;

	check_eq(parse(VIRTIO_BLK_T_OUT, 0, 513, 0, &limits, &command), UNALIGNED);
	/* Of the granularity or not: only of a sequential zone is it asked. */
	check_eq(parse(VIRTIO_BLK_T_OUT, 0, 512, 0, &limits, &command), OK);
	limits.block_size = 4096;
	check_eq(parse(VIRTIO_BLK_T_OUT, 0, 512, 0, &limits, &command), UNALIGNED);
	check_eq(parse(VIRTIO_BLK_T_OUT, 4, 4096, 0, &limits, &command), UNALIGNED);
	check_eq(parse(VIRTIO_BLK_T_IN, 4, 0, 4096, &limits, &command), IOERR);
}

#define EMPTY	BLK_ZONE_COND_EMPTY
#define OPENED	BLK_ZONE_COND_IMP_OPEN
#define CLOSED	BLK_ZONE_COND_CLOSED
#define FULL	BLK_ZONE_COND_FULL
#define RDONLY	BLK_ZONE_COND_READONLY
#define OFFLINE	BLK_ZONE_COND_OFFLINE

/* Why did it fail, in the zone of 48 from sector 64, with its pointer at wp? */
static const struct verdict {
	const char *name;
	enum vhost_blk_op op;
	u64 sector;
	u32 sectors;
	u8 cond;
	u64 wp;
	u8 want;
} verdicts[] = {
	{ "write_good", VHOST_BLK_WRITE, 72, 8, OPENED, 72, IOERR },
	{ "write_before_the_pointer", VHOST_BLK_WRITE, 64, 8, OPENED, 72, UNALIGNED },
	{ "write_behind_the_pointer", VHOST_BLK_WRITE, 80, 8, CLOSED, 72, UNALIGNED },
	{ "write_of_half_a_granule", VHOST_BLK_WRITE, 72, 4, OPENED, 72, UNALIGNED },
	{ "write_past_the_capacity", VHOST_BLK_WRITE, 104, 16, OPENED, 104, INVALID },
	{ "write_partly_past_the_capacity", VHOST_BLK_WRITE, 96, 24, OPENED, 104, INVALID },
	{ "write_behind_the_capacity", VHOST_BLK_WRITE, 120, 8, OPENED, 72, INVALID },
	{ "write_to_the_capacity", VHOST_BLK_WRITE, 104, 8, OPENED, 104, IOERR },
	{ "write_to_a_full_zone", VHOST_BLK_WRITE, 64, 8, FULL, 64, INVALID },
	{ "write_to_a_read_only_zone", VHOST_BLK_WRITE, 64, 8, RDONLY, 64, INVALID },
	{ "write_to_an_offline_zone", VHOST_BLK_WRITE, 64, 8, OFFLINE, 64, INVALID },
	{ "append_good", VHOST_BLK_ZONE_APPEND, 64, 8, OPENED, 72, IOERR },
	{ "append_to_the_capacity", VHOST_BLK_ZONE_APPEND, 64, 8, OPENED, 104, IOERR },
	{ "append_past_the_capacity", VHOST_BLK_ZONE_APPEND, 64, 16, OPENED, 104, INVALID },
	{ "append_to_a_full_zone", VHOST_BLK_ZONE_APPEND, 64, 8, FULL, UINT64_MAX, INVALID },
	{ "append_without_a_pointer", VHOST_BLK_ZONE_APPEND, 64, 8, CLOSED, UINT64_MAX, INVALID },
	{ "append_to_a_read_only_zone", VHOST_BLK_ZONE_APPEND, 64, 8, RDONLY, 64, INVALID },
	{ "append_to_an_offline_zone", VHOST_BLK_ZONE_APPEND, 64, 8, OFFLINE, 64, INVALID },
	{ "open_empty", VHOST_BLK_ZONE_OPEN, 64, 0, EMPTY, 64, IOERR },
	{ "open_closed", VHOST_BLK_ZONE_OPEN, 64, 0, CLOSED, 72, IOERR },
	{ "open_full", VHOST_BLK_ZONE_OPEN, 64, 0, FULL, 112, INVALID },
	{ "open_read_only", VHOST_BLK_ZONE_OPEN, 64, 0, RDONLY, 112, INVALID },
	{ "close_open", VHOST_BLK_ZONE_CLOSE, 64, 0, OPENED, 72, IOERR },
	{ "close_empty", VHOST_BLK_ZONE_CLOSE, 64, 0, EMPTY, 64, INVALID },
	{ "close_full", VHOST_BLK_ZONE_CLOSE, 64, 0, FULL, 112, INVALID },
	{ "finish_empty", VHOST_BLK_ZONE_FINISH, 64, 0, EMPTY, 64, IOERR },
	{ "finish_full", VHOST_BLK_ZONE_FINISH, 64, 0, FULL, 112, IOERR },
	{ "finish_offline", VHOST_BLK_ZONE_FINISH, 64, 0, OFFLINE, 112, INVALID },
	{ "reset_full", VHOST_BLK_ZONE_RESET, 64, 0, FULL, 112, IOERR },
	{ "reset_read_only", VHOST_BLK_ZONE_RESET, 64, 0, RDONLY, 112, INVALID },
	{ "reset_offline", VHOST_BLK_ZONE_RESET, 64, 0, OFFLINE, 112, INVALID },
	{ "read", VHOST_BLK_READ, 64, 8, OPENED, 72, IOERR },
	{ "read_of_an_offline_zone", VHOST_BLK_READ, 64, 8, OFFLINE, 72, INVALID },
};

TEST_V(zone_verdict, verdicts)
{
	const struct vhost_blk_command command = {
		.op = v->op, .sector = v->sector, .bytes = v->sectors * 512 };
	struct blk_zone zone = { .start = 64, .len = 64, .capacity = 48, .wp = v->wp,
				 .type = BLK_ZONE_TYPE_SEQWRITE_REQ, .cond = v->cond };
	bool data = v->op == VHOST_BLK_WRITE || v->op == VHOST_BLK_READ;

	check_eq(vhost_blk_zone_verdict(&command, &zone, &zoned), v->want);
	zone.type = BLK_ZONE_TYPE_CONVENTIONAL;
	zone.cond = BLK_ZONE_COND_NOT_WP;
	check_eq(vhost_blk_zone_verdict(&command, &zone, &zoned), data ? IOERR : INVALID);
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
