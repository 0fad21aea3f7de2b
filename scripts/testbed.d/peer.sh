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
	mkdir "$1/peer"
	(
		run_disks=()
		run_machine 2 "$1/peer" /project/scripts/testbed serve
	) >"$1/peer/out" 2>&1 &
	peer_pid=$!
}

# It has nothing that is to be kept; and may be about to start.
peer_stop()
{
	while kill -0 "$peer_pid" 2>/dev/null; do
		pkill -KILL -f -- "${1##*/}/peer/console.log" || :
		sleep 0.2
	done
}

# In the second one: each connection is a command, see peer-shell. Neither end of it is
# the end of the other: a command may have no more to read, and yet something to say.
testbed_serve()
{
	exec socat -t 86400 "TCP-LISTEN:$peer_port,reuseaddr,fork" "EXEC:$here/peer-shell"
}

# In the first one.
testbed_peer()
{
	local line status=$status_lost

	[ $# -gt 0 ] || testbed_usage
	while IFS= read -r line; do
		case $line in
		'peer: status '*)	status=${line##* } ;;
		*)	printf '%s\n' "$line" ;;
		esac
	done < <({ printf '%q ' "$@"; echo; cat; } |
		socat -t 86400 - "TCP:$peer_net.2:$peer_port,retry=60,interval=1")
	exit "$status"
}
