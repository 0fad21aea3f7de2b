// SPDX-License-Identifier: GPL-2.0
/* Where a request wants to go: rows 21, 22 and 23. */
#include <endian.h>
#include <string.h>

#include "scene.h"
#include "tap.h"

#define CAPACITY 2048ull
#define DISK_BYTES (CAPACITY * SECTOR)
#define MOST 64

static unsigned char disk[DISK_BYTES];

static struct scene start(const struct way *v, bool read_only, uint64_t features)
{
	struct scene s = scene_prepare(v, &(struct blk_setup){
		.disk.mb = 1, .read_only = read_only });

	vdev_negotiate(s.blk.dev, BLK_FEATURES | (features & s.blk.dev->offered));
	fill(disk, DISK_BYTES, 1);
	device_write(s.blk.path, 0, disk, DISK_BYTES);
	/* No bystander: the disk has no sector to spare. */
	vdev_start(s.blk.dev);
	return s;
}

static void check_disk(const struct scene *s, const char *what)
{
	static unsigned char now[DISK_BYTES];

	device_read(s->blk.path, 0, now, DISK_BYTES);
	check_same(now, disk, DISK_BYTES, what);
}

/* Data in n pieces of so many bytes, one behind the other in memory. */
static struct chain pieces_put(struct scene *s, uint32_t type, uint64_t sector, unsigned int n,
			       uint32_t bytes)
{
	struct chain c = chain_put(s, VIRTIO_BLK_T_FLUSH, 0, n * bytes ?: 1);
	struct seg segs[MOST + 2] = { { c.hdr_gpa, BLK_HEADER, false } };

	chain_expect(&c, "the flush", VIRTIO_BLK_S_OK);
	*c.status = BLK_NO_STATUS;
	c.hdr->type = htole32(type);
	c.hdr->sector = htole64(sector);
	for (unsigned int i = 0; i < n; i++)
		segs[1 + i] = (struct seg){ c.data_gpa + i * bytes, bytes,
					    type == VIRTIO_BLK_T_IN };
	segs[n + 1] = (struct seg){ c.status_gpa, 1, true };
	chain_put_segs(s, &c, segs, n + 2);
	return c;
}

static const struct {
	const char *name;
	uint64_t sector;
	unsigned int n;
	uint32_t bytes;
} ranges[] = {
	{ "last_sector_and_one", CAPACITY - 1, 2, SECTOR },
	{ "last_sector_and_63", CAPACITY - 1, 64, SECTOR },
	{ "last_sector_and_7_in_one", CAPACITY - 1, 1, 8 * SECTOR },
	{ "at_the_end", CAPACITY, 1, SECTOR },
	{ "2_32", 1ull << 32, 1, SECTOR },
	{ "2_55", 1ull << 55, 8, SECTOR },
	{ "2_63", 1ull << 63, 1, SECTOR },
	{ "2_63_minus_1", (1ull << 63) - 1, 2, SECTOR },
	{ "2_64_minus_1", ~0ull, 1, SECTOR },
	{ "sum_wraps", ~0ull - 6, 8, SECTOR },
	{ "513_bytes", 0, 1, 513 },
	{ "twice_257_bytes", 0, 2, 257 },
	{ "1_byte", 0, 1, 1 },
	{ "511_bytes", 0, 1, 511 },
};

TEST_V(out_of_range_rejected, ways)
{
	struct scene s = start(v, false, 0);
	uint64_t mark = guest_mark(s.blk.mem);

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(ranges); i++) {
		unsigned int k = i / 2, type = i % 2;
		struct chain c = pieces_put(&s, type, ranges[k].sector, ranges[k].n,
					    ranges[k].bytes);

		check_eq(chain_expect(&c, ranges[k].name, VIRTIO_BLK_S_IOERR), type);
		chain_check_untouched(&c, ranges[k].name);
		chain_check_guards(&c, ranges[k].name);
		if (!v->indirect)
			guest_release(s.blk.mem, mark);
	}
	check_disk(&s, "the disk");
}

/* Up to the last sector all goes. */
TEST_V(in_range_ok, ways)
{
	struct scene s = start(v, false, 0);
	struct chain c;

	c = pieces_put(&s, VIRTIO_BLK_T_IN, CAPACITY - 64, 64, SECTOR);
	chain_expect(&c, "the read", VIRTIO_BLK_S_OK);
	check_same(c.data, disk + DISK_BYTES - c.len, c.len, "the data");
	c = pieces_put(&s, VIRTIO_BLK_T_OUT, CAPACITY - 1, 1, SECTOR);
	chain_expect(&c, "the write", VIRTIO_BLK_S_OK);
	memset(disk + DISK_BYTES - SECTOR, BLK_UNTOUCHED, SECTOR);
	check_disk(&s, "the disk");
	/* No bytes at the end are no bytes past it. */
	c = pieces_put(&s, VIRTIO_BLK_T_OUT, CAPACITY, 0, 0);
	chain_expect(&c, "nothing", VIRTIO_BLK_S_OK);
	c = pieces_put(&s, VIRTIO_BLK_T_OUT, CAPACITY + 1, 0, 0);
	chain_expect(&c, "nothing, further on", VIRTIO_BLK_S_IOERR);
}

/* What carries segments of sector, number and flags. */
static const uint32_t types[] = {
	VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES, 14 /* SECURE_ERASE */,
};

static const struct {
	const char *name;
	uint32_t len;
	uint64_t sector;
	uint32_t sectors, flags;
} segments[] = {
	{ "none", 0 },
	{ "a_byte_short", 15, 0, 8 },
	{ "a_byte_more", 17, 0, 8 },
	{ "no_sectors", 16, 0, 0 },
	{ "2_32_minus_1_sectors", 16, 0, ~0u },
	{ "over_the_end", 16, CAPACITY - 1, 2 },
	{ "2_63", 16, 1ull << 63, 8 },
	{ "reserved_flag", 16, 0, 8, 2 },
	{ "all_flags", 16, 0, 8, ~0u },
	{ "good", 16, 0, 8 },
};

/* What was not negotiated is UNSUPP, whatever it carries and wherever it points. */
static void segments_unsupported(struct scene *s)
{
	uint64_t mark = guest_mark(s->blk.mem);
	struct virtio_blk_discard_write_zeroes range;

	for (unsigned int t = 0; t < ARRAY_SIZE(types); t++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(segments); i++) {
			struct chain c = pieces_put(s, types[t], 0, !!segments[i].len,
						    segments[i].len);

			range.sector = htole64(segments[i].sector);
			range.num_sectors = htole32(segments[i].sectors);
			range.flags = htole32(segments[i].flags);
			memcpy(c.data, &range, c.len < 16 ? c.len : 16);
			check_eq(chain_expect(&c, segments[i].name, VIRTIO_BLK_S_UNSUPP), 1);
			if (!s->way->indirect)
				guest_release(s->blk.mem, mark);
		}
	}
	check_disk(s, "the disk");
}

TEST_V(segments_not_negotiated_unsupported, ways)
{
	struct scene s = start(v, false, 0);

	segments_unsupported(&s);
}

/* Row 23: nothing of all this changes a disk that may only be read. */
TEST_V(read_only_disk_is_not_written, ways)
{
	struct scene s = start(v, true, BIT(VIRTIO_BLK_F_RO));
	static const unsigned int counts[] = { 0, 1, 8, 64 };

	segments_unsupported(&s);
	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		struct chain c = pieces_put(&s, VIRTIO_BLK_T_OUT, 0, counts[i], SECTOR);

		check_eq(chain_expect(&c, "the write", VIRTIO_BLK_S_IOERR), 1);
	}
	check_disk(&s, "the disk");
}
