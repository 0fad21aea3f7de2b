// SPDX-License-Identifier: GPL-2.0
/* What the model of a disk says of its data. */
#include "model.h"

TEST(lost_write_noticed)
{
	struct world *w = world_new();

	put_write(w, 0, 5, 1024);
	use(w, 0, 1, VIRTIO_BLK_S_OK);
	must_be_right(w);
	must_notice(read_back(w), "sector 5");
	put(w, 1, VIRTIO_BLK_T_IN, 0, 4096);
	publish(w);
	obey_read(w, 1, 0, 4096);
	collect_must_notice(w, "sector 5 is as it was before a write");
	world_end(w);
}

TEST(write_one_sector_off_noticed)
{
	struct world *w = world_new();

	put_write(w, 0, 5, 1024);
	obey_write(w, 0, 6, 1024);
	must_be_right(w);
	must_notice(read_back(w), "sector 5 is as it was before a write");
	memcpy(w->disk + 5 * 512, data_of(w, 0), 512);
	must_notice(read_back(w), "sector 6 is what sector 5 may be");
	world_end(w);
}

TEST(write_past_its_end_noticed)
{
	struct world *w = world_new();

	put_write(w, 0, 5, 1024);
	obey_write(w, 0, 5, 1536);
	must_be_right(w);
	must_notice(read_back(w), "sector 7");
	world_end(w);
}

TEST(write_of_a_refused_request_noticed)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_OUT, SECTORS - 1, 1024);
	publish(w);
	memcpy(w->disk + (SECTORS - 1) * 512, data_of(w, 0), 512);
	use(w, 0, 1, VIRTIO_BLK_S_IOERR);
	must_be_right(w);
	must_notice(read_back(w), "sector 63");
	world_end(w);
}

/* A read beside a write: the old, the new; and sector by sector. */
static const struct {
	const char *name;
	unsigned int first_new, end_new;
} torn[] = { { "old", 0, 0 }, { "new", 0, 2 }, { "first_new", 0, 1 }, { "last_new", 1, 2 } };

TEST_V(read_beside_a_write_ok, torn)
{
	struct world *w = world_new();
	unsigned int from = v->first_new * 512, len = (v->end_new - v->first_new) * 512;

	new_data(w, 0, 9);
	put(w, 0, VIRTIO_BLK_T_OUT, 5, 1024);
	put(w, 1, VIRTIO_BLK_T_IN, 5, 1024);
	publish(w);
	memcpy(data_of(w, 1), w->disk + 5 * 512, 1024);
	memcpy(data_of(w, 1) + from, data_of(w, 0) + from, len);
	/* Even when the write is known to have ended first. */
	obey_write(w, 0, 5, 1024);
	use(w, 1, 1025, VIRTIO_BLK_S_OK);
	must_be_right(w);
	check(!read_back(w), "the disk is right");
	world_end(w);
}

TEST(sector_torn_within_noticed)
{
	struct world *w = world_new();

	new_data(w, 0, 9);
	put(w, 0, VIRTIO_BLK_T_OUT, 5, 512);
	put(w, 1, VIRTIO_BLK_T_IN, 5, 512);
	publish(w);
	memcpy(data_of(w, 1), w->disk + 5 * 512, 512);
	memcpy(data_of(w, 1), data_of(w, 0), 256);
	use(w, 1, 513, VIRTIO_BLK_S_OK);
	collect_must_notice(w, "sector 5 was never that");
}

/* A read that begins when a write has ended must not see what was there before. */
TEST(old_data_behind_a_write_noticed)
{
	struct world *w = world_new();

	put(w, 4, VIRTIO_BLK_T_IN, 5, 512);
	publish(w);
	do_write(w, 0, 5, 512);
	put(w, 1, VIRTIO_BLK_T_IN, 5, 512);
	publish(w);
	memcpy(data_of(w, 4), w->initial + 5 * 512, 512);
	use(w, 4, 513, VIRTIO_BLK_S_OK);
	must_be_right(w);
	memcpy(data_of(w, 1), w->initial + 5 * 512, 512);
	use(w, 1, 513, VIRTIO_BLK_S_OK);
	collect_must_notice(w, "sector 5 is as it was before a write");
}

/* Of two at the same time either is left, and not a third, older one. */
TEST(two_writes_at_once)
{
	struct world *w = world_new();
	unsigned char before[512];

	memcpy(before, w->disk + 5 * 512, 512);
	new_data(w, 0, 9);
	new_data(w, 1, 10);
	put(w, 0, VIRTIO_BLK_T_OUT, 5, 512);
	put(w, 1, VIRTIO_BLK_T_OUT, 5, 512);
	publish(w);
	obey_write(w, 1, 5, 512);
	obey_write(w, 0, 5, 512);
	must_be_right(w);
	check(disk_may_read(&w->model.disk, 5, data_of(w, 0), w->model.disk.clock), "the first");
	check(disk_may_read(&w->model.disk, 5, data_of(w, 1), w->model.disk.clock), "the second");
	check(!disk_may_read(&w->model.disk, 5, before, w->model.disk.clock), "neither");
	check(!read_back(w), "the disk is right");
	check(!disk_may_read(&w->model.disk, 5, data_of(w, 1), w->model.disk.clock),
	      "it was read back as the first");
	world_end(w);
}

/* Ranges, whose data are the ranges. */
static void put_range(struct world *w, unsigned int slot, uint32_t type, uint64_t sector,
		      uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = {
		htole64(sector), htole32(sectors), htole32(flags),
	};

	memcpy(data_of(w, slot), &range, sizeof(range));
	memory_accept_region(&w->model.memory, 1);
	put(w, slot, type, 0, sizeof(range));
	publish(w);
}

/* The device says OK to a range, and has zeroed @zeroed sectors from @from on. */
static void do_range(struct world *w, uint32_t type, uint64_t sector, uint32_t sectors,
		     uint32_t flags, unsigned int from, unsigned int zeroed)
{
	put_range(w, 0, type, sector, sectors, flags);
	memset(w->disk + from * DISK_SECTOR, 0, zeroed * DISK_SECTOR);
	use(w, 0, 1, VIRTIO_BLK_S_OK);
	must_be_right(w);
}

TEST(zeroes_one_sector_long_noticed)
{
	struct world *w = world_new();

	do_range(w, VIRTIO_BLK_T_WRITE_ZEROES, 8, 2, 1, 8, 2);
	check(!read_back(w), "the disk is right");
	do_range(w, VIRTIO_BLK_T_WRITE_ZEROES, 20, 2, 0, 20, 3);
	must_notice(read_back(w), "sector 22");
	world_end(w);
}

TEST(lost_zeroes_noticed)
{
	struct world *w = world_new();

	do_range(w, VIRTIO_BLK_T_WRITE_ZEROES, 8, 2, 0, 8, 1);
	must_notice(read_back(w), "sector 9");
	world_end(w);
}

TEST(discard_keeps_or_zeroes)
{
	struct world *w = world_new();

	do_range(w, VIRTIO_BLK_T_DISCARD, 8, 3, 0, 9, 1);
	check(!read_back(w), "the disk is right");
	do_range(w, VIRTIO_BLK_T_DISCARD, 8, 3, 0, 7, 1);
	must_notice(read_back(w), "sector 7");
	world_end(w);
}

static const struct {
	const char *name;
	uint32_t type, sectors, flags;
	uint8_t status;
} ranges[] = {
	{ "discard_with_unmap", VIRTIO_BLK_T_DISCARD, 1, 1, VIRTIO_BLK_S_UNSUPP },
	{ "zeroes_with_flag_2", VIRTIO_BLK_T_WRITE_ZEROES, 1, 2, VIRTIO_BLK_S_UNSUPP },
	{ "past_the_end", VIRTIO_BLK_T_WRITE_ZEROES, SECTORS, 0, VIRTIO_BLK_S_IOERR },
	{ "not_negotiated", VIRTIO_BLK_T_SECURE_ERASE, 1, 0, VIRTIO_BLK_S_UNSUPP },
};

TEST_V(bad_range_is_refused, ranges)
{
	struct world *w = world_new();

	put_range(w, 0, v->type, 8, v->sectors, v->flags);
	use(w, 0, 1, v->status);
	must_be_right(w);
	put_range(w, 0, v->type, 8, v->sectors, v->flags);
	use(w, 0, 1, VIRTIO_BLK_S_OK);
	collect_must_notice(w, "status 0");
	world_end(w);
}

/* Where two chains share memory nothing is said of what is in it. */
TEST(shared_memory_is_not_judged)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_OUT, 5, 512);
	put(w, 1, VIRTIO_BLK_T_IN, 9, 512);
	w->desc[4].addr = htole64(DATA + 256);
	publish(w);
	memset(w->disk + 5 * 512, 0x77, 512);
	use(w, 0, 1, VIRTIO_BLK_S_OK);
	use(w, 1, 513, VIRTIO_BLK_S_OK);
	must_be_right(w);
	check(!read_back(w), "sector 5 may be anything");
	w->disk[5 * 512] ^= 1;
	must_notice(read_back(w), "sector 5");
	world_end(w);
}
