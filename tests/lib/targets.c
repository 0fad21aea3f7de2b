// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices.h"
#include "tap.h"
#include "targets.h"

#define NVMET "/sys/kernel/config/nvmet"
#define NAME "vst"
#define SUBSYSTEM NVMET "/subsystems/" NAME
#define NAMESPACE SUBSYSTEM "/namespaces/1"
#define PORT NVMET "/ports/77"
#define SCSI_DISKS "/sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*/block/*"

/* The node that a shell command names, as soon as it is there. */
static const char *node_of(const char *command)
{
	uint64_t end = now_ms() + patience(10000);
	char name[64], *path = NULL;
	FILE *f;

	while (!path) {
		check(now_ms() < end, "'%s' names no disk", command);
		sleep_ms(20);
		f = popen(command, "r");
		if (f && fgets(name, sizeof(name), f)) {
			name[strcspn(name, "\n")] = 0;
			check(asprintf(&path, "/dev/%s", name) > 0, "out of memory");
		}
		pclose(f);
		if (path && access(path, F_OK)) {
			free(path);
			path = NULL;
		}
	}
	return path;
}

const char *nvmet_new(const char *backing)
{
	run_command("modprobe -a nvmet nvme-loop");
	run_command("mkdir " SUBSYSTEM " " NAMESPACE " " PORT);
	put_attribute(SUBSYSTEM, "attr_allow_any_host", "1");
	put_attribute(NAMESPACE, "device_path", backing);
	put_attribute(NAMESPACE, "enable", "1");
	put_attribute(PORT, "addr_trtype", "loop");
	run_command("ln -s " SUBSYSTEM " " PORT "/subsystems/" NAME);
	run_command("nvme connect -t loop -n " NAME " >/dev/null");
	return node_of("d=$(grep -lx " NAME " /sys/class/nvme/nvme*/subsysnqn) && "
		       "echo $(basename $(dirname $d))n1");
}

void nvmet_put(const char *attribute, const char *value)
{
	put_attribute(NAMESPACE, attribute, value);
}

void nvmet_disconnect(void)
{
	run_command("nvme disconnect -n " NAME " >/dev/null");
}

const char *scsi_debug_new(unsigned int mb, const char *options)
{
	/* And then lockdep is off, for all that comes behind. */
	if (on_debug_kernel())
		skip("lockdep tells of the kernel's own sd_remove(), when scsi_debug is unloaded");
	run_command("modprobe sd_mod && modprobe scsi_debug dev_size_mb=%u delay=0 %s", mb,
		    options);
	return node_of("basename " SCSI_DISKS);
}

static bool do_command(const char *command)
{
	return !system(command);
}

static bool sweep_nvmet(void)
{
	if (access(SUBSYSTEM, F_OK))
		return true;
	return do_command("nvme disconnect -n " NAME " >/dev/null; "
			  "rm -f " PORT "/subsystems/" NAME "; "
			  "rmdir " PORT " " NAMESPACE " " SUBSYSTEM);
}

static bool sweep_scsi(void)
{
	if (access("/sys/module/scsi_debug", F_OK))
		return true;
	for (int i = 0; i < 50; i++) {
		if (do_command("modprobe -r scsi_debug 2>/dev/null"))
			return true;
		sleep_ms(20);
	}
	diag("scsi_debug stays in use");
	return false;
}

static bool sweep(void)
{
	return sweep_nvmet() & sweep_scsi();
}

/* Before the rest: what the targets are over is theirs as long as they are there. */
__attribute__((constructor(200))) static void targets_register(void)
{
	tap_after(sweep);
}
