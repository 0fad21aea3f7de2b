// SPDX-License-Identifier: GPL-2.0
/*
 * The targets behind the queues: SET_ENDPOINT takes all those of a name, CLEAR_ENDPOINT
 * gives them back, while the queues stand still.
 *
 * A target must not go while a device has it. target_depend_item() sees to that, with a
 * lock of configfs that its callbacks are called with: so none of ours may be held, and a
 * target is reserved first.
 */
#include <linux/slab.h>
#include "vhost_scsi.h"

/* Is it one of the endpoint's, with a nexus, and free? Then it is the device's. */
static bool vhost_scsi_reserve_tpg(struct vhost_scsi *scsi, struct vhost_scsi_tpg *tpg,
				   const char *wwpn)
{
	bool ours;

	mutex_lock(&tpg->lock);
	ours = tpg->session && !tpg->user && !strcmp(tpg->tport->name, wwpn);
	if (ours) {
		tpg->user = scsi;
		vhost_scsi_tpg_get(tpg);
	}
	mutex_unlock(&tpg->lock);
	return ours;
}

static unsigned int vhost_scsi_reserve_all(struct vhost_scsi *scsi,
					   struct vhost_scsi_endpoint *endpoint)
{
	struct vhost_scsi_tpg *tpg;
	unsigned int n = 0;

	mutex_lock(&vhost_scsi_tpgs_lock);
	list_for_each_entry(tpg, &vhost_scsi_tpgs, node) {
		if (!vhost_scsi_reserve_tpg(scsi, tpg, endpoint->wwpn))
			continue;
		endpoint->tpgs[tpg->tag] = tpg;
		n++;
	}
	mutex_unlock(&vhost_scsi_tpgs_lock);
	return n;
}

static void vhost_scsi_unreserve_tpg(struct vhost_scsi_tpg *tpg)
{
	mutex_lock(&tpg->lock);
	tpg->user = NULL;
	mutex_unlock(&tpg->lock);
	vhost_scsi_tpg_put(tpg);
}

/*
 * fabric_prot_type counts from the start on, though the nexus was made before it was
 * set, as rtslib does when it restores a configuration.
 */
static void vhost_scsi_latch_prot_type(struct vhost_scsi_tpg *tpg)
{
	mutex_lock(&tpg->lock);
	tpg->session->sess_prot_type = tpg->prot_type;
	tpg->session->se_node_acl->saved_prot_type = tpg->prot_type;
	mutex_unlock(&tpg->lock);
}

/* Keeps all from going. What has gone since it was reserved is none of ours any more. */
static unsigned int vhost_scsi_depend_all(struct vhost_scsi_endpoint *endpoint)
{
	struct vhost_scsi_tpg *tpg;
	unsigned int i, n = 0;

	for (i = 0; i < VHOST_SCSI_TARGETS; i++) {
		tpg = endpoint->tpgs[i];
		if (!tpg)
			continue;
		if (target_depend_item(&tpg->tpg.tpg_group.cg_item)) {
			endpoint->tpgs[i] = NULL;
			vhost_scsi_unreserve_tpg(tpg);
			continue;
		}
		vhost_scsi_latch_prot_type(tpg);
		n++;
	}
	return n;
}

static void vhost_scsi_close_endpoint(struct vhost_scsi_endpoint *endpoint)
{
	struct vhost_scsi_tpg *tpg;
	unsigned int i;

	for (i = 0; i < VHOST_SCSI_TARGETS; i++) {
		tpg = endpoint->tpgs[i];
		if (!tpg)
			continue;
		/* First: what happens to it from now on is no event of the guest's. */
		mutex_lock(&tpg->lock);
		tpg->user = NULL;
		mutex_unlock(&tpg->lock);
		target_undepend_item(&tpg->tpg.tpg_group.cg_item);
		vhost_scsi_tpg_put(tpg);
	}
	kfree(endpoint);
}

static struct vhost_scsi_endpoint *vhost_scsi_open_endpoint(struct vhost_scsi *scsi,
							    const char *wwpn)
{
	struct vhost_scsi_endpoint *endpoint = kzalloc(sizeof(*endpoint), GFP_KERNEL_ACCOUNT);

	if (!endpoint)
		return ERR_PTR(-ENOMEM);
	strscpy(endpoint->wwpn, wwpn, sizeof(endpoint->wwpn));
	if (vhost_scsi_reserve_all(scsi, endpoint) && vhost_scsi_depend_all(endpoint))
		return endpoint;
	kfree(endpoint);
	return ERR_PTR(-ENODEV);
}

static int vhost_scsi_vq_attach(struct vhost_scsi_vq *sq, struct vhost_scsi_endpoint *endpoint)
{
	struct vhost_virtqueue *vq = &sq->svq.vq;
	int r = 0;

	lockdep_assert_held(&vq->mutex);

	if (sq->svq.index >= VHOST_SCSI_FIRST_VQ)
		r = vhost_scsi_vq_alloc_reqs(sq);
	if (r)
		return r;
	vhost_vq_set_backend(vq, endpoint);
	return vstor_vq_start(&sq->svq);
}

static void vhost_scsi_vq_detach(struct vhost_scsi_vq *sq)
{
	struct vhost_virtqueue *vq = &sq->svq.vq;

	mutex_lock(&vq->mutex);
	vhost_vq_set_backend(vq, NULL);
	vhost_scsi_vq_free_reqs(sq);
	mutex_unlock(&vq->mutex);
}

/* The vqs stand still: vstor_dev_stop(). */
static void vhost_scsi_drop_endpoint(struct vhost_scsi *scsi)
{
	unsigned int i;

	for (i = 0; i < scsi->nvqs; i++)
		vhost_scsi_vq_detach(&scsi->queues[i]);
	vhost_scsi_close_endpoint(scsi->endpoint);
	scsi->endpoint = NULL;
	vhost_scsi_drop_events(scsi);
	vhost_scsi_free_controls(scsi);
}

/* Starts every vq that is set up; they stand still until vstor_dev_resume(). */
static int vhost_scsi_attach(struct vhost_scsi *scsi, struct vhost_scsi_endpoint *endpoint)
{
	struct vhost_virtqueue *vq;
	unsigned int i;
	int r;

	scsi->endpoint = endpoint;
	if (!scsi->works)
		scsi->works = vstor_works_alloc("vhost_scsi", scsi->number);
	r = scsi->works ? vhost_scsi_alloc_controls(scsi) : -ENOMEM;
	for (i = 0; !r && i < scsi->nvqs; i++) {
		vq = scsi->vqs[i];
		mutex_lock(&vq->mutex);
		if (vhost_vq_is_setup(vq))
			r = vhost_scsi_vq_attach(&scsi->queues[i], endpoint);
		mutex_unlock(&vq->mutex);
	}
	return r;
}

/* What is checked before anything changes, as it always was. */
static long vhost_scsi_check_rings(struct vhost_scsi *scsi)
{
	struct vhost_virtqueue *vq;
	unsigned int i;
	bool ok;

	for (i = 0; i < scsi->nvqs; i++) {
		vq = scsi->vqs[i];
		mutex_lock(&vq->mutex);
		ok = vhost_vq_access_ok(vq);
		mutex_unlock(&vq->mutex);
		if (!ok)
			return -EFAULT;
	}
	return 0;
}

static long vhost_scsi_get_target(struct vhost_scsi *scsi, void __user *argp,
				  struct vhost_scsi_target *target)
{
	long r = vhost_dev_check_owner(&scsi->dev);

	if (r)
		return r;
	if (copy_from_user(target, argp, sizeof(*target)))
		return -EFAULT;
	if (target->reserved)
		return -EOPNOTSUPP;
	target->vhost_wwpn[sizeof(target->vhost_wwpn) - 1] = 0;
	return vhost_scsi_check_rings(scsi);
}

static void vhost_scsi_use_endpoint(struct vhost_scsi *scsi)
{
	vstor_stats_file_backend(&scsi->stats_file, scsi->endpoint->wwpn);
	vhost_scsi_watch_start(scsi);
}

long vhost_scsi_set_endpoint(struct vhost_scsi *scsi, void __user *argp)
{
	struct vhost_scsi_endpoint *endpoint;
	struct vhost_scsi_target target;
	long r;

	lockdep_assert_held(&scsi->dev.mutex);

	BUILD_BUG_ON(sizeof(target.vhost_wwpn) != sizeof(endpoint->wwpn));
	r = vhost_scsi_get_target(scsi, argp, &target);
	if (r)
		return r;
	if (scsi->endpoint)
		return -EEXIST;
	endpoint = vhost_scsi_open_endpoint(scsi, target.vhost_wwpn);
	if (IS_ERR(endpoint))
		return PTR_ERR(endpoint);

	/* No vq runs before all of them have been started. */
	vstor_dev_stop(&scsi->dev);
	r = vhost_scsi_attach(scsi, endpoint);
	if (r)
		vhost_scsi_drop_endpoint(scsi);
	else
		vhost_scsi_use_endpoint(scsi);
	vstor_dev_resume(&scsi->dev);
	return r;
}

void vhost_scsi_detach(struct vhost_scsi *scsi)
{
	if (!scsi->endpoint)
		return;
	vstor_dev_stop(&scsi->dev);
	vhost_scsi_drop_endpoint(scsi);
	vstor_stats_file_backend(&scsi->stats_file, NULL);
}

long vhost_scsi_clear_endpoint(struct vhost_scsi *scsi, void __user *argp)
{
	struct vhost_scsi_target target;
	long r;

	lockdep_assert_held(&scsi->dev.mutex);

	r = vhost_scsi_get_target(scsi, argp, &target);
	if (r || !scsi->endpoint)
		return r;
	if (strcmp(scsi->endpoint->wwpn, target.vhost_wwpn))
		return -EINVAL;
	vhost_scsi_detach(scsi);
	vstor_dev_resume(&scsi->dev);
	return 0;
}
