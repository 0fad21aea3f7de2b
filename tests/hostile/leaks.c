// SPDX-License-Identifier: GPL-2.0
/*
 * Row 16: what was not read is not written. Buffers are full of a known byte:
 * past used.len it is still there, and nothing of the host's memory comes out.
 */
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "scene.h"
#include "tap.h"

#define LEN 8192
#define SERIAL "0123456789abcdefghij"

/* A disk of which sectors 64 to 127 cannot be read or written. */
static const char *bad_disk(void)
{
	const char *lower = nullb_new(&(struct nullb){});
	unsigned char data[64 * SECTOR];
	char table[200];

	fill(data, sizeof(data), 1);
	device_write(lower, 0, data, sizeof(data));
	snprintf(table, sizeof(table),
		 "0 64 linear %s 0\\n64 64 error\\n128 32640 linear %s 128\\n", lower, lower);
	return dm_new(table);
}

static struct scene start(const struct way *v)
{
	struct scene s = scene_prepare(v, &(struct blk_setup){ .path = bad_disk() });

	blk_set_serial(s.blk.dev, SERIAL);
	scene_run(&s);
	return s;
}

/* Reads or the like that end badly before anything was sent. */
static const struct {
	const char *name;
	uint32_t type;
	uint64_t sector;
	uint32_t len;
	uint8_t status;
} refused[] = {
	{ "past_the_end", VIRTIO_BLK_T_IN, 32768, LEN, VIRTIO_BLK_S_IOERR },
	{ "over_the_end", VIRTIO_BLK_T_IN, 32767, LEN, VIRTIO_BLK_S_IOERR },
	{ "sector_2_63", VIRTIO_BLK_T_IN, 1ull << 63, LEN, VIRTIO_BLK_S_IOERR },
	{ "odd_length", VIRTIO_BLK_T_IN, 0, LEN - 1, VIRTIO_BLK_S_IOERR },
	{ "unknown_type", 77, 0, LEN, VIRTIO_BLK_S_UNSUPP },
	{ "get_lifetime", 10, 0, LEN, VIRTIO_BLK_S_UNSUPP },
	{ "zone_report", 16, 0, LEN, VIRTIO_BLK_S_UNSUPP },
	{ "unreadable", VIRTIO_BLK_T_IN, 64, LEN, VIRTIO_BLK_S_IOERR },
};

TEST_WAYS(failed_request_leaves_the_buffer, ways)
{
	struct scene s = start(v);

	for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++) {
		struct chain c = chain_put(&s, refused[i].type, refused[i].sector, refused[i].len);

		check_eq(chain_expect(&c, refused[i].name, refused[i].status), 0);
		chain_check_untouched(&c, refused[i].name);
		chain_check_guards(&c, refused[i].name);
	}
}

/* Half of it can be read: the rest must not be anything else. */
static void half_readable(struct scene *s, unsigned int offset)
{
	struct chain c = chain_put(s, VIRTIO_BLK_T_FLUSH, 0, LEN);
	const struct seg segs[] = {
		{ c.hdr_gpa, BLK_HEADER, false },
		{ c.data_gpa + offset, LEN - SECTOR, true },
		{ c.status_gpa, 1, true },
	};
	unsigned char want[64 * SECTOR];

	chain_expect(&c, "the flush", VIRTIO_BLK_S_OK);
	c.hdr->type = htole32(VIRTIO_BLK_T_IN);
	c.hdr->sector = htole64(60);
	chain_put_segs(s, &c, segs, ARRAY_SIZE(segs));
	check_eq(chain_expect(&c, "half of it", VIRTIO_BLK_S_IOERR), 0);
	chain_check_guards(&c, "half of it");
	fill(want, sizeof(want), 1);
	/* Bounced, it is copied in whole or not at all. */
	if (!offset && !memcmp(c.data, want + 60 * SECTOR, 4 * SECTOR))
		memset(c.data, BLK_UNTOUCHED, 4 * SECTOR);
	chain_check_untouched(&c, "half of it");
}

TEST_WAYS(half_readable_leaves_the_rest, ways)
{
	struct scene s = start(v);

	half_readable(&s, 0);
	half_readable(&s, 1);
	half_readable(&s, 2);
}

TEST_WAYS(get_id_leaves_the_rest, ways)
{
	static const unsigned int rooms[] = { 1, 19, 21, 512, LEN };
	struct scene s = start(v);

	for (unsigned int i = 0; i < ARRAY_SIZE(rooms); i++) {
		struct chain c = chain_put(&s, VIRTIO_BLK_T_GET_ID, 0, rooms[i]);
		unsigned int n = rooms[i] < VIRTIO_BLK_ID_BYTES ? rooms[i] : VIRTIO_BLK_ID_BYTES;

		check_eq(chain_expect(&c, "GET_ID", VIRTIO_BLK_S_OK), n == rooms[i] ? n + 1 : n);
		check_same(c.data, SERIAL, n, "the serial");
		memset(c.data, BLK_UNTOUCHED, n);
		chain_check_untouched(&c, "GET_ID");
		chain_check_guards(&c, "GET_ID");
	}
}

#define PAGES 64

/* Pages of the kernel's that hold something the guest must not see. */
static void spill(struct scene *s)
{
	static unsigned char secret[PAGES * GUEST_PAGE];
	const struct blk_layout odd = {
		"", .out = { BLK_HEADER }, .direct = VQ_DIRECT, .offset = 1,
	};
	struct blk_io io = {
		.type = VIRTIO_BLK_T_OUT, .out = secret, .out_len = sizeof(secret),
		.layout = &odd,
	};

	memset(secret, 0xd7, sizeof(secret));
	blk_expect(s->vq, &io, VIRTIO_BLK_S_OK);
}

/* A device that says it has read and has not: nothing must come with it. */
static void check_no_secret(struct scene *s, uint32_t len, unsigned int offset)
{
	struct chain c = chain_put(s, VIRTIO_BLK_T_FLUSH, 0, len);
	const struct seg segs[] = {
		{ c.hdr_gpa, BLK_HEADER, false }, { c.data_gpa + offset, len, true },
		{ c.status_gpa, 1, true },
	};

	chain_expect(&c, "the flush", VIRTIO_BLK_S_OK);
	spill(s);
	c.hdr->type = htole32(VIRTIO_BLK_T_IN);
	chain_put_segs(s, &c, segs, ARRAY_SIZE(segs));
	chain_expect(&c, "the read", VIRTIO_BLK_S_OK);
	for (uint32_t i = 0; i < len; i++)
		check(!c.data[offset + i] || c.data[offset + i] == BLK_UNTOUCHED,
		      "%u bytes at offset %u: byte %u is %02x, out of the host's memory", len,
		      offset, i, c.data[offset + i]);
}

TEST_WAYS(device_that_reads_nothing_leaks_nothing, ways)
{
	struct scene s = scene_prepare(v, &(struct blk_setup){ .disk.discards_data = true });

	vdev_start(s.blk.dev);
	for (unsigned int i = 0; i < 4; i++) {
		check_no_secret(&s, SECTOR, 1);
		check_no_secret(&s, GUEST_PAGE, 2);
		check_no_secret(&s, PAGES * GUEST_PAGE, 1);
		check_no_secret(&s, PAGES * GUEST_PAGE, 0);
	}
}
