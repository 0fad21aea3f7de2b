// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_storage: the ring, guest memory and draining, for vhost_blk and
 * vhost_scsi. It has nothing to set up: a library with a use count.
 */
#include <linux/module.h>

MODULE_DESCRIPTION("vhost storage backends: common code");
MODULE_LICENSE("GPL");
