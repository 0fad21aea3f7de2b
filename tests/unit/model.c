// SPDX-License-Identifier: GPL-2.0
/*
 * The models of a virtqueue and of a disk, by which the fuzzer judges: a device of a few
 * lines obeys, and nothing is said; it does one thing wrong, and that is.
 */
#include "../lib/verdict.c"
#include "../lib/memory_model.c"
#include "../lib/disk_model.c"
#include "../lib/ring_model.c"
#include "../lib/transfer_model.c"
#include "../lib/blk_model.c"

#include "tap.h"

#define SECTORS 64
#define NUM 16
/* A stretch, as memory_stretches() has it, so that no two slots share one. */
#define SLOT 65536
#define META 0x300000ull
#define DATA 0x1000000ull
/* In each slot of DATA: data, a hole, the status. */
#define STATUS 8192

/* The device, what it has as a disk, and the ring of its only queue. */
struct world {
	struct guest mem;
	struct blk_model model;
	unsigned char initial[SECTORS * DISK_SECTOR], disk[SECTORS * DISK_SECTOR];
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx;
};

static struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));
	unsigned char *meta;

	guest_add(&w->mem, META, 65536);
	guest_add(&w->mem, DATA, NUM * SLOT);
	meta = w->mem.region[0].hva;
	w->desc = (void *)meta;
	w->avail = (void *)(meta + 4096);
	w->used = (void *)(meta + 8192);
	fill(w->initial, sizeof(w->initial), 1);
	memcpy(w->disk, w->initial, sizeof(w->disk));
	fill(w->mem.region[1].hva, NUM * SLOT, 2);
	memory_init(&w->model.memory, &w->mem);
	memory_track(&w->model.memory, 1);
	disk_init(&w->model.disk, w->initial, SECTORS);
	ring_model_init(&w->model.ring[0], &w->model.memory, NUM, w->desc, w->avail, w->used);
	w->model.features = 1 << VIRTIO_BLK_F_DISCARD | 1 << VIRTIO_BLK_F_WRITE_ZEROES;
	w->model.max_discard = w->model.max_write_zeroes = SECTORS;
	w->model.max_discard_seg = w->model.max_write_zeroes_seg = 4;
	memcpy(w->model.id, "a serial of 20 bytes", BLK_MODEL_ID_BYTES);
	return w;
}

static void world_end(struct world *w)
{
	ring_model_start(&w->model.ring[0], 0, 0);
	memory_free(&w->model.memory);
	disk_free(&w->model.disk);
	free(w);
}

static unsigned char *data_of(struct world *w, unsigned int slot)
{
	return (unsigned char *)w->mem.region[1].hva + slot * SLOT;
}

static uint8_t *status_of(struct world *w, unsigned int slot)
{
	return data_of(w, slot) + STATUS;
}

static void put_desc(struct world *w, unsigned int id, uint64_t addr, uint32_t len,
		     uint16_t flags)
{
	w->desc[id] = (struct vring_desc){ htole64(addr), htole32(len), htole16(flags),
					   htole16(id + 1) };
}

/* Makes a request of slot 0 to 4, whose head is three times that, and does not send it. */
static void put(struct world *w, unsigned int slot, uint32_t type, uint64_t sector, uint32_t len)
{
	bool write = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	uint64_t hdr = META + 16384 + slot * 16, at = DATA + slot * SLOT;
	struct virtio_blk_outhdr h = { .type = htole32(type), .sector = htole64(sector) };
	unsigned int id = 3 * slot;

	memcpy((unsigned char *)w->mem.region[0].hva + 16384 + slot * 16, &h, 16);
	put_desc(w, id, hdr, 16, VRING_DESC_F_NEXT);
	put_desc(w, id + 1, at, len, VRING_DESC_F_NEXT | (write ? VRING_DESC_F_WRITE : 0));
	put_desc(w, id + 2, at + STATUS, 1, VRING_DESC_F_WRITE);
	w->avail->ring[w->avail_idx++ % NUM] = htole16(id);
}

static void publish(struct world *w)
{
	blk_model_publish(&w->model, 0, w->avail_idx);
	w->avail->idx = htole16(w->avail_idx);
}

static void use(struct world *w, unsigned int slot, uint32_t len, uint8_t status)
{
	uint16_t idx = le16toh(w->used->idx);

	*status_of(w, slot) = status;
	w->used->ring[idx % NUM] = (struct vring_used_elem){ htole32(3 * slot), htole32(len) };
	w->used->idx = htole16(idx + 1);
}

static void obey_read(struct world *w, unsigned int slot, uint64_t sector, uint32_t len)
{
	memcpy(data_of(w, slot), w->disk + sector * DISK_SECTOR, len);
	use(w, slot, len + 1, VIRTIO_BLK_S_OK);
}

static void obey_write(struct world *w, unsigned int slot, uint64_t sector, uint32_t len)
{
	memcpy(w->disk + sector * DISK_SECTOR, data_of(w, slot), len);
	use(w, slot, 1, VIRTIO_BLK_S_OK);
}

static void must_be_right(struct world *w)
{
	const char *said = blk_model_collect(&w->model, 0);

	check(!said, "nothing is wrong, but: %s", said);
}

static void must_notice(const char *said, const char *part)
{
	check(said, "it was not noticed; expected: %s", part);
	check(strstr(said, part), "'%s' was noticed; expected: %s", said, part);
}

static void collect_must_notice(struct world *w, const char *part)
{
	must_notice(blk_model_collect(&w->model, 0), part);
}

static const char *read_back(struct world *w)
{
	return disk_read_back(&w->model.disk, 0, SECTORS, w->disk);
}

/* New data in a slot's buffer, as the driver puts it there. */
static void new_data(struct world *w, unsigned int slot, uint64_t seed)
{
	fill(data_of(w, slot), STATUS, seed);
	memory_accept_region(&w->model.memory, 1);
}

static void do_write(struct world *w, unsigned int slot, uint64_t sector, uint32_t len)
{
	new_data(w, slot, 100 + sector);
	put(w, slot, VIRTIO_BLK_T_OUT, sector, len);
	publish(w);
	obey_write(w, slot, sector, len);
	must_be_right(w);
}

/* A device that obeys */

TEST(obedient_device_is_right)
{
	struct world *w = world_new();

	for (unsigned int i = 0; i < 50; i++) {
		do_write(w, i % 5, i % 40, 512 * (i % 8));
		put(w, 0, VIRTIO_BLK_T_IN, i, 4096);
		put(w, 1, VIRTIO_BLK_T_GET_ID, 0, 20);
		put(w, 2, VIRTIO_BLK_T_FLUSH, 0, 0);
		put(w, 3, 77, 0, 5);
		publish(w);
		use(w, 3, 1, VIRTIO_BLK_S_UNSUPP);
		memcpy(data_of(w, 1), "a serial of 20 bytes", 20);
		use(w, 1, 21, VIRTIO_BLK_S_OK);
		obey_read(w, 0, i, 4096);
		use(w, 2, 1, VIRTIO_BLK_S_OK);
		must_be_right(w);
		check(!read_back(w), "the disk is right");
	}
	check_eq(w->model.ring[0].nout, 0);
	check(!memory_check(&w->model.memory), "memory is right");
	world_end(w);
}

/* The ring */

TEST(doubled_used_entry_noticed)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	publish(w);
	obey_read(w, 0, 0, 512);
	use(w, 0, 513, VIRTIO_BLK_S_OK);
	collect_must_notice(w, "not out");
	world_end(w);
}

TEST(unknown_used_entry_noticed)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_FLUSH, 0, 0);
	publish(w);
	use(w, 4, 1, VIRTIO_BLK_S_OK);
	collect_must_notice(w, "not out");
}

TEST(head_that_is_out_twice_is_used_twice)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_FLUSH, 0, 0);
	put(w, 0, VIRTIO_BLK_T_FLUSH, 0, 0);
	publish(w);
	use(w, 0, 1, VIRTIO_BLK_S_OK);
	use(w, 0, 1, VIRTIO_BLK_S_OK);
	must_be_right(w);
	use(w, 0, 1, VIRTIO_BLK_S_OK);
	collect_must_notice(w, "not out");
	world_end(w);
}

/* Each spoils a chain so that the device must stop. */

static void loop(struct world *w)
{
	w->desc[0].next = 0;
}

static void past_the_ring(struct world *w)
{
	w->desc[1].next = htole16(NUM);
}

static void hole(struct world *w)
{
	w->desc[1].addr = htole64(DATA + NUM * SLOT - 511);
}

static void nothing_writable(struct world *w)
{
	w->desc[1].flags = w->desc[0].flags;
	w->desc[2].flags = 0;
}

static void readable_behind_writable(struct world *w)
{
	w->desc[2].flags = 0;
}

static void table_of_15(struct world *w)
{
	put_desc(w, 0, META, 15, VRING_DESC_F_INDIRECT);
}

static void table_in_a_table(struct world *w)
{
	put_desc(w, 6, META + 7 * 16, 16, VRING_DESC_F_INDIRECT);
	put_desc(w, 0, META + 6 * 16, 16, VRING_DESC_F_INDIRECT);
}

static void head_of_num(struct world *w)
{
	w->avail->ring[0] = htole16(NUM);
}

static const struct {
	const char *name;
	void (*spoil)(struct world *w);
} spoilt[] = {
	{ "loop", loop }, { "past_the_ring", past_the_ring }, { "hole", hole },
	{ "nothing_writable", nothing_writable },
	{ "readable_behind_writable", readable_behind_writable },
	{ "table_of_15", table_of_15 }, { "table_in_a_table", table_in_a_table },
	{ "head_of_num", head_of_num },
};

TEST_V(bad_chain_stops, spoilt)
{
	struct world *w = world_new();
	const struct ring_model *r = &w->model.ring[0];

	put(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	put(w, 1, VIRTIO_BLK_T_IN, 0, 512);
	v->spoil(w);
	publish(w);
	check(r->stops, "it does not stop");
	check_eq(r->nout, 0);
	check(!ring_model_drained(r, 0), "nothing was taken");
	/* Over it or behind it, the second one is as the driver has put it. */
	obey_read(w, 1, 0, 512);
	collect_must_notice(w, "not out");
	world_end(w);
}

/* The last two descriptors of a read, or all of them, in a table. */
static const struct {
	const char *name;
	unsigned int from;
	uint16_t flags;
} tables[] = {
	{ "all", 0, 0 }, { "behind_the_header", 1, 0 },
	/* 2.7.5.3.2: that means nothing. */
	{ "that_says_write", 1, VRING_DESC_F_WRITE },
};

TEST_V(table_is_followed, tables)
{
	struct world *w = world_new();
	struct vring_desc *table = w->desc + 32;
	unsigned int n = 3 - v->from;

	put(w, 0, VIRTIO_BLK_T_IN, 5, 512);
	for (unsigned int i = 0; i < n; i++) {
		table[i] = w->desc[v->from + i];
		table[i].next = htole16(i + 1);
	}
	put_desc(w, v->from, META + 32 * 16, 16 * n, VRING_DESC_F_INDIRECT | v->flags);
	publish(w);
	check_eq(w->model.ring[0].nout, 1);
	obey_read(w, 0, 5, 512);
	must_be_right(w);
	check_eq(w->model.judged, 1);
	world_end(w);
}

TEST(available_index_jump_stops)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	blk_model_publish(&w->model, 0, NUM + 1);
	check(w->model.ring[0].stops, "it does not stop");
	check_eq(w->model.ring[0].nout, 0);
	world_end(w);
}

TEST(stop_with_a_chain_taken_and_not_answered_noticed)
{
	struct world *w = world_new();

	for (unsigned int i = 0; i < 3; i++)
		put(w, i, VIRTIO_BLK_T_IN, i, 512);
	publish(w);
	obey_read(w, 0, 0, 512);
	must_be_right(w);
	check(!ring_model_drained(&w->model.ring[0], 1), "one was taken and answered");
	must_notice(ring_model_drained(&w->model.ring[0], 2), "taken and not answered");
	must_notice(ring_model_drained(&w->model.ring[0], 0), "chains are out");
	must_notice(ring_model_drained(&w->model.ring[0], 4), "leads past");
}

/* Answers */

TEST(wrong_status_noticed)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_IN, SECTORS, 512);
	publish(w);
	use(w, 0, 0, VIRTIO_BLK_S_UNSUPP);
	collect_must_notice(w, "status 2");
	world_end(w);
}

TEST(wrong_used_len_noticed)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	publish(w);
	memcpy(data_of(w, 0), w->disk, 512);
	use(w, 0, 512, VIRTIO_BLK_S_OK);
	collect_must_notice(w, "used.len is 512, expected 513");
	world_end(w);
}

TEST(used_len_of_a_failed_read_noticed)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_IN, SECTORS, 512);
	publish(w);
	use(w, 0, 513, VIRTIO_BLK_S_IOERR);
	collect_must_notice(w, "used.len is 513, expected 0");
	world_end(w);
}

TEST(written_buffer_of_a_failed_read_noticed)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_IN, SECTORS, 512);
	publish(w);
	data_of(w, 0)[511] ^= 1;
	use(w, 0, 0, VIRTIO_BLK_S_IOERR);
	collect_must_notice(w, "the others were written");
	world_end(w);
}

TEST(wrong_byte_of_a_read_noticed)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_IN, 3, 4096);
	publish(w);
	memcpy(data_of(w, 0), w->disk + 3 * 512, 4096);
	data_of(w, 0)[4095] ^= 0x10;
	use(w, 0, 4097, VIRTIO_BLK_S_OK);
	collect_must_notice(w, "sector 10 was never that");
	world_end(w);
}

TEST(wrong_id_noticed)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_GET_ID, 0, 30);
	publish(w);
	memcpy(data_of(w, 0), "a serial of 20 byteS", 20);
	use(w, 0, 20, VIRTIO_BLK_S_OK);
	collect_must_notice(w, "GET_ID");
	world_end(w);
}

TEST(byte_behind_the_id_noticed)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_GET_ID, 0, 30);
	publish(w);
	memcpy(data_of(w, 0), "a serial of 20 bytes", 20);
	data_of(w, 0)[20] ^= 1;
	use(w, 0, 20, VIRTIO_BLK_S_OK);
	collect_must_notice(w, "the others were written");
	world_end(w);
}

TEST(byte_beside_a_buffer_noticed)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	publish(w);
	obey_read(w, 0, 0, 512);
	data_of(w, 0)[512] ^= 1;
	must_be_right(w);
	must_notice(memory_check(&w->model.memory), "0x1000200");
	world_end(w);
}

/* The disk */

TEST(lost_write_noticed)
{
	struct world *w = world_new();

	new_data(w, 0, 9);
	put(w, 0, VIRTIO_BLK_T_OUT, 5, 1024);
	publish(w);
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

	new_data(w, 0, 9);
	put(w, 0, VIRTIO_BLK_T_OUT, 5, 1024);
	publish(w);
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

	new_data(w, 0, 9);
	put(w, 0, VIRTIO_BLK_T_OUT, 5, 1024);
	publish(w);
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

TEST(zeroes_one_sector_long_noticed)
{
	struct world *w = world_new();

	put_range(w, 0, VIRTIO_BLK_T_WRITE_ZEROES, 8, 2, 1);
	memset(w->disk + 8 * 512, 0, 2 * 512);
	use(w, 0, 1, VIRTIO_BLK_S_OK);
	must_be_right(w);
	check(!read_back(w), "the disk is right");
	put_range(w, 0, VIRTIO_BLK_T_WRITE_ZEROES, 20, 2, 0);
	memset(w->disk + 20 * 512, 0, 3 * 512);
	use(w, 0, 1, VIRTIO_BLK_S_OK);
	must_be_right(w);
	must_notice(read_back(w), "sector 22");
	world_end(w);
}

TEST(lost_zeroes_noticed)
{
	struct world *w = world_new();

	put_range(w, 0, VIRTIO_BLK_T_WRITE_ZEROES, 8, 2, 0);
	memset(w->disk + 8 * 512, 0, 512);
	use(w, 0, 1, VIRTIO_BLK_S_OK);
	must_be_right(w);
	must_notice(read_back(w), "sector 9");
	world_end(w);
}

TEST(discard_keeps_or_zeroes)
{
	struct world *w = world_new();

	put_range(w, 0, VIRTIO_BLK_T_DISCARD, 8, 3, 0);
	memset(w->disk + 9 * 512, 0, 512);
	use(w, 0, 1, VIRTIO_BLK_S_OK);
	must_be_right(w);
	check(!read_back(w), "the disk is right");
	put_range(w, 0, VIRTIO_BLK_T_DISCARD, 8, 3, 0);
	memset(w->disk + 7 * 512, 0, 512);
	use(w, 0, 1, VIRTIO_BLK_S_OK);
	must_be_right(w);
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
