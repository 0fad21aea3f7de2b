// SPDX-License-Identifier: GPL-2.0
/* A chain off the ring becomes a request: its header is read, once, and obeyed. */
#include <linux/slab.h>
#include "vhost_blk.h"
#include "trace.h"

/* What does not change while a batch is taken; vhost_blk_backend_look() has the rest. */
static void vhost_blk_begin(struct vstor_vq *svq)
{
	struct vhost_blk_vq *bq = to_vhost_blk_vq(svq);

	vhost_blk_backend_limits(vhost_vq_get_backend(&svq->vq), &bq->limits);
	bq->limits.features = svq->vq.acked_features;
}

static bool vhost_blk_ready(struct vstor_vq *svq)
{
	return to_vhost_blk_vq(svq)->free;
}

static void vhost_blk_get_id(struct vhost_blk_req *req, struct vhost_blk *blk,
			     struct iov_iter *to, u32 bytes)
{
	u8 serial[VHOST_BLK_SERIAL_BYTES];

	vhost_blk_copy_serial(blk, serial);
	req->written = copy_to_iter(serial, bytes, to);
	if (req->written != bytes)
		req->status = VIRTIO_BLK_S_IOERR;
	vstor_cmd_done(&req->cmd);
}

/* What crosses zones is good only where they are conventional. */
static int vhost_blk_start_rw(struct vhost_blk_req *req, struct vhost_blk_backend *backend,
			      const struct iovec *iov, unsigned int segs, size_t skip)
{
	if (req->command.crosses)
		return vhost_blk_submit_crossing(req, backend, iov, segs, skip);
	return vhost_blk_submit_rw(req, backend, iov, segs, skip);
}

/*
 * Sends a checked command on its way. -EAGAIN: not now, nothing was done; in
 * every other case the request is on its way to vhost_blk_finish().
 */
static int vhost_blk_execute(struct vhost_blk_req *req, unsigned int out, unsigned int in)
{
	const struct vhost_blk_command *command = &req->command;
	const size_t header = sizeof(struct virtio_blk_outhdr);
	struct vhost_virtqueue *vq = &req->cmd.svq->vq;
	struct vhost_blk_backend *backend = vhost_vq_get_backend(vq);
	struct vhost_blk_vq *bq = to_vhost_blk_vq(req->cmd.svq);
	struct iov_iter iter;

	if (bq->limits.zone_sectors)
		vhost_blk_zone_init(req);
	switch (command->op) {
	case VHOST_BLK_UNKNOWN:
		/* Has a status that ended it. */
		break;
	case VHOST_BLK_READ:
		return vhost_blk_start_rw(req, backend, vq->iov + out, in, 0);
	case VHOST_BLK_WRITE:
		return vhost_blk_start_rw(req, backend, vq->iov, out, header);
	case VHOST_BLK_FLUSH:
		vhost_blk_submit_flush(req, backend);
		return 0;
	case VHOST_BLK_GET_ID:
		iov_iter_init(&iter, ITER_DEST, vq->iov + out, in, command->bytes);
		vhost_blk_get_id(req, bq->blk, &iter, command->bytes);
		return 0;
	case VHOST_BLK_DISCARD:
	case VHOST_BLK_WRITE_ZEROES:
	case VHOST_BLK_SECURE_ERASE:
		iov_iter_init(&iter, ITER_SOURCE, vq->iov, out, header + command->bytes);
		iov_iter_advance(&iter, header);
		return vhost_blk_submit_ranges(req, &bq->limits, &iter);
	case VHOST_BLK_ZONE_APPEND:
		return vhost_blk_submit_append(req, backend, vq->iov, out, in);
	case VHOST_BLK_ZONE_REPORT:
		return vhost_blk_submit_report(req, vq->iov + out, in);
	case VHOST_BLK_ZONE_OPEN:
	case VHOST_BLK_ZONE_CLOSE:
	case VHOST_BLK_ZONE_FINISH:
	case VHOST_BLK_ZONE_RESET:
	case VHOST_BLK_ZONE_RESET_ALL:
		vhost_blk_submit_zone(req, backend);
		return 0;
	}
	return 0;
}

/* All drivers have it in one piece. */
static int vhost_blk_load_header(struct virtio_blk_outhdr *hdr, const struct iovec *iov,
				 unsigned int segs, size_t len)
{
	struct iov_iter from;

	BUILD_BUG_ON(sizeof(*hdr) != 16);
	if (iov->iov_len >= sizeof(*hdr))
		return vstor_load(hdr, iov->iov_base, 16);
	iov_iter_init(&from, ITER_SOURCE, iov, segs, len);
	return copy_from_iter_full(hdr, sizeof(*hdr), &from) ? 0 : -EFAULT;
}

/*
 * Reads the header and checks the request: VIRTIO 2.7.4.1, the buffers may be
 * cut anywhere. Returns the status to end it with; EFAULT where the memory table
 * names memory that the owner does not have.
 */
static int vhost_blk_decode(struct vhost_blk_req *req, unsigned int out,
			    size_t out_len)
{
	struct vhost_virtqueue *vq = &req->cmd.svq->vq;
	struct vhost_blk_limits *limits = &to_vhost_blk_vq(req->cmd.svq)->limits;
	struct virtio_blk_outhdr hdr;

	if (out_len < sizeof(hdr))
		return VIRTIO_BLK_S_IOERR;
	if (vhost_blk_load_header(&hdr, vq->iov, out, out_len))
		return -EFAULT;
	vhost_blk_backend_look(vhost_vq_get_backend(vq), limits);
	return vhost_blk_parse(&hdr, out_len - sizeof(hdr), req->in, limits, &req->command);
}

/* Takes a free request for the chain; vhost_blk_ready() saw that there is one. */
static struct vhost_blk_req *vhost_blk_get_req(struct vhost_blk_vq *bq)
{
	struct vhost_blk_req *req = bq->free;

	bq->free = req->next_free;
	req->status = VIRTIO_BLK_S_OK;
	req->pages = VHOST_BLK_PINNED;
	req->written = 0;
	req->bytes = 0;
	req->bio_status = BLK_STS_OK;
	req->bios = NULL;
	req->iov = NULL;
	req->report = NULL;
	req->answer = NULL;
	req->command = (struct vhost_blk_command){ 0 };
	return req;
}

/* The chain stays in the ring, or broke the vq: as if it had not been taken. */
static void vhost_blk_unget_req(struct vhost_blk_vq *bq, struct vhost_blk_req *req)
{
	vstor_cmd_undo(&req->cmd);
	kfree(req->iov);
	req->next_free = bq->free;
	bq->free = req;
}

static ssize_t vhost_blk_take(struct vstor_vq *svq, u16 head, unsigned int out,
			      unsigned int in)
{
	struct iovec *iov = svq->vq.iov, *last = iov + out + in - 1;
	struct vhost_blk_vq *bq = to_vhost_blk_vq(svq);
	size_t in_len = iov_length(iov + out, in);
	struct vhost_blk_req *req;
	int r;

	/* Nowhere to put a status: there is no answer to give. */
	if (!in_len)
		return -EPROTO;
	req = vhost_blk_get_req(bq);
	req->in = min_t(size_t, in_len - 1, U32_MAX - 1);
	req->status_at = last->iov_base + last->iov_len - 1;

	if (vstor_cmd_init(&req->cmd, svq, head))
		r = VIRTIO_BLK_S_IOERR;
	else
		r = vhost_blk_decode(req, out, iov_length(iov, out));
	if (r >= 0)
		trace_vhost_blk_intake(req, r);
	if (r == VIRTIO_BLK_S_OK)
		r = vhost_blk_execute(req, out, in);
	if (r < 0) {
		vhost_blk_unget_req(bq, req);
		return r;
	}
	if (r != VIRTIO_BLK_S_OK) {
		req->command.bytes = 0;
		req->status = r;
		vstor_cmd_done(&req->cmd);
	}
	vhost_blk_stats_taken(bq, &req->command);
	return req->command.bytes;
}

const struct vstor_ops vhost_blk_ops = {
	.begin = vhost_blk_begin,
	.ready = vhost_blk_ready,
	.take = vhost_blk_take,
	.finish = vhost_blk_finish,
};

int vhost_blk_vq_alloc_reqs(struct vhost_blk_vq *bq)
{
	unsigned int i, num = bq->svq.vq.num;

	bq->reqs = kvcalloc(num, sizeof(*bq->reqs), GFP_KERNEL_ACCOUNT);
	if (!bq->reqs)
		return -ENOMEM;
	bq->free = NULL;
	bq->bytes = 0;
	for (i = num; i--;) {
		bq->reqs[i].next_free = bq->free;
		bq->free = &bq->reqs[i];
	}
	return 0;
}

void vhost_blk_vq_free_reqs(struct vhost_blk_vq *bq)
{
	kvfree(bq->reqs);
	bq->reqs = NULL;
	bq->free = NULL;
}
