/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C side of the test contract that tests/run drives. A test file is a
 * program that answers to
 *
 *	FILE --list	its tests, a name a line, in the order they stand in
 *	FILE --plan	the same, each with what a run may do with it: tests/lib/run/plan.sh
 *	FILE NAME	runs one; exit 0 passed, 1 failed, 4 skipped
 *
 * A test runs in a process of its own, with a time limit: what it crashes or
 * hangs ends as a failure with a sentence. The first check that fails ends it.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Seconds a test has; emulated machines are slow. TEST_LIMIT changes it. */
#define TAP_SECONDS 30

struct tap_test {
	const char *name;
	void (*run)(const void *variant);
	const void *variants;
	size_t variant_size;
	size_t variant_count;
	unsigned int seconds;
	bool ways, paths;
	const char *full;
	struct tap_test *next;
};

void tap_register(struct tap_test *test);

/*
 * Called in the parent when a test has ended, however that was; false: it could
 * not tidy up, which fails the test.
 */
void tap_after(bool (*fn)(void));

#define TAP_REGISTER(id, ...)						\
	__attribute__((constructor)) static void id##_register(void)	\
	{								\
		static struct tap_test test = {				\
			.name = #id, .run = id##_run, __VA_ARGS__	\
		};							\
		tap_register(&test);					\
	}

/* A test with a time limit of its own. */
#define TEST_LIMIT(id, limit)						\
	static void id(void);						\
	static void id##_run(const void *v)				\
	{								\
		(void)v;						\
		id();							\
	}								\
	TAP_REGISTER(id, .seconds = (limit))				\
	static void id(void)

#define TEST(id) TEST_LIMIT(id, TAP_SECONDS)

#define TAP_VARIANTS(id, table, ...)					\
	static void id(const __typeof__((table)[0]) *v);		\
	static void id##_run(const void *v)				\
	{								\
		id(v);							\
	}								\
	TAP_REGISTER(id, .variants = (table),				\
		     .variant_size = sizeof((table)[0]),		\
		     .variant_count = ARRAY_SIZE(table), __VA_ARGS__)	\
	static void id(const __typeof__((table)[0]) *v)

/*
 * A test for each element of an array of structs, whose first member is the
 * variant's name: it is listed as id.name, and finds the element in v.
 */
#define TEST_V_LIMIT(id, table, limit)					\
	TAP_VARIANTS(id, table, .seconds = (limit))

#define TEST_V(id, table) TEST_V_LIMIT(id, table, TAP_SECONDS)

/*
 * The same where each element takes the code along a path of its own, so that none of them
 * stands for the others: every run has them all.
 */
#define TEST_PATHS_LIMIT(id, table, limit)				\
	TAP_VARIANTS(id, table, .seconds = (limit), .paths = true)

#define TEST_PATHS(id, table) TEST_PATHS_LIMIT(id, table, TAP_SECONDS)

/*
 * The same where the elements are ways to one end, as one queue or four are, and any of
 * them shows what the test is there for: a run that is not full has one of them.
 */
#define TEST_WAYS_LIMIT(id, table, limit)				\
	TAP_VARIANTS(id, table, .seconds = (limit), .ways = true)

#define TEST_WAYS(id, table) TEST_WAYS_LIMIT(id, table, TAP_SECONDS)

/* The same where no other than a full run has any of them; the reason is told. */
#define TEST_FULL(id, table, limit, reason)				\
	TAP_VARIANTS(id, table, .seconds = (limit), .full = (reason))

/* A diagnostic line. */
void diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Ends the test as not run, with the reason. */
void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

void tap_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));

/* Ends the test as failed, with the reason. */
#define fail(...) tap_fail(__FILE__, __LINE__, __VA_ARGS__)

/* check(CONDITION, FMT...): fails with the sentence unless it holds. */
#define check(cond, ...)						\
	do {								\
		if (!(cond))						\
			tap_fail(__FILE__, __LINE__, __VA_ARGS__);	\
	} while (0)

/* check_eq(GOT, WANT): both are taken as 64-bit integers. */
#define check_eq(got, want)						\
	do {								\
		long long got_ = (long long)(got);			\
		long long want_ = (long long)(want);			\
		if (got_ != want_)					\
			tap_fail(__FILE__, __LINE__,			\
				 "%s is %lld, expected %lld (%s)",	\
				 #got, got_, want_, #want);		\
	} while (0)

/* For calls that return -1 and errno where they fail. */
#define check_ok(call)							\
	({								\
		__typeof__(call) ret_ = (call);				\
		if (ret_ == (__typeof__(call))-1)			\
			tap_fail(__FILE__, __LINE__, "%s: %m", #call);	\
		ret_;							\
	})

/* check_errno(CALL, ERRNO): the call must fail, and with that. */
#define check_errno(call, want)						\
	tap_check_errno(__FILE__, __LINE__, #call, (call), (want))

void tap_check_errno(const char *file, int line, const char *call, long ret,
		     int want);

/* Milliseconds of a clock that only goes forward. */
uint64_t now_ms(void);

void sleep_ms(unsigned int ms);

/* What main() is, unless a test file has one of its own: the contract above. */
int tap_main(int argc, char **argv);

/*
 * Does the kernel check its locks? What is not ours fails there now and then, and
 * lockdep tells of one such thing only, and of nothing after that.
 */
bool on_debug_kernel(void);

/*
 * How long to wait for what must come: the time that will do on a usual machine,
 * times TEST_SLOWNESS from the environment.
 */
unsigned int patience(unsigned int ms);

/* How long to look for what happens now and then: ms, and in a full run eight times that. */
unsigned int stress_ms(unsigned int ms);

/* A small deterministic generator: a failing sequence can be repeated. */
uint64_t prng(uint64_t *state);

/* Fills a buffer so that every byte depends on its place and on the seed. */
void fill(void *buf, size_t len, uint64_t seed);

#endif
