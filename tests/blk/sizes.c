// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers of any size, place and number: large requests, ones that begin and end
 * anywhere, ones that show the same page more than once, and random mixes that are
 * compared with a copy of what the medium must be.
 */
#include <stdlib.h>
#include <string.h>

#include "blk.h"
#include "tap.h"

#define MIB (1u << 20)

struct cutting {
	const char *name;
	uint32_t first, every;
	unsigned int offset, direct;
};

/* Writes, looks at the medium, reads back. blk_do() watches the guard bytes. */
static void round_trip(struct blk *blk, uint64_t sector, uint32_t len,
		       const struct blk_layout *l)
{
	unsigned char *data = malloc(len), *got = malloc(len);
	struct blk_req req;

	fill(data, len, sector + len);
	blk_expect_len(blk->vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_OUT, .sector = sector, .out = data,
			.out_len = len, .layout = l }, VIRTIO_BLK_S_OK, 1);
	device_read(blk->path, sector * SECTOR, got, len);
	check_same(got, data, len, "the medium");
	req = blk_do(blk->vq, &(struct blk_io){
		.type = VIRTIO_BLK_T_IN, .sector = sector, .in_len = len, .layout = l });
	check_eq(req.status, VIRTIO_BLK_S_OK);
	check_eq(req.used_len, len + 1);
	check_same(req.in, data, len, "the data");
	blk_free(&req);
	free(data);
	free(got);
}

static const struct cutting large[] = {
	{ "in_one", 0, 0, 0, VQ_DIRECT },
	{ "128_kib", 0, 128 << 10, 0, VQ_DIRECT },
	{ "two_pages_each_indirect", 0, 8192, 0, 0 },
	{ "misaligned_in_one", 0, 0, 1, VQ_DIRECT },
	{ "misaligned_pieces", 13, 65536 - 7, 511, VQ_DIRECT },
	{ "sector_aligned", 0, 65536, 512, VQ_DIRECT },
};

TEST_V(four_mib_ok, large)
{
	struct blk blk = blk_start(&(struct blk_setup){ .num = 256 });
	const struct blk_layout l = {
		"", .out = { 16, v->first }, .out_every = v->every,
		.in = { v->first }, .in_every = v->every,
		.direct = v->direct, .offset = v->offset,
	};

	round_trip(&blk, 8, 4 * MIB, &l);
}

static const struct {
	const char *name;
	unsigned int offset;
	uint32_t every;
} places[] = {
	{ "offset_1", 1, 0 }, { "offset_2", 2, 0 }, { "offset_3", 3, 0 },
	{ "offset_4", 4, 0 }, { "offset_511", 511, 0 }, { "offset_512", 512, 0 },
	{ "offset_4095", 4095, 0 }, { "pieces_of_13", 0, 13 }, { "pieces_of_511", 0, 511 },
	{ "pieces_of_513", 0, 513 }, { "pieces_of_513_offset_3", 3, 513 },
	{ "pieces_of_4095_offset_1", 1, 4095 }, { "pieces_of_4097", 0, 4097 },
	{ "pieces_of_16_offset_4088", 4088, 16 },
};

static const char *disk_of(unsigned int blocksize)
{
	return blocksize == 512 ? nullb_new(&(struct nullb){}) : loop_new(16, blocksize);
}

static void check_places(unsigned int blocksize, unsigned int offset, uint32_t every)
{
	struct blk blk = blk_start(&(struct blk_setup){ .num = 1024, .memory = 256 * MIB,
							.path = disk_of(blocksize) });
	const struct blk_layout l = {
		"", .out = { 16 }, .out_every = every, .in_every = every,
		.direct = VQ_DIRECT, .offset = offset,
	};

	round_trip(&blk, 16, blocksize, &l);
	round_trip(&blk, 24, 8192, &l);
	if (!every || every > 64)
		round_trip(&blk, 40, 128 << 10, &l);
}

TEST_V(misaligned_ok, places)
{
	check_places(512, v->offset, v->every);
}

TEST_V(misaligned_with_blocks_of_4096_ok, places)
{
	check_places(4096, v->offset, v->every);
}

/*
 * The host takes chains of up to 1024 segments, as of vhost. It offers far fewer
 * (seg_max), so a driver that sends more breaks its vq.
 */
TEST(chain_of_1026_segments_breaks_the_vq)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	const struct blk_layout l = { "", .out = { 16 }, .in_every = SECTOR };

	blk_add(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN,
					  .in_len = 1024 * SECTOR, .layout = &l });
	blk_send(blk.vq);
	vq_must_break(blk.vq);
}

/* Single bytes, as many as descriptors: 512 of data, header and status. */
TEST(one_byte_segments_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){ .num = 1024 });
	const struct blk_layout l = {
		"", .out_every = 1, .in_every = 1, .direct = VQ_DIRECT, .packed = true,
	};

	round_trip(&blk, 3, SECTOR, &l);
}

/* A write may name the same page many times, and every time it is the same. */
TEST(same_page_in_every_segment_of_a_write_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){ .num = 256 });
	struct guest *g = blk.mem;
	uint64_t hdr = guest_alloc(g, BLK_HEADER, 16), status = guest_alloc(g, 1, 1);
	uint64_t page = guest_alloc(g, GUEST_PAGE, GUEST_PAGE);
	struct virtio_blk_outhdr *h = guest_ptr(g, hdr, sizeof(*h));
	unsigned char *got = malloc(100 * GUEST_PAGE);
	struct seg segs[102];

	fill(guest_ptr(g, page, GUEST_PAGE), GUEST_PAGE, 1);
	*h = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_OUT };
	segs[0] = (struct seg){ hdr, BLK_HEADER, false };
	for (unsigned int i = 1; i <= 100; i++)
		segs[i] = (struct seg){ page, GUEST_PAGE, false };
	segs[101] = (struct seg){ status, 1, true };
	vq_submit(blk.vq, segs, 102, VQ_DIRECT);
	check_eq(vq_get(blk.vq).len, 1);
	check_eq(*(unsigned char *)guest_ptr(g, status, 1), VIRTIO_BLK_S_OK);
	device_read(blk.path, 0, got, 100 * GUEST_PAGE);
	for (unsigned int i = 0; i < 100; i++)
		check_same(got + i * GUEST_PAGE, guest_ptr(g, page, GUEST_PAGE), GUEST_PAGE,
			   "a page of the medium");
}

/* A buffer over two regions that lie apart in this process, but not in the guest. */
TEST(buffer_across_memory_regions_ok)
{
	struct blk blk = blk_prepare(&(struct blk_setup){});
	struct guest *g = blk.mem;
	uint64_t size = 64 << 10, first = 0x100000000ull;
	unsigned int a, b;
	unsigned char data[4 * SECTOR], got[4 * SECTOR];

	a = guest_add(g, first, size);
	guest_add(g, 0x10000, size);
	b = guest_add(g, first + size, size);
	vdev_start(blk.dev);
	fill(data, sizeof(data), 2);
	memcpy((char *)g->region[a].hva + size - 700, data, 700);
	memcpy(g->region[b].hva, data + 700, sizeof(data) - 700);
	blk_transfer(blk.vq, VIRTIO_BLK_T_OUT, 9, first + size - 700, sizeof(data));
	device_read(blk.path, 9 * SECTOR, got, sizeof(got));
	check_same(got, data, sizeof(data), "the medium");
}

/* Random mixes */

#define QUEUES 4
#define DEPTH 16

struct mix {
	const char *name;
	unsigned int blocksize;
	bool misaligned, indirect;
	unsigned int delay_ms;
};

static const struct mix mixes[] = {
	{ "512", 512, false, false, 0 }, { "4096", 4096, false, false, 0 },
	{ "512_misaligned", 512, true, false, 0 },
	{ "4096_misaligned", 4096, true, false, 0 },
	{ "512_indirect", 512, false, true, 0 },
	{ "512_misaligned_indirect_slow", 512, true, true, 3 },
};

struct shadow {
	const struct mix *mix;
	struct blk blk;
	unsigned char *medium;
	uint64_t state;
	/* Each slot has a stretch of the disk of its own, so order is not a matter. */
	struct {
		struct blk_req req;
		struct blk_layout layout;
		uint64_t sector;
		uint32_t len;
		bool write;
	} slot[QUEUES][DEPTH];
};

#define STRETCH (128 * SECTOR)

static void random_layout(struct shadow *s, struct blk_layout *l)
{
	*l = (struct blk_layout){ .name = "random",
				  .direct = s->mix->indirect ? 0 : VQ_DIRECT };
	l->out[0] = BLK_HEADER;
	if (s->mix->misaligned) {
		l->offset = prng(&s->state) % GUEST_PAGE;
		l->out[0] = 1 + prng(&s->state) % 600;
		l->in[0] = 1 + prng(&s->state) % 600;
	}
	l->out_every = l->in_every = s->mix->misaligned ?
		8000 + prng(&s->state) % 30000 : 4096 * (2 + prng(&s->state) % 8);
}

static void send(struct shadow *s, unsigned int q, unsigned int i)
{
	typeof(&s->slot[0][0]) slot = &s->slot[q][i];
	uint64_t first = (uint64_t)(q * DEPTH + i) * STRETCH;
	unsigned int blocks = STRETCH / s->mix->blocksize;
	unsigned int block = prng(&s->state) % blocks;
	struct blk_io io = { .layout = &slot->layout };

	random_layout(s, &slot->layout);
	slot->sector = (first + block * s->mix->blocksize) / SECTOR;
	slot->len = (1 + prng(&s->state) % (blocks - block)) * s->mix->blocksize;
	slot->write = prng(&s->state) % 2;
	io.sector = slot->sector;
	io.type = slot->write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	if (slot->write) {
		fill(s->medium + slot->sector * SECTOR, slot->len, prng(&s->state));
		io.out = s->medium + slot->sector * SECTOR;
		io.out_len = slot->len;
	} else {
		io.in_len = slot->len;
	}
	slot->req = blk_add(s->blk.dev->vqs[q], &io);
}

static void reap(struct shadow *s, unsigned int q)
{
	struct used u;
	unsigned int i;

	for (unsigned int done = 0; done < DEPTH; done++) {
		u = vq_get(s->blk.dev->vqs[q]);
		for (i = 0; i < DEPTH; i++)
			if (s->slot[q][i].req.head == u.head && !s->slot[q][i].req.done)
				break;
		check(i < DEPTH, "nobody sent request %u", u.head);
		blk_finish(&s->slot[q][i].req, u);
		check_eq(s->slot[q][i].req.status, VIRTIO_BLK_S_OK);
		if (!s->slot[q][i].write)
			check_same(s->slot[q][i].req.in,
				   s->medium + s->slot[q][i].sector * SECTOR,
				   s->slot[q][i].len, "the data");
		blk_free(&s->slot[q][i].req);
	}
}

TEST_V_LIMIT(random_mix_ok, mixes, 60)
{
	struct shadow *s = calloc(1, sizeof(*s));
	size_t bytes = QUEUES * DEPTH * STRETCH;
	unsigned char *got = malloc(bytes);
	uint64_t mark, end = now_ms() + stress_ms(1500);

	s->mix = v;
	s->state = 42;
	s->medium = calloc(1, bytes);
	s->blk = blk_start(&(struct blk_setup){
		.path = v->blocksize == 512 ? NULL : disk_of(v->blocksize),
		.disk.delay_ms = v->delay_ms,
		.queues = QUEUES, .num = 1024, .memory = 512 * MIB,
		.features = BLK_FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX) });
	mark = guest_mark(s->blk.mem);
	do {
		for (unsigned int q = 0; q < QUEUES; q++) {
			for (unsigned int i = 0; i < DEPTH; i++)
				send(s, q, i);
			blk_send(s->blk.dev->vqs[q]);
		}
		for (unsigned int q = 0; q < QUEUES; q++)
			reap(s, q);
		if (!v->indirect)
			guest_release(s->blk.mem, mark);
	} while (now_ms() < end && guest_mark(s->blk.mem) < 440 * MIB);
	device_read(s->blk.path, 0, got, bytes);
	check_same(got, s->medium, bytes, "the medium");
}
