/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From a request's header to an operation: no memory but its arguments, no
 * kernel service, so that tests/unit runs it in userspace.
 */
#ifndef _VHOST_BLK_REQUEST_H
#define _VHOST_BLK_REQUEST_H

#include <linux/blkzoned.h>
#include <linux/types.h>
#include <linux/virtio_blk.h>

/*
 * What a request may carry. It bounds the memory a request can bind; a driver
 * that keeps to size_max and seg_max never gets there.
 */
#define VHOST_BLK_SIZE_MAX	(128 * 1024)
#define VHOST_BLK_SEG_MAX	254
#define VHOST_BLK_BYTES_MAX	(VHOST_BLK_SIZE_MAX * VHOST_BLK_SEG_MAX)

/* Most ranges that a DISCARD, WRITE_ZEROES or SECURE_ERASE may name. */
#define VHOST_BLK_RANGES_MAX	32
/* Most sectors of one, so that its bytes fit a bio's 32 bits. */
#define VHOST_BLK_RANGE_SECTORS	(U32_MAX >> 9)

/* Most zones that one ZONE_REPORT tells of; a driver asks for the next ones. */
#define VHOST_BLK_ZONES_MAX	1024
/* What ZONE_APPEND tells before the status byte: le64 append_sector. */
#define VHOST_BLK_APPEND_BYTES	8

/**
 * struct vhost_blk_limits - the backend as it is at this moment
 * @features: what was negotiated
 * @capacity: sectors of 512 bytes
 * @block_size: logical block size in bytes, a power of 2 from 512 on
 * @max_discard: sectors of a range that may be discarded; 0: none
 * @max_write_zeroes: the same, that may be zeroed
 * @max_secure_erase: the same, that may be erased
 * @zone_sectors: of a zone, a power of 2; 0: the backend is not zoned
 * @max_append: sectors of a ZONE_APPEND; 0: there is none
 * @write_granularity: bytes that what is written to a sequential zone is a
 *	multiple of
 * @read_only: nothing may be written
 */
struct vhost_blk_limits {
	u64 features;
	u64 capacity;
	u32 block_size;
	u32 max_discard;
	u32 max_write_zeroes;
	u32 max_secure_erase;
	u32 zone_sectors;
	u32 max_append;
	u32 write_granularity;
	bool read_only;
};

/* stats.c and trace.h have their names. */
enum vhost_blk_op {
	VHOST_BLK_UNKNOWN,
	VHOST_BLK_READ,
	VHOST_BLK_WRITE,
	VHOST_BLK_FLUSH,
	VHOST_BLK_GET_ID,
	VHOST_BLK_DISCARD,
	VHOST_BLK_WRITE_ZEROES,
	VHOST_BLK_SECURE_ERASE,
	VHOST_BLK_ZONE_APPEND,
	VHOST_BLK_ZONE_REPORT,
	VHOST_BLK_ZONE_OPEN,
	VHOST_BLK_ZONE_CLOSE,
	VHOST_BLK_ZONE_FINISH,
	VHOST_BLK_ZONE_RESET,
	VHOST_BLK_ZONE_RESET_ALL,
};

#define VHOST_BLK_OPS	(VHOST_BLK_ZONE_RESET_ALL + 1)

/**
 * struct vhost_blk_command - a request that was checked
 * @op: what to do
 * @bytes: how much data; for GET_ID and ZONE_REPORT, at most
 * @sector: where, in sectors of 512 bytes; reads, writes and zones
 * @crosses: a read or write is in several zones, which is good only where all of
 *	them are conventional, see zones.c
 *
 * Where the data are ranges each is to be checked by vhost_blk_parse_range().
 */
struct vhost_blk_command {
	enum vhost_blk_op op;
	u32 bytes;
	u64 sector;
	bool crosses;
};

/*
 * Checks the copied header @hdr of a request with @out bytes of readable data
 * behind it and @in bytes of writable data before the status byte. Returns
 * VIRTIO_BLK_S_OK with *command filled in, or the status that ends the request.
 */
u8 vhost_blk_parse(const struct virtio_blk_outhdr *hdr, u64 out, u64 in,
		   const struct vhost_blk_limits *limits,
		   struct vhost_blk_command *command);

/**
 * struct vhost_blk_range - a range of DISCARD, WRITE_ZEROES, SECURE_ERASE
 * @sector: its first sector
 * @sectors: how many; 0: nothing is to be done
 * @unmap: WRITE_ZEROES may deallocate
 */
struct vhost_blk_range {
	u64 sector;
	u32 sectors;
	bool unmap;
};

/* Checks the copied @raw for @op, as vhost_blk_parse() does a request. */
u8 vhost_blk_parse_range(const struct virtio_blk_discard_write_zeroes *raw,
			 enum vhost_blk_op op, const struct vhost_blk_limits *limits,
			 struct vhost_blk_range *range);

/*
 * Why a request failed that was in @zone, where the device only says that it did:
 * the zone as it is afterwards tells, or it was an error of the medium.
 */
u8 vhost_blk_zone_verdict(const struct vhost_blk_command *command,
			  const struct blk_zone *zone,
			  const struct vhost_blk_limits *limits);

/*
 * The used length (VIRTIO 2.7.8.2) of a request with @in bytes of writable data,
 * of which the first @written were written, and a status byte behind them: it
 * counts from the first writable byte on and has no holes.
 */
static inline u32 vhost_blk_used_len(u32 in, u32 written)
{
	return written == in ? in + 1 : written;
}

#endif /* _VHOST_BLK_REQUEST_H */
