// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log of all three sorts of queue: what the device wrote is in it when the used
 * entry comes.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "integrity.h"
#include "logged.h"
#include "scsi.h"
#include "tap.h"

static struct vdev *start_on(const struct scsi_lun *lun, uint64_t features)
{
	struct vdev *dev = scsi_start(scsi_target_with(lun), 1, 128, SCSI_FEATURES | features);

	vdev_start(dev);
	return dev;
}

static void must_have(const struct dirty *d, uint64_t from, uint64_t len, const char *what)
{
	for (uint64_t at = from & -GUEST_PAGE; at < from + len; at += GUEST_PAGE)
		check(dirty_has(d, at), "%s at 0x%llx is not in the log", what,
		      (unsigned long long)at);
}

/* The writable pieces of what has come back, and the ring that told of it. */
static void must_be_logged(const struct dirty *d, const struct blk_req *req)
{
	const struct vq *vq = req->vq;

	for (unsigned int i = 0; i < req->n; i++)
		if (req->pieces[i].seg.write)
			must_have(d, req->pieces[i].seg.addr, req->pieces[i].seg.len, "a piece");
	must_have(d, vq->used_gpa, sizeof(struct vring_used), "the used index");
	must_have(d, vq->used_gpa + sizeof(struct vring_used) +
		     (vq->last_used - 1) % vq->num * sizeof(struct vring_used_elem),
		  sizeof(struct vring_used_elem), "a used entry");
}

static const struct {
	const char *name;
	struct scsi_cmd cmd;
	struct blk_layout layout;
} commands[] = {
	{ "inquiry", { .cdb = { 0x12, [4] = 96 }, .in_len = 96 }, { "", .direct = VQ_DIRECT } },
	{ "read", { .cdb = { 0x28, [8] = 64 }, .in_len = 32768 }, { "" } },
	{ "read_in_pieces", { .cdb = { 0x28, [8] = 64 }, .in_len = 32768 },
	  { "", .in = { 108 }, .in_every = 512 } },
	{ "read_bounced", { .cdb = { 0x28, [8] = 64 }, .in_len = 32768 },
	  { "", .in = { 108 }, .in_every = 1000, .offset = 3, .direct = VQ_DIRECT } },
	{ "response_in_pieces", { .cdb = { 0x28, [8] = 1 }, .in_len = 512 },
	  { "", .in_every = 20 } },
	{ "failing_read", { .cdb = { 0x28, 0, 0xff, [8] = 64 }, .in_len = 32768 }, { "" } },
	{ "no_such_lun", { .cdb = { 0x00 }, .lun = (const uint8_t[8]){ 1, SCSI_TPGT, 0x40, 9 } },
	  { "", .direct = VQ_DIRECT } },
};

TEST_PATHS(command_is_logged, commands)
{
	struct vdev *dev = start_on(&(struct scsi_lun){ .mb = 16 }, 0);
	struct dirty d = dirty_new(dev);
	struct scsi_cmd cmd = v->cmd;
	struct scsi_result res;

	cmd.layout = &v->layout;
	for (unsigned int round = 0; round < 20; round++) {
		dirty_start(&d);
		res = scsi_cmd_do(scsi_queue(dev, 0), &cmd);
		must_be_logged(&d, &res.io);
		scsi_result_free(&res);
		dirty_stop(&d);
	}
}

/* Logging begins while it is under way. */
TEST(command_in_flight_is_logged)
{
	const char *path = dm_linear_new(nullb_new(&(struct nullb){ .mb = 16 }), 32768);
	struct vdev *dev = start_on(&(struct scsi_lun){ .path = path }, 0);
	struct vq *vq = scsi_queue(dev, 0);
	struct dirty d = dirty_new(dev);
	struct scsi_cmd read = scsi_cmd_read(0, 128);
	struct scsi_result res;

	disk_suspend(path);
	res = scsi_cmd_add(vq, &read);
	blk_send(vq);
	sleep_ms(patience(200));
	dirty_start(&d);
	disk_resume(path);
	scsi_cmd_finish(&res, vq_get(vq));
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	must_be_logged(&d, &res.io);
}

TEST(answer_of_the_control_queue_is_logged)
{
	const struct blk_layout whole = { "", .direct = VQ_DIRECT };
	const struct virtio_scsi_ctrl_tmf_req tmf = {
		.type = htole32(VIRTIO_SCSI_T_TMF),
		.subtype = htole32(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET),
		.lun = { 1, SCSI_TPGT, 0x40, 0 },
	};
	struct vdev *dev = start_on(&(struct scsi_lun){ .mb = 16 }, 0);
	struct dirty d = dirty_new(dev);
	unsigned char none = SCSI_NO_RESPONSE;
	struct blk_req req;

	dirty_start(&d);
	req = req_add(dev->vqs[0], &tmf, sizeof(tmf), &none, 1, &whole);
	blk_send(dev->vqs[0]);
	req_finish(&req, vq_get(dev->vqs[0]));
	check_eq(req.in[0], VIRTIO_SCSI_S_OK);
	must_be_logged(&d, &req);
}

TEST(events_are_logged)
{
	const struct blk_layout whole = { "", .direct = VQ_DIRECT };
	struct vdev *dev = start_on(&(struct scsi_lun){ .mb = 1 }, BIT(VIRTIO_SCSI_F_HOTPLUG));
	struct dirty d = dirty_new(dev);
	unsigned char untouched[sizeof(struct virtio_scsi_event)];
	struct blk_req req;

	memset(untouched, SCSI_NO_RESPONSE, sizeof(untouched));
	for (unsigned int lun = 1; lun < 5; lun++) {
		req = req_add(dev->vqs[1], NULL, 0, untouched, sizeof(untouched), &whole);
		blk_send(dev->vqs[1]);
		dirty_start(&d);
		scsi_lun_add(lun, &(struct scsi_lun){ .mb = 1 });
		req_finish(&req, vq_get(dev->vqs[1]));
		must_be_logged(&d, &req);
		dirty_stop(&d);
	}
}

static void add_response(struct logged_slot *s)
{
	s->segs[s->n++] = (struct seg){ s->device, sizeof(struct virtio_scsi_cmd_resp), true };
}

/* A read or a write; with protection information, where it is to be, before the data. */
static struct scsi_cmd make_io(struct logged *l, struct logged_slot *s, bool write, bool fails)
{
	bool protected = !write && l->dev->features & BIT(VIRTIO_SCSI_F_T10_PI);
	struct logged_slot data = { 0 };
	uint32_t blocks, lba;

	blocks = logged_add_data(l, &data, !write) / SECTOR;
	lba = fails ? l->sectors : logged_draw(l, l->sectors - blocks);
	if (!write)
		add_response(s);
	if (protected)
		logged_add_piece(l, s, blocks * PI_TUPLE, true);
	memcpy(s->segs + s->n, data.segs, data.n * sizeof(*data.segs));
	s->n += data.n;
	if (write)
		add_response(s);
	if (write)
		return scsi_cmd_write(lba, blocks, NULL);
	return protected ? scsi_cmd_read_pi(lba, blocks) : scsi_cmd_read(lba, blocks);
}

/* One of all sorts: most read, some fail. */
static void make(struct logged *l, struct logged_slot *s)
{
	unsigned int sort = logged_draw(l, 20);
	struct scsi_cmd cmd = { 0 };

	s->n = 1;
	if (sort < 2) {
		add_response(s);
	} else if (sort < 4) {
		cmd.cdb[0] = 0x12;
		cmd.cdb[4] = 96;
		add_response(s);
		logged_add_piece(l, s, 96, true);
	} else {
		cmd = make_io(l, s, sort < 8, sort == 19);
	}
	s->segs[0] = (struct seg){
		.addr = s->driver,
		.len = scsi_put_header(l->dev, &cmd, guest_ptr(&l->dev->mem, s->driver, GUEST_PAGE)),
	};
}

/* INTREE, from the environment: the kernel's own module, to see what that does. */
static void run(const struct way *v, const char *path, uint64_t features)
{
	const char *target;
	struct vdev *dev;

	if (getenv("INTREE"))
		scsi_load_intree();
	target = scsi_target_with(&(struct scsi_lun){ .path = path });
	dev = scsi_start(target, v->queues, 1024, SCSI_FEATURES | features |
			 (v->indirect ? BIT(VIRTIO_RING_F_EVENT_IDX) : 0));
	if (!getenv("INTREE"))
		scsi_limit_failures(0);
	logged_run(logged_new(dev, SCSI_FIRST_QUEUE, v, make, device_sectors(path)));
}

/* Logging goes on and off, and to other maps, while commands come and go. */
TEST_WAYS_LIMIT(every_written_page_is_logged, ways, 100)
{
	const char *lower = nullb_new(&(struct nullb){ .mb = 64 });

	run(v, dm_half_delayed_new(lower, (64 << 20) / SECTOR, 20), 0);
}

TEST_WAYS_LIMIT(every_page_written_with_protection_is_logged, ways, 100)
{
	static const struct pi_disk nvme = { .format = "T10-DIF-TYPE1-CRC" };

	run(v, pi_disk_new(&nvme), BIT(VIRTIO_SCSI_F_T10_PI));
}
