// SPDX-License-Identifier: GPL-2.0
/* VIRTIO 5.6.6.1: what a request asks for, and whether it may have it. */
#include <linux/string.h>
#include <linux/unaligned.h>
#include "request.h"

/* SPC and SBC operation codes by the way of their data. */
#define TEST_UNIT_READY		0x00
#define REQUEST_SENSE		0x03
#define READ_6			0x08
#define WRITE_6			0x0a
#define INQUIRY			0x12
#define MODE_SELECT		0x15
#define MODE_SENSE		0x1a
#define SEND_DIAGNOSTIC		0x1d
#define READ_CAPACITY		0x25
#define READ_10			0x28
#define WRITE_10		0x2a
#define WRITE_VERIFY		0x2e
#define SYNCHRONIZE_CACHE	0x35
#define WRITE_SAME		0x41
#define UNMAP			0x42
#define LOG_SENSE		0x4d
#define MODE_SELECT_10		0x55
#define MODE_SENSE_10		0x5a
#define PERSISTENT_RESERVE_IN	0x5e
#define PERSISTENT_RESERVE_OUT	0x5f
#define VARIABLE_LENGTH_CMD	0x7f
#define EXTENDED_COPY		0x83
#define RECEIVE_COPY_RESULTS	0x84
#define READ_16			0x88
#define COMPARE_AND_WRITE	0x89
#define WRITE_16		0x8a
#define WRITE_VERIFY_16		0x8e
#define SYNCHRONIZE_CACHE_16	0x91
#define WRITE_SAME_16		0x93
#define SERVICE_ACTION_IN_16	0x9e
#define REPORT_LUNS		0xa0
#define MAINTENANCE_IN		0xa3
#define MAINTENANCE_OUT		0xa4
#define READ_12			0xa8
#define WRITE_12		0xaa

#define ILLEGAL_REQUEST		0x05

bool vhost_scsi_parse_lun(const u8 *bytes, struct vhost_scsi_lun *lun)
{
	unsigned int i, number;

	*lun = (struct vhost_scsi_lun){ 0 };
	for (i = 4; i < 8; i++)
		if (bytes[i])
			return false;
	number = bytes[2] << 8 | bytes[3];
	/* The well-known logical unit of the device. */
	if (bytes[0] == VHOST_SCSI_REPORT_LUNS_WLUN >> 8) {
		lun->any_target = true;
		lun->well_known = true;
		lun->lun = 0;
		return bytes[1] == (VHOST_SCSI_REPORT_LUNS_WLUN & 0xff) && !number;
	}
	if (bytes[0] != 1)
		return false;
	lun->target = bytes[1];
	/* That of a target, as Linux addresses it. */
	if (number == VHOST_SCSI_REPORT_LUNS_WLUN) {
		lun->well_known = true;
		return true;
	}
	/* Single level: peripheral addressing of bus 0, and flat addressing. */
	lun->lun = number & (VHOST_SCSI_LUNS - 1);
	return !bytes[2] || bytes[2] >> 6 == 1;
}

static enum vhost_scsi_dir vhost_scsi_varlen_dir(const u8 *cdb)
{
	switch (cdb[8] << 8 | cdb[9]) {
	case 0x09:	/* READ (32) */
		return VHOST_SCSI_IN;
	case 0x0b:	/* WRITE (32) */
	case 0x0c:	/* WRITE AND VERIFY (32) */
	case 0x0d:	/* WRITE SAME (32) */
		return VHOST_SCSI_OUT;
	default:
		return VHOST_SCSI_ANY_DATA;
	}
}

/* What an operation code says: which way data goes, ... */
#define IN	1
#define OUT	2
/* ... that it reads or writes blocks, of which the target core takes the data in any pieces, */
#define BLOCKS	4
/* and that the target core answers it, or sends it on, without sleeping for long. */
#define QUICK	8

static const u8 vhost_scsi_operations[256] = {
	[READ_6] = IN | BLOCKS | QUICK,
	[READ_10] = IN | BLOCKS | QUICK,
	[READ_12] = IN | BLOCKS | QUICK,
	[READ_16] = IN | BLOCKS | QUICK,
	[WRITE_6] = OUT | BLOCKS | QUICK,
	[WRITE_10] = OUT | BLOCKS | QUICK,
	[WRITE_12] = OUT | BLOCKS | QUICK,
	[WRITE_16] = OUT | BLOCKS | QUICK,
	[WRITE_VERIFY] = OUT | BLOCKS | QUICK,
	[WRITE_VERIFY_16] = OUT | BLOCKS | QUICK,
	[TEST_UNIT_READY] = QUICK,
	[REQUEST_SENSE] = QUICK,
	[INQUIRY] = IN | QUICK,
	[MODE_SENSE] = IN | QUICK,
	[MODE_SENSE_10] = IN | QUICK,
	[READ_CAPACITY] = IN | QUICK,
	[SERVICE_ACTION_IN_16] = IN | QUICK,
	[REPORT_LUNS] = IN | QUICK,
	[LOG_SENSE] = IN,
	[PERSISTENT_RESERVE_IN] = IN,
	[RECEIVE_COPY_RESULTS] = IN,
	[MAINTENANCE_IN] = IN,
	[WRITE_SAME] = OUT,
	[WRITE_SAME_16] = OUT,
	[COMPARE_AND_WRITE] = OUT,
	[UNMAP] = OUT,
	[MODE_SELECT] = OUT,
	[MODE_SELECT_10] = OUT,
	[SEND_DIAGNOSTIC] = OUT,
	[PERSISTENT_RESERVE_OUT] = OUT,
	[EXTENDED_COPY] = OUT,
	[MAINTENANCE_OUT] = OUT,
};

enum vhost_scsi_dir vhost_scsi_cdb_dir(const u8 *cdb)
{
	u8 operation = vhost_scsi_operations[cdb[0]];

	if (operation & IN)
		return VHOST_SCSI_IN;
	if (operation & OUT)
		return VHOST_SCSI_OUT;
	if (cdb[0] == VARIABLE_LENGTH_CMD)
		return vhost_scsi_varlen_dir(cdb);
	return VHOST_SCSI_ANY_DATA;
}

enum vhost_scsi_op vhost_scsi_cdb_op(const u8 *cdb)
{
	u8 operation = vhost_scsi_operations[cdb[0]];

	if (operation & BLOCKS)
		return operation & IN ? VHOST_SCSI_READ : VHOST_SCSI_WRITE;
	if (cdb[0] == SYNCHRONIZE_CACHE || cdb[0] == SYNCHRONIZE_CACHE_16)
		return VHOST_SCSI_FLUSH;
	return VHOST_SCSI_OTHER;
}

bool vhost_scsi_cdb_range(const u8 *cdb, struct vhost_scsi_range *range)
{
	range->protect = cdb[1] >> 5;
	switch (cdb[0]) {
	case READ_10:
	case WRITE_10:
		range->lba = get_unaligned_be32(&cdb[2]);
		range->blocks = get_unaligned_be16(&cdb[7]);
		return !(cdb[1] & 0x1f) && !cdb[9];
	case READ_16:
	case WRITE_16:
		range->lba = get_unaligned_be64(&cdb[2]);
		range->blocks = get_unaligned_be32(&cdb[10]);
		return !(cdb[1] & 0x1f) && !cdb[15];
	default:
		return false;
	}
}

u8 vhost_scsi_check_tuple(const u8 *tuple, u16 guard, u64 lba, unsigned int type)
{
	u16 app_tag = get_unaligned_be16(&tuple[2]);
	u32 ref_tag = get_unaligned_be32(&tuple[4]);

	/* Tags of all ones: it is not checked. */
	if (app_tag == 0xffff && (type == 1 || ref_tag == 0xffffffff))
		return 0;
	if (get_unaligned_be16(tuple) != guard)
		return VHOST_SCSI_ASCQ_GUARD;
	/* The lower half of the number of the block. */
	if (type == 1 && ref_tag != (u32)lba)
		return VHOST_SCSI_ASCQ_REF_TAG;
	return 0;
}

bool vhost_scsi_cdb_is_rw(const u8 *cdb)
{
	return vhost_scsi_operations[cdb[0]] & BLOCKS;
}

bool vhost_scsi_cdb_is_quick(const u8 *cdb)
{
	return vhost_scsi_operations[cdb[0]] & QUICK;
}

/* What says its own length must not say more than there is. */
static bool vhost_scsi_cdb_fits(const u8 *cdb)
{
	return cdb[0] != VARIABLE_LENGTH_CMD || cdb[7] + 8 <= VHOST_SCSI_CDB_BYTES;
}

static bool vhost_scsi_refuse(struct vhost_scsi_verdict *verdict, u8 response)
{
	*verdict = (struct vhost_scsi_verdict){ .response = response };
	return false;
}

/* INVALID FIELD IN CDB: it asks for what we cannot do. */
static bool vhost_scsi_refuse_cdb(struct vhost_scsi_verdict *verdict)
{
	*verdict = (struct vhost_scsi_verdict){
		.response = VIRTIO_SCSI_S_OK,
		.key = ILLEGAL_REQUEST,
		.asc = 0x24,
	};
	return false;
}

/*
 * 5.6.6.1: protection information goes with data, and before it; it is less than that,
 * for there are 8 bytes for each block.
 */
static bool vhost_scsi_parse_pi(const struct vhost_scsi_header *hdr, u64 data,
				struct vhost_scsi_command *command)
{
	u32 pi = command->dir == VHOST_SCSI_OUT ? hdr->pi_out : hdr->pi_in;
	u32 other = command->dir == VHOST_SCSI_OUT ? hdr->pi_in : hdr->pi_out;

	if (!hdr->pi_out && !hdr->pi_in)
		return true;
	if (command->dir == VHOST_SCSI_NO_DATA || other || pi >= data ||
	    pi % VHOST_SCSI_TUPLE_BYTES)
		return false;
	command->pi = pi;
	return true;
}

bool vhost_scsi_parse(const struct vhost_scsi_header *hdr, u64 out, u64 in,
		      struct vhost_scsi_command *command, struct vhost_scsi_verdict *verdict)
{
	enum vhost_scsi_dir known = vhost_scsi_cdb_dir(hdr->cdb);
	u64 data = out ? out : in;

	/* One by one: what is set as a whole is set twice. */
	command->tag = hdr->tag;
	command->task_attr = hdr->task_attr;
	command->dir = out ? VHOST_SCSI_OUT : in ? VHOST_SCSI_IN : VHOST_SCSI_NO_DATA;
	command->bytes = 0;
	command->pi = 0;
	memcpy(command->cdb, hdr->cdb, sizeof(command->cdb));
	if (!vhost_scsi_parse_lun(hdr->lun, &command->lun))
		return vhost_scsi_refuse(verdict, VIRTIO_SCSI_S_BAD_TARGET);
	/* 5.6.6.1.2: both ways needs VIRTIO_SCSI_F_INOUT, which is not offered. */
	if (out && in)
		return vhost_scsi_refuse(verdict, VIRTIO_SCSI_S_FAILURE);
	if (!vhost_scsi_parse_pi(hdr, data, command))
		return vhost_scsi_refuse(verdict, VIRTIO_SCSI_S_BAD_TARGET);
	/* The target core believes the direction: a WRITE that reads would pass its checks. */
	if (data && known != VHOST_SCSI_ANY_DATA && known != command->dir)
		return vhost_scsi_refuse(verdict, VIRTIO_SCSI_S_FAILURE);
	if (!vhost_scsi_cdb_fits(hdr->cdb))
		return vhost_scsi_refuse_cdb(verdict);
	if (data - command->pi > VHOST_SCSI_BYTES_MAX || command->pi > VHOST_SCSI_PI_MAX)
		return vhost_scsi_refuse_cdb(verdict);
	command->bytes = data - command->pi;
	return true;
}

void vhost_scsi_fill_sense(u8 *sense, const struct vhost_scsi_verdict *verdict)
{
	memset(sense, 0, VHOST_SCSI_SENSE_BYTES);
	sense[0] = 0x70;
	sense[2] = verdict->key;
	sense[7] = VHOST_SCSI_SENSE_BYTES - 8;
	sense[12] = verdict->asc;
	sense[13] = verdict->ascq;
}
