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
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}
