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
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/vhost_iotlb.h>
#include "vhost_storage.h"

#define VSTOR_HUGE_PAGES	(PMD_SIZE >> PAGE_SHIFT)
/* As many as vhost takes, unless its max_mem_regions was raised. */
#define VSTOR_HOLD_REGIONS	64
/* Of one device: 1 TiB of guest memory, for which they take 8 MiB. */
#define VSTOR_HOLD_SLOTS	524288u
/* Small pages pinned in a huge one before it is worth holding. */
#define VSTOR_HOLD_MISSES	64
/* That many more where it cannot be: the work is not asked in vain all the time. */
#define VSTOR_HOLD_PATIENCE	4096
/* Until the work pins, so that it finds several; how many it pins at a time. */
#define VSTOR_HOLD_SOON		(HZ / 50 + 1)
#define VSTOR_HOLD_FILL		64
/* What was not used for so long is let go; how often that is looked for. */
#define VSTOR_HOLD_IDLE		(5 * HZ)
#define VSTOR_HOLD_LOOK		(2 * HZ)
/* Until readers are looked for again. */
#define VSTOR_HOLD_WAIT		(HZ / 10)

/* Beside the page's address: closed; and its readers are waited for. */
#define VSTOR_SLOT_CLOSED	1ul
#define VSTOR_SLOT_WAITED	2ul
#define VSTOR_SLOT_STATE	(VSTOR_SLOT_CLOSED | VSTOR_SLOT_WAITED)

/**
 * struct vstor_slot - a place of the owner's memory where a huge page may be
 * @page: its first page, with the state; 0: not held. hold->lock, read without
 * @misses: small pages that were pinned for want of it; a guess, no lock protects it
 * @used: jiffies of the last one that had it, also without
 */
struct vstor_slot {
	unsigned long page;
	int misses;
	u32 used;
};

/**
 * struct vstor_hold_region - a region of the memory table, as far as huge pages fit
 * @notifier: tells of changes of the owner's mapping
 * @hold: whose it is
 * @first: address of the first huge page
 * @bytes: of all of them
 * @slots: one each
 */
struct vstor_hold_region {
	struct mmu_interval_notifier notifier;
	struct vstor_hold *hold;
	unsigned long first;
	unsigned long bytes;
	struct vstor_slot slots[];
};

/**
 * struct vstor_hold - a device's held pages, while its vqs run
 * @mm: the owner's
 * @task: of the owner, whose limit it is
 * @unlimited: that has CAP_IPC_LOCK
 * @lock: the slots' pages and @stopping, against the notifier
 * @readers: requests that use held pages
 * @works: one of the two at a time; what follows but @stopping
 * @fill: pins
 * @release: lets go
 * @stopping: neither is to be queued any more
 * @held: pages held
 * @waiting: some are closed and have their readers waited for
 * @cookie: says whether these have ended
 * @nregions: how many regions there are; fixed
 * @regions: in no order, none overlaps another; fixed
 */
struct vstor_hold {
	struct mm_struct *mm;
	struct task_struct *task;
	bool unlimited;
	spinlock_t lock; /* the slots' pages, stopping */
	struct srcu_struct readers;
	struct mutex works; /* held, waiting, cookie */
	struct delayed_work fill;
	struct delayed_work release;
	bool stopping;
	unsigned int held;
	bool waiting;
	unsigned long cookie;
	unsigned int nregions;
	struct vstor_hold_region *regions[VSTOR_HOLD_REGIONS];
};

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

ssize_t vstor_bio_add_held(struct vstor_vq *svq, struct bio *bio, unsigned long addr, size_t len)
{
	struct vstor_slot *slot = vstor_slot_at(svq, addr);
	unsigned long offset = addr & ~PMD_MASK;
	struct page *page;

	/* It may have been closed meanwhile, but not unpinned: its state is of no interest. */
	page = slot ? (struct page *)(READ_ONCE(slot->page) & ~VSTOR_SLOT_STATE) : NULL;
	if (!page)
		return -EFAULT;
	return bio_add_page(bio, page + (offset >> PAGE_SHIFT), vstor_huge_left(addr, len),
			    offset_in_page(offset));
}
EXPORT_SYMBOL_NS_GPL(vstor_bio_add_held, VHOST_STORAGE);

/* The address range @range of the owner is about to be mapped otherwise, or not at all. */
static bool vstor_hold_invalidate(struct mmu_interval_notifier *notifier,
				  const struct mmu_notifier_range *range, unsigned long seq)
{
	struct vstor_hold_region *region =
		container_of(notifier, struct vstor_hold_region, notifier);
	unsigned long from = max(range->start, region->first) - region->first;
	unsigned long to = min(range->end - region->first, region->bytes);
	struct vstor_hold *hold = region->hold;
	struct vstor_slot *slot = &region->slots[from >> PMD_SHIFT];
	struct vstor_slot *end = &region->slots[DIV_ROUND_UP(to, PMD_SIZE)];
	bool any = false;

	spin_lock(&hold->lock);
	mmu_interval_set_seq(notifier, seq);
	for (; slot < end; slot++) {
		if (!slot->page || slot->page & VSTOR_SLOT_STATE)
			continue;
		WRITE_ONCE(slot->page, slot->page | VSTOR_SLOT_CLOSED);
		any = true;
	}
	if (any && !hold->stopping)
		mod_delayed_work(system_unbound_wq, &hold->release, 0);
	spin_unlock(&hold->lock);
	return true;
}

static const struct mmu_interval_notifier_ops vstor_hold_notifier_ops = {
	.invalidate = vstor_hold_invalidate,
};

/* Counts a huge page as the owner's pinned memory; false: it may have no more. */
static bool vstor_hold_charge(struct vstor_hold *hold)
{
	unsigned long limit = task_rlimit(hold->task, RLIMIT_MEMLOCK) >> PAGE_SHIFT;

	if (atomic64_add_return(VSTOR_HUGE_PAGES, &hold->mm->pinned_vm) <= limit ||
	    hold->unlimited)
		return true;
	atomic64_sub(VSTOR_HUGE_PAGES, &hold->mm->pinned_vm);
	return false;
}

static void vstor_hold_uncharge(struct vstor_hold *hold)
{
	atomic64_sub(VSTOR_HUGE_PAGES, &hold->mm->pinned_vm);
}

/* What is shared, or not there for a child, a fork leaves alone however it is pinned. */
static bool vstor_fork_spares(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma;
	bool spares;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	spares = vma && vma->vm_end - addr >= PMD_SIZE &&
		 vma->vm_flags & (VM_SHARED | VM_DONTCOPY);
	mmap_read_unlock(mm);
	return spares;
}

/*
 * Is there something huge, which a long pin can be had of where it is? To ask for one
 * would fault in, or have moved, what is not. In the owner's mm.
 */
static bool vstor_seems_huge(unsigned long addr)
{
	struct page *page;
	bool huge;

	if (!get_user_pages_fast_only(addr, 1, FOLL_WRITE, &page))
		return false;
	huge = folio_nr_pages(page_folio(page)) >= VSTOR_HUGE_PAGES && !is_zone_movable_page(page);
	put_page(page);
	return huge;
}

/* Do the pages lie one behind the other in one folio? */
static bool vstor_pages_huge(struct page **pages)
{
	unsigned int i;

	for (i = 1; i < VSTOR_HUGE_PAGES; i++)
		if (pages[i] != pages[0] + i)
			return false;
	return page_folio(pages[0]) == page_folio(pages[VSTOR_HUGE_PAGES - 1]);
}

/*
 * Pins what is at @addr, once, if it is a huge page. Returns its first page or NULL. In
 * the owner's mm; @pages has room for all.
 */
static struct page *vstor_pin_huge(unsigned long addr, struct page **pages)
{
	unsigned int gup = FOLL_WRITE | FOLL_LONGTERM | FOLL_NOFAULT;
	int n = pin_user_pages_fast(addr, VSTOR_HUGE_PAGES, gup, pages);

	if (n == VSTOR_HUGE_PAGES && vstor_pages_huge(pages)) {
		unpin_user_pages(pages + 1, n - 1);
		return pages[0];
	}
	if (n > 0)
		unpin_user_pages(pages, n);
	return NULL;
}

/* Returns whether nothing happened to the mapping since @seq. */
static bool vstor_slot_open(struct vstor_hold_region *region, struct vstor_slot *slot,
			    struct page *page, unsigned long seq)
{
	struct vstor_hold *hold = region->hold;
	bool retry;

	spin_lock(&hold->lock);
	retry = mmu_interval_read_retry(&region->notifier, seq);
	if (!retry) {
		WRITE_ONCE(slot->used, (u32)jiffies);
		WRITE_ONCE(slot->page, (unsigned long)page);
	}
	spin_unlock(&hold->lock);
	return !retry;
}

/* Returns how many misses it has from now on. */
static int vstor_slot_pin(struct vstor_hold_region *region, struct vstor_slot *slot,
			  struct page **pages)
{
	unsigned long addr = region->first + ((slot - region->slots) << PMD_SHIFT);
	struct page *page;
	unsigned long seq;

	if (!vstor_fork_spares(region->hold->mm, addr) || !vstor_seems_huge(addr))
		return -VSTOR_HOLD_PATIENCE;
	seq = mmu_interval_read_begin(&region->notifier);
	page = vstor_pin_huge(addr, pages);
	if (!page)
		return -VSTOR_HOLD_PATIENCE;
	if (vstor_slot_open(region, slot, page, seq)) {
		region->hold->held++;
		return 0;
	}
	/* The mapping of something in the region has changed, which need not be this. */
	unpin_user_page(page);
	return 0;
}

static void vstor_slot_fill(struct vstor_hold_region *region, struct vstor_slot *slot,
			    struct page **pages)
{
	struct vstor_hold *hold = region->hold;
	unsigned int held = hold->held;
	int misses = -VSTOR_HOLD_PATIENCE;

	if (vstor_hold_charge(hold)) {
		misses = vstor_slot_pin(region, slot, pages);
		if (hold->held == held)
			vstor_hold_uncharge(hold);
	}
	WRITE_ONCE(slot->misses, misses);
}

static struct vstor_slot *vstor_region_end(struct vstor_hold_region *region)
{
	return region->slots + (region->bytes >> PMD_SHIFT);
}

/* Returns how many more it may look at after this region. */
static unsigned int vstor_region_fill(struct vstor_hold_region *region, struct page **pages,
				      unsigned int left)
{
	struct vstor_slot *slot;

	for (slot = region->slots; slot < vstor_region_end(region) && left; slot++) {
		cond_resched();
		if (READ_ONCE(slot->page) || READ_ONCE(slot->misses) < VSTOR_HOLD_MISSES)
			continue;
		vstor_slot_fill(region, slot, pages);
		left--;
	}
	return left;
}

/* Pins some of what was missed often enough. Returns whether there may be more. */
static bool vstor_hold_fill_some(struct vstor_hold *hold)
{
	unsigned int i, left = VSTOR_HOLD_FILL;
	struct page **pages;

	pages = kmalloc_array(VSTOR_HUGE_PAGES, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return true;
	kthread_use_mm(hold->mm);
	for (i = 0; i < hold->nregions; i++)
		left = vstor_region_fill(hold->regions[i], pages, left);
	kthread_unuse_mm(hold->mm);
	kfree(pages);
	return !left;
}

static void vstor_hold_fill(struct work_struct *work)
{
	struct vstor_hold *hold = container_of(work, struct vstor_hold, fill.work);

	mutex_lock(&hold->works);
	if (vstor_hold_fill_some(hold))
		queue_delayed_work(system_unbound_wq, &hold->fill, VSTOR_HOLD_SOON);
	if (hold->held)
		queue_delayed_work(system_unbound_wq, &hold->release, VSTOR_HOLD_LOOK);
	mutex_unlock(&hold->works);
}

/* Closed, or to be: it was not used for long. The latter may be stored meanwhile. */
static bool vstor_slot_ends(const struct vstor_slot *slot)
{
	return READ_ONCE(slot->page) & VSTOR_SLOT_CLOSED ||
	       (s32)((u32)jiffies - READ_ONCE(slot->used)) >= VSTOR_HOLD_IDLE;
}

/* Closes what ends, or @all: their readers are to be waited for. Returns how many. */
static unsigned int vstor_region_close(struct vstor_hold_region *region, bool all)
{
	spinlock_t *lock = &region->hold->lock;
	struct vstor_slot *slot;
	unsigned int n = 0;

	for (slot = region->slots; slot < vstor_region_end(region); slot++) {
		cond_resched();
		if (!READ_ONCE(slot->page) || (!all && !vstor_slot_ends(slot)))
			continue;
		spin_lock(lock);
		WRITE_ONCE(slot->page, slot->page | VSTOR_SLOT_STATE);
		spin_unlock(lock);
		n++;
	}
	return n;
}

static unsigned int vstor_hold_close(struct vstor_hold *hold, bool all)
{
	unsigned int i, n = 0;

	for (i = 0; i < hold->nregions; i++)
		n += vstor_region_close(hold->regions[i], all);
	return n;
}

/* Nobody has what had its readers waited for. */
static void vstor_region_free(struct vstor_hold_region *region)
{
	struct vstor_hold *hold = region->hold;
	struct vstor_slot *slot;
	struct page *page;

	for (slot = region->slots; slot < vstor_region_end(region); slot++) {
		cond_resched();
		if (!(READ_ONCE(slot->page) & VSTOR_SLOT_WAITED))
			continue;
		page = (struct page *)(READ_ONCE(slot->page) & ~VSTOR_SLOT_STATE);
		spin_lock(&hold->lock);
		WRITE_ONCE(slot->page, 0);
		spin_unlock(&hold->lock);
		WRITE_ONCE(slot->misses, 0);
		/* What devices have written to it, nothing has told the owner's mapping. */
		unpin_user_pages_dirty_lock(&page, 1, true);
		vstor_hold_uncharge(hold);
		hold->held--;
	}
}

static void vstor_hold_free(struct vstor_hold *hold)
{
	unsigned int i;

	for (i = 0; i < hold->nregions; i++)
		vstor_region_free(hold->regions[i]);
	hold->waiting = false;
}

/* A device that hangs keeps its readers: they are looked for, and not slept for. */
static void vstor_hold_release(struct work_struct *work)
{
	struct vstor_hold *hold = container_of(work, struct vstor_hold, release.work);

	mutex_lock(&hold->works);
	if (hold->waiting && poll_state_synchronize_srcu(&hold->readers, hold->cookie))
		vstor_hold_free(hold);
	if (!hold->waiting && vstor_hold_close(hold, false)) {
		hold->waiting = true;
		hold->cookie = start_poll_synchronize_srcu(&hold->readers);
	}
	if (hold->held)
		queue_delayed_work(system_unbound_wq, &hold->release,
				   hold->waiting ? VSTOR_HOLD_WAIT : VSTOR_HOLD_LOOK);
	mutex_unlock(&hold->works);
}

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
	spin_lock_init(&hold->lock);
	mutex_init(&hold->works);
	INIT_DELAYED_WORK(&hold->fill, vstor_hold_fill);
	INIT_DELAYED_WORK(&hold->release, vstor_hold_release);
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

/* Neither a request nor the notifier starts them again. */
static void vstor_hold_end_works(struct vhost_dev *dev, struct vstor_hold *hold)
{
	vstor_hold_set(dev, NULL);
	spin_lock(&hold->lock);
	hold->stopping = true;
	spin_unlock(&hold->lock);
	/* In this order: the first starts the second. */
	cancel_delayed_work_sync(&hold->fill);
	cancel_delayed_work_sync(&hold->release);
}

void vstor_hold_stop(struct vhost_dev *dev)
{
	struct vstor_hold *hold = to_vstor_vq(dev->vqs[0])->hold;
	unsigned int i;

	lockdep_assert_held(&dev->mutex);

	if (!hold)
		return;
	vstor_hold_end_works(dev, hold);
	for (i = 0; i < hold->nregions; i++)
		mmu_interval_notifier_remove(&hold->regions[i]->notifier);
	/* There are no readers, for their requests have ended; but what waits for them. */
	if (hold->waiting)
		synchronize_srcu(&hold->readers);
	vstor_hold_close(hold, true);
	vstor_hold_free(hold);
	for (i = 0; i < hold->nregions; i++)
		kvfree(hold->regions[i]);
	put_task_struct(hold->task);
	cleanup_srcu_struct(&hold->readers);
	kfree(hold);
}
