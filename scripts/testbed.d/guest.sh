# shellcheck shell=bash
# testbed guest: L2, called inside L1.

guest_usage()
{
	cat >&2 <<-'EOF'
	usage: scripts/testbed guest [QEMU OPTIONS] -- COMMAND...   (inside L1)
	Boots L2 with these options and runs COMMAND in it. The options come after the
	testbed's own, so that -smp, -m and the like can be given again. From the
	environment: GUEST_QEMU, the QEMU binary (default: the patched one);
	GUEST_TIMEOUT in seconds (default 600, more on the debug kernel); GUEST_DIR, a folder for this run's
	files (default: a new one under /tmp); GUEST_MOVABLE=1, leave its folders out, as
	QEMU cannot migrate a guest that has them; GUEST_BOOT=disk, let the firmware find
	a kernel, which needs testbed.level=l2 on its command line; GUEST_SNAPSHOT=1, do not
	boot it where another one with its memory and CPUs was booted before, but go on from
	a snapshot of that: it finds its own devices when it looks at the PCI bus again.
	L2's root is the Debian root of L1, on a disk of its own behind all others, and its
	/project is L1's; both are read-only. virtio_blk and ext4 are loaded for it.
	Exits with COMMAND's status; 128 when L2 was lost.
	EOF
	exit 2
}

guest_options()
{
	guest_qemu=()
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		guest_qemu+=("$1")
		shift
	done
	[ $# -gt 1 ] || guest_usage
	shift
	guest_command=("$@")
}

# The machine's own devices. Its root is in the last slot: whatever disk a test adds is vda.
guest_devices()
{
	vm_begin "$1"
	vm_args=(-M q35 -accel kvm -cpu host -smp 1 -m 1G "${vm_args[@]}")
	vm_args+=(-drive "if=none,id=testbed.root,file=/run/testbed-l2/root.img,format=raw,readonly=on"
		-device virtio-blk-pci,drive=testbed.root,serial=testbed.root,addr=1e)
	vm_share project /project
	vm_cmdline+=" testbed.level=l2"
	# Every character on the serial line is an exit through two machines.
	vm_cmdline+=" loglevel=5 rcupdate.rcu_expedited=1"
	# While a kernel boots its CPUs wait for each other, as vCPUs that are no more than
	# threads of L1's one CPU: with four that takes three times as long. See vm-init.
	vm_cmdline+=" maxcpus=1"
	# What L1 may lose of its interrupts its guest may lose as well: see vm-init.
	! grep -qw testbed.heartbeat=1 /proc/cmdline || vm_cmdline+=" testbed.heartbeat=1"
}

testbed_guest()
{
	local timeout=${GUEST_TIMEOUT:-$((600 * ${TEST_SLOWNESS:-1}))}
	local guest_binary=${GUEST_QEMU:-qemu-system-x86_64} restored=()

	guest_options "$@"
	[ -e /run/testbed-l1 ] || die "testbed guest runs inside L1: scripts/testbed run -- scripts/testbed guest ..."
	[ -w /dev/kvm ] || die "L1 has no /dev/kvm: see its dmesg for kvm_amd"
	# The distribution's kernel, whatever L1 runs on.
	vm_vmlinuz=$(echo /boot/vmlinuz-6.12.*)
	vm_initrd=/project/build/testbed/l2/initrd
	if snapshot_frame; then
		snapshot_find
		restored=(-incoming "file:$snapshot")
	fi
	mkdir -p "${GUEST_DIR:=$(mktemp -d /tmp/guest.XXXXXX)}"
	guest_devices "$GUEST_DIR"
	if [ ${#restored[@]} -gt 0 ]; then
		echo go >"$vm/go"
		snapshot_devices "file,path=/dev/null,input-path=$vm/go"
	fi
	echo "$timeout" >"$vm/ctl/timeout"
	[ -z "${GUEST_MOVABLE-}" ] || touch "$vm/ctl/movable"
	vm_command "${guest_command[@]}"
	vm_args+=("${guest_qemu[@]}" "${restored[@]}")
	[ "${GUEST_BOOT-}" = disk ] || vm_boot_kernel
	vm_run "$timeout" "$guest_binary" || exit
}
