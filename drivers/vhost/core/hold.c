// SPDX-License-Identifier: GPL-2.0
/*
 * Held pages: huge pages of the owner that stay pinned from one request to the next,
 * so that a request in them pins and unpins nothing.
 *
 * Small pages are pinned for each request: holding them would keep the host from making
 * huge ones of them, and the gain is less. Nor is memory held that a fork would have to
 * copy because it is pinned: QEMU marks a guest's with MADV_DONTFORK.
 *
 * A page that requests have missed often enough is pinned by a work, never on a
 * request's way. It is let go when the owner's mapping of it changes, as an mmu notifier
 * tells, when it was not used for a while, and with the memory table and the backend. It
 * counts against the owner's RLIMIT_MEMLOCK, as pinned memory; beyond that pages are
 * pinned for each request.
 *
 * A request that uses held pages is an SRCU reader from before it looks for them until
 * its bios have ended, perhaps in another task. So a page is closed first, for those that
 * look; when no reader is left that may have seen it open, it is unpinned.
 */
#include <linux/bio.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/vhost_iotlb.h>
#include "hold.h"
#include "vhost_storage.h"

/* Of one device: 1 TiB of guest memory, for which they take 8 MiB. */
#define VSTOR_HOLD_SLOTS	524288u

static bool vstor_hold_region_has(const struct vstor_hold_region *region, unsigned long addr)
{
	return addr - region->first < region->bytes;
}

static noinline struct vstor_hold_region *vstor_hold_find(struct vstor_vq *svq,
							  unsigned long addr)
{
	struct vstor_hold *hold = svq->hold;
	unsigned int i;

	for (i = 0; i < hold->nregions; i++)
		if (vstor_hold_region_has(hold->regions[i], addr))
			return svq->hold_region = hold->regions[i];
	return NULL;
}

/* Most often it is in the region of the last time. */
static __always_inline struct vstor_slot *vstor_slot_at(struct vstor_vq *svq, unsigned long addr)
{
	struct vstor_hold_region *region = svq->hold_region;

	if (!region || !vstor_hold_region_has(region, addr))
		region = vstor_hold_find(svq, addr);
	return region ? &region->slots[(addr - region->first) >> PMD_SHIFT] : NULL;
}

/* @bytes of the page will be pinned for a request. */
static noinline void vstor_slot_miss(struct vstor_hold *hold, struct vstor_slot *slot,
				     size_t bytes)
{
	int before = READ_ONCE(slot->misses), misses;

	/* Asked for already. */
	if (before >= VSTOR_HOLD_MISSES)
		return;
	misses = before + DIV_ROUND_UP(bytes, PAGE_SIZE);
	WRITE_ONCE(slot->misses, misses);
	if (misses >= VSTOR_HOLD_MISSES)
		queue_delayed_work(system_unbound_wq, &hold->fill, VSTOR_HOLD_SOON);
}

/* Is what @addr is in held, and open? Else a miss of so many @bytes is counted. */
static __always_inline bool vstor_slot_use(struct vstor_vq *svq, unsigned long addr, size_t bytes)
{
	struct vstor_slot *slot = vstor_slot_at(svq, addr);
	unsigned long page;

	if (!slot)
		return false;
	page = READ_ONCE(slot->page);
	if (!page || page & VSTOR_SLOT_STATE) {
		vstor_slot_miss(svq->hold, slot, bytes);
		return false;
	}
	if (READ_ONCE(slot->used) != (u32)jiffies)
		WRITE_ONCE(slot->used, (u32)jiffies);
	return true;
}

static size_t vstor_huge_left(unsigned long addr, size_t len)
{
	return min(len, PMD_SIZE - (addr & ~PMD_MASK));
}

/*
 * How many vecs @len bytes at @addr take; 0: not all of them are in held pages, or a
 * block is in two.
 */
static unsigned int vstor_hold_span(struct vstor_vq *svq, unsigned long addr, size_t len,
				    unsigned int block)
{
	unsigned int vecs = 0;
	size_t part;

	for (; len; addr += part, len -= part, vecs++) {
		part = vstor_huge_left(addr, len);
		if (part & (block - 1) || !vstor_slot_use(svq, addr, part))
			return 0;
	}
	return vecs;
}

static unsigned int vstor_hold_vecs(struct vstor_vq *svq, const struct iovec *iov, size_t skip,
				    size_t len, unsigned int block)
{
	unsigned int vecs = 0, n;
	size_t seg;

	for (; len; iov++, len -= seg, skip = 0) {
		seg = min(iov->iov_len - skip, len);
		if (!seg)
			continue;
		n = vstor_hold_span(svq, (unsigned long)iov->iov_base + skip, seg, block);
		if (!n)
			return 0;
		vecs += n;
	}
	return vecs;
}

/* The caller becomes a reader, if all is there. */
static noinline unsigned int vstor_hold_read(struct vstor_vq *svq, const struct iovec *iov,
					     size_t skip, size_t len, unsigned int block,
					     int *reader)
{
	struct srcu_struct *readers = &svq->hold->readers;
	unsigned int vecs;

	*reader = srcu_down_read(readers);
	vecs = vstor_hold_vecs(svq, iov, skip, len, block);
	if (!vecs) {
		srcu_up_read(readers, *reader);
		return 0;
	}
	/* vstor_hold_put() ends it, in whatever task: sparse sees none of that. */
	__release(readers);
	return vecs;
}

/* Where the first piece is not held, so much for it: without a call, for most are so then. */
unsigned int vstor_hold_get(struct vstor_vq *svq, const struct iovec *iov, size_t skip,
			    size_t len, unsigned int block, int *reader)
{
	unsigned long addr = (unsigned long)iov->iov_base + skip;

	lockdep_assert_held(&svq->vq.mutex);

	if (!svq->hold || !vstor_slot_use(svq, addr, vstor_huge_left(addr, len)))
		return 0;
	return vstor_hold_read(svq, iov, skip, len, block, reader);
}
EXPORT_SYMBOL_NS_GPL(vstor_hold_get, VHOST_STORAGE);

void vstor_hold_put(struct vstor_vq *svq, int reader)
{
	__acquire(&svq->hold->readers);
	srcu_up_read(&svq->hold->readers, reader);
}
EXPORT_SYMBOL_NS_GPL(vstor_hold_put, VHOST_STORAGE);

/* The small page that @addr is in; NULL: of none that is held. */
static __always_inline struct page *vstor_page_at(struct vstor_vq *svq, unsigned long addr)
{
	struct vstor_slot *slot = vstor_slot_at(svq, addr);
	/* It may have been closed meanwhile, but not unpinned: its state is of no interest. */
	struct page *page = slot ? vstor_slot_page(slot) : NULL;

	return page ? page + ((addr & ~PMD_MASK) >> PAGE_SHIFT) : NULL;
}

struct page *vstor_held_page(struct vstor_vq *svq, unsigned long addr)
{
	return vstor_page_at(svq, addr);
}
EXPORT_SYMBOL_NS_GPL(vstor_held_page, VHOST_STORAGE);

ssize_t vstor_bio_add_held(struct vstor_vq *svq, struct bio *bio, unsigned long addr, size_t len)
{
	struct page *page = vstor_page_at(svq, addr);

	if (!page)
		return -EFAULT;
	return bio_add_page(bio, page, vstor_huge_left(addr, len), offset_in_page(addr));
}
EXPORT_SYMBOL_NS_GPL(vstor_bio_add_held, VHOST_STORAGE);

/* A memory table may show the same memory twice: only the first one counts. */
static bool vstor_hold_overlaps(const struct vstor_hold *hold, unsigned long first,
				unsigned long end)
{
	unsigned int i;

	for (i = 0; i < hold->nregions; i++)
		if (first < hold->regions[i]->first + hold->regions[i]->bytes &&
		    hold->regions[i]->first < end)
			return true;
	return false;
}

static struct vstor_hold_region *vstor_hold_region_new(struct vstor_hold *hold,
						       const struct vhost_iotlb_map *map,
						       unsigned int *slots)
{
	unsigned long first = ALIGN(map->addr, PMD_SIZE);
	unsigned long end = ALIGN_DOWN(map->addr + map->size, PMD_SIZE);
	struct vstor_hold_region *region;

	if (map->perm != VHOST_MAP_RW || first >= end || (end - first) >> PMD_SHIFT > *slots ||
	    vstor_hold_overlaps(hold, first, end))
		return NULL;
	region = kvzalloc(struct_size(region, slots, (end - first) >> PMD_SHIFT),
			  GFP_KERNEL_ACCOUNT);
	if (!region)
		return NULL;
	region->hold = hold;
	region->first = first;
	region->bytes = end - first;
	if (!mmu_interval_notifier_insert(&region->notifier, hold->mm, first, region->bytes,
					  &vstor_hold_notifier_ops)) {
		*slots -= region->bytes >> PMD_SHIFT;
		return region;
	}
	kvfree(region);
	return NULL;
}

/* What there is no memory or room for, or a signal came in between, is not held. */
static void vstor_hold_add_regions(struct vstor_hold *hold, struct vhost_iotlb *umem)
{
	struct vhost_iotlb_map *map = vhost_iotlb_itree_first(umem, 0, U64_MAX);
	struct vstor_hold_region *region;
	unsigned int slots = VSTOR_HOLD_SLOTS;

	for (; map && hold->nregions < VSTOR_HOLD_REGIONS;
	     map = vhost_iotlb_itree_next(map, 0, U64_MAX)) {
		region = vstor_hold_region_new(hold, map, &slots);
		if (region)
			hold->regions[hold->nregions++] = region;
	}
}

static struct vstor_hold *vstor_hold_new(struct vhost_dev *dev)
{
	struct vstor_hold *hold = kzalloc(sizeof(*hold), GFP_KERNEL_ACCOUNT);

	if (!hold)
		return NULL;
	if (init_srcu_struct(&hold->readers)) {
		kfree(hold);
		return NULL;
	}
	hold->mm = dev->mm;
	hold->task = get_task_struct(current->group_leader);
	hold->unlimited = capable(CAP_IPC_LOCK);
	vstor_hold_init_works(hold);
	vstor_hold_add_regions(hold, dev->umem);
	return hold;
}

static void vstor_hold_set(struct vhost_dev *dev, struct vstor_hold *hold)
{
	struct vstor_vq *svq;
	int i;

	for (i = 0; i < dev->nvqs; i++) {
		svq = to_vstor_vq(dev->vqs[i]);
		mutex_lock(&svq->vq.mutex);
		svq->hold = hold;
		svq->hold_region = NULL;
		mutex_unlock(&svq->vq.mutex);
	}
}

void vstor_hold_start(struct vhost_dev *dev)
{
	struct vstor_hold *hold;

	lockdep_assert_held(&dev->mutex);

	hold = dev->umem ? vstor_hold_new(dev) : NULL;
	if (hold)
		vstor_hold_set(dev, hold);
}

void vstor_hold_stop(struct vhost_dev *dev)
{
	struct vstor_hold *hold = to_vstor_vq(dev->vqs[0])->hold;
	unsigned int i;

	lockdep_assert_held(&dev->mutex);

	if (!hold)
		return;
	vstor_hold_set(dev, NULL);
	vstor_hold_end_works(hold);
	for (i = 0; i < hold->nregions; i++)
		mmu_interval_notifier_remove(&hold->regions[i]->notifier);
	vstor_hold_release_all(hold);
	for (i = 0; i < hold->nregions; i++)
		kvfree(hold->regions[i]);
	put_task_struct(hold->task);
	cleanup_srcu_struct(&hold->readers);
	kfree(hold);
}
