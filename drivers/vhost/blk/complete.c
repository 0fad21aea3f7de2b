// SPDX-License-Identifier: GPL-2.0
/* What the device says becomes what the guest sees. */
#include <linux/slab.h>
#include "vhost_blk.h"
#include "trace.h"

static void vhost_blk_settle(struct vhost_blk_req *req, bool discard)
{
	if (req->status == VIRTIO_BLK_S_OK)
		req->status = vhost_blk_status(req->bio_status);
	if (req->status == VIRTIO_BLK_S_OK && req->answer && !discard && req->answer(req))
		req->status = VIRTIO_BLK_S_IOERR;
	/* Parts may have been read; which, nobody knows. */
	if (req->status != VIRTIO_BLK_S_OK)
		req->written = 0;
}

static void vhost_blk_free_tables(struct vhost_blk_req *req)
{
	kfree(req->ranges);
	req->ranges = NULL;
	kvfree(req->report);
	kfree(req->iov);
}

s64 vhost_blk_finish(struct vstor_cmd *cmd, bool discard)
{
	struct vhost_blk_req *req = container_of(cmd, struct vhost_blk_req, cmd);
	struct vhost_blk_vq *bq = to_vhost_blk_vq(cmd->svq);
	s64 used;

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
