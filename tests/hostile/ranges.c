// SPDX-License-Identifier: GPL-2.0
/* Where a request wants to go: rows 21, 22 and 23. */
#include <endian.h>
#include <string.h>

#include "scene.h"
#include "tap.h"
#include "vduse.h"

#define CAPACITY 2048ull
#define DISK_BYTES (CAPACITY * SECTOR)
#define MOST 64

static unsigned char disk[DISK_BYTES];

static void fill_disk(const char *path)
{
	fill(disk, DISK_BYTES, 1);
	device_write(path, 0, disk, DISK_BYTES);
}

/* No bystander: the disk has no sector to spare. */
static struct scene start_on(const struct way *v, const struct blk_setup *setup)
{
	struct scene s = scene_prepare(v, setup);

	fill_disk(s.blk.path);
	vdev_start(s.blk.dev);
	return s;
}

static struct scene start(const struct way *v)
{
	return start_on(v, &(struct blk_setup){ .disk.mb = 1 });
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

TEST_WAYS(out_of_range_rejected, ways)
{
	struct scene s = start(v);
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
TEST_WAYS(in_range_ok, ways)
{
	struct scene s = start(v);
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
	VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_SECURE_ERASE,
};

#define RANGE_FEATURES (BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES) | \
			BIT(VIRTIO_BLK_F_SECURE_ERASE))

#define OK	VIRTIO_BLK_S_OK
#define IOERR	VIRTIO_BLK_S_IOERR
#define UNSUPP	VIRTIO_BLK_S_UNSUPP

static const struct segment {
	const char *name;
	uint32_t len;
	uint64_t sector;
	uint32_t sectors, flags;
	/* Of WRITE_ZEROES, and of the two others. */
	uint8_t zeroes, erase;
} segments[] = {
	{ "none", 0, 0, 0, 0, IOERR, IOERR },
	{ "a_byte_short", 15, 0, 8, 0, IOERR, IOERR },
	{ "a_byte_more", 17, 0, 8, 0, IOERR, IOERR },
	{ "no_sectors", 16, 0, 0, 0, OK, OK },
	{ "2_32_minus_1_sectors", 16, 0, ~0u, 0, IOERR, IOERR },
	{ "over_the_end", 16, CAPACITY - 1, 2, 0, IOERR, IOERR },
	{ "at_the_end", 16, CAPACITY, 1, 0, IOERR, IOERR },
	{ "2_63", 16, 1ull << 63, 8, 0, IOERR, IOERR },
	{ "unmap", 16, 8, 8, 1, OK, UNSUPP },
	{ "reserved_flag", 16, 0, 8, 2, UNSUPP, UNSUPP },
	{ "all_flags", 16, 0, 8, ~0u, UNSUPP, UNSUPP },
	{ "good", 16, 0, 8, 0, OK, OK },
};

static void segment_expect(struct scene *s, uint32_t type, const struct segment *g,
			   uint8_t status)
{
	const struct virtio_blk_discard_write_zeroes range = {
		htole64(g->sector), htole32(g->sectors), htole32(g->flags),
	};
	uint64_t mark = guest_mark(s->blk.mem);
	struct chain c = pieces_put(s, type, 0, !!g->len, g->len);

	memcpy(c.data, &range, g->len < sizeof(range) ? g->len : sizeof(range));
	check_eq(chain_expect(&c, g->name, status), 1);
	if (!s->way->indirect)
		guest_release(s->blk.mem, mark);
}

/* All that there is, and one answer to it. */
static void segments_expect(struct scene *s, uint8_t status)
{
	for (unsigned int t = 0; t < ARRAY_SIZE(types); t++)
		for (unsigned int i = 0; i < ARRAY_SIZE(segments); i++)
			segment_expect(s, types[t], &segments[i], status);
	check_disk(s, "the disk");
}

/* What was not negotiated is UNSUPP, whatever it carries and wherever it points. */
TEST_WAYS(segments_not_negotiated_unsupported, ways)
{
	struct scene s = start(v);

	segments_expect(&s, UNSUPP);
}

/* What was is looked at, and nothing is done but what a good one asks for. */
TEST_WAYS(segments_out_of_range_rejected, ways)
{
	struct scene s = start_on(v, &(struct blk_setup){
		.disk = { .mb = 1, .attributes = "discard=1" },
		.features = BLK_FEATURES | RANGE_FEATURES });

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(segments); i++) {
		const struct segment *g = &segments[i / 2];
		uint8_t status = i % 2 ? g->zeroes : g->erase;

		segment_expect(&s, types[i % 2], g, status);
		if (status != OK)
			continue;
		memset(disk + g->sector * SECTOR, 0, g->sectors * SECTOR);
		check_disk(&s, g->name);
		fill_disk(s.blk.path);
	}
	check_disk(&s, "the disk");
}

/* A device that has it is given the good one alone. */
TEST_WAYS(secure_erase_out_of_range_rejected, ways)
{
	struct vduse_disk *vduse = vduse_disk_new();
	struct scene s;

	s = start_on(v, &(struct blk_setup){
		.path = dm_linear_new(vduse->path, CAPACITY), .features = BLK_FEATURES | RANGE_FEATURES });
	for (unsigned int i = 0; i < ARRAY_SIZE(segments); i++)
		segment_expect(&s, VIRTIO_BLK_T_SECURE_ERASE, &segments[i], segments[i].erase);
	check_eq(vduse->erases, 1);
	check_disk(&s, "the disk");
}

/* Row 23: nothing of all this changes a disk that may only be read. */
TEST_WAYS(read_only_disk_is_not_written, ways)
{
	struct scene s = start_on(v, &(struct blk_setup){
		.disk = { .mb = 1, .attributes = "discard=1" }, .read_only = true,
		.features = BLK_FEATURES | RANGE_FEATURES | BIT(VIRTIO_BLK_F_RO) });
	static const unsigned int counts[] = { 0, 1, 8, 64 };

	segments_expect(&s, IOERR);
	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		struct chain c = pieces_put(&s, VIRTIO_BLK_T_OUT, 0, counts[i], SECTOR);

		check_eq(chain_expect(&c, "the write", IOERR), 1);
	}
	check_disk(&s, "the disk");
}
