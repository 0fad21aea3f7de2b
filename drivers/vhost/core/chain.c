// SPDX-License-Identifier: GPL-2.0
/*
 * A chain of descriptors, off the available ring into vq->iov. vhost_get_vq_desc()
 * does the same with a call for every field; this is where most of a small request's
 * time in the ring went. Every descriptor is copied once and the copy used: the guest
 * may change the original meanwhile.
 */
#include <linux/uaccess.h>
#include <linux/vhost_iotlb.h>
#include "vhost_storage.h"

/**
 * struct vstor_chain - a chain that is being read
 * @svq: whose it is
 * @out: readable entries of vq->iov, which come first
 * @in: writable ones
 */
struct vstor_chain {
	struct vstor_vq *svq;
	unsigned int out;
	unsigned int in;
};

/* 16 bytes, loaded as what they are: the general copy is slower by far. */
static __always_inline int vstor_load_desc(struct vring_desc *to,
					   const struct vring_desc __user *from)
{
	if (!user_read_access_begin(from, sizeof(*from)))
		return -EFAULT;
	unsafe_get_user(to->addr, &from->addr, fault);
	unsafe_get_user(to->len, &from->len, fault);
	unsafe_get_user(to->flags, &from->flags, fault);
	unsafe_get_user(to->next, &from->next, fault);
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

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

/* VIRTIO 2.7.4.2: readable entries come before writable ones. */
static __always_inline int vstor_chain_add(struct vstor_chain *chain,
					   const struct vring_desc *desc)
{
	struct vhost_virtqueue *vq = &chain->svq->vq;
	unsigned int have = chain->out + chain->in;
	int n;

	n = vstor_translate(chain->svq, vhost64_to_cpu(vq, desc->addr),
			    vhost32_to_cpu(vq, desc->len), vq->iov + have,
			    ARRAY_SIZE(vq->iov) - have);
	if (n < 0)
		return n;
	if (desc->flags & cpu_to_vhost16(vq, VRING_DESC_F_WRITE)) {
		chain->in += n;
		return 0;
	}
	if (chain->in)
		return -EINVAL;
	chain->out += n;
	return 0;
}

/* A descriptor of a table that lies across regions. */
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

/* A descriptor of a table, at @addr; @region has all of the table, or is NULL. */
static __always_inline int vstor_load_entry(struct vstor_vq *svq, struct vring_desc *desc,
					    u64 addr, const struct vhost_iotlb_map *region)
{
	if (region)
		return vstor_load_desc(desc, vstor_region_at(region, addr));
	return vstor_load_across(svq, desc, addr);
}

/* The region that all of the table is in, or NULL. */
static const struct vhost_iotlb_map *vstor_table_region(struct vstor_vq *svq, u64 addr, u32 len)
{
	const struct vhost_iotlb_map *region = svq->region;

	if (!vstor_region_has(region, addr, len))
		region = vhost_iotlb_itree_first(svq->vq.umem, addr, addr);
	return vstor_region_has(region, addr, len) ? region : NULL;
}

/* VIRTIO 2.7.5.3: the table is followed as the ring's descriptors are. */
static int vstor_chain_add_table(struct vstor_chain *chain, const struct vring_desc *table)
{
	struct vhost_virtqueue *vq = &chain->svq->vq;
	u64 addr = vhost64_to_cpu(vq, table->addr);
	u32 len = vhost32_to_cpu(vq, table->len);
	unsigned int i = 0, left = len / sizeof(struct vring_desc);
	const struct vhost_iotlb_map *region;
	struct vring_desc desc;
	int r;

	/* next has 16 bits; what is behind that cannot be meant. */
	if (!left || len % sizeof(desc) || left > USHRT_MAX + 1)
		return -EINVAL;
	region = vstor_table_region(chain->svq, addr, len);
	for (;;) {
		r = vstor_load_entry(chain->svq, &desc, addr + i * sizeof(desc), region);
		if (r)
			return r;
		if (desc.flags & cpu_to_vhost16(vq, VRING_DESC_F_INDIRECT))
			return -EINVAL;
		r = vstor_chain_add(chain, &desc);
		if (r)
			return r;
		if (!(desc.flags & cpu_to_vhost16(vq, VRING_DESC_F_NEXT)))
			return 0;
		/* One more than the table has is a loop. */
		i = vhost16_to_cpu(vq, desc.next);
		if (i >= len / sizeof(desc) || !--left)
			return -EINVAL;
	}
}

static int vstor_chain_follow(struct vstor_chain *chain, unsigned int i)
{
	struct vhost_virtqueue *vq = &chain->svq->vq;
	unsigned int left = vq->num;
	struct vring_desc desc;
	int r;

	for (;;) {
		if (i >= vq->num || !left--)
			return -EINVAL;
		if (vstor_load_desc(&desc, vq->desc + i))
			return -EFAULT;
		if (desc.flags & cpu_to_vhost16(vq, VRING_DESC_F_INDIRECT))
			r = vstor_chain_add_table(chain, &desc);
		else
			r = vstor_chain_add(chain, &desc);
		if (r)
			return r;
		if (!(desc.flags & cpu_to_vhost16(vq, VRING_DESC_F_NEXT)))
			return 0;
		i = vhost16_to_cpu(vq, desc.next);
	}
}

int vstor_chain_get(struct vstor_vq *svq, unsigned int *out, unsigned int *in)
{
	struct vstor_chain chain = { .svq = svq };
	struct vhost_virtqueue *vq = &svq->vq;
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
	r = vstor_chain_follow(&chain, vhost16_to_cpu(vq, head));
	if (r)
		return r;
	vq->last_avail_idx++;
	*out = chain.out;
	*in = chain.in;
	return vhost16_to_cpu(vq, head);
}
