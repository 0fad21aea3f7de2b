// SPDX-License-Identifier: GPL-2.0
/*
 * Lanes that are vrings. As in Linux's drivers a request is one indirect descriptor, its
 * table made once for each slot; the head is the slot.
 */
#include <endian.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench.h"
#include "blk.h"
#include "dirty.h"
#include "scsi.h"
#include "vhost_user.h"

/* Of a slot: its table, then what the device reads and writes beside the data. */
#define SLOT_BYTES 256
#define SLOT_TABLE 64
#define FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
		  BIT(VIRTIO_RING_F_EVENT_IDX))

struct blk_slot {
	struct virtio_blk_outhdr header;
	uint8_t status;
};

struct tuple {
	uint16_t guard, app_tag;
	uint32_t ref_tag;
};

/* With --pi the longer header. */
struct scsi_slot {
	union {
		struct virtio_scsi_cmd_req plain;
		struct virtio_scsi_cmd_req_pi pi;
	} command;
	struct virtio_scsi_cmd_resp response;
	/* Of its blocks, which are all zeroes, as their guards are. */
	struct tuple *tuples;
};

static uint64_t slot_gpa(const struct lane *lane, unsigned int slot)
{
	return lane->slots_gpa + SLOT_BYTES * slot;
}

static void *slot_of(const struct lane *lane, unsigned int slot)
{
	return lane->slots + SLOT_BYTES * slot + SLOT_TABLE;
}

static void put_table(struct lane *lane, unsigned int slot, const struct seg *segs,
		      unsigned int n)
{
	struct vring_desc *table = (void *)(lane->slots + SLOT_BYTES * slot);

	for (unsigned int i = 0; i < n; i++)
		vq_put_desc(&table[i], segs[i].addr, segs[i].len,
			    (segs[i].write ? VRING_DESC_F_WRITE : 0) |
			    (i < n - 1 ? VRING_DESC_F_NEXT : 0), i < n - 1 ? i + 1 : 0);
	vq_put_desc(&lane->vq->desc[slot], slot_gpa(lane, slot), n * sizeof(*table),
		    VRING_DESC_F_INDIRECT, 0);
}

static void blk_slot_init(struct lane *lane, unsigned int slot, uint64_t data)
{
	struct bench *b = lane->bench;
	uint64_t at = slot_gpa(lane, slot) + SLOT_TABLE;
	struct blk_slot *s = slot_of(lane, slot);

	s->header.type = htole32(b->write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN);
	put_table(lane, slot, (struct seg[]){
		{ at, sizeof(s->header), false }, { data, b->bytes, !b->write },
		{ at + offsetof(struct blk_slot, status), 1, true } }, 3);
}

/* The same with protection information before the data. */
static void scsi_slot_init_pi(struct lane *lane, unsigned int slot, struct seg *segs)
{
	struct bench *b = lane->bench;
	struct scsi_slot *s = slot_of(lane, slot);
	uint32_t bytes = b->bytes / SECTOR * sizeof(struct tuple);
	struct guest *mem = &lane->vq->dev->mem;
	struct seg tuples = { guest_alloc(mem, bytes, 64), bytes, !b->write };

	s->command.pi = (struct virtio_scsi_cmd_req_pi){
		.lun = { 1, SCSI_TPGT, 0x40, 0 },
		.pi_bytesout = htole32(b->write ? bytes : 0),
		.pi_bytesin = htole32(b->write ? 0 : bytes),
		.cdb = { b->write ? 0x8a : 0x88, 1 << 5 },
	};
	s->tuples = guest_ptr(mem, tuples.addr, bytes);
	segs[0].len = sizeof(s->command.pi);
	put_table(lane, slot, b->write ? (struct seg[]){ segs[0], tuples, segs[2], segs[1] } :
				(struct seg[]){ segs[0], segs[1], tuples, segs[2] }, 4);
}

static void scsi_slot_init(struct lane *lane, unsigned int slot, uint64_t data)
{
	struct bench *b = lane->bench;
	uint64_t at = slot_gpa(lane, slot) + SLOT_TABLE;
	struct scsi_slot *s = slot_of(lane, slot);
	struct seg command = { at, sizeof(s->command.plain), false };
	struct seg response = { at + offsetof(struct scsi_slot, response),
				sizeof(s->response), true };
	struct seg bytes = { data, b->bytes, !b->write };

	if (b->pi) {
		scsi_slot_init_pi(lane, slot, (struct seg[]){ command, response, bytes });
		return;
	}
	s->command.plain = (struct virtio_scsi_cmd_req){ .lun = { 1, SCSI_TPGT, 0x40, 0 } };
	s->command.plain.cdb[0] = b->write ? 0x8a : 0x88;
	put_table(lane, slot, b->write ? (struct seg[]){ command, bytes, response } :
				(struct seg[]){ command, response, bytes }, 3);
}

static void lane_init(struct bench *b, struct vdev *dev, struct vq *vq, uint64_t blocks,
		      void (*slot_init)(struct lane *, unsigned int, uint64_t))
{
	struct lane *lane = &b->lanes[b->nlanes];

	*lane = (struct lane){ .bench = b, .index = b->nlanes, .next = b->nlanes + 1, .vq = vq,
			       .blocks = blocks };
	b->nlanes++;
	lane->slots_gpa = guest_alloc(&dev->mem, SLOT_BYTES * b->depth, GUEST_PAGE);
	lane->slots = guest_ptr(&dev->mem, lane->slots_gpa, SLOT_BYTES * b->depth);
	for (unsigned int i = 0; i < b->depth; i++)
		slot_init(lane, i, guest_alloc(&dev->mem, b->bytes, GUEST_PAGE));
}

/* Edge by edge, so that nobody has to read what an eventfd has counted. */
static void watch(struct bench *b)
{
	b->epoll = check_ok(epoll_create1(EPOLL_CLOEXEC));
	for (unsigned int i = 0; i < b->nlanes; i++) {
		struct lane *lane = &b->lanes[i];
		struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = lane };

		check_ok(epoll_ctl(b->epoll, EPOLL_CTL_ADD, lane->vq->call, &event));
	}
}

static unsigned int ring_size(const struct bench *b)
{
	unsigned int num = 128;

	while (num < b->depth)
		num *= 2;
	return num;
}

static uint64_t memory(const struct bench *b)
{
	uint64_t lane = b->depth * (b->bytes + SLOT_BYTES + 4096ull) + ring_size(b) * 32 + 65536;

	return bench_whole_pages((1 << 20) + b->vqs * lane);
}

static uint64_t blocks_of(const struct bench *b, const char *path)
{
	return device_sectors(path) / (b->bytes / SECTOR);
}

/* What is behind the comma of a target, which ends there. */
static char *split(char *target, const char *form)
{
	char *rest = strchr(target, ',');

	check(rest, "'%s' is not %s", target, form);
	*rest++ = 0;
	return rest;
}

/* The lanes of a device, from its vq @first on, with the disk at @path behind them. */
static void start(struct bench *b, struct vdev *dev, unsigned int first, const char *path,
		  void (*slot_init)(struct lane *, unsigned int, uint64_t))
{
	uint64_t blocks = blocks_of(b, path);

	for (unsigned int i = 0; i < b->vqs; i++)
		lane_init(b, dev, vq_new(dev, first + i, ring_size(b)), blocks, slot_init);
}

/* The first lane has the worker that came with the device. */
static void own_workers(struct bench *b, struct vdev *dev)
{
	if (!b->threads)
		return;
	for (unsigned int i = 1; i < b->nlanes; i++) {
		bench_run_on(i);
		check_ok(vq_attach_worker(b->lanes[i].vq, check_ok(vdev_new_worker(dev))));
	}
	bench_run_on(0);
}

static void start_log(struct vdev *dev)
{
	struct dirty dirty = dirty_new(dev);

	dirty_start(&dirty);
}

static void blk_start_all(struct bench *b)
{
	for (unsigned int i = 0; i < b->devices; i++) {
		struct vdev *dev = vdev_open(&blk_ops, memory(b));

		dev->backend_fd = check_ok(open(b->paths[i], O_RDWR | O_CLOEXEC));
		vdev_negotiate(dev, FEATURES | BIT(VIRTIO_BLK_F_FLUSH));
		start(b, dev, 0, b->paths[i], blk_slot_init);
		own_workers(b, dev);
		for (unsigned int q = 0; q < dev->nvqs; q++)
			vq_set_polling(dev->vqs[q], b->poll_us);
		vdev_start(dev);
		if (b->log)
			start_log(dev);
	}
}

static void blk_put(struct lane *lane, unsigned int slot, uint64_t block)
{
	struct blk_slot *s = slot_of(lane, slot);

	s->header.sector = htole64(block * (lane->bench->bytes / SECTOR));
	s->status = BLK_NO_STATUS;
	vq_put_avail(lane->vq, slot);
}

static void submit(struct lane *lane)
{
	vq_publish(lane->vq);
	vq_kick(lane->vq);
}

static unsigned int wait_signal(struct bench *b, struct lane **ready)
{
	struct epoll_event events[BENCH_LANES];
	int n = check_ok(epoll_wait(b->epoll, events, BENCH_LANES, -1));

	for (int i = 0; i < n; i++) {
		ready[i] = events[i].data.ptr;
		ready[i]->vq->interrupts++;
	}
	return n;
}

/* Takes the heads of all used entries; as a driver does, until it has asked for more. */
static unsigned int take(struct vq *vq, uint16_t *slots)
{
	unsigned int n = 0;
	uint16_t used;

	do {
		for (used = vq_used_idx(vq); vq->last_used != used; vq->last_used++)
			slots[n++] = le32toh(vq->used->ring[vq->last_used & (vq->num - 1)].id);
		vq_put_used_event(vq, vq->last_used);
		atomic_thread_fence(memory_order_seq_cst);
	} while (vq_used_idx(vq) != vq->last_used);
	return n;
}

static unsigned int blk_reap_slots(struct lane *lane, uint16_t *slots)
{
	unsigned int n = take(lane->vq, slots);

	for (unsigned int i = 0; i < n; i++)
		check_eq(((struct blk_slot *)slot_of(lane, slots[i]))->status, VIRTIO_BLK_S_OK);
	return n;
}

const struct engine engine_vhost_blk = {
	.name = "vhost_blk",
	.device = "a block device",
	.start = blk_start_all,
	.put = blk_put,
	.submit = submit,
	.wait = wait_signal,
	.reap = blk_reap_slots,
	.settles_ms = 60,
	.watch = watch,
};

static void scsi_start_all(struct bench *b)
{
	for (unsigned int i = 0; i < b->devices; i++) {
		struct vdev *dev = vdev_open(&scsi_ops, memory(b));
		const char *disk = split(b->paths[i], "WWPN,DEVICE");

		dev->backend_name = b->paths[i];
		vdev_negotiate(dev, FEATURES | (b->pi ? BIT(VIRTIO_SCSI_F_T10_PI) : 0));
		for (unsigned int q = 0; q < SCSI_FIRST_QUEUE; q++)
			vq_new(dev, q, 128);
		start(b, dev, SCSI_FIRST_QUEUE, disk, scsi_slot_init);
		own_workers(b, dev);
		vdev_start(dev);
	}
}

static void scsi_put(struct lane *lane, unsigned int slot, uint64_t block)
{
	const struct bench *b = lane->bench;
	struct scsi_slot *s = slot_of(lane, slot);
	uint8_t *cdb = b->pi ? s->command.pi.cdb : s->command.plain.cdb;
	uint32_t sectors = b->bytes / SECTOR;
	uint64_t lba = htobe64(block * sectors);
	uint32_t blocks = htobe32(sectors);

	memcpy(cdb + 2, &lba, sizeof(lba));
	memcpy(cdb + 10, &blocks, sizeof(blocks));
	for (unsigned int i = 0; b->pi && b->write && i < sectors; i++)
		s->tuples[i].ref_tag = htobe32(block * sectors + i);
	s->response.response = 0xff;
	vq_put_avail(lane->vq, slot);
}

static unsigned int scsi_reap(struct lane *lane, uint16_t *slots)
{
	unsigned int n = take(lane->vq, slots);

	for (unsigned int i = 0; i < n; i++) {
		struct scsi_slot *s = slot_of(lane, slots[i]);

		check_eq(s->response.response, VIRTIO_SCSI_S_OK);
		check_eq(s->response.status, 0);
	}
	return n;
}

const struct engine engine_vhost_scsi = {
	.name = "vhost_scsi",
	.device = "WWPN,DEVICE: a target of LIO's vhost fabric, and the disk behind its LUN 0",
	.start = scsi_start_all,
	.put = scsi_put,
	.submit = submit,
	.wait = wait_signal,
	.reap = scsi_reap,
	.watch = watch,
};

static void user_start_all(struct bench *b)
{
	for (unsigned int i = 0; i < b->devices; i++) {
		const char *disk = split(b->paths[i], "SOCKET,DEVICE");
		struct vdev *dev = vhost_user_open(b->paths[i], memory(b));

		vdev_negotiate(dev, FEATURES | BIT(VIRTIO_BLK_F_FLUSH));
		start(b, dev, 0, disk, blk_slot_init);
		vdev_start(dev);
	}
}

const struct engine engine_vhost_user_blk = {
	.name = "vhost_user_blk",
	.device = "SOCKET,DEVICE: a vhost-user-blk server, and the disk behind it",
	.start = user_start_all,
	.put = blk_put,
	.submit = submit,
	.wait = wait_signal,
	.reap = blk_reap_slots,
	.watch = watch,
};

/* A ring that nobody serves: what the client itself costs. */
static void none_start(struct bench *b)
{
	for (unsigned int i = 0; i < b->devices; i++) {
		struct vdev *dev = calloc(1, sizeof(*dev));

		guest_add(&dev->mem, GUEST_BASE, memory(b));
		dev->features = FEATURES;
		start(b, dev, 0, b->paths[i], blk_slot_init);
	}
}

static void none_submit(struct lane *lane)
{
	vq_publish(lane->vq);
}

/* All lanes at once, each with all that it was given. */
static unsigned int none_wait(struct bench *b, struct lane **ready)
{
	for (unsigned int i = 0; i < b->nlanes; i++)
		ready[i] = &b->lanes[i];
	return b->nlanes;
}

static unsigned int none_reap(struct lane *lane, uint16_t *slots)
{
	struct vq *vq = lane->vq;
	unsigned int n = 0;

	for (; vq->last_used != vq->published_idx; vq->last_used++)
		slots[n++] = vq->avail->ring[vq->last_used & (vq->num - 1)];
	return n;
}

const struct engine engine_none = {
	.name = "none",
	.device = "a block device, of which only the size is taken",
	.start = none_start,
	.put = blk_put,
	.submit = none_submit,
	.wait = none_wait,
	.reap = none_reap,
};
