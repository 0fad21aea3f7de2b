// SPDX-License-Identifier: GPL-2.0
/*
 * The control queue, VIRTIO 5.6.6.2: task management, and asynchronous notifications, of
 * which there are none.
 *
 * A function's answer comes after the used entries of all commands that it is about.
 * It marks those that are in flight as it finds them, each queue in turn, and ends when
 * the last of them has. The target core has no way to end a command before its backend
 * has ended it: so to abort one is to wait for it, and to say that it was aborted.
 */
#include <linux/slab.h>
#include "vhost_scsi.h"

/* VIRTIO 1.2 calls this response so. */
#define VHOST_SCSI_FUNCTION_COMPLETE	VIRTIO_SCSI_S_OK

/**
 * struct vhost_scsi_scan - which requests a function is about, and what becomes of them
 * @lun: its logical unit
 * @tag: its name, unless @any_tag
 * @any_tag: all of the logical unit
 * @any_lun: all of the target
 * @cancel: the response that it ends with, or 0
 * @aborted_as: the same, if the target core aborts it
 * @awaited: the function's bit; 0: it does not wait
 */
struct vhost_scsi_scan {
	struct vhost_scsi_lun lun;
	u64 tag;
	bool any_tag;
	bool any_lun;
	u8 cancel;
	u8 aborted_as;
	unsigned long awaited;
};

static struct vhost_scsi_control *vhost_scsi_free_control(struct vhost_scsi *scsi)
{
	unsigned int i;

	for (i = 0; i < VHOST_SCSI_CONTROLS; i++)
		if (!scsi->controls[i].busy)
			return &scsi->controls[i];
	return NULL;
}

static bool vhost_scsi_control_ready(struct vstor_vq *svq)
{
	return vhost_scsi_free_control(to_vhost_scsi_vq(svq)->scsi);
}

static void vhost_scsi_control_put(struct vhost_scsi_control *control)
{
	if (atomic_dec_and_test(&control->left))
		vstor_cmd_done(&control->cmd);
}

void vhost_scsi_awaited_ended(struct vhost_scsi *scsi, unsigned long awaited)
{
	unsigned int i;

	for_each_set_bit(i, &awaited, VHOST_SCSI_CONTROLS)
		vhost_scsi_control_put(&scsi->controls[i]);
}

static bool vhost_scsi_scan_means(const struct vhost_scsi_scan *scan,
				  const struct vhost_scsi_req *req)
{
	const struct vhost_scsi_command *command = &req->command;

	if (!req->busy || !req->sent || command->lun.target != scan->lun.target)
		return false;
	if (scan->any_lun)
		return true;
	return command->lun.lun == scan->lun.lun && (scan->any_tag || command->tag == scan->tag);
}

static unsigned int vhost_scsi_scan_queue(struct vhost_scsi_vq *sq,
					  const struct vhost_scsi_scan *scan,
					  struct vhost_scsi_control *control)
{
	struct vhost_scsi_req *req;
	unsigned int n = 0;

	for (req = sq->reqs; req < sq->reqs + sq->nreqs; req++) {
		if (!vhost_scsi_scan_means(scan, req))
			continue;
		n++;
		if (scan->cancel)
			req->cancelled = scan->cancel;
		if (scan->aborted_as)
			req->aborted_as = scan->aborted_as;
		req->awaited |= scan->awaited;
		if (scan->awaited)
			atomic_inc(&control->left);
	}
	return n;
}

/* Returns how many requests it found. The control queue's vq->mutex held. */
static unsigned int vhost_scsi_scan(struct vhost_scsi_control *control,
				    const struct vhost_scsi_scan *scan)
{
	struct vhost_scsi *scsi = control->scsi;
	struct vhost_virtqueue *vq;
	unsigned int i, n = 0;

	for (i = VHOST_SCSI_FIRST_VQ; i < scsi->nvqs; i++) {
		vq = scsi->vqs[i];
		/* Whether it is set up does not change while ours runs. */
		if (!vhost_vq_get_backend(vq))
			continue;
		mutex_lock_nested(&vq->mutex, SINGLE_DEPTH_NESTING);
		/* What was sent before, and its own worker has not come to yet. */
		vstor_vq_look(&scsi->queues[i].svq);
		n += vhost_scsi_scan_queue(&scsi->queues[i], scan, control);
		mutex_unlock(&vq->mutex);
	}
	return n;
}

static unsigned long vhost_scsi_control_bit(const struct vhost_scsi_control *control)
{
	return BIT(control - control->scsi->controls);
}

void vhost_scsi_reset_answered(struct se_cmd *se_cmd)
{
	struct vhost_scsi_control *control =
		container_of(se_cmd, struct vhost_scsi_control, se_cmd);

	switch (se_cmd->se_tmr_req->response) {
	case TMR_FUNCTION_COMPLETE:
		control->response = VHOST_SCSI_FUNCTION_COMPLETE;
		break;
	case TMR_LUN_DOES_NOT_EXIST:
		control->response = VIRTIO_SCSI_S_INCORRECT_LUN;
		break;
	default:
		control->response = VIRTIO_SCSI_S_FUNCTION_REJECTED;
		break;
	}
}

void vhost_scsi_reset_released(struct se_cmd *se_cmd)
{
	vhost_scsi_control_put(container_of(se_cmd, struct vhost_scsi_control, se_cmd));
}

/* The target core ends the commands, of other initiators too, and undoes reservations. */
static void vhost_scsi_reset_lun(struct vhost_scsi_control *control, struct vhost_scsi_tpg *tpg,
				 struct vhost_scsi_scan *scan)
{
	scan->any_tag = true;
	scan->aborted_as = VIRTIO_SCSI_S_RESET;
	scan->awaited = vhost_scsi_control_bit(control);
	vhost_scsi_scan(control, scan);
	/* Unless it says otherwise. */
	control->response = VIRTIO_SCSI_S_FUNCTION_REJECTED;
	memset(&control->se_cmd, 0, sizeof(control->se_cmd));
	atomic_inc(&control->left);
	if (target_submit_tmr(&control->se_cmd, tpg->session, NULL, scan->lun.lun, NULL,
			      TMR_LUN_RESET, GFP_KERNEL, 0, 0))
		vhost_scsi_control_put(control);
}

static void vhost_scsi_abort(struct vhost_scsi_control *control, struct vhost_scsi_scan *scan,
			     u8 response)
{
	scan->cancel = response;
	scan->awaited = vhost_scsi_control_bit(control);
	vhost_scsi_scan(control, scan);
}

/* SAM-5: found is FUNCTION SUCCEEDED, not found FUNCTION COMPLETE. */
static void vhost_scsi_query(struct vhost_scsi_control *control, struct vhost_scsi_scan *scan)
{
	if (vhost_scsi_scan(control, scan))
		control->response = VIRTIO_SCSI_S_FUNCTION_SUCCEEDED;
}

/* VIRTIO 5.6.6.2: all but those that other initiators would have to know of. */
static void vhost_scsi_manage(struct vhost_scsi_control *control, struct vhost_scsi_tpg *tpg,
			      u32 subtype, struct vhost_scsi_scan *scan)
{
	control->response = VHOST_SCSI_FUNCTION_COMPLETE;
	switch (subtype) {
	case VIRTIO_SCSI_T_TMF_ABORT_TASK_SET:
		scan->any_tag = true;
		fallthrough;
	case VIRTIO_SCSI_T_TMF_ABORT_TASK:
		vhost_scsi_abort(control, scan, VIRTIO_SCSI_S_ABORTED);
		break;
	case VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET:
		scan->any_lun = true;
		vhost_scsi_abort(control, scan, VIRTIO_SCSI_S_RESET);
		core_allocate_nexus_loss_ua(tpg->session->se_node_acl);
		break;
	case VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET:
		vhost_scsi_reset_lun(control, tpg, scan);
		break;
	case VIRTIO_SCSI_T_TMF_QUERY_TASK_SET:
		scan->any_tag = true;
		fallthrough;
	case VIRTIO_SCSI_T_TMF_QUERY_TASK:
		vhost_scsi_query(control, scan);
		break;
	default:
		control->response = VIRTIO_SCSI_S_FUNCTION_REJECTED;
		break;
	}
}

/* Is it one that is about a whole target? */
static bool vhost_scsi_knows_lun(const struct vhost_scsi_tpg *tpg, u32 subtype, u16 lun)
{
	return subtype == VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET || test_bit(lun, tpg->luns);
}

static void vhost_scsi_tmf(struct vhost_scsi_control *control,
			   const struct virtio_scsi_ctrl_tmf_req *raw)
{
	struct vhost_virtqueue *vq = &control->cmd.svq->vq;
	u32 subtype = vhost32_to_cpu(vq, raw->subtype);
	struct vhost_scsi_scan scan = { .tag = vhost64_to_cpu(vq, raw->tag) };
	struct vhost_scsi_tpg *tpg = NULL;

	if (vhost_scsi_parse_lun(raw->lun, &scan.lun) && !scan.lun.well_known)
		tpg = vhost_scsi_find_tpg(vq, &scan.lun);
	if (!tpg)
		control->response = VIRTIO_SCSI_S_BAD_TARGET;
	else if (!vhost_scsi_knows_lun(tpg, subtype, scan.lun.lun))
		control->response = VIRTIO_SCSI_S_INCORRECT_LUN;
	else
		vhost_scsi_manage(control, tpg, subtype, &scan);
}

/* 5.6.6.2: no events are reported this way, so none is what was asked for. */
static void vhost_scsi_notifications(struct vhost_scsi_control *control,
				     const struct virtio_scsi_ctrl_an_req *raw)
{
	struct vhost_virtqueue *vq = &control->cmd.svq->vq;
	struct vhost_scsi_lun lun;

	control->answer_bytes = sizeof(struct virtio_scsi_ctrl_an_resp);
	if (vhost_scsi_parse_lun(raw->lun, &lun) && vhost_scsi_find_tpg(vq, &lun))
		control->response = VIRTIO_SCSI_S_OK;
	else
		control->response = VIRTIO_SCSI_S_BAD_TARGET;
}

/* Reads the request, once, as much of it as its type has. */
static int vhost_scsi_control_decode(struct vhost_scsi_control *control, unsigned int out)
{
	struct vhost_virtqueue *vq = &control->cmd.svq->vq;
	union {
		__virtio32 type;
		struct virtio_scsi_ctrl_tmf_req tmf;
		struct virtio_scsi_ctrl_an_req an;
	} raw = { 0 };
	size_t bytes = min(iov_length(vq->iov, out), sizeof(raw));
	struct iov_iter from;
	u32 type;

	iov_iter_init(&from, ITER_SOURCE, vq->iov, out, bytes);
	if (!copy_from_iter_full(&raw, bytes, &from))
		return -EFAULT;
	type = vhost32_to_cpu(vq, raw.type);
	control->response = VIRTIO_SCSI_S_FAILURE;
	control->answer_bytes = sizeof(struct virtio_scsi_ctrl_tmf_resp);
	if (bytes < sizeof(raw.type))
		return 0;
	if (type == VIRTIO_SCSI_T_TMF && bytes >= sizeof(raw.tmf))
		vhost_scsi_tmf(control, &raw.tmf);
	else if ((type == VIRTIO_SCSI_T_AN_QUERY || type == VIRTIO_SCSI_T_AN_SUBSCRIBE) &&
		 bytes >= sizeof(raw.an))
		vhost_scsi_notifications(control, &raw.an);
	return 0;
}

/* There is no memory to remember where its answer goes. */
static int vhost_scsi_control_refuse(struct vhost_scsi_control *control, const struct iovec *iov)
{
	const struct virtio_scsi_ctrl_tmf_resp resp = { .response = VIRTIO_SCSI_S_FAILURE };

	control->answer_bytes = sizeof(resp);
	return vhost_scsi_reply_now(&control->reply, iov, &resp, sizeof(resp));
}

static ssize_t vhost_scsi_control_take(struct vstor_vq *svq, u16 head, unsigned int out,
				       unsigned int in)
{
	struct vhost_scsi *scsi = to_vhost_scsi_vq(svq)->scsi;
	struct vhost_scsi_control *control = vhost_scsi_free_control(scsi);
	const struct iovec *iov = svq->vq.iov + out;
	size_t in_len = iov_length(iov, in);
	int r;

	/* Nowhere to put a response: there is no answer to give. */
	if (!in_len)
		return -EPROTO;
	r = vstor_cmd_init(&control->cmd, svq, head);
	control->busy = true;
	atomic_set(&control->left, 1);
	if (vhost_scsi_reply_init(&control->reply, iov, in,
				  min(in_len, sizeof(struct virtio_scsi_ctrl_an_resp))))
		r = -ENOMEM;
	if (!r)
		r = vhost_scsi_control_decode(control, out);
	else
		r = vhost_scsi_control_refuse(control, iov);
	if (r) {
		vstor_cmd_undo(&control->cmd);
		vhost_scsi_reply_free(&control->reply);
		control->busy = false;
		return r;
	}
	vhost_scsi_control_put(control);
	return 0;
}

/*
 * The last of its requests has ended, in the middle of a batch whose used entries come
 * together, at the end, before the queue's mutex is free.
 */
static void vhost_scsi_wait_for_batches(struct vhost_scsi *scsi)
{
	struct vhost_virtqueue *vq;
	unsigned int i;

	for (i = VHOST_SCSI_FIRST_VQ; i < scsi->nvqs; i++) {
		vq = scsi->vqs[i];
		if (!vhost_vq_get_backend(vq))
			continue;
		mutex_lock_nested(&vq->mutex, SINGLE_DEPTH_NESTING);
		mutex_unlock(&vq->mutex);
	}
}

static s64 vhost_scsi_control_finish(struct vstor_cmd *cmd, bool discard)
{
	struct vhost_scsi_control *control = container_of(cmd, struct vhost_scsi_control, cmd);
	/* The response is the last byte of either answer. */
	u8 answer[sizeof(struct virtio_scsi_ctrl_an_resp)] = { 0 };
	size_t bytes = control->answer_bytes;
	s64 used = 0;

	answer[bytes - 1] = control->response;
	if (!discard) {
		vhost_scsi_wait_for_batches(control->scsi);
		used = min_t(size_t, bytes, control->reply.room);
		if (vhost_scsi_reply_put(&control->reply, answer, bytes))
			used = VSTOR_CMD_UNTOLD;
	}
	vhost_scsi_reply_free(&control->reply);
	control->busy = false;
	return used;
}

const struct vstor_ops vhost_scsi_control_ops = {
	.ready = vhost_scsi_control_ready,
	.take = vhost_scsi_control_take,
	.finish = vhost_scsi_control_finish,
};

int vhost_scsi_alloc_controls(struct vhost_scsi *scsi)
{
	unsigned int i;

	scsi->controls = kcalloc(VHOST_SCSI_CONTROLS, sizeof(*scsi->controls), GFP_KERNEL_ACCOUNT);
	if (!scsi->controls)
		return -ENOMEM;
	for (i = 0; i < VHOST_SCSI_CONTROLS; i++)
		scsi->controls[i].scsi = scsi;
	return 0;
}

void vhost_scsi_free_controls(struct vhost_scsi *scsi)
{
	kfree(scsi->controls);
	scsi->controls = NULL;
}
