#!/bin/bash
# What sg3-utils asks of a disk, beyond what its driver does; in the guest, with a disk of
# 64 MiB as LUN 0 and another one as LUN 1. sg3.sh [nocopy]: but for EXTENDED COPY.
set -eu
trap 'echo "sg3.sh: line $LINENO"' ERR

# sg_of DISK: the other name of it.
sg_of()
{
	basename "$(realpath "/sys/block/${1##*/}/device/generic")"
}

# disk_of LUN: the names of both are given in any order.
disk_of()
{
	local dir

	for _ in $(seq 100); do
		for dir in /sys/bus/scsi/devices/*:"$1"/block/*; do
			[ ! -d "$dir" ] || break 2
		done
		sleep 0.1
	done
	echo "/dev/${dir##*/}"
}

# same DISK BLOCK BLOCKS FILE
same()
{
	dd if="$1" iflag=direct bs=512 skip="$2" count="$3" status=none | cmp - "$4"
}

# must_end STATUS COMMAND...
must_end()
{
	local status=0

	"${@:2}" >/dev/null 2>&1 || status=$?
	[ "$status" = "$1" ] || { echo "sg3.sh: ${*:2}: $status"; exit 1; }
}

modprobe -a virtio_scsi sd_mod sg
one=$(disk_of 0) two=$(disk_of 1)
cd /tmp
head -c 32768 /dev/urandom >data
head -c 32768 /dev/zero >zeroes

# What it is.
sg_inq "$one" | grep -q LIO-ORG
sg_vpd --page=0xb0 "$one" >/dev/null
[ "$(sg_luns "$one" | grep -c '^ *[0-9a-f]\{16\}$')" = 2 ]
sg_readcap --16 "$one" | grep -q "Number of logical blocks=131072"
sg_opcodes "$one" >opcodes
grep -qi "write same(16)" opcodes
grep -qi "compare and write" opcodes
sg_turs "$one"
sg_sync "$one"
sg_modes --all "$one" >/dev/null
sg_rtpg "$one" >/dev/null

# Data.
sg_dd if=data "of=$one" bs=512 count=64 2>/dev/null
same "$one" 0 64 data
sg_verify --lba=0 --count=64 "$one"
sg_unmap --force --lba=0 --num=64 "$one"
same "$one" 0 64 zeroes
head -c 512 data >block
yes block | head -n 64 | xargs cat >blocks
sg_write_same --16 --lba=64 --num=64 --xferlen=512 --in=block "$one"
same "$one" 64 64 blocks
cat block block >both
sg_compare_and_write --lba=64 --num=1 --in=both --quiet "$one"
head -c 1024 zeroes >both
# MISCOMPARE
must_end 14 sg_compare_and_write --lba=64 --num=1 --in=both --quiet "$one"

# Reservations: its own does not shut it out.
sg_persist --out --register --param-sark=abc "$one" >/dev/null
sg_persist --out --reserve --param-rk=abc --prout-type=3 "$one" >/dev/null
sg_persist --in --read-reservation "$one" | grep -q "Exclusive Access"
sg_dd if=data "of=$one" bs=512 count=64 2>/dev/null
same "$one" 0 64 data
sg_persist --out --release --param-rk=abc --prout-type=3 "$one" >/dev/null
sg_persist --out --register --param-rk=abc --param-sark=0 "$one" >/dev/null

# From one LUN to the other, by the target itself.
if [ "${1-}" != nocopy ]; then
	sg_xcopy "if=/dev/$(sg_of "$one")" "of=/dev/$(sg_of "$two")" bs=512 count=64 >/dev/null
	same "$two" 0 64 data
fi

# LOGICAL BLOCK ADDRESS OUT OF RANGE; a reset, of which the next command is told.
must_end 22 sg_raw -r 512 "$one" 28 00 00 10 00 00 00 00 01 00
sg_reset --device "$one"
sg_turs "$one" || sg_turs "$one"
