// SPDX-License-Identifier: GPL-2.0
/* vhost_blk: a virtio-blk backend in the host kernel. */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include "vhost_blk.h"

static struct miscdevice vhost_blk_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vhost-blk",
	.fops = &vhost_blk_fops,
};

static int __init vhost_blk_init(void)
{
	int r;

	vhost_blk_stats_init();
	r = misc_register(&vhost_blk_misc);
	if (r)
		vhost_blk_stats_exit();
	return r;
}
module_init(vhost_blk_init);

static void __exit vhost_blk_exit(void)
{
	misc_deregister(&vhost_blk_misc);
	vhost_blk_stats_exit();
}
module_exit(vhost_blk_exit);

MODULE_DESCRIPTION("Host kernel backend of virtio-blk");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(VHOST_STORAGE);
