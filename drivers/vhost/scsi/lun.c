// SPDX-License-Identifier: GPL-2.0
/* LUNs that are block devices, an iblock backstore: what the short way knows of them. */
#include <linux/blk-integrity.h>
#include <linux/slab.h>
#include <target/target_core_backend.h>
#include "vhost_scsi.h"

#ifndef CONFIG_BLK_DEV_INTEGRITY
#error vhost_scsi needs a kernel with CONFIG_BLK_DEV_INTEGRITY
#endif

/* Has the block device what the target core says of it? */
bool vhost_scsi_is_protected(struct se_device *dev, struct block_device *bdev)
{
	struct blk_integrity *bi = bdev_get_integrity(bdev);

	return dev->dev_attrib.pi_prot_type && bi && bi->csum_type == BLK_INTEGRITY_CSUM_CRC &&
	       bi->tuple_size == VHOST_SCSI_TUPLE_BYTES &&
	       1u << bi->interval_exp == dev->dev_attrib.block_size;
}

void vhost_scsi_direct_add(struct vhost_scsi_tpg *tpg, struct se_lun *lun)
{
	struct se_device *dev = rcu_dereference_raw(lun->lun_se_dev);
	struct vhost_scsi_direct *direct;
	struct block_device *bdev;

	/* Whatever is behind it makes checksums of what is written. */
	assign_bit(lun->unpacked_lun, tpg->stable, dev->dev_attrib.pi_prot_type);
	if (!vhost_scsi_lio_is_iblock(dev))
		return;
	bdev = vhost_scsi_lio_bdev(dev);
	if (!bdev || bdev_stable_writes(bdev))
		set_bit(lun->unpacked_lun, tpg->stable);
	if (!bdev || dev->dev_attrib.block_size < bdev_logical_block_size(bdev))
		return;
	if (lun->unpacked_lun >= VHOST_SCSI_DIRECT_LUNS)
		return;
	/* Without memory for it, all goes the long way. */
	direct = kzalloc(sizeof(*direct), GFP_KERNEL);
	if (!direct)
		return;
	direct->dev = dev;
	direct->bdev = bdev;
	direct->block = dev->dev_attrib.block_size;
	direct->shift = ilog2(direct->block) - SECTOR_SHIFT;
	direct->blocks = dev->transport->get_blocks(dev);
	direct->addr_mask = bdev_dma_alignment(bdev);
	/* What makes or checks guards takes it that no block is in two pages. */
	if (bdev_get_integrity(bdev))
		direct->addr_mask |= direct->block - 1;
	direct->protected = vhost_scsi_is_protected(dev, bdev);
	rcu_assign_pointer(tpg->direct[lun->unpacked_lun], direct);
}

/* What a vq of the device has found, it has used. */
static void vhost_scsi_direct_flush(struct vhost_scsi *scsi)
{
	unsigned int i;

	for (i = VHOST_SCSI_FIRST_VQ; i < scsi->nvqs; i++) {
		mutex_lock(&scsi->vqs[i]->mutex);
		mutex_unlock(&scsi->vqs[i]->mutex);
	}
}

void vhost_scsi_direct_remove(struct vhost_scsi_tpg *tpg, struct se_lun *lun)
{
	struct vhost_scsi_direct *direct;

	if (lun->unpacked_lun >= VHOST_SCSI_DIRECT_LUNS)
		return;
	direct = rcu_replace_pointer(tpg->direct[lun->unpacked_lun], NULL,
				     lockdep_is_held(&tpg->lock));
	if (!direct)
		return;
	if (tpg->user)
		vhost_scsi_direct_flush(tpg->user);
	kfree_rcu(direct, rcu);
}

bool vhost_scsi_direct_resized(struct vhost_scsi_tpg *tpg, unsigned int lun)
{
	struct vhost_scsi_direct *direct;
	u64 before;

	lockdep_assert_held(&tpg->lock);

	direct = rcu_dereference_protected(tpg->direct[lun], lockdep_is_held(&tpg->lock));
	if (!direct)
		return false;
	before = direct->blocks;
	direct->blocks = direct->dev->transport->get_blocks(direct->dev);
	return direct->blocks != before;
}

const struct vhost_scsi_direct *vhost_scsi_direct_find(struct vhost_virtqueue *vq,
						       struct vhost_scsi_tpg *tpg,
						       unsigned int lun)
{
	if (!READ_ONCE(tpg->direct_rw) || lun >= VHOST_SCSI_DIRECT_LUNS)
		return NULL;
	return rcu_dereference_check(tpg->direct[lun], lockdep_is_held(&vq->mutex));
}

struct block_device *vhost_scsi_protected_bdev(const struct vhost_scsi_req *req)
{
	const struct se_cmd *se_cmd = &req->se_cmd;
	struct vhost_scsi_tpg *tpg = to_vhost_scsi_tpg(se_cmd->se_sess->se_tpg);
	unsigned int lun = req->command.lun.lun;
	const struct vhost_scsi_direct *direct;
	struct block_device *bdev = NULL;

	if (lun >= VHOST_SCSI_DIRECT_LUNS)
		return NULL;
	rcu_read_lock();
	direct = rcu_dereference(tpg->direct[lun]);
	if (direct && direct->dev == se_cmd->se_dev && direct->protected)
		bdev = direct->bdev;
	rcu_read_unlock();
	return bdev;
}
