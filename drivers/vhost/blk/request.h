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

/**
 * struct vhost_blk_limits - the backend as it is at this moment
 * @capacity: sectors of 512 bytes
 * @block_size: logical block size in bytes, a power of 2 from 512 on
 * @read_only: nothing may be written
 */
struct vhost_blk_limits {
	u64 capacity;
	u32 block_size;
	bool read_only;
};

enum vhost_blk_op {
	VHOST_BLK_READ,
	VHOST_BLK_WRITE,
	VHOST_BLK_FLUSH,
	VHOST_BLK_GET_ID,
};

/**
 * struct vhost_blk_command - a request that was checked
 * @op: what to do
 * @bytes: how much data; for GET_ID, what the guest has room for
 * @sector: where, in sectors of 512 bytes; reads and writes only
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
