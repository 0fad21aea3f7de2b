# shellcheck shell=bash
# testbed run, testbed shell: L1.

run_usage()
{
	cat >&2 <<-'EOF'
	usage: scripts/testbed run [OPTION]... -- COMMAND...
	  --kernel V    the kernel of L1: 6.12 (the default)
	  --debug       the debug kernel of that version
	  --more        where that is the debug kernel, one with KVM and more devices
	  --icount      count instructions: guest time = instructions executed
	  --smp N       vCPUs (default 2)
	  --mem M       memory (default 6G; 3G with --debug, as far as it runs no guests)
	  --disk SPEC   an NVMe controller with a namespace; may be repeated. SPEC is a
	                size, then options: 1G,ns=2,lbs=4096,pi=1 (ns: namespaces,
	                lbs: block size, pi: T10 PI type with 8 bytes of metadata)
	  --share DIR   DIR at /share in L1, read-only
	  --peer        a second L1 like it, without its disks, on a network of their own;
	                there scripts/testbed peer runs what is to run in the other one
	  --timeout S   give up after S seconds (default 1800), with --debug S * 4
	Exits with COMMAND's status; 128 when L1 was lost.
	EOF
	exit 2
}

run_options()
{
	run_version=6.12 run_icount='' run_smp=2 run_mem='' run_timeout=1800
	run_disks=() run_share='' run_debug='' run_more='' run_peer='' run_command=()
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel)	run_version=${2?} ;;
		--smp)		run_smp=${2?} ;;
		--mem)		run_mem=${2?} ;;
		--disk)		run_disks+=("${2?}") ;;
		--share)	run_share=$(realpath -e "${2?}") ;;
		--timeout)	run_timeout=${2?} ;;
		--icount)	run_icount=1; shift; continue ;;
		--debug)	run_debug=debug; shift; continue ;;
		--more)		run_more=1; shift; continue ;;
		--peer)		run_peer=1; shift; continue ;;
		--)		shift; run_command=("$@"); break ;;
		*)		say "testbed: unknown option '$1'"; run_usage ;;
		esac
		shift 2
	done
	run_debug+=${run_debug:+${run_more:+-more}}
	# kmemleak scans all of it. A group that needs more says so in its file testbed.
	[ "$run_debug" != debug ] || run_mem=${run_mem:-3G}
	run_mem=${run_mem:-6G}
}

# run_disk INDEX SPEC: an NVMe controller of L1 with sparse files behind it.
run_disk()
{
	local index=$1 spec=$2 size ns=1 lbs=512 meta="" word n file

	size=${spec%%,*}
	for word in ${spec//,/ }; do
		case $word in
		ns=*)	ns=${word#*=} ;;
		lbs=*)	lbs=${word#*=} ;;
		pi=*)	meta=,ms=8,$word ;;
		"$size") ;;
		*)	die "--disk: unknown option '$word' in '$spec'" ;;
		esac
	done
	vm_args+=(-device "nvme,id=nvme$index,serial=testbed$index")
	for n in $(seq "$ns"); do
		file=disk$index.$n
		truncate -s "$size" "$vm/$file" || die "--disk: '$size' is no size"
		vm_args+=(-drive "if=none,id=disk$index.$n,file=$vm_seen/$file,format=raw,cache=unsafe,discard=unmap"
			-device "nvme-ns,bus=nvme$index,drive=disk$index.$n,nsid=$n,logical_block_size=$lbs,physical_block_size=$lbs$meta")
	done
}

# KVM only where the CPU itself says so: a /dev/kvm may exist and yet boot no
# stock kernel. TESTBED_ACCEL=kvm or tcg overrides.
run_accel()
{
	local accel=tcg

	if grep -qEw -m1 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ]; then
		accel=kvm
	fi
	[ -z "$run_icount" ] || accel=tcg
	accel=${TESTBED_ACCEL:-$accel}
	case $accel,$run_icount in
	kvm,)	vm_args+=(-accel kvm -cpu host) ;;
	tcg,)	# Without what costs an emulator more than it saves: a fifth level of
		# page tables, and strings that are copied byte by byte.
		vm_args+=(-accel "tcg,thread=multi,tb-size=1024" -cpu max,la57=off,erms=off,fsrm=off) ;;
	tcg,1)	vm_args+=(-accel "tcg,thread=single,tb-size=1024" -cpu max
			-icount "shift=0,sleep=off") ;;
	*)	die "TESTBED_ACCEL is tcg or kvm (and tcg with --icount), not '$accel'" ;;
	esac
	vm_cmdline+=" testbed.accel=$accel"
	# With icount there is one thread, which forgets nothing: see vm-init.
	[ "$accel,$run_icount" != tcg, ] || vm_cmdline+=" testbed.heartbeat=1"
}

# QEMU is our own, the same on every host, whatever that has.
run_l1()
{
	local dir status=0

	dir=$(mktemp -d "$build/testbed/run.XXXXXX")
	mkdir -p "$build/out"
	[ -z "$run_peer" ] || peer_start "$dir"
	run_machine 1 "$dir" "$@" || status=$?
	[ -z "$run_peer" ] || peer_stop
	run_keep
	return "$status"
}

# run_machine NUMBER FOLDER COMMAND...: the machine, or one of two; its files lie there.
run_machine()
{
	local number=$1 dir=$2 seen=/project/build/testbed

	shift 2
	vm_vmlinuz=/cache/${vmlinuz#"$cache"/}
	vm_initrd=$seen/${kbuild##*/}/initrd
	vm_begin "$dir" "$seen/${dir#"$build/testbed/"}"
	vm_args+=(-M q35 -smp "$run_smp" -m "$run_mem")
	run_accel
	run_shares
	[ -z "$run_peer" ] || peer_network "$number" "${vm_seen%/peer}"
	# Pages as they were left: what leaks of the kernel's memory is to show. Grace periods
	# end at once: what they keep goes sooner, and targets come and go by dozens of them.
	vm_cmdline+=" init_on_alloc=0 rcupdate.rcu_expedited=1"
	# A soft lockup is a panic: the machine ends at once, and its log shows what looped.
	vm_cmdline+=" softlockup_panic=1"
	vm_cmdline+=" testbed.level=l1 testbed.lower=layer,root"
	echo "$run_timeout" >"$vm/ctl/timeout"
	[ -z "$run_debug" ] || run_slowly
	run_add_disks
	vm_command "$@"
	vm_boot_kernel
	in_root_command "/cache/${qemu##*/}/usr/local/bin/qemu-system-x86_64"
	vm_run_booted "$run_timeout" "${in_root[@]}"
}

run_shares()
{
	vm_share layer "$seen/${kbuild##*/}/${layer##*/}"
	vm_share root "/cache/${root##*/}"
	vm_share project /project
	vm_share out /project/build/out readonly=off
	vm_share l2 "/cache/${l2##*/}"
	[ -n "$run_share" ] || return 0
	vm_share share /share
	vm_cmdline+=" testbed.share=1"
}

run_slowly()
{
	vm_boot_limit=$((vm_boot_limit * debug_slowness))
	# A vCPU that the host lets wait is no lockup.
	vm_cmdline+=" testbed.slowness=$debug_slowness watchdog_thresh=60 workqueue.watchdog_thresh=120"
	# One CPU, guests on it, and a khugepaged that is nicer than all of these.
	vm_cmdline+=" rcupdate.rcu_cpu_stall_timeout=300"
}

run_add_disks()
{
	local index

	for index in "${!run_disks[@]}"; do
		run_disk "$index" "${run_disks[$index]}"
	done
}

# Disks go at once; the logs of the last runs stay, for whoever looks into one.
run_keep()
{
	rm -f "$dir"/disk*
	find "$build/testbed" -maxdepth 1 -name 'run.*' -printf '%T@ %p\n' | sort -rn |
		tail -n +21 | cut -d' ' -f2- | xargs -r rm -rf --one-file-system
}

testbed_run()
{
	run_options "$@"
	[ ${#run_command[@]} -gt 0 ] || run_usage
	testbed_setup "$run_version" "$run_debug"
	[ -z "$run_debug" ] || run_timeout=$((run_timeout * debug_slowness))
	run_l1 "${run_command[@]}" || exit
}

testbed_shell()
{
	run_options "$@"
	[ ${#run_command[@]} -eq 0 ] || run_usage
	testbed_setup "$run_version" "$run_debug"
	say "testbed: a shell in L1; leave it with exit"
	run_timeout=infinity
	run_l1 || exit
}
