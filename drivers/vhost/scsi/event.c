// SPDX-License-Identifier: GPL-2.0
/*
 * The event queue, VIRTIO 5.6.6.3: what happens to LUNs, told in buffers that the guest
 * has put there beforehand. Without one it waits here; where too much waits, it is lost
 * and the guest told that.
 */
#include <linux/slab.h>
#include "vhost_scsi.h"

static struct vhost_virtqueue *vhost_scsi_event_vq(struct vhost_scsi *scsi)
{
	return scsi->vqs[VHOST_SCSI_EVENT_VQ];
}

/* With nothing to tell, the buffers stay in the ring. */
static bool vhost_scsi_event_ready(struct vstor_vq *svq)
{
	struct vhost_scsi *scsi = to_vhost_scsi_vq(svq)->scsi;

	return scsi->nevents || scsi->events_missed;
}

/* The next event; where only some were missed, one that says no more than that. */
static struct vhost_scsi_event *vhost_scsi_next_event(struct vhost_scsi *scsi)
{
	struct vhost_scsi_event *event;

	event = list_first_entry_or_null(&scsi->events, struct vhost_scsi_event, node);
	if (event)
		return event;
	memset(&scsi->missed.event, 0, sizeof(scsi->missed.event));
	return &scsi->missed;
}

static void vhost_scsi_take_event(struct vhost_scsi *scsi, struct vhost_scsi_event *event)
{
	scsi->events_missed = false;
	if (event == &scsi->missed)
		return;
	list_del(&event->node);
	scsi->nevents--;
}

static ssize_t vhost_scsi_event_take(struct vstor_vq *svq, u16 head, unsigned int out,
				     unsigned int in)
{
	struct vhost_scsi *scsi = to_vhost_scsi_vq(svq)->scsi;
	struct vhost_scsi_event *event = vhost_scsi_next_event(scsi);
	struct vhost_virtqueue *vq = &svq->vq;
	size_t bytes = sizeof(event->event);
	struct iov_iter to;
	int r;

	if (iov_length(vq->iov + out, in) < bytes)
		return -EPROTO;
	if (scsi->events_missed)
		event->event.event |= cpu_to_vhost32(vq, VIRTIO_SCSI_T_EVENTS_MISSED);
	iov_iter_init(&to, ITER_DEST, vq->iov + out, in, bytes);
	/* In very many pieces, and no memory: the buffer's turn comes with the next event. */
	r = vstor_cmd_init(&event->cmd, svq, head) ? -EAGAIN : 0;
	if (!r && copy_to_iter(&event->event, bytes, &to) != bytes)
		r = -EFAULT;
	if (r) {
		vstor_cmd_undo(&event->cmd);
		return r;
	}
	vhost_scsi_take_event(scsi, event);
	vstor_cmd_done(&event->cmd);
	return 0;
}

static s64 vhost_scsi_event_finish(struct vstor_cmd *cmd, bool discard)
{
	struct vhost_scsi_event *event = container_of(cmd, struct vhost_scsi_event, cmd);
	struct vhost_scsi *scsi = to_vhost_scsi_vq(cmd->svq)->scsi;

	/* The core still looks at this one. */
	if (event != &scsi->missed) {
		kfree(scsi->told);
		scsi->told = event;
	}
	return sizeof(event->event);
}

const struct vstor_ops vhost_scsi_event_ops = {
	.ready = vhost_scsi_event_ready,
	.take = vhost_scsi_event_take,
	.finish = vhost_scsi_event_finish,
};

/* VIRTIO 5.6.6.1: as the guest names it, peripheral below 256, flat from there on. */
static void vhost_scsi_fill_lun(u8 *bytes, u16 tag, u64 lun)
{
	bytes[0] = 1;
	bytes[1] = tag;
	bytes[2] = lun < 256 ? 0 : (lun >> 8 | 0x40);
	bytes[3] = lun;
}

/* vq->mutex held. */
static void vhost_scsi_add_event(struct vhost_scsi *scsi, u16 tag, u64 lun, u32 what, u32 reason)
{
	struct vhost_virtqueue *vq = vhost_scsi_event_vq(scsi);
	struct vhost_scsi_event *event = NULL;

	if (scsi->nevents < VHOST_SCSI_EVENTS)
		event = kzalloc(sizeof(*event), GFP_KERNEL_ACCOUNT);
	if (!event) {
		scsi->events_missed = true;
		return;
	}
	event->event.event = cpu_to_vhost32(vq, what);
	event->event.reason = cpu_to_vhost32(vq, reason);
	vhost_scsi_fill_lun(event->event.lun, tag, lun);
	list_add_tail(&event->node, &scsi->events);
	scsi->nevents++;
}

/* To a guest that has not negotiated @feature it must not be told. */
static void vhost_scsi_tell(struct vhost_scsi *scsi, const struct vhost_scsi_tpg *tpg, u64 lun,
			    int feature, u32 what, u32 reason)
{
	struct vhost_virtqueue *vq = vhost_scsi_event_vq(scsi);
	bool told;

	mutex_lock(&vq->mutex);
	told = vhost_vq_get_backend(vq) && vhost_has_feature(vq, feature);
	if (told)
		vhost_scsi_add_event(scsi, tpg->tag, lun, what, reason);
	mutex_unlock(&vq->mutex);
	if (told)
		vstor_vq_poke(to_vstor_vq(vq));
}

void vhost_scsi_lun_event(struct vhost_scsi *scsi, const struct vhost_scsi_tpg *tpg, u64 lun,
			  u32 reason)
{
	vhost_scsi_tell(scsi, tpg, lun, VIRTIO_SCSI_F_HOTPLUG, VIRTIO_SCSI_T_TRANSPORT_RESET,
			reason);
}

/* VIRTIO 5.6.6.3: the reason is sense data, CAPACITY DATA HAS CHANGED. */
static void vhost_scsi_capacity_event(struct vhost_scsi *scsi, const struct vhost_scsi_tpg *tpg,
				      u64 lun)
{
	vhost_scsi_tell(scsi, tpg, lun, VIRTIO_SCSI_F_CHANGE, VIRTIO_SCSI_T_PARAM_CHANGE,
			0x2a | 0x09 << 8);
}

static void vhost_scsi_watch_tpg(struct vhost_scsi *scsi, struct vhost_scsi_tpg *tpg)
{
	unsigned int lun;

	/* LUNs come and go under it. */
	mutex_lock(&tpg->lock);
	for (lun = 0; lun < VHOST_SCSI_DIRECT_LUNS; lun++)
		if (vhost_scsi_direct_resized(tpg, lun))
			vhost_scsi_capacity_event(scsi, tpg, lun);
	mutex_unlock(&tpg->lock);
}

/*
 * Nobody tells that a block device has changed its size: it is looked at. No LUN comes or
 * goes meanwhile, and none is changed without its target's lock.
 */
static void vhost_scsi_watch(struct work_struct *work)
{
	struct vhost_scsi *scsi = container_of(work, struct vhost_scsi, watch.work);
	struct vhost_scsi_tpg *tpg;
	unsigned int i;

	mutex_lock(&scsi->dev.mutex);
	for (i = 0; scsi->endpoint && i < VHOST_SCSI_TARGETS; i++) {
		tpg = scsi->endpoint->tpgs[i];
		if (tpg)
			vhost_scsi_watch_tpg(scsi, tpg);
	}
	if (scsi->endpoint)
		vhost_scsi_watch_start(scsi);
	mutex_unlock(&scsi->dev.mutex);
}

void vhost_scsi_watch_init(struct vhost_scsi *scsi)
{
	INIT_DELAYED_WORK(&scsi->watch, vhost_scsi_watch);
}

void vhost_scsi_watch_start(struct vhost_scsi *scsi)
{
	lockdep_assert_held(&scsi->dev.mutex);

	if (vhost_has_feature(vhost_scsi_event_vq(scsi), VIRTIO_SCSI_F_CHANGE))
		queue_delayed_work(system_power_efficient_wq, &scsi->watch,
				   VSTOR_WATCH_PERIOD);
}

void vhost_scsi_drop_events(struct vhost_scsi *scsi)
{
	struct vhost_virtqueue *vq = vhost_scsi_event_vq(scsi);
	struct vhost_scsi_event *event, *next;

	mutex_lock(&vq->mutex);
	list_for_each_entry_safe(event, next, &scsi->events, node)
		kfree(event);
	INIT_LIST_HEAD(&scsi->events);
	scsi->nevents = 0;
	kfree(scsi->told);
	scsi->told = NULL;
	mutex_unlock(&vq->mutex);
}

long vhost_scsi_get_events_missed(struct vhost_scsi *scsi, void __user *argp)
{
	struct vhost_virtqueue *vq = vhost_scsi_event_vq(scsi);
	u32 missed;

	mutex_lock(&vq->mutex);
	missed = scsi->events_missed;
	mutex_unlock(&vq->mutex);
	return put_user(missed, (u32 __user *)argp);
}

long vhost_scsi_set_events_missed(struct vhost_scsi *scsi, void __user *argp)
{
	struct vhost_virtqueue *vq = vhost_scsi_event_vq(scsi);
	u32 missed;

	if (get_user(missed, (u32 __user *)argp))
		return -EFAULT;
	mutex_lock(&vq->mutex);
	scsi->events_missed = missed;
	mutex_unlock(&vq->mutex);
	if (missed && scsi->endpoint)
		vstor_vq_poke(to_vstor_vq(vq));
	return 0;
}
