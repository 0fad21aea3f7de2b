/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Disks that another part of the kernel emulates, and that may change or go while
 * they are in use. They go when the test has ended.
 */
#ifndef TESTS_TARGETS_H
#define TESTS_TARGETS_H

/* An NVMe namespace, by the kernel's own target over its loop transport. */
const char *nvmet_new(const char *backing);
/* An attribute of the namespace behind the last one that was made. */
void nvmet_put(const char *attribute, const char *value);
/* Its controller goes. */
void nvmet_disconnect(void);

/* A SCSI disk of that many MiB, with more parameters of scsi_debug. */
const char *scsi_debug_new(unsigned int mb, const char *options);

#endif
