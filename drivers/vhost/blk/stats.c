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
	unsigned int i;

	seq_printf(seq, "vq %u\n", bq->svq.index);
	for (i = 0; i < VHOST_BLK_OPS; i++)
		seq_printf(seq, "  %s %llu %llu\n", vhost_blk_op_names[i],
			   READ_ONCE(stats->requests[i]), READ_ONCE(stats->bytes[i]));
	for (i = 0; i < VHOST_BLK_STATUSES; i++)
		seq_printf(seq, "  status_%s %llu\n", vhost_blk_status_names[i],
			   READ_ONCE(stats->statuses[i]));
	seq_printf(seq, "  protection_errors %llu\n", READ_ONCE(stats->protection));
	vstor_stats_show(seq, &bq->svq);
}

static void vhost_blk_show_device(struct seq_file *seq, struct vhost_blk *blk)
{
	char name[VHOST_BLK_NAME_BYTES], serial[VHOST_BLK_SERIAL_BYTES];
	pid_t pid;

	spin_lock(&blk->ident_lock);
	memcpy(name, blk->backend_name, sizeof(name));
	memcpy(serial, blk->serial, sizeof(serial));
	pid = blk->pid;
	spin_unlock(&blk->ident_lock);

	seq_printf(seq, "device %u\nowner %d\nbackend ", blk->number, pid);
	/* Both are somebody else's words. */
	seq_escape_str(seq, name, ESCAPE_ANY_NP, NULL);
	seq_puts(seq, "\nserial ");
	seq_escape_mem(seq, serial, strnlen(serial, sizeof(serial)), ESCAPE_ANY_NP, NULL);
	seq_printf(seq, "\nage_ms %llu\n", ktime_to_ms(ktime_sub(ktime_get(), blk->opened)));
}

/* Without a lock that I/O or an ioctl can hold: readable when those hang. */
static int vhost_blk_stats_show(struct seq_file *seq, void *unused)
{
	struct vhost_blk *blk = seq->private;
	int i;

	vhost_blk_show_device(seq, blk);
	for (i = 0; i < VHOST_BLK_MAX_QUEUES; i++)
		if (READ_ONCE(blk->queues[i]->svq.stats.kicks))
			vhost_blk_show_vq(seq, blk->queues[i]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vhost_blk_stats);

void vhost_blk_stats_backend(struct vhost_blk *blk)
{
	char name[VHOST_BLK_NAME_BYTES] = "";
	struct vhost_blk_backend *backend = blk->backend;

	lockdep_assert_held(&blk->dev.mutex);

	if (backend && backend->bdev)
		snprintf(name, sizeof(name), "%pg", backend->bdev);
	else if (backend)
		snprintf(name, sizeof(name), "%pD", backend->file);
	spin_lock(&blk->ident_lock);
	memcpy(blk->backend_name, name, sizeof(name));
	blk->pid = backend ? task_tgid_nr(current) : 0;
	spin_unlock(&blk->ident_lock);
}

void vhost_blk_stats_add(struct vhost_blk *blk)
{
	char name[16];

	blk->opened = ktime_get();
	/* Without debugfs, or memory for it, all works but for this. */
	snprintf(name, sizeof(name), "%u", blk->number);
	blk->stats_file = debugfs_create_file(name, 0400, vhost_blk_stats_dir, blk,
					      &vhost_blk_stats_fops);
}

void vhost_blk_stats_remove(struct vhost_blk *blk)
{
	debugfs_remove(blk->stats_file);
}

void vhost_blk_stats_init(void)
{
	vhost_blk_stats_dir = debugfs_create_dir("vhost_blk", NULL);
}

void vhost_blk_stats_exit(void)
{
	debugfs_remove(vhost_blk_stats_dir);
}
