// SPDX-License-Identifier: GPL-2.0
/*
 * The end of the device: closed, inherited, its owner killed or become another
 * program, each with I/O in flight. The owner is a child of the test, which
 * looks on from outside.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"
#include "tap.h"

#define QUEUES 4
#define MEMORY (16ull << 20)

/* How long after the I/O's end all must be gone. */
#define GONE_MS 4000

static const struct owner {
	const char *name;
	unsigned int queues;
	bool indirect;
	bool workers;		/* one for each queue */
	unsigned int offset;	/* 1: bounced */
	bool kthread;
	bool cloexec;
} owners[] = {
	{ "one_queue_indirect", .queues = 1, .indirect = true },
	{ "four_queues", .queues = QUEUES },
	{ "four_workers_indirect", .queues = QUEUES, .indirect = true, .workers = true },
	{ "one_queue_bounced", .queues = 1, .offset = 1 },
	{ "one_queue_kernel_thread", .queues = 1, .kthread = true },
};

/* Memory that outlives the owner, so that writes to it are seen. */
static void *shared_memory(void)
{
	void *p = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED, "mmap: %m");
	return p;
}

/* In the owner: a device with reads in flight. */
static struct blk start_on(const char *path, const struct owner *o, void *memory)
{
	struct blk blk = { .path = path };
	struct load l;

	blk.dev = vdev_open_bare(&blk_ops);
#ifdef VHOST_SET_FORK_FROM_OWNER
	if (o->kthread) {
		uint8_t mode = VHOST_FORK_OWNER_KTHREAD;

		check_ok(ioctl(blk.dev->fd, VHOST_SET_FORK_FROM_OWNER, &mode));
	}
#endif
	check_ok(ioctl(blk.dev->fd, VHOST_SET_OWNER));
	check_ok(ioctl(blk.dev->fd, VHOST_GET_FEATURES, &blk.dev->offered));
	guest_add_at(&blk.dev->mem, GUEST_BASE, MEMORY, memory);
	vdev_negotiate(blk.dev, BLK_FEATURES);
	blk.fd = blk.dev->backend_fd = check_ok(open(path, O_RDWR | O_CLOEXEC));
	for (unsigned int i = 0; i < o->queues; i++)
		vq_new(blk.dev, i, 128);
	vdev_start(blk.dev);
	for (unsigned int i = 0; i < o->queues; i++) {
		if (o->workers)
			check_ok(vq_attach_worker(blk.dev->vqs[i],
						  check_ok(vdev_new_worker(blk.dev))));
		l = load_new_at(blk.dev->vqs[i], 32, LOAD_BYTES, 0, o->offset);
		l.indirect = o->indirect;
		loads_put_all(&l, 1, false, 0);
		check(load_in_flight(&l), "nothing is in flight: the test shows nothing");
	}
	return blk;
}

/* Runs fn in a child, and returns when it says that it is ready. */
static pid_t child(void (*fn)(const char *, const struct owner *, void *, int), const char *path,
		   const struct owner *o, void *memory)
{
	int ready[2];
	char c;
	pid_t pid;

	check_ok(pipe(ready));
	fflush(stdout);
	pid = check_ok(fork());
	if (!pid) {
		close(ready[0]);
		fn(path, o, memory, ready[1]);
		_exit(0);
	}
	close(ready[1]);
	check(read(ready[0], &c, 1) == 1, "the owner did not get there");
	close(ready[0]);
	return pid;
}

static void say_ready(int fd)
{
	check_eq(write(fd, "", 1), 1);
	close(fd);
}

static void reap(pid_t pid, int want_signal)
{
	int status;

	check_eq(waitpid(pid, &status, 0), pid);
	if (want_signal)
		check(WIFSIGNALED(status) && WTERMSIG(status) == want_signal,
		      "the owner ended with status %x", status);
	else
		check(WIFEXITED(status) && !WEXITSTATUS(status), "the owner failed");
}

/* All is gone, nothing is written any more, and the disk and the module serve. */
static void check_over(const char *path, const struct owner *o, void *memory, long pins)
{
	struct snapshot s;
	struct blk blk;

	check_released(pins, SLOW_DISK_MS + GONE_MS);
	s = snapshot_take(memory, MEMORY);
	snapshot_check(&s, SLOW_DISK_MS, "the guest's memory after the end");
	blk = start_on(path, o, memory);
	close(blk.dev->fd);
	check_released(pins, GONE_MS);
	close(blk.fd);
	check_dm_is_free(path);
}

TEST_PATHS(close_with_io_in_flight, owners)
{
	const char *path = slow_disk(16, SLOW_DISK_MS);
	void *memory = shared_memory();
	struct snapshot s;
	struct blk blk;
	long pins;

	run_command("modprobe vhost_blk");
	pins = pages_pinned();
	blk = start_on(path, v, memory);
	check(v->offset || pages_pinned() > pins, "no page is pinned: the test shows nothing");
	close(blk.dev->fd);
	/* In the owner's hands, closing is stopping. */
	check_eq(module_users(), 0);
	check_eq(pages_pinned(), pins);
	s = snapshot_take(memory, MEMORY);
	for (unsigned int i = 0; i < v->queues; i++)
		check_eq(vq_used_idx(blk.dev->vqs[i]), 32);
	snapshot_check(&s, SLOW_DISK_MS, "the guest's memory after close");
	close(blk.fd);
	check_dm_is_free(path);
}

static void wait_to_be_killed(const char *path, const struct owner *o, void *memory, int ready)
{
	start_on(path, o, memory);
	say_ready(ready);
	pause();
}

TEST_PATHS(killed_owner, owners)
{
	const char *path = slow_disk(16, SLOW_DISK_MS);
	void *memory = shared_memory();
	long pins;
	pid_t pid;

	run_command("modprobe vhost_blk");
	pins = pages_pinned();
	pid = child(wait_to_be_killed, path, v, memory);
	kill(pid, SIGKILL);
	reap(pid, SIGKILL);
	check_over(path, v, memory, pins);
}

/* Again and again, at different places of its life. */
TEST_LIMIT(killed_owner_at_any_time, 90)
{
	const char *path = nullb_new(&(struct nullb){ .delay_ms = 20 });
	uint64_t random = 5, end = now_ms() + stress_ms(5000);
	unsigned int i;
	long pins;

	run_command("modprobe vhost_blk");
	pins = pages_pinned();
	for (i = 0; i < 40 && now_ms() < end; i++) {
		pid_t pid;

		fflush(stdout);
		pid = check_ok(fork());
		if (!pid) {
			struct blk blk = load_start(path, QUEUES);
			struct load l[QUEUES];

			for (unsigned int k = 0; k < QUEUES; k++)
				l[k] = load_new(blk.dev->vqs[k], 32);
			for (;;) {
				for (unsigned int k = 0; k < QUEUES; k++)
					load_put_all(&l[k], true, 1);
				loads_finish(l, QUEUES);
			}
		}
		usleep(prng(&random) % 300000);
		kill(pid, SIGKILL);
		reap(pid, SIGKILL);
		check_released(pins, GONE_MS);
	}
	diag("%u owners", i);
}

/* The owner goes, and leaves the device open in its child. */
static void leave_to_heir(const char *path, const struct owner *o, void *memory, int ready)
{
	struct blk blk = start_on(path, o, memory);
	pid_t heir = check_ok(fork());

	if (heir) {
		memcpy(memory + MEMORY - sizeof(heir), &heir, sizeof(heir));
		say_ready(ready);
		pause();
	}
	close(ready);
	check_errno(blk_set_backend(blk.dev, -1), EPERM);
	pause();
}

static const struct owner heirs[] = {
	{ "one_queue", .queues = 1 },
	{ "four_workers", .queues = QUEUES, .workers = true },
	{ "bounced", .queues = 1, .offset = 1 },
};

/* The owner is killed, and the heir @late_ms later: what he holds is not his memory. */
static void heir_closes(const struct owner *o, unsigned int late_ms)
{
	const char *path = slow_disk(16, SLOW_DISK_MS);
	void *memory = shared_memory();
	pid_t owner, heir;
	long pins;

	run_command("modprobe vhost_blk");
	pins = pages_pinned();
	owner = child(leave_to_heir, path, o, memory);
	memcpy(&heir, memory + MEMORY - sizeof(heir), sizeof(heir));
	kill(owner, SIGKILL);
	reap(owner, SIGKILL);
	sleep_ms(late_ms);
	check_eq(module_users(), 1);
	kill(heir, SIGKILL);
	check_over(path, o, memory, pins);
}

TEST_PATHS(inherited_device_closed_by_another, heirs)
{
	heir_closes(v, 50);
}

/* The same, when the I/O has ended long before the last close. */
TEST_PATHS(inherited_device_closed_late, heirs)
{
	heir_closes(v, SLOW_DISK_MS + 300);
}

/* Where the heir tells that it found nothing wrong. */
#define VERDICT (MEMORY - 2 * sizeof(pid_t))

/* The heir sees the guest's memory where the owner did, and it is not his. */
static void leave_to_watcher(const char *path, const struct owner *o, void *memory, int ready)
{
	struct blk blk = start_on(path, o, memory);
	pid_t owner = getpid();

	if (check_ok(fork())) {
		say_ready(ready);
		pause();
	}
	close(ready);
	while (getppid() == owner)
		sleep_ms(10);
	sleep_ms(SLOW_DISK_MS + 300);
	close(blk.dev->fd);
	for (unsigned int i = 0; i < o->queues; i++)
		check_eq(vq_used_idx(blk.dev->vqs[i]), 0);
	((unsigned char *)memory)[VERDICT] = 1;
}

TEST_PATHS(heir_that_closes_gets_no_answers, heirs)
{
	const char *path = slow_disk(16, SLOW_DISK_MS);
	unsigned char *memory = shared_memory();
	pid_t owner;
	long pins;

	run_command("modprobe vhost_blk");
	pins = pages_pinned();
	owner = child(leave_to_watcher, path, v, memory);
	kill(owner, SIGKILL);
	reap(owner, SIGKILL);
	check_released(pins, 2 * SLOW_DISK_MS + GONE_MS);
	for (int i = 0; !memory[VERDICT]; i++) {
		check(i < 50, "the heir found used entries");
		sleep_ms(20);
	}
	check_over(path, v, memory, pins);
}

/* The heir lets go first: nothing happens to the owner's device. */
TEST(inherited_device_closed_by_the_heir_first)
{
	struct blk blk = load_start(slow_disk(16, SLOW_DISK_MS), 1);
	struct load l = load_new(blk.vq, 16);
	pid_t heir;

	loads_put_all(&l, 1, true, 1);
	fflush(stdout);
	heir = check_ok(fork());
	if (!heir) {
		close(blk.dev->fd);
		_exit(0);
	}
	reap(heir, 0);
	load_finish(&l);
	load_put_all(&l, false, 0);
	load_finish(&l);
}

static void exec_away(const char *path, const struct owner *o, void *memory, int ready)
{
	struct blk blk = start_on(path, o, memory);

	fcntl(blk.dev->fd, F_SETFD, o->cloexec ? FD_CLOEXEC : 0);
	say_ready(ready);
	execl("/bin/sleep", "sleep", "100", NULL);
	fail("exec: %m");
}

static const struct owner execs[] = {
	{ "device_kept", .queues = QUEUES, .workers = true },
	{ "device_closed", .queues = QUEUES, .workers = true, .cloexec = true },
};

/* An owner that becomes another program loses its memory, and its workers. */
TEST_PATHS(owner_executes_a_program, execs)
{
	const char *path = slow_disk(16, SLOW_DISK_MS);
	void *memory = shared_memory();
	long pins;
	pid_t pid;

	run_command("modprobe vhost_blk");
	pins = pages_pinned();
	pid = child(exec_away, path, v, memory);
	if (v->cloexec)
		check_released(pins, SLOW_DISK_MS + GONE_MS);
	else
		check_eq(module_users(), 1);
	sleep_ms(300);
	kill(pid, SIGKILL);
	reap(pid, SIGKILL);
	check_over(path, v, memory, pins);
}
