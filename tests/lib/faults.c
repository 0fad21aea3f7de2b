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

void faults_on_disk(const char *path)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "/sys/block/%s", strrchr(path, '/') + 1);
	put_attribute(dir, "make-it-fail", "1");
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

static bool is_worker(const char *task)
{
	char path[300], name[32];

	snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task);
	return first_line(path, name, sizeof(name)) && !strncmp(name, "vhost-", 6);
}

/* Threads are listed in the order in which they came to be. */
struct victim victim_worker(void)
{
	DIR *d = opendir("/proc/self/task");
	char found[16] = "";
	struct dirent *e;

	check(d, "/proc/self/task: %m");
	while ((e = readdir(d)))
		if (is_worker(e->d_name))
			snprintf(found, sizeof(found), "%.15s", e->d_name);
	closedir(d);
	check(*found, "no thread of this process is a worker");
	return victim(found);
}

void victim_free(struct victim *v)
{
	close(v->nth);
	close(v->chosen);
}

static void put_number(int fd, unsigned int value)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", value);

	check(pwrite(fd, text, len, 0) == len, "/proc/self/task: %m");
}

void fault_arm(const struct victim *v, unsigned int n)
{
	put_number(v->nth, n);
}

bool fault_met(const struct victim *v)
{
	char left[16] = "";

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
	return cgroup_number(group, "memory.stat", "kernel") / GUEST_PAGE;
}
