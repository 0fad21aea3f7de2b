// SPDX-License-Identifier: GPL-2.0
/* Memory runs out where a device is opened, owned and closed, of either module. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "blk.h"
#include "faults.h"
#include "scsi.h"
#include "tap.h"

/* Request queues of a device of vhost_scsi: each is allocated for alone. */
#define MAX_QUEUES "4"

struct scene {
	const char *path;
	int fd;
};

static int run_open(struct scene *s)
{
	s->fd = open(s->path, O_RDWR | O_CLOEXEC);
	return s->fd < 0 ? -1 : 0;
}

static void open_it(struct scene *s)
{
	check_ok(run_open(s));
}

static void close_if_open(struct scene *s, bool worked)
{
	if (worked)
		close(s->fd);
}

static int run_owner(struct scene *s)
{
	return ioctl(s->fd, VHOST_SET_OWNER);
}

/* What failed has left nobody the owner. */
static void own_and_close(struct scene *s, bool worked)
{
	if (!worked)
		check_ok(run_owner(s));
	check_errno(run_owner(s), EBUSY);
	close(s->fd);
}

static void own_it(struct scene *s)
{
	open_it(s);
	check_ok(run_owner(s));
}

static int run_close(struct scene *s)
{
	return close(s->fd);
}

#define OPEN { .run = run_open, .after = close_if_open }
#define SET_OWNER { .before = open_it, .run = run_owner, .after = own_and_close }
#define CLOSE { .before = own_it, .run = run_close, .never_fails = true }

static const struct variant {
	const char *name;
	const struct vdev_ops *ops;
	struct step step;
} variants[] = {
	{ "blk", &blk_ops, OPEN }, { "blk_set_owner", &blk_ops, SET_OWNER },
	{ "blk_close", &blk_ops, CLOSE },
	{ "scsi", &scsi_ops, OPEN }, { "scsi_set_owner", &scsi_ops, SET_OWNER },
	{ "scsi_close", &scsi_ops, CLOSE },
};

static struct scene scene_new(const struct vdev_ops *ops)
{
	/* Ours, and not the kernel's own. */
	if (ops == &scsi_ops)
		scsi_tpg_new();
	vdev_open_bare(ops);
	if (ops == &scsi_ops)
		put_attribute("/sys/module/vhost_scsi/parameters", "max_io_vqs", MAX_QUEUES);
	return (struct scene){ .path = ops->path };
}

TEST_PATHS_LIMIT(each_allocation_fails_once, variants, 120)
{
	struct scene s;

	faults_need();
	s = scene_new(v->ops);
	step_sweep(&v->step, &s);
}

/* One that fails may have another way out; here nothing is left from some point on. */
static const struct variant without_pages[] = {
	{ "blk", &blk_ops, OPEN }, { "blk_set_owner", &blk_ops, SET_OWNER },
	{ "scsi", &scsi_ops, OPEN }, { "scsi_set_owner", &scsi_ops, SET_OWNER },
};

TEST_V_LIMIT(no_page_is_left, without_pages, 120)
{
	struct scene s;

	faults_need();
	s = scene_new(v->ops);
	step_without_pages(&v->step, &s);
}
