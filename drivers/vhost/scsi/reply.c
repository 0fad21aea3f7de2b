// SPDX-License-Identifier: GPL-2.0
/* Where the guest wants an answer, and how it gets there. */
#include <linux/slab.h>
#include "vhost_scsi.h"

int vhost_scsi_reply_init(struct vhost_scsi_reply *reply, const struct iovec *iov,
			  unsigned int segs, size_t bytes)
{
	reply->room = bytes;
	reply->segs = segs;
	reply->at = iov->iov_len >= bytes ? iov->iov_base : NULL;
	reply->iov = NULL;
	if (reply->at)
		return 0;
	reply->iov = kmemdup(iov, segs * sizeof(*iov), GFP_KERNEL_ACCOUNT);
	return reply->iov ? 0 : -ENOMEM;
}

/* As much of it as there is room for; none where it was answered at once. */
int vhost_scsi_reply_put(struct vhost_scsi_reply *reply, const void *answer, size_t bytes)
{
	struct iov_iter to;

	bytes = min_t(size_t, bytes, reply->room);
	/* As all requests have it. */
	if (reply->at && bytes == VHOST_SCSI_RESP_BYTES)
		return vstor_store(reply->at, answer, VHOST_SCSI_RESP_BYTES);
	if (reply->at)
		return copy_to_user(reply->at, answer, bytes) ? -EFAULT : 0;
	if (!reply->iov)
		return 0;
	iov_iter_init(&to, ITER_DEST, reply->iov, reply->segs, bytes);
	return copy_to_iter(answer, bytes, &to) == bytes ? 0 : -EFAULT;
}

int vhost_scsi_reply_now(struct vhost_scsi_reply *reply, const struct iovec *iov,
			 const void *answer, size_t bytes)
{
	/* All that vstor_cmd_init() grants when it has no memory. */
	unsigned int segs = min(reply->segs, VSTOR_LOG_FIRST);
	struct iov_iter to;

	reply->room = min_t(size_t, reply->room, iov_length(iov, segs));
	iov_iter_init(&to, ITER_DEST, iov, segs, min_t(size_t, bytes, reply->room));
	vhost_scsi_reply_free(reply);
	reply->at = NULL;
	return copy_to_iter(answer, iov_iter_count(&to), &to) ? 0 : -EFAULT;
}

void vhost_scsi_reply_free(struct vhost_scsi_reply *reply)
{
	/* Most have none: not to call for that. */
	if (!reply->iov)
		return;
	kfree(reply->iov);
	reply->iov = NULL;
}
