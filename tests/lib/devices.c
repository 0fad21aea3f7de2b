// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices.h"
#include "tap.h"

/* There may be no udev to wait for. */
#define DMSETUP "dmsetup --noudevsync"
#define LOOP_FILES "/dev/shm"
#define NULLB_DIR "/sys/kernel/config/nullb"

static unsigned int made;

void run_command(const char *fmt, ...)
{
	char command[1024];
	va_list args;
	int status;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	status = system(command);
	check(status == 0, "'%s' ended with status %d", command, WEXITSTATUS(status));
}

void put_attribute(const char *dir, const char *name, const char *value)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	check(fd >= 0, "open %s: %m", path);
	check(write(fd, value, strlen(value)) >= 0, "write '%s' to %s: %m", value, path);
	close(fd);
}

static void put_number(const char *dir, const char *name, unsigned long long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", value);
	put_attribute(dir, name, text);
}

/* "name=value name=value" */
static void put_all(const char *dir, const char *attributes)
{
	char *copy = strdup(attributes), *next = copy, *word, *value;

	while ((word = strsep(&next, " "))) {
		value = strchr(word, '=');
		check(value, "'%s' is not name=value", word);
		*value = 0;
		put_attribute(dir, word, value + 1);
	}
	free(copy);
}

bool first_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "r");
	bool got = f && fgets(line, size, f);

	if (f)
		fclose(f);
	line[got ? strcspn(line, "\n") : 0] = 0;
	return got;
}

/* What was the name of the device: kernels differ in what they call it. */
static const char *node(const char *dir, const char *name)
{
	char path[300], text[16], *found;

	check(asprintf(&found, "/dev/%s", name) > 0, "out of memory");
	if (!access(found, F_OK))
		return found;
	free(found);
	snprintf(path, sizeof(path), "%s/index", dir);
	check(first_line(path, text, sizeof(text)), "%s: %m", path);
	check(asprintf(&found, "/dev/nullb%s", text) > 0, "out of memory");
	check(!access(found, F_OK), "neither /dev/%s nor %s is there", name, found);
	return found;
}

/* The faults that null_blk has of its own tell of each, with a stack. */
static void quiet_faults(const char *nullb)
{
	static const char *const faults[] = { "timeout_inject", "requeue_inject" };
	char dir[96];

	for (unsigned int i = 0; i < ARRAY_SIZE(faults); i++) {
		snprintf(dir, sizeof(dir), "%s/%s", nullb, faults[i]);
		if (!access(dir, F_OK))
			put_attribute(dir, "verbose", "0");
	}
}

const char *file_new(unsigned int mb)
{
	int fd = check_ok(memfd_create("vst", MFD_CLOEXEC));
	char *path;

	check_ok(ftruncate(fd, (off_t)mb << 20));
	check(asprintf(&path, "/proc/self/fd/%d", fd) > 0, "out of memory");
	return path;
}

const char *nullb_new(const struct nullb *opts)
{
	char dir[64], name[16];

	if (access(NULLB_DIR, F_OK))
		run_command("modprobe null_blk nr_devices=0");
	snprintf(name, sizeof(name), "vst%u", made++);
	snprintf(dir, sizeof(dir), "%s/%s", NULLB_DIR, name);
	check(!mkdir(dir, 0755), "mkdir %s: %m", dir);
	put_number(dir, "size", opts->mb ?: 16);
	put_number(dir, "blocksize", opts->blocksize ?: 512);
	put_number(dir, "memory_backed", !opts->discards_data);
	put_number(dir, "irqmode", opts->delay_ms ? 2 : 0);
	if (opts->delay_ms)
		put_number(dir, "completion_nsec", opts->delay_ms * 1000000ull);
	if (opts->attributes)
		put_all(dir, opts->attributes);
	quiet_faults(dir);
	put_attribute(dir, "power", "1");
	return node(dir, name);
}

const char *loop_new(unsigned int mb, unsigned int blocksize)
{
	char path[32], file[64], command[128];
	FILE *f;

	snprintf(file, sizeof(file), LOOP_FILES "/vst%u", made++);
	run_command("modprobe loop && truncate -s %uM %s", mb, file);
	snprintf(command, sizeof(command), "losetup -f --show -b %u %s", blocksize, file);
	f = popen(command, "r");
	check(f && fgets(path, sizeof(path), f) && !pclose(f), "losetup of %s failed", file);
	path[strcspn(path, "\n")] = 0;
	return strdup(path);
}

/* The name of the device-mapper device dm-N, or an empty one. */
static void dm_name(const char *dm, char *name, size_t size)
{
	char path[300];

	snprintf(path, sizeof(path), "/sys/block/%s/dm/name", dm);
	first_line(path, name, size);
}

/* Nodes by name are udev's work; the kernel's own are always there. */
static char *dm_find(const char *name)
{
	DIR *d = opendir("/sys/block");
	char found[128], *path = NULL;
	struct dirent *e;

	check(d, "/sys/block: %m");
	while (!path && (e = readdir(d))) {
		dm_name(e->d_name, found, sizeof(found));
		if (!strcmp(found, name))
			check(asprintf(&path, "/dev/%s", e->d_name) > 0, "out of memory");
	}
	closedir(d);
	check(path, "no device is called %s", name);
	return path;
}

const char *file_on(const char *disk, unsigned int mb)
{
	static const char path[] = "/mnt/vst";

	check_ok(unshare(CLONE_NEWNS));
	run_command("mount --make-rprivate / && modprobe ext4 && "
		    "mkfs.ext4 -q -O ^has_journal %s && mount -o discard %s /mnt && "
		    "dd if=/dev/zero of=%s bs=1M count=%u conv=fsync status=none",
		    disk, disk, path, mb);
	return path;
}

const char *dm_new(const char *table)
{
	char name[16];

	snprintf(name, sizeof(name), "vst%u", made++);
	run_command("printf '%s' | " DMSETUP " create %s >/dev/null", table, name);
	return dm_find(name);
}

static const char *linear_table(const char *lower, uint64_t sectors)
{
	static char table[300];

	snprintf(table, sizeof(table), "0 %llu linear %s 0\\n", (unsigned long long)sectors, lower);
	return table;
}

const char *dm_linear_new(const char *lower, uint64_t sectors)
{
	return dm_new(linear_table(lower, sectors));
}

const char *dm_half_delayed_new(const char *lower, uint64_t sectors, unsigned int ms)
{
	unsigned long long half = sectors / 2;
	char table[300];

	run_command("modprobe dm_delay");
	snprintf(table, sizeof(table), "0 %llu linear %s 0\\n%llu %llu delay %s %llu %u\\n",
		 half, lower, half, half, lower, half, ms);
	return dm_new(table);
}

static int open_direct(const char *path, int flags)
{
	int fd = open(path, flags | O_DIRECT | O_CLOEXEC);

	check(fd >= 0, "open %s: %m", path);
	return fd;
}

void dm_set(const char *path, const char *table)
{
	char name[128];

	dm_name(strrchr(path, '/') + 1, name, sizeof(name));
	run_command(DMSETUP " suspend %s && printf '%s' | " DMSETUP " load %s && "
		    DMSETUP " resume %s", name, table, name, name);
}

void dm_linear_set(const char *path, const char *lower, uint64_t sectors)
{
	dm_set(path, linear_table(lower, sectors));
}

uint64_t device_sectors(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint64_t bytes;

	check(fd >= 0, "open %s: %m", path);
	check_ok(fstat(fd, &st));
	bytes = st.st_size;
	if (S_ISBLK(st.st_mode))
		check_ok(ioctl(fd, BLKGETSIZE64, &bytes));
	close(fd);
	return bytes / 512;
}

/* O_DIRECT wants an aligned buffer. */
static void *aligned(size_t len)
{
	void *p;

	check(!posix_memalign(&p, 4096, len), "out of memory");
	return p;
}

void device_read(const char *path, uint64_t offset, void *buf, size_t len)
{
	int fd = open_direct(path, O_RDONLY);
	void *p = aligned(len);

	check_eq(pread(fd, p, len, offset), len);
	memcpy(buf, p, len);
	free(p);
	close(fd);
}

void device_write(const char *path, uint64_t offset, const void *buf, size_t len)
{
	int fd = open_direct(path, O_WRONLY);
	void *p = aligned(len);

	memcpy(p, buf, len);
	check_eq(pwrite(fd, p, len, offset), len);
	free(p);
	close(fd);
}

/* Calls fn for each entry of a folder; all must succeed. */
static bool for_each(const char *dir, bool (*fn)(const char *name))
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool good = true;

	if (!d)
		return true;
	while ((e = readdir(d)))
		good &= fn(e->d_name);
	closedir(d);
	return good;
}

static bool is_ours(const char *name)
{
	return !strncmp(name, "vst", 3);
}

static bool remove_dm(const char *dm)
{
	char command[320], name[128];

	dm_name(dm, name, sizeof(name));
	if (!is_ours(name))
		return true;
	snprintf(command, sizeof(command), DMSETUP " remove --retry %s", name);
	if (!system(command))
		return true;
	diag("could not remove the device %s", name);
	return false;
}

static bool remove_loop(const char *name)
{
	char command[400];

	if (!is_ours(name))
		return true;
	snprintf(command, sizeof(command),
		 "losetup -j " LOOP_FILES "/%s -O NAME -n | xargs -r losetup -d && "
		 "rm " LOOP_FILES "/%s", name, name);
	if (!system(command))
		return true;
	diag("could not remove the loop device of %s", name);
	return false;
}

static bool remove_nullb(const char *name)
{
	char path[300];

	if (!is_ours(name))
		return true;
	snprintf(path, sizeof(path), "%s/%s", NULLB_DIR, name);
	return rmdir_soon(path);
}

/* What held the folder may be on its way out: retried for a while. */
bool rmdir_soon(const char *path)
{
	for (int i = 0; rmdir(path) && errno != ENOENT; i++) {
		if (i == 100) {
			diag("rmdir %s: %m", path);
			return false;
		}
		sleep_ms(20);
	}
	return true;
}

static bool sweep(void)
{
	/* Device-mapper's come first: they lie over the others. */
	bool good = for_each("/sys/block", remove_dm);

	good &= for_each(LOOP_FILES, remove_loop);
	return for_each(NULLB_DIR, remove_nullb) && good;
}

__attribute__((constructor)) static void devices_register(void)
{
	tap_after(sweep);
}
