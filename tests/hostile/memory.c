// SPDX-License-Identifier: GPL-2.0
/* What a guest can make the host spend: rows 8 and 27. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scene.h"
#include "tap.h"

#define KIB 1024l
#define HUGE_GPA (8ull << 30)
#define HUGE_SIZE (4ull << 30)
/* Pages that the requests of a queue may have pinned in large requests. */
#define QUEUE_PAGES (254l * 128 * KIB / GUEST_PAGE)

/* Row 8: totals that no 32 bits hold, out of one piece of memory. */

static const struct {
	const char *name;
	struct way way;
	unsigned int n;
	uint32_t bytes;
	uint32_t last;
} totals[] = {
	{ "1022_x_4_gib", { "direct", 1, false }, 1022, 0xfffff000, 0 },
	{ "1022_x_4_gib_indirect", { "indirect", 4, true }, 1022, 0xffffffff, 0 },
	/* Which would be a good request if it were counted in 32 bits. */
	{ "4_gib_and_a_sector", { "direct", 4, false }, 2, 1u << 31, SECTOR },
	{ "4_gib_and_a_sector_indirect", { "indirect", 1, true }, 2, 1u << 31, SECTOR },
	{ "64_gib_and_a_sector", { "indirect", 4, true }, 32, 1u << 31, SECTOR },
};

static struct scene huge_start(const struct way *way)
{
	struct scene s = scene_prepare(way, &(struct blk_setup){ .num = 1024 });
	void *p = mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	check(p != MAP_FAILED, "mmap: %m");
	guest_add_at(s.blk.mem, HUGE_GPA, HUGE_SIZE, p);
	scene_run(&s);
	return s;
}

static void expect_refused(struct scene *s, const typeof(totals[0]) *t, uint32_t type)
{
	static struct seg segs[1025];
	uint64_t meta = guest_alloc(s->blk.mem, GUEST_PAGE, GUEST_PAGE);
	unsigned char *p = guest_ptr(s->blk.mem, meta, GUEST_PAGE);
	struct used u;
	unsigned int n = 0;

	memset(p, 0, BLK_HEADER);
	p[0] = type;
	p[BLK_HEADER] = BLK_NO_STATUS;
	segs[n++] = (struct seg){ meta, BLK_HEADER, false };
	while (n <= t->n)
		segs[n++] = (struct seg){ HUGE_GPA, t->bytes, type == VIRTIO_BLK_T_IN };
	if (t->last)
		segs[n++] = (struct seg){ HUGE_GPA, t->last, type == VIRTIO_BLK_T_IN };
	segs[n++] = (struct seg){ meta + BLK_HEADER, 1, true };
	vq_submit(s->vq, segs, n, s->way->indirect ? 0 : VQ_DIRECT);
	u = vq_get(s->vq);
	check_eq(p[BLK_HEADER], VIRTIO_BLK_S_IOERR);
	check_eq(u.len, type);
}

TEST_V(huge_total_rejected, totals)
{
	struct scene s = huge_start(&v->way);
	long pins = pages_pinned();

	for (unsigned int i = 0; i < 20; i++)
		expect_refused(&s, v, i % 2);
	check_eq(pages_pinned(), pins);
	scene_must_serve(&s, v->name);
}

/*
 * A driver that only ever adds, and never looks at the used ring. What a device
 * has taken it tells by GET_VRING_BASE.
 */
TEST_WAYS_LIMIT(used_ring_never_reaped, ways, 60)
{
	struct blk blk = blk_start(&(struct blk_setup){
		.queues = v->queues, .memory = 64 << 20, .features = BLK_FEATURES |
		BIT(VIRTIO_RING_F_EVENT_IDX), .disk = { .mb = 64, .delay_ms = 5 } });
	uint64_t random = 8, end = now_ms() + 1500;
	long pins, most = 0, now;
	struct carousel c[4];
	uint16_t room;

	for (unsigned int q = 0; q < v->queues; q++)
		c[q] = carousel_new(blk.dev->vqs[q], v->indirect, VIRTIO_BLK_T_IN, 0, 1 << 20);
	pins = pages_pinned();
	while (now_ms() < end) {
		for (unsigned int q = 0; q < v->queues; q++) {
			room = c[q].n - (uint16_t)(c[q].vq->avail_idx - vq_get_base(c[q].vq));
			if (room)
				carousel_send(&c[q], 1 + prng(&random) % room);
		}
		now = pages_pinned() - pins;
		most = now > most ? now : most;
	}
	for (unsigned int q = 0; q < v->queues; q++) {
		check(carousel_wait(&c[q], 0), "queue %u: stalled", q);
		check_eq(*c[q].status, VIRTIO_BLK_S_OK);
		check(!event_take(c[q].vq->err), "queue %u: an error", q);
	}
	diag("at most %ld pages were pinned at a time", most);
	check(most > 0, "no page was seen pinned: the test shows nothing");
	check(most <= QUEUE_PAGES * v->queues, "%ld pages were pinned at a time", most);
	check_eq(pages_pinned(), pins);
}

/* Row 27: charged to whom, and no more than was said. */

#define CGROUPS "/sys/fs/cgroup"
#define CGROUP CGROUPS "/vst"

/* A group of our own; the test is in it from here on. */
static void cgroup_enter(void)
{
	char pid[16];

	if (access(CGROUPS "/cgroup.controllers", F_OK))
		skip("no cgroup2 at " CGROUPS);
	put_attribute(CGROUPS, "cgroup.subtree_control", "+memory");
	check(!mkdir(CGROUP, 0755), "mkdir " CGROUP ": %m");
	snprintf(pid, sizeof(pid), "%d", getpid());
	put_attribute(CGROUP, "cgroup.procs", pid);
}

/* The test's processes may be on their way out. */
static bool cgroup_sweep(void)
{
	return access(CGROUP, F_OK) || rmdir_soon(CGROUP);
}

__attribute__((constructor)) static void cgroup_register(void)
{
	tap_after(cgroup_sweep);
}

/* Bytes that the kernel holds on behalf of the group. */
static long charged(void)
{
	FILE *f = fopen(CGROUP "/memory.stat", "r");
	char name[64];
	long value;

	check(f, CGROUP "/memory.stat: %m");
	/* What is counted on each CPU is added up when somebody looks, or later. */
	while (fscanf(f, "%63s %ld", name, &value) == 2) {
		if (!strcmp(name, "kernel")) {
			fclose(f);
			return value;
		}
	}
	fail("memory.stat does not tell the kernel's memory");
}

/* Waits for it to settle: it is brought up to date every two seconds. */
static long charged_now(void)
{
	sleep_ms(2100);
	return charged();
}

#define OPENS 100

/*
 * Documentation/architecture.md: 32 KiB for each of the 64 vqs, which is what the
 * page allocator has for 19.
 */
TEST_LIMIT(open_devices_are_charged_to_the_opener, 60)
{
	const long least = 64 * 19 * KIB, most = 64 * 34 * KIB;
	struct rlimit limit = { OPENS + 100, OPENS + 100 };
	long before, each;
	int fd[OPENS];

	run_command("modprobe vhost_blk");
	check_ok(setrlimit(RLIMIT_NOFILE, &limit));
	cgroup_enter();
	before = charged_now();
	for (unsigned int i = 0; i < OPENS; i++)
		fd[i] = check_ok(open(blk_ops.path, O_RDWR | O_CLOEXEC));
	each = (charged_now() - before) / OPENS;
	diag("%ld KiB for each open device", each / KIB);
	check(each >= least && each <= most,
	      "an open device is charged %ld KiB, expected %ld to %ld", each / KIB, least / KIB,
	      most / KIB);
	for (unsigned int i = 0; i < OPENS; i++)
		close(fd[i]);
	check(charged_now() - before < 2 * each, "%ld KiB stay charged after the close",
	      (charged() - before) / KIB);
}

/* A memory table under a backend, some pages for each of its parts. */
#define TABLE_BYTES (64 * KIB)

/* As many queues, and as long ones, as a device has: what it costs is charged. */
TEST_LIMIT(requests_are_charged_to_the_owner, 60)
{
	struct blk blk;
	long before, with;

	run_command("modprobe vhost_blk");
	cgroup_enter();
	blk = blk_prepare(&(struct blk_setup){ .queues = 64, .num = 1024, .memory = 64 << 20 });
	vdev_setup(blk.dev);
	before = charged_now();
	check(!blk.dev->ops->attach(blk.dev), "attach: %m");
	with = charged_now() - before;
	diag("%ld KiB for 64 queues of 1024", with / KIB);
	/* A request is no less than its bio and the table, and no more than a KiB. */
	check(with >= 64 * 1024 * 256l && with <= 64 * 1024 * KIB + TABLE_BYTES,
	      "65536 requests are charged %ld KiB", with / KIB);
	vdev_stop(blk.dev);
	check(charged_now() - before < with / 8, "%ld KiB stay charged after the stop",
	      (charged() - before) / KIB);
}

/* Bounced at the most: what is bound at a time is charged, and bounded. */
TEST_LIMIT(bounce_pages_are_charged_and_bounded, 60)
{
	const long cap = 34l << 20;
	long before, most;
	struct blk blk;
	struct load l;
	const char *path;

	run_command("modprobe vhost_blk");
	path = slow_disk(64, 0);
	cgroup_enter();
	blk = blk_start(&(struct blk_setup){ .path = path, .num = 1024, .memory = 96 << 20 });
	l = load_new_at(blk.vq, 56, 1 << 20, 0, 1);
	before = charged_now();
	disk_suspend(path);
	load_put_all(&l, true, 1);
	most = charged_now() - before;
	disk_resume(path);
	load_finish(&l);
	diag("at most %ld KiB of the queue's were charged", most / KIB);
	check(most > cap / 2 && most <= cap, "%ld KiB were charged at a time, allowed are %ld",
	      most / KIB, cap / KIB);
	check(charged_now() - before < cap / 8, "%ld KiB stay charged", (charged() - before) / KIB);
}
