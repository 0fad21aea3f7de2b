/* SPDX-License-Identifier: GPL-2.0 */
/* log.c: what of a command goes into the dirty log; vring.c calls it. vq->mutex held. */
#ifndef _VSTOR_LOG_H
#define _VSTOR_LOG_H

#include <linux/slab.h>
#include "vhost_storage.h"

int vstor_log_save_many(struct vstor_cmd *cmd, unsigned int n);

/* Remembers the writable buffers of the chain that was taken last; as vstor_cmd_init(). */
static __always_inline int vstor_log_save(struct vstor_cmd *cmd)
{
	const struct vhost_log *log = cmd->svq->vq.log;
	unsigned int n = cmd->svq->nlog;

	cmd->log = cmd->few;
	cmd->nlog = n;
	/* Data and a status, most often: both are copied, were there less. */
	if (n > 2)
		return vstor_log_save_many(cmd, n);
	cmd->few[0] = log[0];
	cmd->few[1] = log[1];
	return 0;
}

/* They were written, maybe in part. In the owner's mm; an error where the log is not there. */
int vstor_log_written(const struct vstor_cmd *cmd);

static __always_inline void vstor_log_forget(struct vstor_cmd *cmd)
{
	if (cmd->log != cmd->few)
		kfree(cmd->log);
}

#endif /* _VSTOR_LOG_H */
