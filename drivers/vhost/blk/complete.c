// SPDX-License-Identifier: GPL-2.0
/* What the device says becomes what the guest sees. */
#include <linux/slab.h>
#include "vhost_blk.h"
#include "trace.h"

u8 vhost_blk_status(blk_status_t status)
{
	switch (status) {
	case BLK_STS_OK:
		return VIRTIO_BLK_S_OK;
	case BLK_STS_NOTSUPP:
		return VIRTIO_BLK_S_UNSUPP;
	case BLK_STS_ZONE_OPEN_RESOURCE:
		return VIRTIO_BLK_S_ZONE_OPEN_RESOURCE;
	case BLK_STS_ZONE_ACTIVE_RESOURCE:
		return VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE;
	default:
		return VIRTIO_BLK_S_IOERR;
	}
}

void vhost_blk_end_io(struct bio *bio)
{
	struct vhost_blk_req *req = bio->bi_private;

	/* Any of several errors will do; ordered by the atomic below. */
	if (bio->bi_status)
		WRITE_ONCE(req->bio_status, bio->bi_status);
	if (atomic_dec_and_test(&req->bios_left))
		vstor_cmd_done(&req->cmd);
}

/* A bounced read's data goes to the guest. */
static int vhost_blk_copy_read(struct vhost_blk_req *req)
{
	struct vhost_blk_bio *bio;
	struct iov_iter to;
	int r = 0;

	iov_iter_init(&to, ITER_DEST, req->iov, req->segs, req->written);
	for (bio = req->bios; bio && !r; bio = bio->next)
		r = vstor_bio_copy(&bio->bio, &to);
	return r;
}

/* What the guest is to have beside the status byte. */
static int vhost_blk_copy_answer(struct vhost_blk_req *req)
{
	switch (req->command.op) {
	case VHOST_BLK_ZONE_APPEND:
		return vhost_blk_copy_append_sector(req);
	case VHOST_BLK_ZONE_REPORT:
		return vhost_blk_copy_report(req);
	default:
		return vhost_blk_copy_read(req);
	}
}

static void vhost_blk_settle(struct vhost_blk_req *req, bool discard)
{
	if (req->status == VIRTIO_BLK_S_OK)
		req->status = vhost_blk_status(req->bio_status);
	if (req->status == VIRTIO_BLK_S_OK && req->iov && !discard &&
	    vhost_blk_copy_answer(req))
		req->status = VIRTIO_BLK_S_IOERR;
	/* Parts may have been read; which, nobody knows. */
	if (req->status != VIRTIO_BLK_S_OK)
		req->written = 0;
}

static bool vhost_blk_goes_on(struct vhost_blk_req *req)
{
	return vhost_blk_ranges_go_on(req) || vhost_blk_zones_go_on(req);
}

static void vhost_blk_free_tables(struct vhost_blk_req *req)
{
	vhost_blk_free_ranges(req);
	kvfree(req->report);
	kfree(req->iov);
}

s64 vhost_blk_finish(struct vstor_cmd *cmd, bool discard)
{
	struct vhost_blk_req *req = container_of(cmd, struct vhost_blk_req, cmd);
	struct vhost_blk_vq *bq = to_vhost_blk_vq(cmd->svq);
	s64 used;

	/* Most requests have neither ranges nor an error. */
	if ((req->ranges || req->bio_status) && !discard && vhost_blk_goes_on(req))
		return VSTOR_CMD_GOES_ON;
	vhost_blk_settle(req, discard);
	trace_vhost_blk_complete(req);
	vhost_blk_stats_ended(bq, req);
	vhost_blk_free_bios(req);
	if (req->ranges || req->report || req->iov)
		vhost_blk_free_tables(req);
	used = vhost_blk_used_len(req->in, req->written);
	if (!discard && put_user(req->status, req->status_at))
		used = VSTOR_CMD_UNTOLD;

	bq->bytes -= req->bytes;
	req->next_free = bq->free;
	bq->free = req;
	return used;
}
