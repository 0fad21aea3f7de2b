// SPDX-License-Identifier: GPL-2.0
/* What the vqs count, and how it is printed. */
#include <linux/debugfs.h>
#include <linux/idr.h>
#include <linux/seq_file.h>
#include "vhost_storage.h"

static DEFINE_IDA(vstor_numbers);

int vstor_number_get(void)
{
	return ida_alloc(&vstor_numbers, GFP_KERNEL);
}
EXPORT_SYMBOL_NS_GPL(vstor_number_get, VHOST_STORAGE);

void vstor_number_put(unsigned int number)
{
	ida_free(&vstor_numbers, number);
}
EXPORT_SYMBOL_NS_GPL(vstor_number_put, VHOST_STORAGE);

void vstor_stats_taken(struct vstor_vq *svq, unsigned int n)
{
	unsigned int bucket = min(ilog2(n), VSTOR_BATCH_BUCKETS - 1);

	vstor_count(&svq->stats.taken[bucket], 1);
}

void vstor_stats_pushed(struct vstor_vq *svq, unsigned int n)
{
	unsigned int bucket = min(ilog2(n), VSTOR_BATCH_BUCKETS - 1);

	vstor_count(&svq->stats.pushed[bucket], 1);
}

void vstor_stats_latency(struct vstor_vq *svq, u64 ns)
{
	/* 1.024 us, to spare a division. */
	unsigned int bucket = min(fls64(ns >> 10), VSTOR_LATENCY_BUCKETS - 1);

	vstor_count(&svq->stats.latency[bucket], 1);
	vstor_count(&svq->stats.latency_ns, ns);
}

static void vstor_stats_line(struct seq_file *seq, const char *name, u64 *values,
			     unsigned int n)
{
	unsigned int i;

	seq_printf(seq, "  %s", name);
	for (i = 0; i < n; i++)
		seq_printf(seq, " %llu", READ_ONCE(values[i]));
	seq_putc(seq, '\n');
}

void vstor_stats_show(struct seq_file *seq, struct vstor_vq *svq)
{
	struct vstor_stats *stats = &svq->stats;

	seq_printf(seq, "  worker %d\n", READ_ONCE(stats->worker));
	seq_printf(seq, "  in_flight %d\n", atomic_read(&svq->in_flight));
	vstor_stats_line(seq, "kicks", &stats->kicks, 1);
	vstor_stats_line(seq, "signals", &stats->signals, 1);
	vstor_stats_line(seq, "breaks", &stats->breaks, 1);
	vstor_stats_line(seq, "held", &stats->held, 1);
	vstor_stats_line(seq, "taken", stats->taken, VSTOR_BATCH_BUCKETS);
	vstor_stats_line(seq, "pushed", stats->pushed, VSTOR_BATCH_BUCKETS);
	vstor_stats_line(seq, "latency", stats->latency, VSTOR_LATENCY_BUCKETS);
	vstor_stats_line(seq, "latency_ns", &stats->latency_ns, 1);
}
EXPORT_SYMBOL_NS_GPL(vstor_stats_show, VHOST_STORAGE);

void vstor_stats_show_requests(struct seq_file *seq, const char *const *names,
			       const u64 *requests, const u64 *bytes, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		seq_printf(seq, "  %s %llu %llu\n", names[i], READ_ONCE(requests[i]),
			   READ_ONCE(bytes[i]));
}
EXPORT_SYMBOL_NS_GPL(vstor_stats_show_requests, VHOST_STORAGE);

void vstor_stats_show_statuses(struct seq_file *seq, const char *const *names,
			       const u64 *statuses, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		seq_printf(seq, "  status_%s %llu\n", names[i], READ_ONCE(statuses[i]));
}
EXPORT_SYMBOL_NS_GPL(vstor_stats_show_statuses, VHOST_STORAGE);

void vstor_stats_file_add(struct vstor_stats_file *file, struct dentry *dir, unsigned int number,
			  void *private, const struct file_operations *fops)
{
	char name[16];

	spin_lock_init(&file->lock);
	file->opened = ktime_get();
	/* Without debugfs, or memory for it, all works but for this. */
	snprintf(name, sizeof(name), "%u", number);
	file->dentry = debugfs_create_file(name, 0400, dir, private, fops);
}
EXPORT_SYMBOL_NS_GPL(vstor_stats_file_add, VHOST_STORAGE);

void vstor_stats_file_remove(struct vstor_stats_file *file)
{
	debugfs_remove(file->dentry);
}
EXPORT_SYMBOL_NS_GPL(vstor_stats_file_remove, VHOST_STORAGE);

void vstor_stats_file_backend(struct vstor_stats_file *file, const char *name)
{
	spin_lock(&file->lock);
	strscpy_pad(file->backend, name ?: "", sizeof(file->backend));
	file->owner = name ? task_tgid_nr(current) : 0;
	spin_unlock(&file->lock);
}
EXPORT_SYMBOL_NS_GPL(vstor_stats_file_backend, VHOST_STORAGE);

void vstor_stats_file_show(struct seq_file *seq, struct vstor_stats_file *file,
			   unsigned int number)
{
	char name[VSTOR_NAME_BYTES];
	pid_t owner;

	spin_lock(&file->lock);
	memcpy(name, file->backend, sizeof(name));
	owner = file->owner;
	spin_unlock(&file->lock);

	seq_printf(seq, "device %u\nowner %d\nbackend ", number, owner);
	/* Somebody else's words. */
	seq_escape_str(seq, name, ESCAPE_ANY_NP, NULL);
	seq_printf(seq, "\nage_ms %llu\n", ktime_to_ms(ktime_sub(ktime_get(), file->opened)));
}
EXPORT_SYMBOL_NS_GPL(vstor_stats_file_show, VHOST_STORAGE);
