# shellcheck shell=bash
# What a guest does while it is moved: work.sh DISK. fio with a checksum in each block, on
# 4 jobs at depth 32, and files on ext4; until it is enough, see tests/lib/migrate.sh.
set -eu

disk=$1

blocks()
{
	local n=0

	until [ -e /tmp/enough ]; do
		fio --name=moved --filename="${disk}2" --rw=randrw --bs=4k --size=1M --numjobs=4 \
			--offset_increment=16M --ioengine=io_uring --iodepth=32 --direct=1 \
			--verify=crc32c --verify_fatal=1 --verify_state_save=0 --group_reporting \
			>/tmp/fio 2>&1 || { cat /tmp/fio; return 1; }
		n=$((n + 1))
	done
	echo "fio: $n times, all checksums right"
}

# Each is stable before the next one begins.
files()
{
	local n=0 name

	until [ -e /tmp/enough ]; do
		name=/mnt/$((n % 40))
		head -c $((n * 70001 % 190001 + 1)) /dev/urandom >"$name.new"
		sync "$name.new"
		sha256sum <"$name.new" >"$name.sum"
		mv "$name.new" "$name"
		[ $n != 0 ] || echo "the first file"
		n=$((n + 1))
	done
	umount /mnt
	mount "${disk}1" /mnt
	for name in /mnt/*.sum; do
		sha256sum <"${name%.sum}" | cmp -s - "$name" || { echo "wrong: $name"; return 1; }
	done
	umount /mnt
	echo "files: $n written, all sums right"
}

# Memory that is plugged is used, before what there was.
await_memory()
{
	local had

	echo online >/sys/devices/system/memory/auto_online_blocks
	had=$(awk '/MemTotal/ { print $2 }' /proc/meminfo)
	until [ "$(awk '/MemTotal/ { print $2 }' /proc/meminfo)" -gt "$had" ]; do
		sleep 1
	done
	echo plugged
}

modprobe -a virtio_scsi sd_mod
# It may have to be found yet.
until [ -b "$disk" ]; do sleep 0.5; done
printf '%s\n' 'label: dos' ',96M' ',' | sfdisk -q "$disk"
mkfs.ext4 -q "${disk}1"
mount "${disk}1" /mnt
await_memory &
blocks &
blocks_pid=$!
files &
files_pid=$!
queues=$(find "/sys/block/${disk##*/}/mq" -mindepth 1 -maxdepth 1 | wc -l)
protection=$(cat "/sys/block/${disk##*/}/integrity/format" 2>/dev/null || echo none)
echo "started: $(nproc) CPUs, $queues queues, protection information: $protection"
wait $blocks_pid
wait $files_pid
# What a request that failed or was tried again leaves behind; but LIO's iblock has no WRITE
# SAME for a LUN with protection information, and Linux writes the zeroes itself then.
! dmesg | grep -v WRITE_ZEROES |
	grep -wE 'I/O error|timing out|timed out|abort|aborting|reset|resetting'
