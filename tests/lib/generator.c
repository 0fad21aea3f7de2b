// SPDX-License-Identifier: GPL-2.0
/* Random requests: see generator.h. */
#include <endian.h>
#include <string.h>

#include "generator.h"
#include "tap.h"

#define SLOT_BYTES 64
#define FILLER 0xee
/* Devices ignore it. A header that is taken for a range lies past any disk's end. */
#define IOPRIO 0xc0c0c0c0u
#define RANGES_BYTES (GEN_RANGES * sizeof(struct virtio_blk_discard_write_zeroes))
#define TABLE_BYTES (2ull * GEN_HALF * 16)
#define MOST_BYTES 8192u

static uint64_t below(uint64_t *random, uint64_t n)
{
	return prng(random) % n;
}

static bool one_in(uint64_t *random, unsigned int n)
{
	return !below(random, n);
}

void gen_fill(void *at, size_t len, uint64_t seed)
{
	unsigned char *p = at;

	fill(at, len, seed);
	for (size_t i = 0; i < len; i++)
		p[i] |= 0x80;
}

/* META: of the first queue. */
enum { STATUS = 1, CANARY, META, DATA = META + GEN_MOST_QUEUES };

void gen_add_memory(struct guest *g)
{
	check_eq(guest_add(g, GEN_STATUS, GEN_STATUS_BYTES), STATUS);
	check_eq(guest_add(g, GEN_CANARY, GEN_CANARY_BYTES), CANARY);
	gen_fill(g->region[CANARY].hva, GEN_CANARY_BYTES, 2);
	for (unsigned int i = 0; i < GEN_MOST_QUEUES; i++) {
		check_eq(guest_add(g, GEN_META + i * GEN_META_STRIDE, GEN_META_BYTES), META + i);
		memset(g->region[META + i].hva, FILLER, GEN_META_BYTES);
	}
	for (unsigned int i = 0; i < GEN_MOST_SLOTS; i++) {
		check_eq(guest_add(g, GEN_DATA + i * GEN_STRIDE, GEN_DATA_BYTES), DATA + i);
		gen_fill(g->region[DATA + i].hva, GEN_DATA_BYTES, i);
	}
}

unsigned int gen_canary_region(void)
{
	return CANARY;
}

unsigned int gen_status_region(void)
{
	return STATUS;
}

unsigned int gen_data_region(unsigned int queue, unsigned int slot)
{
	return DATA + queue * GEN_SLOTS + slot;
}

/* Nothing ever names a sector outside what may be written, not even unused. */
static void init_slot(const struct gen *gen, struct gen_slot *s)
{
	s->hdr->sector = htole64(gen->zone.first);
	s->hdr->type = htole32(VIRTIO_BLK_T_FLUSH);
	s->hdr->ioprio = htole32(IOPRIO);
	memset(s->ranges, FILLER, RANGES_BYTES);
	for (unsigned int i = 0; i < 2 * GEN_HALF; i++)
		vq_put_desc(&s->table[i], ~0ull, ~0u, 0, 0xffff);
	s->nused = 0;
}

void gen_init(struct gen *gen, struct vq *vq)
{
	struct guest *g = &vq->dev->mem;

	check_eq(vq->num, GEN_RING);
	check(vq->index < GEN_MOST_QUEUES, "too many queues");
	gen->vq = vq;
	for (unsigned int i = 0; i < GEN_SLOTS; i++) {
		struct gen_slot *s = &gen->slot[i];

		uint64_t place = (vq->index * GEN_SLOTS + i) * GEN_STRIDE;

		s->first = i * 2 * GEN_HALF;
		s->data_gpa = GEN_DATA + place;
		s->status_gpa = GEN_STATUS + place;
		s->hdr_gpa = guest_alloc_in(g, META + vq->index, SLOT_BYTES, SLOT_BYTES, 0);
		s->table_gpa = guest_alloc_in(g, META + vq->index, TABLE_BYTES, TABLE_BYTES, 0);
		s->ranges_gpa = guest_alloc_in(g, META + vq->index, RANGES_BYTES, SLOT_BYTES, 0);
		s->hdr = guest_ptr(g, s->hdr_gpa, SLOT_BYTES);
		s->ranges = guest_ptr(g, s->ranges_gpa, RANGES_BYTES);
		s->table = guest_ptr(g, s->table_gpa, TABLE_BYTES);
		s->status = guest_ptr(g, s->status_gpa, SLOT_BYTES);
		for (unsigned int k = 0; k < ARRAY_SIZE(s->used); k++)
			s->used[k] = &vq->desc[s->first];
	}
}

void gen_seed(struct gen *gen, uint64_t seed, struct gen_zone zone)
{
	gen->random = seed;
	gen->zone = zone;
	for (unsigned int i = 0; i < GEN_SLOTS; i++)
		init_slot(gen, &gen->slot[i]);
}

/* A request's pieces, before they become descriptors. */
struct pieces {
	struct seg out[GEN_HALF], in[GEN_HALF];
	unsigned int nout, nin;
};

static void add_out(struct pieces *p, uint64_t addr, uint32_t len)
{
	p->out[p->nout++] = (struct seg){ addr, len, false };
}

static void add_in(struct pieces *p, uint64_t addr, uint32_t len)
{
	p->in[p->nin++] = (struct seg){ addr, len, true };
}

/* In this memory: mostly as drivers align it, now and then up to the last byte. */
static uint64_t place_of(struct gen *gen, uint64_t base, uint64_t size, uint32_t len)
{
	uint64_t *r = &gen->random, at;

	if (one_in(r, 8))
		return base + size - len;
	at = below(r, size - len + 1);
	return base + (one_in(r, 4) ? at : at & ~511ull);
}

/* Cuts so many bytes into a few pieces, each in a part of the slot's memory. */
static void add_data(struct gen *gen, const struct gen_slot *s, struct pieces *p,
		     uint32_t len, bool write)
{
	unsigned int n = 1 + below(&gen->random, 4);
	uint64_t size = GEN_DATA_BYTES / n, base = s->data_gpa;
	uint32_t part;

	for (; len && n; n--, len -= part, base += size) {
		part = n == 1 ? len : below(&gen->random, len + 1);
		if (!one_in(&gen->random, 4) && n > 1)
			part &= ~511u;
		if (write)
			add_in(p, place_of(gen, base, size, part), part);
		else if (one_in(&gen->random, 4))
			add_out(p, place_of(gen, base, size, part), part);
		else
			add_out(p, place_of(gen, GEN_CANARY, GEN_CANARY_BYTES, part), part);
	}
}

static uint32_t random_type(uint64_t *random)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_IN,
		VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT,
		VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_DISCARD,
		VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_SECURE_ERASE, 2, 99, ~0u,
		/* On no zoned disk. */
		VIRTIO_BLK_T_ZONE_APPEND, VIRTIO_BLK_T_ZONE_REPORT, VIRTIO_BLK_T_ZONE_RESET,
	};

	return types[below(random, ARRAY_SIZE(types))];
}

static void add_header(struct gen *gen, struct gen_slot *s, struct pieces *p)
{
	static const unsigned int cuts[] = { 4, 8, 12 };
	unsigned int cut = cuts[below(&gen->random, 3)];

	if (!one_in(&gen->random, 4)) {
		add_out(p, s->hdr_gpa, BLK_HEADER);
		return;
	}
	add_out(p, s->hdr_gpa, cut);
	add_out(p, s->hdr_gpa + cut, BLK_HEADER - cut);
}

/* One in the part of the disk from which so many are. */
static uint64_t random_sector(struct gen *gen, uint32_t sectors)
{
	uint32_t room = (1u << gen->zone.bits) - sectors;

	return gen->zone.first + below(&gen->random, sectors ? room + 1 : room);
}

/*
 * Sectors first, as with headers, and none outside what may be written. Cut at an odd
 * place: where a piece is lost, what is left is no whole range and no other one.
 */
static void add_ranges(struct gen *gen, struct gen_slot *s, struct pieces *p, bool unmap)
{
	unsigned int n = 1 + below(&gen->random, GEN_RANGES), cut;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t sectors = below(&gen->random, 16);

		s->ranges[i].sector = htole64(random_sector(gen, sectors));
		s->ranges[i].num_sectors = htole32(sectors);
		s->ranges[i].flags = htole32(unmap && one_in(&gen->random, 2));
	}
	cut = one_in(&gen->random, 2) ? below(&gen->random, n * sizeof(*s->ranges)) | 1 : 0;
	add_out(p, s->ranges_gpa, cut);
	add_out(p, s->ranges_gpa + cut, n * sizeof(*s->ranges) - cut);
}

/* What it says. */
static void make(struct gen *gen, struct gen_slot *s, struct pieces *p)
{
	uint32_t type = random_type(&gen->random);
	uint32_t sectors = below(&gen->random, MOST_BYTES / SECTOR + 1);

	/* First the sector: see init_slot(). */
	s->hdr->sector = htole64(random_sector(gen, sectors));
	s->hdr->type = htole32(type);
	s->hdr->ioprio = htole32(IOPRIO);
	*s->status = BLK_NO_STATUS;
	add_header(gen, s, p);
	switch (type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		add_data(gen, s, p, sectors * SECTOR, type == VIRTIO_BLK_T_IN);
		break;
	case VIRTIO_BLK_T_GET_ID:
		add_data(gen, s, p, below(&gen->random, 40), true);
		break;
	case VIRTIO_BLK_T_FLUSH:
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		add_ranges(gen, s, p, type == VIRTIO_BLK_T_WRITE_ZEROES);
		break;
	default:
		add_data(gen, s, p, sectors, one_in(&gen->random, 2));
	}
	add_in(p, s->status_gpa, 1);
}

static void put(struct gen_slot *s, struct vring_desc *d, const struct seg *seg,
		uint16_t flags, uint16_t next)
{
	vq_put_desc(d, seg->addr, seg->len, flags | (seg->write ? VRING_DESC_F_WRITE : 0), next);
	s->used[s->nused++] = d;
}

/* Readable ones at the end of their half, so that a table has them on end. */
static void put_direct(struct gen *gen, struct gen_slot *s, const struct pieces *p,
		       unsigned int first, unsigned int n)
{
	for (unsigned int i = first; i < n; i++) {
		bool out = i < p->nout;
		uint16_t id = s->first + (out ? GEN_HALF - p->nout + i : GEN_HALF + i - p->nout);

		put(s, &gen->vq->desc[id], out ? &p->out[i] : &p->in[i - p->nout],
		    i + 1 < n ? VRING_DESC_F_NEXT : 0, i + 1 < n ? id + 1 : 0);
	}
}

static void put_table(struct gen_slot *s, const struct pieces *p, unsigned int from)
{
	unsigned int n = p->nout + p->nin;

	for (unsigned int i = from; i < n; i++) {
		bool out = i < p->nout;
		struct vring_desc *d = &s->table[GEN_HALF - p->nout + i];

		put(s, d, out ? &p->out[i] : &p->in[i - p->nout],
		    i + 1 < n ? VRING_DESC_F_NEXT : 0, i + 1 < n ? i + 1 - from : 0);
	}
}

/* Direct, in a table, or the first of them direct and then a table. */
static uint16_t put_chain(struct gen *gen, struct gen_slot *s, const struct pieces *p)
{
	unsigned int n = p->nout + p->nin, direct = n, how = below(&gen->random, 4);
	struct seg table = { 0 };
	uint16_t head = s->first + GEN_HALF - p->nout, id;

	if (how >= 2)
		direct = how == 2 ? 0 : below(&gen->random, p->nout);
	id = head + direct;
	if (direct < n)
		put_table(s, p, direct);
	put_direct(gen, s, p, 0, direct);
	if (direct == n)
		return head;
	table.addr = s->table_gpa + 16 * (GEN_HALF - p->nout + direct);
	table.len = 16 * (n - direct);
	put(s, &gen->vq->desc[id], &table, VRING_DESC_F_INDIRECT, 0);
	if (direct)
		gen->vq->desc[id - 1].flags |= htole16(VRING_DESC_F_NEXT);
	if (direct)
		gen->vq->desc[id - 1].next = htole16(id);
	return head;
}

void gen_request(struct gen *gen, unsigned int slot)
{
	struct gen_slot *s = &gen->slot[slot];
	struct pieces p = { .nout = 0 };

	s->nused = 0;
	make(gen, s, &p);
	vq_put_avail(gen->vq, put_chain(gen, s, &p));
}

/* Bits of an address that lead to memory of the same kind and slot, or to none. */
static uint64_t address_bits(uint64_t *random, const struct gen_slot *s, uint64_t addr)
{
	if (one_in(random, 3))
		return 1ull << (40 + below(random, 24));
	if (addr >= GEN_CANARY)
		return 1ull << below(random, 18);
	if (addr >= GEN_STATUS)
		return 1ull << below(random, 13);
	if (addr >= GEN_DATA)
		return 1ull << below(random, 15);
	if (addr - s->table_gpa < TABLE_BYTES)
		return 1ull << below(random, 8);
	/* A header, or ranges: what lies behind. */
	return 1ull << (4 + below(random, 2));
}

static uint64_t length_bits(uint64_t *random)
{
	return 1ull << (one_in(random, 3) ? 24 + below(random, 8) : below(random, 13));
}

/* WRITE is only ever taken away, and where it is put back it has been before. */
static uint64_t flag_bits(uint64_t *random, const struct vring_desc *d)
{
	switch (below(random, 4)) {
	case 0:
		return VRING_DESC_F_NEXT;
	case 1:
		return VRING_DESC_F_INDIRECT;
	case 2:
		return le16toh(d->flags) & VRING_DESC_F_WRITE;
	default:
		return 8ull << below(random, 13);
	}
}

static void flip_desc(uint64_t *random, const struct gen_slot *s, struct vring_desc *d,
		      struct gen_flip *f)
{
	switch (below(random, 4)) {
	case 0:
		*f = (struct gen_flip){ &d->addr, 8, address_bits(random, s, le64toh(d->addr)) };
		break;
	case 1:
		*f = (struct gen_flip){ &d->len, 4, length_bits(random) };
		break;
	case 2:
		*f = (struct gen_flip){ &d->flags, 2, flag_bits(random, d) };
		break;
	default:
		*f = (struct gen_flip){ &d->next, 2, below(random, 256) };
	}
}

/* Within the part of the disk, or past the disk's end. */
static uint64_t sector_bits(const struct gen *gen, uint64_t *random)
{
	if (one_in(random, 2))
		return 1ull << (15 + below(random, 49));
	return 1ull << below(random, gen->zone.bits);
}

static void flip_header(const struct gen *gen, uint64_t *random, struct gen_slot *s,
			struct gen_flip *f)
{
	switch (below(random, 3)) {
	case 0:
		/* Between IN and OUT, and to those that are neither. */
		*f = (struct gen_flip){ &s->hdr->type, 4, 1 };
		if (one_in(random, 2))
			f->bits = 1ull << below(random, 4);
		break;
	case 1:
		*f = (struct gen_flip){ &s->hdr->ioprio, 4, 1ull << below(random, 32) };
		break;
	default:
		*f = (struct gen_flip){ &s->hdr->sector, 8, sector_bits(gen, random) };
	}
}

/* A range that is changed is still where writes may go, or none. */
static void flip_range(const struct gen *gen, uint64_t *random, struct gen_slot *s,
		       struct gen_flip *f)
{
	struct virtio_blk_discard_write_zeroes *range = &s->ranges[below(random, GEN_RANGES)];

	switch (below(random, 3)) {
	case 0:
		*f = (struct gen_flip){ &range->sector, 8, sector_bits(gen, random) };
		break;
	case 1:
		*f = (struct gen_flip){ &range->num_sectors, 4, 1ull << below(random, 32) };
		break;
	default:
		*f = (struct gen_flip){ &range->flags, 4, 1ull << below(random, 32) };
	}
}

static bool names_ranges(const struct gen_slot *s)
{
	uint32_t type = le32toh(s->hdr->type);

	return type == VIRTIO_BLK_T_DISCARD || type == VIRTIO_BLK_T_WRITE_ZEROES;
}

bool gen_flip(struct gen *gen, unsigned int slot, uint64_t *random, struct gen_flip *flip)
{
	struct gen_slot *s = &gen->slot[slot];
	unsigned int nused = __atomic_load_n(&s->nused, __ATOMIC_RELAXED);

	if (!nused)
		return false;
	/* Half of them, for these stop no queue. */
	if (one_in(random, 2))
		flip_header(gen, random, s, flip);
	else if (one_in(random, names_ranges(s) ? 2 : 16))
		flip_range(gen, random, s, flip);
	else if (one_in(random, 8))
		*flip = (struct gen_flip){
			&gen->vq->avail->ring[below(random, GEN_RING)], 2,
			1ull << below(random, one_in(random, 4) ? 16 : 7),
		};
	else
		flip_desc(random, s, s->used[below(random, nused)], flip);
	return true;
}

/* Atomically, for the other thread may change other bits of it. */
void gen_apply(const struct gen_flip *f)
{
	if (f->size == 2)
		__atomic_fetch_xor((uint16_t *)f->at, htole16(f->bits), __ATOMIC_RELAXED);
	else if (f->size == 4)
		__atomic_fetch_xor((uint32_t *)f->at, htole32(f->bits), __ATOMIC_RELAXED);
	else
		__atomic_fetch_xor((uint64_t *)f->at, htole64(f->bits), __ATOMIC_RELAXED);
}

void gen_spoil(struct gen *gen, unsigned int slot)
{
	struct gen_flip f;

	if (gen_flip(gen, slot, &gen->random, &f))
		gen_apply(&f);
}
