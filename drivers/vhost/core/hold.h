/* SPDX-License-Identifier: GPL-2.0 */
/* What hold.c and hold_works.c share: the pages that are held, and why, is told there. */
#ifndef _VSTOR_HOLD_H
#define _VSTOR_HOLD_H

#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>

/* As many as vhost takes, unless its max_mem_regions was raised. */
#define VSTOR_HOLD_REGIONS	64
/* Small pages pinned in a huge one before it is worth holding. */
#define VSTOR_HOLD_MISSES	64
/* Until the work pins, so that it finds several. */
#define VSTOR_HOLD_SOON		(HZ / 50 + 1)

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

static inline struct page *vstor_slot_page(const struct vstor_slot *slot)
{
	return (struct page *)(READ_ONCE(slot->page) & ~VSTOR_SLOT_STATE);
}

/* hold_works.c */

extern const struct mmu_interval_notifier_ops vstor_hold_notifier_ops;

void vstor_hold_init_works(struct vstor_hold *hold);
/* They have ended, and neither a request's miss nor the notifier starts them again. */
void vstor_hold_end_works(struct vstor_hold *hold);
/* Lets go of all; after that, without readers and notifiers. */
void vstor_hold_release_all(struct vstor_hold *hold);

#endif /* _VSTOR_HOLD_H */
