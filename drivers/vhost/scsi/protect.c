// SPDX-License-Identifier: GPL-2.0
/*
 * What was wrong with protection information. Devices check it, and the block layer says no
 * more of it than that it was wrong, if that; the backstore nothing at all: to the target
 * core it is an error of the medium as any other. So where a read or write of a protected
 * block device has failed, it is looked for here, and the guest gets SBC's sense for it.
 *
 * What was to be written is there. What was read is read again, unverified, a little at a
 * time, as far as the device lets it.
 */
#include <linux/blk-integrity.h>
#include <linux/crc-t10dif.h>
#include <linux/highmem.h>
#include <linux/slab.h>
#include "vhost_scsi.h"

/**
 * struct vhost_scsi_fault - what was found
 * @lba: the block
 * @ascq: what is wrong with its protection information
 */
struct vhost_scsi_fault {
	u64 lba;
	u8 ascq;
};

/**
 * struct vhost_scsi_walk - where in a request's data
 * @sg: the entry, or NULL
 * @vec: the same of a bio
 * @skip: bytes into it
 */
struct vhost_scsi_walk {
	struct scatterlist *sg;
	const struct bio_vec *vec;
	unsigned int skip;
};

/* The guard of the next @bytes, which are there. */
static u16 vhost_scsi_guard(struct vhost_scsi_walk *walk, unsigned int bytes)
{
	unsigned int len, offset, part;
	struct page *page;
	u16 crc = 0;
	u8 *at;

	for (; bytes; bytes -= part) {
		len = walk->sg ? walk->sg->length : walk->vec->bv_len;
		offset = (walk->sg ? walk->sg->offset : walk->vec->bv_offset) + walk->skip;
		page = walk->sg ? sg_page(walk->sg) : walk->vec->bv_page;
		part = min3(bytes, len - walk->skip,
			    (unsigned int)(PAGE_SIZE - offset_in_page(offset)));
		at = kmap_local_page(nth_page(page, offset >> PAGE_SHIFT));
		crc = crc_t10dif_update(crc, at + offset_in_page(offset), part);
		kunmap_local(at);
		walk->skip += part;
		if (walk->skip < len)
			continue;
		walk->skip = 0;
		if (walk->sg)
			walk->sg++;
		else
			walk->vec++;
	}
	return crc;
}

/*
 * Of what was sent: reference tags were made those of the disk below, where this is a part of
 * one or stands on others, so they say nothing any more.
 */
static bool vhost_scsi_has_tags_of_another(struct block_device *bdev)
{
	return bdev_is_partition(bdev) || !queue_is_mq(bdev_get_queue(bdev));
}

/* In what the guest has sent. */
static void vhost_scsi_find_written(struct vhost_scsi_req *req, struct block_device *bdev,
				    struct vhost_scsi_fault *fault)
{
	const struct se_dev_attrib *attrib = &req->se_cmd.se_dev->dev_attrib;
	u32 block = attrib->block_size, blocks = req->command.bytes / block, i;
	struct vhost_scsi_walk walk = {
		.sg = req->data.table,
		.vec = req->way == VHOST_SCSI_LONG ? NULL : req->vecs,
	};
	struct scatterlist *sg = req->prot.table;
	bool slot = req->prot.pages == VHOST_SCSI_SLOT;
	unsigned int at = 0;

	blocks = min(blocks, req->command.pi / VHOST_SCSI_TUPLE_BYTES);
	for (i = 0; i < blocks && !fault->ascq; i++, at += VHOST_SCSI_TUPLE_BYTES) {
		if (!slot && at == sg->length) {
			sg++;
			at = 0;
		}
		fault->lba = req->se_cmd.t_task_lba + i;
		fault->ascq = vhost_scsi_check_tuple((slot ? req->slot : sg_virt(sg)) + at,
						     vhost_scsi_guard(&walk, block),
						     fault->lba, attrib->pi_prot_type);
		if (fault->ascq == VHOST_SCSI_ASCQ_REF_TAG && vhost_scsi_has_tags_of_another(bdev))
			fault->ascq = 0;
		cond_resched();
	}
}

/* Reads blocks that fill a page, or less, with their tuples behind it; nothing verifies them. */
static blk_status_t vhost_scsi_read_raw(struct block_device *bdev, sector_t sector,
					unsigned int bytes, u8 *data, unsigned int tuples)
{
	const struct blk_integrity *bi = bdev_get_integrity(bdev);
	struct bio_integrity_payload *bip;
	blk_status_t status;
	struct bio_vec vec;
	struct bio bio;

	/* It was formatted otherwise since. */
	if (!bi)
		return BLK_STS_NOTSUPP;
	bio_init(&bio, bdev, &vec, 1, REQ_OP_READ);
	bio.bi_iter.bi_sector = sector;
	__bio_add_page(&bio, virt_to_page(data), bytes, 0);
	bip = bio_integrity_alloc(&bio, GFP_NOIO, 1);
	if (IS_ERR(bip)) {
		status = BLK_STS_RESOURCE;
		goto out;
	}
	bip->bip_flags |= BIP_DISK_NOCHECK | BIP_CTRL_NOCHECK;
	bip_set_seed(bip, sector >> (bi->interval_exp - SECTOR_SHIFT));
	status = BLK_STS_RESOURCE;
	if (bio_integrity_add_page(&bio, virt_to_page(data + PAGE_SIZE), tuples, 0) == tuples) {
		submit_bio_wait(&bio);
		status = bio.bi_status;
	}
out:
	bio_uninit(&bio);
	return status;
}

/* The first of the blocks in the page that is wrong. */
static void vhost_scsi_check_page(const struct se_dev_attrib *attrib, const u8 *data,
				  unsigned int blocks, struct vhost_scsi_fault *fault)
{
	const u8 *tuple = data + PAGE_SIZE;
	u64 lba = fault->lba;
	unsigned int i;

	for (i = 0; i < blocks && !fault->ascq; i++, tuple += VHOST_SCSI_TUPLE_BYTES) {
		fault->lba = lba + i;
		fault->ascq = vhost_scsi_check_tuple(tuple,
						     crc_t10dif(data + i * attrib->block_size,
								attrib->block_size),
						     fault->lba, attrib->pi_prot_type);
	}
}

/*
 * On the medium. A device that verifies all the same (NVMe does, to Linux 6.12) does not say
 * what was wrong: most likely the guard.
 */
static void vhost_scsi_find_read(struct vhost_scsi_req *req, struct block_device *bdev,
				 struct vhost_scsi_fault *fault)
{
	const struct se_dev_attrib *attrib = &req->se_cmd.se_dev->dev_attrib;
	u32 block = attrib->block_size, left = req->command.bytes / block;
	u32 most = PAGE_SIZE / block, n;
	u64 lba = req->se_cmd.t_task_lba;
	/* A page of data, and one of tuples. */
	u8 *data = alloc_pages_exact(2 * PAGE_SIZE, GFP_NOIO);
	blk_status_t status = BLK_STS_OK;

	while (data && left && !status && !fault->ascq) {
		n = min(left, most);
		status = vhost_scsi_read_raw(bdev, lba * (block >> SECTOR_SHIFT), n * block, data,
					     n * VHOST_SCSI_TUPLE_BYTES);
		fault->lba = lba;
		if (status == BLK_STS_PROTECTION && n > 1) {
			/* One of them. */
			most = 1;
			status = BLK_STS_OK;
			continue;
		}
		if (status == BLK_STS_PROTECTION)
			fault->ascq = VHOST_SCSI_ASCQ_GUARD;
		else if (!status)
			vhost_scsi_check_page(attrib, data, n, fault);
		lba += n;
		left -= n;
		cond_resched();
	}
	if (data)
		free_pages_exact(data, 2 * PAGE_SIZE);
}

/* What the target core says of all errors of the backstore; the block layer says more. */
static bool vhost_scsi_backstore_failed(const struct vhost_scsi_req *req)
{
	struct scsi_sense_hdr hdr;

	if (req->way == VHOST_SCSI_HANDED_OVER && req->bio.bi_status != BLK_STS_PROTECTION)
		return false;
	return req->se_cmd.scsi_status == SAM_STAT_CHECK_CONDITION &&
	       scsi_normalize_sense(req->sense, req->se_cmd.scsi_sense_length, &hdr) &&
	       hdr.sense_key == NOT_READY && hdr.asc == 0x08 && !hdr.ascq;
}

void vhost_scsi_explain(struct vhost_scsi_req *req)
{
	struct vhost_scsi_fault fault = { 0 };
	struct block_device *bdev;

	if (!vhost_scsi_cdb_is_rw(req->command.cdb) || !vhost_scsi_backstore_failed(req))
		return;
	bdev = vhost_scsi_protected_bdev(req);
	if (!bdev)
		return;
	if (req->command.dir == VHOST_SCSI_IN)
		vhost_scsi_find_read(req, bdev, &fault);
	else if (req->prot.nents)
		vhost_scsi_find_written(req, bdev, &fault);
	if (!fault.ascq)
		return;
	/* As the target core does it, in the format that it was asked for. */
	scsi_build_sense_buffer((req->sense[0] & 0x7f) >= 0x72, req->sense, ABORTED_COMMAND,
				VHOST_SCSI_ASC_PROTECTION, fault.ascq);
	scsi_set_sense_information(req->sense, req->se_cmd.scsi_sense_length, fault.lba);
}
