// SPDX-License-Identifier: GPL-2.0
#include <endian.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blk.h"
#include "devices.h"
#include "integrity.h"
#include "tap.h"
#include "targets.h"

#define SCSI_DEBUG_MB 16
#define DATA "/tmp/vst.data"

struct tuple {
	uint16_t guard, app;
	uint32_t ref;
} __attribute__((packed));

/* T10 CRC, as slowly as it is plain. */
static uint16_t crc(const unsigned char *data, unsigned int len)
{
	uint16_t c = 0;

	for (unsigned int i = 0; i < len; i++) {
		c ^= data[i] << 8;
		for (unsigned int bit = 0; bit < 8; bit++)
			c = c & 0x8000 ? c << 1 ^ 0x8bb7 : c << 1;
	}
	return c;
}

unsigned char *pi_protected(uint32_t lba, unsigned int blocks, uint64_t seed)
{
	unsigned char *bytes = malloc(blocks * (PI_TUPLE + SECTOR));
	unsigned char *data = bytes + blocks * PI_TUPLE;
	struct tuple *t = (struct tuple *)bytes;

	fill(data, blocks * SECTOR, seed);
	for (unsigned int i = 0; i < blocks; i++)
		t[i] = (struct tuple){
			.guard = htobe16(crc(data + i * SECTOR, SECTOR)),
			.app = htobe16(0x1200 + i), .ref = htobe32(lba + i),
		};
	return bytes;
}

static bool format_is(const char *sys, const char *format)
{
	char path[320], got[64];

	snprintf(path, sizeof(path), "%s/integrity/format", sys);
	return first_line(path, got, sizeof(got)) && !strcmp(got, format);
}

/* Names of controllers come as they may. */
static const char *find_nvme(const char *format)
{
	uint64_t end = now_ms() + patience(10000);
	const char *found = NULL;
	char *path;
	glob_t g;

	run_command("modprobe nvme");
	for (; !found && now_ms() < end; sleep_ms(20)) {
		if (glob("/sys/block/nvme*n1", 0, NULL, &g))
			continue;
		for (size_t i = 0; i < g.gl_pathc && !found; i++) {
			if (!format_is(g.gl_pathv[i], format))
				continue;
			check(asprintf(&path, "/dev/%s", strrchr(g.gl_pathv[i], '/') + 1) > 0,
			      "out of memory");
			found = path;
		}
		globfree(&g);
	}
	return found;
}

const char *pi_disk_new(const struct pi_disk *d)
{
	char sys[300];
	const char *path;

	if (!d->scsi_debug) {
		path = find_nvme(d->format);
		check(path, "no NVMe namespace with protection %s", d->format);
		return path;
	}
	path = scsi_debug_new(SCSI_DEBUG_MB, d->scsi_debug);
	snprintf(sys, sizeof(sys), "/sys/block/%s", strrchr(path, '/') + 1);
	check(format_is(sys, d->format), "%s has not protection %s", path, d->format);
	return path;
}

/*
 * Data and protection of one block, as they are but for what the command does to the
 * data, in the place of another.
 */
static void nvme_move(const char *path, uint64_t from, uint64_t to, const char *command)
{
	const char *args = "-c 0 -z 512 -y 8 -d " DATA " -M " DATA ".pi";

	run_command("{ nvme read %s -s %llu %s && %s && nvme write --force %s -s %llu %s; } >" DATA ".log "
		    "2>&1 || { sed 's/^/# /' " DATA ".log; false; }",
		    path, (unsigned long long)from, args, command, path,
		    (unsigned long long)to, args);
}

void pi_damage(const char *path, uint64_t sector)
{
	const char *name = strrchr(path, '/') + 1;
	unsigned char data[SECTOR];

	fill(data, SECTOR, 99);
	if (strstr(name, "nvme")) {
		nvme_move(path, sector, sector, "printf X | dd of=" DATA " conv=notrunc 2>&1");
		return;
	}
	run_command("echo 0 >/sys/block/%s/integrity/write_generate", name);
	device_write(path, sector * SECTOR, data, SECTOR);
	run_command("echo 1 >/sys/block/%s/integrity/write_generate", name);
}

void pi_misdirect(const struct pi_disk *d, const char *path, uint64_t to,
		  void (*write)(void *arg, uint64_t sector, const void *data), void *arg)
{
	unsigned char data[SECTOR];

	if (!d->scsi_debug) {
		nvme_move(path, 20, to, "true");
		return;
	}
	/* With virtual_gb, what it has of memory is there again and again. */
	fill(data, SECTOR, 98);
	write(arg, to + SCSI_DEBUG_MB * 2048, data);
}

static void read_file(const char *path, void *to, size_t len)
{
	FILE *f = fopen(path, "r");

	check(f && fread(to, 1, len, f) == len, "%s: %m", path);
	fclose(f);
}

void pi_read_nvme(const char *path, uint64_t sector, void *data, void *tuple)
{
	run_command("nvme read %s -s %llu -c 0 -z %d -y %d -d " DATA " -M " DATA ".pi >" DATA
		    ".log 2>&1", path, (unsigned long long)sector, SECTOR, PI_TUPLE);
	read_file(DATA, data, SECTOR);
	read_file(DATA ".pi", tuple, PI_TUPLE);
}
