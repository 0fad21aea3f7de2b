// SPDX-License-Identifier: GPL-2.0
/*
 * Stopping: whoever changes what requests in flight rely on (the backend, the
 * memory table, a ring's place) first stops intake and waits until they have
 * all ended and their used entries are in the ring.
 *
 * The waiter finishes commands itself rather than rely on the worker, which is
 * gone when the owner was killed.
 */
#include <linux/nospec.h>
#include "vhost_storage.h"

/*
 * It ends when the backend ends its requests: their memory is in its hands. The owner hangs
 * for as long, so that it is told which ones it waits for.
 */
#define VSTOR_DRAIN_TELL	(10 * HZ)

/* Until the other vqs are looked at. */
#define VSTOR_DRAIN_LOOK	(HZ / 50 + 1)

/* Finishes what is done. Returns a vq that has more in flight, or NULL. */
static struct vstor_vq *vstor_dev_complete(struct vhost_dev *dev)
{
	struct vstor_vq *svq, *left = NULL;
	int i;

	for (i = 0; i < dev->nvqs; i++) {
		svq = to_vstor_vq(dev->vqs[i]);
		if (!atomic_read(&svq->in_flight))
			continue;
		mutex_lock(&svq->vq.mutex);
		vstor_vq_complete(svq);
		mutex_unlock(&svq->vq.mutex);
		if (atomic_read(&svq->in_flight))
			left = svq;
	}
	return left;
}

/*
 * All vqs in turns: the commands of one may wait for those of another, as a reset does, and
 * nobody else may be there to finish these.
 */
static void vstor_dev_drain(struct vhost_dev *dev)
{
	unsigned long tell = jiffies + VSTOR_DRAIN_TELL;
	struct vstor_vq *svq;

	while ((svq = vstor_dev_complete(dev))) {
		wait_event_timeout(svq->drained, !llist_empty(&svq->done) ||
				   !atomic_read(&svq->in_flight), VSTOR_DRAIN_LOOK);
		if (time_before(jiffies, tell))
			continue;
		pr_warn("vhost_storage: device %u vq %u: stopping, waits for the backend to end %d requests\n",
			svq->number, svq->index, atomic_read(&svq->in_flight));
		tell = jiffies + VSTOR_DRAIN_TELL;
	}
}

static void vstor_vq_set_stopped(struct vstor_vq *svq, bool stopped)
{
	mutex_lock(&svq->vq.mutex);
	svq->stopped = stopped;
	/* It goes with the memory table. */
	svq->region = NULL;
	mutex_unlock(&svq->vq.mutex);
}

void vstor_dev_stop(struct vhost_dev *dev)
{
	int i;

	/* All first, so that the waits for their commands overlap. */
	for (i = 0; i < dev->nvqs; i++)
		vstor_vq_set_stopped(to_vstor_vq(dev->vqs[i]), true);
	vstor_dev_drain(dev);
	/* vstor_cmd_done() may still be looking at the vq of its command. */
	synchronize_rcu();
	vhost_dev_flush(dev);
	vstor_hold_stop(dev);
}
EXPORT_SYMBOL_NS_GPL(vstor_dev_stop, VHOST_STORAGE);

/* Backends come and go under dev->mutex, which the caller holds. */
static bool vstor_dev_runs(struct vhost_dev *dev)
{
	int i;

	for (i = 0; i < dev->nvqs; i++)
		if (vhost_vq_get_backend(dev->vqs[i]))
			return true;
	return false;
}

void vstor_dev_resume(struct vhost_dev *dev)
{
	struct vstor_vq *svq;
	int i;

	if (vstor_dev_runs(dev))
		vstor_hold_start(dev);
	for (i = 0; i < dev->nvqs; i++) {
		svq = to_vstor_vq(dev->vqs[i]);
		vstor_vq_set_stopped(svq, false);
		/* A kick that came meanwhile found the vq stopped. */
		if (vhost_vq_get_backend(&svq->vq))
			vstor_vq_poke(svq);
	}
}
EXPORT_SYMBOL_NS_GPL(vstor_dev_resume, VHOST_STORAGE);

/*
 * Does a ring go elsewhere? Logging of its used part may be switched on and off, and
 * moved, while requests run. The owner may change what @argp has before vhost reads it:
 * then the commands of one ring end in another, which is the owner's own harm.
 */
static bool vstor_ring_moves(struct vhost_dev *dev, const struct vhost_vring_addr __user *argp)
{
	struct vhost_vring_addr to;
	struct vhost_virtqueue *vq;

	if (copy_from_user(&to, argp, sizeof(to)) || to.index >= dev->nvqs)
		return false;
	vq = dev->vqs[array_index_nospec(to.index, dev->nvqs)];
	return to.desc_user_addr != (uintptr_t)vq->desc ||
	       to.avail_user_addr != (uintptr_t)vq->avail ||
	       to.used_user_addr != (uintptr_t)vq->used;
}

/*
 * Those that replace memory which commands in flight, or the worker, use. Of the dirty
 * log nobody holds on to anything without vq->mutex.
 */
static bool vstor_ioctl_stops(struct vhost_dev *dev, unsigned int ioctl, void __user *argp)
{
	switch (ioctl) {
	case VHOST_SET_MEM_TABLE:
		return true;
	case VHOST_SET_VRING_ADDR:
		return vstor_ring_moves(dev, argp);
	default:
		return false;
	}
}

long vstor_dev_set_features(struct vhost_dev *dev, u64 features, u64 allowed)
{
	const u64 log_all = BIT_ULL(VHOST_F_LOG_ALL);
	struct vhost_virtqueue *vq;
	int i;

	lockdep_assert_held(&dev->mutex);

	if (features & ~allowed)
		return -EOPNOTSUPP;
	if (vstor_dev_runs(dev)) {
		if ((dev->vqs[0]->acked_features ^ features) & ~log_all)
			return -EBUSY;
		if (features & log_all && !vhost_log_access_ok(dev))
			return -EFAULT;
	}
	for (i = 0; i < dev->nvqs; i++) {
		vq = dev->vqs[i];
		mutex_lock(&vq->mutex);
		vq->acked_features = features;
		mutex_unlock(&vq->mutex);
	}
	return 0;
}
EXPORT_SYMBOL_NS_GPL(vstor_dev_set_features, VHOST_STORAGE);

static long vstor_vhost_ioctl(struct vhost_dev *dev, unsigned int ioctl,
			      void __user *argp)
{
	long r;

	switch (ioctl) {
	case VHOST_NEW_WORKER:
	case VHOST_FREE_WORKER:
	case VHOST_ATTACH_VRING_WORKER:
	case VHOST_GET_VRING_WORKER:
		return vhost_worker_ioctl(dev, ioctl, argp);
	default:
		r = vhost_dev_ioctl(dev, ioctl, argp);
		if (r == -ENOIOCTLCMD)
			r = vhost_vring_ioctl(dev, ioctl, argp);
		return r;
	}
}

long vstor_dev_ioctl(struct vhost_dev *dev, unsigned int ioctl,
		     void __user *argp)
{
	bool stops;
	long r;

	lockdep_assert_held(&dev->mutex);

	stops = vstor_dev_runs(dev) && !vhost_dev_check_owner(dev) &&
		vstor_ioctl_stops(dev, ioctl, argp);
	if (stops)
		vstor_dev_stop(dev);
	r = vstor_vhost_ioctl(dev, ioctl, argp);
	if (stops)
		vstor_dev_resume(dev);
	return r;
}
EXPORT_SYMBOL_NS_GPL(vstor_dev_ioctl, VHOST_STORAGE);
