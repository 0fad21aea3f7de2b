// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory as scatterlists: the target core's backends take no page that is longer
 * than a page, and what is not read or written as blocks they map as if each entry but
 * the first and last were a whole one. So data of reads and writes is pinned where it
 * lies in whole blocks (hold.c may have it), and all else bounced through pages of our own.
 *
 * Protection information is always bounced: it is checked, and must hold still for that.
 */
#include <linux/slab.h>
#include "vhost_scsi.h"

/* Buffers at such addresses any device can reach. */
#define VHOST_SCSI_ADDR_MASK	(SECTOR_SIZE - 1)

void vhost_scsi_advance(struct vhost_scsi_span *span, size_t bytes)
{
	span->skip += bytes;
	while (span->segs && span->skip >= span->iov->iov_len) {
		span->skip -= span->iov->iov_len;
		span->iov++;
		span->segs--;
	}
}

bool vhost_scsi_reserve(struct vhost_scsi_req *req, u32 bytes)
{
	struct vhost_scsi_vq *sq = to_vhost_scsi_vq(req->cmd.svq);

	if (sq->bytes + bytes > VHOST_SCSI_VQ_BYTES)
		return false;
	sq->bytes += bytes;
	req->bytes = bytes;
	return true;
}

static unsigned int vhost_scsi_pages(u32 bytes)
{
	return DIV_ROUND_UP(bytes, PAGE_SIZE);
}

unsigned int vhost_scsi_guest_pages(struct vhost_scsi_span span, size_t bytes)
{
	unsigned int pages = 0;
	size_t seg;

	for (; bytes; span.iov++, bytes -= seg, span.skip = 0) {
		seg = min(span.iov->iov_len - span.skip, bytes);
		if (seg)
			pages += vhost_scsi_pages(offset_in_page(span.iov->iov_base + span.skip) +
						  seg);
	}
	return pages;
}

static int vhost_scsi_alloc_sgl(struct vhost_scsi_req *req, struct vhost_scsi_sgl *sgl,
				unsigned int nents)
{
	if (sgl == &req->data && nents <= VHOST_SCSI_INLINE_SG)
		sgl->table = req->inline_sg;
	else
		sgl->table = kvmalloc_array(nents, sizeof(*sgl->table), GFP_KERNEL_ACCOUNT);
	if (!sgl->table)
		return -ENOMEM;
	sg_init_table(sgl->table, nents);
	return 0;
}

static void vhost_scsi_free_sgl(struct vhost_scsi_req *req, struct vhost_scsi_sgl *sgl)
{
	bool written = req->command.dir == VHOST_SCSI_IN;
	struct scatterlist *sg = sgl->table, *end = sg + sgl->nents;

	switch (sgl->pages) {
	case VHOST_SCSI_PINNED:
		for (; sg < end; sg++)
			unpin_user_page_range_dirty_lock(sg_page(sg), 1, written);
		break;
	case VHOST_SCSI_HELD:
		vstor_hold_put(req->cmd.svq, sgl->reader);
		break;
	case VHOST_SCSI_BOUNCED:
		for (; sg < end; sg++)
			__free_page(sg_page(sg));
		break;
	case VHOST_SCSI_SLOT:
		break;
	}
	if (sgl->table != req->inline_sg)
		kvfree(sgl->table);
	*sgl = (struct vhost_scsi_sgl){ 0 };
}

/* Pins @len bytes at @addr, which are in at most VSTOR_PIN_PAGES pages. */
static int vhost_scsi_pin_piece(struct vhost_scsi_req *req, unsigned long addr, size_t len)
{
	unsigned int n = vhost_scsi_pages(offset_in_page(addr) + len), i;
	bool written = req->command.dir == VHOST_SCSI_IN;
	struct vhost_scsi_sgl *sgl = &req->data;
	struct page *pages[VSTOR_PIN_PAGES];
	unsigned int part;
	int r;

	r = vstor_pin_guest(addr, n, written, pages);
	if (r)
		return r;
	for (i = 0; i < n; i++, addr += part, len -= part) {
		part = min_t(size_t, PAGE_SIZE - offset_in_page(addr), len);
		sg_set_page(&sgl->table[sgl->nents++], pages[i], part, offset_in_page(addr));
	}
	return 0;
}

static int vhost_scsi_pin(struct vhost_scsi_req *req, struct vhost_scsi_span span)
{
	size_t bytes = req->command.bytes, len;
	unsigned long addr;
	int r;

	while (bytes) {
		addr = (unsigned long)span.iov->iov_base + span.skip;
		len = min(span.iov->iov_len - span.skip, bytes);
		len = min(len, VSTOR_PIN_PAGES * PAGE_SIZE - offset_in_page(addr));
		r = vhost_scsi_pin_piece(req, addr, len);
		if (r)
			return r == -ENOMEM ? r : -EFAULT;
		bytes -= len;
		vhost_scsi_advance(&span, len);
	}
	return 0;
}

/*
 * Many devices take protection information in one segment only (NVMe without SGLs for it),
 * and the backstore has each page as one: so they follow on each other, if there is memory
 * for it. NULL: there is none; then it is up to the device.
 */
static struct page *vhost_scsi_alloc_in_one(u32 bytes, gfp_t gfp)
{
	void *start = alloc_pages_exact(bytes, gfp | __GFP_NORETRY | __GFP_NOWARN);

	return start ? virt_to_page(start) : NULL;
}

/* Makes a scatterlist of pages of our own. */
static int vhost_scsi_alloc_bounce(struct vhost_scsi_req *req, struct vhost_scsi_sgl *sgl,
				   u32 bytes, gfp_t gfp)
{
	struct page *page, *first = NULL;
	unsigned int part;
	int r;

	r = vhost_scsi_alloc_sgl(req, sgl, vhost_scsi_pages(bytes));
	if (r)
		return r;
	sgl->pages = VHOST_SCSI_BOUNCED;
	if (sgl == &req->prot)
		first = vhost_scsi_alloc_in_one(bytes, gfp);
	for (; bytes; bytes -= part) {
		part = min_t(u32, PAGE_SIZE, bytes);
		page = first ? first++ : alloc_page(gfp);
		if (!page)
			return -ENOMEM;
		sg_set_page(&sgl->table[sgl->nents++], page, part, 0);
	}
	return 0;
}

/* And fills it, if the guest sends data. */
static int vhost_scsi_bounce(struct vhost_scsi_req *req, struct vhost_scsi_sgl *sgl, u32 bytes,
			     struct iov_iter *from)
{
	int r = vhost_scsi_alloc_bounce(req, sgl, bytes,
					GFP_KERNEL_ACCOUNT | (from ? 0 : __GFP_ZERO));
	struct scatterlist *sg;

	if (r || !from)
		return r;
	for (sg = sgl->table; sg < sgl->table + sgl->nents; sg++)
		if (copy_page_from_iter(sg_page(sg), 0, sg->length, from) != sg->length)
			return -EFAULT;
	return 0;
}

static void vhost_scsi_use_slot(struct vhost_scsi_req *req)
{
	sg_init_one(&req->slot_sg, req->slot, req->command.pi);
	req->prot = (struct vhost_scsi_sgl){
		.table = &req->slot_sg,
		.nents = 1,
		.pages = VHOST_SCSI_SLOT,
	};
}

/* Protection information, which most often has a place already. */
static int vhost_scsi_bounce_prot(struct vhost_scsi_req *req, struct iov_iter *from)
{
	u32 bytes = req->command.pi;

	if (bytes > VHOST_SCSI_SLOT_BYTES)
		return vhost_scsi_bounce(req, &req->prot, bytes, from);
	vhost_scsi_use_slot(req);
	if (from)
		return copy_from_iter_full(req->slot, bytes, from) ? 0 : -EFAULT;
	/* Not every command fills it. */
	memset(req->slot, 0, bytes);
	return 0;
}

/*
 * Must the data go through pages of our own? What is written where checksums are made of it
 * must hold still, and VIRTIO does not keep a driver from changing it meanwhile: Linux's page
 * cache does. Where checksums are made of what is read, no block is to be in two pages.
 */
static bool vhost_scsi_must_bounce(const struct vhost_scsi_req *req,
				   const struct vhost_scsi_tpg *tpg,
				   const struct vhost_scsi_span *span)
{
	bool stable = test_bit(req->command.lun.lun, tpg->stable);
	unsigned int block_mask = READ_ONCE(tpg->block_mask);

	return !vhost_scsi_cdb_is_rw(req->command.cdb) ||
	       (stable && req->command.dir == VHOST_SCSI_OUT) ||
	       !vstor_iov_aligned(span->iov, span->skip, req->command.bytes,
				  VHOST_SCSI_ADDR_MASK | (stable ? block_mask : 0), block_mask);
}

/* What is bounced, from the guest or for it; @span is at the protection information. */
static int vhost_scsi_map_bounced(struct vhost_scsi_req *req, struct vhost_scsi_span span,
				  bool data)
{
	const struct vhost_scsi_command *command = &req->command;
	bool out = command->dir == VHOST_SCSI_OUT;
	struct iov_iter from;
	int r = 0;

	if (out) {
		iov_iter_init(&from, ITER_SOURCE, span.iov, span.segs,
			      span.skip + command->pi + command->bytes);
		iov_iter_advance(&from, span.skip);
	}
	if (command->pi)
		r = vhost_scsi_bounce_prot(req, out ? &from : NULL);
	if (!r && data)
		r = vhost_scsi_bounce(req, &req->data, command->bytes, out ? &from : NULL);
	return r;
}

/* From pages that are held. */
static int vhost_scsi_fill_held(struct vhost_scsi_req *req, struct vhost_scsi_span span)
{
	struct vhost_scsi_sgl *sgl = &req->data;
	size_t bytes = req->command.bytes, len;
	unsigned long addr;
	struct page *page;

	for (; bytes; bytes -= len) {
		addr = (unsigned long)span.iov->iov_base + span.skip;
		len = min(span.iov->iov_len - span.skip, bytes);
		len = min(len, PAGE_SIZE - offset_in_page(addr));
		page = vstor_held_page(req->cmd.svq, addr);
		if (!page)
			return -EFAULT;
		sg_set_page(&sgl->table[sgl->nents++], page, len, offset_in_page(addr));
		vhost_scsi_advance(&span, len);
	}
	vstor_count(&req->cmd.svq->stats.held, 1);
	return 0;
}

/* The guest's own pages: those that are held, if all are, or pinned ones. */
static int vhost_scsi_map_guest(struct vhost_scsi_req *req, const struct vhost_scsi_tpg *tpg,
				struct vhost_scsi_span span, unsigned int nents)
{
	struct vhost_scsi_sgl *sgl = &req->data;
	int r = vhost_scsi_alloc_sgl(req, sgl, nents);

	if (r)
		return r;
	if (!vstor_hold_get(req->cmd.svq, span.iov, span.skip, req->command.bytes,
			    READ_ONCE(tpg->block_mask) + 1, &sgl->reader))
		return vhost_scsi_pin(req, span);
	sgl->pages = VHOST_SCSI_HELD;
	return vhost_scsi_fill_held(req, span);
}

/* What is to be copied to the guest needs its buffers when vq->iov holds something else. */
static int vhost_scsi_save_iov(struct vhost_scsi_req *req, const struct iovec *iov,
			       unsigned int segs)
{
	struct vhost_scsi_reply *reply = &req->reply;

	if (reply->iov)
		return 0;
	reply->segs = segs;
	reply->iov = kmemdup(iov, segs * sizeof(*iov), GFP_KERNEL_ACCOUNT);
	return reply->iov ? 0 : -ENOMEM;
}

/* What vstor_load() is quick with, of 4k in blocks of 512. */
#define VHOST_SCSI_TUPLES_4K	(SZ_4K / SECTOR_SIZE * VHOST_SCSI_TUPLE_BYTES)

static int vhost_scsi_load_tuples(u8 *to, const u8 __user *from, u32 bytes)
{
	if (bytes == VHOST_SCSI_TUPLES_4K)
		return vstor_load(to, from, VHOST_SCSI_TUPLES_4K);
	return vstor_load(to, from, bytes);
}

static int vhost_scsi_store_tuples(u8 __user *to, const u8 *from, u32 bytes)
{
	if (bytes == VHOST_SCSI_TUPLES_4K)
		return vstor_store(to, from, VHOST_SCSI_TUPLES_4K);
	return vstor_store(to, from, bytes);
}

bool vhost_scsi_map_slot(struct vhost_scsi_req *req, struct vhost_scsi_span span)
{
	u8 __user *at = span.iov->iov_base + span.skip;
	u32 bytes = req->command.pi;

	if (bytes > VHOST_SCSI_SLOT_BYTES || span.iov->iov_len - span.skip < bytes)
		return false;
	if (req->command.dir == VHOST_SCSI_IN)
		req->prot_at = at;
	else if (vhost_scsi_load_tuples(req->slot, at, bytes))
		return false;
	/* Without a table: it is for the target core. */
	req->prot.nents = 1;
	req->prot.pages = VHOST_SCSI_SLOT;
	return true;
}

static u32 vhost_scsi_share(const struct vhost_scsi_command *command)
{
	return PAGE_ALIGN(command->bytes) + PAGE_ALIGN(command->pi);
}

int vhost_scsi_map(struct vhost_scsi_req *req, const struct vhost_scsi_tpg *tpg,
		   const struct iovec *iov, unsigned int segs, size_t skip)
{
	const struct vhost_scsi_command *command = &req->command;
	struct vhost_scsi_span at = { .iov = iov, .segs = segs }, data;
	bool bounce, copies;
	unsigned int nents;
	int r = 0;

	vhost_scsi_advance(&at, skip);
	data = at;
	vhost_scsi_advance(&data, command->pi);
	bounce = vhost_scsi_must_bounce(req, tpg, &data);
	copies = bounce || command->pi;
	nents = bounce ? 0 : vhost_scsi_guest_pages(data, command->bytes);
	if ((copies || nents > VHOST_SCSI_INLINE_SG) &&
	    !vhost_scsi_reserve(req, vhost_scsi_share(command)))
		return -EAGAIN;

	if (copies && command->dir == VHOST_SCSI_IN)
		r = vhost_scsi_save_iov(req, iov, segs);
	if (!r && copies)
		r = vhost_scsi_map_bounced(req, at, bounce);
	if (!r && !bounce)
		r = vhost_scsi_map_guest(req, tpg, data, nents);
	if (r)
		vhost_scsi_unmap(req);
	return r;
}

static int vhost_scsi_copy_sgl(const struct vhost_scsi_sgl *sgl, u32 bytes, struct iov_iter *to)
{
	struct scatterlist *sg;
	unsigned int part;

	for (sg = sgl->table; bytes; sg++, bytes -= part) {
		part = min(sg->length, bytes);
		if (copy_page_to_iter(sg_page(sg), sg->offset, part, to) != part)
			return -EFAULT;
	}
	return 0;
}

int vhost_scsi_copy_read(struct vhost_scsi_req *req, u32 bytes)
{
	u32 pi = req->command.pi;
	struct iov_iter to;
	int r;

	if (req->prot_at)
		return vhost_scsi_store_tuples(req->prot_at, req->slot, pi);
	iov_iter_init(&to, ITER_DEST, req->reply.iov, req->reply.segs,
		      VHOST_SCSI_RESP_BYTES + pi + bytes);
	iov_iter_advance(&to, VHOST_SCSI_RESP_BYTES);
	r = vhost_scsi_copy_sgl(&req->prot, pi, &to);
	if (!r && req->data.pages == VHOST_SCSI_BOUNCED)
		r = vhost_scsi_copy_sgl(&req->data, bytes, &to);
	return r;
}

static void vhost_scsi_unmap_bio(struct vhost_scsi_req *req)
{
	if (req->data.pages == VHOST_SCSI_HELD)
		vstor_hold_put(req->cmd.svq, req->data.reader);
	else
		vstor_bio_unpin(&req->bio);
	/* Not to be freed. */
	if (req->bio.bi_opf & REQ_INTEGRITY) {
		req->bio.bi_integrity = NULL;
		req->bio.bi_opf &= ~REQ_INTEGRITY;
	}
	bio_uninit(&req->bio);
	req->data = (struct vhost_scsi_sgl){ 0 };
	req->way = VHOST_SCSI_LONG;
}

void vhost_scsi_unmap(struct vhost_scsi_req *req)
{
	if (req->way != VHOST_SCSI_LONG)
		vhost_scsi_unmap_bio(req);
	else if (req->data.table)
		vhost_scsi_free_sgl(req, &req->data);
	if (req->prot.pages == VHOST_SCSI_SLOT)
		req->prot = (struct vhost_scsi_sgl){ 0 };
	else if (req->prot.table)
		vhost_scsi_free_sgl(req, &req->prot);
	req->prot_at = NULL;
	to_vhost_scsi_vq(req->cmd.svq)->bytes -= req->bytes;
	req->bytes = 0;
}
