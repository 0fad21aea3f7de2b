// SPDX-License-Identifier: GPL-2.0
/*
 * To the target core, which answers in fabric.c. From target_init_cmd() on it is the
 * one to end the command, and never fails without having done so.
 */
#include "vhost_scsi.h"

static int vhost_scsi_task_attr(u8 attr)
{
	switch (attr) {
	case VIRTIO_SCSI_S_ORDERED:
		return TCM_ORDERED_TAG;
	case VIRTIO_SCSI_S_HEAD:
		return TCM_HEAD_TAG;
	case VIRTIO_SCSI_S_ACA:
		return TCM_ACA_TAG;
	default:
		return TCM_SIMPLE_TAG;
	}
}

static enum dma_data_direction vhost_scsi_dma_dir(const struct vhost_scsi_command *command)
{
	switch (command->dir) {
	case VHOST_SCSI_OUT:
		return DMA_TO_DEVICE;
	case VHOST_SCSI_IN:
		return DMA_FROM_DEVICE;
	default:
		return DMA_NONE;
	}
}

/*
 * The target core says so of a VERIFY or a SYNCHRONIZE CACHE too, which have a range and no
 * data.
 */
bool vhost_scsi_is_overrun(const struct vhost_scsi_req *req)
{
	if (!(req->se_cmd.se_cmd_flags & SCF_OVERFLOW_BIT))
		return false;
	return req->command.dir != VHOST_SCSI_NO_DATA ||
	       vhost_scsi_cdb_dir(req->command.cdb) != VHOST_SCSI_ANY_DATA;
}

/*
 * May it be executed? Not where the CDB wants more data than there is: without any, the
 * target core would begin all the same, and it takes a protected command's word for how much
 * there is. Nor with less protection information than its blocks have, or more, for devices
 * and backstores move as much as these have, or as there is, however much is there.
 */
static bool vhost_scsi_is_complete(const struct vhost_scsi_req *req)
{
	const struct se_cmd *se_cmd = &req->se_cmd;

	if (vhost_scsi_is_overrun(req) || req->command.bytes < se_cmd->data_length)
		return false;
	return !req->command.pi || !se_cmd->prot_length || req->command.pi == se_cmd->prot_length;
}

/*
 * No more of its data than the CDB wants: backstores size a bio by the scatterlist, and
 * protection information is there for the blocks only.
 */
static void vhost_scsi_trim(struct vhost_scsi_req *req)
{
	struct se_cmd *se_cmd = &req->se_cmd;
	u32 left = se_cmd->data_length;
	unsigned int nents = 0;

	if (req->command.bytes == left || !req->data.nents)
		return;
	/* Of a protected command it has not noticed. */
	se_cmd->se_cmd_flags |= SCF_UNDERFLOW_BIT;
	se_cmd->residual_count = req->command.bytes - left;
	for (; left; nents++) {
		req->data.table[nents].length = min(left, req->data.table[nents].length);
		left -= req->data.table[nents].length;
	}
	se_cmd->t_data_nents = nents;
}

static void vhost_scsi_send(struct vhost_scsi_req *req)
{
	struct se_cmd *se_cmd = &req->se_cmd;

	if (target_submit_prep(se_cmd, req->command.cdb, req->data.table, req->data.nents,
			       NULL, 0, req->prot.table, req->prot.nents, GFP_KERNEL))
		return;
	if (!vhost_scsi_is_complete(req)) {
		transport_generic_request_failure(se_cmd, TCM_INVALID_CDB_FIELD);
		return;
	}
	vhost_scsi_trim(req);
	/*
	 * WRPROTECT without any: the driver leaves it to us. Of pages of its own, zeroed ones,
	 * the target core would say that the guard is wrong.
	 */
	if (!req->command.pi && se_cmd->prot_op == TARGET_PROT_DOUT_PASS)
		se_cmd->prot_op = TARGET_PROT_DOUT_INSERT;
	/* Of no blocks: the target core would make a table without entries, and oops. */
	if (!se_cmd->prot_length)
		se_cmd->prot_op = TARGET_PROT_NORMAL;
	target_submit(se_cmd);
}

static void vhost_scsi_send_work(struct vstor_work *work)
{
	vhost_scsi_send(container_of(work, struct vhost_scsi_req, work));
}

/*
 * Reads and writes go under the batch's plug. What discards, writes files or waits for
 * other devices takes its time, and locks that are not for under a vq's mutex: a
 * workqueue sends it; but not where it has its place among the others.
 */
static bool vhost_scsi_goes_at_once(const struct vhost_scsi_command *command)
{
	return vhost_scsi_cdb_is_quick(command->cdb) ||
	       command->task_attr == VIRTIO_SCSI_S_ORDERED;
}

bool vhost_scsi_init_cmd(struct vhost_scsi_req *req, struct vhost_scsi_tpg *tpg)
{
	const struct vhost_scsi_command *command = &req->command;

	req->se_cmd.tag = command->tag;
	req->sent = true;
	/* Only where the session is being shut down, which it is not while we use it. */
	if (!target_init_cmd(&req->se_cmd, tpg->session, req->sense, command->lun.lun,
			     command->bytes, vhost_scsi_task_attr(command->task_attr),
			     vhost_scsi_dma_dir(command), 0))
		return true;
	vhost_scsi_unmap(req);
	req->response = VIRTIO_SCSI_S_NEXUS_FAILURE;
	vstor_cmd_done(&req->cmd);
	return false;
}

void vhost_scsi_submit(struct vhost_scsi_req *req, struct vhost_scsi_tpg *tpg)
{
	struct vhost_scsi *scsi = to_vhost_scsi_vq(req->cmd.svq)->scsi;

	if (!vhost_scsi_init_cmd(req, tpg))
		return;
	if (vhost_scsi_goes_at_once(&req->command))
		vhost_scsi_send(req);
	else
		vstor_work_queue(scsi->works, &req->work, vhost_scsi_send_work);
}
