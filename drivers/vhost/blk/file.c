// SPDX-License-Identifier: GPL-2.0
/*
 * A regular file behind the queues, read and written as its opener opened it: with
 * O_DIRECT, or through the page cache, where a read that misses it, and a write that
 * must wait for it, hold up the vq's worker. Requests come here with their data in
 * the same bios that a block device is sent, which only serve as tables of pages.
 *
 * What a file system does only synchronously goes to a workqueue, at the cost of the
 * owner's control groups all the same.
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include "vhost_blk.h"

/* Where O_DIRECT wants its buffers and offsets aligned; not all say so. */
static void vhost_blk_file_align(struct vhost_blk_backend *backend)
{
	struct super_block *sb = file_inode(backend->file)->i_sb;
	struct kstat stat;

	backend->block_size = SECTOR_SIZE;
	backend->addr_mask = 0;
	if (!(backend->file->f_flags & O_DIRECT))
		return;
	if (sb->s_bdev)
		backend->block_size = bdev_logical_block_size(sb->s_bdev);
	backend->addr_mask = backend->block_size - 1;
	if (vfs_getattr(&backend->file->f_path, &stat, STATX_DIOALIGN, 0) ||
	    !(stat.result_mask & STATX_DIOALIGN) || !stat.dio_offset_align)
		return;
	backend->block_size = max_t(u32, stat.dio_offset_align, SECTOR_SIZE);
	backend->addr_mask = stat.dio_mem_align - 1;
}

int vhost_blk_file_open(struct vhost_blk_backend *backend)
{
	struct file *file = backend->file;

	/* Writes would go to its end, wherever the guest meant them to. */
	if (file->f_flags & O_APPEND)
		return -EINVAL;
	/* As those of /proc, which look like files. */
	if (file->f_mapping->a_ops == &empty_aops)
		return -ENOTBLK;
	if (!file->f_op->read_iter)
		return -EOPNOTSUPP;
	if (file->f_mode & FMODE_WRITE && !file->f_op->write_iter)
		return -EOPNOTSUPP;
	vhost_blk_file_align(backend);
	return 0;
}

/* Data can be given back, and zeroes made, without being written. */
static bool vhost_blk_file_has_fallocate(const struct vhost_blk_backend *backend)
{
	return backend->file->f_op->fallocate;
}

void vhost_blk_file_limits(const struct vhost_blk_backend *backend,
			   struct vhost_blk_limits *limits)
{
	bool fallocate = vhost_blk_file_has_fallocate(backend);

	limits->max_discard = fallocate ? VHOST_BLK_RANGE_SECTORS : 0;
	limits->max_secure_erase = 0;
	limits->max_write_zeroes = fallocate ? VHOST_BLK_RANGE_SECTORS : VHOST_BLK_ZERO_SECTORS;
}

static void vhost_blk_file_ended(struct vhost_blk_bio *bio, long res)
{
	/* Less than all: the file was cut off. */
	if (res != bio->bio.bi_iter.bi_size)
		bio->bio.bi_status = errno_to_blk_status(res < 0 ? res : -EIO);
	bio->bio.bi_end_io(&bio->bio);
}

/* Any context. */
static void vhost_blk_file_complete(struct kiocb *iocb, long res)
{
	struct vhost_blk_bio *bio = container_of(iocb, struct vhost_blk_bio, iocb);

	if (iocb->ki_flags & IOCB_WRITE)
		kiocb_end_write(iocb);
	vhost_blk_file_ended(bio, res);
}

void vhost_blk_file_submit(struct vhost_blk_backend *backend, struct vhost_blk_bio *bio)
{
	bool write = op_is_write(bio_op(&bio->bio));
	struct kiocb *iocb = &bio->iocb;
	struct iov_iter iter;
	ssize_t r;

	init_sync_kiocb(iocb, backend->file);
	iocb->ki_pos = (loff_t)bio->bio.bi_iter.bi_sector << SECTOR_SHIFT;
	iocb->ki_complete = vhost_blk_file_complete;
	iov_iter_bvec(&iter, write ? ITER_SOURCE : ITER_DEST, bio->bio.bi_io_vec,
		      bio->bio.bi_vcnt, bio->bio.bi_iter.bi_size);
	if (write) {
		iocb->ki_flags |= IOCB_WRITE;
		if (bio->bio.bi_opf & REQ_FUA)
			iocb->ki_flags |= IOCB_DSYNC;
		r = vfs_iocb_iter_write(backend->file, iocb, &iter);
	} else {
		r = vfs_iocb_iter_read(backend->file, iocb, &iter);
	}
	if (r != -EIOCBQUEUED)
		vhost_blk_file_ended(bio, r);
}

int vhost_blk_file_range(struct vhost_blk_backend *backend, enum vhost_blk_op op,
			 const struct vhost_blk_range *range)
{
	bool punch = op == VHOST_BLK_DISCARD || range->unmap;

	if (!range->sectors)
		return 0;
	return vfs_fallocate(backend->file, FALLOC_FL_KEEP_SIZE |
			     (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE),
			     (loff_t)range->sector << SECTOR_SHIFT,
			     (loff_t)range->sectors << SECTOR_SHIFT);
}
