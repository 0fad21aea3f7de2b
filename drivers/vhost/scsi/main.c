// SPDX-License-Identifier: GPL-2.0
/* vhost_scsi: a virtio-scsi backend in the host kernel, on the LIO target core. */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include "vhost_scsi.h"

static struct miscdevice vhost_scsi_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vhost-scsi",
	.fops = &vhost_scsi_fops,
};

static int __init vhost_scsi_init(void)
{
	int r;

	vhost_scsi_stats_init();
	r = target_register_template(&vhost_scsi_fabric_ops);
	if (r)
		goto no_template;
	r = misc_register(&vhost_scsi_misc);
	if (!r)
		return 0;
	target_unregister_template(&vhost_scsi_fabric_ops);
no_template:
	vhost_scsi_stats_exit();
	return r;
}
module_init(vhost_scsi_init);

static void __exit vhost_scsi_exit(void)
{
	misc_deregister(&vhost_scsi_misc);
	target_unregister_template(&vhost_scsi_fabric_ops);
	vhost_scsi_stats_exit();
}
module_exit(vhost_scsi_exit);

MODULE_DESCRIPTION("Host kernel backend of virtio-scsi");
/* The name that rtslib loads it by. */
MODULE_ALIAS("tcm_vhost");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(VHOST_STORAGE);
