// SPDX-License-Identifier: GPL-2.0
/* What must come of a split virtqueue: see ring_model.h. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "ring_model.h"
#include "verdict.h"

/* The kernel's vhost takes no chain of more pieces. */
#define MOST_PIECES 1024

void ring_model_init(struct ring_model *r, struct memory_model *memory, unsigned int num,
		     const struct vring_desc *desc, const struct vring_avail *avail,
		     const struct vring_used *used)
{
	*r = (struct ring_model){
		.memory = memory, .num = num, .desc = desc, .avail = avail, .used = used,
	};
}

void ring_model_start(struct ring_model *r, uint16_t taken, uint16_t seen)
{
	struct ring_chain *chain;

	while ((chain = r->out)) {
		r->out = chain->next;
		ring_chain_free(chain);
	}
	r->nout = 0;
	r->taken = taken;
	r->seen = seen;
	r->stops = false;
}

/* A chain while it is read; its pieces follow in another place. */
struct reading {
	struct ring_model *ring;
	struct ring_chain chain;
	struct memory_piece *piece;
};

/* Where descriptors are: in the ring, or in an indirect table. */
struct table {
	const struct vring_desc *ring;
	uint64_t gpa;
	unsigned int num;
};

static bool load_desc(struct reading *rd, const struct table *t, unsigned int i,
		      struct vring_desc *desc)
{
	if (!t->ring)
		return memory_read(rd->ring->memory, t->gpa + 16ull * i, desc, 16);
	*desc = t->ring[i];
	return true;
}

static bool add_buffer(struct reading *rd, uint64_t addr, uint32_t len, bool write)
{
	struct ring_chain *c = &rd->chain;
	unsigned int have = c->nout + c->nin;
	int n;

	/* 2.7.4.2: what is readable comes before what is writable. */
	if (!write && c->nin)
		return false;
	n = memory_map(rd->ring->memory, addr, len, rd->piece + have, MOST_PIECES - have);
	if (n < 0)
		return false;
	if (write) {
		c->nin += n;
		c->in_len += len;
		c->writes |= memory_stretches(addr, len);
	} else {
		c->nout += n;
		c->out_len += len;
		c->reads |= memory_stretches(addr, len);
	}
	return true;
}

static bool follow(struct reading *rd, const struct table *t, unsigned int i);

/* 2.7.5.3.2: whether the descriptor says WRITE means nothing. */
static bool add_table(struct reading *rd, const struct vring_desc *desc)
{
	uint32_t len = le32toh(desc->len);
	struct table t = { .gpa = le64toh(desc->addr), .num = len / 16 };

	if (!len || len % 16 || t.num > 65536)
		return false;
	rd->chain.reads |= memory_stretches(t.gpa, len);
	return follow(rd, &t, 0);
}

/*
 * 2.7.5: from one descriptor to the next, as long as they say NEXT, in a table too. One
 * that was in the chain before cannot end it, so more than there are is a loop.
 */
static bool follow(struct reading *rd, const struct table *t, unsigned int i)
{
	struct vring_desc desc;
	uint16_t flags;
	bool good;

	for (unsigned int left = t->num; left; left--) {
		if (i >= t->num || !load_desc(rd, t, i, &desc))
			return false;
		flags = le16toh(desc.flags);
		if (!(flags & VRING_DESC_F_INDIRECT))
			good = add_buffer(rd, le64toh(desc.addr), le32toh(desc.len),
					  flags & VRING_DESC_F_WRITE);
		else
			/* 2.7.5.3.1: no table in a table. With NEXT the chain goes on. */
			good = t->ring && add_table(rd, &desc);
		if (!good || !(flags & VRING_DESC_F_NEXT))
			return good;
		i = le16toh(desc.next);
	}
	return false;
}

/* Do two pieces, of which one at least is writable, have bytes in common? */
static bool overlaps_itself(const struct ring_chain *c)
{
	const struct memory_piece *p = c->piece, *end = p + c->nout + c->nin;

	/* Most have nothing but the header readable, which is elsewhere. */
	for (const struct memory_piece *w = p + c->nout; w < end; w++)
		for (const struct memory_piece *o = p; o < w; o++)
			if (w->now < o->now + o->len && o->now < w->now + w->len)
				return true;
	return false;
}

static void find_shared(struct ring_model *r, struct ring_chain *c)
{
	c->shared = overlaps_itself(c);
	for (struct ring_chain *o = r->out; o; o = o->next) {
		if (!(c->writes & (o->reads | o->writes)) && !(c->reads & o->writes))
			continue;
		c->shared = true;
		o->shared = true;
	}
}

static struct ring_chain *keep(const struct reading *rd)
{
	unsigned int n = rd->chain.nout + rd->chain.nin;
	struct ring_chain *c = malloc(sizeof(*c) + n * sizeof(*c->piece));

	*c = rd->chain;
	memcpy(c->piece, rd->piece, n * sizeof(*c->piece));
	return c;
}

struct ring_chain *ring_model_take(struct ring_model *r, uint16_t avail_idx)
{
	static struct memory_piece piece[MOST_PIECES];
	struct reading rd = { .ring = r, .piece = piece, .chain.place = r->taken };
	const struct table ring = { .ring = r->desc, .num = r->num };
	struct ring_chain *c;

	if (r->stops || r->taken == avail_idx)
		return NULL;
	/* 2.7.13.3.1: no more than the ring has entries are new. */
	r->stops = (uint16_t)(avail_idx - r->taken) > r->num;
	if (r->stops)
		return NULL;
	rd.chain.head = le16toh(r->avail->ring[r->taken % r->num]);
	r->stops = !follow(&rd, &ring, rd.chain.head);
	if (r->stops)
		return NULL;
	c = keep(&rd);
	find_shared(r, c);
	c->next = r->out;
	r->out = c;
	r->nout++;
	r->taken++;
	return c;
}

static void take_out(struct ring_model *r, const struct ring_chain *chain)
{
	struct ring_chain **at = &r->out;

	while (*at != chain)
		at = &(*at)->next;
	*at = chain->next;
	r->nout--;
}

void ring_model_refuse(struct ring_model *r, struct ring_chain *chain)
{
	take_out(r, chain);
	ring_chain_free(chain);
	r->taken--;
	r->stops = true;
}

/* Of a head that is out more than once the oldest: that it ends later accuses nobody. */
static struct ring_chain *find_head(const struct ring_model *r, uint32_t head)
{
	struct ring_chain *found = NULL;

	for (struct ring_chain *c = r->out; c; c = c->next)
		if (c->head == head)
			found = c;
	return found;
}

const char *ring_model_used(struct ring_model *r, struct ring_chain **chain, uint32_t *len)
{
	uint16_t idx = le16toh(__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE));
	const struct vring_used_elem *e = &r->used->ring[r->seen % r->num];
	uint32_t head;

	*chain = NULL;
	if (idx == r->seen)
		return NULL;
	head = le32toh(e->id);
	*len = le32toh(e->len);
	*chain = find_head(r, head);
	if (!*chain)
		return wrong("used entry %u names head %u, which is not out", r->seen, head);
	take_out(r, *chain);
	r->seen++;
	return NULL;
}

void ring_chain_free(struct ring_chain *chain)
{
	free(chain->request);
	free(chain);
}

const char *ring_model_collect(struct ring_model *r, const char *(*end)(void *model,
			       const struct ring_chain *chain, uint32_t len), void *model)
{
	struct ring_chain *c;
	const char *w;
	uint32_t len;

	for (;;) {
		w = ring_model_used(r, &c, &len);
		if (w || !c)
			return w;
		if (end)
			w = end(model, c, len);
		ring_chain_free(c);
		if (w)
			return w;
	}
}

const char *ring_model_drained(const struct ring_model *r, uint16_t base)
{
	uint16_t left = r->taken - base;

	/* What cannot be answered is taken, or is not: VIRTIO does not say. */
	if (r->stops && left == UINT16_MAX)
		left = 0;
	if (left > r->num)
		return wrong("stopped at index %u, which leads past %u", base, r->taken);
	for (const struct ring_chain *c = r->out; c; c = c->next)
		if ((uint16_t)(r->taken - 1 - c->place) >= left)
			return wrong("stopped at index %u: head %u at %u taken and not answered",
				     base, c->head, c->place);
	if (r->nout != left)
		return wrong("stopped at index %u of %u: %u chains are out", base, r->taken,
			     r->nout);
	return NULL;
}

void ring_model_resume(struct ring_model *r, uint16_t base)
{
	if (r->stops)
		r->taken = base;
	r->stops = false;
}

static struct ring_cursor cursor(const struct memory_piece *piece, unsigned int n)
{
	return (struct ring_cursor){ .piece = piece, .left = n };
}

struct ring_cursor ring_readable(const struct ring_chain *chain)
{
	return cursor(chain->piece, chain->nout);
}

struct ring_cursor ring_writable(const struct ring_chain *chain)
{
	return cursor(chain->piece + chain->nout, chain->nin);
}

/* So many of the next bytes, of the most that are wanted, are in one place; over them. */
static uint32_t step(struct ring_cursor *c, uint64_t most)
{
	uint32_t len = c->piece->len - c->offset;

	if (len > most)
		len = most;
	c->offset += len;
	if (c->offset == c->piece->len) {
		c->piece++;
		c->left--;
		c->offset = 0;
	}
	return len;
}

const unsigned char *ring_bytes(struct ring_cursor *c, unsigned char *copy, uint32_t len)
{
	const unsigned char *at;
	uint32_t part;

	if (c->left && c->piece->len - c->offset >= len) {
		at = c->piece->now + c->offset;
		step(c, len);
		return at;
	}
	for (uint32_t done = 0; done < len; done += part) {
		at = c->piece->now + c->offset;
		part = step(c, len - done);
		memcpy(copy + done, at, part);
	}
	return copy;
}

bool ring_untouched(struct ring_cursor *c, uint64_t len)
{
	const struct memory_piece *p;
	uint32_t part, offset;

	for (; len; len -= part) {
		p = c->piece;
		offset = c->offset;
		part = step(c, len);
		if (p->was && memcmp(p->now + offset, p->was + offset, part))
			return false;
	}
	return true;
}

void ring_accept(const struct ring_chain *chain)
{
	for (unsigned int i = chain->nout; i < chain->nout + chain->nin; i++)
		memory_accept(&chain->piece[i]);
}
