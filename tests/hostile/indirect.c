// SPDX-License-Identifier: GPL-2.0
/* Row 4: tables that are not what they should be. */
#include <endian.h>
#include <string.h>

#include "scene.h"
#include "tap.h"

#define LEN 4096
#define NEAR_GPA 0x80000000ull
#define PART GUEST_PAGE

/* Tables, on one queue and on four. */
static const struct way tables[] = {
	{ "one_queue", 1, true }, { "four_queues", 4, true },
};

static void nested(struct chain *c)
{
	*c->d[1] = *c->table;
}

static void nested_in_itself(struct chain *c)
{
	*c->d[0] = *c->table;
}

static void flag_on_an_entry(struct chain *c)
{
	desc_set(c->d[2], VRING_DESC_F_INDIRECT);
}

static void length_0(struct chain *c)
{
	c->table->len = 0;
}

static void length_15(struct chain *c)
{
	c->table->len = htole32(15);
}

static void length_17(struct chain *c)
{
	c->table->len = htole32(17);
}

/* All that a read needs is in it. */
static void length_of_three_and_1(struct chain *c)
{
	c->table->len = htole32(3 * 16 + 1);
}

static void length_of_three_and_15(struct chain *c)
{
	c->table->len = htole32(3 * 16 + 15);
}

static void length_one_short(struct chain *c)
{
	c->table->len = htole32(2 * 16);
}

/* As many entries as no chain can have, all of them in memory. */
static void length_of_65537(struct chain *c)
{
	c->table->addr = htole64(GUEST_BASE);
	c->table->len = htole32(65537 * 16);
}

static void length_of_4_gib(struct chain *c)
{
	c->table->len = htole32(0xfffffff0);
}

static void in_no_memory(struct chain *c)
{
	c->table->addr = htole64(NEAR_GPA);
}

static void address_wraps(struct chain *c)
{
	c->table->addr = htole64(~0ull - 15);
	c->table->len = htole32(3 * 16);
}

/* Each entry is good, and all together are more than a request may have. */
static void more_entries_than_any_request(struct chain *c)
{
	struct guest *g = &c->vq->dev->mem;
	uint64_t at = guest_alloc(g, 1026 * 16, 16);
	struct vring_desc *d = guest_ptr(g, at, 1026 * 16);

	vq_put_desc(d, c->hdr_gpa, BLK_HEADER, VRING_DESC_F_NEXT, 1);
	for (unsigned int i = 1; i < 1025; i++)
		vq_put_desc(d + i, c->data_gpa, 4, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, i + 1);
	vq_put_desc(d + 1025, c->status_gpa, 1, VRING_DESC_F_WRITE, 0);
	c->table->addr = htole64(at);
	c->table->len = htole32(1026 * 16);
}

static const struct {
	const char *name;
	void (*spoil)(struct chain *c);
} bad[] = {
	{ "nested", nested },
	{ "nested_in_itself", nested_in_itself },
	{ "flag_on_an_entry", flag_on_an_entry },
	{ "length_0", length_0 },
	{ "length_15", length_15 },
	{ "length_17", length_17 },
	{ "length_of_three_and_1", length_of_three_and_1 },
	{ "length_of_three_and_15", length_of_three_and_15 },
	{ "length_one_short", length_one_short },
	{ "length_of_65537", length_of_65537 },
	{ "length_of_4_gib", length_of_4_gib },
	{ "in_no_memory", in_no_memory },
	{ "address_wraps", address_wraps },
	{ "more_entries_than_any_request", more_entries_than_any_request },
};

TEST_WAYS(bad_table_stops_the_vq, tables)
{
	struct scene s = scene_start(v);

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		scene_must_refuse(&s, bad[i].spoil, bad[i].name);
}

/*
 * 2.7.5.3.1 forbids a driver INDIRECT with NEXT, and INDIRECT that was not
 * negotiated. The kernel's vhost takes both for what they say; that must be as
 * safe as what is allowed: the whole chain is one request.
 */
TEST_WAYS(table_with_next_is_one_chain, tables)
{
	struct scene s = scene_start(v);
	unsigned char want[LEN];
	struct chain c = chain_put(&s, VIRTIO_BLK_T_IN, 0, LEN);
	uint16_t last = s.vq->free[--s.vq->nfree];

	fill(want, LEN, 1);
	device_write(s.blk.path, 0, want, LEN);
	/* The table without its last entry, which follows directly. */
	vq_put_desc(&s.vq->desc[last], c.status_gpa, 1, VRING_DESC_F_WRITE, 0);
	c.table->len = htole32(2 * 16);
	desc_clear(c.d[1], VRING_DESC_F_NEXT);
	desc_set(c.table, VRING_DESC_F_NEXT);
	c.table->next = htole16(last);
	check_eq(chain_expect(&c, "the read", VIRTIO_BLK_S_OK), LEN + 1);
	check_same(c.data, want, LEN, "the data");
	scene_must_serve(&s, "a table with NEXT");
}

TEST_WAYS(table_with_next_to_itself_stops_the_vq, tables)
{
	struct scene s = scene_start(v);
	struct chain c = chain_put(&s, VIRTIO_BLK_T_IN, 0, LEN);

	desc_set(c.table, VRING_DESC_F_NEXT);
	c.table->next = htole16(c.head);
	chain_send(&c);
	scene_must_stop(&s, "a table that follows itself");
	chain_check_untouched(&c, "a table that follows itself");
}

TEST_WAYS(table_not_negotiated_is_a_table, tables)
{
	struct scene s = scene_prepare(v, &(struct blk_setup){
		.features = BLK_FEATURES & ~BIT(VIRTIO_RING_F_INDIRECT_DESC) });
	unsigned char want[LEN];
	struct chain c;

	scene_run(&s);
	fill(want, LEN, 2);
	device_write(s.blk.path, 0, want, LEN);
	c = chain_put(&s, VIRTIO_BLK_T_IN, 0, LEN);
	check_eq(chain_expect(&c, "the read", VIRTIO_BLK_S_OK), LEN + 1);
	check_same(c.data, want, LEN, "the data");
	c = chain_put(&s, VIRTIO_BLK_T_IN, 0, LEN);
	nested(&c);
	chain_send(&c);
	scene_must_stop(&s, "nested");
}

/* A table that ends one region and goes on in the next, between any two bytes. */
TEST_WAYS(table_across_regions_ok, tables)
{
	struct scene s = scene_prepare(v, &(struct blk_setup){});
	unsigned char want[LEN], *from, *to;
	struct chain c;

	guest_add(s.blk.mem, NEAR_GPA, PART);
	/* Not on end in the process: in between lies a third. */
	guest_add(s.blk.mem, NEAR_GPA + 16 * PART, PART);
	guest_add(s.blk.mem, NEAR_GPA + PART, PART);
	from = s.blk.mem->region[1].hva;
	to = s.blk.mem->region[3].hva;
	scene_run(&s);
	fill(want, LEN, 3);
	device_write(s.blk.path, 0, want, LEN);
	for (unsigned int cut = 1; cut < 3 * 16; cut += 5) {
		c = chain_put(&s, VIRTIO_BLK_T_IN, 0, LEN);
		memcpy(from + PART - cut, c.d[0], cut);
		memcpy(to, (char *)c.d[0] + cut, 3 * 16 - cut);
		c.table->addr = htole64(NEAR_GPA + PART - cut);
		check_eq(chain_expect(&c, "the read", VIRTIO_BLK_S_OK), LEN + 1);
		check_same(c.data, want, LEN, "the data");
	}
	scene_must_serve(&s, "tables across regions");
}
