// SPDX-License-Identifier: GPL-2.0
/*
 * What the vqs have done: a file for each open device in /sys/kernel/debug/vhost_blk,
 * which Documentation/statistics.md describes and scripts/vhost-blk-stat reads.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include "vhost_blk.h"

static struct dentry *vhost_blk_stats_dir;

static const char *const vhost_blk_op_names[VHOST_BLK_OPS] = {
	"unknown", "read", "write", "flush", "get_id", "discard", "write_zeroes",
	"secure_erase", "zone_append", "zone_report", "zone_open", "zone_close",
	"zone_finish", "zone_reset", "zone_reset_all",
};

static const char *const vhost_blk_status_names[VHOST_BLK_STATUSES] = {
	"ok", "ioerr", "unsupp", "zone_invalid_cmd", "zone_unaligned_wp",
	"zone_open_resource", "zone_active_resource",
};

void vhost_blk_stats_taken(struct vhost_blk_vq *bq, const struct vhost_blk_command *command)
{
	vstor_count(&bq->stats.requests[command->op], 1);
	vstor_count(&bq->stats.bytes[command->op], command->bytes);
}

void vhost_blk_stats_ended(struct vhost_blk_vq *bq, struct vhost_blk_req *req)
{
	vstor_count(&bq->stats.statuses[req->status], 1);
	if (req->bio_status == BLK_STS_PROTECTION)
		vstor_count(&bq->stats.protection, 1);
}

static void vhost_blk_show_vq(struct seq_file *seq, struct vhost_blk_vq *bq)
{
	struct vhost_blk_stats *stats = &bq->stats;

	seq_printf(seq, "vq %u\n", bq->svq.index);
	vstor_stats_show_requests(seq, vhost_blk_op_names, stats->requests, stats->bytes,
				  VHOST_BLK_OPS);
	vstor_stats_show_statuses(seq, vhost_blk_status_names, stats->statuses,
				  VHOST_BLK_STATUSES);
	seq_printf(seq, "  protection_errors %llu\n", READ_ONCE(stats->protection));
	vstor_stats_show(seq, &bq->svq);
}

static void vhost_blk_show_serial(struct seq_file *seq, struct vhost_blk *blk)
{
	char serial[VHOST_BLK_SERIAL_BYTES];

	vhost_blk_copy_serial(blk, serial);
	seq_puts(seq, "serial ");
	seq_escape_mem(seq, serial, strnlen(serial, sizeof(serial)), ESCAPE_ANY_NP, NULL);
	seq_putc(seq, '\n');
}

/* Without a lock that I/O or an ioctl can hold: readable when those hang. */
static int vhost_blk_stats_show(struct seq_file *seq, void *unused)
{
	struct vhost_blk *blk = seq->private;
	int i;

	vstor_stats_file_show(seq, &blk->stats_file, blk->number);
	vhost_blk_show_serial(seq, blk);
	for (i = 0; i < VHOST_BLK_MAX_QUEUES; i++)
		if (READ_ONCE(blk->queues[i]->svq.stats.kicks))
			vhost_blk_show_vq(seq, blk->queues[i]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vhost_blk_stats);

void vhost_blk_stats_backend(struct vhost_blk *blk)
{
	struct vhost_blk_backend *backend = blk->backend;
	char name[VSTOR_NAME_BYTES];

	lockdep_assert_held(&blk->dev.mutex);

	if (backend && backend->bdev)
		snprintf(name, sizeof(name), "%pg", backend->bdev);
	else if (backend)
		snprintf(name, sizeof(name), "%pD", backend->file);
	vstor_stats_file_backend(&blk->stats_file, backend ? name : NULL);
}

void vhost_blk_stats_add(struct vhost_blk *blk)
{
	vstor_stats_file_add(&blk->stats_file, vhost_blk_stats_dir, blk->number, blk,
			     &vhost_blk_stats_fops);
}

void vhost_blk_stats_init(void)
{
	vhost_blk_stats_dir = debugfs_create_dir("vhost_blk", NULL);
}

void vhost_blk_stats_exit(void)
{
	debugfs_remove(vhost_blk_stats_dir);
}
