# shellcheck shell=bash
# testbed run --peer: a second L1 beside the first, on a network of their own, and testbed
# peer: commands that the first one runs in it.

# The machines are .1 and .2 of it.
peer_net=10.0.0
peer_port=100

# peer_network NUMBER FOLDER: of the two machines whose run has its files there.
peer_network()
{
	local other=$((3 - $1))

	vm_args+=(-netdev "dgram,id=peer,local.type=unix,local.path=$2/net.$1,remote.type=unix,remote.path=$2/net.$other"
		-device "virtio-net-pci,netdev=peer,mac=52:54:00:00:00:0$1,romfile=")
	vm_cmdline+=" testbed.address=$peer_net.$1"
}

# peer_start FOLDER: the second one, in the background, which waits for commands.
peer_start()
{
	peer_dir=$1/peer
	mkdir "$peer_dir"
	(
		run_disks=()
		run_machine 2 "$peer_dir" /project/scripts/testbed serve
	) >"$peer_dir/out" 2>&1 &
	peer_pid=$!
	# Not without the first one, however that ends.
	trap peer_kill EXIT
}

# It has nothing that is to be kept; and may be about to start.
peer_kill()
{
	local run=${peer_dir%/peer}

	while kill -0 "$peer_pid" 2>/dev/null; do
		pkill -KILL -f -- "${run##*/}/peer/console.log" || :
		sleep 0.2
	done
}

# It serves until then: if it does not, that is why the tests failed.
peer_stop()
{
	if ! kill -0 "$peer_pid" 2>/dev/null; then
		say "testbed: the other machine had ended:"
		cat "$peer_dir/out" >&2
	fi
	peer_kill
	trap - EXIT
}

# In the second one: each connection is a command, see peer-shell. Neither end of it is
# the end of the other: a command may have no more to read, and yet something to say.
testbed_serve()
{
	[ -e /run/testbed-l1 ] || die "testbed serve runs inside the second L1 of testbed run --peer"
	exec socat -t 86400 "TCP-LISTEN:$peer_port,bind=$peer_net.2,reuseaddr,fork" "EXEC:$here/peer-shell"
}

# In the first one. The other one may yet have to boot.
testbed_peer()
{
	local line status=$status_lost retry=$((400 * ${TEST_SLOWNESS:-1}))

	[ $# -gt 0 ] || testbed_usage
	[ -e /run/testbed-l1 ] || die "testbed peer runs inside L1: scripts/testbed run --peer -- scripts/testbed peer ..."
	while IFS= read -r line; do
		case $line in
		'peer: status '*)
			status=${line##* }
			break ;;
		*)	printf '%s\n' "$line" ;;
		esac
	done < <({ printf '%q ' "$@"; echo; exec cat; } |
		socat -t 86400 - "TCP:$peer_net.2:$peer_port,retry=$retry,interval=1" || :)
	# Who sends what the command did not read, and may have nothing to send.
	pkill -KILL -P $! || :
	[ "$status" != "$status_lost" ] || say "testbed: the other machine did not tell how that ended"
	exit "$status"
}
