// SPDX-License-Identifier: GPL-2.0
/*
 * Proves the vring client against a device that others wrote and use: the
 * vhost_scsi of the kernel, over a LIO RAM disk. What fails here is the client,
 * and then nothing that it says about our own modules counts.
 */
#include <string.h>

#include "scsi.h"
#include "tap.h"

#define QUEUE_SIZE 64
#define DISK_MB 16

struct mode {
	const char *name;
	uint64_t features;
	unsigned int direct;
};

static const struct mode modes[] = {
	{ "direct", 0, VQ_DIRECT },
	{ "indirect", BIT(VIRTIO_RING_F_INDIRECT_DESC), 0 },
	{ "direct_event_idx", BIT(VIRTIO_RING_F_EVENT_IDX), VQ_DIRECT },
	{ "indirect_event_idx",
	  BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC), 0 },
};

static struct vdev *start(const struct mode *m, unsigned int queues, uint16_t base)
{
	struct vdev *dev;

	scsi_load_intree();
	dev = scsi_start(scsi_target_new(DISK_MB), queues, QUEUE_SIZE,
			 m->features | BIT(VIRTIO_F_VERSION_1));

	for (unsigned int i = 0; i < queues; i++)
		vq_set_base(scsi_queue(dev, i), base);
	vdev_start(dev);
	return dev;
}

static void do_io(struct vq *vq, struct scsi_io io, const struct mode *m)
{
	io.direct = m->direct;
	scsi_do(vq, &io);
}

TEST_V(test_unit_ready, modes)
{
	struct vdev *dev = start(v, 1, 0);

	do_io(scsi_queue(dev, 0), scsi_tur(), v);
}

TEST_V(inquiry_names_the_ram_disk, modes)
{
	struct vdev *dev = start(v, 1, 0);
	uint64_t data = guest_alloc(&dev->mem, 96, 64);
	char *p = guest_ptr(&dev->mem, data, 96);

	do_io(scsi_queue(dev, 0), scsi_inquiry(data, 96), v);
	check(!memcmp(p + 8, "LIO-ORG ", 8), "the vendor is '%.8s'", p + 8);
	check(!memcmp(p + 16, "RAMDISK-MCP", 11), "the product is '%.16s'", p + 16);
}

/* Writes a pattern, reads it into another buffer, compares. */
static void write_and_read(struct vq *vq, uint32_t lba, unsigned int blocks,
			   uint64_t align, uint64_t offset, const struct mode *m)
{
	struct guest *g = &vq->dev->mem;
	size_t len = blocks * SCSI_BLOCK;
	uint64_t out = guest_alloc_in(g, 0, len, align, offset);
	uint64_t in = guest_alloc_in(g, 0, len, align, offset);

	fill(guest_ptr(g, out, len), len, lba + blocks);
	memset(guest_ptr(g, in, len), 0, len);
	do_io(vq, scsi_write10(lba, blocks, out), m);
	do_io(vq, scsi_read10(lba, blocks, in), m);
	check(!memcmp(guest_ptr(g, out, len), guest_ptr(g, in, len), len),
	      "%u blocks at %u read back otherwise than written", blocks, lba);
}

TEST_V(written_data_reads_back, modes)
{
	struct vdev *dev = start(v, 1, 0);
	struct vq *vq = scsi_queue(dev, 0);

	for (unsigned int blocks = 1; blocks <= 256; blocks *= 2)
		write_and_read(vq, 3 * blocks, blocks, GUEST_PAGE, 0, v);
	write_and_read(vq, 7, 16, GUEST_PAGE, 512, v);
}

TEST_V(index_wraps_past_65535, modes)
{
	struct vdev *dev = start(v, 1, 65535 - 100);
	struct vq *vq = scsi_queue(dev, 0);
	struct scsi_req req;

	for (unsigned int i = 0; i < 150; i++)
		do_io(vq, scsi_tur(), v);
	check_eq(vq->last_used, 49);
	/* Batches, of which one straddles the wrap of a second round. */
	for (unsigned int round = 0; round < 4; round++) {
		for (unsigned int i = 0; i < 16; i++) {
			struct scsi_io io = scsi_tur();

			io.direct = v->direct;
			req = scsi_add(vq, &io);
		}
		vq_publish(vq);
		vq_kick(vq);
		for (unsigned int i = 0; i < 16; i++)
			vq_get(vq);
		scsi_check_good(&req);
	}
	vdev_stop(dev);
	check_eq(vq_get_base(vq), 49 + 64);
}

TEST_V(four_queues_keep_their_data_apart, modes)
{
	struct vdev *dev = start(v, 4, 0);
	struct guest *g = &dev->mem;
	uint64_t out[4], in[4];
	size_t len = 8 * SCSI_BLOCK;

	for (unsigned int q = 0; q < 4; q++) {
		out[q] = guest_alloc(g, len, GUEST_PAGE);
		in[q] = guest_alloc(g, len, GUEST_PAGE);
		fill(guest_ptr(g, out[q], len), len, q);
	}
	for (unsigned int q = 0; q < 4; q++)
		do_io(scsi_queue(dev, q), scsi_write10(q * 8, 8, out[q]), v);
	/* Read through another queue than it was written through. */
	for (unsigned int q = 0; q < 4; q++)
		do_io(scsi_queue(dev, 3 - q), scsi_read10(q * 8, 8, in[q]), v);
	for (unsigned int q = 0; q < 4; q++)
		check(!memcmp(guest_ptr(g, out[q], len), guest_ptr(g, in[q], len), len),
		      "queue %u's data is not what it wrote", q);
}

TEST(no_interrupt_flag_keeps_the_device_quiet)
{
	struct vdev *dev = start(&modes[0], 1, 0);
	struct vq *vq = scsi_queue(dev, 0);

	do_io(vq, scsi_tur(), &modes[0]);
	event_take(vq->call);
	vq->no_interrupt = true;
	vq_put_avail_flags(vq, VRING_AVAIL_F_NO_INTERRUPT);
	for (unsigned int i = 0; i < 10; i++)
		do_io(vq, scsi_tur(), &modes[0]);
	check(!event_wait(vq->call, VQ_QUIET_MS), "an interrupt that nobody wanted");
	vq->no_interrupt = false;
	do_io(vq, scsi_tur(), &modes[0]);
}

TEST(bad_descriptor_breaks_the_ring)
{
	struct vdev *dev = start(&modes[0], 1, 0);
	struct vq *vq = scsi_queue(dev, 0);

	do_io(vq, scsi_tur(), &modes[0]);
	/* An avail index that is further ahead than the ring is long. */
	vq_put_avail_idx(vq, vq->avail_idx + QUEUE_SIZE + 1);
	vq_kick_always(vq);
	vq_must_break(vq);
}
