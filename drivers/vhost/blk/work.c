// SPDX-License-Identifier: GPL-2.0
/*
 * What file systems and block devices do only synchronously must not hold up a vq's
 * worker: a workqueue does it, at the cost of the control groups that pay for the
 * worker.
 */
#include <linux/blk-cgroup.h>
#include <linux/cgroup.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include "vhost_blk.h"

/* One guest's flushes must leave room for those of the others: each device has its own. */
#define VHOST_BLK_WORKS	16

#ifdef CONFIG_BLK_CGROUP
static struct cgroup_subsys_state *vhost_blk_io_group(void)
{
	return task_get_css(current, io_cgrp_id);
}

static void vhost_blk_put_io_group(struct cgroup_subsys_state *group)
{
	css_put(group);
}
#else
static struct cgroup_subsys_state *vhost_blk_io_group(void)
{
	return NULL;
}

static void vhost_blk_put_io_group(struct cgroup_subsys_state *group)
{
}
#endif

static void vhost_blk_work(struct work_struct *work)
{
	struct vhost_blk_req *req = container_of(work, struct vhost_blk_req, work);
	/* The request may be another one before this is over. */
	struct cgroup_subsys_state *io_group = req->io_group;
	struct mem_cgroup *memory = req->memory_group, *before;

	kthread_associate_blkcg(io_group);
	before = set_active_memcg(memory);
	req->sync(req);
	set_active_memcg(before);
	kthread_associate_blkcg(NULL);
	mem_cgroup_put(memory);
	vhost_blk_put_io_group(io_group);
}

void vhost_blk_queue_work(struct vhost_blk_req *req, void (*sync)(struct vhost_blk_req *req))
{
	req->sync = sync;
	req->io_group = vhost_blk_io_group();
	req->memory_group = get_mem_cgroup_from_mm(current->mm);
	INIT_WORK(&req->work, vhost_blk_work);
	queue_work(to_vhost_blk_vq(req->cmd.svq)->blk->works, &req->work);
}

int vhost_blk_work_init(struct vhost_blk *blk)
{
	if (!blk->works)
		blk->works = alloc_workqueue("vhost_blk-%u", WQ_UNBOUND, VHOST_BLK_WORKS,
					     blk->number);
	return blk->works ? 0 : -ENOMEM;
}

void vhost_blk_work_exit(struct vhost_blk *blk)
{
	if (blk->works)
		destroy_workqueue(blk->works);
}
