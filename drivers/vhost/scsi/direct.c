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

/* SPC-4: asymmetric access state active/optimized, in which nothing needs a check. */
#define VHOST_SCSI_ALUA_OPTIMIZED	0

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

/* It leaves the target core, which has no other hold of it once it is closed. */
static void vhost_scsi_direct_uncharge(struct vhost_scsi_req *req)
{
	req->way = VHOST_SCSI_UNCHARGING;
	vhost_scsi_lio_uncharge(&req->se_cmd);
}

/* To the target core, which says how it ended; vstor_cmd_done() follows. */
static void vhost_scsi_direct_hand_over(struct vhost_scsi_req *req)
{
	u8 status = req->bio.bi_status == BLK_STS_RESV_CONFLICT ?
		    SAM_STAT_RESERVATION_CONFLICT : SAM_STAT_CHECK_CONDITION;

	req->way = VHOST_SCSI_HANDED_OVER;
	target_complete_cmd(&req->se_cmd, status);
}

/*
 * To where the target core would be with it when it asks whether it may be executed: it
 * holds the LUN, and counts among the others. False: that went otherwise.
 */
static bool vhost_scsi_direct_prepare(struct vhost_scsi_req *req,
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
	return vhost_scsi_lio_charge(se_cmd, range->lba);
}

/* It goes the long way after all, as if it had never been here. Returns as below. */
static int vhost_scsi_direct_undo(struct vhost_scsi_req *req)
{
	if (!vhost_scsi_lio_close(&req->se_cmd)) {
		vhost_scsi_direct_hand_over(req);
		return 0;
	}
	vhost_scsi_direct_uncharge(req);
	vhost_scsi_unmap(req);
	memset(&req->se_cmd, 0, sizeof(req->se_cmd));
	return -E2BIG;
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

/* Its bio has ended: so has the command, unless the target core has to say how. */
static bool vhost_scsi_direct_next(struct vstor_cmd *cmd, bool discard)
{
	struct vhost_scsi_req *req = container_of(cmd, struct vhost_scsi_req, cmd);

	cmd->next = NULL;
	if (req->bio.bi_status || !vhost_scsi_lio_close(&req->se_cmd)) {
		vhost_scsi_direct_hand_over(req);
		return true;
	}
	vhost_scsi_lio_count(&req->se_cmd, req->command.bytes);
	vhost_scsi_direct_uncharge(req);
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
	if (!vhost_scsi_direct_prepare(req, direct, &range) ||
	    !vhost_scsi_is_clear(tpg, &req->se_cmd, direct))
		return vhost_scsi_direct_undo(req);
	if (req->data.pages == VHOST_SCSI_HELD)
		vstor_count(&req->cmd.svq->stats.held, 1);
	vstor_count(&to_vhost_scsi_vq(req->cmd.svq)->stats.direct, 1);
	req->cmd.next = vhost_scsi_direct_next;
	submit_bio(&req->bio);
	return 0;
}
