// SPDX-License-Identifier: GPL-2.0
/* Request types and what each may carry: VIRTIO 5.2.6. */
#include <stdio.h>
#include <string.h>

#include "blk.h"
#include "tap.h"

static const struct {
	const char *name;
	uint32_t type;
} unknown[] = {
	{ "2_scsi_cmd", 2 }, { "3", 3 }, { "5", 5 }, { "9", 9 }, { "get_lifetime", 10 },
	{ "discard", 11 }, { "write_zeroes", 13 }, { "secure_erase", 14 },
	{ "zone_append", 15 }, { "zone_report", 16 }, { "zone_open", 18 },
	{ "zone_close", 20 }, { "zone_finish", 22 }, { "zone_reset", 24 },
	{ "zone_reset_all", 26 }, { "27", 27 }, { "256", 256 },
	{ "barrier_and_in", 0x80000000u }, { "barrier_and_out", 0x80000001u },
	{ "all_bits", 0xffffffffu },
};

/* What was not negotiated, or never was a type, is UNSUPP, data or not. */
TEST_V(unknown_type_unsupported, unknown)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	unsigned char data[SECTOR], medium[SECTOR];
	struct blk_io bare = { .type = v->type };
	struct blk_io out = { .type = v->type, .out = data, .out_len = SECTOR };
	struct blk_io in = { .type = v->type, .in_len = SECTOR };
	struct blk_req req;

	fill(data, SECTOR, 1);
	blk_expect_len(blk.vq, &bare, VIRTIO_BLK_S_UNSUPP, 1);
	blk_expect_len(blk.vq, &out, VIRTIO_BLK_S_UNSUPP, 1);
	/* The status is not the first writable byte: nothing may be claimed. */
	req = blk_do(blk.vq, &in);
	check_eq(req.status, VIRTIO_BLK_S_UNSUPP);
	check_eq(req.used_len, 0);
	for (unsigned int i = 0; i < SECTOR; i++)
		check(req.in[i] == BLK_UNTOUCHED, "byte %u of the buffer was changed", i);
	device_read(blk.path, 0, medium, SECTOR);
	for (unsigned int i = 0; i < SECTOR; i++)
		check(!medium[i], "byte %u of the medium was changed", i);
}

TEST(flush_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH },
		       VIRTIO_BLK_S_OK, 1);
}

/* The field is to be 0 and means nothing: a device ignores it. */
TEST(flush_with_a_sector_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH, .sector = 7 },
		       VIRTIO_BLK_S_OK, 1);
	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH,
						 .sector = ~0ull },
		       VIRTIO_BLK_S_OK, 1);
}

/* The sixteenth number of a disk's stat: flushes that it has completed. */
static unsigned long flushes(const char *path)
{
	unsigned long count = 0;
	char stat[64];
	FILE *f;

	snprintf(stat, sizeof(stat), "/sys/block/%s/stat", strrchr(path, '/') + 1);
	f = fopen(stat, "r");
	check(f, "%s: %m", stat);
	for (unsigned int i = 0; i < 16; i++)
		check_eq(fscanf(f, "%lu", &count), 1);
	fclose(f);
	return count;
}

/* With a volatile cache below, a flush has to get there. */
TEST(flush_reaches_a_cached_device)
{
	struct blk blk = blk_start(&(struct blk_setup){
		.disk.attributes = "cache_size=4", });
	unsigned long before = flushes(blk.path);

	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH },
		   VIRTIO_BLK_S_OK);
	check(flushes(blk.path) > before, "the device has seen no flush");
}

TEST(zero_length_read_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN },
		       VIRTIO_BLK_S_OK, 1);
}

TEST(zero_length_write_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_OUT },
		       VIRTIO_BLK_S_OK, 1);
}

static const struct {
	const char *name;
	unsigned int cut;
} cuts[] = { { "15_bytes", 1 }, { "8_bytes", 8 }, { "4_bytes", 12 }, { "1_byte", 15 },
	     { "none", 16 } };

/* Not even the type and sector are known: an error, and the ring goes on. */
TEST_V(short_header_rejected, cuts)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct blk_io io = { .type = VIRTIO_BLK_T_FLUSH, .header_cut = v->cut };
	struct blk_io in = { .type = VIRTIO_BLK_T_IN, .header_cut = v->cut,
			     .in_len = SECTOR };

	blk_expect_len(blk.vq, &io, VIRTIO_BLK_S_IOERR, 1);
	blk_expect_len(blk.vq, &in, VIRTIO_BLK_S_IOERR, 0);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH },
		   VIRTIO_BLK_S_OK);
}

/* Readable bytes are header and OUT data, writable ones IN data and status. */
TEST(write_with_data_in_a_writable_buffer_rejected)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	unsigned char before[SECTOR], after[SECTOR];

	fill(before, SECTOR, 3);
	device_write(blk.path, 0, before, SECTOR);
	blk_expect_len(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_OUT,
						 .in_len = SECTOR },
		       VIRTIO_BLK_S_IOERR, 0);
	device_read(blk.path, 0, after, SECTOR);
	check_same(after, before, SECTOR, "the medium");
}

/* A status descriptor of 16 bytes: the last one is the status. */
TEST(write_with_a_wide_status_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	unsigned char data[SECTOR], medium[SECTOR];

	fill(data, SECTOR, 4);
	blk_expect_len(blk.vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_OUT, .out = data, .out_len = SECTOR,
			.in_len = 15 }, VIRTIO_BLK_S_OK, 0);
	device_read(blk.path, 0, medium, SECTOR);
	check_same(medium, data, SECTOR, "the medium");
}

TEST(read_with_data_in_a_readable_buffer_rejected)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	unsigned char data[SECTOR];

	fill(data, SECTOR, 5);
	/* blk_finish() requires that the readable buffer is not written. */
	blk_expect_len(blk.vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_IN, .out = data, .out_len = SECTOR },
		       VIRTIO_BLK_S_IOERR, 1);
}

TEST(read_with_surplus_readable_bytes_rejected)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	unsigned char data[1] = { 0 };

	blk_expect_len(blk.vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_IN, .out = data, .out_len = 1,
			.in_len = SECTOR }, VIRTIO_BLK_S_IOERR, 0);
}

static const struct {
	const char *name;
	uint32_t type;
	uint32_t out_len;
} answerless[] = {
	{ "in", VIRTIO_BLK_T_IN, 0 }, { "out", VIRTIO_BLK_T_OUT, SECTOR },
	{ "flush", VIRTIO_BLK_T_FLUSH, 0 }, { "get_id", VIRTIO_BLK_T_GET_ID, 0 },
	{ "unknown", 99, 0 },
};

/* Nowhere to put a status: the vq stops, and the medium is as it was. */
TEST_PATHS(no_status_byte_breaks_the_vq, answerless)
{
	struct blk blk = blk_start(&(struct blk_setup){ .queues = 2 });
	unsigned char data[SECTOR], medium[SECTOR];

	fill(data, SECTOR, 6);
	blk_add(blk.vq, &(struct blk_io){
		.type = v->type, .out = data, .out_len = v->out_len, .no_status = true });
	blk_send(blk.vq);
	vq_must_break(blk.vq);
	blk_expect(blk.dev->vqs[1], &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH },
		   VIRTIO_BLK_S_OK);
	device_read(blk.path, 0, medium, SECTOR);
	for (unsigned int i = 0; i < SECTOR; i++)
		check(!medium[i], "byte %u of the medium was changed", i);
}

/* The identity string */

static void check_id(struct blk *blk, uint32_t room, const char *want, uint32_t len)
{
	struct blk_req req = blk_do(blk->vq, &(struct blk_io){
		.type = VIRTIO_BLK_T_GET_ID, .in_len = room });

	check_eq(req.status, VIRTIO_BLK_S_OK);
	check_same(req.in, want, len, "the serial");
	for (unsigned int i = len; i < room; i++)
		check(req.in[i] == BLK_UNTOUCHED, "byte %u behind the serial was changed", i);
	/* The status counts only if nothing before it was left out (2.7.8.1). */
	check_eq(req.used_len, len == room ? len + 1 : len);
	blk_free(&req);
}

TEST(get_id_pads_with_zeroes)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	static const char padded[VIRTIO_BLK_ID_BYTES] = "abc";

	blk_set_serial(blk.dev, "abc");
	check_id(&blk, VIRTIO_BLK_ID_BYTES, padded, VIRTIO_BLK_ID_BYTES);
}

TEST(get_id_of_20_bytes_has_no_terminator)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	blk_set_serial(blk.dev, "0123456789ABCDEFGHIJ");
	check_id(&blk, VIRTIO_BLK_ID_BYTES, "0123456789ABCDEFGHIJ", VIRTIO_BLK_ID_BYTES);
}

TEST(get_id_is_empty_after_open)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	static const char empty[VIRTIO_BLK_ID_BYTES];

	check_id(&blk, VIRTIO_BLK_ID_BYTES, empty, VIRTIO_BLK_ID_BYTES);
}

TEST(get_id_sees_a_new_serial)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	static const char second[VIRTIO_BLK_ID_BYTES] = "2";

	blk_set_serial(blk.dev, "the first serial");
	blk_set_serial(blk.dev, "2");
	check_id(&blk, VIRTIO_BLK_ID_BYTES, second, VIRTIO_BLK_ID_BYTES);
}

static const struct {
	const char *name;
	uint32_t room;
	uint32_t written;
} rooms[] = { { "0", 0, 0 }, { "1", 1, 1 }, { "19", 19, 19 }, { "21", 21, 20 },
	      { "512", 512, 20 } };

TEST_V(get_id_with_other_room_truncates, rooms)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	blk_set_serial(blk.dev, "0123456789ABCDEFGHIJ");
	check_id(&blk, v->room, "0123456789ABCDEFGHIJ", v->written);
}
