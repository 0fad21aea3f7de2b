// SPDX-License-Identifier: GPL-2.0
/* A device's memory is that of its owner's control group; row 27 of the bug list. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "faults.h"
#include "load.h"
#include "tap.h"

#define KIB 1024l
#define MIB (1024 * KIB)

/* What counts of a few devices at once stands out from what else a process does. */
#define DEVICES 8
#define QUEUES 8

/* See the table of costs in Documentation/architecture.md. */
#define DEVICE_BYTES (64 * 32 * KIB)
#define OWNER_BYTES (20 * KIB)
#define RING_BYTES (672 * KIB)
/* As one piece of memory; where there is none so large, of many. */
#define RING_ROUNDED (1024 * KIB)
#define UNSURE_BYTES MIB

/*
 * Bytes of the kernel that are charged to the group, at least or at most so many;
 * the kernel adds up with a delay of seconds.
 */
static long kernel_bytes(const char *group, long least, long most)
{
	uint64_t end = now_ms() + patience(8000);
	long bytes;

	do {
		sleep_ms(100);
		bytes = cgroup_number(group, "memory.stat", "kernel");
	} while ((bytes < least || bytes > most) && now_ms() < end);
	return bytes;
}

/* It has grown by n times at least and at most that much, give or take. */
static long check_grown_within(const char *group, long before, unsigned int n, long each,
			       long rounded, const char *what)
{
	long least = before + n * each * 9 / 10;
	long most = before + n * rounded * 11 / 10 + UNSURE_BYTES;
	long now = kernel_bytes(group, least, most);

	diag("%s: %ld KiB each", what, (now - before) / n / KIB);
	check(now >= least && now <= most, "%s: %ld KiB each are charged, expected are %ld",
	      what, (now - before) / n / KIB, each / KIB);
	return now;
}

static long check_grown(const char *group, long before, unsigned int n, long each,
			const char *what)
{
	return check_grown_within(group, before, n, each, each, what);
}

TEST_LIMIT(parts_cost_what_is_documented, 90)
{
	const char *disk = nullb_new(&(struct nullb){}), *group = cgroup_new();
	struct vdev *dev[DEVICES];
	long base, bytes;

	if (on_debug_kernel())
		skip("what finds bugs in the use of memory takes room in every piece of it");
	cgroup_enter(group);
	close(vdev_open(&blk_ops, 4 << 20)->fd);
	base = kernel_bytes(group, 0, UNSURE_BYTES);
	for (unsigned int i = 0; i < DEVICES; i++)
		dev[i] = vdev_open_bare(&blk_ops);
	bytes = check_grown(group, base, DEVICES, DEVICE_BYTES, "a device");
	for (unsigned int i = 0; i < DEVICES; i++)
		vdev_own(dev[i], 4 << 20);
	/* What vhost allocates for them is charged to nobody; a thread is. */
	bytes = check_grown(group, bytes, DEVICES, OWNER_BYTES, "ownership");
	for (unsigned int i = 0; i < DEVICES; i++) {
		vdev_negotiate(dev[i], BLK_FEATURES);
		dev[i]->backend_fd = check_ok(open(disk, O_RDWR | O_CLOEXEC));
		for (unsigned int n = 0; n < QUEUES; n++)
			vq_new(dev[i], n, 1024);
		vdev_start(dev[i]);
	}
	check_grown_within(group, bytes, DEVICES * QUEUES, RING_BYTES, RING_ROUNDED,
			   "a ring of 1024");
	for (unsigned int i = 0; i < DEVICES; i++)
		close(dev[i]->fd);
	bytes = kernel_bytes(group, 0, base + UNSURE_BYTES) - base;
	check(bytes <= UNSURE_BYTES, "%ld KiB stay charged when all is closed", bytes / KIB);
}

/*
 * A limit with so little room left. What the process itself needs is there, and
 * the kernel, which would end it for want of memory, may not.
 */
static void limit(const char *group, long room)
{
	char text[32];

	put_attribute("/proc/self", "oom_score_adj", "-1000");
	faults_lock_memory();
	snprintf(text, sizeof(text), "%ld",
		 cgroup_number(group, "memory.current", NULL) + room);
	put_attribute(group, "memory.max", text);
}

static void no_limit(const char *group)
{
	put_attribute(group, "memory.max", "max");
}

TEST_LIMIT(open_without_memory_is_enomem, 90)
{
	const char *group = cgroup_new();
	int fd, error;

	cgroup_enter(group);
	close(vdev_open_bare(&blk_ops)->fd);
	limit(group, MIB);
	fd = open(blk_ops.path, O_RDWR | O_CLOEXEC);
	error = errno;
	no_limit(group);
	check(fd < 0 && error == ENOMEM, "open returned %d, error %d", fd, error);
	check_ok(open(blk_ops.path, O_RDWR | O_CLOEXEC));
}

TEST_LIMIT(attach_without_memory_is_enomem, 90)
{
	const char *disk = nullb_new(&(struct nullb){}), *group = cgroup_new();
	struct blk blk;
	int r, error;

	cgroup_enter(group);
	blk = blk_prepare(&(struct blk_setup){ .path = disk, .queues = QUEUES, .num = 1024 });
	vdev_setup(blk.dev);
	limit(group, MIB);
	r = blk_set_backend(blk.dev, blk.fd);
	error = errno;
	no_limit(group);
	check(r < 0 && error == ENOMEM, "attaching returned %d, error %d", r, error);
	check_ok(blk_set_backend(blk.dev, blk.fd));
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH }, VIRTIO_BLK_S_OK);
}

#define BIG_BYTES (16u << 20)

/* A big one fails, and alone: what needs no memory goes on. */
TEST_LIMIT(request_without_memory_is_ioerr, 90)
{
	const char *disk = nullb_new(&(struct nullb){ .mb = 32, .discards_data = true });
	const char *group = cgroup_new();
	struct load big, small;
	struct blk blk;

	cgroup_enter(group);
	blk = blk_start(&(struct blk_setup){ .path = disk, .num = 256 });
	big = load_new_at(blk.vq, 1, BIG_BYTES, 0, 1);
	small = load_new(blk.vq, 8);
	limit(group, MIB);
	for (unsigned int i = 0; i < 3; i++) {
		load_put_all(&big, true, i);
		load_finish_as(&big, VIRTIO_BLK_S_IOERR);
		load_put_all(&small, true, i);
		load_finish(&small);
	}
	no_limit(group);
	load_put_all(&big, true, 1);
	load_finish(&big);
}

/* Where the kernel may end the process it does: nothing of it stays. */
TEST_LIMIT(owner_without_memory_is_killed_and_all_released, 90)
{
	const char *disk = nullb_new(&(struct nullb){ .mb = 32 }), *group = cgroup_new();
	long left, pins = pages_pinned();
	struct load big;
	char room[32];
	int status;

	if (!fork()) {
		cgroup_enter(group);
		big = load_new_at(load_start(disk, 1).vq, 1, BIG_BYTES, 0, 1);
		load_put(&big, 0, true, 1);
		snprintf(room, sizeof(room), "%ld",
			 cgroup_number(group, "memory.current", NULL) + MIB);
		put_attribute(group, "memory.max", room);
		load_send(&big);
		vq_get(big.vq);
		_exit(0);
	}
	check_ok(wait(&status));
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	      "the owner ended with status 0x%x", status);
	check_released(pins, 5000);
	left = kernel_bytes(group, 0, UNSURE_BYTES);
	check(left <= UNSURE_BYTES, "%ld KiB stay charged", left / KIB);
}
