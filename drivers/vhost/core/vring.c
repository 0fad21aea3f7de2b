// SPDX-License-Identifier: GPL-2.0
/*
 * From the available ring to the module's ->take(), and from ->finish() to the
 * used ring. Both run in the vq's worker, or, when a device is stopped, in the
 * task that stops it; vq->mutex keeps them apart.
 */
#define pr_fmt(fmt) "vhost_storage: " fmt

#include <linux/blkdev.h>
#include "log.h"
#include "vhost_storage.h"

#define CREATE_TRACE_POINTS
#include "vstor_trace.h"

/*
 * Busy polling lets go of vq->mutex and of the CPU this often, for ioctls and for
 * whatever else the worker has to do.
 */
#define VSTOR_POLL_SLICE	(50 * NSEC_PER_USEC)

static bool vstor_vq_runs(struct vstor_vq *svq)
{
	return vhost_vq_get_backend(&svq->vq) && !svq->stopped && !svq->broken;
}

void vstor_vq_break(struct vstor_vq *svq, const char *why)
{
	lockdep_assert_held(&svq->vq.mutex);

	svq->broken = true;
	vstor_count(&svq->stats.breaks, 1);
	vq_err(&svq->vq, "vq stopped: %s\n", why);
}
EXPORT_SYMBOL_NS_GPL(vstor_vq_break, VHOST_STORAGE);

/*
 * Takes one chain. Returns its bytes; -ENODATA when the ring is empty and will
 * kick us; -EAGAIN when intake must wait for a completion.
 */
static ssize_t vstor_vq_take(struct vstor_vq *svq)
{
	unsigned int out, in;
	ssize_t bytes;
	int head;

	if (!svq->ops->ready(svq))
		return -EAGAIN;
	head = vstor_chain_get(svq, &out, &in);
	if (head == -ENODATA)
		return head;
	if (head < 0) {
		vstor_vq_break(svq, "bad descriptor chain");
		return head;
	}
	bytes = svq->ops->take(svq, head, out, in);
	if (bytes == -EAGAIN)
		vhost_discard_vq_desc(&svq->vq, 1);
	else if (bytes < 0)
		vstor_vq_break(svq, "a request that cannot be answered");
	return bytes;
}

/* Busy polling has its time from the last command on; the ioctl may change it meanwhile. */
static bool vstor_vq_polls(const struct vstor_vq *svq, u64 now)
{
	return now < svq->active_at + (u64)svq->vq.busyloop_timeout * NSEC_PER_USEC;
}

/*
 * Takes what is available, within the vq's weight: how many commands. *@ended is why
 * it took no more, as from vstor_vq_take(); 0: vhost has queued the rest behind other
 * work.
 */
static unsigned int vstor_vq_take_all(struct vstor_vq *svq, int *ended)
{
	unsigned int taken = 0;
	size_t total = 0;
	ssize_t bytes;

	*ended = 0;
	do {
		bytes = vstor_vq_take(svq);
		if (bytes < 0) {
			*ended = bytes;
			break;
		}
		total += bytes;
	} while (!vhost_exceeds_weight(&svq->vq, ++taken, min_t(size_t, total, INT_MAX)));
	return taken;
}

/*
 * One batch from the ring to the device. Kicks are off while it runs and stay so,
 * unless the ring is empty and nobody polls it. Returns whether it is empty.
 */
static bool vstor_vq_intake(struct vstor_vq *svq)
{
	struct vhost_virtqueue *vq = &svq->vq;
	unsigned int taken;
	int ended;

	svq->now = ktime_get_ns();
	WRITE_ONCE(svq->stats.worker, task_pid_nr(current));
	vhost_disable_notify(vq->dev, vq);
	if (svq->ops->begin)
		svq->ops->begin(svq);
	taken = vstor_vq_take_all(svq, &ended);
	if (taken) {
		vstor_stats_taken(svq, taken);
		svq->active_at = svq->now;
	}
	svq->starved = ended == -EAGAIN;
	return ended == -ENODATA;
}

/*
 * A batch under one plug; then what needed no device, or whose device was quick. While
 * @serving is set nobody wakes the worker for what is done: it comes by itself, and
 * looks once more when it has cleared it.
 */
static bool vstor_vq_serve(struct vstor_vq *svq)
{
	struct blk_plug plug;
	bool empty;

	WRITE_ONCE(svq->serving, true);
	blk_start_plug(&plug);
	empty = vstor_vq_intake(svq);
	blk_finish_plug(&plug);
	/* Pairs with the one of llist_add() in vstor_cmd_done(). */
	smp_store_mb(svq->serving, false);
	vstor_vq_complete(svq);
	return empty;
}

/* Is the ring worth another look without a kick? Sleeps no longer than a slice. */
static bool vstor_vq_poll(struct vstor_vq *svq)
{
	struct vhost_virtqueue *vq = &svq->vq;
	u64 now, slice;

	/* Not even a look at the clock where nobody polls. */
	if (!vq->busyloop_timeout)
		return vhost_enable_notify(vq->dev, vq);
	now = ktime_get_ns();
	slice = now + VSTOR_POLL_SLICE;
	while (vstor_vq_polls(svq, now)) {
		if (now >= slice || need_resched() || signal_pending(current) ||
		    vhost_vq_has_work(vq) || !vhost_vq_avail_empty(vq->dev, vq))
			return true;
		cpu_relax();
		now = ktime_get_ns();
	}
	/* Looks once more after it asked for kicks. */
	return vhost_enable_notify(vq->dev, vq);
}

void vstor_vq_look(struct vstor_vq *svq)
{
	lockdep_assert_held(&svq->vq.mutex);

	if (!vstor_vq_runs(svq))
		return;
	vstor_count(&svq->stats.kicks, 1);
	/* Again, but behind what else the worker has to do. */
	if (vstor_vq_serve(svq) && vstor_vq_poll(svq))
		vstor_vq_poke(svq);
}
EXPORT_SYMBOL_NS_GPL(vstor_vq_look, VHOST_STORAGE);

static void vstor_vq_kick(struct vhost_work *work)
{
	struct vhost_virtqueue *vq =
		container_of(work, struct vhost_virtqueue, poll.work);

	mutex_lock(&vq->mutex);
	vstor_vq_look(to_vstor_vq(vq));
	mutex_unlock(&vq->mutex);
}

void vstor_vq_poke(struct vstor_vq *svq)
{
	vhost_poll_queue(&svq->vq.poll);
}
EXPORT_SYMBOL_NS_GPL(vstor_vq_poke, VHOST_STORAGE);

int vstor_cmd_init(struct vstor_cmd *cmd, struct vstor_vq *svq, u16 head)
{
	lockdep_assert_held(&svq->vq.mutex);

	cmd->svq = svq;
	cmd->next = NULL;
	cmd->taken_at = svq->now;
	cmd->head = head;
	atomic_inc(&svq->in_flight);
	return vstor_log_save(cmd);
}
EXPORT_SYMBOL_NS_GPL(vstor_cmd_init, VHOST_STORAGE);

void vstor_cmd_undo(struct vstor_cmd *cmd)
{
	vstor_log_forget(cmd);
	atomic_dec(&cmd->svq->in_flight);
}
EXPORT_SYMBOL_NS_GPL(vstor_cmd_undo, VHOST_STORAGE);

/*
 * Once the command is on the list it may be finished, and after the last one
 * the vq freed: vstor_dev_stop() waits for the RCU readers before that.
 */
void vstor_cmd_done(struct vstor_cmd *cmd)
{
	struct vstor_vq *svq = cmd->svq;

	rcu_read_lock();
	if (llist_add(&cmd->node, &svq->done) && !READ_ONCE(svq->serving))
		/* False when the owner was killed: drain.c finishes it then. */
		vhost_vq_work_queue(&svq->vq, &svq->done_work);
	/* The full barrier in it pairs with the one in wait_event(). */
	if (wq_has_sleeper(&svq->drained))
		wake_up(&svq->drained);
	rcu_read_unlock();
}
EXPORT_SYMBOL_NS_GPL(vstor_cmd_done, VHOST_STORAGE);

/*
 * VIRTIO 2.7.7.2: does the guest want to be told of the entries since it was last
 * told? vhost_signal() would do, but does not say what it did.
 */
static bool vstor_vq_wants_signal(struct vstor_vq *svq)
{
	struct vhost_virtqueue *vq = &svq->vq;
	u16 told = vq->signalled_used, used = vq->last_used_idx;
	bool known = vq->signalled_used_valid;
	__virtio16 __user *used_event = (__virtio16 __user *)&vq->avail->ring[vq->num];
	__virtio16 flags, event;

	/* The used index is written before what the driver wants is read. */
	smp_mb();
	if (!vhost_has_feature(vq, VIRTIO_RING_F_EVENT_IDX)) {
		if (get_user(flags, &vq->avail->flags))
			return true;
		return !(vhost16_to_cpu(vq, flags) & VRING_AVAIL_F_NO_INTERRUPT);
	}
	vq->signalled_used = used;
	vq->signalled_used_valid = true;
	/* Unreadable: one signal too many does no harm. */
	if (!known || get_user(event, used_event))
		return true;
	return vring_need_event(vhost16_to_cpu(vq, event), used, told);
}

/* Pushes @n used entries that are in vq->heads and tells the guest. */
static void vstor_vq_push(struct vstor_vq *svq, unsigned int n)
{
	struct vhost_virtqueue *vq = &svq->vq;
	bool signal;

	if (vhost_add_used_n(vq, vq->heads, n)) {
		vstor_vq_break(svq, "used ring not writable");
		return;
	}
	signal = vq->call_ctx.ctx && vstor_vq_wants_signal(svq);
	if (signal) {
		eventfd_signal(vq->call_ctx.ctx);
		vstor_count(&svq->stats.signals, 1);
	}
	vstor_stats_pushed(svq, n);
	trace_vstor_signal(svq, n, signal);
}

/*
 * Ends a command, as ->finish() does. What it wrote is logged before anything tells the
 * guest of it.
 */
static __always_inline s64 vstor_cmd_finish(struct vstor_vq *svq, struct vstor_cmd *cmd,
					    bool discard)
{
	s64 used = svq->ops->finish(cmd, discard);

	if (used == VSTOR_CMD_UNTOLD)
		vstor_vq_break(svq, "status not writable");
	if (vhost_has_feature(&svq->vq, VHOST_F_LOG_ALL) && !discard && vstor_log_written(cmd)) {
		vstor_vq_break(svq, "dirty log not writable");
		used = VSTOR_CMD_UNTOLD;
	}
	vstor_log_forget(cmd);
	atomic_dec(&svq->in_flight);
	return used;
}

void vstor_vq_complete(struct vstor_vq *svq)
{
	struct vhost_virtqueue *vq = &svq->vq;
	/* A closed device, perhaps in the hands of another process. */
	bool discard = current->mm != vq->dev->mm;
	struct vstor_cmd *cmd, *next;
	struct llist_node *done;
	unsigned int n = 0;
	bool ended = false;
	u64 now, taken_at;
	s64 used;

	lockdep_assert_held(&vq->mutex);

	done = llist_reverse_order(llist_del_all(&svq->done));
	if (!done)
		return;
	now = ktime_get_ns();
	llist_for_each_entry_safe(cmd, next, done, node) {
		if (cmd->next && cmd->next(cmd, discard))
			continue;
		/* ->finish() frees the command. */
		vq->heads[n].id = cpu_to_vhost32(vq, cmd->head);
		taken_at = cmd->taken_at;
		used = vstor_cmd_finish(svq, cmd, discard);
		vstor_stats_latency(svq, now - taken_at);
		ended = true;
		if (used == VSTOR_CMD_UNTOLD)
			continue;
		vq->heads[n].len = cpu_to_vhost32(vq, used);
		/* No more than the ring has entries, and heads has room for. */
		n++;
	}
	if (n && !discard)
		vstor_vq_push(svq, n);
	svq->active_at = now;
	/* drain.c may wait for the last one; vstor_cmd_done() woke it too early. */
	if (ended && wq_has_sleeper(&svq->drained))
		wake_up(&svq->drained);
	if (ended && svq->starved) {
		svq->starved = false;
		vstor_vq_poke(svq);
	}
}
EXPORT_SYMBOL_NS_GPL(vstor_vq_complete, VHOST_STORAGE);

static void vstor_vq_done(struct vhost_work *work)
{
	struct vstor_vq *svq = container_of(work, struct vstor_vq, done_work);

	mutex_lock(&svq->vq.mutex);
	vstor_vq_complete(svq);
	mutex_unlock(&svq->vq.mutex);
}

int vstor_vq_start(struct vstor_vq *svq)
{
	lockdep_assert_held(&svq->vq.mutex);

	svq->broken = false;
	svq->starved = false;
	svq->region = NULL;
	return vhost_vq_init_access(&svq->vq);
}
EXPORT_SYMBOL_NS_GPL(vstor_vq_start, VHOST_STORAGE);

void vstor_vq_init(struct vstor_vq *svq, const struct vstor_ops *ops,
		   unsigned int number, unsigned int index)
{
	svq->ops = ops;
	svq->number = number;
	svq->index = index;
	svq->vq.handle_kick = vstor_vq_kick;
	init_llist_head(&svq->done);
	vhost_work_init(&svq->done_work, vstor_vq_done);
	atomic_set(&svq->in_flight, 0);
	init_waitqueue_head(&svq->drained);
}
EXPORT_SYMBOL_NS_GPL(vstor_vq_init, VHOST_STORAGE);
