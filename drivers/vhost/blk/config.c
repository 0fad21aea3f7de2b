// SPDX-License-Identifier: GPL-2.0
/*
 * What the guest is told of the backend: the configuration space, and that its
 * capacity has changed.
 */
#include <linux/eventfd.h>
#include "vhost_blk.h"

static void vhost_blk_fill_topology(struct block_device *bdev,
				    struct virtio_blk_config *config)
{
	unsigned int block = bdev_logical_block_size(bdev);
	int alignment = bdev_alignment_offset(bdev);

	config->physical_block_exp = ilog2(bdev_physical_block_size(bdev) / block);
	config->alignment_offset = alignment > 0 ? min(alignment / block, U8_MAX) : 0;
	config->min_io_size = cpu_to_blk16(min(bdev_io_min(bdev) / block, U16_MAX));
	config->opt_io_size = cpu_to_blk32(bdev_io_opt(bdev) / block);
}

/* What a discard best is a multiple of. */
static unsigned int vhost_blk_granularity(const struct vhost_blk_backend *backend)
{
	unsigned int granularity;

	if (backend->bdev)
		granularity = bdev_discard_granularity(backend->bdev);
	else
		granularity = i_blocksize(file_inode(backend->file));
	return max(granularity, backend->block_size);
}

/* Limits and features of requests that name ranges (ranges.c). */
static u64 vhost_blk_fill_ranges(struct vhost_blk_backend *backend,
				 struct virtio_blk_config *config)
{
	unsigned int granularity = vhost_blk_granularity(backend);
	struct vhost_blk_limits limits;
	u64 features = 0;

	vhost_blk_backend_limits(backend, &limits);
	if (limits.read_only)
		return 0;
	if (limits.max_discard) {
		features |= BIT_ULL(VIRTIO_BLK_F_DISCARD);
		config->max_discard_sectors = cpu_to_blk32(limits.max_discard);
		config->max_discard_seg = cpu_to_blk32(VHOST_BLK_RANGES_MAX);
		config->discard_sector_alignment = cpu_to_blk32(granularity >> 9);
	}
	if (limits.max_write_zeroes) {
		features |= BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES);
		config->max_write_zeroes_sectors = cpu_to_blk32(limits.max_write_zeroes);
		config->max_write_zeroes_seg = cpu_to_blk32(VHOST_BLK_RANGES_MAX);
		/* Where there is a command for it the device may deallocate. */
		config->write_zeroes_may_unmap =
			limits.max_discard &&
			(!backend->bdev || bdev_write_zeroes_sectors(backend->bdev));
	}
	if (limits.max_secure_erase) {
		features |= BIT_ULL(VIRTIO_BLK_F_SECURE_ERASE);
		config->max_secure_erase_sectors = cpu_to_blk32(limits.max_secure_erase);
		config->max_secure_erase_seg = cpu_to_blk32(VHOST_BLK_RANGES_MAX);
		config->secure_erase_sector_alignment = cpu_to_blk32(granularity >> 9);
	}
	return features;
}

/* The same of zones (zones.c). */
static u64 vhost_blk_fill_zoned(struct vhost_blk_backend *backend,
				struct virtio_blk_config *config)
{
	struct virtio_blk_zoned_characteristics *zoned = &config->zoned;
	struct block_device *bdev = backend->bdev;
	struct vhost_blk_limits limits;

	vhost_blk_backend_limits(backend, &limits);
	if (!limits.zone_sectors)
		return 0;
	zoned->zone_sectors = cpu_to_blk32(limits.zone_sectors);
	zoned->max_open_zones = cpu_to_blk32(bdev_max_open_zones(bdev));
	zoned->max_active_zones = cpu_to_blk32(bdev_max_active_zones(bdev));
	zoned->max_append_sectors = cpu_to_blk32(limits.max_append);
	zoned->write_granularity = cpu_to_blk32(limits.write_granularity);
	zoned->model = VIRTIO_BLK_Z_HM;
	return BIT_ULL(VIRTIO_BLK_F_ZONED);
}

static void vhost_blk_fill_config(struct vhost_blk_backend *backend,
				  struct virtio_blk_config *config)
{
	config->capacity = cpu_to_blk64(vhost_blk_backend_capacity(backend));
	config->size_max = cpu_to_blk32(VHOST_BLK_SIZE_MAX);
	config->seg_max = cpu_to_blk32(VHOST_BLK_SEG_MAX);
	config->blk_size = cpu_to_blk32(backend->block_size);
	config->num_queues = cpu_to_blk16(VHOST_BLK_MAX_QUEUES);
	if (backend->bdev)
		vhost_blk_fill_topology(backend->bdev, config);
}

/* Answers for @backend. */
static void vhost_blk_describe(struct vhost_blk *blk, struct vhost_blk_backend *backend,
			       struct vhost_blk_config *answer)
{
	struct virtio_blk_config config = {};

	BUILD_BUG_ON(sizeof(config) > VHOST_BLK_CONFIG_BYTES);
	BUILD_BUG_ON(sizeof(struct vhost_blk_config) != 256);

	vhost_blk_fill_config(backend, &config);
	config.wce = blk->writeback;
	answer->features = VHOST_BLK_BASE_FEATURES | vhost_blk_fill_ranges(backend, &config) |
			   vhost_blk_fill_zoned(backend, &config);
	memcpy(answer->config, &config, sizeof(config));
	answer->config_size = sizeof(config);
	if (vhost_blk_backend_read_only(backend))
		answer->features |= BIT_ULL(VIRTIO_BLK_F_RO);
}

long vhost_blk_get_config(struct vhost_blk *blk, void __user *argp)
{
	struct vhost_blk_backend *backend = blk->backend;
	struct vhost_blk_config answer, asked;

	lockdep_assert_held(&blk->dev.mutex);

	if (copy_from_user(&asked, argp, sizeof(asked)))
		return -EFAULT;
	if (asked.flags)
		return -EINVAL;
	if (asked.fd != VHOST_FILE_UNBIND)
		backend = vhost_blk_backend_open(asked.fd);
	if (IS_ERR(backend))
		return PTR_ERR(backend);
	if (!backend)
		return -ENODEV;

	memset(&answer, 0, sizeof(answer));
	answer.fd = asked.fd;
	vhost_blk_describe(blk, backend, &answer);
	if (backend != blk->backend)
		vhost_blk_backend_close(backend);
	return copy_to_user(argp, &answer, sizeof(answer)) ? -EFAULT : 0;
}

static bool vhost_blk_watches(struct vhost_blk *blk)
{
	return blk->backend && blk->config_call;
}

static void vhost_blk_watch(struct work_struct *work)
{
	struct vhost_blk *blk = container_of(work, struct vhost_blk, config_work.work);
	u64 capacity;

	mutex_lock(&blk->dev.mutex);
	if (vhost_blk_watches(blk)) {
		capacity = vhost_blk_backend_capacity(blk->backend);
		if (capacity != blk->capacity)
			eventfd_signal(blk->config_call);
		blk->capacity = capacity;
		queue_delayed_work(system_power_efficient_wq, &blk->config_work,
				   VSTOR_WATCH_PERIOD);
	}
	mutex_unlock(&blk->dev.mutex);
}

/*
 * The first attach, and an exchange for a backend of the same size, are no
 * change.
 */
void vhost_blk_config_start(struct vhost_blk *blk)
{
	u64 capacity;

	lockdep_assert_held(&blk->dev.mutex);

	if (!vhost_blk_watches(blk))
		return;
	capacity = vhost_blk_backend_capacity(blk->backend);
	if (blk->capacity_known && blk->capacity != capacity)
		eventfd_signal(blk->config_call);
	blk->capacity_known = true;
	blk->capacity = capacity;
	queue_delayed_work(system_power_efficient_wq, &blk->config_work,
			   VSTOR_WATCH_PERIOD);
}

long vhost_blk_set_config_call(struct vhost_blk *blk, void __user *argp)
{
	struct eventfd_ctx *ctx = NULL;
	long r;
	int fd;

	lockdep_assert_held(&blk->dev.mutex);

	r = vhost_dev_check_owner(&blk->dev);
	if (r)
		return r;
	if (get_user(fd, (int __user *)argp))
		return -EFAULT;
	if (fd != VHOST_FILE_UNBIND)
		ctx = eventfd_ctx_fdget(fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	swap(ctx, blk->config_call);
	if (ctx)
		eventfd_ctx_put(ctx);
	vhost_blk_config_start(blk);
	return 0;
}

void vhost_blk_config_init(struct vhost_blk *blk)
{
	INIT_DELAYED_WORK(&blk->config_work, vhost_blk_watch);
}

void vhost_blk_config_exit(struct vhost_blk *blk)
{
	cancel_delayed_work_sync(&blk->config_work);
	if (blk->config_call)
		eventfd_ctx_put(blk->config_call);
}
