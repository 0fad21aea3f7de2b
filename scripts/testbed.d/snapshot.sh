# shellcheck shell=bash
# Guests that do not boot: a guest that has booted and waits for a command is saved once, and
# others go on from there, with the devices that they have in addition. Part of guest.sh.

# On the build host's disk, for all machines of all runs.
snapshots=/out/snapshots

# What a guest is before it has any device of the test's: into snapshot_frame. False where
# it has to be booted: that was not left to us, or it has a machine or firmware of its own,
# or takes a migration in another way than a snapshot comes.
snapshot_frame()
{
	local i

	snapshot_frame=()
	[ -n "${GUEST_SNAPSHOT-}" ] && [ -z "${GUEST_BOOT-}" ] || return 1
	for ((i = 0; i < ${#guest_qemu[@]}; i++)); do
		case ${guest_qemu[i]} in
		-smp|-m)	snapshot_frame+=("${guest_qemu[@]:i:2}") ;;
		migration.x-multifd=*|migration.x-postcopy-ram=*)	return 1 ;;
		-M|-machine|-cpu|-accel|-drive|-bios|-kernel|-append|-numa|-incoming)	return 1 ;;
		esac
	done
}

# A QEMU of the same version takes what another one has saved, but a guest does not bear
# another CPU.
snapshot_key()
{
	local version

	version=$("$guest_binary" --version | grep -om1 'version [0-9.]*')
	key_of "$here"/{guest.sh,snapshot.sh,vm-init,initrd-init} "$vm_initrd" -- "$version" \
		"$(stat -c '%s %Y' /run/testbed-l2/root.img) $(uname -r)" \
		"$(grep -m2 -E '^(model name|flags)' /proc/cpuinfo)" "${snapshot_frame[@]}"
}

# Puts the file's name into $snapshot; makes it where there is none.
snapshot_find()
{
	snapshot=$snapshots/$(snapshot_key)
	mkdir -p $snapshots
	(
		flock 9
		[ -e "$snapshot" ] || snapshot_make "$snapshot.partial"
	) 9>/run/testbed-snapshots.lock
}

# What a machine has in addition that goes on from a snapshot: the port on which it hears
# that it does, with this as its other end; and disks that have the first names while its
# root gets one. It drops them before it waits, see vm-init: a test's disks get the names.
# snapshot_devices CHARDEV
snapshot_devices()
{
	local number

	vm_args+=(-chardev "$1,id=testbed.go" -device virtserialport,chardev=testbed.go,name=testbed.go)
	for number in 0 1 2 3; do
		vm_args+=(-blockdev "null-co,size=1048576,read-zeroes=on,node-name=testbed.none$number"
			-device "virtio-blk-pci,drive=testbed.none$number,serial=testbed.none,num-queues=1,addr=1d.$number,multifunction=on")
	done
}

# snapshot_qmp MONITOR COMMAND [ARGUMENTS]: what that QEMU answers.
snapshot_qmp()
{
	printf '{"execute":"%s","arguments":%s}\n' qmp_capabilities {} "$2" "${3-"{}"}" |
		socat -t 5 - "UNIX-CONNECT:$1" 2>&1
}

# snapshot_until PID COMMAND...: waits until COMMAND succeeds, while the process lives.
snapshot_until()
{
	local pid=$1 end=$((SECONDS + 120 * ${TEST_SLOWNESS:-1}))

	shift
	until "$@"; do
		kill -0 "$pid" 2>/dev/null && [ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

snapshot_is_complete()
{
	snapshot_qmp "$1" query-migrate | grep -q '"status": "completed"'
}

# snapshot_save PID MONITOR FILE FOLDER: saves the guest when it waits; its QEMU ends.
snapshot_save()
{
	snapshot_until "$1" grep -q 'testbed: l2 waits' "$4/console.log" || return 1
	# No time is too long for it to stand still: all goes at once.
	snapshot_qmp "$2" migrate-set-parameters '{"max-bandwidth":0,"downtime-limit":1000000}'
	snapshot_qmp "$2" migrate "{\"uri\":\"file:$3\"}"
	snapshot_until "$1" snapshot_is_complete "$2" || return 1
	# It may be gone before it has answered.
	snapshot_qmp "$2" quit || :
	wait "$1"
} >>"$4/qemu.log"

# snapshot_make FILE: in a subshell, for what is said of a machine is said in variables.
snapshot_make()
{
	local dir monitor pid

	dir=$(mktemp -d /tmp/snapshot.XXXXXX)
	monitor=$dir/monitor
	guest_devices "$dir"
	vm_cmdline+=" testbed.snapshot=1"
	snapshot_devices null
	vm_args+=(-qmp "unix:$monitor,server=on,wait=off")
	vm_command true
	vm_args+=("${snapshot_frame[@]}")
	vm_boot_kernel
	"$guest_binary" "${vm_args[@]}" >"$dir/qemu.log" 2>&1 </dev/null 9<&- &
	pid=$!
	snapshot_save $pid "$monitor" "$1" "$dir" || {
		tail -n 20 "$dir/qemu.log" "$dir/console.log" >&2
		kill -KILL $pid 2>/dev/null || :
		die "no snapshot of a guest could be made"
	}
	mv "$1" "${1%.partial}"
	rm -rf "$dir"
	# Those of other contents are of no use for long.
	find $snapshots -type f -printf '%T@ %p\n' | sort -rn | tail -n +9 | cut -d' ' -f2- | xargs -r rm -f
}
