// SPDX-License-Identifier: GPL-2.0
/* A chain off a request queue becomes a request: its header is read, once, and obeyed. */
#include <linux/slab.h>
#include "vhost_scsi.h"

/* Bytes of the header; they differ by the protection information's fields. */
static size_t vhost_scsi_header_bytes(struct vhost_virtqueue *vq)
{
	if (vhost_has_feature(vq, VIRTIO_SCSI_F_T10_PI))
		return sizeof(struct virtio_scsi_cmd_req_pi);
	return sizeof(struct virtio_scsi_cmd_req);
}

static bool vhost_scsi_ready(struct vstor_vq *svq)
{
	return to_vhost_scsi_vq(svq)->free;
}

static void vhost_scsi_fill_header_pi(struct vhost_virtqueue *vq,
				      const struct virtio_scsi_cmd_req_pi *raw,
				      struct vhost_scsi_header *hdr)
{
	hdr->lun = raw->lun;
	hdr->tag = vhost64_to_cpu(vq, raw->tag);
	hdr->task_attr = raw->task_attr;
	hdr->pi_out = vhost32_to_cpu(vq, raw->pi_bytesout);
	hdr->pi_in = vhost32_to_cpu(vq, raw->pi_bytesin);
	hdr->cdb = raw->cdb;
}

static void vhost_scsi_fill_header(struct vhost_virtqueue *vq,
				   const struct virtio_scsi_cmd_req *raw,
				   struct vhost_scsi_header *hdr)
{
	hdr->lun = raw->lun;
	hdr->tag = vhost64_to_cpu(vq, raw->tag);
	hdr->task_attr = raw->task_attr;
	hdr->pi_out = 0;
	hdr->pi_in = 0;
	hdr->cdb = raw->cdb;
}

/* As the guest has it. */
union vhost_scsi_raw_header {
	struct virtio_scsi_cmd_req plain;
	struct virtio_scsi_cmd_req_pi pi;
	u64 words[8];
};

static int vhost_scsi_load_cut_header(struct vhost_virtqueue *vq, unsigned int out,
				      size_t bytes, union vhost_scsi_raw_header *raw)
{
	struct iov_iter from;

	iov_iter_init(&from, ITER_SOURCE, vq->iov, out, bytes);
	return copy_from_iter_full(raw, bytes, &from) ? 0 : -EFAULT;
}

/*
 * VIRTIO 2.7.4.1: it may be cut anywhere; all drivers have it in one piece. @hdr points into
 * @raw.
 */
static int vhost_scsi_load_header(struct vhost_virtqueue *vq, unsigned int out, size_t bytes,
				  union vhost_scsi_raw_header *raw,
				  struct vhost_scsi_header *hdr)
{
	int r;

	BUILD_BUG_ON(sizeof(raw->pi) > sizeof(raw->words));
	if (vq->iov->iov_len < bytes)
		r = vhost_scsi_load_cut_header(vq, out, bytes, raw);
	else if (bytes == sizeof(raw->plain))
		r = vstor_load(raw, vq->iov->iov_base, sizeof(raw->plain));
	else
		r = vstor_load(raw, vq->iov->iov_base, sizeof(raw->pi));
	if (r)
		return r;
	if (bytes == sizeof(raw->pi))
		vhost_scsi_fill_header_pi(vq, &raw->pi, hdr);
	else
		vhost_scsi_fill_header(vq, &raw->plain, hdr);
	return 0;
}

/* Takes a free request for the chain; vhost_scsi_ready() saw that there is one. */
static struct vhost_scsi_req *vhost_scsi_get_req(struct vhost_scsi_vq *sq)
{
	struct vhost_scsi_req *req = sq->free;

	sq->free = req->next_free;
	req->response = VIRTIO_SCSI_S_OK;
	req->cancelled = 0;
	req->aborted = false;
	/* Unless it was reset: by a command that preempts, or by another initiator. */
	req->aborted_as = VIRTIO_SCSI_S_ABORTED;
	req->sent = false;
	req->way = VHOST_SCSI_LONG;
	req->awaited = 0;
	req->bytes = 0;
	req->data = (struct vhost_scsi_sgl){ 0 };
	req->prot = (struct vhost_scsi_sgl){ 0 };
	req->busy = true;
	/* The target core relies on it. */
	memset(&req->se_cmd, 0, sizeof(req->se_cmd));
	return req;
}

/* The chain stays in the ring, or broke the vq: as if it had not been taken. */
static void vhost_scsi_unget_req(struct vhost_scsi_vq *sq, struct vhost_scsi_req *req)
{
	vstor_cmd_undo(&req->cmd);
	vhost_scsi_reply_free(&req->reply);
	req->busy = false;
	req->next_free = sq->free;
	sq->free = req;
}

/* It goes no further. */
static void vhost_scsi_refuse(struct vhost_scsi_req *req,
			      const struct vhost_scsi_verdict *verdict)
{
	req->response = verdict->response;
	if (verdict->key) {
		req->se_cmd.scsi_status = SAM_STAT_CHECK_CONDITION;
		req->se_cmd.scsi_sense_length = VHOST_SCSI_SENSE_BYTES;
		vhost_scsi_fill_sense(req->sense, verdict);
	}
	vstor_cmd_done(&req->cmd);
}

/*
 * SPC: what is answered for a LUN 0 that is not there; so the target core does, and all
 * else with a disk that forgets what it is given.
 */
static bool vhost_scsi_needs_no_lun(const u8 *cdb)
{
	return cdb[0] == INQUIRY || cdb[0] == REPORT_LUNS || cdb[0] == REQUEST_SENSE;
}

/*
 * Is there somebody to ask? The target core would say as well if not, but in the kernel's
 * log too, each time. The well-known logical unit is for REPORT LUNS, of LUN 0.
 */
static bool vhost_scsi_lun_answers(const struct vhost_scsi_tpg *tpg,
				   const struct vhost_scsi_command *command)
{
	if (command->lun.well_known)
		return command->cdb[0] == REPORT_LUNS;
	return test_bit(command->lun.lun, tpg->luns) ||
	       (!command->lun.lun && vhost_scsi_needs_no_lun(command->cdb));
}

/* The long way, for what has no data. */
static int vhost_scsi_send(struct vhost_scsi_req *req, struct vhost_scsi_tpg *tpg)
{
	if (vhost_scsi_is_held_back(to_vhost_scsi_vq(req->cmd.svq)->scsi))
		return -EBUSY;
	vhost_scsi_submit(req, tpg);
	return 0;
}

/* Sends it, whose data is @skip bytes into @iov, one way or the other; or returns why not. */
static int vhost_scsi_send_data(struct vhost_scsi_req *req, struct vhost_scsi_tpg *tpg,
				const struct iovec *iov, unsigned int segs, size_t skip)
{
	int r = vhost_scsi_submit_direct(req, tpg, iov, segs, skip);

	if (r != -E2BIG)
		return r;
	if (vhost_scsi_is_held_back(to_vhost_scsi_vq(req->cmd.svq)->scsi))
		return -EBUSY;
	r = vhost_scsi_map(req, tpg, iov, segs, skip);
	if (!r)
		vhost_scsi_submit(req, tpg);
	return r;
}

/* Why a command was not sent, but had to be answered: -errno of the above. */
static void vhost_scsi_refuse_for(struct vhost_scsi_req *req, int error)
{
	struct vhost_scsi_verdict verdict = { .response = VIRTIO_SCSI_S_FAILURE };

	/* Out of memory it may work the next time; bad memory of the guest stays so. */
	if (error == -ENOMEM)
		verdict.response = VIRTIO_SCSI_S_BUSY;
	/* So may this, a little later, which drivers do with the SCSI status. */
	if (error == -EBUSY) {
		verdict.response = VIRTIO_SCSI_S_OK;
		req->se_cmd.scsi_status = SAM_STAT_BUSY;
	}
	vhost_scsi_refuse(req, &verdict);
}

/* The checked command goes to the target core. Returns as vhost_scsi_take() does. */
static int vhost_scsi_execute(struct vhost_scsi_req *req, unsigned int out, unsigned int in,
			      size_t header)
{
	const struct vhost_scsi_command *command = &req->command;
	struct vhost_virtqueue *vq = &req->cmd.svq->vq;
	struct vhost_scsi_tpg *tpg = vhost_scsi_find_tpg(vq, &command->lun);
	int r;

	if (!tpg) {
		vhost_scsi_refuse(req, &(struct vhost_scsi_verdict){
			.response = VIRTIO_SCSI_S_BAD_TARGET });
		return 0;
	}
	/* LOGICAL UNIT NOT SUPPORTED */
	if (!vhost_scsi_lun_answers(tpg, command)) {
		vhost_scsi_refuse(req, &(struct vhost_scsi_verdict){
			.key = ILLEGAL_REQUEST, .asc = 0x25 });
		return 0;
	}
	/* WRITE PROTECTED: the target core says it of initiators that it has a list of. */
	if (command->dir == VHOST_SCSI_OUT && test_bit(command->lun.lun, tpg->read_only)) {
		vhost_scsi_refuse(req, &(struct vhost_scsi_verdict){
			.key = DATA_PROTECT, .asc = 0x27 });
		return 0;
	}
	if (command->dir == VHOST_SCSI_OUT)
		r = vhost_scsi_send_data(req, tpg, vq->iov, out, header);
	else if (command->dir == VHOST_SCSI_IN)
		r = vhost_scsi_send_data(req, tpg, vq->iov + out, in, VHOST_SCSI_RESP_BYTES);
	else
		r = vhost_scsi_send(req, tpg);
	if (!r || r == -EAGAIN)
		return r;
	vhost_scsi_refuse_for(req, r);
	return 0;
}

/* Reads the header, and obeys it or ends the request. */
static int vhost_scsi_decode(struct vhost_scsi_req *req, unsigned int out, unsigned int in,
			     size_t in_len)
{
	struct vhost_virtqueue *vq = &req->cmd.svq->vq;
	size_t out_len = iov_length(vq->iov, out), header = vhost_scsi_header_bytes(vq);
	struct vhost_scsi_verdict verdict = { .response = VIRTIO_SCSI_S_FAILURE };
	/* Not cleared first: all of them is filled in. */
	union vhost_scsi_raw_header raw __uninitialized;
	struct vhost_scsi_header hdr __uninitialized;

	if (out_len < header || in_len < VHOST_SCSI_RESP_BYTES) {
		req->command = (struct vhost_scsi_command){ 0 };
		vhost_scsi_refuse(req, &verdict);
		return 0;
	}
	if (vhost_scsi_load_header(vq, out, header, &raw, &hdr))
		return -EFAULT;
	if (!vhost_scsi_parse(&hdr, out_len - header, in_len - VHOST_SCSI_RESP_BYTES,
			      &req->command, &verdict)) {
		vhost_scsi_refuse(req, &verdict);
		return 0;
	}
	return vhost_scsi_execute(req, out, in, header);
}

/* There is no memory to remember where its answer goes. */
static int vhost_scsi_refuse_now(struct vhost_scsi_req *req, const struct iovec *iov)
{
	const struct virtio_scsi_cmd_resp resp = { .response = VIRTIO_SCSI_S_BUSY };

	req->command = (struct vhost_scsi_command){ 0 };
	if (vhost_scsi_reply_now(&req->reply, iov, &resp, sizeof(resp)))
		return -EFAULT;
	vstor_cmd_done(&req->cmd);
	return 0;
}

static ssize_t vhost_scsi_take(struct vstor_vq *svq, u16 head, unsigned int out,
			       unsigned int in)
{
	struct vhost_scsi_vq *sq = to_vhost_scsi_vq(svq);
	const struct iovec *iov = svq->vq.iov;
	size_t in_len = iov_length(iov + out, in);
	struct vhost_scsi_req *req;
	int r;

	/* Nowhere to put a response: there is no answer to give. */
	if (in_len < VHOST_SCSI_RESP_MIN)
		return -EPROTO;
	req = vhost_scsi_get_req(sq);
	r = vstor_cmd_init(&req->cmd, svq, head);
	/* Where data follows, vhost_scsi_map() saves the rest if it needs it. */
	if (vhost_scsi_reply_init(&req->reply, iov + out, in,
				  min(in_len, VHOST_SCSI_RESP_BYTES)))
		r = -ENOMEM;
	if (!r)
		r = vhost_scsi_decode(req, out, in, in_len);
	else
		r = vhost_scsi_refuse_now(req, iov + out);
	if (r) {
		vhost_scsi_unget_req(sq, req);
		return r;
	}
	/* It may be over, but not another one yet: vq->mutex is held. */
	vhost_scsi_stats_taken(sq, &req->command);
	return req->command.bytes;
}

const struct vstor_ops vhost_scsi_request_ops = {
	.ready = vhost_scsi_ready,
	.take = vhost_scsi_take,
	.finish = vhost_scsi_finish,
};

#define VHOST_SCSI_SLOTS_PER_PAGE	(PAGE_SIZE / VHOST_SCSI_SLOT_BYTES)

/* None crosses a page, so that each is one segment to a device. */
static int vhost_scsi_alloc_slots(struct vhost_scsi_vq *sq)
{
	unsigned int i;
	u8 *page = NULL;

	for (i = 0; i < sq->nreqs; i++) {
		if (i % VHOST_SCSI_SLOTS_PER_PAGE == 0)
			page = (u8 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!page)
			return -ENOMEM;
		sq->reqs[i].slot = page + i % VHOST_SCSI_SLOTS_PER_PAGE * VHOST_SCSI_SLOT_BYTES;
	}
	return 0;
}

static void vhost_scsi_free_slots(struct vhost_scsi_vq *sq)
{
	unsigned int i;

	for (i = 0; i < sq->nreqs; i += VHOST_SCSI_SLOTS_PER_PAGE)
		free_page((unsigned long)sq->reqs[i].slot);
}

void vhost_scsi_vq_free_reqs(struct vhost_scsi_vq *sq)
{
	vhost_scsi_free_slots(sq);
	kvfree(sq->reqs);
	sq->reqs = NULL;
	sq->nreqs = 0;
	sq->free = NULL;
}

int vhost_scsi_vq_alloc_reqs(struct vhost_scsi_vq *sq)
{
	unsigned int i, num = min(sq->svq.vq.num, VHOST_SCSI_REQS_MAX);

	sq->reqs = kvcalloc(num, sizeof(*sq->reqs), GFP_KERNEL_ACCOUNT);
	if (!sq->reqs)
		return -ENOMEM;
	sq->nreqs = num;
	sq->free = NULL;
	sq->bytes = 0;
	for (i = num; i--;) {
		sq->reqs[i].next_free = sq->free;
		sq->free = &sq->reqs[i];
	}
	if (vhost_has_feature(&sq->svq.vq, VIRTIO_SCSI_F_T10_PI) && vhost_scsi_alloc_slots(sq)) {
		vhost_scsi_vq_free_reqs(sq);
		return -ENOMEM;
	}
	return 0;
}
