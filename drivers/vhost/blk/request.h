/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From a request's header to an operation: no memory but its arguments, no
 * kernel service, so that tests/unit runs it in userspace.
 */
#ifndef _VHOST_BLK_REQUEST_H
#define _VHOST_BLK_REQUEST_H

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

/**
 * struct vhost_blk_limits - the backend as it is at this moment
 * @features: what was negotiated
 * @capacity: sectors of 512 bytes
 * @block_size: logical block size in bytes, a power of 2 from 512 on
 * @max_discard: sectors of a range that may be discarded; 0: none
 * @max_write_zeroes: the same, that may be zeroed
 * @max_secure_erase: the same, that may be erased
 * @read_only: nothing may be written
 */
struct vhost_blk_limits {
	u64 features;
	u64 capacity;
	u32 block_size;
	u32 max_discard;
	u32 max_write_zeroes;
	u32 max_secure_erase;
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
};

#define VHOST_BLK_OPS	(VHOST_BLK_SECURE_ERASE + 1)

/**
 * struct vhost_blk_command - a request that was checked
 * @op: what to do
 * @bytes: how much data; for GET_ID, what the guest has room for
 * @sector: where, in sectors of 512 bytes; reads and writes only
 *
 * Where the data are ranges each is to be checked by vhost_blk_parse_range().
 */
struct vhost_blk_command {
	enum vhost_blk_op op;
	u32 bytes;
	u64 sector;
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
 * The used length (VIRTIO 2.7.8.2) of a request with @in bytes of writable data,
 * of which the first @written were written, and a status byte behind them: it
 * counts from the first writable byte on and has no holes.
 */
static inline u32 vhost_blk_used_len(u32 in, u32 written)
{
	return written == in ? in + 1 : written;
}

#endif /* _VHOST_BLK_REQUEST_H */
