// SPDX-License-Identifier: GPL-2.0
/* VIRTIO 5.2.6.2: a read-only device fails a write and does not write. */
#include <errno.h>
#include <string.h>

#include "blk.h"
#include "tap.h"

/* The caller's right to write is the device's, and so is the medium's lock. */
static const struct {
	const char *name;
	bool read_only, locked;
} ways[] = {
	{ "opened_for_reading", true, false },
	{ "locked_device", false, true },
	{ "both", true, true },
};

/* Opened before it is locked: after that it cannot be, for writing. */
static struct blk start(bool read_only, bool locked)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .read_only = read_only });
	unsigned char data[64 * SECTOR];

	fill(data, sizeof(data), 1);
	device_write(blk.path, 0, data, sizeof(data));
	if (locked)
		run_command("blockdev --setro %s", blk.path);
	vdev_start(blk.dev);
	return blk;
}

static void check_unchanged(const struct blk *blk)
{
	unsigned char want[64 * SECTOR], got[64 * SECTOR];

	fill(want, sizeof(want), 1);
	device_read(blk->path, 0, got, sizeof(got));
	check_same(got, want, sizeof(got), "the medium");
}

TEST_PATHS(write_rejected, ways)
{
	struct blk blk = start(v->read_only, v->locked);
	unsigned char data[8 * SECTOR];

	fill(data, sizeof(data), 2);
	for (uint32_t sectors = 0; sectors <= 8; sectors += 4)
		blk_expect_len(blk.vq, &(struct blk_io){
				.type = VIRTIO_BLK_T_OUT, .sector = 4, .out = data,
				.out_len = sectors * SECTOR }, VIRTIO_BLK_S_IOERR, 1);
	check_unchanged(&blk);
}

TEST_PATHS(read_flush_and_id_ok, ways)
{
	struct blk blk = start(v->read_only, v->locked);
	unsigned char want[64 * SECTOR], got[64 * SECTOR];

	fill(want, sizeof(want), 1);
	blk_read(blk.vq, 0, got, sizeof(got));
	check_same(got, want, sizeof(got), "the data");
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH },
		   VIRTIO_BLK_S_OK);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_GET_ID,
					     .in_len = VIRTIO_BLK_ID_BYTES },
		   VIRTIO_BLK_S_OK);
}

TEST_PATHS(get_config_says_so, ways)
{
	struct blk blk = start(v->read_only, v->locked);
	struct vhost_blk_config config;

	check_ok(blk_get_config(blk.dev, blk.fd, &config));
	check(config.features & BIT(VIRTIO_BLK_F_RO), "VIRTIO_BLK_F_RO is not offered");
	check_ok(blk_get_config(blk.dev, -1, &config));
	check(config.features & BIT(VIRTIO_BLK_F_RO), "VIRTIO_BLK_F_RO is not offered");
}

TEST(get_config_of_a_writable_one_does_not)
{
	struct blk blk = start(false, false);
	struct vhost_blk_config config;

	check_ok(blk_get_config(blk.dev, blk.fd, &config));
	check(!(config.features & BIT(VIRTIO_BLK_F_RO)), "VIRTIO_BLK_F_RO is offered");
}

/* Opened for writing only: it cannot serve reads, so it is no backend. */
TEST(opened_for_writing_only_refused)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .write_only = true });
	struct vhost_blk_config config;

	vdev_setup(blk.dev);
	check_errno(blk_set_backend(blk.dev, blk.fd), EBADF);
	check_errno(blk_get_config(blk.dev, blk.fd, &config), EBADF);
}

/* The lock may come and go while the device runs. */
TEST(locked_while_running)
{
	struct blk blk = start(false, false);
	unsigned char data[SECTOR], first[SECTOR], got[SECTOR];

	fill(data, SECTOR, 3);
	fill(first, SECTOR, 4);
	blk_write(blk.vq, 100, first, SECTOR);
	run_command("blockdev --setro %s", blk.path);
	blk_expect(blk.vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_OUT, .sector = 100, .out = data,
			.out_len = SECTOR }, VIRTIO_BLK_S_IOERR);
	blk_read(blk.vq, 100, got, SECTOR);
	check_same(got, first, SECTOR, "the medium");
	run_command("blockdev --setrw %s", blk.path);
	blk_write(blk.vq, 100, data, SECTOR);
}
