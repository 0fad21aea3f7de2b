/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A disk that has what no other has here: a process serves the kernel's virtio-blk
 * driver through VDUSE. It goes when the test has ended.
 */
#ifndef TESTS_VDUSE_H
#define TESTS_VDUSE_H

#include <stdint.h>

#define VDUSE_DISK_BYTES (16u << 20)
/* Most sectors of one range, and what they are multiples of. */
#define VDUSE_ERASE_SECTORS 1024
#define VDUSE_ERASE_ALIGN 8

/* Shared with the process. */
struct vduse_disk {
	const char *path;
	unsigned int erases;	/* SECURE_ERASE requests */
	unsigned char data[VDUSE_DISK_BYTES];
};

struct vduse_disk *vduse_disk_new(void);

#endif
