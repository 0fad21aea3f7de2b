// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log of live migration: a bitmap of the guest's pages, in the owner's memory,
 * of what the device has written. vhost logs what it writes itself, the used ring and the
 * kick event; this is for the writable buffers of the commands.
 *
 * Each command remembers where these are, log or no log, so that what is in flight when
 * logging begins is logged too. All of them count as written, however little came and
 * however the command ended: a read that failed may have changed any of its pages. The
 * bits are set after the last byte was written and before the used index tells of it.
 */
#include <linux/slab.h>
#include "log.h"

int vstor_log_save_many(struct vstor_cmd *cmd, unsigned int n)
{
	const struct vhost_log *log = cmd->svq->vq.log;
	unsigned int i;

	if (n <= VSTOR_LOG_FEW) {
		/* Less than a call. */
		for (i = 0; i < n; i++)
			cmd->few[i] = log[i];
		return 0;
	}
	cmd->log = kmemdup(log, n * sizeof(*log), GFP_KERNEL_ACCOUNT);
	if (cmd->log)
		return 0;
	/* Where a status is, or a response begins: that may tell of the failure. */
	memcpy(cmd->few, log, VSTOR_LOG_FIRST * sizeof(*log));
	cmd->few[VSTOR_LOG_FIRST] = log[n - 1];
	cmd->log = cmd->few;
	cmd->nlog = VSTOR_LOG_FEW;
	return -ENOMEM;
}

int vstor_log_written(const struct vstor_cmd *cmd)
{
	struct vhost_virtqueue *vq = &cmd->svq->vq;
	unsigned int i;
	u64 bytes = 0;

	for (i = 0; i < cmd->nlog; i++)
		bytes += cmd->log[i].len;
	/* The exact sum, and never of nothing: anything else is a BUG() in some kernels. */
	return bytes ? vhost_log_write(vq, cmd->log, cmd->nlog, bytes, NULL, 0) : 0;
}
