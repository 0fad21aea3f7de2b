// SPDX-License-Identifier: GPL-2.0
/* What a driver may see of virtio-scsi: see scsi_model.h. */
#include <endian.h>
#include <linux/virtio_scsi.h>
#include <stdlib.h>
#include <string.h>

#include "scsi_model.h"
#include "verdict.h"

#define HEADER sizeof(struct virtio_scsi_cmd_req)
#define RESP sizeof(struct virtio_scsi_cmd_resp)
#define TARGET 1
#define CHECK_CONDITION 2
#define UNIT_ATTENTION 6

enum action { NOTHING, READ, WRITE };

struct scsi_expected {
	/* A plain READ or WRITE: its answer is known, and it is an error if past the end. */
	enum action action;
	bool past_the_end;
	uint32_t bytes;
	/* Of what it reads, or may change, what the model looks at. */
	struct span span;
	enum disk_op op;
	bool changes;
	uint64_t since;
};

static uint64_t be(const uint8_t *p, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | *p++;
	return value;
}

/* SPC: the first three bits tell how long a CDB is, and so where its fields are. */
struct blocks {
	uint64_t lba;
	uint64_t count;
	/* No protection information, cache control, group or ACA. */
	bool plain;
};

static struct blocks blocks_of(const uint8_t *cdb)
{
	switch (cdb[0] >> 5) {
	case 0:
		return (struct blocks){ be(cdb + 1, 3) & 0x1fffff, cdb[4] ?: 256,
					!(cdb[1] & 0xe0) && !cdb[5] };
	case 4:
		return (struct blocks){ be(cdb + 2, 8), be(cdb + 10, 4),
					!cdb[1] && !cdb[14] && !cdb[15] };
	case 5:
		return (struct blocks){ be(cdb + 2, 4), be(cdb + 6, 4),
					!cdb[1] && !cdb[10] && !cdb[11] };
	default:
		return (struct blocks){ be(cdb + 2, 4), be(cdb + 7, 2),
					!cdb[1] && !cdb[6] && !cdb[9] };
	}
}

static enum action action_of(uint8_t opcode)
{
	switch (opcode) {
	case 0x08: case 0x28: case 0x88: case 0xa8:
		return READ;
	case 0x0a: case 0x2a: case 0x8a: case 0xaa:
		return WRITE;
	default:
		return NOTHING;
	}
}

/* The part of them that is looked at. */
static struct span clip(const struct scsi_model *m, uint64_t lba, uint64_t count)
{
	uint64_t sectors = m->disk.sectors;

	if (lba >= sectors)
		return (struct span){ 0, 0 };
	return (struct span){ lba, count < sectors - lba ? count : sectors - lba };
}

/* What else may write: within its blocks, up to the end, or anywhere. */
static void expect_other(const struct scsi_model *m, const uint8_t *cdb,
			 const struct blocks *b, struct scsi_expected *e)
{
	e->op = DISK_ANYTHING;
	e->changes = true;
	switch (cdb[0]) {
	case 0x0a: case 0x2a: case 0x2e: case 0x53: case 0x8a: case 0x8b: case 0x8e:
	case 0xaa: case 0xae:
		e->span = clip(m, b->lba, b->count);
		break;
	case 0x89:
		/* COMPARE AND WRITE */
		e->span = clip(m, b->lba, cdb[13]);
		break;
	case 0x41: case 0x93:
		/* WRITE SAME: of no blocks, all that follow */
		e->span = clip(m, b->lba, b->count ?: UINT64_MAX);
		break;
	case 0x42: case 0x7f: case 0x83:
		/* UNMAP, of variable length, EXTENDED COPY: the list says where */
		e->span = clip(m, 0, UINT64_MAX);
		break;
	default:
		e->changes = false;
	}
}

/* Is it all that the target needs to go on, and no more? */
static bool is_plain(const struct ring_chain *c, const struct blocks *b, enum action action,
		     const struct virtio_scsi_cmd_req *req)
{
	uint64_t bytes = b->count * DISK_SECTOR;
	uint64_t out = HEADER + (action == WRITE ? bytes : 0);
	uint64_t in = RESP + (action == READ ? bytes : 0);

	return b->plain && c->out_len == out && c->in_len == in &&
	       req->task_attr <= VIRTIO_SCSI_S_HEAD;
}

/* 5.6.6.1: 1, target, and a single level LUN of either form; nothing behind it. */
static bool is_lun(const struct scsi_model *m, const uint8_t *lun)
{
	return lun[0] == 1 && lun[1] == TARGET && !(lun[2] & ~0x40) && lun[3] == m->lun &&
	       !be(lun + 4, 4);
}

static void expect(const struct scsi_model *m, const struct ring_chain *c,
		   struct scsi_expected *e)
{
	struct ring_cursor at = ring_readable(c);
	struct virtio_scsi_cmd_req req;
	enum action action;
	struct blocks b;

	if (c->out_len < HEADER)
		return;
	memcpy(&req, ring_bytes(&at, (void *)&req, HEADER), HEADER);
	if (!is_lun(m, req.lun))
		return;
	b = blocks_of(req.cdb);
	action = action_of(req.cdb[0]);
	if (action == NOTHING || !is_plain(c, &b, action, &req)) {
		expect_other(m, req.cdb, &b, e);
		return;
	}
	e->action = action;
	e->past_the_end = b.count > m->capacity || b.lba > m->capacity - b.count;
	e->bytes = b.count * DISK_SECTOR;
	e->span = clip(m, b.lba, b.count);
	e->op = DISK_WRITE;
	e->changes = action == WRITE && !e->past_the_end;
}

static void begin(struct scsi_model *m, struct ring_chain *c)
{
	struct scsi_expected *e = calloc(1, sizeof(*e));
	struct ring_cursor from = ring_readable(c);
	unsigned char header[HEADER];

	c->request = e;
	m->out++;
	expect(m, c, e);
	e->since = disk_tick(&m->disk);
	if (!e->changes)
		return;
	ring_bytes(&from, header, HEADER);
	transfer_begin(&m->disk, e, e->op, &e->span, &from);
}

void scsi_model_publish(struct scsi_model *m, unsigned int queue, uint16_t avail_idx)
{
	struct ring_chain *c;

	while ((c = ring_model_take(&m->ring[queue], avail_idx)))
		if (m->requests[queue])
			begin(m, c);
}

static uint8_t sense_key(const struct virtio_scsi_cmd_resp *r)
{
	/* Of descriptor format, or of fixed format. */
	return (r->sense[0] & 0x7f) >= 0x72 ? r->sense[1] & 0xf : r->sense[2] & 0xf;
}

/* It was not this command's turn: nothing is wrong with it. */
static bool was_put_off(const struct virtio_scsi_cmd_resp *r)
{
	switch (r->response) {
	case VIRTIO_SCSI_S_ABORTED:
	case VIRTIO_SCSI_S_RESET:
	case VIRTIO_SCSI_S_BUSY:
		return true;
	case VIRTIO_SCSI_S_OK:
		break;
	default:
		return false;
	}
	/* BUSY, RESERVATION CONFLICT, TASK SET FULL, TASK ABORTED */
	if (r->status == 0x08 || r->status == 0x18 || r->status == 0x28 || r->status == 0x40)
		return true;
	return r->status == CHECK_CONDITION && sense_key(r) == UNIT_ATTENTION;
}

static const char *judge_good(struct scsi_model *m, const struct scsi_expected *e,
			      const struct virtio_scsi_cmd_resp *r, struct ring_cursor *at,
			      uint32_t len)
{
	uint32_t want = RESP + (e->action == READ ? e->bytes : 0);

	if (e->past_the_end)
		return wrong("a command past the end of the disk was GOOD");
	if (r->resid || r->sense_len)
		return wrong("GOOD, but residual %u, %u bytes of sense", le32toh(r->resid),
			     le32toh(r->sense_len));
	/* 2.7.8.2: response and data, without a hole. */
	if (len != want)
		return wrong("used.len is %u, expected %u", len, want);
	return e->action == READ ? transfer_judge_read(&m->disk, &e->span, at, e->since) : NULL;
}

/* SBC: LOGICAL BLOCK ADDRESS OUT OF RANGE is ILLEGAL REQUEST; other answers are wrong. */
static const char *judge_failed(const struct scsi_expected *e,
				const struct virtio_scsi_cmd_resp *r, uint32_t len)
{
	if (len != RESP)
		return wrong("used.len of a command that failed is %u", len);
	if (was_put_off(r))
		return NULL;
	if (e->past_the_end && r->response == VIRTIO_SCSI_S_OK &&
	    r->status == CHECK_CONDITION && sense_key(r) == 5)
		return NULL;
	return wrong("a %s of %u bytes: response %u, status 0x%02x, sense key %u",
		     e->action == READ ? "read" : "write", e->bytes, r->response, r->status,
		     sense_key(r));
}

static const char *end(void *model, const struct ring_chain *c, uint32_t len)
{
	const struct scsi_expected *e = c->request;
	struct ring_cursor at = ring_writable(c);
	struct scsi_model *m = model;
	struct virtio_scsi_cmd_resp r;
	const char *w = NULL;
	bool good = false;

	if (e->action != NOTHING) {
		memcpy(&r, ring_bytes(&at, (void *)&r, RESP), RESP);
		good = r.response == VIRTIO_SCSI_S_OK && !r.status;
		w = good ? judge_good(m, e, &r, &at, len) : judge_failed(e, &r, len);
		m->known++;
		m->good += good;
	}
	disk_tick(&m->disk);
	if (e->changes)
		transfer_end(&m->disk, e, &e->span, good);
	if (!--m->out)
		disk_idle(&m->disk);
	return w;
}

const char *scsi_model_collect(struct scsi_model *m, unsigned int queue)
{
	return ring_model_collect(&m->ring[queue], m->requests[queue] ? end : NULL, m);
}

void scsi_model_reset(struct scsi_model *m, unsigned int queue)
{
	const struct scsi_expected *e;

	disk_tick(&m->disk);
	for (const struct ring_chain *c = m->ring[queue].out; c; c = c->next) {
		e = c->request;
		if (!e)
			continue;
		m->out--;
		if (e->changes)
			transfer_end(&m->disk, e, &e->span, false);
	}
	ring_model_start(&m->ring[queue], 0, 0);
}
