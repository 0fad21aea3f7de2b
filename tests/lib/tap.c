// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

enum { PASSED = 0, FAILED = 1, USAGE = 2, SKIPPED = 4 };

/* How long a killed process may take to go before it counts as stuck. */
#define STUCK_MS 10000

static struct tap_test *first, **last = &first;
static bool (*after[8])(void);
static unsigned int nafter;

void tap_register(struct tap_test *test)
{
	*last = test;
	last = &test->next;
}

void tap_after(bool (*fn)(void))
{
	if (nafter == ARRAY_SIZE(after))
		abort();
	after[nafter++] = fn;
}

static void line(const char *prefix, const char *fmt, va_list args)
{
	fputs(prefix, stdout);
	vprintf(fmt, args);
	putchar('\n');
	fflush(stdout);
}

void diag(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line("# ", fmt, args);
	va_end(args);
}

void skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line("# SKIP ", fmt, args);
	va_end(args);
	_exit(SKIPPED);
}

void tap_fail(const char *file, int where, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	char prefix[128];
	va_list args;

	snprintf(prefix, sizeof(prefix), "# %s:%d: ", base ? base + 1 : file, where);
	va_start(args, fmt);
	line(prefix, fmt, args);
	va_end(args);
	_exit(FAILED);
}

void tap_check_errno(const char *file, int where, const char *call, long ret,
		     int want)
{
	int got = errno;

	if (ret != -1)
		tap_fail(file, where, "%s returned %ld, expected it to fail with %s",
			 call, ret, strerrorname_np(want));
	if (got != want)
		tap_fail(file, where, "%s failed with %s, expected %s", call,
			 strerrorname_np(got), strerrorname_np(want));
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000l };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

uint64_t prng(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void fill(void *buf, size_t len, uint64_t seed)
{
	unsigned char *p = buf;
	uint64_t word;

	for (size_t i = 0; i < len; i += sizeof(word)) {
		word = prng(&seed);
		memcpy(p + i, &word, len - i < sizeof(word) ? len - i : sizeof(word));
	}
}

/* What a run may leave out, for tests/run. */
static void mark(const struct tap_test *t)
{
	if (t->full)
		printf(" full %s", t->full);
	else if (t->ways)
		printf(" way");
	else if (t->paths)
		printf(" path");
}

static void list(bool plan)
{
	for (struct tap_test *t = first; t; t = t->next) {
		for (size_t i = 0; i < t->variant_count || !(i || t->variants); i++) {
			printf("%s", t->name);
			if (t->variants)
				printf(".%s", *(const char *const *)
				       ((const char *)t->variants + i * t->variant_size));
			if (plan)
				mark(t);
			putchar('\n');
		}
	}
}

/* Finds a test by the name that list() gives it. */
static struct tap_test *find(const char *name, const void **variant)
{
	for (struct tap_test *t = first; t; t = t->next) {
		size_t len = strlen(t->name);

		*variant = NULL;
		if (!t->variants && !strcmp(t->name, name))
			return t;
		if (!t->variants || strncmp(t->name, name, len) || name[len] != '.')
			continue;
		for (size_t i = 0; i < t->variant_count; i++) {
			*variant = (const char *)t->variants + i * t->variant_size;
			if (!strcmp(*(const char *const *)*variant, name + len + 1))
				return t;
		}
	}
	return NULL;
}

bool on_debug_kernel(void)
{
	return !access("/proc/lockdep", F_OK);
}

unsigned int patience(unsigned int ms)
{
	static unsigned int slowness;
	const char *text = getenv("TEST_SLOWNESS");

	if (!slowness)
		slowness = text && atoi(text) > 0 ? atoi(text) : 1;
	return ms * slowness;
}

unsigned int stress_ms(unsigned int ms)
{
	const char *mode = getenv("TESTS_MODE");

	return mode && !strcmp(mode, "full") ? 8 * ms : ms;
}

/* Waits for the child's end, up to a time; false if it lives on. */
static bool ended(pid_t pid, int *status, unsigned int ms)
{
	struct pollfd child = { .fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int ready = poll(&child, 1, patience(ms));

	close(child.fd);
	return ready == 1 && waitpid(pid, status, WNOHANG) == pid;
}

static int verdict(const struct tap_test *t, pid_t pid)
{
	int status;

	if (!ended(pid, &status, t->seconds * 1000)) {
		kill(pid, SIGKILL);
		if (!ended(pid, &status, STUCK_MS)) {
			diag("not done after %u s, and stuck in the kernel: SIGKILL does not end it",
			     patience(t->seconds));
			_exit(FAILED);
		}
		diag("not done after %u s", patience(t->seconds));
		return FAILED;
	}
	if (WIFSIGNALED(status)) {
		diag("ended by signal %d (%s)", WTERMSIG(status),
		     strsignal(WTERMSIG(status)));
		return FAILED;
	}
	switch (WEXITSTATUS(status)) {
	case PASSED:
	case SKIPPED:
		return WEXITSTATUS(status);
	}
	return FAILED;
}

static int run(const struct tap_test *t, const void *variant)
{
	pid_t pid;
	int ret;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		diag("fork: %m");
		return FAILED;
	}
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		t->run(variant);
		fflush(stdout);
		_exit(PASSED);
	}
	ret = verdict(t, pid);
	for (unsigned int i = 0; i < nafter; i++)
		if (!after[i]())
			ret = FAILED;
	return ret;
}

int tap_main(int argc, char **argv)
{
	const struct tap_test *t;
	const void *variant;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2) {
		fprintf(stderr, "usage: %s --list | --plan | NAME\n", argv[0]);
		return USAGE;
	}
	if (!strcmp(argv[1], "--list") || !strcmp(argv[1], "--plan")) {
		list(!strcmp(argv[1], "--plan"));
		return 0;
	}
	t = find(argv[1], &variant);
	if (!t) {
		printf("# no test '%s' in %s\n", argv[1], argv[0]);
		return FAILED;
	}
	return run(t, variant);
}
