// SPDX-License-Identifier: GPL-2.0
/*
 * Memory runs out in an ioctl of vhost_scsi, or in configfs: each allocation fails once,
 * one by one. The call works all the same, or says ENOMEM and has changed nothing; it
 * works when there is memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices.h"
#include "faults.h"
#include "scsi.h"
#include "tap.h"

#define MEMORY (4u << 20)
#define QUEUES 2

#define WWN SCSI_LIO "/vhost/naa.5001405763686f34"
#define TPG WWN "/tpgt_1"
#define NEXUS TPG "/nexus"
#define INITIATOR "naa.5001405763686f35"
#define LUN TPG "/lun/lun_0"
#define LINK LUN "/vst"
/* The backstore, as scsi_target_with() names it. */
#define STORE SCSI_LIO "/core/iblock_7000/vst0"

struct scene {
	struct vdev *dev;
	int fd;
};

/* A write, and what it wrote. */
static void check_works(struct scene *s)
{
	static unsigned char data[4096];
	static uint64_t seed;
	struct scsi_result res;
	struct scsi_cmd cmd;

	fill(data, sizeof(data), seed++);
	cmd = scsi_cmd_write(0, 8, data);
	res = scsi_cmd_do(scsi_queue(s->dev, 0), &cmd);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 0, 0, 0);
	scsi_result_free(&res);
	cmd = scsi_cmd_read(0, 8);
	res = scsi_cmd_do(scsi_queue(s->dev, 1), &cmd);
	scsi_check_sense(&res, 0, 0, 0);
	check_same(res.data, data, sizeof(data), "after the fault a read");
	scsi_result_free(&res);
}

static void works(struct scene *s, bool worked)
{
	(void)worked;
	check_works(s);
}

/* The endpoint */

static void negotiate_again(struct scene *s, uint64_t features)
{
	vdev_negotiate(s->dev, features);
	vdev_setup(s->dev);
}

/* A device that never had an endpoint, in the place of the other. */
static void open_again(struct scene *s)
{
	check_ok(close(s->dev->fd));
	s->dev->fd = check_ok(open(scsi_ops.path, O_RDWR | O_CLOEXEC));
	check_ok(ioctl(s->dev->fd, VHOST_SET_OWNER));
	negotiate_again(s, SCSI_FEATURES);
}

static void open_with_pi(struct scene *s)
{
	open_again(s);
	negotiate_again(s, SCSI_FEATURES | BIT(VIRTIO_SCSI_F_T10_PI));
}

static int run_set_endpoint(struct scene *s)
{
	return scsi_set_endpoint(s->dev, SCSI_WWPN);
}

/* What failed has left none, and the target to others. */
static void set_it(struct scene *s, bool worked)
{
	if (!worked)
		check_ok(run_set_endpoint(s));
	check_errno(run_set_endpoint(s), EEXIST);
	check_works(s);
}

static int run_clear_endpoint(struct scene *s)
{
	return scsi_clear_endpoint(s->dev, SCSI_WWPN);
}

static void clear_it(struct scene *s)
{
	vdev_stop(s->dev);
}

static void set_again(struct scene *s, bool worked)
{
	(void)worked;
	set_it(s, false);
}

static int run_close_used(struct scene *s)
{
	return close(s->dev->fd);
}

static void open_and_set(struct scene *s, bool worked)
{
	(void)worked;
	s->dev->fd = check_ok(open(scsi_ops.path, O_RDWR | O_CLOEXEC));
	check_ok(ioctl(s->dev->fd, VHOST_SET_OWNER));
	negotiate_again(s, SCSI_FEATURES);
	set_it(s, false);
}

static int run_features(struct scene *s)
{
	return vdev_set_features(s->dev, SCSI_FEATURES);
}

static int run_mem_table(struct scene *s)
{
	return vdev_set_mem_table(s->dev);
}

/* Folders, in the order in which one stands in the other */

static int run_make_wwn(struct scene *s)
{
	(void)s;
	return mkdir(WWN, 0755);
}

static int run_drop_wwn(struct scene *s)
{
	(void)s;
	return rmdir(WWN);
}

static void make_wwn(struct scene *s)
{
	check_ok(run_make_wwn(s));
}

/* What could not be made is not there, and what could not be dropped is. */
static void drop_wwn(struct scene *s, bool worked)
{
	if (worked)
		check_ok(run_drop_wwn(s));
	else
		check_errno(run_drop_wwn(s), ENOENT);
}

static void drop_wwn_at_last(struct scene *s, bool worked)
{
	drop_wwn(s, !worked);
}

static int run_make_tpg(struct scene *s)
{
	(void)s;
	return mkdir(TPG, 0755);
}

static int run_drop_tpg(struct scene *s)
{
	(void)s;
	return rmdir(TPG);
}

static void make_tpg(struct scene *s)
{
	make_wwn(s);
	check_ok(run_make_tpg(s));
}

static void drop_tpg(struct scene *s, bool worked)
{
	if (worked)
		check_ok(run_drop_tpg(s));
	else
		check_errno(run_drop_tpg(s), ENOENT);
	drop_wwn(s, true);
}

static void drop_tpg_at_last(struct scene *s, bool worked)
{
	drop_tpg(s, !worked);
}

static int write_nexus(const char *text)
{
	int fd = check_ok(open(NEXUS, O_WRONLY | O_CLOEXEC));
	ssize_t n = write(fd, text, strlen(text));
	int error = errno;

	close(fd);
	errno = error;
	return n < 0 ? -1 : 0;
}

/* The nexus is written through a file that is open, so that it is what fails. */
static void open_nexus(struct scene *s)
{
	make_tpg(s);
	s->fd = check_ok(open(NEXUS, O_WRONLY | O_CLOEXEC));
}

static void open_nexus_and_write(struct scene *s)
{
	make_tpg(s);
	check_ok(write_nexus(INITIATOR));
	s->fd = check_ok(open(NEXUS, O_WRONLY | O_CLOEXEC));
}

static int run_make_nexus(struct scene *s)
{
	return write(s->fd, INITIATOR, strlen(INITIATOR)) < 0 ? -1 : 0;
}

static int run_drop_nexus(struct scene *s)
{
	return write(s->fd, "NULL", 4) < 0 ? -1 : 0;
}

static void drop_nexus(struct scene *s, bool worked)
{
	close(s->fd);
	if (worked)
		check_ok(write_nexus("NULL"));
	else
		check_errno(write_nexus("NULL"), ENODEV);
	drop_tpg(s, true);
}

static void drop_nexus_at_last(struct scene *s, bool worked)
{
	drop_nexus(s, !worked);
}

static int run_make_lun(struct scene *s)
{
	(void)s;
	return mkdir(LUN, 0755);
}

static int run_drop_lun(struct scene *s)
{
	(void)s;
	return rmdir(LUN);
}

static void make_lun(struct scene *s)
{
	make_tpg(s);
	check_ok(write_nexus(INITIATOR));
	check_ok(run_make_lun(s));
}

static void drop_lun(struct scene *s, bool worked)
{
	if (worked)
		check_ok(run_drop_lun(s));
	else
		check_errno(run_drop_lun(s), ENOENT);
	/* With the nexus, which nobody uses. */
	drop_tpg(s, true);
}

static void drop_lun_at_last(struct scene *s, bool worked)
{
	drop_lun(s, !worked);
}

static int run_link(struct scene *s)
{
	(void)s;
	return symlink(STORE, LINK);
}

static int run_unlink(struct scene *s)
{
	(void)s;
	return unlink(LINK);
}

static void link_lun(struct scene *s)
{
	make_lun(s);
	check_ok(run_link(s));
}

static void unlink_lun(struct scene *s, bool worked)
{
	if (worked)
		check_ok(run_unlink(s));
	else
		check_errno(run_unlink(s), ENOENT);
	drop_lun(s, true);
}

static void unlink_lun_at_last(struct scene *s, bool worked)
{
	unlink_lun(s, !worked);
}

static const struct step steps[] = {
	{ "set_features", .run = run_features, .after = works, .never_fails = true },
	/* EFAULT is what vhost says where a region finds no memory. */
	{ "set_mem_table", .run = run_mem_table, .after = works, .may_fail = EFAULT },
	{ "set_first_endpoint", .before = open_again, .run = run_set_endpoint, .after = set_it },
	{ "set_endpoint_with_pi", .before = open_with_pi, .run = run_set_endpoint,
	  .after = set_it },
	{ "set_endpoint", .before = clear_it, .run = run_set_endpoint, .after = set_it },
	{ "clear_endpoint", .run = run_clear_endpoint, .after = set_again, .never_fails = true },
	{ "close_with_endpoint", .run = run_close_used, .after = open_and_set,
	  .never_fails = true },
	/* EINVAL is what the target core says whatever went wrong ... */
	{ "make_wwn", .run = run_make_wwn, .after = drop_wwn, .may_fail = EINVAL },
	{ "drop_wwn", .before = make_wwn, .run = run_drop_wwn, .after = drop_wwn_at_last },
	{ "make_tpg", .before = make_wwn, .run = run_make_tpg, .after = drop_tpg,
	  .may_fail = EINVAL },
	{ "drop_tpg", .before = make_tpg, .run = run_drop_tpg, .after = drop_tpg_at_last },
	/* ... and EACCES that it has not the initiator, which it then makes. */
	{ "make_nexus", .before = open_nexus, .run = run_make_nexus, .after = drop_nexus,
	  .may_fail = EACCES },
	{ "drop_nexus", .before = open_nexus_and_write, .run = run_drop_nexus,
	  .after = drop_nexus_at_last },
	{ "link_lun", .before = make_lun, .run = run_link, .after = unlink_lun },
	{ "unlink_lun", .before = link_lun, .run = run_unlink, .after = unlink_lun_at_last },
	{ "drop_lun", .before = make_lun, .run = run_drop_lun, .after = drop_lun_at_last },
};

static struct scene scene_new(void)
{
	const char *disk = nullb_new(&(struct nullb){});
	struct scene s;

	faults_on_disk(disk);
	scsi_target_with(&(struct scsi_lun){ .path = disk });
	s.dev = vdev_open(&scsi_ops, MEMORY);
	s.dev->backend_name = SCSI_WWPN;
	vdev_negotiate(s.dev, SCSI_FEATURES);
	for (unsigned int i = 0; i < SCSI_FIRST_QUEUE + QUEUES; i++)
		vq_new(s.dev, i, 16);
	vdev_start(s.dev);
	check_works(&s);
	return s;
}

TEST_PATHS_LIMIT(each_allocation_fails_once, steps, 120)
{
	struct scene s;

	faults_need();
	s = scene_new();
	step_sweep(v, &s);
	check_works(&s);
}

/* One that fails may have another way out; here nothing is left from some point on. */
static const struct step without_pages[] = {
	{ "set_endpoint", .before = open_with_pi, .run = run_set_endpoint, .after = set_it },
};

TEST_V_LIMIT(no_page_is_left, without_pages, 120)
{
	struct scene s;

	faults_need();
	s = scene_new();
	step_without_pages(v, &s);
}
