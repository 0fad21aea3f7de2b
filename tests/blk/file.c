// SPDX-License-Identifier: GPL-2.0
/* Regular files as backends: what is theirs alone; the rest is in tests/backends. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blk.h"
#include "tap.h"

#define FEATURES (BLK_FEATURES | BIT(VIRTIO_BLK_F_DISCARD))
#define FILE_MB 8u
#define FILE_BYTES (FILE_MB << 20)

static off_t blocks(const struct blk *blk)
{
	struct stat st;

	check_ok(fstat(blk->fd, &st));
	return st.st_blocks;
}

TEST(data_is_in_the_file)
{
	struct blk blk = blk_start(&(struct blk_setup){ .path = file_new(FILE_MB) });
	unsigned char data[9 * SECTOR], got[9 * SECTOR];

	fill(data, sizeof(data), 1);
	blk_write(blk.vq, 5, data, sizeof(data));
	check_eq(pread(blk.fd, got, sizeof(got), 5 * SECTOR), sizeof(got));
	check_same(got, data, sizeof(got), "the file");
	fill(data, sizeof(data), 2);
	check_eq(pwrite(blk.fd, data, sizeof(data), 100 * SECTOR), sizeof(data));
	blk_read(blk.vq, 100, got, sizeof(got));
	check_same(got, data, sizeof(got), "what the host wrote");
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH }, VIRTIO_BLK_S_OK);
}

TEST(discard_gives_blocks_back)
{
	const struct virtio_blk_discard_write_zeroes range = { .sector = 8, .num_sectors = 2048 };
	struct blk blk = blk_start(&(struct blk_setup){
		.path = file_new(FILE_MB), .features = FEATURES });
	static unsigned char data[1 << 20];
	off_t before;

	fill(data, sizeof(data), 3);
	blk_write(blk.vq, 8, data, sizeof(data));
	before = blocks(&blk);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_DISCARD, .out = &range,
			.out_len = sizeof(range) }, VIRTIO_BLK_S_OK);
	check(blocks(&blk) + 2000 < before, "the file has %ld blocks, had %ld",
	      (long)blocks(&blk), (long)before);
}

TEST(growth_is_told_and_a_cut_is_an_error)
{
	struct blk blk = blk_start(&(struct blk_setup){ .path = file_new(FILE_MB) });
	int call = check_ok(eventfd(0, EFD_NONBLOCK));
	unsigned char data[SECTOR] = { 1 };

	check_ok(blk_set_config_call(blk.dev, call));
	check_ok(ftruncate(blk.fd, 2 * FILE_BYTES));
	check(event_wait(call, 1500), "the growth was not signalled");
	blk_write(blk.vq, 2 * FILE_BYTES / SECTOR - 1, data, SECTOR);
	check_ok(ftruncate(blk.fd, FILE_BYTES / 2));
	check(event_wait(call, 1500), "the cut was not signalled");
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN,
			.sector = FILE_BYTES / 2 / SECTOR, .in_len = SECTOR }, VIRTIO_BLK_S_IOERR);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_OUT, .out = data,
			.sector = FILE_BYTES / 2 / SECTOR, .out_len = SECTOR }, VIRTIO_BLK_S_IOERR);
	check_eq(lseek(blk.fd, 0, SEEK_END), FILE_BYTES / 2);
}

/* Writes of one opened for appending would all go to its end. */
TEST(file_for_appending_rejected)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .path = file_new(FILE_MB) });
	int append = check_ok(open(blk.path, O_RDWR | O_APPEND | O_CLOEXEC));
	struct vhost_blk_config config;

	vdev_setup(blk.dev);
	check_errno(blk_set_backend(blk.dev, append), EINVAL);
	check_errno(blk_get_config(blk.dev, append, &config), EINVAL);
}

/* A file, of which 1 MiB has blocks, on a file system that has room for @kb of it more. */
static const char *file_without_room(unsigned int kb)
{
	const char *path = file_on(nullb_new(&(struct nullb){ .mb = 16 }), 1);

	run_command("truncate -s 32M %s; dd if=/dev/zero of=/mnt/fill bs=64k status=none 2>&1 | "
		    "grep -q 'No space' && truncate -s -%uK /mnt/fill && sync", path, kb);
	return path;
}

/* A hole cannot become zeroes, what has blocks already can. */
TEST(range_without_room_is_an_error)
{
	const struct virtio_blk_discard_write_zeroes ranges[] = {
		{ .sector = 8192, .num_sectors = 2048 }, { .sector = 0, .num_sectors = 8 },
	};
	const char *path = file_without_room(0);
	struct blk blk;

	blk = blk_start(&(struct blk_setup){ .path = path,
		.features = BLK_FEATURES | BIT(VIRTIO_BLK_F_WRITE_ZEROES) });
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_WRITE_ZEROES, .out = ranges,
			.out_len = sizeof(ranges) }, VIRTIO_BLK_S_IOERR);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_WRITE_ZEROES,
			.out = &ranges[1], .out_len = sizeof(ranges[1]) }, VIRTIO_BLK_S_OK);
}

/* The file system writes the first half of it. */
TEST(write_without_room_is_an_error)
{
	struct blk blk = blk_start(&(struct blk_setup){ .path = file_without_room(64) });
	static unsigned char data[128 << 10];

	fill(data, sizeof(data), 4);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_OUT, .sector = 8192,
			.out = data, .out_len = sizeof(data) }, VIRTIO_BLK_S_IOERR);
	blk_write(blk.vq, 0, data, sizeof(data));
}
