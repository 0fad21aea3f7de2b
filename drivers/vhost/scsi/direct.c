// SPDX-License-Identifier: GPL-2.0
/*
 * The short way of small reads and writes: from the ring into a bio of the block device
 * that the LUN is, an iblock backstore, and back.
 *
 * To all others the command is the target core's as any is: it is initialised, counted and
 * found by it, holds the LUN and the session, stands in the device's list of commands that
 * a reset or a preemption aborts, and counts among those that an ORDERED one waits for.
 * What is left out is what follows from the CDB alone, the backstore's own bios and memory,
 * and the workqueue that the target core ends commands in.
 *
 * Each command is looked at for whether it may go this way, at the state that there is at
 * that moment, as the target core looks at it: whatever might be said of it but its success
 * (unit attentions, reservations, ALUA, write protection, ...), the target core says, for it
 * then goes the long way. So does one that ends in an error, or was aborted, from there on.
 */
#include <linux/blk-integrity.h>
#include <linux/blkdev.h>
#include <target/target_core_backend.h>
#include "vhost_scsi.h"

#ifndef CONFIG_BLK_DEV_INTEGRITY
#error vhost_scsi needs a kernel with CONFIG_BLK_DEV_INTEGRITY
#endif

/* SPC-4: asymmetric access state active/optimized, in which nothing needs a check. */
#define VHOST_SCSI_ALUA_OPTIMIZED	0

/**
 * struct vhost_scsi_direct - a LUN that is a block device, from its link on
 * @rcu: frees it
 * @dev: its backstore; good while this is found, and while a command holds the LUN
 * @bdev: what that has open; the same
 * @blocks: its last block, when that was looked at
 * @block: bytes of one
 * @shift: from the number of a block to that of its first sector
 * @addr_mask: bits that must be 0 in the address of memory that is to reach it
 * @protected: it has protection information, as the guest has it
 */
struct vhost_scsi_direct {
	struct rcu_head rcu;
	struct se_device *dev;
	struct block_device *bdev;
	u64 blocks;
	unsigned int block;
	unsigned int shift;
	unsigned int addr_mask;
	bool protected;
};

/*
 * The backstore has it open, for as long as it has LUNs; and tells nothing of it but this
 * text. NULL: there is none.
 */
static struct block_device *vhost_scsi_iblock_bdev(struct se_device *dev)
{
	char *page = (char *)get_zeroed_page(GFP_KERNEL), *at;
	struct block_device *bdev = NULL;
	unsigned int major, minor;
	struct file *file;

	if (!page)
		return NULL;
	dev->transport->show_configfs_dev_params(dev, page);
	at = strstr(page, "Major: ");
	if (at && sscanf(at, "Major: %u Minor: %u", &major, &minor) == 2) {
		file = bdev_file_open_by_dev(MKDEV(major, minor), BLK_OPEN_READ, NULL, NULL);
		if (!IS_ERR(file)) {
			bdev = file_bdev(file);
			fput(file);
		}
	}
	free_page((unsigned long)page);
	return bdev;
}

static bool vhost_scsi_is_iblock(const struct se_device *dev)
{
	return !strcmp(dev->transport->name, "iblock") &&
	       !(dev->transport_flags & TRANSPORT_FLAG_PASSTHROUGH);
}

/* Has the block device what the target core says of it? */
static bool vhost_scsi_is_protected(struct se_device *dev, struct block_device *bdev)
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
	if (!vhost_scsi_is_iblock(dev))
		return;
	bdev = vhost_scsi_iblock_bdev(dev);
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

void vhost_scsi_direct_watch(struct vhost_scsi *scsi, struct vhost_scsi_tpg *tpg)
{
	struct vhost_scsi_direct *direct;
	unsigned int lun;
	u64 blocks;

	/* They come and go under it. */
	mutex_lock(&tpg->lock);
	for (lun = 0; lun < VHOST_SCSI_DIRECT_LUNS; lun++) {
		direct = rcu_dereference_protected(tpg->direct[lun], lockdep_is_held(&tpg->lock));
		if (!direct)
			continue;
		blocks = direct->dev->transport->get_blocks(direct->dev);
		if (blocks != direct->blocks)
			vhost_scsi_capacity_event(scsi, tpg, lun);
		direct->blocks = blocks;
	}
	mutex_unlock(&tpg->lock);
}

/* Nobody has reserved it; who has, and may what, is a longer story. */
static bool vhost_scsi_is_unreserved(const struct se_device *dev)
{
	return !READ_ONCE(dev->dev_pr_res_holder) && !READ_ONCE(dev->reservation_holder);
}

/* Under RCU. */
static bool vhost_scsi_is_optimized(const struct se_lun *lun)
{
	const struct t10_alua_tg_pt_gp *group = rcu_dereference(lun->lun_tg_pt_gp);

	return !atomic_read(&lun->lun_tg_pt_secondary_offline) &&
	       (!group || READ_ONCE(group->tg_pt_gp_alua_access_state) ==
		VHOST_SCSI_ALUA_OPTIMIZED);
}

/* The guest's own view of the LUN; under RCU. NULL: it has none. */
static struct se_dev_entry *vhost_scsi_dev_entry(struct vhost_scsi_tpg *tpg, u64 lun)
{
	struct se_dev_entry *entry;

	hlist_for_each_entry_rcu(entry, &tpg->session->se_node_acl->lun_entry_hlist, link)
		if (entry->mapped_lun == lun)
			return entry;
	return NULL;
}

/* Has the target core nothing to say of it but its success? */
static bool vhost_scsi_is_clear(struct vhost_scsi_tpg *tpg, const struct se_cmd *se_cmd,
				const struct vhost_scsi_direct *direct)
{
	bool write = se_cmd->data_direction == DMA_TO_DEVICE;
	const struct se_device *dev = se_cmd->se_dev;
	const struct se_dev_entry *entry;
	bool clear;

	rcu_read_lock();
	entry = vhost_scsi_dev_entry(tpg, se_cmd->orig_fe_lun);
	clear = entry && list_empty_careful(&entry->ua_list) && !(write && entry->lun_access_ro) &&
		vhost_scsi_is_optimized(se_cmd->se_lun) && vhost_scsi_is_unreserved(dev) &&
		(!dev->dev_attrib.pi_prot_type || direct->protected) &&
		!tpg->session->sess_prot_type;
	rcu_read_unlock();
	return clear;
}

/* Fills the bio with its pages, if they fit: those that are held, or pinned ones. */
static int vhost_scsi_direct_fill(struct vhost_scsi_req *req, struct vhost_scsi_span span,
				  unsigned int block)
{
	size_t bytes = req->command.bytes, len;
	struct vstor_vq *svq = req->cmd.svq;
	unsigned long addr;
	ssize_t added;

	for (;;) {
		addr = (unsigned long)span.iov->iov_base + span.skip;
		len = min(span.iov->iov_len - span.skip, bytes);
		if (req->data.pages == VHOST_SCSI_HELD)
			added = vstor_bio_add_held(svq, &req->bio, addr, len);
		else
			added = vstor_bio_add_guest(&req->bio, addr, len, block);
		if (added <= 0)
			return added ? -EFAULT : -E2BIG;
		bytes -= added;
		if (!bytes)
			return 0;
		vhost_scsi_advance(&span, added);
	}
}

/* -EAGAIN: the queue has no share of memory left for it. */
static int vhost_scsi_direct_map(struct vhost_scsi_req *req, struct vhost_scsi_span span,
				 const struct vhost_scsi_direct *direct)
{
	size_t bytes = req->command.bytes;
	unsigned int vecs;

	if (!vstor_iov_aligned(span.iov, span.skip, bytes, direct->addr_mask, direct->block - 1))
		return -E2BIG;
	vecs = vstor_hold_get(req->cmd.svq, span.iov, span.skip, bytes, direct->block,
			      &req->data.reader);
	req->data.pages = vecs ? VHOST_SCSI_HELD : VHOST_SCSI_PINNED;
	req->way = VHOST_SCSI_DIRECT;
	/* Its device only when there is one for certain. */
	bio_init(&req->bio, NULL, req->vecs, VHOST_SCSI_INLINE_SG,
		 req->command.dir == VHOST_SCSI_OUT ? REQ_OP_WRITE : REQ_OP_READ);
	if (!vecs)
		vecs = vhost_scsi_guest_pages(span, bytes);
	if (vecs > VHOST_SCSI_INLINE_SG)
		return -E2BIG;
	if (bytes > VHOST_SCSI_INLINE_SG * PAGE_SIZE && !vhost_scsi_reserve(req, bytes))
		return -EAGAIN;
	return vhost_scsi_direct_fill(req, span, direct->block);
}

void vhost_scsi_direct_unmap(struct vhost_scsi_req *req)
{
	if (req->data.pages == VHOST_SCSI_HELD)
		vstor_hold_put(req->cmd.svq, req->data.reader);
	else
		vstor_bio_unpin(&req->bio);
	/* Not to be freed. */
	if (req->bio.bi_opf & REQ_INTEGRITY) {
		req->bio.bi_integrity = NULL;
		req->bio.bi_opf &= ~REQ_INTEGRITY;
	}
	bio_uninit(&req->bio);
	req->data = (struct vhost_scsi_sgl){ 0 };
	req->way = VHOST_SCSI_LONG;
}

static void vhost_scsi_direct_end_io(struct bio *bio)
{
	vstor_cmd_done(&container_of(bio, struct vhost_scsi_req, bio)->cmd);
}

/*
 * Protection information goes with it as it is, from its slot and into it. As
 * bio_integrity_alloc() and bio_integrity_add_page(), in memory that is there.
 */
static void vhost_scsi_direct_protect(struct vhost_scsi_req *req, u64 lba)
{
	struct bio *bio = &req->bio;

	bvec_set_virt(&req->slot_vec, req->slot, req->command.pi);
	req->bip = (struct bio_integrity_payload){
		.bip_bio = bio,
		.bip_vec = &req->slot_vec,
		.bip_vcnt = 1,
		.bip_max_vcnt = 1,
		.bip_iter.bi_size = req->command.pi,
	};
	/* In blocks, as the guest numbers them; the block layer has the device's. */
	bip_set_seed(&req->bip, lba);
	bio->bi_integrity = &req->bip;
	bio->bi_opf |= REQ_INTEGRITY;
}

/* SBC: is it all within the device, and is there as much data as it says? Then it has a bio. */
static bool vhost_scsi_direct_plan(struct vhost_scsi_req *req,
				   const struct vhost_scsi_direct *direct,
				   const struct vhost_scsi_range *range)
{
	bool write = req->command.dir == VHOST_SCSI_OUT;
	struct block_device *bdev = direct->bdev;
	u64 blocks = bdev_nr_sectors(bdev) >> direct->shift;
	struct bio *bio = &req->bio;

	if (!range->blocks || range->blocks > blocks || range->lba > blocks - range->blocks ||
	    (u64)range->blocks * direct->block != req->command.bytes)
		return false;
	if (write && (bdev_read_only(bdev) || (!req->command.pi && bdev_stable_writes(bdev))))
		return false;
	/* It may have been formatted otherwise since. */
	if (req->command.pi && !vhost_scsi_is_protected(direct->dev, bdev))
		return false;
	bio->bi_opf = write ? REQ_OP_WRITE | REQ_SYNC | REQ_IDLE : REQ_OP_READ;
	/* As the backstore does: what is told to be stable when it ends is. */
	if (write && bdev_fua(bdev) && !bdev_write_cache(bdev))
		bio->bi_opf |= REQ_FUA;
	bio_set_dev(bio, bdev);
	bio->bi_iter.bi_sector = range->lba << direct->shift;
	bio->bi_end_io = vhost_scsi_direct_end_io;
	if (req->command.pi)
		vhost_scsi_direct_protect(req, range->lba);
	return true;
}

/* What resets and preemptions look through. */
static void vhost_scsi_enlist(struct se_cmd *se_cmd)
{
	struct se_device_queue *queue = &se_cmd->se_dev->queues[se_cmd->cpuid];

	spin_lock_irq(&queue->lock);
	list_add_tail(&se_cmd->state_list, &queue->state_list);
	se_cmd->state_active = true;
	spin_unlock_irq(&queue->lock);
}

static void vhost_scsi_delist(struct se_cmd *se_cmd)
{
	struct se_device_queue *queue = &se_cmd->se_dev->queues[se_cmd->cpuid];

	spin_lock_irq(&queue->lock);
	if (se_cmd->state_active) {
		list_del(&se_cmd->state_list);
		se_cmd->state_active = false;
	}
	spin_unlock_irq(&queue->lock);
}

/* From here on nobody aborts it; false: somebody has, and waits until it ends. */
static bool vhost_scsi_direct_close(struct se_cmd *se_cmd)
{
	bool closed;

	spin_lock_irq(&se_cmd->t_state_lock);
	closed = !(se_cmd->transport_state & CMD_T_ABORTED);
	if (closed)
		se_cmd->transport_state |= CMD_T_COMPLETE;
	spin_unlock_irq(&se_cmd->t_state_lock);
	return closed;
}

/* It leaves the target core, which has no other hold of it once it is closed. */
static void vhost_scsi_direct_leave(struct vhost_scsi_req *req)
{
	struct se_cmd *se_cmd = &req->se_cmd;
	struct se_lun *lun = se_cmd->se_lun;

	if (se_cmd->state_active)
		vhost_scsi_delist(se_cmd);
	vhost_scsi_end_task_attr(se_cmd);
	if (lun)
		percpu_ref_put(&lun->lun_ref);
	se_cmd->lun_ref_active = false;
	se_cmd->se_lun = NULL;
	req->way = VHOST_SCSI_LEAVING;
	WARN_ON_ONCE(!target_put_sess_cmd(se_cmd));
}

/* To the target core, which says how it ended; vstor_cmd_done() follows. */
static void vhost_scsi_direct_give(struct vhost_scsi_req *req)
{
	u8 status = req->bio.bi_status == BLK_STS_RESV_CONFLICT ?
		    SAM_STAT_RESERVATION_CONFLICT : SAM_STAT_CHECK_CONDITION;

	req->way = VHOST_SCSI_GIVEN;
	target_complete_cmd(&req->se_cmd, status);
}

/*
 * To where the target core would be with it when it asks whether it may be executed: it
 * holds the LUN, and counts among the others. False: that went otherwise.
 */
static bool vhost_scsi_direct_enter(struct vhost_scsi_req *req,
				    const struct vhost_scsi_direct *direct,
				    const struct vhost_scsi_range *range)
{
	struct se_cmd *se_cmd = &req->se_cmd;

	if (target_cmd_init_cdb(se_cmd, req->command.cdb, GFP_KERNEL) ||
	    transport_lookup_cmd_lun(se_cmd))
		return false;
	/* Another one took its number meanwhile, or it is going. */
	if (se_cmd->se_dev != direct->dev || !vhost_scsi_direct_plan(req, direct, range))
		return false;
	se_cmd->t_task_lba = range->lba;
	se_cmd->transport_state = CMD_T_ACTIVE | CMD_T_SENT;
	se_cmd->se_cmd_flags |= SCF_SCSI_DATA_CDB | SCF_SUPPORTED_SAM_OPCODE | SCF_TASK_ATTR_SET;
	atomic_inc_mb(&direct->dev->non_ordered);
	vhost_scsi_enlist(se_cmd);
	return !atomic_read(&direct->dev->delayed_cmd_count);
}

/* It goes the long way after all, as if it had never been here. Returns as below. */
static int vhost_scsi_direct_retreat(struct vhost_scsi_req *req)
{
	if (!vhost_scsi_direct_close(&req->se_cmd)) {
		vhost_scsi_direct_give(req);
		return 0;
	}
	vhost_scsi_direct_leave(req);
	vhost_scsi_unmap(req);
	memset(&req->se_cmd, 0, sizeof(req->se_cmd));
	return -E2BIG;
}

/* NULL: there is none. It stays while the vq's mutex is held, and its device with it. */
static const struct vhost_scsi_direct *vhost_scsi_direct_find(struct vhost_virtqueue *vq,
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

/*
 * May its protection information, if any, go the short way: for each block, to be checked?
 * Without any, what must hold still while it is written may not.
 */
static bool vhost_scsi_direct_suits(const struct vhost_scsi_tpg *tpg,
				    const struct vhost_scsi_command *command,
				    const struct vhost_scsi_direct *direct,
				    const struct vhost_scsi_range *range)
{
	if (!command->pi)
		return !range->protect && (command->dir == VHOST_SCSI_IN ||
					   !test_bit(command->lun.lun, tpg->stable));
	return direct->protected && range->protect == VHOST_SCSI_PROTECT_CHECKED &&
	       command->pi == (u64)range->blocks * VHOST_SCSI_TUPLE_BYTES;
}

static void vhost_scsi_count_lun(const struct vhost_scsi_req *req)
{
	struct scsi_port_stats *stats = &req->se_cmd.se_lun->lun_stats;

	atomic_long_inc(&stats->cmd_pdus);
	atomic_long_add(req->command.bytes, req->command.dir == VHOST_SCSI_OUT ?
			&stats->rx_data_octets : &stats->tx_data_octets);
}

/* Its bio has ended: so has the command, unless the target core has to say how. */
static bool vhost_scsi_direct_next(struct vstor_cmd *cmd, bool discard)
{
	struct vhost_scsi_req *req = container_of(cmd, struct vhost_scsi_req, cmd);

	cmd->next = NULL;
	if (req->bio.bi_status || !vhost_scsi_direct_close(&req->se_cmd)) {
		vhost_scsi_direct_give(req);
		return true;
	}
	vhost_scsi_count_lun(req);
	vhost_scsi_direct_leave(req);
	return false;
}

int vhost_scsi_submit_direct(struct vhost_scsi_req *req, struct vhost_scsi_tpg *tpg,
			     const struct iovec *iov, unsigned int segs, size_t skip)
{
	struct vhost_scsi_span span = { .iov = iov, .segs = segs };
	const struct vhost_scsi_command *command = &req->command;
	const struct vhost_scsi_direct *direct;
	struct vhost_scsi_range range;
	int r;

	direct = vhost_scsi_direct_find(&req->cmd.svq->vq, tpg, command->lun.lun);
	if (!direct || command->task_attr != VIRTIO_SCSI_S_SIMPLE ||
	    !vhost_scsi_cdb_range(command->cdb, &range) ||
	    !vhost_scsi_direct_suits(tpg, command, direct, &range))
		return -E2BIG;
	vhost_scsi_advance(&span, skip);
	if (command->pi) {
		if (!vhost_scsi_map_slot(req, span))
			return -E2BIG;
		vhost_scsi_advance(&span, command->pi);
	}
	r = vhost_scsi_direct_map(req, span, direct);
	if (r) {
		vhost_scsi_unmap(req);
		return r == -EAGAIN ? r : -E2BIG;
	}
	if (!vhost_scsi_init_cmd(req, tpg))
		return 0;
	if (!vhost_scsi_direct_enter(req, direct, &range) ||
	    !vhost_scsi_is_clear(tpg, &req->se_cmd, direct))
		return vhost_scsi_direct_retreat(req);
	if (req->data.pages == VHOST_SCSI_HELD)
		vstor_count(&req->cmd.svq->stats.held, 1);
	vstor_count(&to_vhost_scsi_vq(req->cmd.svq)->stats.direct, 1);
	req->cmd.next = vhost_scsi_direct_next;
	submit_bio(&req->bio);
	return 0;
}
