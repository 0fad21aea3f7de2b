# shellcheck shell=bash
# Boots a machine and runs a command in it: what L1 (run.sh) and L2 (guest.sh)
# have in common. The command goes in over a 9p folder, its output comes out
# over a virtio-serial port, and its status over another: a machine that ends
# without having told a status was lost, which is not a failure of the command.

status_lost=128
# Seconds for L1 to come up: 5 to 20 on a quiet host.
vm_boot_limit=120

# vm_begin FOLDER [SEEN]: where this run's files are, for us and for QEMU, which
# may run inside the root and see the same folder under another name.
vm_begin()
{
	vm=$1
	vm_seen=${2-$1}
	mkdir -p "$vm/ctl"
	: >"$vm/console.log"
	vm_args=(-nodefaults -no-user-config -no-reboot -display none
		-device virtio-serial-pci
		-serial "file:$vm_seen/console.log"
		-chardev "file,id=testbed.status,path=$vm_seen/status"
		-device virtserialport,chardev=testbed.status,name=testbed.status
		-device virtio-rng-pci)
	# Where the host has too much to do, a test whether the timer ticks would fail: a panic.
	vm_cmdline="console=ttyS0 panic=-1 mitigations=off net.ifnames=0 no_timer_check"
	vm_share ctl "$vm_seen/ctl"
}

# vm_share TAG FOLDER [OPTION]: a folder that the machine mounts by its tag.
vm_share()
{
	vm_args+=(-virtfs
		"local,path=$2,mount_tag=$1,security_model=none,multidevs=remap,${3-readonly=on}")
}

# vm_command COMMAND...: what to run; with no command, a shell on the terminal.
vm_command()
{
	if [ $# -eq 0 ]; then
		vm_cmdline+=" testbed.shell=1"
		vm_args+=(-chardev "stdio,id=testbed.out,signal=off"
			-device virtconsole,chardev=testbed.out)
		return
	fi
	printf '%q ' "$@" >"$vm/ctl/command"
	# Not stdio: when its stdin ends, the port counts as closed.
	vm_args+=(-chardev "file,id=testbed.out,path=/dev/stdout,append=on"
		-device virtserialport,chardev=testbed.out,name=testbed.out)
}

# The kernel is QEMU's to load, as the last thing before the run: its command
# line is complete then.
vm_boot_kernel()
{
	vm_args+=(-kernel "$vm_vmlinuz" -initrd "$vm_initrd" -append "$vm_cmdline")
}

# vm_run TIMEOUT QEMU...: runs the machine to its end, returns the status.
vm_run()
{
	local timeout=$1 qemu_status=0

	shift
	if [ -t 0 ] && [ ! -e "$vm/ctl/command" ]; then
		timeout --foreground "$timeout" "$@" "${vm_args[@]}" \
			2>"$vm/qemu.log" || qemu_status=$?
	else
		# cat: QEMU reopens its stdout by name, which a socket has not.
		timeout "$timeout" "$@" "${vm_args[@]}" \
			2>"$vm/qemu.log" </dev/null | cat || qemu_status=$?
	fi
	vm_status "$qemu_status" "$timeout"
}

# Kills the machine when it has not come up in time, and leaves a note. Under TCG
# on a busy host about one in twenty loses a timer interrupt as it boots and then
# sleeps for ever; nothing of ours runs in it by then.
vm_watch_boot()
{
	local end=$((SECONDS + vm_boot_limit))

	until grep -q 'testbed: .* is up' "$vm/console.log"; do
		if [ $SECONDS -ge $end ]; then
			touch "$vm/stuck"
			pkill -KILL -f -- "$vm_seen/console.log" || :
			return
		fi
		sleep 1
	done
}

# vm_run_booted TIMEOUT QEMU...: the same, and where it does not come up once more.
vm_run_booted()
{
	local status watch

	for _ in 1 2 3; do
		vm_watch_boot &
		watch=$!
		status=0
		vm_run "$@" || status=$?
		kill $watch 2>/dev/null || :
		wait $watch || :
		[ -e "$vm/stuck" ] || break
		say "testbed: it had not come up in $vm_boot_limit s; booting it anew"
		mv "$vm/console.log" "$vm/console.$RANDOM.log"
		rm -f "$vm/stuck" "$vm/status"
		: >"$vm/console.log"
	done
	return "$status"
}

# vm_status QEMU_STATUS TIMEOUT: the command's status, or why there is none.
vm_status()
{
	local status

	if read -r status <"$vm/status" 2>/dev/null; then
		return "$status"
	fi
	say "testbed: the machine was lost: $(vm_why "$@")"
	say "testbed: the end of its console log, $vm/console.log:"
	tail -n 40 "$vm/console.log" >&2
	return "$status_lost"
}

vm_why()
{
	case $1 in
	124)	echo "not done after $2 s" ;;
	0)	echo "it ended without telling a status" ;;
	*)	echo "QEMU ended with status $1: $(tail -n 3 "$vm/qemu.log")" ;;
	esac
}
