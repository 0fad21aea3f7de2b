/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Disks with T10 protection information, and what may happen to them behind the
 * kernel's back. They go when the test has ended.
 */
#ifndef TESTS_INTEGRITY_H
#define TESTS_INTEGRITY_H

#include <stdint.h>

/* 8 bytes for each block of 512. */
#define PI_TUPLE 8

/* Tuples and the data behind them, as a guest writes them; to be freed. */
unsigned char *pi_protected(uint32_t lba, unsigned int blocks, uint64_t seed);

struct pi_disk {
	/* Parameters of scsi_debug; NULL: an NVMe namespace that L1 was booted with. */
	const char *scsi_debug;
	const char *format;
};

/* Its path. */
const char *pi_disk_new(const struct pi_disk *d);

/* New data of a block without new protection. */
void pi_damage(const char *path, uint64_t sector);

/*
 * A block that was meant for elsewhere is found at @to with its protection, which is that
 * of sector 20 or of another place. scsi_debug needs virtual_gb=1 for it, and @write, which
 * writes a sector of @data through what is tested.
 */
void pi_misdirect(const struct pi_disk *d, const char *path, uint64_t to,
		  void (*write)(void *arg, uint64_t sector, const void *data), void *arg);

/* A block of an NVMe namespace as it is on the medium, unverified. */
void pi_read_nvme(const char *path, uint64_t sector, void *data, void *tuple);

#endif
