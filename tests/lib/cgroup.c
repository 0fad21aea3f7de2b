// SPDX-License-Identifier: GPL-2.0
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cgroup.h"
#include "devices.h"
#include "tap.h"

#define ROOT "/sys/fs/cgroup"

static FILE *open_file(const char *group, const char *name)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", group, name);
	f = fopen(path, "re");
	check(f, "%s: %m", path);
	return f;
}

/* The words that a file's first line has. */
static void need_controllers(void)
{
	FILE *f = open_file(ROOT, "cgroup.controllers");
	char line[256] = "";

	if (!fgets(line, sizeof(line), f) || !strstr(line, "io ") || !strstr(line, "memory"))
		skip("this kernel's groups have no io or no memory: %s", line);
	fclose(f);
}

const char *cgroup_new(void)
{
	static unsigned int made;
	char *group;

	need_controllers();
	put_attribute(ROOT, "cgroup.subtree_control", "+io +memory");
	check(asprintf(&group, ROOT "/vst%u", made++) > 0, "out of memory");
	check_ok(mkdir(group, 0755));
	return group;
}

void cgroup_enter(const char *group)
{
	put_attribute(group, "cgroup.procs", "0");
}

long cgroup_number(const char *group, const char *file, const char *key)
{
	FILE *f = open_file(group, file);
	char line[160], format[48];
	long number = -1;

	snprintf(format, sizeof(format), "%s%%ld", key ?: "");
	while (number < 0 && fgets(line, sizeof(line), f))
		if (!key || !strncmp(line, key, strlen(key)))
			sscanf(line, format, &number);
	fclose(f);
	check(number >= 0, "%s/%s says nothing of %s", group, file, key ?: "a number");
	return number;
}

/* MAJOR:MINOR */
static void number_of(const char *disk, char *text, size_t size)
{
	struct stat st;

	check_ok(stat(disk, &st));
	snprintf(text, size, "%u:%u", major(st.st_rdev), minor(st.st_rdev));
}

uint64_t cgroup_io(const char *group, const char *disk, const char *key)
{
	FILE *f = open_file(group, "io.stat");
	char number[32], line[400], *at;
	uint64_t value = 0;

	number_of(disk, number, sizeof(number));
	strcat(number, " ");
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, key);
		if (!strncmp(line, number, strlen(number)) && at)
			value = strtoull(at + strlen(key) + 1, NULL, 10);
	}
	fclose(f);
	return value;
}

void cgroup_limit_io(const char *group, const char *disk, const char *limit)
{
	char number[32], text[64];

	number_of(disk, number, sizeof(number));
	snprintf(text, sizeof(text), "%s %s", number, limit);
	put_attribute(group, "io.max", text);
}

static bool sweep(void)
{
	bool good = true;
	glob_t found;

	if (glob(ROOT "/vst*", 0, NULL, &found))
		return true;
	for (size_t i = 0; i < found.gl_pathc; i++)
		good &= rmdir_soon(found.gl_pathv[i]);
	globfree(&found);
	return good;
}

__attribute__((constructor)) static void cgroup_register(void)
{
	tap_after(sweep);
}
