// SPDX-License-Identifier: GPL-2.0
/*
 * Zoned devices: requests about zones, and why the device refused one. To ask the device
 * for its zones is I/O that is waited for, so it is done in a workqueue:
 *
 *  - for a ZONE_REPORT;
 *  - before a read or write that crosses zones, which no sequential one may be in;
 *  - after a request that failed, for the device itself says hardly more than that.
 *    The block layer, which loses a zone's write pointer with a failed write, learns
 *    it again from this: until then it would fail all writes to the zone.
 */
#include <linux/slab.h>
#include "vhost_blk.h"

/*
 * An append must go to the device in one piece. There is no other way to tell
 * beforehand, and what is not is a warning of the block layer.
 */
static bool vhost_blk_is_whole(struct vhost_blk_req *req)
{
	struct bio *bio = &req->bios->bio;
	unsigned int segs;

	return !req->bios->next &&
	       !bio_split_rw_at(bio, &bdev_get_queue(bio->bi_bdev)->limits, &segs,
				bdev_max_zone_append_sectors(bio->bi_bdev) << SECTOR_SHIFT);
}

/* How many zones a request is in, of which none is past the device's end. */
static unsigned int vhost_blk_count_zones(struct block_device *bdev,
					  const struct vhost_blk_command *command)
{
	unsigned int shift = ilog2(bdev_zone_sectors(bdev));
	u64 sectors = max(command->bytes >> SECTOR_SHIFT, 1u);

	return ((command->sector + sectors - 1) >> shift) - (command->sector >> shift) + 1;
}

/* Calls @cb for each zone that the request is in. May sleep for long. */
static int vhost_blk_ask_zones(struct vhost_blk_req *req, report_zones_cb cb)
{
	struct block_device *bdev = vhost_blk_req_backend(req)->bdev;
	const struct vhost_blk_command *command = &req->command;
	unsigned int zones = vhost_blk_count_zones(bdev, command);
	int r;

	r = blkdev_report_zones(bdev, round_down(command->sector, bdev_zone_sectors(bdev)),
				zones, cb, req);
	return r < 0 ? r : 0;
}

static int vhost_blk_zone_must_be_conventional(struct blk_zone *zone, unsigned int idx,
					       void *data)
{
	struct vhost_blk_req *req = data;

	if (zone->type != BLK_ZONE_TYPE_CONVENTIONAL)
		req->status = VIRTIO_BLK_S_ZONE_INVALID_CMD;
	return 0;
}

/* The bios are there; they are sent, or not. */
static void vhost_blk_crossing_sync(struct vhost_blk_req *req)
{
	if (vhost_blk_ask_zones(req, vhost_blk_zone_must_be_conventional))
		req->status = VIRTIO_BLK_S_IOERR;
	if (req->status == VIRTIO_BLK_S_OK)
		vhost_blk_send(req);
	else
		vstor_cmd_done(&req->cmd);
}

int vhost_blk_submit_crossing(struct vhost_blk_req *req, struct vhost_blk_backend *backend,
			      const struct iovec *iov, unsigned int segs, size_t skip)
{
	int r = vhost_blk_map(req, backend, iov, segs, skip, false);

	if (r)
		return r;
	if (req->status == VIRTIO_BLK_S_OK)
		vhost_blk_queue_work(req, vhost_blk_crossing_sync);
	else
		vhost_blk_send(req);
	return 0;
}

static int vhost_blk_zone_judge(struct blk_zone *zone, unsigned int idx, void *data)
{
	struct vhost_blk_req *req = data;
	struct vhost_blk_limits limits;

	/* The others are only asked for the block layer's sake. */
	if (idx || req->status != VIRTIO_BLK_S_IOERR)
		return 0;
	vhost_blk_backend_limits(vhost_blk_req_backend(req), &limits);
	req->status = vhost_blk_zone_verdict(&req->command, zone, &limits);
	return 0;
}

static void vhost_blk_failed_sync(struct vhost_blk_req *req)
{
	/* Where the device does not answer the request stays as failed as it is. */
	vhost_blk_ask_zones(req, vhost_blk_zone_judge);
	vstor_cmd_done(&req->cmd);
}

/* It has ended: where that was in an error the device is asked why. */
static bool vhost_blk_zone_next(struct vstor_cmd *cmd, bool discard)
{
	struct vhost_blk_req *req = container_of(cmd, struct vhost_blk_req, cmd);

	if (discard || req->status != VIRTIO_BLK_S_OK || !req->bio_status)
		return false;
	req->status = vhost_blk_status(req->bio_status);
	vhost_blk_queue_work(req, vhost_blk_failed_sync);
	return true;
}

void vhost_blk_zone_init(struct vhost_blk_req *req)
{
	switch (req->command.op) {
	case VHOST_BLK_READ:
	case VHOST_BLK_WRITE:
	case VHOST_BLK_ZONE_APPEND:
	case VHOST_BLK_ZONE_OPEN:
	case VHOST_BLK_ZONE_CLOSE:
	case VHOST_BLK_ZONE_FINISH:
	case VHOST_BLK_ZONE_RESET:
		req->cmd.next = vhost_blk_zone_next;
		break;
	default:
		break;
	}
}

static int vhost_blk_copy_append_sector(struct vhost_blk_req *req)
{
	/* A zoned device has no partitions that its sectors would be relative to. */
	__virtio64 sector = cpu_to_blk64(req->bios->bio.bi_iter.bi_sector);
	struct iov_iter to;

	iov_iter_init(&to, ITER_DEST, req->iov, req->segs, req->in);
	iov_iter_advance(&to, req->in - sizeof(sector));
	return copy_to_iter(&sector, sizeof(sector), &to) == sizeof(sector) ? 0 : -EFAULT;
}

/* What does not go into one bio as it lies is bounced. -EAGAIN: not now. */
static int vhost_blk_map_append(struct vhost_blk_req *req, struct vhost_blk_backend *backend,
				const struct iovec *iov, unsigned int segs)
{
	const size_t skip = sizeof(struct virtio_blk_outhdr);
	int r = vhost_blk_map(req, backend, iov, segs, skip, false);

	if (r || req->status != VIRTIO_BLK_S_OK || vhost_blk_is_whole(req))
		return r;
	vhost_blk_free_bios(req);
	r = vhost_blk_map(req, backend, iov, segs, skip, true);
	if (r || req->status != VIRTIO_BLK_S_OK || vhost_blk_is_whole(req))
		return r;
	/* The device's limits are others than when the request was checked. */
	vhost_blk_free_bios(req);
	req->status = VIRTIO_BLK_S_IOERR;
	return 0;
}

int vhost_blk_submit_append(struct vhost_blk_req *req, struct vhost_blk_backend *backend,
			    const struct iovec *iov, unsigned int out, unsigned int in)
{
	int r = vhost_blk_save_iov(req, iov + out, in);

	if (r) {
		req->status = VIRTIO_BLK_S_IOERR;
		vstor_cmd_done(&req->cmd);
		return 0;
	}
	r = vhost_blk_map_append(req, backend, iov, out);
	if (r)
		return r;
	req->answer = vhost_blk_copy_append_sector;
	/* A wide status has bytes before it that nobody writes. */
	req->written = req->in == VHOST_BLK_APPEND_BYTES ? VHOST_BLK_APPEND_BYTES : 0;
	vhost_blk_send(req);
	return 0;
}

static enum req_op vhost_blk_zone_op(enum vhost_blk_op op)
{
	switch (op) {
	case VHOST_BLK_ZONE_OPEN:
		return REQ_OP_ZONE_OPEN;
	case VHOST_BLK_ZONE_CLOSE:
		return REQ_OP_ZONE_CLOSE;
	case VHOST_BLK_ZONE_FINISH:
		return REQ_OP_ZONE_FINISH;
	case VHOST_BLK_ZONE_RESET:
		return REQ_OP_ZONE_RESET;
	default:
		return REQ_OP_ZONE_RESET_ALL;
	}
}

void vhost_blk_submit_zone(struct vhost_blk_req *req, struct vhost_blk_backend *backend)
{
	blk_opf_t opf = vhost_blk_zone_op(req->command.op) | REQ_SYNC;

	/*
	 * To the block layer two of them at the same zone, both of no bytes, are
	 * neighbours: it would make one request of them, and BUG when that has ended.
	 */
	opf |= REQ_NOMERGE;
	req->bios = vhost_blk_new_bio(req, backend, opf, 0);
	req->bios->bio.bi_iter.bi_sector = req->command.sector;
	vhost_blk_send(req);
}

/* VIRTIO has the kernel's numbers: both are those of ZBC. */
static_assert(VIRTIO_BLK_ZT_CONV == (int)BLK_ZONE_TYPE_CONVENTIONAL);
static_assert(VIRTIO_BLK_ZT_SWR == (int)BLK_ZONE_TYPE_SEQWRITE_REQ);
static_assert(VIRTIO_BLK_ZT_SWP == (int)BLK_ZONE_TYPE_SEQWRITE_PREF);
static_assert(VIRTIO_BLK_ZS_NOT_WP == (int)BLK_ZONE_COND_NOT_WP);
static_assert(VIRTIO_BLK_ZS_EMPTY == (int)BLK_ZONE_COND_EMPTY);
static_assert(VIRTIO_BLK_ZS_IOPEN == (int)BLK_ZONE_COND_IMP_OPEN);
static_assert(VIRTIO_BLK_ZS_EOPEN == (int)BLK_ZONE_COND_EXP_OPEN);
static_assert(VIRTIO_BLK_ZS_CLOSED == (int)BLK_ZONE_COND_CLOSED);
static_assert(VIRTIO_BLK_ZS_RDONLY == (int)BLK_ZONE_COND_READONLY);
static_assert(VIRTIO_BLK_ZS_FULL == (int)BLK_ZONE_COND_FULL);
static_assert(VIRTIO_BLK_ZS_OFFLINE == (int)BLK_ZONE_COND_OFFLINE);

/* The buffer was zeroed, and has room for as many as were asked for. */
static int vhost_blk_report_zone(struct blk_zone *zone, unsigned int idx, void *data)
{
	struct virtio_blk_zone_descriptor *to =
		&((struct vhost_blk_req *)data)->report->zones[idx];

	to->z_cap = cpu_to_blk64(zone->capacity);
	to->z_start = cpu_to_blk64(zone->start);
	to->z_wp = cpu_to_blk64(zone->wp);
	to->z_type = zone->type;
	to->z_state = zone->cond;
	return 0;
}

static void vhost_blk_report_sync(struct vhost_blk_req *req)
{
	struct virtio_blk_zone_report *report = req->report;
	unsigned int room = (req->command.bytes - sizeof(*report)) / sizeof(report->zones[0]);
	int zones;

	zones = blkdev_report_zones(vhost_blk_req_backend(req)->bdev, req->command.sector,
				    room, vhost_blk_report_zone, req);
	if (zones < 0) {
		req->status = VIRTIO_BLK_S_IOERR;
	} else {
		report->nr_zones = cpu_to_blk64(zones);
		req->written = struct_size(report, zones, zones);
	}
	vstor_cmd_done(&req->cmd);
}

static int vhost_blk_copy_report(struct vhost_blk_req *req)
{
	struct iov_iter to;

	iov_iter_init(&to, ITER_DEST, req->iov, req->segs, req->written);
	return copy_to_iter(req->report, req->written, &to) == req->written ? 0 : -EFAULT;
}

int vhost_blk_submit_report(struct vhost_blk_req *req, const struct iovec *iov,
			    unsigned int segs)
{
	u32 bytes = req->command.bytes;

	if (!vhost_blk_reserve(to_vhost_blk_vq(req->cmd.svq), req, bytes))
		return -EAGAIN;
	req->report = kvzalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!req->report || vhost_blk_save_iov(req, iov, segs)) {
		req->status = VIRTIO_BLK_S_IOERR;
		vstor_cmd_done(&req->cmd);
		return 0;
	}
	req->answer = vhost_blk_copy_report;
	vhost_blk_queue_work(req, vhost_blk_report_sync);
	return 0;
}
