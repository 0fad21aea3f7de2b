// SPDX-License-Identifier: GPL-2.0
/* The counters in debugfs, Documentation/statistics.md. What the core counts: blk/stats. */
#include <string.h>

#include "devices.h"
#include "scsi.h"
#include "tap.h"

#define Q SCSI_FIRST_QUEUE

static struct vdev *start(void)
{
	const char *disk = nullb_new(&(struct nullb){ 0 });
	struct vdev *dev = scsi_start(scsi_target_with(&(struct scsi_lun){ .path = disk }), 2, 128,
				      SCSI_FEATURES);

	vdev_start(dev);
	return dev;
}

static void send(struct vdev *dev, const struct scsi_cmd *cmd)
{
	scsi_cmd_do(scsi_queue(dev, 0), cmd);
	vq_settle(scsi_queue(dev, 0));
}

TEST(commands_and_bytes_are_counted)
{
	struct scsi_cmd tur = { .cdb = { 0 } }, flush = { .cdb = { 0x35 } };
	struct scsi_cmd read = scsi_cmd_read(0, 8);
	static unsigned char data[8192];
	struct scsi_cmd write = scsi_cmd_write(0, 16, data);
	struct vdev *dev = start();

	send(dev, &tur);
	send(dev, &flush);
	for (unsigned int i = 0; i < 3; i++)
		send(dev, &read);
	send(dev, &write);
	check_eq(vdev_stat(Q, "read", 1), 3);
	check_eq(vdev_stat(Q, "read", 2), 3 * 4096);
	check_eq(vdev_stat(Q, "write", 1), 1);
	check_eq(vdev_stat(Q, "write", 2), 8192);
	check_eq(vdev_stat(Q, "flush", 1), 1);
	check_eq(vdev_stat(Q, "other", 1), 1);
	check_eq(vdev_stat(Q, "direct", 1), 4);
	check_eq(vdev_stat(Q, "status_ok", 1), 6);
	check_eq(vdev_stat(Q, "in_flight", 1), 0);
}

TEST(ends_are_counted)
{
	static const uint8_t nobody[8] = { 1, 77, 0x40 };
	struct scsi_cmd tur = { .cdb = { 0 } }, unknown = { .cdb = { 0xc0 } };
	/* RESERVE by this one is no conflict of its own. */
	struct scsi_cmd reserve = { .cdb = { 0x16 } };
	struct vdev *dev = start();

	send(dev, &tur);
	send(dev, &unknown);
	send(dev, &reserve);
	tur.lun = nobody;
	send(dev, &tur);
	check_eq(vdev_stat(Q, "status_ok", 1), 2);
	check_eq(vdev_stat(Q, "status_check_condition", 1), 1);
	check_eq(vdev_stat(Q, "status_other", 1), 0);
	check_eq(vdev_stat(Q, "status_response", 1), 1);
}

static const struct {
	const char *name;
	bool direct;
} ways_to_fail[] = { { "short_way", true }, { "long_way", false } };

/* A command that the disk fails is one that failed, whichever way it went. */
TEST_V(failures_of_the_disk_are_counted_once, ways_to_fail)
{
	const char *disk = dm_linear_new(nullb_new(&(struct nullb){ 0 }), 32768);
	struct vdev *dev = scsi_start(scsi_target_with(&(struct scsi_lun){ .path = disk }), 2, 128,
				      SCSI_FEATURES);
	struct scsi_cmd tur = { .cdb = { 0 } }, read = scsi_cmd_read(0, 8);

	scsi_set_direct(v->direct);
	vdev_start(dev);
	send(dev, &tur);
	dm_set(disk, "0 32768 error\\n");
	for (unsigned int i = 0; i < 3; i++)
		send(dev, &read);
	check_eq(vdev_stat(Q, "read", 1), 3);
	check_eq(vdev_stat(Q, "direct", 1), v->direct ? 3 : 0);
	check_eq(vdev_stat(Q, "status_ok", 1), 1);
	check_eq(vdev_stat(Q, "status_check_condition", 1), 3);
	check_eq(vdev_stat(Q, "status_other", 1), 0);
	check_eq(vdev_stat(Q, "status_response", 1), 0);
}

/* By another initiator. */
static void reserve(struct vdev *dev, const uint8_t *lun)
{
	struct scsi_cmd cmd = { .cdb = { 0x16 }, .lun = lun };
	struct scsi_result res;

	/* The first ones are told of what has changed. */
	for (unsigned int try = 0; try < 4; try++) {
		res = scsi_cmd_do(scsi_queue(dev, 1), &cmd);
		if (!res.resp.status)
			return;
	}
	fail("RESERVE: status %02x", res.resp.status);
}

TEST(conflicts_are_counted)
{
	static const uint8_t other[8] = { 1, SCSI_OTHER_TPGT, 0x40, 0 };
	struct scsi_cmd read = scsi_cmd_read(0, 8);
	struct vdev *dev;

	scsi_target_with(&(struct scsi_lun){ .path = nullb_new(&(struct nullb){ 0 }) });
	scsi_other_target();
	dev = scsi_start(SCSI_WWPN, 2, 128, SCSI_FEATURES);
	vdev_start(dev);
	send(dev, &read);
	reserve(dev, other);
	send(dev, &read);
	send(dev, &read);
	check_eq(vdev_stat(Q, "status_ok", 1), 1);
	check_eq(vdev_stat(Q, "status_other", 1), 2);
	check_eq(vdev_stat(Q, "status_check_condition", 1), 0);
}

/* Who has it, and what; and nobody once it was given back. */
TEST(target_is_named)
{
	struct scsi_cmd tur = { .cdb = { 0 } };
	struct vdev *dev = start();

	send(dev, &tur);
	check(strstr(vdev_stats(), "\nbackend " SCSI_WWPN "\n"), "it says: %s", vdev_stats());
	check_ok(scsi_clear_endpoint(dev, SCSI_WWPN));
	check(strstr(vdev_stats(), "\nowner 0\nbackend \n"), "it says: %s", vdev_stats());
}
