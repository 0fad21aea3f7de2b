// SPDX-License-Identifier: GPL-2.0
/*
 * What the target core keeps to itself, and the short way has to do in its stead: its list
 * of a device's commands, a command's state in it, its hold of the LUN, its count of those
 * that an ORDERED one waits for, its statistics, and the block device of a backstore.
 */
#include <linux/blkdev.h>
#include <target/target_core_backend.h>
#include "vhost_scsi.h"

bool vhost_scsi_lio_is_iblock(const struct se_device *dev)
{
	return !strcmp(dev->transport->name, "iblock") &&
	       !(dev->transport_flags & TRANSPORT_FLAG_PASSTHROUGH);
}

/*
 * The backstore has it open, for as long as it has LUNs; and tells nothing of it but this
 * text. NULL: there is none.
 */
struct block_device *vhost_scsi_lio_bdev(struct se_device *dev)
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

/*
 * A command that ends by its abort has never left the count of those that an ORDERED one
 * waits for: target_handle_abort(), unlike all other ways to end, forgets it, and the
 * ORDERED one would wait for ever. As transport_complete_task_attr() does it, whose mark
 * says whether that was done. Before the LUN is put, so that its device is there.
 */
void vhost_scsi_lio_end_task_attr(struct se_cmd *se_cmd)
{
	struct se_device *dev = se_cmd->se_dev;

	if (!(se_cmd->se_cmd_flags & SCF_TASK_ATTR_SET))
		return;
	se_cmd->se_cmd_flags &= ~SCF_TASK_ATTR_SET;
	if (se_cmd->sam_task_attr == TCM_ORDERED_TAG) {
		spin_lock(&dev->delayed_cmd_lock);
		dev->ordered_sync_in_progress = false;
		spin_unlock(&dev->delayed_cmd_lock);
	} else {
		atomic_dec_mb(&dev->non_ordered);
	}
	if (atomic_read(&dev->delayed_cmd_count) > 0)
		schedule_work(&dev->delayed_cmd_work);
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
bool vhost_scsi_lio_close(struct se_cmd *se_cmd)
{
	bool closed;

	spin_lock_irq(&se_cmd->t_state_lock);
	closed = !(se_cmd->transport_state & CMD_T_ABORTED);
	if (closed)
		se_cmd->transport_state |= CMD_T_COMPLETE;
	spin_unlock_irq(&se_cmd->t_state_lock);
	return closed;
}

bool vhost_scsi_lio_charge(struct se_cmd *se_cmd, u64 lba)
{
	struct se_device *dev = se_cmd->se_dev;

	se_cmd->t_task_lba = lba;
	se_cmd->transport_state = CMD_T_ACTIVE | CMD_T_SENT;
	se_cmd->se_cmd_flags |= SCF_SCSI_DATA_CDB | SCF_SUPPORTED_SAM_OPCODE | SCF_TASK_ATTR_SET;
	atomic_inc_mb(&dev->non_ordered);
	vhost_scsi_enlist(se_cmd);
	return !atomic_read(&dev->delayed_cmd_count);
}

void vhost_scsi_lio_uncharge(struct se_cmd *se_cmd)
{
	struct se_lun *lun = se_cmd->se_lun;

	if (se_cmd->state_active)
		vhost_scsi_delist(se_cmd);
	vhost_scsi_lio_end_task_attr(se_cmd);
	if (lun)
		percpu_ref_put(&lun->lun_ref);
	se_cmd->lun_ref_active = false;
	se_cmd->se_lun = NULL;
	WARN_ON_ONCE(!target_put_sess_cmd(se_cmd));
}

void vhost_scsi_lio_count(const struct se_cmd *se_cmd, u32 bytes)
{
	struct scsi_port_stats *stats = &se_cmd->se_lun->lun_stats;

	atomic_long_inc(&stats->cmd_pdus);
	atomic_long_add(bytes, se_cmd->data_direction == DMA_TO_DEVICE ?
			&stats->rx_data_octets : &stats->tx_data_octets);
}
