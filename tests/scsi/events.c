// SPDX-License-Identifier: GPL-2.0
/* The event queue: LUNs that come, go and grow, and events that were missed. */
#include <endian.h>
#include <string.h>
#include <sys/ioctl.h>

#include "devices.h"
#include "scsi.h"
#include "tap.h"

#define EVENT sizeof(struct virtio_scsi_event)
/* As many as the device keeps for a guest without buffers. */
#define KEPT 128

static struct vdev *start(uint64_t features)
{
	struct vdev *dev = scsi_start(scsi_target_new(1), 1, 256, SCSI_FEATURES | features);

	vdev_start(dev);
	return dev;
}

static struct vq *events_of(struct vdev *dev)
{
	return dev->vqs[1];
}

static struct blk_req give(struct vdev *dev, uint32_t len)
{
	static unsigned char untouched[64];
	const struct blk_layout whole = { "", .direct = VQ_DIRECT };
	struct blk_req req;

	memset(untouched, SCSI_NO_RESPONSE, sizeof(untouched));
	req = req_add(events_of(dev), NULL, 0, untouched, len, &whole);
	blk_send(events_of(dev));
	return req;
}

static struct virtio_scsi_event take(struct vdev *dev, struct blk_req *req)
{
	struct virtio_scsi_event event;

	req_finish(req, vq_get(events_of(dev)));
	check_eq(req->used_len, EVENT);
	memcpy(&event, req->in, EVENT);
	blk_free(req);
	return event;
}

static void must_be(const struct virtio_scsi_event *event, uint32_t type, uint32_t reason,
		    unsigned int lun)
{
	const uint8_t want[8] = { 1, SCSI_TPGT, lun < 256 ? 0 : 0x40 | lun >> 8, lun };

	check_eq(le32toh(event->event), type);
	check_eq(le32toh(event->reason), reason);
	check_same(event->lun, want, sizeof(want), "the LUN");
}

static void add(unsigned int lun)
{
	scsi_lun_add(lun, &(struct scsi_lun){ .mb = 1 });
}

static const struct {
	const char *name;
	unsigned int lun;
} luns[] = { { "1", 1 }, { "255", 255 }, { "256", 256 }, { "16383", 16383 } };

TEST_V(lun_comes_and_goes, luns)
{
	struct vdev *dev = start(BIT(VIRTIO_SCSI_F_HOTPLUG));
	struct blk_req req[2] = { give(dev, EVENT), give(dev, EVENT) };
	struct virtio_scsi_event event;

	vq_quiet(events_of(dev), VQ_QUIET_MS);
	add(v->lun);
	event = take(dev, &req[0]);
	must_be(&event, VIRTIO_SCSI_T_TRANSPORT_RESET, VIRTIO_SCSI_EVT_RESET_RESCAN, v->lun);
	scsi_lun_remove(v->lun);
	event = take(dev, &req[1]);
	must_be(&event, VIRTIO_SCSI_T_TRANSPORT_RESET, VIRTIO_SCSI_EVT_RESET_REMOVED, v->lun);
}

/* VIRTIO 5.6.6.3: a driver that does not know of hotplug is not told. */
TEST(nothing_without_hotplug)
{
	struct vdev *dev = start(0);

	give(dev, EVENT);
	add(1);
	vq_quiet(events_of(dev), VQ_QUIET_MS);
}

/* A disk that a table makes, of which there is more. */
static const char *disk;

static struct vdev *start_on_part(uint64_t features, const char **path)
{
	struct vdev *dev;

	disk = nullb_new(&(struct nullb){ 0 });
	*path = dm_linear_new(disk, 8192);
	scsi_tpg_new();
	scsi_lun_add(0, &(struct scsi_lun){ .mb = 1 });
	scsi_lun_add(3, &(struct scsi_lun){ .path = *path });
	dev = scsi_start(SCSI_WWPN, 1, 256, SCSI_FEATURES | features);
	vdev_start(dev);
	return dev;
}

/* VIRTIO 5.6.6.3: the reason is a sense code, CAPACITY DATA HAS CHANGED. */
TEST(change_of_capacity_is_told_within_a_second)
{
	const char *path;
	struct vdev *dev = start_on_part(BIT(VIRTIO_SCSI_F_CHANGE), &path);
	struct virtio_scsi_event event;
	struct blk_req req;
	uint64_t from;

	for (unsigned int sectors = 16384; sectors >= 4096; sectors /= 2) {
		req = give(dev, EVENT);
		vq_quiet(events_of(dev), VQ_QUIET_MS);
		dm_linear_set(path, disk, sectors);
		from = now_ms();
		event = take(dev, &req);
		check(now_ms() - from < CHANGE_MS, "it took %llu ms",
		      (unsigned long long)(now_ms() - from));
		must_be(&event, VIRTIO_SCSI_T_PARAM_CHANGE, 0x2a | 0x09 << 8, 3);
	}
}

TEST(change_of_capacity_is_not_told_to_others)
{
	const char *path;
	struct vdev *dev = start_on_part(BIT(VIRTIO_SCSI_F_HOTPLUG), &path);

	give(dev, EVENT);
	dm_linear_set(path, disk, 16384);
	vq_quiet(events_of(dev), CHANGE_MS);
}

/* What comes while there is no buffer waits for one. */
TEST(events_wait_for_buffers)
{
	struct vdev *dev = start(BIT(VIRTIO_SCSI_F_HOTPLUG));
	struct virtio_scsi_event event;
	struct blk_req req;

	for (unsigned int i = 1; i < 9; i++)
		add(i);
	for (unsigned int i = 1; i < 9; i++) {
		req = give(dev, EVENT);
		event = take(dev, &req);
		must_be(&event, VIRTIO_SCSI_T_TRANSPORT_RESET, VIRTIO_SCSI_EVT_RESET_RESCAN, i);
	}
	give(dev, EVENT);
	vq_quiet(events_of(dev), VQ_QUIET_MS);
}

TEST_LIMIT(too_many_events_are_missed, 120)
{
	struct vdev *dev = start(BIT(VIRTIO_SCSI_F_HOTPLUG));
	struct virtio_scsi_event event;
	struct blk_req req;
	uint32_t missed;

	for (unsigned int i = 1; i <= KEPT; i++)
		scsi_lun_add_same(i, 0);
	check_ok(ioctl(dev->fd, VHOST_SCSI_GET_EVENTS_MISSED, &missed));
	check_eq(missed, 0);
	scsi_lun_add_same(KEPT + 1, 0);
	check_ok(ioctl(dev->fd, VHOST_SCSI_GET_EVENTS_MISSED, &missed));
	check_eq(missed, 1);
	req = give(dev, EVENT);
	event = take(dev, &req);
	must_be(&event, VIRTIO_SCSI_T_TRANSPORT_RESET | VIRTIO_SCSI_T_EVENTS_MISSED,
		VIRTIO_SCSI_EVT_RESET_RESCAN, 1);
	check_ok(ioctl(dev->fd, VHOST_SCSI_GET_EVENTS_MISSED, &missed));
	check_eq(missed, 0);
	req = give(dev, EVENT);
	event = take(dev, &req);
	must_be(&event, VIRTIO_SCSI_T_TRANSPORT_RESET, VIRTIO_SCSI_EVT_RESET_RESCAN, 2);
}

/* As the destination of a migration is told that the source missed some. */
TEST(missed_is_told_without_an_event)
{
	struct vdev *dev = start(BIT(VIRTIO_SCSI_F_HOTPLUG));
	const uint8_t none[8] = { 0 };
	struct virtio_scsi_event event;
	struct blk_req req;
	uint32_t missed = 1;

	req = give(dev, EVENT);
	check_ok(ioctl(dev->fd, VHOST_SCSI_SET_EVENTS_MISSED, &missed));
	event = take(dev, &req);
	check_eq(le32toh(event.event), VIRTIO_SCSI_T_NO_EVENT | VIRTIO_SCSI_T_EVENTS_MISSED);
	check_same(event.lun, none, sizeof(none), "the LUN");
	give(dev, EVENT);
	vq_quiet(events_of(dev), VQ_QUIET_MS);
}

/* Larger buffers are only written as far as the event goes; smaller ones are a mistake. */
TEST(buffer_of_64_bytes_ok)
{
	struct vdev *dev = start(BIT(VIRTIO_SCSI_F_HOTPLUG));
	struct blk_req req = give(dev, 64);

	add(1);
	req_finish(&req, vq_get(events_of(dev)));
	check_eq(req.used_len, EVENT);
	check_eq(req.in[EVENT], SCSI_NO_RESPONSE);
}

TEST(buffer_of_15_bytes_stops_the_queue)
{
	struct vdev *dev = start(BIT(VIRTIO_SCSI_F_HOTPLUG));

	give(dev, EVENT - 1);
	add(1);
	vq_must_break(events_of(dev));
}

/* A guest that was reset is not told of what happened before. */
TEST(events_go_with_the_endpoint)
{
	struct vdev *dev = start(BIT(VIRTIO_SCSI_F_HOTPLUG));

	add(1);
	check_ok(scsi_clear_endpoint(dev, SCSI_WWPN));
	add(2);
	check_ok(scsi_set_endpoint(dev, SCSI_WWPN));
	give(dev, EVENT);
	vq_quiet(events_of(dev), VQ_QUIET_MS);
}

/* But that some were missed stays true, for who takes the guest elsewhere to ask for. */
TEST(missed_outlives_the_endpoint)
{
	struct vdev *dev = start(BIT(VIRTIO_SCSI_F_HOTPLUG));
	uint32_t missed = 1;

	check_ok(ioctl(dev->fd, VHOST_SCSI_SET_EVENTS_MISSED, &missed));
	check_ok(scsi_clear_endpoint(dev, SCSI_WWPN));
	missed = 0;
	check_ok(ioctl(dev->fd, VHOST_SCSI_GET_EVENTS_MISSED, &missed));
	check_eq(missed, 1);
}
