// SPDX-License-Identifier: GPL-2.0
/*
 * A chain of descriptors, off the available ring into vq->iov. vhost_get_vq_desc()
 * does the same with a call for every field; this is where most of a small request's
 * time in the ring went. Every descriptor is copied once and the copy used: the guest
 * may change the original meanwhile.
 */
#include <linux/vhost_iotlb.h>
#include "vhost_storage.h"

/**
 * struct vstor_chain - a chain that is being read
 * @svq: whose it is
 * @out: readable entries of vq->iov, which come first
 * @in: writable ones
 * @nlog: entries of vq->log, which are the writable descriptors
 */
struct vstor_chain {
	struct vstor_vq *svq;
	unsigned int out;
	unsigned int in;
	unsigned int nlog;
};

/**
 * struct vstor_table - where a chain's descriptors are
 * @descs: the ring's, or those of an indirect table in one region, else NULL
 * @addr: of an indirect table, in guest memory
 * @num: how many there are
 * @indirect: it is an indirect table, in which there may be none
 */
struct vstor_table {
	const struct vring_desc __user *descs;
	u64 addr;
	unsigned int num;
	bool indirect;
};

/* Are @len bytes at @addr, at least one, in the region? */
static bool vstor_region_has(const struct vhost_iotlb_map *region, u64 addr, u32 len)
{
	return region && addr >= region->start && addr <= region->last &&
	       len - 1 <= region->last - addr;
}

static void __user *vstor_region_at(const struct vhost_iotlb_map *region, u64 addr)
{
	return (void __user *)(unsigned long)(region->addr + (addr - region->start));
}

/*
 * Where @len bytes of guest memory at @addr are in the owner's: up to @max entries of
 * @iov, one for each region. Returns how many, or an error.
 */
static noinline int vstor_translate_regions(struct vstor_vq *svq, u64 addr, u32 len,
					    struct iovec *iov, unsigned int max)
{
	const struct vhost_iotlb_map *region;
	unsigned int n = 0;
	u64 part;

	for (; len; addr += part, len -= part, n++) {
		if (n == max)
			return -ENOBUFS;
		region = vhost_iotlb_itree_first(svq->vq.umem, addr, addr);
		if (!region)
			return -EFAULT;
		svq->region = region;
		part = min_t(u64, len - 1, region->last - addr) + 1;
		iov[n].iov_base = vstor_region_at(region, addr);
		iov[n].iov_len = part;
	}
	return n;
}

/* Most often all of it is in the region of the last time. */
static __always_inline int vstor_translate(struct vstor_vq *svq, u64 addr, u32 len,
					   struct iovec *iov, unsigned int max)
{
	const struct vhost_iotlb_map *region = svq->region;

	if (!len || !max || !vstor_region_has(region, addr, len))
		return vstor_translate_regions(svq, addr, len, iov, max);
	iov->iov_base = vstor_region_at(region, addr);
	iov->iov_len = len;
	return 1;
}

/* Of no more than there are entries of vq->iov, and as many has vq->log. */
static __always_inline void vstor_chain_log(struct vstor_chain *chain, u64 addr, u32 len)
{
	struct vhost_log *log = &chain->svq->vq.log[chain->nlog++];

	log->addr = addr;
	log->len = len;
}

/* VIRTIO 2.7.4.2: readable entries come before writable ones. */
static __always_inline int vstor_chain_add(struct vstor_chain *chain,
					   const struct vring_desc *desc)
{
	struct vhost_virtqueue *vq = &chain->svq->vq;
	unsigned int have = chain->out + chain->in;
	u64 addr = vhost64_to_cpu(vq, desc->addr);
	u32 len = vhost32_to_cpu(vq, desc->len);
	int n;

	n = vstor_translate(chain->svq, addr, len, vq->iov + have, ARRAY_SIZE(vq->iov) - have);
	if (n < 0)
		return n;
	if (desc->flags & cpu_to_vhost16(vq, VRING_DESC_F_WRITE)) {
		chain->in += n;
		/* An empty one has no entry, and there may be many. */
		if (n)
			vstor_chain_log(chain, addr, len);
		return 0;
	}
	if (chain->in)
		return -EINVAL;
	chain->out += n;
	return 0;
}

/* A descriptor at @addr, across regions. */
static noinline int vstor_load_across(struct vstor_vq *svq, struct vring_desc *desc, u64 addr)
{
	struct iov_iter from;
	struct iovec iov[2];
	int n;

	n = vstor_translate(svq, addr, sizeof(*desc), iov, ARRAY_SIZE(iov));
	if (n < 0)
		return n;
	iov_iter_init(&from, ITER_SOURCE, iov, n, sizeof(*desc));
	return copy_from_iter_full(desc, sizeof(*desc), &from) ? 0 : -EFAULT;
}

static __always_inline int vstor_load_entry(struct vstor_vq *svq, struct vring_desc *desc,
					    const struct vstor_table *table, unsigned int i)
{
	if (table->descs)
		return vstor_load(desc, table->descs + i, 16);
	return vstor_load_across(svq, desc, table->addr + i * sizeof(*desc));
}

static int vstor_chain_add_table(struct vstor_chain *chain, const struct vring_desc *desc);

/*
 * The chain that begins at @i; VIRTIO 2.7.5.3: one in an indirect table is followed as
 * one in the ring is. Inline, so that each of the two is compiled for what it is.
 */
static __always_inline int vstor_chain_follow(struct vstor_chain *chain,
					      const struct vstor_table *table, unsigned int i)
{
	struct vhost_virtqueue *vq = &chain->svq->vq;
	unsigned int left = table->num;
	struct vring_desc desc;
	int r;

	for (;;) {
		/* More than the table has is a loop. */
		if (i >= table->num || !left--)
			return -EINVAL;
		r = vstor_load_entry(chain->svq, &desc, table, i);
		if (r)
			return r;
		if (!(desc.flags & cpu_to_vhost16(vq, VRING_DESC_F_INDIRECT)))
			r = vstor_chain_add(chain, &desc);
		else if (table->indirect)
			r = -EINVAL;
		else
			r = vstor_chain_add_table(chain, &desc);
		if (r || !(desc.flags & cpu_to_vhost16(vq, VRING_DESC_F_NEXT)))
			return r;
		i = vhost16_to_cpu(vq, desc.next);
	}
}

/* Where all of the table is in the owner's memory; NULL: it is in several regions. */
static const struct vring_desc __user *vstor_table_at(struct vstor_vq *svq, u64 addr, u32 len)
{
	const struct vhost_iotlb_map *region = svq->region;

	if (!vstor_region_has(region, addr, len))
		region = vhost_iotlb_itree_first(svq->vq.umem, addr, addr);
	return vstor_region_has(region, addr, len) ? vstor_region_at(region, addr) : NULL;
}

static int vstor_chain_add_table(struct vstor_chain *chain, const struct vring_desc *desc)
{
	struct vhost_virtqueue *vq = &chain->svq->vq;
	u32 len = vhost32_to_cpu(vq, desc->len);
	struct vstor_table table = {
		.addr = vhost64_to_cpu(vq, desc->addr),
		.num = len / sizeof(*desc),
		.indirect = true,
	};

	/* next has 16 bits; what is behind that cannot be meant. */
	if (!len || len % sizeof(*desc) || table.num > USHRT_MAX + 1)
		return -EINVAL;
	table.descs = vstor_table_at(chain->svq, table.addr, len);
	return vstor_chain_follow(chain, &table, 0);
}

int vstor_chain_get(struct vstor_vq *svq, unsigned int *out, unsigned int *in)
{
	struct vstor_chain chain = { .svq = svq };
	struct vhost_virtqueue *vq = &svq->vq;
	const struct vstor_table ring = { .descs = vq->desc, .num = vq->num };
	__virtio16 head;
	int r;

	/* All that the index said last has been taken. */
	if (vq->avail_idx == vq->last_avail_idx) {
		if (vhost_vq_avail_empty(vq->dev, vq))
			return -ENODATA;
		/* It is not to be believed. */
		if (vq->avail_idx == vq->last_avail_idx)
			return -EINVAL;
	}
	if (get_user(head, &vq->avail->ring[vq->last_avail_idx & (vq->num - 1)]))
		return -EFAULT;
	r = vstor_chain_follow(&chain, &ring, vhost16_to_cpu(vq, head));
	if (r)
		return r;
	vq->last_avail_idx++;
	svq->nlog = chain.nlog;
	*out = chain.out;
	*in = chain.in;
	return vhost16_to_cpu(vq, head);
}
