// SPDX-License-Identifier: GPL-2.0
/*
 * Memory runs out in an ioctl: each of its allocations fails once, one by one.
 * The call works all the same, or says ENOMEM and leaves what the UAPI header
 * says; the device works again when there is memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "faults.h"
#include "load.h"
#include "tap.h"

#define MEMORY (4u << 20)
#define QUEUES 4
#define FEATURES (BLK_FEATURES | BIT(VIRTIO_BLK_F_ZONED))

/* The device, and what a step keeps between its parts. */
struct scene {
	struct blk blk;
	const char *path;
	int other;	/* another disk */
	int fd;
	struct load load;
};

static const char *plain_disk(void)
{
	return nullb_new(&(struct nullb){});
}

static const char *regular_file(void)
{
	return file_new(16);
}

/* The first zone has no write pointer. */
static const char *zoned_disk(void)
{
	return nullb_new(&(struct nullb){ .attributes = "zoned=1 zone_size=4 zone_nr_conv=1" });
}

static const char *late_disk(void)
{
	return slow_disk(16, 60);
}

static void check_works(struct blk *blk)
{
	unsigned char out[SECTOR], in[SECTOR];
	static uint64_t seed;

	fill(out, sizeof(out), seed++);
	blk_write(blk->vq, 1, out, sizeof(out));
	blk_read(blk->vq, 1, in, sizeof(in));
	check_same(in, out, sizeof(in), "after the fault a read");
}

static void works(struct scene *s, bool worked)
{
	(void)worked;
	check_works(&s->blk);
}

/* Setting up */

static int run_features(struct scene *s)
{
	return vdev_set_features(s->blk.dev, FEATURES);
}

static int run_mem_table(struct scene *s)
{
	return vdev_set_mem_table(s->blk.dev);
}

static int run_vring_files(struct scene *s)
{
	struct vq *vq = s->blk.vq;

	return vq_set_file(vq, VHOST_SET_VRING_CALL, vq->call) ||
	       vq_set_file(vq, VHOST_SET_VRING_ERR, vq->err) ||
	       vq_set_file(vq, VHOST_SET_VRING_KICK, vq->kick) ? -1 : 0;
}

static int run_vring_address(struct scene *s)
{
	return vq_set_addr(s->blk.vq);
}

static int run_new_worker(struct scene *s)
{
	s->fd = vdev_new_worker(s->blk.dev);
	return s->fd < 0 ? -1 : 0;
}

static void use_and_free_worker(struct scene *s, bool worked)
{
	if (!worked)
		check_ok(run_new_worker(s));
	check_ok(vq_attach_worker(s->blk.dev->vqs[1], s->fd));
	blk_batch(s->blk.dev->vqs[1], &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH }, 1);
	check_ok(vq_attach_worker(s->blk.dev->vqs[1], 0));
	check_ok(vdev_free_worker(s->blk.dev, s->fd));
}

static int run_config_call(struct scene *s)
{
	return blk_set_config_call(s->blk.dev, s->blk.vq->err);
}

static int run_serial(struct scene *s)
{
	struct vhost_blk_serial serial = { "faults" };

	return ioctl(s->blk.dev->fd, VHOST_BLK_SET_SERIAL, &serial);
}

/* The backend */

static int run_config_of_file(struct scene *s)
{
	struct vhost_blk_config config;

	return blk_get_config(s->blk.dev, s->other, &config);
}

static int run_config_of_backend(struct scene *s)
{
	struct vhost_blk_config config;

	return blk_get_config(s->blk.dev, -1, &config);
}

static int run_writethrough(struct scene *s)
{
	return blk_set_writeback(s->blk.dev, 0);
}

/* What failed has changed nothing. */
static void check_cache_mode(struct scene *s, bool worked)
{
	struct virtio_blk_config config;
	struct vhost_blk_config answer;

	check_ok(blk_get_config(s->blk.dev, -1, &answer));
	memcpy(&config, answer.config, sizeof(config));
	check_eq(config.wce, !worked);
	check_works(&s->blk);
	check_ok(blk_set_writeback(s->blk.dev, 1));
}

static void detach_it(struct scene *s)
{
	vdev_stop(s->blk.dev);
}

static void dirty_the_cache(struct scene *s)
{
	char data[65536];
	int fd;

	detach_it(s);
	fd = open(s->path, O_WRONLY | O_CLOEXEC);
	check(fd >= 0, "open %s: %m", s->path);
	memset(data, 1, sizeof(data));
	check_eq(pwrite(fd, data, sizeof(data), 1 << 20), sizeof(data));
	/* The last close would write it: the backend's file stays open. */
	close(fd);
}

static int run_attach(struct scene *s)
{
	return blk_set_backend(s->blk.dev, s->blk.fd);
}

static int run_exchange(struct scene *s)
{
	return blk_set_backend(s->blk.dev, s->other);
}

/* ENOMEM: nothing is attached any more. */
static void attach_it(struct scene *s, bool worked)
{
	if (!worked)
		check_errno(run_config_of_backend(s), ENODEV);
	check_ok(run_attach(s));
	check_works(&s->blk);
}

static int run_detach(struct scene *s)
{
	return blk_set_backend(s->blk.dev, -1);
}

/* Some in flight, which whoever detaches ends himself. */
static void put_load(struct scene *s)
{
	if (!s->load.vq)
		s->load = load_new(s->blk.dev->vqs[1], 8);
	load_put_all(&s->load, true, s->load.sent);
	load_wait_taken(&s->load);
}

static void check_drained(struct scene *s, bool worked)
{
	load_collect(&s->load, VIRTIO_BLK_S_OK);
	check_eq(s->load.done, s->load.sent);
	attach_it(s, worked);
}

static const struct step steps[] = {
	{ "set_features", .run = run_features, .after = works, .never_fails = true },
	/* EFAULT is what vhost says where a region finds no memory. */
	{ "set_mem_table", .run = run_mem_table, .after = works, .may_fail = EFAULT },
	{ "set_vring_files", .run = run_vring_files, .after = works },
	{ "set_vring_addr", .run = run_vring_address, .after = works },
	{ "new_worker", .run = run_new_worker, .after = use_and_free_worker },
	{ "set_config_call", .run = run_config_call, .after = works },
	{ "set_serial", .run = run_serial, .after = works },
	{ "get_config_of_file", .run = run_config_of_file, .after = works },
	{ "get_config_of_backend", .run = run_config_of_backend, .after = works,
	  .never_fails = true },
	{ "set_writeback", .run = run_writethrough, .after = check_cache_mode, .may_fail = EIO },
	{ "attach", .before = detach_it, .run = run_attach, .after = attach_it },
	{ "attach_file", .disk = regular_file, .before = detach_it, .run = run_attach,
	  .after = attach_it },
	{ "attach_zoned", .disk = zoned_disk, .before = detach_it, .run = run_attach,
	  .after = attach_it },
	{ "attach_dirty", .before = dirty_the_cache, .run = run_attach,
	  .after = attach_it, .may_fail = EIO },
	{ "exchange", .run = run_exchange, .after = attach_it },
	{ "detach", .run = run_detach, .after = attach_it, .never_fails = true },
	{ "detach_file", .disk = regular_file, .run = run_detach, .after = attach_it,
	  .never_fails = true },
	{ "detach_zoned", .disk = zoned_disk, .run = run_detach, .after = attach_it,
	  .never_fails = true },
	{ "detach_in_flight", .disk = late_disk, .before = put_load, .run = run_detach,
	  .after = check_drained, .never_fails = true },
};

static struct scene scene_new(const struct step *step)
{
	struct scene s = { .path = step->disk ? step->disk() : plain_disk() };

	s.blk = blk_start(&(struct blk_setup){
		.path = s.path, .queues = QUEUES, .memory = MEMORY, .features = FEATURES });
	s.other = check_ok(open(plain_disk(), O_RDWR | O_CLOEXEC));
	/* A file is no disk: it goes through the page cache. */
	if (step->disk != regular_file)
		faults_on_disk(s.path);
	check_works(&s.blk);
	return s;
}

TEST_PATHS_LIMIT(each_allocation_fails_once, steps, 120)
{
	struct scene s;

	faults_need();
	s = scene_new(v);
	step_sweep(v, &s);
}

/* One that fails may have another way out; here nothing is left from some point on. */
static const struct step without_pages[] = {
	{ "attach", .before = detach_it, .run = run_attach, .after = attach_it },
	{ "exchange", .run = run_exchange, .after = attach_it },
};

TEST_V_LIMIT(no_page_is_left, without_pages, 120)
{
	struct scene s;

	faults_need();
	s = scene_new(v);
	step_without_pages(v, &s);
}
