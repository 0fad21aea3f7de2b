// SPDX-License-Identifier: GPL-2.0
/* What is behind the queues: an open file that the caller handed over, and what it is like. */
#include <linux/file.h>
#include <linux/slab.h>
#include "vhost_blk.h"

/*
 * The address bits that a device needs to be 0. One whose requests may not have
 * as many segments as a block can span pages needs whole pages.
 */
static unsigned int vhost_blk_addr_mask(struct block_device *bdev)
{
	unsigned int span = bdev_logical_block_size(bdev) / PAGE_SIZE + 2;

	if (bdev_max_segments(bdev) < span)
		return PAGE_SIZE - 1;
	return bdev_dma_alignment(bdev);
}

static void vhost_blk_bdev_open(struct vhost_blk_backend *backend)
{
	struct block_device *bdev = file_bdev(backend->file);

	backend->bdev = bdev;
	backend->block_size = bdev_logical_block_size(bdev);
	backend->addr_mask = vhost_blk_addr_mask(bdev);
}

/* Is the file one that can be a backend? If so, what is it like? */
static int vhost_blk_backend_init(struct vhost_blk_backend *backend)
{
	if (!(backend->file->f_mode & FMODE_READ))
		return -EBADF;
	switch (file_inode(backend->file)->i_mode & S_IFMT) {
	case S_IFBLK:
		vhost_blk_bdev_open(backend);
		return 0;
	case S_IFREG:
		return vhost_blk_file_open(backend);
	default:
		return -ENOTBLK;
	}
}

struct vhost_blk_backend *vhost_blk_backend_open(int fd)
{
	struct vhost_blk_backend *backend;
	struct vhost_blk_limits limits;
	struct file *file = fget(fd);
	int r;

	if (!file)
		return ERR_PTR(-EBADF);
	backend = kzalloc(sizeof(*backend), GFP_KERNEL_ACCOUNT);
	if (!backend) {
		fput(file);
		return ERR_PTR(-ENOMEM);
	}
	backend->file = file;
	r = vhost_blk_backend_init(backend);
	if (r) {
		vhost_blk_backend_close(backend);
		return ERR_PTR(r);
	}
	vhost_blk_backend_limits(backend, &limits);
	backend->max_write_zeroes = limits.max_write_zeroes;
	return backend;
}

void vhost_blk_backend_close(struct vhost_blk_backend *backend)
{
	fput(backend->file);
	kfree(backend);
}

/* The right to write came with the file; the device may be locked any time. */
bool vhost_blk_backend_read_only(const struct vhost_blk_backend *backend)
{
	if (!(backend->file->f_mode & FMODE_WRITE))
		return true;
	return backend->bdev && bdev_read_only(backend->bdev);
}

/* A range's sectors are whole blocks, and its bytes fit a bio. */
static u32 vhost_blk_range_limit(const struct vhost_blk_backend *backend, u32 sectors)
{
	return round_down(min(sectors, VHOST_BLK_RANGE_SECTORS), backend->block_size >> 9);
}

u64 vhost_blk_backend_capacity(const struct vhost_blk_backend *backend)
{
	if (backend->bdev)
		return bdev_nr_sectors(backend->bdev);
	return i_size_read(file_inode(backend->file)) >> SECTOR_SHIFT;
}

void vhost_blk_backend_look(const struct vhost_blk_backend *backend,
			    struct vhost_blk_limits *limits)
{
	limits->capacity = vhost_blk_backend_capacity(backend);
	limits->read_only = vhost_blk_backend_read_only(backend);
}

static u32 vhost_blk_max_append(struct block_device *bdev)
{
	u32 pages = min(bdev_max_segments(bdev), VHOST_BLK_BIO_VECS);
	u32 sectors = min(bdev_max_zone_append_sectors(bdev), pages * PAGE_SECTORS);

	/* Of pages of our own so much always goes into one bio. */
	return round_down(sectors, bdev_zone_write_granularity(bdev) >> SECTOR_SHIFT);
}

static void vhost_blk_zone_limits(struct block_device *bdev, struct vhost_blk_limits *limits)
{
	limits->zone_sectors = bdev_zone_sectors(bdev);
	if (!limits->zone_sectors)
		return;
	limits->max_append = vhost_blk_max_append(bdev);
	limits->write_granularity = bdev_zone_write_granularity(bdev);
	/*
	 * 5.2.5: there is no DISCARD on a host-managed device. A range of zeroes that
	 * failed would leave write pointers anywhere, and no device that erases
	 * securely has zones: a driver writes zeroes, and resets.
	 */
	limits->max_discard = 0;
	limits->max_write_zeroes = 0;
	limits->max_secure_erase = 0;
}

static void vhost_blk_bdev_limits(const struct vhost_blk_backend *backend,
				  struct vhost_blk_limits *limits)
{
	struct block_device *bdev = backend->bdev;

	limits->max_discard = bdev_max_discard_sectors(bdev);
	limits->max_secure_erase = bdev_max_secure_erase_sectors(bdev);
	/* The block layer splits what is larger than the device takes at once. */
	limits->max_write_zeroes =
		bdev_write_zeroes_sectors(bdev) ? U32_MAX : VHOST_BLK_ZERO_SECTORS;
	vhost_blk_zone_limits(bdev, limits);
}

void vhost_blk_backend_limits(const struct vhost_blk_backend *backend,
			      struct vhost_blk_limits *limits)
{
	*limits = (struct vhost_blk_limits){ 0 };
	if (backend->bdev)
		vhost_blk_bdev_limits(backend, limits);
	else
		vhost_blk_file_limits(backend, limits);
	limits->block_size = backend->block_size;
	vhost_blk_backend_look(backend, limits);
	limits->max_discard = vhost_blk_range_limit(backend, limits->max_discard);
	limits->max_secure_erase = vhost_blk_range_limit(backend, limits->max_secure_erase);
	limits->max_write_zeroes = max(vhost_blk_range_limit(backend, limits->max_write_zeroes),
				       backend->max_write_zeroes);
}

/*
 * Our bios pass the host's page cache by. What it holds unwritten must reach the
 * device before the guest reads; what it holds clean must not outlive the
 * guest's writes, or the host would see old data when the guest is gone.
 */
int vhost_blk_backend_sync_cache(struct vhost_blk_backend *backend)
{
	int r;

	/* A file's requests go the way that it was opened for. */
	if (!backend->bdev)
		return 0;
	r = sync_blockdev(backend->bdev);
	invalidate_bdev(backend->bdev);
	return r;
}

int vhost_blk_backend_flush(struct vhost_blk_backend *backend)
{
	if (backend->bdev)
		return blkdev_issue_flush(backend->bdev);
	return vfs_fsync(backend->file, 1);
}
