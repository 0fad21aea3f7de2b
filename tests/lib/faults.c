// SPDX-License-Identifier: GPL-2.0
/* Failing on demand: see faults.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cgroup.h"
#include "devices.h"
#include "faults.h"
#include "guest.h"
#include "tap.h"

#define DEBUGFS "/sys/kernel/debug"

static const char *const kinds[] = {
	DEBUGFS "/failslab", DEBUGFS "/fail_page_alloc", DEBUGFS "/fail_make_request",
};

/* Called by the parent as well, so it must not end the test. */
static bool put(const char *dir, const char *name, const char *value)
{
	char path[300];
	bool good;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	good = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	if (fd >= 0)
		close(fd);
	return good;
}

static void put_for_all(const char *name, const char *value)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		check(put(kinds[i], name, value), "%s/%s: %m", kinds[i], name);
}

void faults_off(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		put(kinds[i], "probability", "0");
}

/* Called when the test has ended. */
static bool sweep(void)
{
	faults_off();
	return true;
}

__attribute__((constructor)) static void faults_register(void)
{
	tap_after(sweep);
}

void faults_need(void)
{
	if (access("/proc/thread-self/fail-nth", F_OK) || access(kinds[0], F_OK))
		skip("this kernel has no fault injection");
	faults_off();
	/* A fault is no news. */
	put_for_all("verbose", "0");
	put_for_all("task-filter", "Y");
	put_for_all("interval", "1");
	put_for_all("times", "-1");
	put_for_all("space", "0");
	/* As they are after boot, allocations that may wait do not fail. */
	check(put(kinds[0], "ignore-gfp-wait", "N"), "failslab: %m");
	check(put(kinds[1], "ignore-gfp-wait", "N"), "fail_page_alloc: %m");
	check(put(kinds[1], "ignore-gfp-highmem", "N"), "fail_page_alloc: %m");
	check(put(kinds[1], "min-order", "0"), "fail_page_alloc: %m");
}

void faults_lock_memory(void)
{
	check_ok(mlockall(MCL_CURRENT | MCL_FUTURE));
}

/* What a request of a disk may take. */
#define REQUEST_MS "500"

void faults_on_disk(const char *path)
{
	char dir[64], timeout[80];

	snprintf(dir, sizeof(dir), "/sys/block/%s", strrchr(path, '/') + 1);
	put_attribute(dir, "make-it-fail", "1");
	/* null_blk has faults of its own, of which one loses a request until it is missed. */
	strcat(dir, "/queue");
	snprintf(timeout, sizeof(timeout), "%s/io_timeout", dir);
	if (!access(timeout, W_OK))
		put_attribute(dir, "io_timeout", REQUEST_MS);
}

static int task_file(const char *task, const char *name)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%s/%s", task, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	check(fd >= 0, "open %s: %m", path);
	return fd;
}

/* Of a thread, whose folder this is. */
static bool comm_begins(const char *folder, const char *task, const char *begin)
{
	char path[300], name[64];

	snprintf(path, sizeof(path), "%s/%s/comm", folder, task);
	return first_line(path, name, sizeof(name)) && !strncmp(name, begin, strlen(begin));
}

static struct victim victim(const char *task)
{
	return (struct victim){
		.nth = task_file(task, "fail-nth"),
		.chosen = task_file(task, "make-it-fail"),
	};
}

struct victim victim_self(void)
{
	char task[16];

	snprintf(task, sizeof(task), "%d", gettid());
	return victim(task);
}

/* Threads are listed in the order in which they came to be. */
struct victim victim_worker(void)
{
	DIR *d = opendir("/proc/self/task");
	char found[16] = "";
	struct dirent *e;

	check(d, "/proc/self/task: %m");
	while ((e = readdir(d)))
		if (comm_begins("/proc/self/task", e->d_name, "vhost-"))
			snprintf(found, sizeof(found), "%.15s", e->d_name);
	closedir(d);
	check(*found, "no thread of this process is a worker");
	return victim(found);
}

struct victim victim_kworkers(void)
{
	return (struct victim){ .nth = -1, .chosen = -1, .kworkers = true };
}

void victim_free(struct victim *v)
{
	if (v->kworkers)
		return;
	close(v->nth);
	close(v->chosen);
}

static void put_number(int fd, unsigned int value)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", value);

	check(pwrite(fd, text, len, 0) == len, "/proc/self/task: %m");
}

/* The kernel's workers, from arming to looking; they come and go. */
static int kworkers[256];
static unsigned int nkworkers;

static void arm_kworker(const char *task, const char *n)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/fail-nth", task);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	if (nkworkers < ARRAY_SIZE(kworkers) && write(fd, n, strlen(n)) > 0)
		kworkers[nkworkers++] = fd;
	else
		close(fd);
}

static void arm_kworkers(unsigned int n)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	char text[16];

	check(d, "/proc: %m");
	snprintf(text, sizeof(text), "%u", n);
	nkworkers = 0;
	while (n && (e = readdir(d)))
		if (*e->d_name >= '1' && *e->d_name <= '9' &&
		    comm_begins("/proc", e->d_name, "kworker/"))
			arm_kworker(e->d_name, text);
	closedir(d);
}

static bool kworkers_met(void)
{
	bool met = false;

	for (unsigned int i = 0; i < nkworkers; i++) {
		char left[16] = "";

		/* Of one that is gone there is nothing to read. */
		met |= pread(kworkers[i], left, sizeof(left) - 1, 0) > 0 && !atoi(left);
		pwrite(kworkers[i], "0", 1, 0);
		close(kworkers[i]);
	}
	nkworkers = 0;
	return met;
}

void fault_arm(const struct victim *v, unsigned int n)
{
	if (v->kworkers)
		arm_kworkers(n);
	else
		put_number(v->nth, n);
}

bool fault_met(const struct victim *v)
{
	char left[16] = "";

	if (v->kworkers)
		return kworkers_met();
	check(pread(v->nth, left, sizeof(left) - 1, 0) > 0, "fail-nth: %m");
	put_number(v->nth, 0);
	return atoi(left) == 0;
}

void victim_choose(const struct victim *v, bool chosen)
{
	put_number(v->chosen, chosen);
}

void faults_random(unsigned int percent)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", percent);
	put_for_all("probability", text);
}

/* What "space" counts is pages here. */
void faults_out_of_pages(unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	check(put(kinds[1], "space", text), "fail_page_alloc: %m");
	check(put(kinds[1], "probability", "100"), "fail_page_alloc: %m");
}

long kernel_pages(void)
{
	static const char *group;

	if (!group) {
		group = cgroup_new();
		cgroup_enter(group);
	}
	/* That brings all counts of the group up to date; memory.stat may lag behind. */
	cgroup_number(group, "cpu.stat", "usage_usec");
	return cgroup_number(group, "memory.stat", "kernel") / GUEST_PAGE;
}

/* More allocations than this no call or request makes; a sweep would not end. */
#define SWEEP_MAX 5000
/* Requests may leak so many pages in a sweep and not be found out. */
#define PAGES_UNSURE 64

unsigned int faults_sweep(struct tries *t, bool (*try)(struct tries *t, unsigned int n))
{
	unsigned int n = 1;
	long pages;

	/* Once without a fault, so that what is kept for later is there. */
	try(t, 0);
	pages = kernel_pages();
	while (try(t, n))
		check(++n < SWEEP_MAX, "%u faults and no end", n);
	pages = kernel_pages() - pages;
	check(pages < PAGES_UNSURE, "%ld pages of the kernel were not freed", pages);
	return n - 1;
}

static bool allowed(const struct step *step, int error)
{
	return error == ENOMEM || (step->may_fail && error == step->may_fail);
}

/* One try; false when there was nothing left to fail. */
static bool try_step(const struct step *step, struct scene *s, const struct victim *self,
		     unsigned int n, unsigned int *failed)
{
	int ret, error;
	bool met;

	if (step->before)
		step->before(s);
	fault_arm(self, n);
	ret = step->run(s);
	error = errno;
	met = fault_met(self);
	if (ret) {
		check(met, "allocation %u: no fault, and yet: %s", n, strerror(error));
		check(!step->never_fails, "allocation %u: %s", n, strerror(error));
		check(allowed(step, error), "allocation %u: %s", n, strerror(error));
		++*failed;
	}
	if (step->after)
		step->after(s, !ret);
	return met;
}

void step_sweep(const struct step *step, struct scene *s)
{
	struct victim self = victim_self();
	unsigned int n = 1, failed = 0;

	faults_lock_memory();
	while (try_step(step, s, &self, n, &failed))
		check(++n < SWEEP_MAX, "%u allocations and no end", n);
	diag("%u allocations, the call failed %u times", n - 1, failed);
}

void step_without_pages(const struct step *step, struct scene *s)
{
	struct victim self = victim_self();
	unsigned int pages = 0, failed = 0;
	int ret, error;

	faults_lock_memory();
	do {
		if (step->before)
			step->before(s);
		faults_out_of_pages(pages);
		victim_choose(&self, true);
		ret = step->run(s);
		error = errno;
		victim_choose(&self, false);
		faults_off();
		check(!ret || allowed(step, error), "after %u pages: %s", pages, strerror(error));
		if (step->after)
			step->after(s, !ret);
		failed += !!ret;
		/* Not a divisor of what a queue takes, so that all its parts have their turn. */
		pages += 7;
	} while (ret);
	diag("%u pages will do, with fewer it failed %u times", pages - 7, failed);
}
