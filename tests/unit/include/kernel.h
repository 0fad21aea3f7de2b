/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the pure parts of the modules need of the kernel, for userspace: included
 * before everything in this group. The rest is in the system's <linux/...>.
 */
#ifndef TESTS_UNIT_KERNEL_H
#define TESTS_UNIT_KERNEL_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define __force

#define le32_to_cpu(v) le32toh(v)
#define le64_to_cpu(v) le64toh(v)

#endif
