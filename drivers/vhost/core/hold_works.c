// SPDX-License-Identifier: GPL-2.0
/*
 * Held pages, off the requests' way: what closes a page, and the two works, one of which
 * pins while the other lets go of what is closed and read no more.
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "hold.h"
#include "vhost_storage.h"

#define VSTOR_HUGE_PAGES	(PMD_SIZE >> PAGE_SHIFT)
/* That many more where it cannot be: the work is not asked in vain all the time. */
#define VSTOR_HOLD_PATIENCE	4096
/* How many slots it looks at, at a time. */
#define VSTOR_HOLD_FILL		64
/* What was not used for so long is let go; how often that is looked for. */
#define VSTOR_HOLD_IDLE		(5 * HZ)
#define VSTOR_HOLD_LOOK		(2 * HZ)
/* Until readers are looked for again. */
#define VSTOR_HOLD_WAIT		(HZ / 10)

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

const struct mmu_interval_notifier_ops vstor_hold_notifier_ops = {
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

static bool vstor_pages_huge(struct page **pages)
{
	return vstor_run(pages, VSTOR_HUGE_PAGES) == VSTOR_HUGE_PAGES &&
	       page_folio(pages[0]) == page_folio(pages[VSTOR_HUGE_PAGES - 1]);
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
		page = vstor_slot_page(slot);
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

void vstor_hold_init_works(struct vstor_hold *hold)
{
	spin_lock_init(&hold->lock);
	mutex_init(&hold->works);
	INIT_DELAYED_WORK(&hold->fill, vstor_hold_fill);
	INIT_DELAYED_WORK(&hold->release, vstor_hold_release);
}

void vstor_hold_end_works(struct vstor_hold *hold)
{
	spin_lock(&hold->lock);
	hold->stopping = true;
	spin_unlock(&hold->lock);
	/* In this order: the first starts the second. */
	cancel_delayed_work_sync(&hold->fill);
	cancel_delayed_work_sync(&hold->release);
}

void vstor_hold_release_all(struct vstor_hold *hold)
{
	/* There are no readers, for their requests have ended; but what waits for them. */
	if (hold->waiting)
		synchronize_srcu(&hold->readers);
	vstor_hold_close(hold, true);
	vstor_hold_free(hold);
}
