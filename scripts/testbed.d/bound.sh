# shellcheck shell=bash
# A run that ends with whoever started it, and leaves nothing behind: no process, no
# half-built piece. Sourced, after common.sh, by each script that is called on the build
# host, which calls `bound_run "$0" "$@"` first.
#
# The script then runs once more in a PID namespace of its own, of which the first process
# is a shell that waits for it: when that shell ends, the kernel kills all that is left in
# it. Outside stay two processes:
#
#   the script that was called	waits, passes on the status, and ends the namespace where
#				a signal tells it to
#   the guard			ends the namespace where the script outside has gone, or
#				whoever started it; then removes what was half-built. In a
#				session of its own: a signal to the whole group spares it

# bound_parent PID: of a process; nothing if it has gone.
bound_parent()
{
	sed -n 's/^PPid:\t//p' "/proc/$1/status" 2>/dev/null
}

# Is this run meant to go on when its terminal has gone (nohup)?
bound_to_nobody()
{
	local ignored

	ignored=$(sed -n 's/^SigIgn:\t//p' "/proc/$$/status")
	[ $((16#$ignored & 1)) -ne 0 ]
}

# Puts "CHILD PARENT" into the array bound_callers, for each link of the chain of callers
# that must hold: to who called the script; where a make is among its ancestors, with a
# shell between or without, to whoever called that. Not to init: what has no other parent
# from the beginning was left to it on purpose.
bound_find_callers()
{
	local child=$$ parent=$PPID name links=()

	bound_callers=()
	while [ "${parent:-0}" -gt 1 ]; do
		links+=("$child $parent")
		[ ${#links[@]} -gt 1 ] || bound_callers=("${links[@]}")
		[[ ${name-} != *make ]] || bound_callers=("${links[@]}")
		read -r name 2>/dev/null <"/proc/$parent/comm" || return 0
		bound_to_nobody && return
		child=$parent parent=$(bound_parent "$parent")
	done
}

# Kills the namespace that process $1 has made, and waits for its end: unshare ends when
# its child is reaped, and the kernel lets that be when all others in there have gone.
bound_end()
{
	local first

	first=$(cat "/proc/$1/task/$1/children" 2>/dev/null) || return 0
	# shellcheck disable=SC2086 # a list of words
	kill -KILL $first 2>/dev/null || :
	while [ -n "$(bound_parent "$1")" ]; do sleep 0.1; done
}

# What was half-built goes, unless another run is building there. What built it may still
# be dying: it holds the lock until then. A cache in the build folder is under its own lock
# only.
bound_tidy()
{
	local folder

	for folder in "$cache" "$build"; do
		[ -d "$folder" ] || continue
		(
			flock -w 5 9 || exit 0
			find "$(realpath "$folder")" -mindepth 1 -maxdepth 3 \
				-path "$(realpath -m "$cache")" -prune -o \
				-name '*.partial' -prune -exec rm -rf --one-file-system {} +
		) 9>>"$folder/.lock"
	done
}

# bound_stop STATUS: a signal came.
bound_stop()
{
	trap '' INT TERM HUP
	bound_end "$bound_namespace"
	bound_tidy
	exit "$1"
}

# Root's to do: the namespace, and later the Debian root and its mounts.
bound_be_root()
{
	[ "$(id -u)" -ne 0 ] || return 0
	command -v sudo >/dev/null ||
		die "this needs root (for mmdebstrap, chroot and mount): run it as root, or install sudo"
	say "testbed: going on as root, through sudo"
	exec sudo VHOST_STORAGE_CACHE="$cache" TESTBED_ACCEL="${TESTBED_ACCEL-}" \
		CHECK_LANES="${CHECK_LANES-}" "$@"
}

# bound_run SCRIPT ARGUMENT...: returns in the namespace, and nowhere else.
bound_run()
{
	# shellcheck disable=SC2016 # for that shell
	local status=0 bound_callers init='"$@" <&0 & wait $!'

	[ -z "${VHOST_STORAGE_BOUND-}" ] || return 0
	bound_be_root "$@"
	# Whoever lacks it is told by host_packages.
	command -v unshare >/dev/null || return 0
	bound_find_callers
	VHOST_STORAGE_BOUND=1 setpriv --pdeathsig KILL \
		unshare --mount --pid --fork --kill-child --mount-proc -- \
		bash -c "$init" init "$@" <&0 &
	bound_namespace=$!
	trap 'bound_stop 130' INT
	trap 'bound_stop 143' TERM
	trap 'bound_stop 129' HUP
	setsid bash "$here/bound-guard" $$ "$bound_namespace" "${bound_callers[@]}" \
		</dev/null >/dev/null 2>&1 &
	wait "$bound_namespace" || status=$?
	exit "$status"
}
