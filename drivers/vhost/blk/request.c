// SPDX-License-Identifier: GPL-2.0
/* VIRTIO 5.2.6: what a request asks for, and whether it may have it. */
#include "request.h"

/* 5.2.6.1: whole sectors within the device; here, whole logical blocks. */
static bool vhost_blk_in_range(const struct vhost_blk_limits *limits,
			       u64 sector, u64 bytes)
{
	u64 sectors = bytes >> 9;

	if ((bytes | sector << 9) & (limits->block_size - 1))
		return false;
	/* Ordered so that no sum can wrap. */
	return sectors <= limits->capacity && sector <= limits->capacity - sectors;
}

static u8 vhost_blk_parse_rw(u64 data, u64 sector,
			     const struct vhost_blk_limits *limits,
			     struct vhost_blk_command *command)
{
	if (data > VHOST_BLK_BYTES_MAX)
		return VIRTIO_BLK_S_IOERR;
	if (!vhost_blk_in_range(limits, sector, data))
		return VIRTIO_BLK_S_IOERR;
	command->sector = sector;
	command->bytes = data;
	return VIRTIO_BLK_S_OK;
}

/* The feature that a driver must have accepted to send it (VIRTIO 5.2.6.1). */
static u64 vhost_blk_op_feature(enum vhost_blk_op op)
{
	switch (op) {
	case VHOST_BLK_DISCARD:
		return 1ULL << VIRTIO_BLK_F_DISCARD;
	case VHOST_BLK_WRITE_ZEROES:
		return 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
	case VHOST_BLK_SECURE_ERASE:
		return 1ULL << VIRTIO_BLK_F_SECURE_ERASE;
	default:
		return 0;
	}
}

static u32 vhost_blk_op_sectors(enum vhost_blk_op op, const struct vhost_blk_limits *limits)
{
	switch (op) {
	case VHOST_BLK_DISCARD:
		return limits->max_discard;
	case VHOST_BLK_WRITE_ZEROES:
		return limits->max_write_zeroes;
	default:
		return limits->max_secure_erase;
	}
}

/* DISCARD, WRITE_ZEROES, SECURE_ERASE: @data bytes of whole ranges. */
static u8 vhost_blk_parse_ranges(enum vhost_blk_op op, u64 data,
				 const struct vhost_blk_limits *limits,
				 struct vhost_blk_command *command)
{
	const u32 range = sizeof(struct virtio_blk_discard_write_zeroes);

	if (!(limits->features & vhost_blk_op_feature(op)))
		return VIRTIO_BLK_S_UNSUPP;
	if (limits->read_only)
		return VIRTIO_BLK_S_IOERR;
	/* The backend may be another one than when features were negotiated. */
	if (!vhost_blk_op_sectors(op, limits))
		return VIRTIO_BLK_S_UNSUPP;
	if (!data || data % range || data > VHOST_BLK_RANGES_MAX * range)
		return VIRTIO_BLK_S_IOERR;
	command->op = op;
	command->bytes = data;
	return VIRTIO_BLK_S_OK;
}

u8 vhost_blk_parse_range(const struct virtio_blk_discard_write_zeroes *raw,
			 enum vhost_blk_op op, const struct vhost_blk_limits *limits,
			 struct vhost_blk_range *range)
{
	u32 flags = le32_to_cpu(raw->flags), known = 0;

	/* 5.2.6.2: only WRITE_ZEROES knows a flag. */
	if (op == VHOST_BLK_WRITE_ZEROES)
		known = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	if (flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	range->sector = le64_to_cpu(raw->sector);
	range->sectors = le32_to_cpu(raw->num_sectors);
	range->unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	if (range->sectors > vhost_blk_op_sectors(op, limits))
		return VIRTIO_BLK_S_IOERR;
	if (!vhost_blk_in_range(limits, range->sector, (u64)range->sectors << 9))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

u8 vhost_blk_parse(const struct virtio_blk_outhdr *hdr, u64 out, u64 in,
		   const struct vhost_blk_limits *limits,
		   struct vhost_blk_command *command)
{
	u64 sector = le64_to_cpu((__force __le64)hdr->sector);

	*command = (struct vhost_blk_command){ 0 };
	switch (le32_to_cpu((__force __le32)hdr->type)) {
	case VIRTIO_BLK_T_IN:
		command->op = VHOST_BLK_READ;
		/* Readable data is a mistake: less would move than it says. */
		if (out)
			return VIRTIO_BLK_S_IOERR;
		return vhost_blk_parse_rw(in, sector, limits, command);
	case VIRTIO_BLK_T_OUT:
		command->op = VHOST_BLK_WRITE;
		/* 5.2.6.2: a read-only device must fail it and write nothing. */
		if (limits->read_only)
			return VIRTIO_BLK_S_IOERR;
		/*
		 * So is data in writable buffers. Beside readable data it is a
		 * status descriptor of more than a byte, which is no mistake.
		 */
		if (in && !out)
			return VIRTIO_BLK_S_IOERR;
		return vhost_blk_parse_rw(out, sector, limits, command);
	case VIRTIO_BLK_T_FLUSH:
		/* The sector is to be 0 and means nothing. */
		command->op = VHOST_BLK_FLUSH;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID:
		command->op = VHOST_BLK_GET_ID;
		command->bytes = in < VIRTIO_BLK_ID_BYTES ? in : VIRTIO_BLK_ID_BYTES;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_DISCARD:
		return vhost_blk_parse_ranges(VHOST_BLK_DISCARD, out, limits, command);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return vhost_blk_parse_ranges(VHOST_BLK_WRITE_ZEROES, out, limits, command);
	case VIRTIO_BLK_T_SECURE_ERASE:
		return vhost_blk_parse_ranges(VHOST_BLK_SECURE_ERASE, out, limits, command);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}
