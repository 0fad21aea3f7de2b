/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Userspace interface of /dev/vhost-blk: what the device adds to the ioctls
 * of <linux/vhost.h>, which it takes as every vhost device does.
 */
#ifndef _UAPI_LINUX_VHOST_BLK_H
#define _UAPI_LINUX_VHOST_BLK_H

#include <linux/types.h>
#include <linux/vhost.h>

/* Most request queues a device has, and most entries one of them has. */
#define VHOST_BLK_MAX_QUEUES		64
#define VHOST_BLK_MAX_QUEUE_SIZE	1024

/* Bytes of a VIRTIO block device's identity string (VIRTIO 5.2.6, GET_ID). */
#define VHOST_BLK_SERIAL_BYTES		20

/* Room for a struct virtio_blk_config of today and of later versions. */
#define VHOST_BLK_CONFIG_BYTES		232

/**
 * struct vhost_blk_config - what a backend can do (VHOST_BLK_GET_CONFIG)
 * @fd:		in: the backend to describe, a file descriptor of a block
 *		device or a regular file, which is neither attached nor changed
 *		by the call; -1 for the backend that is attached.
 * @flags:	in: 0. Other values are refused with EINVAL.
 * @features:	out: the feature bits that follow from the backend, a subset
 *		of what VHOST_GET_FEATURES says; bit n is VIRTIO_BLK_F_* n.
 *		Bits that do not depend on the backend (ring features,
 *		VIRTIO_BLK_F_MQ) are there as well.
 * @config_size: out: bytes of @config that this kernel fills in.
 * @reserved:	out: 0.
 * @config:	out: a struct virtio_blk_config, little-endian, padded with
 *		zeroes. Capacity in sectors of 512 bytes; num_queues is the
 *		most that the module takes, not what the guest is to be given.
 */
struct vhost_blk_config {
	__s32 fd;
	__u32 flags;
	__u64 features;
	__u32 config_size;
	__u32 reserved;
	__u8 config[VHOST_BLK_CONFIG_BYTES];
};

/**
 * struct vhost_blk_serial - what GET_ID answers (VHOST_BLK_SET_SERIAL)
 * @serial: the string, padded with zero bytes where it is shorter; it need
 *	not be terminated.
 */
struct vhost_blk_serial {
	__u8 serial[VHOST_BLK_SERIAL_BYTES];
};

/*
 * Attach, exchange or detach the backend. vhost_vring_file.index is 0: one
 * backend serves all queues. vhost_vring_file.fd is a block device or a regular
 * file opened by the caller, whose rights on it are the device's (opened for
 * reading only: the device is read-only), or -1 to detach. A file is read and
 * written as it was opened: with O_DIRECT past the page cache, else through it.
 *
 * Attaching starts every vq whose ring is set up (VHOST_SET_VRING_ADDR with
 * addresses other than 0), and looks at its ring at once, so a kick that came
 * earlier is not lost. A second call exchanges the backend, and starts vqs that
 * were set up since. Rings and indices outlive a detach: after another attach
 * the vq goes on where it was.
 * Detaching, and exchanging, first wait for the requests in flight and push
 * their used entries; when the call returns nothing is written to guest memory
 * or to the old backend any more.
 *
 * A host-managed zoned device is for drivers that know of zones: VIRTIO_BLK_F_ZONED
 * must have been negotiated, or it is refused. (VIRTIO 5.2.5.2 has the device not set
 * FEATURES_OK for others, which is the caller's to do.) DISCARD, WRITE_ZEROES and
 * SECURE_ERASE are not offered with it, and are answered UNSUPP.
 *
 * Errors: EBADF (fd is not open, or not open for reading), ENOTBLK (neither
 * a block device nor a regular file), EOPNOTSUPP (a zoned device, and
 * VIRTIO_BLK_F_ZONED was not negotiated; or a file whose file system has no
 * asynchronous I/O), EINVAL (index not 0; O_APPEND; a vq has more than
 * VHOST_BLK_MAX_QUEUE_SIZE entries; VIRTIO_F_VERSION_1 was not negotiated), EFAULT
 * (no vq is set up, or a ring is not in the owner's address range), EIO and the
 * like (what the host's cache held for the device could not be written), ENOMEM,
 * EPERM (the caller is not the owner). After ENOMEM, and where the used ring or the
 * host's cache cannot be written, nothing is attached any more; after the others
 * all is as it was.
 */
#define VHOST_BLK_SET_BACKEND	_IOW(VHOST_VIRTIO, 0x50, struct vhost_vring_file)

/*
 * Describe a backend, see struct vhost_blk_config. Allowed in every state, no
 * owner needed. A zoned device has VIRTIO_BLK_F_ZONED in the features, and its zones
 * in the member zoned of the configuration space. max_append_sectors there stays
 * within seg_max * size_max: who tells the guest less of these lowers it as well.
 *
 * Errors: EBADF, ENOTBLK, EOPNOTSUPP (a file whose file system has no asynchronous
 * I/O), EINVAL (flags), ENODEV (fd is -1 and nothing is attached), EFAULT.
 */
#define VHOST_BLK_GET_CONFIG	_IOWR(VHOST_VIRTIO, 0x51, struct vhost_blk_config)

/*
 * Set the identity string; it is empty after open. Allowed in every state;
 * requests that are taken off a ring afterwards see the new one.
 *
 * Errors: EFAULT, EPERM (the caller is not the owner).
 */
#define VHOST_BLK_SET_SERIAL	_IOW(VHOST_VIRTIO, 0x52, struct vhost_blk_serial)

/*
 * Set the eventfd (an int) that is signalled when the backend's capacity
 * changes, within a second; -1 for none. VHOST_BLK_GET_CONFIG then tells the
 * new capacity. Allowed in every state.
 *
 * Errors: EBADF, EINVAL (fd is not an eventfd), EFAULT, EPERM (the caller is
 * not the owner).
 */
#define VHOST_BLK_SET_CONFIG_CALL	_IOW(VHOST_VIRTIO, 0x53, int)

/*
 * Set the cache mode (an int): 1, as after open, write-back, where a FLUSH makes
 * writes stable; 0, write-through, where each is stable when it completes. Changing
 * to write-through first makes those stable that have completed before. Writes of a
 * driver that did not negotiate VIRTIO_BLK_F_FLUSH are stable in either mode.
 * VHOST_BLK_GET_CONFIG tells the mode as wce. Allowed in every state; requests in
 * flight are waited for.
 *
 * Errors: EINVAL (another value), EFAULT, EPERM (the caller is not the owner), and,
 * with the mode as it was, what flushing the backend may end in, as EIO.
 */
#define VHOST_BLK_SET_WRITEBACK	_IOW(VHOST_VIRTIO, 0x54, int)

#endif /* _UAPI_LINUX_VHOST_BLK_H */
