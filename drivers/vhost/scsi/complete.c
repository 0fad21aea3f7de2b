// SPDX-License-Identifier: GPL-2.0
/* What the target core says becomes what the guest sees. */
#include <linux/slab.h>
#include "vhost_scsi.h"

/*
 * VIRTIO 5.6.6.1: which response. What a task management function has ended is that,
 * whatever came of it.
 */
static u8 vhost_scsi_response(const struct vhost_scsi_req *req)
{
	if (req->cancelled)
		return req->cancelled;
	if (req->response != VIRTIO_SCSI_S_OK)
		return req->response;
	if (req->aborted)
		return req->aborted_as;
	if (vhost_scsi_is_overrun(req))
		return VIRTIO_SCSI_S_OVERRUN;
	return VIRTIO_SCSI_S_OK;
}

static void vhost_scsi_fill_response(struct vhost_scsi_req *req, u8 response,
				     struct virtio_scsi_cmd_resp *resp)
{
	struct vhost_virtqueue *vq = &req->cmd.svq->vq;
	const struct se_cmd *se_cmd = &req->se_cmd;

	resp->response = response;
	if (response != VIRTIO_SCSI_S_OK && response != VIRTIO_SCSI_S_OVERRUN)
		return;
	resp->status = se_cmd->scsi_status;
	/* What the CDB wanted beyond the data is no residual of it. */
	if (!(se_cmd->se_cmd_flags & SCF_OVERFLOW_BIT))
		resp->resid = cpu_to_vhost32(vq, se_cmd->residual_count);
	if (!se_cmd->scsi_sense_length)
		return;
	resp->sense_len = cpu_to_vhost32(vq, se_cmd->scsi_sense_length);
	memcpy(resp->sense, req->sense,
	       min_t(size_t, se_cmd->scsi_sense_length, sizeof(resp->sense)));
}

/* Data that was read, from the first byte on, where it has ended well. */
static u32 vhost_scsi_bytes_read(const struct vhost_scsi_req *req)
{
	const struct se_cmd *se_cmd = &req->se_cmd;
	u32 bytes = req->command.bytes;

	if (req->command.dir != VHOST_SCSI_IN || (req->way == VHOST_SCSI_LONG && !req->data.nents))
		return 0;
	if (se_cmd->se_cmd_flags & SCF_UNDERFLOW_BIT)
		bytes -= min(bytes, se_cmd->residual_count);
	return bytes;
}

/*
 * Data, then the response, unless reading the former went wrong. Returns the used length,
 * VIRTIO 2.7.8.2.
 */
static s64 vhost_scsi_answer(struct vhost_scsi_req *req, u8 *response)
{
	struct virtio_scsi_cmd_resp resp __aligned(8) = { 0 };
	u32 bytes = 0;

	BUILD_BUG_ON(sizeof(resp) != 108);
	if (*response == VIRTIO_SCSI_S_OK && req->se_cmd.scsi_status == SAM_STAT_GOOD)
		bytes = vhost_scsi_bytes_read(req);
	if (bytes && (req->prot.nents || req->data.pages == VHOST_SCSI_BOUNCED) &&
	    vhost_scsi_copy_read(req, bytes)) {
		*response = VIRTIO_SCSI_S_FAILURE;
		bytes = 0;
	}
	vhost_scsi_fill_response(req, *response, &resp);
	if (vhost_scsi_reply_put(&req->reply, &resp, sizeof(resp)))
		return VSTOR_CMD_UNTOLD;
	return req->reply.room + (bytes ? req->command.pi + bytes : 0);
}

s64 vhost_scsi_finish(struct vstor_cmd *cmd, bool discard)
{
	struct vhost_scsi_req *req = container_of(cmd, struct vhost_scsi_req, cmd);
	struct vhost_scsi_vq *sq = to_vhost_scsi_vq(cmd->svq);
	u8 response;
	s64 used;

	response = vhost_scsi_response(req);
	used = discard ? 0 : vhost_scsi_answer(req, &response);
	vhost_scsi_stats_ended(sq, response, req->se_cmd.scsi_status);
	vhost_scsi_unmap(req);
	vhost_scsi_reply_free(&req->reply);
	if (req->se_cmd.scsi_status != SAM_STAT_GOOD)
		vhost_scsi_count_failure(req);
	/* The target core fills it in where it is nothing but zeroes. */
	if (req->se_cmd.scsi_sense_length)
		memset(req->sense, 0, sizeof(req->sense));
	req->busy = false;
	req->next_free = sq->free;
	sq->free = req;
	if (req->awaited)
		vhost_scsi_awaited_ended(sq->scsi, req->awaited);
	return used;
}
