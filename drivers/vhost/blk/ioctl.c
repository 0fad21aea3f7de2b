// SPDX-License-Identifier: GPL-2.0
/* /dev/vhost-blk: open, the ioctls, close. */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "vhost_blk.h"

/* Commands, and bytes, that one vq may take before the others have their turn. */
#define VHOST_BLK_WEIGHT	256
#define VHOST_BLK_BYTE_WEIGHT	(16 << 20)

static void vhost_blk_free_queues(struct vhost_blk *blk)
{
	int i;

	for (i = 0; i < VHOST_BLK_MAX_QUEUES; i++)
		kvfree(blk->queues[i]);
}

static void vhost_blk_free(struct vhost_blk *blk)
{
	vhost_blk_free_queues(blk);
	vstor_number_put(blk->number);
	kvfree(blk);
}

static int vhost_blk_alloc_queues(struct vhost_blk *blk)
{
	struct vhost_blk_vq *bq;
	int i;

	for (i = 0; i < VHOST_BLK_MAX_QUEUES; i++) {
		bq = kvzalloc(sizeof(*bq), GFP_KERNEL_ACCOUNT);
		if (!bq)
			return -ENOMEM;
		bq->blk = blk;
		vstor_vq_init(&bq->svq, &vhost_blk_ops, blk->number, i);
		blk->queues[i] = bq;
		blk->vqs[i] = &bq->svq.vq;
	}
	return 0;
}

static struct vhost_blk *vhost_blk_alloc(void)
{
	int number = vstor_number_get();
	struct vhost_blk *blk;

	if (number < 0)
		return NULL;
	blk = kvzalloc(sizeof(*blk), GFP_KERNEL_ACCOUNT);
	if (!blk) {
		vstor_number_put(number);
		return NULL;
	}
	blk->number = number;
	if (!vhost_blk_alloc_queues(blk))
		return blk;
	vhost_blk_free(blk);
	return NULL;
}

static int vhost_blk_open(struct inode *inode, struct file *file)
{
	struct vhost_blk *blk = vhost_blk_alloc();

	if (!blk)
		return -ENOMEM;
	spin_lock_init(&blk->serial_lock);
	blk->writeback = true;
	vhost_blk_config_init(blk);
	vhost_dev_init(&blk->dev, blk->vqs, VHOST_BLK_MAX_QUEUES, UIO_MAXIOV,
		       VHOST_BLK_WEIGHT, VHOST_BLK_BYTE_WEIGHT, true, NULL);
	vhost_blk_stats_add(blk);
	file->private_data = blk;
	return 0;
}

static int vhost_blk_release(struct inode *inode, struct file *file)
{
	struct vhost_blk *blk = file->private_data;

	vstor_stats_file_remove(&blk->stats_file);
	mutex_lock(&blk->dev.mutex);
	vhost_blk_detach(blk);
	mutex_unlock(&blk->dev.mutex);
	vhost_blk_config_exit(blk);
	vhost_dev_stop(&blk->dev);
	vhost_dev_cleanup(&blk->dev);
	vhost_blk_work_exit(blk);
	vhost_blk_free(blk);
	return 0;
}

static long vhost_blk_get_features(void __user *argp)
{
	u64 features = VHOST_BLK_FEATURES;

	return copy_to_user(argp, &features, sizeof(features)) ? -EFAULT : 0;
}

static long vhost_blk_set_features(struct vhost_blk *blk, void __user *argp)
{
	u64 features;

	if (copy_from_user(&features, argp, sizeof(features)))
		return -EFAULT;
	return vstor_dev_set_features(&blk->dev, features, VHOST_BLK_FEATURES);
}

static long vhost_blk_set_serial(struct vhost_blk *blk, void __user *argp)
{
	struct vhost_blk_serial serial;
	long r;

	r = vhost_dev_check_owner(&blk->dev);
	if (r)
		return r;
	if (copy_from_user(&serial, argp, sizeof(serial)))
		return -EFAULT;
	spin_lock(&blk->serial_lock);
	memcpy(blk->serial, serial.serial, sizeof(blk->serial));
	spin_unlock(&blk->serial_lock);
	return 0;
}

/* dev.mutex is held: ioctls exclude one another. */
static long vhost_blk_do_ioctl(struct vhost_blk *blk, unsigned int ioctl,
			       void __user *argp)
{
	switch (ioctl) {
	case VHOST_GET_FEATURES:
		return vhost_blk_get_features(argp);
	case VHOST_SET_FEATURES:
		return vhost_blk_set_features(blk, argp);
	case VHOST_BLK_SET_BACKEND:
		return vhost_blk_set_backend(blk, argp);
	case VHOST_BLK_GET_CONFIG:
		return vhost_blk_get_config(blk, argp);
	case VHOST_BLK_SET_SERIAL:
		return vhost_blk_set_serial(blk, argp);
	case VHOST_BLK_SET_CONFIG_CALL:
		return vhost_blk_set_config_call(blk, argp);
	case VHOST_BLK_SET_WRITEBACK:
		return vhost_blk_set_writeback(blk, argp);
	default:
		return vstor_dev_ioctl(&blk->dev, ioctl, argp);
	}
}

static long vhost_blk_ioctl(struct file *file, unsigned int ioctl, unsigned long arg)
{
	struct vhost_blk *blk = file->private_data;
	long r;

	mutex_lock(&blk->dev.mutex);
	r = vhost_blk_do_ioctl(blk, ioctl, (void __user *)arg);
	mutex_unlock(&blk->dev.mutex);
	return r;
}

const struct file_operations vhost_blk_fops = {
	.owner = THIS_MODULE,
	.open = vhost_blk_open,
	.release = vhost_blk_release,
	.unlocked_ioctl = vhost_blk_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};
