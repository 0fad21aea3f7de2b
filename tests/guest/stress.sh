#!/bin/bash
# Runs in the guest, for tests/guest/filesystem: makes a file system on /dev/vda,
# stresses it, and meanwhile puts files there that are to be found again.
#
#	stress.sh FILESYSTEM SECONDS FILES
#
# Prints what keep.py does. The stress is nice: on an emulated machine what is kept would
# else wait minutes for a CPU, and not for the disk.
set -eu -o pipefail

fs=$1 seconds=$2 files=$3
here=$(dirname "$0")

# Files and folders that come, go, and change their names, sizes and holes.
names()
{
	nice -n 19 stress-ng --temp-path /mnt/names --timeout "$seconds" --verify \
		--dentry 1 --dentries 256 --dir 1 --dir-dirs 64 --rename 1 \
		--fallocate 1 --fallocate-bytes 8m --hdd 1 --hdd-bytes 8m
}

# finish JOB FILE: it must have succeeded; FILE is what it said.
finish()
{
	wait "$1" || {
		tail -n 20 "$2"
		exit 98
	}
}

modprobe "$fs"
case $fs in
ext4)	mkfs.ext4 -q -F /dev/vda ;;
xfs)	mkfs.xfs -q -f /dev/vda ;;
esac
mount -o discard /dev/vda /mnt
mkdir /mnt/keep /mnt/names /mnt/stress
STRESS_SECONDS=$seconds nice -n 19 fio "$here/stress.fio" >/tmp/fio.out 2>&1 &
fio=$!
names >/tmp/names.out 2>&1 &
names=$!
python3 "$here/keep.py" /mnt/keep "$files"
finish $fio /tmp/fio.out
finish $names /tmp/names.out
umount /mnt
