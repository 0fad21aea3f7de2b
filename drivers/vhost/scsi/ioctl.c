// SPDX-License-Identifier: GPL-2.0
/* /dev/vhost-scsi: open, the ioctls, close. */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "vhost_scsi.h"

/* Commands, and bytes, that one vq may take before the others have their turn. */
#define VHOST_SCSI_WEIGHT	256
#define VHOST_SCSI_BYTE_WEIGHT	(16 << 20)
#define VHOST_SCSI_IO_VQS_MAX	1024

static unsigned int max_io_vqs = 128;

static int vhost_scsi_set_max_io_vqs(const char *value, const struct kernel_param *param)
{
	return param_set_uint_minmax(value, param, 1, VHOST_SCSI_IO_VQS_MAX);
}

static const struct kernel_param_ops vhost_scsi_max_io_vqs_ops = {
	.set = vhost_scsi_set_max_io_vqs,
	.get = param_get_uint,
};

module_param_cb(max_io_vqs, &vhost_scsi_max_io_vqs_ops, &max_io_vqs, 0644);
MODULE_PARM_DESC(max_io_vqs, "Request queues of a device opened from now on: 128, at most 1024");

static const struct vstor_ops *vhost_scsi_vq_ops(unsigned int index)
{
	switch (index) {
	case VHOST_SCSI_CONTROL_VQ:
		return &vhost_scsi_control_ops;
	case VHOST_SCSI_EVENT_VQ:
		return &vhost_scsi_event_ops;
	default:
		return &vhost_scsi_request_ops;
	}
}

static void vhost_scsi_free(struct vhost_scsi *scsi)
{
	kvfree(scsi->queues);
	kvfree(scsi->vqs);
	vstor_number_put(scsi->number);
	kfree(scsi);
}

static int vhost_scsi_alloc_queues(struct vhost_scsi *scsi)
{
	struct vhost_scsi_vq *sq;
	unsigned int i;

	scsi->queues = kvcalloc(scsi->nvqs, sizeof(*scsi->queues), GFP_KERNEL_ACCOUNT);
	scsi->vqs = kvcalloc(scsi->nvqs, sizeof(*scsi->vqs), GFP_KERNEL_ACCOUNT);
	if (!scsi->queues || !scsi->vqs)
		return -ENOMEM;
	for (i = 0; i < scsi->nvqs; i++) {
		sq = &scsi->queues[i];
		sq->scsi = scsi;
		vstor_vq_init(&sq->svq, vhost_scsi_vq_ops(i), scsi->number, i);
		scsi->vqs[i] = &sq->svq.vq;
	}
	return 0;
}

static struct vhost_scsi *vhost_scsi_alloc(void)
{
	int number = vstor_number_get();
	struct vhost_scsi *scsi;

	if (number < 0)
		return NULL;
	scsi = kzalloc(sizeof(*scsi), GFP_KERNEL_ACCOUNT);
	if (!scsi) {
		vstor_number_put(number);
		return NULL;
	}
	scsi->number = number;
	scsi->nvqs = VHOST_SCSI_FIRST_VQ + READ_ONCE(max_io_vqs);
	INIT_LIST_HEAD(&scsi->events);
	if (!vhost_scsi_alloc_queues(scsi))
		return scsi;
	vhost_scsi_free(scsi);
	return NULL;
}

static int vhost_scsi_open(struct inode *inode, struct file *file)
{
	struct vhost_scsi *scsi = vhost_scsi_alloc();

	if (!scsi)
		return -ENOMEM;
	vhost_dev_init(&scsi->dev, scsi->vqs, scsi->nvqs, UIO_MAXIOV,
		       VHOST_SCSI_WEIGHT, VHOST_SCSI_BYTE_WEIGHT, true, NULL);
	vhost_scsi_stats_add(scsi);
	vhost_scsi_watch_init(scsi);
	file->private_data = scsi;
	return 0;
}

static int vhost_scsi_release(struct inode *inode, struct file *file)
{
	struct vhost_scsi *scsi = file->private_data;

	vstor_stats_file_remove(&scsi->stats_file);
	mutex_lock(&scsi->dev.mutex);
	vhost_scsi_detach(scsi);
	mutex_unlock(&scsi->dev.mutex);
	cancel_delayed_work_sync(&scsi->watch);
	vhost_dev_stop(&scsi->dev);
	vhost_dev_cleanup(&scsi->dev);
	if (scsi->works)
		destroy_workqueue(scsi->works);
	vhost_scsi_free(scsi);
	return 0;
}

static long vhost_scsi_get_features(void __user *argp)
{
	u64 features = VHOST_SCSI_FEATURES;

	return copy_to_user(argp, &features, sizeof(features)) ? -EFAULT : 0;
}

static long vhost_scsi_set_features(struct vhost_scsi *scsi, void __user *argp)
{
	u64 features;

	if (copy_from_user(&features, argp, sizeof(features)))
		return -EFAULT;
	return vstor_dev_set_features(&scsi->dev, features, VHOST_SCSI_FEATURES);
}

static long vhost_scsi_get_abi_version(void __user *argp)
{
	return put_user(VHOST_SCSI_ABI_VERSION, (int __user *)argp);
}

/* dev.mutex is held: ioctls exclude one another. */
static long vhost_scsi_do_ioctl(struct vhost_scsi *scsi, unsigned int ioctl,
				void __user *argp)
{
	switch (ioctl) {
	case VHOST_GET_FEATURES:
		return vhost_scsi_get_features(argp);
	case VHOST_SET_FEATURES:
		return vhost_scsi_set_features(scsi, argp);
	case VHOST_SCSI_SET_ENDPOINT:
		return vhost_scsi_set_endpoint(scsi, argp);
	case VHOST_SCSI_CLEAR_ENDPOINT:
		return vhost_scsi_clear_endpoint(scsi, argp);
	case VHOST_SCSI_GET_ABI_VERSION:
		return vhost_scsi_get_abi_version(argp);
	case VHOST_SCSI_GET_EVENTS_MISSED:
		return vhost_scsi_get_events_missed(scsi, argp);
	case VHOST_SCSI_SET_EVENTS_MISSED:
		return vhost_scsi_set_events_missed(scsi, argp);
	default:
		return vstor_dev_ioctl(&scsi->dev, ioctl, argp);
	}
}

static long vhost_scsi_ioctl(struct file *file, unsigned int ioctl, unsigned long arg)
{
	struct vhost_scsi *scsi = file->private_data;
	long r;

	mutex_lock(&scsi->dev.mutex);
	r = vhost_scsi_do_ioctl(scsi, ioctl, (void __user *)arg);
	mutex_unlock(&scsi->dev.mutex);
	return r;
}

const struct file_operations vhost_scsi_fops = {
	.owner = THIS_MODULE,
	.open = vhost_scsi_open,
	.release = vhost_scsi_release,
	.unlocked_ioctl = vhost_scsi_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};
