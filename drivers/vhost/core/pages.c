// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory in bios, or as pages: pinned where the device can reach it as it
 * lies, else bounced through pages of our own.
 *
 * A bio is only ever filled with whole logical blocks, so that the block layer
 * can split it wherever a queue limit makes it.
 */
#include <linux/bio.h>
#include <linux/mm.h>
#include "vhost_storage.h"

bool vstor_iov_aligned(const struct iovec *iov, size_t skip, size_t len,
		       unsigned int addr_mask, unsigned int len_mask)
{
	unsigned long addr;
	size_t seg;

	for (; len; iov++, len -= seg, skip = 0) {
		addr = (unsigned long)iov->iov_base + skip;
		seg = min(iov->iov_len - skip, len);
		if (addr & addr_mask || seg & len_mask)
			return false;
	}
	return true;
}
EXPORT_SYMBOL_NS_GPL(vstor_iov_aligned, VHOST_STORAGE);

/* Bytes from @addr on that fit into @bio's free vecs, in whole blocks. */
static size_t vstor_bio_room(struct bio *bio, unsigned long addr,
			     unsigned int block)
{
	size_t pages = min(bio->bi_max_vecs - bio->bi_vcnt, VSTOR_PIN_PAGES);

	if (!pages)
		return 0;
	return round_down(pages * PAGE_SIZE - offset_in_page(addr), block);
}

/*
 * Adds part of a page that holds one pin. A bio merges what adjoins what it has
 * already; where that is within one page, vstor_bio_unpin() will count the page
 * once, but it is pinned twice.
 */
static bool vstor_bio_add_pinned(struct bio *bio, struct page *page,
				 unsigned int len, unsigned int offset)
{
	unsigned short vcnt = bio->bi_vcnt;

	if (bio_add_page(bio, page, len, offset) != len)
		return false;
	if (bio->bi_vcnt == vcnt && offset)
		unpin_user_page(page);
	return true;
}

/* Some are: the first of the others says why not all, or there was a moment's lack of memory. */
static noinline int vstor_pin_rest(unsigned long addr, int n, unsigned int gup,
				   struct page **pages, int pinned)
{
	int more = pinned;

	while (more > 0 && pinned < n) {
		more = pin_user_pages_fast(addr + pinned * PAGE_SIZE, n - pinned, gup,
					   pages + pinned);
		pinned += max(more, 0);
	}
	if (pinned == n)
		return 0;
	if (pinned > 0)
		unpin_user_pages(pages, pinned);
	return more < 0 ? more : -EFAULT;
}

static __always_inline int vstor_pin_all(unsigned long addr, unsigned int n, unsigned int gup,
					 struct page **pages)
{
	int pinned = pin_user_pages_fast(addr & PAGE_MASK, n, gup, pages);

	if (pinned == n)
		return 0;
	return vstor_pin_rest(addr & PAGE_MASK, n, gup, pages, pinned);
}

static int vstor_pin(unsigned long addr, unsigned int n, struct bio *bio, struct page **pages)
{
	return vstor_pin_all(addr, n, op_is_write(bio_op(bio)) ? 0 : FOLL_WRITE, pages);
}

int vstor_pin_guest(unsigned long addr, unsigned int n, bool written, struct page **pages)
{
	return vstor_pin_all(addr, n, written ? FOLL_WRITE : 0, pages);
}
EXPORT_SYMBOL_NS_GPL(vstor_pin_guest, VHOST_STORAGE);

unsigned int vstor_run(struct page **pages, unsigned int n)
{
	unsigned int run = 1;

	while (run < n && pages[run] == pages[0] + run)
		run++;
	return run;
}

static noinline ssize_t vstor_bio_add_pages(struct bio *bio, unsigned long addr, size_t len)
{
	unsigned int n = DIV_ROUND_UP(offset_in_page(addr) + len, PAGE_SIZE);
	unsigned int offset = offset_in_page(addr), part, run, i;
	struct page *pages[VSTOR_PIN_PAGES];
	size_t left;
	int r;

	r = vstor_pin(addr, n, bio, pages);
	if (r)
		return r;
	for (i = 0, left = len; i < n; i += run, left -= part, offset = 0) {
		run = vstor_run(pages + i, n - i);
		part = min_t(size_t, run * PAGE_SIZE - offset, left);
		if (!vstor_bio_add_pinned(bio, pages[i], part, offset)) {
			unpin_user_pages(pages + i, n - i);
			return -EFAULT;
		}
	}
	return len;
}

/* Apart from those of more pages, whose table on the stack costs more than all of this. */
static ssize_t vstor_bio_add_page(struct bio *bio, unsigned long addr, size_t len)
{
	struct page *page;
	int r;

	r = vstor_pin(addr, 1, bio, &page);
	if (r)
		return r;
	if (vstor_bio_add_pinned(bio, page, len, offset_in_page(addr)))
		return len;
	unpin_user_page(page);
	return -EFAULT;
}

ssize_t vstor_bio_add_guest(struct bio *bio, unsigned long addr, size_t len,
			    unsigned int block)
{
	len = min(len, vstor_bio_room(bio, addr, block));
	if (!len)
		return 0;
	if (offset_in_page(addr) + len <= PAGE_SIZE)
		return vstor_bio_add_page(bio, addr, len);
	return vstor_bio_add_pages(bio, addr, len);
}
EXPORT_SYMBOL_NS_GPL(vstor_bio_add_guest, VHOST_STORAGE);

void vstor_bio_unpin(struct bio *bio)
{
	bool dirty = !op_is_write(bio_op(bio));
	unsigned long pages;
	struct bio_vec *bv;
	int i;

	/* bi_iter has moved on; the table is as it was filled. */
	for (i = 0, bv = bio->bi_io_vec; i < bio->bi_vcnt; i++, bv++) {
		pages = DIV_ROUND_UP(bv->bv_offset + bv->bv_len, PAGE_SIZE);
		unpin_user_page_range_dirty_lock(bv->bv_page, pages, dirty);
	}
}
EXPORT_SYMBOL_NS_GPL(vstor_bio_unpin, VHOST_STORAGE);

ssize_t vstor_bio_add_bounce(struct bio *bio, size_t len, unsigned int block)
{
	gfp_t gfp = GFP_KERNEL_ACCOUNT;
	size_t added = 0;
	unsigned int part;
	struct page *page;

	/* All of a read goes to the guest, whether the device has filled it or not. */
	if (!op_is_write(bio_op(bio)))
		gfp |= __GFP_ZERO;
	len = min(len, vstor_bio_room(bio, 0, block));
	while (added < len) {
		page = alloc_page(gfp);
		if (!page)
			return -ENOMEM;
		part = min_t(size_t, PAGE_SIZE, len - added);
		/* Not bio_add_page(): each vec is to own one page. */
		__bio_add_page(bio, page, part, 0);
		added += part;
	}
	return added;
}
EXPORT_SYMBOL_NS_GPL(vstor_bio_add_bounce, VHOST_STORAGE);

void vstor_bio_free_bounce(struct bio *bio)
{
	int i;

	for (i = 0; i < bio->bi_vcnt; i++)
		__free_page(bio->bi_io_vec[i].bv_page);
}
EXPORT_SYMBOL_NS_GPL(vstor_bio_free_bounce, VHOST_STORAGE);

/* From the guest for a write, to the guest for a read. */
int vstor_bio_copy(struct bio *bio, struct iov_iter *iter)
{
	bool write = op_is_write(bio_op(bio));
	struct bio_vec *bv;
	size_t copied;
	int i;

	for (i = 0, bv = bio->bi_io_vec; i < bio->bi_vcnt; i++, bv++) {
		if (write)
			copied = copy_page_from_iter(bv->bv_page, bv->bv_offset, bv->bv_len, iter);
		else
			copied = copy_page_to_iter(bv->bv_page, bv->bv_offset, bv->bv_len, iter);
		if (copied != bv->bv_len)
			return -EFAULT;
	}
	return 0;
}
EXPORT_SYMBOL_NS_GPL(vstor_bio_copy, VHOST_STORAGE);
