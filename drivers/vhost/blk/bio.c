// SPDX-License-Identifier: GPL-2.0
/*
 * A request's data in bios. All of them are built before the first is sent, so
 * that a request whose buffers are bad has touched nothing.
 */
#include <linux/pagemap.h>
#include <linux/slab.h>
#include "vhost_blk.h"
#include "trace.h"

static blk_opf_t vhost_blk_opf(struct vhost_blk_vq *bq,
			       const struct vhost_blk_command *command)
{
	blk_opf_t opf = REQ_SYNC | REQ_IDLE;

	if (command->op == VHOST_BLK_READ)
		return REQ_OP_READ;
	opf |= command->op == VHOST_BLK_WRITE ? REQ_OP_WRITE : REQ_OP_ZONE_APPEND;
	if (vhost_blk_is_stable(bq))
		opf |= REQ_FUA;
	return opf;
}

u8 vhost_blk_status(blk_status_t status)
{
	switch (status) {
	case BLK_STS_OK:
		return VIRTIO_BLK_S_OK;
	case BLK_STS_NOTSUPP:
		return VIRTIO_BLK_S_UNSUPP;
	case BLK_STS_ZONE_OPEN_RESOURCE:
		return VIRTIO_BLK_S_ZONE_OPEN_RESOURCE;
	case BLK_STS_ZONE_ACTIVE_RESOURCE:
		return VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE;
	default:
		return VIRTIO_BLK_S_IOERR;
	}
}

/* Any context. */
static void vhost_blk_end_io(struct bio *bio)
{
	struct vhost_blk_req *req = bio->bi_private;

	/* Any of several errors will do; ordered by the atomic below. */
	if (bio->bi_status)
		WRITE_ONCE(req->bio_status, bio->bi_status);
	if (atomic_dec_and_test(&req->bios_left))
		vstor_cmd_done(&req->cmd);
}

struct vhost_blk_bio *vhost_blk_new_bio(struct vhost_blk_req *req,
					struct vhost_blk_backend *backend,
					blk_opf_t opf, unsigned int vecs)
{
	struct vhost_blk_bio *bio = &req->bio;
	struct bio_vec *table = req->vecs;

	if (req->bios || vecs > VHOST_BLK_INLINE_VECS) {
		bio = kmalloc(sizeof(*bio) + vecs * sizeof(*table), GFP_KERNEL_ACCOUNT);
		if (!bio)
			return NULL;
		table = (struct bio_vec *)(bio + 1);
	}
	bio_init(&bio->bio, backend->bdev, table, vecs, opf);
	bio->bio.bi_private = req;
	bio->bio.bi_end_io = vhost_blk_end_io;
	bio->next = NULL;
	return bio;
}

/**
 * struct vhost_blk_fill - where the building of a request's bios is at
 * @req: the request
 * @backend: its device
 * @opf: what every bio is
 * @small: the embedded bio holds it all
 * @sector: of the next bio
 * @tail: the last bio, and where the next one goes
 */
struct vhost_blk_fill {
	struct vhost_blk_req *req;
	struct vhost_blk_backend *backend;
	blk_opf_t opf;
	bool small;
	sector_t sector;
	struct vhost_blk_bio *tail;
};

static int vhost_blk_next_bio(struct vhost_blk_fill *fill)
{
	unsigned int vecs = fill->small ? VHOST_BLK_INLINE_VECS : VHOST_BLK_BIO_VECS;
	struct vhost_blk_bio *bio;

	bio = vhost_blk_new_bio(fill->req, fill->backend, fill->opf, vecs);
	if (!bio)
		return -ENOMEM;
	if (fill->tail) {
		fill->sector += bio_sectors(&fill->tail->bio);
		fill->tail->next = bio;
	} else {
		fill->req->bios = bio;
	}
	bio->bio.bi_iter.bi_sector = fill->sector;
	fill->tail = bio;
	/* Where the estimate behind it was wrong, go on with large ones. */
	fill->small = false;
	return 0;
}

/* Adds what fits of @len bytes at @addr; for a bounced request, of pages of our own. */
static ssize_t vhost_blk_add(struct vhost_blk_fill *fill, unsigned long addr, size_t len)
{
	unsigned int block = fill->backend->block_size;
	struct vhost_blk_req *req = fill->req;
	struct bio *bio = &fill->tail->bio;

	switch (req->pages) {
	case VHOST_BLK_BOUNCED:
		return vstor_bio_add_bounce(bio, len, block);
	case VHOST_BLK_HELD:
		return vstor_bio_add_held(req->cmd.svq, bio, addr, len);
	default:
		return vstor_bio_add_guest(bio, addr, len, block);
	}
}

static int vhost_blk_fill_segment(struct vhost_blk_fill *fill, unsigned long addr,
				  size_t len)
{
	ssize_t added;

	while (len) {
		added = vhost_blk_add(fill, addr, len);
		if (added < 0)
			return added;
		if (!added && vhost_blk_next_bio(fill))
			return -ENOMEM;
		addr += added;
		len -= added;
	}
	return 0;
}

static int vhost_blk_fill_guest(struct vhost_blk_fill *fill,
				const struct iovec *iov, size_t skip, size_t len)
{
	size_t seg;
	int r;

	for (; len; iov++, len -= seg, skip = 0) {
		seg = min(iov->iov_len - skip, len);
		if (!seg)
			continue;
		r = vhost_blk_fill_segment(fill, (unsigned long)iov->iov_base + skip, seg);
		if (r)
			return r;
	}
	return 0;
}

int vhost_blk_save_iov(struct vhost_blk_req *req, const struct iovec *iov,
		       unsigned int segs)
{
	req->segs = segs;
	req->iov = kmemdup(iov, segs * sizeof(*iov), GFP_KERNEL_ACCOUNT);
	return req->iov ? 0 : -ENOMEM;
}

/* A bounced read's data goes to the guest. */
static int vhost_blk_copy_read(struct vhost_blk_req *req)
{
	struct vhost_blk_bio *bio;
	struct iov_iter to;
	int r = 0;

	iov_iter_init(&to, ITER_DEST, req->iov, req->segs, req->written);
	for (bio = req->bios; bio && !r; bio = bio->next)
		r = vstor_bio_copy(&bio->bio, &to);
	return r;
}

/*
 * Bounced: a write's data is copied now. A read's is copied when it has come,
 * by then vq->iov holds something else.
 */
static int vhost_blk_fill_bounce(struct vhost_blk_fill *fill, const struct iovec *iov,
				 unsigned int segs, size_t skip, size_t len)
{
	struct vhost_blk_req *req = fill->req;
	struct vhost_blk_bio *bio;
	struct iov_iter from;
	int r;

	r = vhost_blk_fill_segment(fill, 0, len);
	if (r)
		return r;
	if (!op_is_write(fill->opf)) {
		req->answer = vhost_blk_copy_read;
		return vhost_blk_save_iov(req, iov, segs);
	}
	iov_iter_init(&from, ITER_SOURCE, iov, segs, skip + len);
	iov_iter_advance(&from, skip);
	for (bio = req->bios; bio && !r; bio = bio->next)
		r = vstor_bio_copy(&bio->bio, &from);
	return r;
}

/* Where it can be sent in one small bio: an upper bound of the pages. */
static bool vhost_blk_is_small(const struct iovec *iov, size_t skip, size_t len)
{
	unsigned int pages = 0;
	size_t seg;

	for (; len; iov++, len -= seg, skip = 0) {
		seg = min(iov->iov_len - skip, len);
		pages += DIV_ROUND_UP(offset_in_page(iov->iov_base + skip) + seg, PAGE_SIZE);
		if (pages > VHOST_BLK_INLINE_VECS)
			return false;
	}
	return true;
}

void vhost_blk_send(struct vhost_blk_req *req)
{
	struct vhost_blk_backend *backend = vhost_blk_req_backend(req);
	struct vhost_blk_bio *bio, *next;

	trace_vhost_blk_submit(req);
	/* One more than there are, so that the request outlives the loop. */
	atomic_set(&req->bios_left, 1);
	for (bio = req->bios; bio; bio = next) {
		next = bio->next;
		atomic_inc(&req->bios_left);
		if (backend->bdev)
			submit_bio(&bio->bio);
		else
			vhost_blk_file_submit(backend, bio);
	}
	if (atomic_dec_and_test(&req->bios_left))
		vstor_cmd_done(&req->cmd);
}

/* Takes the request's share of the vq's memory, once; small ones need none. */
bool vhost_blk_reserve(struct vhost_blk_vq *bq, struct vhost_blk_req *req, u64 bytes)
{
	if (req->bytes)
		return true;
	if (bq->bytes + bytes > VHOST_BLK_VQ_BYTES)
		return false;
	bq->bytes += bytes;
	req->bytes = bytes;
	return true;
}

/* Settles whose pages the bios are to carry, and whether the embedded one will do. */
static void vhost_blk_choose_pages(struct vhost_blk_fill *fill, const struct iovec *iov,
				   size_t skip, bool bounce)
{
	struct vhost_blk_req *req = fill->req;
	size_t len = req->command.bytes;
	unsigned int vecs;

	fill->small = false;
	req->pages = VHOST_BLK_BOUNCED;
	if (bounce)
		return;
	vecs = vstor_hold_get(req->cmd.svq, iov, skip, len, fill->backend->block_size,
			      &req->reader);
	req->pages = vecs ? VHOST_BLK_HELD : VHOST_BLK_PINNED;
	fill->small = vecs ? vecs <= VHOST_BLK_INLINE_VECS : vhost_blk_is_small(iov, skip, len);
}

/* Builds all bios of the request. -EAGAIN: not now, and nothing was done. */
static int vhost_blk_build(struct vhost_blk_fill *fill, const struct iovec *iov,
			   unsigned int segs, size_t skip, bool bounce)
{
	struct vhost_blk_req *req = fill->req;
	size_t len = req->command.bytes;
	int r;

	fill->sector = req->command.sector;
	fill->tail = NULL;
	vhost_blk_choose_pages(fill, iov, skip, bounce);
	if ((!fill->small || len > VHOST_BLK_SMALL_BYTES) &&
	    !vhost_blk_reserve(to_vhost_blk_vq(req->cmd.svq), req, len)) {
		vhost_blk_free_bios(req);
		return -EAGAIN;
	}

	r = len ? vhost_blk_next_bio(fill) : 0;
	if (!r && bounce)
		r = vhost_blk_fill_bounce(fill, iov, segs, skip, len);
	else if (!r)
		r = vhost_blk_fill_guest(fill, iov, skip, len);
	/* Pinning knows an EAGAIN as well, by which some has been done. */
	return r ? -EIO : 0;
}

/*
 * The guest may change a buffer while it is written, as its page cache does. A guard
 * or a digest that the host has made over it would then be wrong, and the write fail.
 */
static bool vhost_blk_must_hold_still(const struct vhost_blk_backend *backend)
{
	if (backend->bdev)
		return bdev_stable_writes(backend->bdev);
	return backend->file->f_flags & O_DIRECT &&
	       mapping_stable_writes(backend->file->f_mapping);
}

/* Must the data at @iov go through pages of our own? */
static bool vhost_blk_must_bounce(const struct vhost_blk_fill *fill, const struct iovec *iov,
				  size_t skip, size_t len)
{
	const struct vhost_blk_backend *backend = fill->backend;

	return !vstor_iov_aligned(iov, skip, len, backend->addr_mask, backend->block_size - 1) ||
	       (op_is_write(fill->opf) && vhost_blk_must_hold_still(backend));
}

int vhost_blk_map(struct vhost_blk_req *req, struct vhost_blk_backend *backend,
		  const struct iovec *iov, unsigned int segs, size_t skip, bool bounce)
{
	const struct vhost_blk_command *command = &req->command;
	struct vhost_blk_fill fill = {
		.req = req,
		.backend = backend,
		.opf = vhost_blk_opf(to_vhost_blk_vq(req->cmd.svq), command),
	};
	size_t len = command->bytes;
	int r;

	/* iov starts at the header for a write, whose data may be further on. */
	for (; len && skip >= iov->iov_len; iov++, segs--)
		skip -= iov->iov_len;
	bounce = bounce || vhost_blk_must_bounce(&fill, iov, skip, len);
	r = vhost_blk_build(&fill, iov, segs, skip, bounce);
	if (r == -EAGAIN)
		return r;
	if (r) {
		vhost_blk_free_bios(req);
		req->status = VIRTIO_BLK_S_IOERR;
		return 0;
	}
	req->written = op_is_write(fill.opf) ? 0 : len;
	if (req->pages == VHOST_BLK_HELD)
		vstor_count(&req->cmd.svq->stats.held, 1);
	return 0;
}

int vhost_blk_submit_rw(struct vhost_blk_req *req, struct vhost_blk_backend *backend,
			const struct iovec *iov, unsigned int segs, size_t skip)
{
	int r = vhost_blk_map(req, backend, iov, segs, skip, false);

	if (!r)
		vhost_blk_send(req);
	return r;
}

static void vhost_blk_flush_sync(struct vhost_blk_req *req)
{
	req->bio_status = errno_to_blk_status(vhost_blk_backend_flush(vhost_blk_req_backend(req)));
	vstor_cmd_done(&req->cmd);
}

/* VIRTIO 5.2.6.2: what completed before it is stable when it completes. */
void vhost_blk_submit_flush(struct vhost_blk_req *req,
			    struct vhost_blk_backend *backend)
{
	if (!backend->bdev) {
		vhost_blk_queue_work(req, vhost_blk_flush_sync);
		return;
	}
	/* Empty, for a bio must not carry REQ_OP_FLUSH. */
	req->bios = vhost_blk_new_bio(req, backend,
				      REQ_OP_WRITE | REQ_SYNC | REQ_PREFLUSH, 0);
	vhost_blk_send(req);
}

static void vhost_blk_free_bio(struct vhost_blk_req *req, struct vhost_blk_bio *bio)
{
	if (req->pages == VHOST_BLK_BOUNCED)
		vstor_bio_free_bounce(&bio->bio);
	else if (req->pages == VHOST_BLK_PINNED)
		vstor_bio_unpin(&bio->bio);
	bio_uninit(&bio->bio);
	if (bio != &req->bio)
		kfree(bio);
}

void vhost_blk_free_bios(struct vhost_blk_req *req)
{
	struct vhost_blk_bio *bio, *next;

	for (bio = req->bios; bio; bio = next) {
		next = bio->next;
		vhost_blk_free_bio(req, bio);
	}
	req->bios = NULL;
	if (req->pages == VHOST_BLK_HELD) {
		vstor_hold_put(req->cmd.svq, req->reader);
		req->pages = VHOST_BLK_PINNED;
	}
}
