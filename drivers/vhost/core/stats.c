// SPDX-License-Identifier: GPL-2.0
/* What the vqs count, and how it is printed. */
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
