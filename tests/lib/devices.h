/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Block devices for tests, all called vst*: they go when the test has ended,
 * however that was, so a test never removes them itself.
 */
#ifndef TESTS_DEVICES_H
#define TESTS_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nullb {
	unsigned int mb;		/* 0: 16 MiB */
	unsigned int blocksize;		/* 0: 512 */
	bool discards_data;		/* not memory-backed */
	unsigned int delay_ms;		/* each request completes that late */
	const char *attributes;		/* more, as "discard=1 zoned=1" */
};

/* Makes a null_blk device, returns its path. */
const char *nullb_new(const struct nullb *opts);

/*
 * A loop device over a file in memory. With blocks larger than 512 it is the one
 * to use: null_blk wants each segment of a request to keep within a block.
 */
const char *loop_new(unsigned int mb, unsigned int blocksize);

/* A regular file instead: without a name, so that it goes with the test. */
const char *file_new(unsigned int mb);

/* One on an ext4 on the disk, mounted where only this test sees it. */
const char *file_on(const char *disk, unsigned int mb);

/* Makes a device-mapper device of a table (lines), returns its path. */
const char *dm_new(const char *table);

/* One that is the first sectors of another. */
const char *dm_linear_new(const char *lower, uint64_t sectors);

/* Gives it another one; that of so many first sectors. */
void dm_set(const char *path, const char *table);
void dm_linear_set(const char *path, const char *lower, uint64_t sectors);

/*
 * A device of which the second half completes reads and writes later than the
 * first does: requests come back out of order. Over lower, of that many sectors.
 */
const char *dm_half_delayed_new(const char *lower, uint64_t sectors, unsigned int ms);

/* Sectors of 512 bytes. */
uint64_t device_sectors(const char *path);

/* Reads and writes past the page cache, so that what is there is seen. */
void device_read(const char *path, uint64_t offset, void *buf, size_t len);
void device_write(const char *path, uint64_t offset, const void *buf, size_t len);

/* The first line of a file, without its end; false, and an empty one: there is none. */
bool first_line(const char *path, char *line, size_t size);

/* For configfs: writes an attribute; removes a folder, retrying for a while. */
void put_attribute(const char *dir, const char *name, const char *value);
bool rmdir_soon(const char *path);

/* Runs a shell command; the test fails where it does. */
void run_command(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
