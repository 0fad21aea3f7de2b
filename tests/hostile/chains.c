// SPDX-License-Identifier: GPL-2.0
/* Chains that are not what they should be: rows 1, 2, 3 and 6. */
#include <endian.h>
#include <time.h>

#include "scene.h"
#include "tap.h"

#define LEN 4096

/* Row 1: indices. In a table next means nothing to the kernel's vhost. */

static void loop_of_one(struct chain *c)
{
	desc_set(c->d[0], VRING_DESC_F_NEXT);
	c->d[0]->next = htole16(c->id[0]);
}

static void loop_to_the_first(struct chain *c)
{
	desc_set(c->d[2], VRING_DESC_F_NEXT);
	c->d[2]->next = htole16(c->id[0]);
}

static void loop_of_the_last(struct chain *c)
{
	desc_set(c->d[2], VRING_DESC_F_NEXT);
	c->d[2]->next = htole16(c->id[2]);
}

/* Readable all over, so that only its length is wrong. */
static void loop_of_the_whole_ring(struct chain *c)
{
	struct vq *vq = c->vq;

	for (unsigned int i = 0; i < vq->num; i++)
		vq_put_desc(&vq->desc[i], c->hdr_gpa, 1, VRING_DESC_F_NEXT, (i + 1) % vq->num);
}

/* Of nothing, which no number of segments ends. */
static void loop_of_empty_ones(struct chain *c)
{
	vq_put_desc(c->d[0], c->hdr_gpa, 0, VRING_DESC_F_NEXT, c->id[0]);
}

static void next_is_num(struct chain *c)
{
	c->d[0]->next = htole16(c->vq->num);
}

static void next_is_0xffff(struct chain *c)
{
	c->d[1]->next = htole16(0xffff);
}

static void table_without_an_end(struct chain *c)
{
	desc_set(c->d[2], VRING_DESC_F_NEXT);
}

static void loop_of_empty_ones_in_a_table(struct chain *c)
{
	vq_put_desc(c->d[0], c->hdr_gpa, 0, VRING_DESC_F_NEXT, 0);
}

/* Behind the table lies what would be a good entry of a chain that is not too long. */
static void next_is_behind_the_table(struct chain *c)
{
	struct guest *g = &c->vq->dev->mem;
	uint64_t at = guest_alloc(g, 4 * sizeof(struct vring_desc), 16);
	struct vring_desc *d = guest_ptr(g, at, 4 * sizeof(*d));

	for (unsigned int i = 0; i < 3; i++)
		d[i] = *c->d[i];
	d[1].next = htole16(3);
	d[3] = d[2];
	c->table->addr = htole64(at);
}

static void set_head(struct chain *c, uint16_t head)
{
	c->vq->avail->ring[(uint16_t)(c->vq->avail_idx - 1) % c->vq->num] = htole16(head);
}

static void head_is_num(struct chain *c)
{
	set_head(c, c->vq->num);
}

static void head_is_0xffff(struct chain *c)
{
	set_head(c, 0xffff);
}

/* Row 6: directions. */

static void readable_status(struct chain *c)
{
	desc_clear(c->d[2], VRING_DESC_F_WRITE);
}

static void all_readable(struct chain *c)
{
	readable_status(c);
	desc_clear(c->d[1], VRING_DESC_F_WRITE);
}

static void header_after_data(struct chain *c)
{
	struct vring_desc hdr = *c->d[0];

	*c->d[0] = *c->d[1];
	c->d[0]->next = hdr.next;
	hdr.next = c->d[1]->next;
	*c->d[1] = hdr;
}

/* Row 3: nothing is writable. */
static void only_writable_piece_is_empty(struct chain *c)
{
	desc_clear(c->d[1], VRING_DESC_F_WRITE);
	c->d[2]->len = 0;
}

static const struct {
	const char *name;
	void (*spoil)(struct chain *c);
	bool direct, indirect;
} bad[] = {
	{ "loop_of_one", loop_of_one, .direct = true },
	{ "loop_to_the_first", loop_to_the_first, .direct = true },
	{ "loop_of_the_last", loop_of_the_last, .direct = true },
	{ "loop_of_the_whole_ring", loop_of_the_whole_ring, .direct = true },
	{ "loop_of_empty_ones", loop_of_empty_ones, .direct = true },
	{ "next_is_num", next_is_num, .direct = true },
	{ "next_is_0xffff", next_is_0xffff, .direct = true },
	{ "table_without_an_end", table_without_an_end, .indirect = true },
	{ "loop_of_empty_ones_in_a_table", loop_of_empty_ones_in_a_table, .indirect = true },
	{ "next_is_behind_the_table", next_is_behind_the_table, .indirect = true },
	{ "head_is_num", head_is_num, true, true },
	{ "head_is_0xffff", head_is_0xffff, true, true },
	{ "readable_status", readable_status, true, true },
	{ "all_readable", all_readable, true, true },
	{ "header_after_data", header_after_data, true, true },
	{ "only_writable_piece_is_empty", only_writable_piece_is_empty, true, true },
};

TEST_WAYS(bad_chain_stops_the_vq, ways)
{
	struct scene s = scene_start(v);

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		if (v->indirect ? bad[i].indirect : bad[i].direct)
			scene_must_refuse(&s, bad[i].spoil, bad[i].name);
}

/* The same behind good requests that are still in flight: those are answered. */
TEST_WAYS(bad_chain_behind_slow_requests, ways)
{
	struct scene s = scene_prepare(v, &(struct blk_setup){ .path = slow_disk(16, 200) });
	struct load l;
	struct chain c;

	scene_run(&s);
	l = load_new_at(s.vq, 8, v->indirect ? 2 * LOAD_SEGMENT : LOAD_BYTES, 0, 0);
	for (unsigned int i = 0; i < l.n; i++)
		load_put(&l, i, true, i);
	c = chain_put(&s, VIRTIO_BLK_T_IN, 0, LEN);
	head_is_0xffff(&c);
	chain_send(&c);
	check(event_wait(s.vq->err, VQ_WAIT_MS), "the error eventfd did not fire");
	load_finish(&l);
	load_check_disk(&l, s.blk.path);
	scene_probe_others(&s);
	scene_restart(&s);
	scene_must_serve(&s, "the new start");
}

/* Row 2, on a ring that has been used; idle, and with the jump over requests. */
static const int jumps[] = { SCENE_RING + 1, -1, 32767, -32768 };

TEST_WAYS(avail_index_jump_stops_the_vq, ways)
{
	struct scene s = scene_start(v);
	struct chain c;

	for (unsigned int i = 0; i < ARRAY_SIZE(jumps); i++) {
		vq_put_avail_idx(s.vq, s.vq->last_used + jumps[i]);
		vq_kick_always(s.vq);
		scene_must_stop(&s, "the idle ring");
		c = chain_put(&s, VIRTIO_BLK_T_IN, 0, LEN);
		vq_put_avail_idx(s.vq, s.vq->last_used + jumps[i]);
		vq_kick_always(s.vq);
		scene_must_stop(&s, "the ring with a request");
		chain_check_untouched(&c, "the request");
	}
}

/* A broken vq is idle: the process, whose threads the workers are, does nothing. */
TEST_WAYS(broken_vq_takes_no_time, ways)
{
	struct scene s = scene_start(v);
	struct timespec before, after;
	struct chain c = chain_put(&s, VIRTIO_BLK_T_IN, 0, LEN);
	long ms;

	head_is_0xffff(&c);
	chain_send(&c);
	check(event_wait(s.vq->err, VQ_WAIT_MS), "the error eventfd did not fire");
	sleep_ms(50);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	sleep_ms(400);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	check(ms < 100, "%ld ms of 400 were spent", ms);
	scene_restart(&s);
	scene_must_serve(&s, "the new start");
}

/* Row 3: a descriptor of no bytes where it does no harm. */
TEST_WAYS(zero_length_descriptor_ok, ways)
{
	struct scene s = scene_start(v);
	unsigned char want[LEN];

	fill(want, LEN, 1);
	device_write(s.blk.path, 0, want, LEN);
	for (unsigned int at = 0; at < 4; at++) {
		struct chain c = chain_put(&s, VIRTIO_BLK_T_FLUSH, 0, LEN);
		struct seg segs[4], full[] = {
			{ c.hdr_gpa, BLK_HEADER, false }, { c.data_gpa, LEN, true },
			{ c.status_gpa, 1, true },
		};

		chain_expect(&c, "the flush", VIRTIO_BLK_S_OK);
		c.hdr->type = htole32(VIRTIO_BLK_T_IN);
		*c.status = BLK_NO_STATUS;
		for (unsigned int i = 0, from = 0; i < 4; i++)
			segs[i] = i == at ? (struct seg){ c.data_gpa, 0, at > 1 } : full[from++];
		chain_put_segs(&s, &c, segs, 4);
		check_eq(chain_expect(&c, "the read", VIRTIO_BLK_S_OK), LEN + 1);
		check_same(c.data, want, LEN, "the data");
	}
	scene_must_serve(&s, "zero-length descriptors");
}

/* With an empty status descriptor, the byte before it is the status: 4095 are left. */
TEST_WAYS(zero_length_status_takes_a_byte_of_the_data, ways)
{
	struct scene s = scene_start(v);
	struct chain c = chain_put(&s, VIRTIO_BLK_T_IN, 0, LEN);
	struct used u;

	c.d[2]->len = 0;
	chain_send(&c);
	u = vq_get(s.vq);
	check_eq(u.len, 0);
	check_eq(c.data[LEN - 1], VIRTIO_BLK_S_IOERR);
	c.len--;
	chain_check_untouched(&c, "the read");
	check_eq(*c.status, BLK_NO_STATUS);
	scene_must_serve(&s, "an empty status");
}

/* Row 6: the answer is an error, and neither side's data change. */
TEST_WAYS(data_of_the_wrong_direction_rejected, ways)
{
	struct scene s = scene_start(v);
	unsigned char before[LEN], after[LEN];
	struct chain c;

	fill(before, LEN, 2);
	device_write(s.blk.path, 0, before, LEN);
	c = chain_put(&s, VIRTIO_BLK_T_OUT, 0, LEN);
	desc_set(c.d[1], VRING_DESC_F_WRITE);
	check_eq(chain_expect(&c, "OUT to writable data", VIRTIO_BLK_S_IOERR), 0);
	chain_check_untouched(&c, "OUT to writable data");
	c = chain_put(&s, VIRTIO_BLK_T_IN, 0, LEN);
	desc_clear(c.d[1], VRING_DESC_F_WRITE);
	check_eq(chain_expect(&c, "IN to readable data", VIRTIO_BLK_S_IOERR), 1);
	chain_check_untouched(&c, "IN to readable data");
	device_read(s.blk.path, 0, after, LEN);
	check_same(after, before, LEN, "the disk");
	scene_must_serve(&s, "data of the wrong direction");
}

/* A header in pieces; one that is a byte short. */
TEST_WAYS(header_in_pieces, ways)
{
	static const unsigned int cuts[] = { 1, 4, 8, 15 };
	struct scene s = scene_start(v);
	unsigned char want[LEN];

	fill(want, LEN, 3);
	device_write(s.blk.path, 0, want, LEN);
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(cuts); i++) {
		unsigned int cut = cuts[i / 2], lacks = i % 2;
		struct chain c = chain_put(&s, VIRTIO_BLK_T_FLUSH, 0, LEN);
		const struct seg segs[] = {
			{ c.hdr_gpa, cut, false },
			{ c.hdr_gpa + cut, BLK_HEADER - cut - lacks, false },
			{ c.data_gpa, LEN, true }, { c.status_gpa, 1, true },
		};

		chain_expect(&c, "the flush", VIRTIO_BLK_S_OK);
		c.hdr->type = htole32(VIRTIO_BLK_T_IN);
		chain_put_segs(&s, &c, segs, ARRAY_SIZE(segs));
		chain_expect(&c, "the read", lacks ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
		if (lacks)
			chain_check_untouched(&c, "the read");
		else
			check_same(c.data, want, LEN, "the data");
	}
	scene_must_serve(&s, "headers in pieces");
}
