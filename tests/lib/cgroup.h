/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Groups of cgroup v2 for tests, with the controllers io and memory: they go when
 * the test has ended.
 */
#ifndef TESTS_CGROUP_H
#define TESTS_CGROUP_H

#include <stdint.h>

/* Makes one, returns its folder; skips where a controller is missing. */
const char *cgroup_new(void);
/* All threads of this process move there. */
void cgroup_enter(const char *group);
/* The number behind a key in one of its files, or, without a key, at its start. */
long cgroup_number(const char *group, const char *file, const char *key);
/* The number "key=" of a disk in io.stat; 0 where nothing is told of it. */
uint64_t cgroup_io(const char *group, const char *disk, const char *key);
/* Its io.max of a disk: "rbps=N" and the like, "rbps=max" for none. */
void cgroup_limit_io(const char *group, const char *disk, const char *limit);

#endif
