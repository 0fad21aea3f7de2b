// SPDX-License-Identifier: GPL-2.0
/* A virtio-blk device that obeys: see blk_model.h. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "blk_model.h"
#include "verdict.h"

#define HEADER sizeof(struct virtio_blk_outhdr)
#define RANGE sizeof(struct virtio_blk_discard_write_zeroes)
/* vhost_blk's own: size_max times seg_max. */
#define MOST_BYTES (254u * 128 * 1024)

enum action { NOTHING, READ, IDENTIFY, CHANGE };

/* What must come of a request. */
struct blk_expected {
	/* Each status that it may have, as a bit. */
	uint8_t statuses;
	enum action action;
	enum disk_op op;
	/* Bytes of data that the device writes, from the first writable one on. */
	uint32_t written;
	/* When it began. */
	uint64_t since;
	/* What it reads, or changes. */
	unsigned int nspans;
	struct span span[];
};

static struct blk_expected *expect(unsigned int nspans)
{
	struct blk_expected *e = calloc(1, sizeof(*e) + nspans * sizeof(*e->span));

	e->nspans = nspans;
	e->statuses = 1 << VIRTIO_BLK_S_OK;
	return e;
}

static struct blk_expected *refused(uint8_t status)
{
	struct blk_expected *e = expect(0);

	e->statuses = 1 << status;
	return e;
}

/* 5.2.6: whole sectors, all of them on the disk. */
static bool is_on_disk(const struct blk_model *m, uint64_t sector, uint64_t sectors)
{
	return sectors <= m->disk.sectors && sector <= m->disk.sectors - sectors;
}

static struct blk_expected *expect_rw(const struct blk_model *m, enum action action,
				      uint64_t sector, uint64_t bytes)
{
	struct blk_expected *e;

	if (bytes > MOST_BYTES || bytes % DISK_SECTOR ||
	    !is_on_disk(m, sector, bytes / DISK_SECTOR))
		return refused(VIRTIO_BLK_S_IOERR);
	e = expect(1);
	e->action = action;
	e->op = DISK_WRITE;
	e->span[0] = (struct span){ sector, bytes / DISK_SECTOR };
	e->written = action == READ ? bytes : 0;
	return e;
}

/* 5.2.6.2: UNSUPP for a flag that the type does not know. */
static uint8_t range_status(const struct blk_model *m, const struct span *s, uint32_t flags,
			    enum disk_op op)
{
	uint32_t known = op == DISK_ZERO ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	uint32_t most = op == DISK_ZERO ? m->max_write_zeroes : m->max_discard;

	if (flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (s->sectors > most || !is_on_disk(m, s->sector, s->sectors))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* Of several that are wrong any may be the one that is told of. */
static struct blk_expected *expect_spans(const struct blk_model *m, enum disk_op op,
					 struct ring_cursor c, unsigned int n)
{
	struct virtio_blk_discard_write_zeroes copy;
	const struct virtio_blk_discard_write_zeroes *range;
	struct blk_expected *e = expect(n);
	uint8_t bad = 0;

	e->action = CHANGE;
	e->op = op;
	for (unsigned int i = 0; i < n; i++) {
		range = memcpy(&copy, ring_bytes(&c, (void *)&copy, RANGE), RANGE);
		e->span[i] = (struct span){ le64toh(range->sector), le32toh(range->num_sectors) };
		bad |= 1 << range_status(m, &e->span[i], le32toh(range->flags), op);
	}
	bad &= ~(1 << VIRTIO_BLK_S_OK);
	if (!bad)
		return e;
	e->statuses = bad;
	e->action = NOTHING;
	e->nspans = 0;
	return e;
}

static struct blk_expected *expect_ranges(const struct blk_model *m, enum disk_op op,
					  struct ring_cursor c, uint64_t bytes)
{
	unsigned int feature = op == DISK_ZERO ? VIRTIO_BLK_F_WRITE_ZEROES :
						 VIRTIO_BLK_F_DISCARD;
	uint32_t most = op == DISK_ZERO ? m->max_write_zeroes_seg : m->max_discard_seg;

	if (!(m->features & 1ull << feature))
		return refused(VIRTIO_BLK_S_UNSUPP);
	if (!bytes || bytes % RANGE || bytes / RANGE > most)
		return refused(VIRTIO_BLK_S_IOERR);
	return expect_spans(m, op, c, bytes / RANGE);
}

static struct blk_expected *expect_id(uint64_t room)
{
	struct blk_expected *e = expect(0);

	e->action = IDENTIFY;
	e->written = room < BLK_MODEL_ID_BYTES ? room : BLK_MODEL_ID_BYTES;
	return e;
}

/* 5.2.6.1, of a device without VIRTIO_BLK_F_ZONED, SECURE_ERASE and LIFETIME. */
static struct blk_expected *expect_request(const struct blk_model *m,
					   const struct ring_chain *c)
{
	uint64_t out = c->out_len - HEADER, in = c->in_len - 1;
	struct ring_cursor at = ring_readable(c);
	struct virtio_blk_outhdr hdr;

	if (c->out_len < HEADER)
		return refused(VIRTIO_BLK_S_IOERR);
	memcpy(&hdr, ring_bytes(&at, (void *)&hdr, HEADER), HEADER);
	switch (le32toh(hdr.type)) {
	case VIRTIO_BLK_T_IN:
		return out ? refused(VIRTIO_BLK_S_IOERR) :
			     expect_rw(m, READ, le64toh(hdr.sector), in);
	case VIRTIO_BLK_T_OUT:
		return in && !out ? refused(VIRTIO_BLK_S_IOERR) :
				    expect_rw(m, CHANGE, le64toh(hdr.sector), out);
	case VIRTIO_BLK_T_FLUSH:
		return expect(0);
	case VIRTIO_BLK_T_GET_ID:
		return expect_id(in);
	case VIRTIO_BLK_T_DISCARD:
		return expect_ranges(m, DISK_DISCARD, at, out);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return expect_ranges(m, DISK_ZERO, at, out);
	default:
		return refused(VIRTIO_BLK_S_UNSUPP);
	}
}

/* What it changes may change from now on. */
static void begin_change(struct blk_model *m, const struct ring_chain *c)
{
	const struct blk_expected *e = c->request;
	struct ring_cursor from = ring_readable(c);
	struct virtio_blk_outhdr hdr;

	ring_bytes(&from, (void *)&hdr, HEADER);
	for (unsigned int i = 0; i < e->nspans; i++)
		transfer_begin(&m->disk, e, e->op, &e->span[i], &from);
}

static void end_change(struct blk_model *m, const struct blk_expected *e)
{
	for (unsigned int i = 0; i < e->nspans; i++)
		transfer_end(&m->disk, e, &e->span[i], true);
}

/* Where others write what it reads, nobody knows what is written to the disk. */
static void forget_shared(struct blk_model *m, const struct ring_model *r)
{
	const struct blk_expected *e;

	for (const struct ring_chain *c = r->out; c; c = c->next) {
		e = c->request;
		if (c->shared && e->action == CHANGE)
			for (unsigned int i = 0; i < e->nspans; i++)
				transfer_forget(&m->disk, e, &e->span[i]);
	}
}

static void begin(struct blk_model *m, struct ring_model *r, struct ring_chain *c)
{
	struct blk_expected *e = expect_request(m, c);

	c->request = e;
	e->since = disk_tick(&m->disk);
	m->out++;
	if (e->action == CHANGE)
		begin_change(m, c);
	if (c->shared)
		forget_shared(m, r);
}

void blk_model_publish(struct blk_model *m, unsigned int queue, uint16_t avail_idx)
{
	struct ring_model *r = &m->ring[queue];
	struct ring_chain *c;

	while ((c = ring_model_take(r, avail_idx))) {
		/* Nowhere to put a status. */
		if (c->in_len)
			begin(m, r, c);
		else
			ring_model_refuse(r, c);
	}
}

/*
 * 2.7.8.2: the used length counts from the first writable byte on, and has no holes. The
 * status byte is the last one of them.
 */
static uint32_t used_len(uint64_t in, uint32_t written)
{
	return written == in ? in + 1 : written;
}

static const char *judge_id(const struct blk_model *m, struct ring_cursor *at, uint32_t len)
{
	unsigned char copy[BLK_MODEL_ID_BYTES];

	if (memcmp(ring_bytes(at, copy, len), m->id, len))
		return wrong("GET_ID: it is another one");
	return NULL;
}

/* What it wrote, and that it wrote nothing behind that but the status. */
static const char *judge_data(struct blk_model *m, const struct ring_chain *c, bool good)
{
	const struct blk_expected *e = c->request;
	struct ring_cursor at = ring_writable(c);
	uint32_t written = good ? e->written : 0;
	const char *w = NULL;

	if (good && e->action == READ)
		w = transfer_judge_read(&m->disk, e->span, &at, e->since);
	else if (good && e->action == IDENTIFY)
		w = judge_id(m, &at, written);
	if (!w && !ring_untouched(&at, c->in_len - 1 - written))
		w = wrong("%llu writable bytes, %u of them the answer: the others were written",
			  (unsigned long long)c->in_len, written);
	return w;
}

static const char *judge(struct blk_model *m, const struct ring_chain *c, uint32_t len)
{
	const struct memory_piece *last = &c->piece[c->nout + c->nin - 1];
	const struct blk_expected *e = c->request;
	uint8_t status = last->now[last->len - 1];
	bool good = status == VIRTIO_BLK_S_OK;
	uint32_t want = used_len(c->in_len - 1, good ? e->written : 0);

	if (status > 7 || !(e->statuses & 1 << status))
		return wrong("status %u, expected one of the bits of %02x", status, e->statuses);
	if (len != want)
		return wrong("used.len is %u, expected %u of %llu, status %u", len, want,
			     (unsigned long long)c->in_len, status);
	return judge_data(m, c, good);
}

/* Of one whose memory others write too this is all that is known. */
static const char *judge_shared(const struct ring_chain *c, uint32_t len)
{
	if (len > c->in_len)
		return wrong("used.len is %u of %llu", len, (unsigned long long)c->in_len);
	return NULL;
}

static const char *end(void *model, const struct ring_chain *c, uint32_t len)
{
	const struct blk_expected *e = c->request;
	struct blk_model *m = model;
	const char *w = c->shared ? judge_shared(c, len) : judge(m, c, len);

	m->judged += !c->shared;
	m->shared += c->shared;
	disk_tick(&m->disk);
	if (e->action == CHANGE)
		end_change(m, e);
	ring_accept(c);
	if (!--m->out)
		disk_idle(&m->disk);
	return w;
}

const char *blk_model_collect(struct blk_model *m, unsigned int queue)
{
	return ring_model_collect(&m->ring[queue], end, m);
}
