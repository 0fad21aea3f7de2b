// SPDX-License-Identifier: GPL-2.0
/* What file systems and block devices do only synchronously: see core/work.c. */
#include "vhost_blk.h"

static void vhost_blk_work(struct vstor_work *work)
{
	struct vhost_blk_req *req = container_of(work, struct vhost_blk_req, work);

	req->sync(req);
}

void vhost_blk_queue_work(struct vhost_blk_req *req, void (*sync)(struct vhost_blk_req *req))
{
	req->sync = sync;
	vstor_work_queue(to_vhost_blk_vq(req->cmd.svq)->blk->works, &req->work, vhost_blk_work);
}

int vhost_blk_work_init(struct vhost_blk *blk)
{
	if (!blk->works)
		blk->works = vstor_works_alloc("vhost_blk", blk->number);
	return blk->works ? 0 : -ENOMEM;
}

void vhost_blk_work_exit(struct vhost_blk *blk)
{
	if (blk->works)
		destroy_workqueue(blk->works);
}
