# shellcheck shell=bash
# Two hosts, see scripts/testbed run --peer, and a disk that both have: the NVMe disk of
# this one, which is exported over TCP to both. Sourced after migrate.sh.

# shellcheck source=tests/lib/nvmet.sh
. "$(dirname "${BASH_SOURCE[0]}")/nvmet.sh"
# shellcheck source=tests/lib/lun.sh
. "$(dirname "${BASH_SOURCE[0]}")/lun.sh"

project=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
hosts_here=10.0.0.1
hosts_there=10.0.0.2
# Its name is the same on both, as a test's paths are.
hosts_disk=/dev/shared

# there COMMAND...: on the other host.
there()
{
	"$project/scripts/testbed" peer "$@"
}

# there_does FUNCTION...: one of the libraries'.
there_does()
{
	there bash -c "
		for library in tap l2 hosts libvirt; do
			. $project/tests/lib/\$library.sh
		done
		l2_dir=$l2_dir l2_disk=$hosts_disk
		\"\$@\"" hosts "$@"
}

hosts_connect()
{
	modprobe vhost_blk
	nvmet_connect $hosts_here
	ln -s "$nvmet_disk" $hosts_disk
}

hosts_disconnect()
{
	[ -L $hosts_disk ] || return 0
	nvmet_disconnect
	rm $hosts_disk
}

# After l2_prepare; its disk is the one that both have.
hosts_prepare()
{
	there hostname >/dev/null || fail "there is no other host: boot L1 with --peer"
	trap hosts_cleanup EXIT
	there dmesg -C
	hosts_pins_there=$(there_does hosts_pins)
	nvmet_export "$l2_disk" $hosts_here
	hosts_connect
	there_does hosts_connect
	there mkdir -p "$l2_dir/run/ctl"
	l2_disk=$hosts_disk
}

# A target on each, with the same LUN.
hosts_lun()
{
	lun_make
	there_does lun_make
}

# Each step by itself: what one of them cannot do must not keep the others.
hosts_cleanup()
{
	pkill -KILL qemu-system || :
	there pkill -KILL qemu-system || :
	l2_cleanup || :
	l2_until 10 lun_remove || :
	there_does hosts_leave || :
	hosts_disconnect || :
	nvmet_unexport || :
}

hosts_leave()
{
	l2_until 10 lun_remove || :
	hosts_disconnect
}

# The guest goes to that host: hosts_next here|there.
hosts_next()
{
	case $1 in
	here)	next_on=() next_at=tcp:$hosts_here:4444 ;;
	there)	next_on=("$project/scripts/testbed" peer) next_at=tcp:$hosts_there:4444 ;;
	esac
}

# How many pages are pinned.
hosts_pins()
{
	echo 1 >/proc/sys/vm/stat_refresh
	awk '/^nr_foll_pin_acquired/ { n += $2 } /^nr_foll_pin_released/ { n -= $2 } END { print n }' \
		/proc/vmstat
}

# What tests/run sees to on this host: no complaint of the kernel's, and nothing in use.
hosts_there_is_well()
{
	local log

	there_does lun_remove || fail "the other host's target is in use"
	there modprobe -r vhost_blk vhost_scsi || fail "the other host's modules are in use"
	expect "pages pinned there" "$(there_does hosts_pins)" "$hosts_pins_there"
	log=$(there dmesg) || fail "the other host's log cannot be read"
	! grep -iE -A 20 "${TESTS_ALARMS?}" <<<"$log" || fail "the other host's kernel complains"
}
