// SPDX-License-Identifier: GPL-2.0
/*
 * DISCARD, WRITE_ZEROES and SECURE_ERASE: requests that name ranges and carry no
 * data. They may need several rounds through the device, each of which starts
 * in the worker when the one before has ended: zeroes written page by page where
 * the device has no command for it, and a flush behind zeroes that must be stable.
 */
#include <linux/slab.h>
#include "vhost_blk.h"

/**
 * struct vhost_blk_ranges - the ranges of a request, and how far it is
 * @op: what to do with them
 * @stable: a flush must follow (vhost_blk_is_stable())
 * @flushed: it has been sent
 * @pages: zeroes are written as data
 * @at: the range to write next
 * @done: sectors of it that were written
 * @n: how many there are
 * @range: checked copies
 */
struct vhost_blk_ranges {
	enum vhost_blk_op op;
	bool stable;
	bool flushed;
	bool pages;
	unsigned int at;
	u32 done;
	unsigned int n;
	struct vhost_blk_range range[] __counted_by(n);
};

static u64 vhost_blk_ranges_bytes(const struct vhost_blk_ranges *ranges)
{
	u64 sectors = 0;
	unsigned int i;

	for (i = 0; i < ranges->n; i++)
		sectors += ranges->range[i].sectors;
	return sectors << SECTOR_SHIFT;
}

/* The device, or the file's system, has a command to write zeroes with. */
static bool vhost_blk_zeroes_by_command(const struct vhost_blk_backend *backend)
{
	return !backend->bdev || bdev_write_zeroes_sectors(backend->bdev);
}

/* Every range is checked before anything is done to the first. */
static int vhost_blk_copy_ranges(struct vhost_blk_ranges *ranges,
				 const struct vhost_blk_limits *limits,
				 struct iov_iter *from)
{
	struct virtio_blk_discard_write_zeroes raw;
	unsigned int i;
	int r;

	for (i = 0; i < ranges->n; i++) {
		if (!copy_from_iter_full(&raw, sizeof(raw), from))
			return -EFAULT;
		r = vhost_blk_parse_range(&raw, ranges->op, limits, &ranges->range[i]);
		if (r != VIRTIO_BLK_S_OK)
			return r;
	}
	return VIRTIO_BLK_S_OK;
}

static blk_opf_t vhost_blk_range_opf(enum vhost_blk_op op, bool unmap)
{
	switch (op) {
	case VHOST_BLK_DISCARD:
		return REQ_OP_DISCARD | REQ_SYNC;
	case VHOST_BLK_SECURE_ERASE:
		return REQ_OP_SECURE_ERASE | REQ_SYNC;
	default:
		return REQ_OP_WRITE_ZEROES | REQ_SYNC | (unmap ? 0 : REQ_NOUNMAP);
	}
}

/* A bio without data for each range; the block layer splits them as need be. */
static int vhost_blk_command_round(struct vhost_blk_req *req)
{
	struct vhost_blk_ranges *ranges = req->ranges;
	struct vhost_blk_bio *bio, **tail = &req->bios;
	struct vhost_blk_range *range;
	blk_opf_t opf;

	for (range = ranges->range; range < ranges->range + ranges->n; range++) {
		if (!range->sectors)
			continue;
		opf = vhost_blk_range_opf(ranges->op, range->unmap);
		bio = vhost_blk_new_bio(req, vhost_blk_req_backend(req), opf, 0);
		if (!bio)
			return -ENOMEM;
		bio->bio.bi_iter.bi_sector = range->sector;
		bio->bio.bi_iter.bi_size = range->sectors << 9;
		*tail = bio;
		tail = &bio->next;
	}
	return 0;
}

/* The range that is still to be written, or NULL. */
static struct vhost_blk_range *vhost_blk_next_range(struct vhost_blk_ranges *ranges)
{
	while (ranges->at < ranges->n && ranges->done == ranges->range[ranges->at].sectors) {
		ranges->at++;
		ranges->done = 0;
	}
	return ranges->at < ranges->n ? &ranges->range[ranges->at] : NULL;
}

/* One bio of zeroes: 0 where nothing is left, 1, or an error. */
static int vhost_blk_pages_round(struct vhost_blk_req *req)
{
	struct vhost_blk_range *range = vhost_blk_next_range(req->ranges);
	unsigned int len, part;
	struct vhost_blk_bio *bio;

	if (!range)
		return 0;
	bio = vhost_blk_new_bio(req, vhost_blk_req_backend(req),
				REQ_OP_WRITE | REQ_SYNC | REQ_IDLE, VHOST_BLK_BIO_VECS);
	if (!bio)
		return -ENOMEM;
	bio->bio.bi_iter.bi_sector = range->sector + req->ranges->done;
	len = min_t(u64, (u64)(range->sectors - req->ranges->done) << 9,
		    VHOST_BLK_BIO_VECS * PAGE_SIZE);
	req->ranges->done += len >> 9;
	for (; len; len -= part) {
		part = min(len, PAGE_SIZE);
		__bio_add_page(&bio->bio, ZERO_PAGE(0), part, 0);
	}
	req->bios = bio;
	return 1;
}

static void vhost_blk_file_ranges_sync(struct vhost_blk_req *req)
{
	struct vhost_blk_ranges *ranges = req->ranges;
	unsigned int i;
	int r = 0;

	for (i = 0; i < ranges->n && !r; i++)
		r = vhost_blk_file_range(vhost_blk_req_backend(req), ranges->op, &ranges->range[i]);
	req->bio_status = errno_to_blk_status(r);
	vstor_cmd_done(&req->cmd);
}

static void vhost_blk_start_ranges(struct vhost_blk_req *req)
{
	int r;

	if (!req->ranges->pages && !vhost_blk_req_backend(req)->bdev) {
		vhost_blk_queue_work(req, vhost_blk_file_ranges_sync);
		return;
	}
	if (req->ranges->pages)
		r = vhost_blk_pages_round(req);
	else
		r = vhost_blk_command_round(req);
	if (r < 0) {
		vhost_blk_free_bios(req);
		req->status = VIRTIO_BLK_S_IOERR;
	}
	vhost_blk_send(req);
}

/*
 * Zeroes written as data take time, for which a backend's detaching waits: no more at
 * a time than of other data. A request of more, from a guest that was told of a command
 * for it that there is no more, is UNSUPP: it is then for the guest to write them.
 */
static int vhost_blk_reserve_zeroes(struct vhost_blk_req *req,
				    const struct vhost_blk_ranges *ranges)
{
	u64 bytes = vhost_blk_ranges_bytes(ranges);

	BUILD_BUG_ON(((u64)VHOST_BLK_ZERO_SECTORS << SECTOR_SHIFT) * VHOST_BLK_RANGES_MAX >
		     VHOST_BLK_VQ_BYTES);
	if (bytes > VHOST_BLK_VQ_BYTES)
		return VIRTIO_BLK_S_UNSUPP;
	if (!vhost_blk_reserve(to_vhost_blk_vq(req->cmd.svq), req, bytes))
		return -EAGAIN;
	return VIRTIO_BLK_S_OK;
}

/*
 * A device may find out only now that it has no command to write zeroes with; its
 * limits say so from then on, or the error does.
 */
static bool vhost_blk_wants_pages(struct vhost_blk_req *req)
{
	struct vhost_blk_ranges *ranges = req->ranges;

	if (ranges->op != VHOST_BLK_WRITE_ZEROES || ranges->pages || !req->bio_status)
		return false;
	return req->bio_status == BLK_STS_NOTSUPP ||
	       !vhost_blk_zeroes_by_command(vhost_blk_req_backend(req));
}

/* A step of it has ended: pages that are left, then a flush. */
static bool vhost_blk_ranges_next(struct vstor_cmd *cmd, bool discard)
{
	struct vhost_blk_req *req = container_of(cmd, struct vhost_blk_req, cmd);
	struct vhost_blk_ranges *ranges = req->ranges;
	int r = 0;

	if (discard || req->status != VIRTIO_BLK_S_OK)
		return false;
	if (vhost_blk_wants_pages(req)) {
		/* It cannot wait in the ring any more. */
		if (vhost_blk_reserve_zeroes(req, ranges) != VIRTIO_BLK_S_OK) {
			req->status = VIRTIO_BLK_S_UNSUPP;
			return false;
		}
		ranges->pages = true;
		req->bio_status = BLK_STS_OK;
	}
	if (req->bio_status)
		return false;
	vhost_blk_free_bios(req);
	if (ranges->pages)
		r = vhost_blk_pages_round(req);
	if (!r && ranges->stable && !ranges->flushed) {
		ranges->flushed = true;
		vhost_blk_submit_flush(req, vhost_blk_req_backend(req));
		return true;
	}
	if (r < 0)
		req->status = VIRTIO_BLK_S_IOERR;
	if (r > 0)
		vhost_blk_send(req);
	return r > 0;
}

int vhost_blk_submit_ranges(struct vhost_blk_req *req,
			    const struct vhost_blk_limits *limits, struct iov_iter *from)
{
	const struct vhost_blk_command *command = &req->command;
	unsigned int n = command->bytes / sizeof(struct virtio_blk_discard_write_zeroes);
	struct vhost_blk_backend *backend = vhost_blk_req_backend(req);
	struct vhost_blk_ranges *ranges;
	int r;

	req->pages = VHOST_BLK_ZERO_PAGES;
	ranges = kzalloc(struct_size(ranges, range, n), GFP_KERNEL_ACCOUNT);
	if (!ranges) {
		req->status = VIRTIO_BLK_S_IOERR;
		vstor_cmd_done(&req->cmd);
		return 0;
	}
	ranges->n = n;
	ranges->op = command->op;
	ranges->pages = command->op == VHOST_BLK_WRITE_ZEROES &&
			!vhost_blk_zeroes_by_command(backend);
	ranges->stable = command->op == VHOST_BLK_WRITE_ZEROES &&
			 vhost_blk_is_stable(to_vhost_blk_vq(req->cmd.svq));
	r = vhost_blk_copy_ranges(ranges, limits, from);
	if (r == VIRTIO_BLK_S_OK && ranges->pages)
		r = vhost_blk_reserve_zeroes(req, ranges);
	if (r) {
		kfree(ranges);
		return r;
	}
	req->ranges = ranges;
	req->cmd.next = vhost_blk_ranges_next;
	vhost_blk_start_ranges(req);
	return 0;
}
