// SPDX-License-Identifier: GPL-2.0
/* What the model of a virtqueue says of a ring. */
#include "model.h"

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
