#!/bin/bash
# Runs in the guest, for tests/guest/filesystem: makes a file system on /dev/vda,
# stresses it, and meanwhile puts files there that are to be found again.
#
#	stress.sh FILESYSTEM SECONDS FILES
#
# Prints what keep.py does.
set -eu -o pipefail

fs=$1 seconds=$2 files=$3
here=$(dirname "$0")

# A tree that is copied, packed and removed while it changes, and so not all of it.
shuffle()
{
	local i=0

	until [ -e /tmp/enough ]; do
		i=$((i + 1))
		cp -a /mnt/keep "/mnt/copy$i" 2>/dev/null || :
		tar -C /mnt -cf "/mnt/$i.tar" "copy$i" stress 2>/dev/null || :
		rm -rf "/mnt/copy$i" "/mnt/$((i - 1)).tar"
		sync
	done
}

modprobe -a virtio_blk "$fs"
case $fs in
ext4)	mkfs.ext4 -q -F /dev/vda ;;
xfs)	mkfs.xfs -q -f /dev/vda ;;
esac
mount -o discard /dev/vda /mnt
mkdir /mnt/keep /mnt/stress
STRESS_SECONDS=$seconds fio "$here/stress.fio" >/tmp/fio.out 2>&1 &
fio=$!
shuffle &
shuffle=$!
python3 "$here/keep.py" /mnt/keep "$files"
wait $fio || {
	tail -n 20 /tmp/fio.out
	exit 98
}
touch /tmp/enough
wait $shuffle
umount /mnt
