# shellcheck shell=bash
# A disk of the scsi_debug driver for shell tests. Sourced after tap.sh.

# scsi_debug_make [PARAMETER=VALUE]...: its node into $scsi_debug_disk; it goes with
# modprobe -r scsi_debug.
scsi_debug_make()
{
	# And then it is off, for all that comes behind.
	[ ! -e /proc/lockdep ] || skip "lockdep tells of the kernel's own sd_remove(), in its end"
	modprobe sd_mod
	modprobe scsi_debug delay=0 "$@"
	until scsi_debug_disk=/dev/$(basename "$(ls -d \
		/sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*/block/*)") &&
		[ -b "$scsi_debug_disk" ]; do sleep 0.1; done 2>/dev/null
}
