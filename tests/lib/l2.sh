# shellcheck shell=bash
# A guest (L2) for shell tests, and QMP to its QEMU. Sourced after tap.sh.

# shellcheck source=tests/lib/nullb.sh
. "$(dirname "${BASH_SOURCE[0]}")/nullb.sh"

project=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
l2_disk=/dev/nvme0n1

# The NVMe disk of this VM, see tests/guest/testbed, with the module loaded.
l2_prepare()
{
	modprobe -a nvme vhost_blk
	l2_until 20 test -b $l2_disk || fail "no $l2_disk: boot L1 with --disk"
	l2_dir=$(mktemp -d)
	l2_pid='' l2_qmp='' l2_on=()
	trap l2_cleanup EXIT
}

l2_cleanup()
{
	[ -z "$l2_pid" ] || kill "$l2_pid" 2>/dev/null || :
	pkill -f "qmp.*$l2_dir" || :
	wait
	rm -rf "$l2_dir"
}

# l2_until SECONDS COMMAND...: waits until COMMAND succeeds; longer where the
# machine is slow, see tests/run. It looks less often the longer it waits: to look takes
# the CPU that the guest has.
l2_until()
{
	local begin=$SECONDS end=$((SECONDS + $1 * ${TEST_SLOWNESS:-1}))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep $((SECONDS - begin < 10 ? 0 : 1)).2
	done
}

# A disk that a test can change under the guest: l2_dm NAME TABLE, into $l2_disk.
l2_dm()
{
	modprobe dm_mod
	dmsetup --noudevsync create "$1" --table "$2"
	dmsetup mknodes "$1"
	l2_disk=/dev/mapper/$1
}

# Gives it another table.
l2_dm_load()
{
	dmsetup --noudevsync suspend --noflush --nolockfs "$1"
	dmsetup --noudevsync load "$1" --table "$2"
	dmsetup --noudevsync resume "$1"
}

# A zoned disk, of 16 zones of 4 MiB, two of them conventional, into $l2_disk:
# l2_zoned [ATTRIBUTE=VALUE]...
l2_zoned()
{
	l2_remove_zoned
	nullb_make l2zoned size=64 memory_backed=1 zoned=1 zone_size=4 zone_capacity=3 \
		zone_nr_conv=2 zone_max_open=6 zone_max_active=8 "$@"
	l2_disk=/dev/l2zoned
}

l2_remove_zoned()
{
	nullb_remove l2zoned
}

# The options of a vhost-blk disk: l2_drive PROPERTIES, into the array drive.
l2_drive()
{
	# shellcheck disable=SC2034 # the caller's
	drive=(-blockdev "host_device,node-name=disk0,filename=$l2_disk,cache.direct=on"
		-device "vhost-blk-pci,drive=disk0,id=blk0${1:+,$1}")
}

# l2_start [QEMU OPTION]... -- COMMAND...: in the background. It goes on from a snapshot of a
# guest that has booted; with l2_snapshot empty it boots, with its devices there from the beginning.
l2_start()
{
	rm -rf "$l2_dir/run"
	GUEST_SNAPSHOT=${l2_snapshot-1} GUEST_DIR=$l2_dir/run "$project/scripts/testbed" guest \
		-m 512M -qmp "unix:$l2_dir/qmp,server=on,wait=off" "$@" >"$l2_dir/out" 2>&1 &
	l2_pid=$!
}

# l2_says LINE [SECONDS]: until the guest has printed it.
l2_says()
{
	l2_until "${2-240}" grep -q "^$1" "$l2_dir/out" && return
	l2_tell
	l2_tell_stuck
	fail "the guest did not say '$1'"
}

# What is known of the guest, for a test that failed.
l2_tell()
{
	tail -n 15 "$l2_dir/out" "$l2_dir/run/qemu.log" "$l2_dir/run/console.log" 2>/dev/null |
		sed 's/^/# /'
}

# Where it is that it does not go on: our vqs, and its CPUs.
l2_tell_stuck()
{
	grep . /sys/kernel/debug/vhost_{blk,scsi}/[0-9]* 2>/dev/null | head -n 60 | sed 's/^/# /'
	(qmp query-status && qmp human-monitor-command '{"command-line":"info registers -a"}') 2>&1 |
		sed 's/\\r\\n/\n/g' | grep -E '^CPU|RIP|status|QMP' | sed 's/^/# /'
}

# The guest's command must have succeeded, and QEMU with it.
l2_finish()
{
	local status=0

	wait "$l2_pid" || status=$?
	l2_pid=''
	[ "$status" -eq 0 ] && return
	l2_tell
	fail "the guest ended with status $status"
}

# l2_run: both.
l2_run()
{
	l2_start "$@"
	l2_finish
}

# qmp COMMAND [ARGUMENTS]: JSON of the arguments; prints the return value. What comes
# before a command in l2_on runs it where QEMU is.
qmp()
{
	local answer

	answer=$(printf '%s\n' '{"execute":"qmp_capabilities"}' \
		"{\"execute\":\"$1\",\"arguments\":${2-"{}"}}" |
		"${l2_on[@]}" socat -t 20 - "UNIX-CONNECT:${l2_qmp:-$l2_dir/qmp}" | grep -E '"(return|error)"' |
		sed -n 2p) || {
		# The output may be what a caller is waiting for.
		l2_tell >&2
		fail "QEMU does not answer to $1" >&2
	}
	case $answer in
	*'"return"'*)	echo "$answer" ;;
	*)		fail "QMP $1: $answer" ;;
	esac
}
