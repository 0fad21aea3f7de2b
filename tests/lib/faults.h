/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Allocations, and bios, that fail on demand, where the kernel has fault
 * injection: the debug kernel has it. Only tasks that were chosen meet a fault.
 *
 * The systematic way is fail-nth: of a thread's allocations the n-th fails, and
 * a test goes through n = 1, 2, ... until no fault fires any more.
 */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include <stdbool.h>
#include <sys/types.h>

/* The test is skipped where the kernel injects no faults. */
void faults_need(void);

/* No page of the process is to fault in while faults are counted, from here on. */
void faults_lock_memory(void);

/* Bios for this disk may fail, too. */
void faults_on_disk(const char *path);

/*
 * A thread of this process whose allocations may fail: files under /proc. Or all of the
 * kernel's workers, for which of them will run a work is not to be known: what else they do
 * meanwhile may meet a fault too, and shift the count. Those cannot be chosen.
 */
struct victim {
	int nth;
	int chosen;
	bool kworkers;
};

struct victim victim_self(void);
/* The worker of the device that was opened last. */
struct victim victim_worker(void);
struct victim victim_kworkers(void);
void victim_free(struct victim *v);

/* The n-th from now on fails. */
void fault_arm(const struct victim *v, unsigned int n);
/* None does any more; tells whether it was met. */
bool fault_met(const struct victim *v);

/* What a sweep keeps between its tries: each test file has its own. */
struct tries;
/*
 * @try sends a request of which the n-th allocation or bio fails, 0 for none; false: it has
 * no n-th. Until there is none; then pages of the kernel must not be missing. Returns how
 * many there were.
 */
unsigned int faults_sweep(struct tries *t, bool (*try)(struct tries *t, unsigned int n));

/* What a step keeps between its parts: as well. */
struct scene;
/*
 * A call of this thread that meets the faults, and what goes before and after it without
 * any. run returns 0, or -1 and errno, of which ENOMEM and may_fail are allowed.
 */
struct step {
	const char *name;
	const char *(*disk)(void);
	void (*before)(struct scene *s);
	int (*run)(struct scene *s);
	void (*after)(struct scene *s, bool worked);
	int may_fail;
	bool never_fails;
};

/* Each of its allocations fails once. */
void step_sweep(const struct step *step, struct scene *s);
/* Nothing is left from some point on; that moves until it works. */
void step_without_pages(const struct step *step, struct scene *s);

/*
 * The other way: for those chosen, each one fails with that chance in per cent. A
 * test is not to be chosen while it does anything but the call it is about.
 */
void victim_choose(const struct victim *v, bool chosen);
void faults_random(unsigned int percent);
/* All pages after the first n are refused to those chosen. */
void faults_out_of_pages(unsigned int n);
void faults_off(void);

/*
 * Pages of kernel memory that are charged to this process since the first call:
 * those that are neither freed nor in use are a leak that kmemleak does not see.
 */
long kernel_pages(void);

#endif
