// SPDX-License-Identifier: GPL-2.0
/*
 * What the vqs have done: a file for each open device in /sys/kernel/debug/vhost_scsi, in
 * the form of vhost_blk's. Documentation/statistics.md
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include "vhost_scsi.h"

static struct dentry *vhost_scsi_stats_dir;

static const char *const vhost_scsi_op_names[VHOST_SCSI_OPS] = {
	"read", "write", "flush", "other",
};

static const char *const vhost_scsi_status_names[VHOST_SCSI_STATUSES] = {
	"ok", "check_condition", "other", "response",
};

void vhost_scsi_stats_taken(struct vhost_scsi_vq *sq, const struct vhost_scsi_command *command)
{
	enum vhost_scsi_op op = vhost_scsi_cdb_op(command->cdb);

	vstor_count(&sq->stats.requests[op], 1);
	vstor_count(&sq->stats.bytes[op], command->bytes);
}

void vhost_scsi_stats_ended(struct vhost_scsi_vq *sq, u8 response, u8 status)
{
	enum vhost_scsi_status kind = VHOST_SCSI_STATUS_OTHER;

	if (response != VIRTIO_SCSI_S_OK)
		kind = VHOST_SCSI_STATUS_RESPONSE;
	else if (status == SAM_STAT_GOOD)
		kind = VHOST_SCSI_STATUS_OK;
	else if (status == SAM_STAT_CHECK_CONDITION)
		kind = VHOST_SCSI_STATUS_CHECK;
	vstor_count(&sq->stats.statuses[kind], 1);
}

static void vhost_scsi_show_vq(struct seq_file *seq, struct vhost_scsi_vq *sq)
{
	struct vhost_scsi_stats *stats = &sq->stats;

	seq_printf(seq, "vq %u\n", sq->svq.index);
	vstor_stats_show_requests(seq, vhost_scsi_op_names, stats->requests, stats->bytes,
				  VHOST_SCSI_OPS);
	vstor_stats_show_statuses(seq, vhost_scsi_status_names, stats->statuses,
				  VHOST_SCSI_STATUSES);
	seq_printf(seq, "  direct %llu\n", READ_ONCE(stats->direct));
	vstor_stats_show(seq, &sq->svq);
}

/* Without a lock that I/O or an ioctl can hold: readable when those hang. */
static int vhost_scsi_stats_show(struct seq_file *seq, void *unused)
{
	struct vhost_scsi *scsi = seq->private;
	unsigned int i;

	vstor_stats_file_show(seq, &scsi->stats_file, scsi->number);
	for (i = 0; i < scsi->nvqs; i++)
		if (READ_ONCE(scsi->queues[i].svq.stats.kicks))
			vhost_scsi_show_vq(seq, &scsi->queues[i]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vhost_scsi_stats);

void vhost_scsi_stats_add(struct vhost_scsi *scsi)
{
	vstor_stats_file_add(&scsi->stats_file, vhost_scsi_stats_dir, scsi->number, scsi,
			     &vhost_scsi_stats_fops);
}

void vhost_scsi_stats_init(void)
{
	vhost_scsi_stats_dir = debugfs_create_dir("vhost_scsi", NULL);
}

void vhost_scsi_stats_exit(void)
{
	debugfs_remove(vhost_scsi_stats_dir);
}
