// SPDX-License-Identifier: GPL-2.0
/* A backend is attached, exchanged and detached while the queues stand still. */
#include "vhost_blk.h"

/* 5.2.5.2: a driver that does not know of zones must not have a device with some. */
static bool vhost_blk_knows_zones(struct vhost_virtqueue *vq,
				  const struct vhost_blk_backend *backend)
{
	return !backend->bdev || !bdev_is_zoned(backend->bdev) ||
	       vhost_has_feature(vq, VIRTIO_BLK_F_ZONED);
}

/* May this vq start? 1 yes, 0 it is not set up, or an error. */
static int vhost_blk_vq_check(struct vhost_virtqueue *vq,
			      const struct vhost_blk_backend *backend)
{
	int r = 1;

	mutex_lock(&vq->mutex);
	if (!vq->desc && !vq->avail && !vq->used)
		r = 0;
	else if (!vhost_vq_is_setup(vq))
		r = -EFAULT;
	else if (vq->num > VHOST_BLK_MAX_QUEUE_SIZE)
		r = -EINVAL;
	else if (!vhost_has_feature(vq, VIRTIO_F_VERSION_1))
		r = -EINVAL;
	else if (!vhost_blk_knows_zones(vq, backend))
		r = -EOPNOTSUPP;
	mutex_unlock(&vq->mutex);
	return r;
}

/* What can be checked before anything changes: EFAULT where nothing is set up. */
static int vhost_blk_check(struct vhost_blk *blk, const struct vhost_blk_backend *backend)
{
	int i, r, ready = 0;

	for (i = 0; i < VHOST_BLK_MAX_QUEUES; i++) {
		r = vhost_blk_vq_check(blk->vqs[i], backend);
		if (r < 0)
			return r;
		ready += r;
	}
	return ready ? 0 : -EFAULT;
}

static int vhost_blk_vq_attach(struct vhost_blk_vq *bq,
			       struct vhost_blk_backend *backend)
{
	struct vhost_virtqueue *vq = &bq->svq.vq;
	int r;

	lockdep_assert_held(&vq->mutex);

	r = vhost_blk_vq_alloc_reqs(bq);
	if (r)
		return r;
	vhost_vq_set_backend(vq, backend);
	r = vstor_vq_start(&bq->svq);
	if (r) {
		vhost_vq_set_backend(vq, NULL);
		vhost_blk_vq_free_reqs(bq);
	}
	return r;
}

static void vhost_blk_vq_detach(struct vhost_blk_vq *bq)
{
	struct vhost_virtqueue *vq = &bq->svq.vq;

	mutex_lock(&vq->mutex);
	vhost_vq_set_backend(vq, NULL);
	vhost_blk_vq_free_reqs(bq);
	mutex_unlock(&vq->mutex);
}

/* The vqs stand still: vstor_dev_stop(). */
static void vhost_blk_drop_backend(struct vhost_blk *blk)
{
	int i;

	if (!blk->backend)
		return;

	for (i = 0; i < VHOST_BLK_MAX_QUEUES; i++)
		vhost_blk_vq_detach(blk->queues[i]);
	vhost_blk_backend_sync_cache(blk->backend);
	vhost_blk_backend_close(blk->backend);
	blk->backend = NULL;
}

void vhost_blk_detach(struct vhost_blk *blk)
{
	if (!blk->backend)
		return;
	vstor_dev_stop(&blk->dev);
	vhost_blk_drop_backend(blk);
}

/* Starts every vq that is set up. They stand still until vstor_dev_resume(). */
static int vhost_blk_attach(struct vhost_blk *blk, struct vhost_blk_backend *backend)
{
	struct vhost_virtqueue *vq;
	int i, r;

	r = vhost_blk_work_init(blk);
	if (!r)
		r = vhost_blk_backend_sync_cache(backend);
	for (i = 0; !r && i < VHOST_BLK_MAX_QUEUES; i++) {
		vq = blk->vqs[i];
		mutex_lock(&vq->mutex);
		if (vhost_vq_is_setup(vq))
			r = vhost_blk_vq_attach(blk->queues[i], backend);
		mutex_unlock(&vq->mutex);
	}
	/* Also on failure, so that dropping it undoes what was started. */
	blk->backend = backend;
	return r;
}

/*
 * Drops what is there, then attaches @backend unless it is NULL. No vq runs
 * before all of them have been started, the first time either.
 */
static long vhost_blk_exchange(struct vhost_blk *blk, struct vhost_blk_backend *backend)
{
	long r = 0;

	vstor_dev_stop(&blk->dev);
	vhost_blk_drop_backend(blk);
	if (backend) {
		r = vhost_blk_attach(blk, backend);
		if (r)
			vhost_blk_drop_backend(blk);
	}
	vstor_dev_resume(&blk->dev);
	vhost_blk_config_start(blk);
	vhost_blk_stats_backend(blk);
	return r;
}

long vhost_blk_set_backend(struct vhost_blk *blk, void __user *argp)
{
	struct vhost_blk_backend *backend = NULL;
	struct vhost_vring_file file;
	long r;

	lockdep_assert_held(&blk->dev.mutex);

	r = vhost_dev_check_owner(&blk->dev);
	if (r)
		return r;
	if (copy_from_user(&file, argp, sizeof(file)))
		return -EFAULT;
	if (file.index)
		return -EINVAL;
	if (file.fd == VHOST_FILE_UNBIND)
		return vhost_blk_exchange(blk, NULL);

	backend = vhost_blk_backend_open(file.fd);
	/* Whatever found no memory, ENOMEM means that nothing is attached. */
	if (backend == ERR_PTR(-ENOMEM))
		vhost_blk_exchange(blk, NULL);
	if (IS_ERR(backend))
		return PTR_ERR(backend);
	r = vhost_blk_check(blk, backend);
	if (!r)
		return vhost_blk_exchange(blk, backend);
	vhost_blk_backend_close(backend);
	return r;
}

long vhost_blk_set_writeback(struct vhost_blk *blk, void __user *argp)
{
	int writeback;
	long r;

	lockdep_assert_held(&blk->dev.mutex);

	r = vhost_dev_check_owner(&blk->dev);
	if (r)
		return r;
	if (get_user(writeback, (int __user *)argp))
		return -EFAULT;
	if (writeback != 0 && writeback != 1)
		return -EINVAL;
	if (writeback == blk->writeback)
		return 0;

	vstor_dev_stop(&blk->dev);
	/* The driver will not flush any more: what has completed must be stable. */
	if (!writeback && blk->backend)
		r = vhost_blk_backend_flush(blk->backend);
	if (!r)
		blk->writeback = writeback;
	vstor_dev_resume(&blk->dev);
	return r;
}
