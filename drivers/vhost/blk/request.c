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

/* Is a range, which is within the capacity, in more than one zone? */
static bool vhost_blk_crosses_zones(const struct vhost_blk_limits *limits, u64 sector,
				    u64 bytes)
{
	u64 last = sector + (bytes >> 9) - 1;

	return limits->zone_sectors && bytes &&
	       (sector ^ last) & ~((u64)limits->zone_sectors - 1);
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
	command->crosses = vhost_blk_crosses_zones(limits, sector, data);
	return VIRTIO_BLK_S_OK;
}

/*
 * 5.2.6: a write to a sequential zone that is no multiple of its granularity is
 * not aligned with the write pointer, which is one. Conventional zones may have
 * a smaller one, of logical blocks; what is no multiple of these fits neither.
 */
static u8 vhost_blk_parse_write(u64 data, u64 sector,
				const struct vhost_blk_limits *limits,
				struct vhost_blk_command *command)
{
	if (limits->zone_sectors && (data | sector << 9) & (limits->block_size - 1))
		return VIRTIO_BLK_S_ZONE_UNALIGNED_WP;
	return vhost_blk_parse_rw(data, sector, limits, command);
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

/* Is there a zone that begins with the sector? */
static bool vhost_blk_is_zone_start(const struct vhost_blk_limits *limits, u64 sector)
{
	return sector < limits->capacity && !(sector & (limits->zone_sectors - 1));
}

/* 5.2.6.2, but for what only the device knows: the zone's state. */
static u8 vhost_blk_parse_append(u64 data, u64 in, u64 sector,
				 const struct vhost_blk_limits *limits,
				 struct vhost_blk_command *command)
{
	/* Nowhere to tell where the data went. */
	if (limits->read_only || in < VHOST_BLK_APPEND_BYTES)
		return VIRTIO_BLK_S_IOERR;
	if (!limits->max_append)
		return VIRTIO_BLK_S_UNSUPP;
	if (!vhost_blk_is_zone_start(limits, sector))
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	/* No data: there is no first sector to tell of. */
	if (!data || data > (u64)limits->max_append << 9)
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	if (data & (limits->write_granularity - 1))
		return VIRTIO_BLK_S_ZONE_UNALIGNED_WP;
	command->op = VHOST_BLK_ZONE_APPEND;
	command->sector = sector;
	command->bytes = data;
	return VIRTIO_BLK_S_OK;
}

/* As many whole descriptors as there is room for; the driver asks again. */
static u8 vhost_blk_parse_report(u64 out, u64 in, u64 sector,
				 const struct vhost_blk_limits *limits,
				 struct vhost_blk_command *command)
{
	const u32 header = sizeof(struct virtio_blk_zone_report);
	const u32 zone = sizeof(struct virtio_blk_zone_descriptor);
	u64 room;

	/* Readable data is a mistake, as for a read. */
	if (out)
		return VIRTIO_BLK_S_IOERR;
	if (in < header || sector >= limits->capacity)
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	room = (in - header) / zone;
	if (room > VHOST_BLK_ZONES_MAX)
		room = VHOST_BLK_ZONES_MAX;
	command->op = VHOST_BLK_ZONE_REPORT;
	command->sector = sector & ~((u64)limits->zone_sectors - 1);
	command->bytes = header + room * zone;
	return VIRTIO_BLK_S_OK;
}

/* OPEN, CLOSE, FINISH, RESET, RESET_ALL: no data, and what there is means nothing. */
static u8 vhost_blk_parse_zone(enum vhost_blk_op op, u64 sector,
			       const struct vhost_blk_limits *limits,
			       struct vhost_blk_command *command)
{
	if (limits->read_only)
		return VIRTIO_BLK_S_IOERR;
	command->op = op;
	if (op == VHOST_BLK_ZONE_RESET_ALL)
		return VIRTIO_BLK_S_OK;
	if (!vhost_blk_is_zone_start(limits, sector))
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	command->sector = sector;
	return VIRTIO_BLK_S_OK;
}

/* What has a type of its own only on zoned devices. */
static u8 vhost_blk_parse_zoned(u32 type, u64 sector, u64 out, u64 in,
				const struct vhost_blk_limits *limits,
				struct vhost_blk_command *command)
{
	/* The backend may be another one than when features were negotiated. */
	if (!(limits->features & (1ULL << VIRTIO_BLK_F_ZONED)) || !limits->zone_sectors)
		return VIRTIO_BLK_S_UNSUPP;
	switch (type) {
	case VIRTIO_BLK_T_ZONE_APPEND:
		return vhost_blk_parse_append(out, in, sector, limits, command);
	case VIRTIO_BLK_T_ZONE_REPORT:
		return vhost_blk_parse_report(out, in, sector, limits, command);
	case VIRTIO_BLK_T_ZONE_OPEN:
		return vhost_blk_parse_zone(VHOST_BLK_ZONE_OPEN, sector, limits, command);
	case VIRTIO_BLK_T_ZONE_CLOSE:
		return vhost_blk_parse_zone(VHOST_BLK_ZONE_CLOSE, sector, limits, command);
	case VIRTIO_BLK_T_ZONE_FINISH:
		return vhost_blk_parse_zone(VHOST_BLK_ZONE_FINISH, sector, limits, command);
	case VIRTIO_BLK_T_ZONE_RESET:
		return vhost_blk_parse_zone(VHOST_BLK_ZONE_RESET, sector, limits, command);
	case VIRTIO_BLK_T_ZONE_RESET_ALL:
		return vhost_blk_parse_zone(VHOST_BLK_ZONE_RESET_ALL, sector, limits, command);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* A write to a sequential zone, or an append, which goes to the write pointer. */
static u8 vhost_blk_write_verdict(const struct vhost_blk_command *command,
				  const struct blk_zone *zone,
				  const struct vhost_blk_limits *limits)
{
	bool append = command->op == VHOST_BLK_ZONE_APPEND;
	u64 sector = append ? zone->wp : command->sector;
	u64 end = zone->start + zone->capacity;

	if (zone->type == BLK_ZONE_TYPE_CONVENTIONAL)
		return append ? VIRTIO_BLK_S_ZONE_INVALID_CMD : VIRTIO_BLK_S_IOERR;
	/* These have no write pointer any more. */
	if (zone->cond == BLK_ZONE_COND_READONLY || zone->cond == BLK_ZONE_COND_FULL)
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	/* Before the pointer, which part of it may have moved. */
	if (sector > end || command->bytes >> 9 > end - sector)
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	if (sector != zone->wp || command->bytes & (limits->write_granularity - 1))
		return VIRTIO_BLK_S_ZONE_UNALIGNED_WP;
	return VIRTIO_BLK_S_IOERR;
}

/* OPEN, CLOSE, FINISH, RESET: is there a way from the zone's state? */
static u8 vhost_blk_transition_verdict(enum vhost_blk_op op, const struct blk_zone *zone)
{
	bool possible = zone->type != BLK_ZONE_TYPE_CONVENTIONAL &&
			zone->cond != BLK_ZONE_COND_READONLY;

	if (zone->cond == BLK_ZONE_COND_FULL)
		possible &= op == VHOST_BLK_ZONE_FINISH || op == VHOST_BLK_ZONE_RESET;
	if (zone->cond == BLK_ZONE_COND_EMPTY)
		possible &= op != VHOST_BLK_ZONE_CLOSE;
	return possible ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_ZONE_INVALID_CMD;
}

u8 vhost_blk_zone_verdict(const struct vhost_blk_command *command,
			  const struct blk_zone *zone,
			  const struct vhost_blk_limits *limits)
{
	if (zone->cond == BLK_ZONE_COND_OFFLINE)
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	switch (command->op) {
	case VHOST_BLK_WRITE:
	case VHOST_BLK_ZONE_APPEND:
		return vhost_blk_write_verdict(command, zone, limits);
	case VHOST_BLK_ZONE_OPEN:
	case VHOST_BLK_ZONE_CLOSE:
	case VHOST_BLK_ZONE_FINISH:
	case VHOST_BLK_ZONE_RESET:
		return vhost_blk_transition_verdict(command->op, zone);
	default:
		return VIRTIO_BLK_S_IOERR;
	}
}

u8 vhost_blk_parse(const struct virtio_blk_outhdr *hdr, u64 out, u64 in,
		   const struct vhost_blk_limits *limits,
		   struct vhost_blk_command *command)
{
	u64 sector = le64_to_cpu((__force __le64)hdr->sector);
	u32 type = le32_to_cpu((__force __le32)hdr->type);

	*command = (struct vhost_blk_command){ 0 };
	switch (type) {
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
		return vhost_blk_parse_write(out, sector, limits, command);
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
		return vhost_blk_parse_zoned(type, sector, out, in, limits, command);
	}
}
