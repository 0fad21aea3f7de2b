// SPDX-License-Identifier: GPL-2.0
/* Addresses: memory that is not there, row 7; the edges of regions, row 12. */
#include <endian.h>
#include <string.h>
#include <sys/mman.h>

#include "scene.h"
#include "tap.h"

#define LEN 4096
/* Two regions on end, a hole, and the last bytes of all. */
#define NEAR_GPA 0x80000000ull
#define PART (16ull * GUEST_PAGE)
#define END_GPA (NEAR_GPA + 2 * PART)
#define TOP_GPA (0 - PART)
/* A region that the table names and the owner does not have. */
#define VOID_GPA 0x90000000ull

struct land {
	struct scene s;
	unsigned char *near, *next, *top;
};

static struct land land_start(const struct way *v)
{
	struct land l = { .s = scene_prepare(v, &(struct blk_setup){}) };
	struct guest *g = l.s.blk.mem;

	/* The second of the two is mapped first: not on end in the process. */
	guest_add(g, NEAR_GPA + PART, PART);
	guest_add(g, VOID_GPA, PART);
	guest_add(g, NEAR_GPA, PART);
	guest_add(g, TOP_GPA, PART);
	l.next = g->region[1].hva;
	l.near = g->region[3].hva;
	l.top = g->region[4].hva;
	scene_run(&l.s);
	check(!munmap(g->region[2].hva, PART), "munmap: %m");
	return l;
}

static const struct piece {
	const char *name;
	uint64_t addr;
	uint32_t len;
} holes[] = {
	{ "in_no_region", 0x1000, 0 },
	{ "at_the_end", END_GPA, 0 },
	{ "one_byte_over_the_end", END_GPA - LEN + 1, LEN },
	{ "from_memory_into_the_hole", END_GPA - 1, LEN },
	{ "4_gib_minus_1", NEAR_GPA, 0xffffffff },
	{ "wraps", ~0ull - 100, LEN },
	{ "wraps_at_the_last_byte", ~0ull, 2 },
	{ "wraps_by_4_gib", 0 - 0x80000000ull, 0xffffffff },
};

/*
 * In each place a descriptor can have: header, data, status. The header is in the region at
 * whose end most of these begin, so that this is the one that was used last.
 */
TEST_WAYS_LIMIT(hole_stops_the_vq, ways, 60)
{
	struct land l = land_start(v);
	uint64_t mark = guest_mark(l.s.blk.mem);

	for (unsigned int i = 0; i < 3 * ARRAY_SIZE(holes); i++) {
		const struct piece *p = &holes[i / 3];
		struct chain c = chain_put(&l.s, VIRTIO_BLK_T_IN, 0, LEN);

		memcpy(l.next, c.hdr, BLK_HEADER);
		c.d[0]->addr = htole64(NEAR_GPA + PART);
		c.d[i % 3]->addr = htole64(p->addr);
		if (p->len)
			c.d[i % 3]->len = htole32(p->len);
		chain_send(&c);
		scene_must_stop(&l.s, p->name);
		chain_check_untouched(&c, p->name);
		guest_release(l.s.blk.mem, mark);
	}
}

static const struct {
	const char *name;
	unsigned int at;
	bool stops;
} gone[] = { { "header", 0, true }, { "data", 1, false }, { "status", 2, true } };

/*
 * What cannot be answered stops the vq; data there are an I/O error, whatever is
 * good before and behind them.
 */
TEST_WAYS(unmapped_page, ways)
{
	struct land l = land_start(v);
	uint64_t mark = guest_mark(l.s.blk.mem);
	long pins = pages_pinned();

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(gone); i++) {
		unsigned int at = gone[i / 2].at, type = i % 2;
		struct chain c = chain_put(&l.s, type, 0, LEN);

		c.d[at]->addr = htole64(VOID_GPA);
		if (gone[i / 2].stops) {
			chain_send(&c);
			scene_must_stop(&l.s, gone[i / 2].name);
		} else {
			chain_expect(&c, "the data", VIRTIO_BLK_S_IOERR);
			scene_must_serve(&l.s, "the data");
		}
		check_eq(pages_pinned(), pins);
		guest_release(l.s.blk.mem, mark);
	}
}

TEST_WAYS(unmapped_page_among_good_ones, ways)
{
	struct land l = land_start(v);
	long pins = pages_pinned();
	uint64_t mark;

	for (unsigned int at = 0; at < 3; at++) {
		struct chain c = chain_put(&l.s, VIRTIO_BLK_T_FLUSH, 0, 3 * LEN);
		struct seg segs[] = {
			{ c.hdr_gpa, BLK_HEADER, false }, { c.data_gpa, LEN, true },
			{ c.data_gpa + LEN, LEN, true }, { c.data_gpa + 2 * LEN, LEN, true },
			{ c.status_gpa, 1, true },
		};

		mark = guest_mark(l.s.blk.mem);
		chain_expect(&c, "the flush", VIRTIO_BLK_S_OK);
		c.hdr->type = htole32(VIRTIO_BLK_T_IN);
		segs[1 + at].addr = VOID_GPA;
		chain_put_segs(&l.s, &c, segs, ARRAY_SIZE(segs));
		check_eq(chain_expect(&c, "the read", VIRTIO_BLK_S_IOERR), 0);
		/* Nothing was sent to the disk before all was found good. */
		chain_check_untouched(&c, "the read");
		check_eq(pages_pinned(), pins);
		guest_release(l.s.blk.mem, v->indirect ? guest_mark(l.s.blk.mem) : mark);
	}
	scene_must_serve(&l.s, "unmapped data");
}

/* One buffer of which a page is missing: those before it are not kept. */
TEST_V(buffer_that_runs_into_a_hole_rejected, ways)
{
	struct land l = land_start(v);
	uint64_t mark = guest_mark(l.s.blk.mem);
	long pins = pages_pinned();

	check(!munmap(l.next + 5 * GUEST_PAGE, GUEST_PAGE), "munmap: %m");
	for (unsigned int i = 0; i < 10; i++) {
		struct chain c = chain_put(&l.s, i % 2, 0, LEN);

		c.d[1]->addr = htole64(NEAR_GPA + PART + i / 2 * GUEST_PAGE);
		c.d[1]->len = htole32(8 * GUEST_PAGE);
		chain_expect(&c, "the data", VIRTIO_BLK_S_IOERR);
		check_eq(pages_pinned(), pins);
		guest_release(l.s.blk.mem, mark);
	}
	scene_must_serve(&l.s, "a hole in the data");
}

/* Tables and rings lie in memory, too. */
TEST_WAYS(unmapped_table_stops_the_vq, ways)
{
	struct land l = land_start(v);
	struct chain c = chain_put(&l.s, VIRTIO_BLK_T_IN, 0, LEN);

	if (!c.table)
		desc_set(c.d[0], VRING_DESC_F_INDIRECT);
	(c.table ?: c.d[0])->addr = htole64(VOID_GPA);
	chain_send(&c);
	scene_must_stop(&l.s, "a table that is not there");
	chain_check_untouched(&c, "a table that is not there");
}

/* Maps nothing where a part of the ring is; a page of its own is better. */
static void lose(void *part)
{
	check(!munmap((void *)((uintptr_t)part & ~(GUEST_PAGE - 1ul)), GUEST_PAGE), "munmap: %m");
}

static void place_ring(struct scene *s)
{
	struct guest *g = s->blk.mem;
	uint64_t at = guest_alloc(g, 4 * GUEST_PAGE, GUEST_PAGE);
	char *p = guest_ptr(g, at, 4 * GUEST_PAGE);

	s->vq->desc = (void *)p;
	s->vq->avail = (void *)(p + GUEST_PAGE);
	s->vq->used = (void *)(p + 2 * GUEST_PAGE);
}

static const struct {
	const char *name;
	unsigned int part;
} rings[] = { { "descriptors", 0 }, { "avail", 1 }, { "used", 2 } };

/* The vq must stop; the others have rings elsewhere. */
TEST_PATHS(unmapped_ring_stops_the_vq, rings)
{
	struct scene s = scene_prepare(&ways[2], &(struct blk_setup){});
	struct chain c;

	place_ring(&s);
	scene_run(&s);
	c = chain_put(&s, VIRTIO_BLK_T_IN, 0, LEN);
	vq_publish(s.vq);
	if (v->part == 0)
		lose(s.vq->desc);
	else if (v->part == 1)
		lose(s.vq->avail);
	else
		lose(s.vq->used);
	vq_kick_always(s.vq);
	check(event_wait(s.vq->err, VQ_WAIT_MS), "the error eventfd did not fire");
	scene_probe_others(&s);
	vq_kick_always(s.vq);
	scene_probe_others(&s);
	if (v->part != 2)
		chain_check_untouched(&c, "the read");
	/* With a place that is there it starts again. */
	vdev_stop(s.blk.dev);
	place_ring(&s);
	vq_reset(s.vq);
	vq_setup(s.vq);
	check(!s.blk.dev->ops->attach(s.blk.dev), "attach: %m");
	scene_must_serve(&s, "the new place");
}

/* Row 12: what is good up to the last byte. */

static void read_into(struct land *l, const struct seg *data, unsigned int n, const char *what)
{
	struct chain c = chain_put(&l->s, VIRTIO_BLK_T_FLUSH, 0, LEN);
	struct seg segs[8] = { { c.hdr_gpa, BLK_HEADER, false } };

	chain_expect(&c, "the flush", VIRTIO_BLK_S_OK);
	c.hdr->type = htole32(VIRTIO_BLK_T_IN);
	memcpy(segs + 1, data, n * sizeof(*data));
	segs[n + 1] = (struct seg){ c.status_gpa, 1, true };
	chain_put_segs(&l->s, &c, segs, n + 2);
	check_eq(chain_expect(&c, what, VIRTIO_BLK_S_OK), LEN + 1);
}

TEST_WAYS(buffer_across_two_regions_ok, ways)
{
	static const unsigned int cuts[] = { 512, 2048, 3584, 1, 511, 513, 4095 };
	struct land l = land_start(v);
	unsigned char want[LEN];

	fill(want, LEN, 1);
	device_write(l.s.blk.path, 0, want, LEN);
	for (unsigned int i = 0; i < ARRAY_SIZE(cuts); i++) {
		unsigned int cut = cuts[i];
		const struct seg data = { NEAR_GPA + PART - cut, LEN, true };

		memset(l.near, BLK_GUARD_BYTE, PART);
		memset(l.next, BLK_GUARD_BYTE, PART);
		read_into(&l, &data, 1, "across two regions");
		check_same(l.near + PART - cut, want, cut, "the first part");
		check_same(l.next, want + cut, LEN - cut, "the second part");
		check_eq(l.near[PART - cut - 1], BLK_GUARD_BYTE);
		check_eq(l.next[LEN - cut], BLK_GUARD_BYTE);
	}
}

TEST_WAYS(buffer_at_the_last_byte_ok, ways)
{
	struct land l = land_start(v);
	const struct seg end = { END_GPA - LEN, LEN, true }, top = { 0 - LEN, LEN, true };
	unsigned char want[LEN];

	fill(want, LEN, 2);
	device_write(l.s.blk.path, 0, want, LEN);
	read_into(&l, &end, 1, "at the end of a region");
	check_same(l.next + PART - LEN, want, LEN, "the data");
	read_into(&l, &top, 1, "at the end of the address space");
	check_same(l.top + PART - LEN, want, LEN, "the data");
}

/* Header and status at the end of everything, and over the edge of two regions. */
TEST_WAYS(header_and_status_at_the_edge_ok, ways)
{
	struct land l = land_start(v);
	struct chain c = chain_put(&l.s, VIRTIO_BLK_T_FLUSH, 0, 0);

	memcpy(l.near + PART - 5, c.hdr, 5);
	memcpy(l.next, (char *)c.hdr + 5, BLK_HEADER - 5);
	c.d[0]->addr = htole64(NEAR_GPA + PART - 5);
	c.d[1]->addr = htole64(~0ull);
	c.status = l.top + PART - 1;
	*c.status = BLK_NO_STATUS;
	check_eq(chain_expect(&c, "the edge", VIRTIO_BLK_S_OK), 1);
	scene_must_serve(&l.s, "the edge");
}
