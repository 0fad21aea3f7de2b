# shellcheck shell=bash
# A guest that moves from one QEMU to another. Sourced after l2.sh.
#
# The first QEMU is the testbed's, and each further one has its options: what is it that
# takes over is only which files are its own. All write to the same $l2_dir/out, in which
# the guest says one thing after the other, wherever it is. It may be on another host: what
# comes before a command in next_on runs it there, see hosts.sh.

# shellcheck source=tests/lib/l2.sh

# What comes before the guest's command: it hears from the host that it is enough. Its port
# is open from the beginning, as what is said before is not kept; it is at its end where
# nobody is at the other one. It is on a bus of its own, which a guest that goes on from a
# snapshot finds: of a port that is new on a bus that it has it is not told.
# shellcheck disable=SC2016 # for the guest's shell
move_listen='
	for port in /sys/class/virtio-ports/*; do
		[ "$(cat "$port/name")" != enough ] || exec 3<>/dev/"${port##*/}"
	done
	{
		until read -r -u 3 line && [ "$line" = enough ]; do sleep 0.5; done
		touch /tmp/enough
	} &
	exec "$@" 3<&-'

# move_start [QEMU OPTION]... -- COMMAND...: COMMAND ends when there is /tmp/enough, which
# is when the test has moved it often enough.
move_start()
{
	local options=()

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	move_number=0 move_downtimes=() move_change='' next_on=() next_at="unix:$l2_dir/incoming"
	# What is sent is sent by the CPU that the guest has as well: without these the guest
	# can be faster than that for ever, and with QEMU's own figures it is for minutes.
	GUEST_MOVABLE=1 l2_start -pidfile "$l2_dir/pid" \
		-global migration.x-auto-converge=on -global migration.x-cpu-throttle-initial=60 \
		-global migration.x-cpu-throttle-increment=20 \
		-global migration.x-downtime-limit=2000 \
		-chardev "socket,id=enough,path=$l2_dir/enough,server=on,wait=off" \
		-device virtio-serial-pci,id=more \
		-device virtserialport,bus=more.0,chardev=enough,name=enough "${options[@]}" \
		-- bash -c "$move_listen" listen "${@:2}"
	l2_until 300 move_began || :
	[ -s "$l2_dir/pid" ] || { l2_tell; fail "QEMU did not start"; }
	move_pid=$(cat "$l2_dir/pid")
	mapfile -d '' -t move_options <"/proc/$move_pid/cmdline"
}

# QEMU runs, or whoever starts it has given up.
move_began()
{
	[ -s "$l2_dir/pid" ] || ! kill -0 "$l2_pid"
}

# What the next QEMU is called with, into next_options; $move_change, a sed script, is what
# a test has it called with otherwise. The port by which the first one was told to go on
# has nobody at its other end: that file is not on the other host.
move_prepare()
{
	local n=$((move_number + 1)) option before='' options=()

	for option in "${move_options[@]}"; do
		# What the first one went on from itself.
		[ "$option" = -incoming ] || [ "$before" = -incoming ] || options+=("$option")
		before=$option
	done
	# One process for all of them: the guest leaves little time for others.
	mapfile -d '' -t next_options < <(printf '%s\0' "${options[@]}" |
		sed -z -e "s:$l2_dir/\(qmp\|pid\|enough\)\b:$l2_dir/\1.$n:" \
			-e "s:$l2_dir/run/console.log:$l2_dir/console.$n:" \
			-e 's/^file,.*,id=testbed\.go$/null,id=testbed.go/' -e "$move_change")
}

# The one that is to take over: it waits at $next_at.
move_await()
{
	move_prepare
	rm -f "$l2_dir/incoming"
	"${next_on[@]}" "${next_options[@]}" -incoming "$next_at" >>"$l2_dir/out" \
		2>"$l2_dir/next.log" </dev/null &
	next_pid=$!
	l2_until 60 next_is_there
}

# It listens, or it has ended.
next_is_there()
{
	[ -d "/proc/$next_pid" ] || return 0
	case $next_at in
	unix:*)	[ -S "${next_at#unix:}" ] ;;
	tcp:*)	"${next_on[@]}" ss -Hltn "sport = ${next_at##*:}" | grep -q . ;;
	esac
}

# It has ended, as one does that cannot take over.
next_ends()
{
	l2_until 60 test ! -d "/proc/$next_pid" || fail "the destination goes on"
	wait "$next_pid" 2>/dev/null || :
}

# Into reached, and the most pages that were dirtied in a second into move_dirtied.
move_look()
{
	local rate

	read -r reached rate < <(qmp query-migrate |
		jq -r '.return | "\(.status) \(.ram."dirty-pages-rate" // 0)"')
	[ "$rate" -le "$move_dirtied" ] || move_dirtied=$rate
}

move_begin()
{
	qmp migrate "{\"uri\":\"$next_at\"}" >/dev/null
}

# move_reaches STATUS...: until the migration has one of these; its status is in $reached.
move_reaches()
{
	local end=$((SECONDS + 240 * ${TEST_SLOWNESS:-1}))

	move_dirtied=0
	while :; do
		move_look
		[[ " $* " != *" $reached "* ]] || return 0
		case $reached in
		completed|failed|cancelled)	break ;;
		esac
		[ $SECONDS -lt $end ] || break
		sleep 0.5
	done
	move_tell
	fail "the migration is '$reached', not one of '$*'"
}

# What both QEMUs say of it.
move_tell()
{
	qmp query-migrate | sed 's/^/# source: /'
	sed 's/^/# destination: /' "$l2_dir/next.log"
	tail -n 3 "$l2_dir/out" | sed 's/^/# its output: /'
}

# The guest is with the other QEMU now.
move_hand_over()
{
	local answer

	answer=$(qmp query-migrate)
	move_downtimes+=("$(jq .return.downtime <<<"$answer")")
	jq -r --arg at "$SECONDS" --arg rate "$move_dirtied" '.return |
		"# moved at \($at) s, in \(."total-time") ms, downtime \(.downtime) ms, " +
		"\(.ram.transferred / 1048576 | floor) MiB sent, " +
		"\(.ram."dirty-sync-count") rounds, up to \($rate) pages dirtied a second"' <<<"$answer"
	# It may be gone before it answers.
	(qmp quit) >/dev/null 2>&1 || :
	# The first one is the testbed's, which says that its guest was lost.
	wait "$l2_pid" 2>/dev/null || :
	move_number=$((move_number + 1))
	l2_pid=$next_pid move_pid=$next_pid
	l2_qmp=$l2_dir/qmp.$move_number l2_on=("${next_on[@]}")
}

# There is another QEMU, it takes over, and the guest runs there.
move()
{
	move_await
	move_begin
	move_reaches completed
	move_hand_over
	l2_until 60 move_arrived || { move_tell; fail "the guest does not run there"; }
}

# The source has sent all; the destination may yet have to load it.
move_arrived()
{
	[ "$(qmp query-status | jq -r .return.status)" = running ]
}

# One that does not come to its end. The guest has to go on where it is.
move_stays()
{
	expect "run state" "$(qmp query-status | jq -r .return.status)" running
}

# Half-way: when the memory is being sent.
move_half_way()
{
	qmp migrate-set-parameters '{"max-bandwidth":4000000}' >/dev/null
	move_await
	move_begin
	move_reaches active
	sleep 1
}

move_full_speed()
{
	qmp migrate-set-parameters '{"max-bandwidth":0}' >/dev/null
}

move_cancel()
{
	move_half_way
	qmp migrate_cancel >/dev/null
	move_reaches cancelled
	next_ends
	move_full_speed
	move_stays
}

move_kill_destination()
{
	move_half_way
	kill -KILL "$next_pid"
	move_reaches failed
	next_ends
	move_full_speed
	move_stays
}

# The guest ends its command, which must have succeeded.
move_finish()
{
	local port=$l2_dir/enough

	[ "$move_number" = 0 ] || port+=.$move_number
	echo enough | "${l2_on[@]}" socat -t 1 - "UNIX-CONNECT:$port"
	l2_until 300 test ! -d "/proc/$l2_pid" || { l2_tell; fail "the guest goes on"; }
	wait "$l2_pid" 2>/dev/null || :
	l2_pid=''
	[ "$(cat "$l2_dir/run/status")" = 0 ] && return
	l2_tell
	fail "the guest ended with status '$(cat "$l2_dir/run/status")'"
}

# move_refused TEXT: the next QEMU does not take over, and says so; the guest goes on.
move_refused()
{
	move_await
	if [ -d "/proc/$next_pid" ]; then
		move_begin
		move_reaches failed
	fi
	next_ends
	grep -qF -- "$1" "$l2_dir/next.log" || {
		move_tell
		fail "the destination does not say '$1'"
	}
	grep -hF -- "$1" "$l2_dir/next.log" | sed 's/^[^:]*: /# /'
	move_change=''
	move_stays
}

# work_start DISK [QEMU OPTION]...: the guest, at work.
work_start()
{
	local work

	work=$(cat "$project/tests/migrate/work.sh")
	# By force, as a target may have it by now.
	wipefs -qaf "$l2_disk"
	GUEST_TIMEOUT=3600 move_start -smp 4 "${@:2}" -- bash -c "$work" work "$1"
	l2_says started
	l2_says "the first file"
}

# The file system, as the host finds it.
check_from_host()
{
	local offset

	# What was read of it before the guest had it, a target that has it open keeps.
	blockdev --flushbufs "$l2_disk"
	offset=$(sfdisk -J "$l2_disk" | jq '.partitiontable.partitions[0].start * 512')
	e2fsck -fn "$l2_disk?offset=$offset" >"$l2_dir/fsck" 2>&1 || {
		sed 's/^/# /' "$l2_dir/fsck"
		fail "the file system is not clean"
	}
}
