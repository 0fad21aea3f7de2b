// SPDX-License-Identifier: GPL-2.0
/*
 * VIRTIO 2.7.4.1: a device assumes nothing about how a request is cut into
 * descriptors. Each layout carries a write, a read of it, a flush and GET_ID.
 */
#include <stdlib.h>
#include <string.h>

#include "blk.h"
#include "tap.h"

#define BYTES (8 * SECTOR)
#define SERIAL "0123456789abcdefghij"

/* The sizes of pieces; what is not said goes in one. */
static const struct blk_layout layouts[] = {
	{ "usual", .out = { 16 }, .in = { BYTES }, .direct = VQ_DIRECT },
	{ "header_8_8", .out = { 8, 8 }, .in = { BYTES }, .direct = VQ_DIRECT },
	{ "header_4x4", .out = { 4, 4, 4, 4 }, .in = { BYTES }, .direct = VQ_DIRECT },
	{ "header_1_15", .out = { 1, 15 }, .in = { BYTES }, .direct = VQ_DIRECT },
	{ "header_15_1", .out = { 15, 1 }, .in = { BYTES }, .direct = VQ_DIRECT },
	{ "header_and_data_in_one", .in = { BYTES }, .direct = VQ_DIRECT },
	{ "data_and_status_in_one", .out = { 16 }, .direct = VQ_DIRECT },
	{ "two_descriptors", .direct = VQ_DIRECT },
	{ "header_end_with_data", .out = { 12 }, .in = { BYTES }, .direct = VQ_DIRECT },
	{ "status_descriptor_longer_than_a_byte", .out = { 16 }, .in = { BYTES - 3 },
	  .direct = VQ_DIRECT },
	{ "uneven", .out = { 16, 1, 13, 511, 512, 700 }, .in = { 3, 509, 1, 1023, 77 },
	  .direct = VQ_DIRECT },
	{ "bytes", .out_every = 64, .in_every = 61, .direct = VQ_DIRECT },
	{ "indirect", .out = { 16 }, .in = { BYTES } },
	{ "indirect_uneven", .out = { 5, 11, 1, 13, 511 }, .in = { 3, 509, 1, 1023 } },
	{ "indirect_after_one_direct", .out = { 16 }, .in = { BYTES }, .direct = 1 },
	{ "indirect_after_header_4x4", .out = { 4, 4, 4, 4 }, .in = { 512 }, .direct = 4 },
	{ "indirect_for_the_status", .out = { 16, BYTES }, .in = { BYTES }, .direct = 2 },
};

static struct blk_io write_of(const struct blk_layout *l, const void *data)
{
	return (struct blk_io){
		.type = VIRTIO_BLK_T_OUT, .sector = 24, .out = data, .out_len = BYTES,
		.layout = l,
	};
}

static struct blk_io read_of(const struct blk_layout *l)
{
	return (struct blk_io){
		.type = VIRTIO_BLK_T_IN, .sector = 24, .in_len = BYTES, .layout = l,
	};
}

TEST_V(write_ok, layouts)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	unsigned char data[BYTES], medium[BYTES + 2 * SECTOR];
	struct blk_io io = write_of(v, data);

	fill(data, BYTES, 1);
	memset(medium, 0x11, sizeof(medium));
	device_write(blk.path, 23 * SECTOR, medium, sizeof(medium));
	blk_expect_len(blk.vq, &io, VIRTIO_BLK_S_OK, 1);
	device_read(blk.path, 23 * SECTOR, medium, sizeof(medium));
	check_same(medium + SECTOR, data, BYTES, "the medium");
	for (unsigned int i = 0; i < SECTOR; i++)
		check(medium[i] == 0x11 && medium[SECTOR + BYTES + i] == 0x11,
		      "a sector beside the write was changed");
}

TEST_V(read_ok, layouts)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct blk_io io = read_of(v);
	unsigned char data[BYTES];
	struct blk_req req;

	fill(data, BYTES, 2);
	device_write(blk.path, 24 * SECTOR, data, BYTES);
	req = blk_do(blk.vq, &io);
	check_eq(req.status, VIRTIO_BLK_S_OK);
	check_eq(req.used_len, BYTES + 1);
	check_same(req.in, data, BYTES, "the data");
}

TEST_V(flush_ok, layouts)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct blk_io io = { .type = VIRTIO_BLK_T_FLUSH, .layout = v };

	blk_expect_len(blk.vq, &io, VIRTIO_BLK_S_OK, 1);
}

TEST_V(get_id_ok, layouts)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct blk_io io = {
		.type = VIRTIO_BLK_T_GET_ID, .in_len = VIRTIO_BLK_ID_BYTES, .layout = v,
	};
	struct blk_req req;

	blk_set_serial(blk.dev, SERIAL);
	req = blk_do(blk.vq, &io);
	check_eq(req.status, VIRTIO_BLK_S_OK);
	check_eq(req.used_len, VIRTIO_BLK_ID_BYTES + 1);
	check_same(req.in, SERIAL, VIRTIO_BLK_ID_BYTES, "the serial");
}

/* Each data piece a sector, as the simplest driver would do it. */
static const struct blk_layout many[] = {
	{ "64_x_512", .out = { 16 }, .out_every = 512, .in_every = 512,
	  .direct = VQ_DIRECT },
	{ "64_x_512_indirect", .out = { 16 }, .out_every = 512, .in_every = 512 },
	{ "64_x_512_packed", .out = { 16 }, .out_every = 512, .in_every = 512,
	  .direct = VQ_DIRECT, .packed = true },
};

TEST_V(many_segments_ok, many)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	unsigned char data[64 * SECTOR];
	struct blk_io out = {
		.type = VIRTIO_BLK_T_OUT, .sector = 8, .out = data,
		.out_len = sizeof(data), .layout = v,
	};
	struct blk_io in = {
		.type = VIRTIO_BLK_T_IN, .sector = 8, .in_len = sizeof(data), .layout = v,
	};
	struct blk_req req;

	fill(data, sizeof(data), 3);
	blk_expect_len(blk.vq, &out, VIRTIO_BLK_S_OK, 1);
	req = blk_do(blk.vq, &in);
	check_eq(req.status, VIRTIO_BLK_S_OK);
	check_same(req.in, data, sizeof(data), "the data");
}

/* Free descriptors lie in reverse, so next does not just count up. */
TEST(chain_in_reverse_order_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct vq *vq = blk.vq;
	unsigned char data[SECTOR], got[SECTOR];

	for (unsigned int i = 0; i < vq->num; i++)
		vq->free[i] = i;
	fill(data, SECTOR, 4);
	blk_write(vq, 5, data, SECTOR);
	blk_read(vq, 5, got, SECTOR);
	check_same(got, data, SECTOR, "the data");
}

/*
 * 2.7.5.3.1: an indirect table is a chain, too: entry 0 is its first, and next
 * says which comes then.
 */
TEST(indirect_table_in_another_order_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct vq *vq = blk.vq;
	struct blk_io io = {
		.type = VIRTIO_BLK_T_IN, .sector = 9, .in_len = SECTOR,
		.layout = &(struct blk_layout){ "", .out = { 16 }, .in = { SECTOR } },
	};
	struct vring_desc *table, swap;
	unsigned char data[SECTOR];
	struct blk_req req;

	fill(data, SECTOR, 5);
	device_write(blk.path, 9 * SECTOR, data, SECTOR);
	req = blk_add(vq, &io);
	table = guest_ptr(blk.mem, vq->chain[req.head].table, 3 * sizeof(*table));
	swap = table[1];
	table[1] = table[2];
	table[2] = swap;
	table[0].next = 2;
	table[2].next = 1;
	table[1].next = 0;
	blk_send(vq);
	blk_finish(&req, vq_get(vq));
	check_eq(req.status, VIRTIO_BLK_S_OK);
	check_same(req.in, data, SECTOR, "read");
}

/* 2.7.5.3.2: a device ignores WRITE in the descriptor that names a table. */
TEST(write_flag_on_an_indirect_descriptor_ignored)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct blk_io io = {
		.type = VIRTIO_BLK_T_FLUSH, .layout = &(struct blk_layout){ "" },
	};
	struct blk_req req = blk_add(blk.vq, &io);

	blk.vq->desc[req.head].flags |= VRING_DESC_F_WRITE;
	blk_send(blk.vq);
	blk_finish(&req, vq_get(blk.vq));
	check_eq(req.status, VIRTIO_BLK_S_OK);
}

/* A descriptor of no bytes, wherever it stands, is no mistake of itself. */
static const struct {
	const char *name;
	unsigned int at;
} places[] = { { "first", 0 }, { "middle", 1 }, { "before_the_status", 2 }, { "last", 3 } };

TEST_V(zero_length_descriptor_ok, places)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct guest *g = blk.mem;
	uint64_t hdr = guest_alloc(g, 16, 16), data = guest_alloc(g, SECTOR, GUEST_PAGE);
	uint64_t status = guest_alloc(g, 1, 1);
	struct seg segs[4], full[] = {
		{ hdr, 16, false }, { data, SECTOR, true }, { status, 1, true },
	};
	unsigned char want[SECTOR];
	struct used u;

	fill(want, SECTOR, 6);
	device_write(blk.path, 0, want, SECTOR);
	memset(guest_ptr(g, hdr, 16), 0, 16);
	*(unsigned char *)guest_ptr(g, status, 1) = BLK_NO_STATUS;
	for (unsigned int i = 0, from = 0; i < 4; i++)
		segs[i] = i == v->at ? (struct seg){ data, 0, v->at > 1 } : full[from++];
	vq_submit(blk.vq, segs, 4, VQ_DIRECT);
	u = vq_get(blk.vq);
	check_eq(u.len, SECTOR + 1);
	check_eq(*(unsigned char *)guest_ptr(g, status, 1), VIRTIO_BLK_S_OK);
	check_same(guest_ptr(g, data, SECTOR), want, SECTOR, "the data");
}
