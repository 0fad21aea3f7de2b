// SPDX-License-Identifier: GPL-2.0
/*
 * What sleeps must not hold up a vq's worker: a workqueue does it, at the cost of the
 * control groups that pay for the worker.
 */
#include <linux/blk-cgroup.h>
#include <linux/cgroup.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include "vhost_storage.h"

/* One guest's must leave room for those of the others: each device has its own. */
#define VSTOR_WORKS	16

#ifdef CONFIG_BLK_CGROUP
static struct cgroup_subsys_state *vstor_io_group(void)
{
	return task_get_css(current, io_cgrp_id);
}

static void vstor_put_io_group(struct cgroup_subsys_state *group)
{
	css_put(group);
}
#else
static struct cgroup_subsys_state *vstor_io_group(void)
{
	return NULL;
}

static void vstor_put_io_group(struct cgroup_subsys_state *group)
{
}
#endif

static void vstor_work_run(struct work_struct *work)
{
	struct vstor_work *vwork = container_of(work, struct vstor_work, work);
	/* What it is in may be something else before this is over. */
	struct cgroup_subsys_state *io_group = vwork->io_group;
	struct mem_cgroup *memory = vwork->memory_group, *before;

	kthread_associate_blkcg(io_group);
	before = set_active_memcg(memory);
	vwork->fn(vwork);
	set_active_memcg(before);
	kthread_associate_blkcg(NULL);
	mem_cgroup_put(memory);
	vstor_put_io_group(io_group);
}

void vstor_work_queue(struct workqueue_struct *works, struct vstor_work *work,
		      void (*fn)(struct vstor_work *work))
{
	work->fn = fn;
	work->io_group = vstor_io_group();
	work->memory_group = get_mem_cgroup_from_mm(current->mm);
	INIT_WORK(&work->work, vstor_work_run);
	queue_work(works, &work->work);
}
EXPORT_SYMBOL_NS_GPL(vstor_work_queue, VHOST_STORAGE);

struct workqueue_struct *vstor_works_alloc(const char *name, unsigned int number)
{
	return alloc_workqueue("%s-%u", WQ_UNBOUND, VSTOR_WORKS, name, number);
}
EXPORT_SYMBOL_NS_GPL(vstor_works_alloc, VHOST_STORAGE);
