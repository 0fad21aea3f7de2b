/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The core is written for the newest supported kernel; what an older one lacks
 * is made up for under this folder and nowhere else. This file is included
 * before every source; a header that an older kernel lacks or has otherwise is
 * overlaid by one of the same name here, which includes the kernel's own with
 * #include_next. One shim a symbol, with the upstream commit that changed it.
 */
#ifndef _COMPAT_H
#define _COMPAT_H

#include <linux/version.h>

#endif /* _COMPAT_H */
