# shellcheck shell=bash
# What every part of scripts/testbed uses: where things lie, messages, and
# steps that show their progress and keep a log.

# The checkout, what is built for it, and what any checkout may share.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=${here%/scripts/testbed.d}
build=$top/build
cache=${VHOST_STORAGE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vhost-storage}
logs=$build/log

say()
{
	printf '%s\n' "$*" >&2
}

die()
{
	say "testbed: $*"
	exit 1
}

# A key that changes with the content of the files named and the words given.
# key_of FILE... -- WORD...
key_of()
{
	local files=()

	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		files+=("$1")
		shift
	done
	shift
	{
		printf '%s\n' "$@"
		cat /dev/null "${files[@]}"
	} | sha256sum | cut -c1-12
}

# Tells every 20 seconds that a step is still at it, with its log's last line.
# Holds no lock, which a sleep that is left over would hold on to.
progress()
{
	local what=$1 log=$2 start=$SECONDS

	unlock
	trap 'kill %1; exit' TERM
	while sleep 20 & wait; do
		say "  ... $what, $((SECONDS - start)) s: $(tail -n 1 "$log" |
			tr -cd '[:print:]' | cut -c1-60)"
	done
}

# step NAME WHAT COMMAND...: runs COMMAND with its output in a log; where it
# fails, says which step, shows the log's end and where the whole of it is.
step()
{
	local name=$1 what=$2 log=$logs/$1.log start=$SECONDS ticker status=0

	shift 2
	mkdir -p "$logs"
	: >"$log"
	say "==> $what"
	progress "$what" "$log" &
	ticker=$!
	# A subshell, so that errexit holds inside; its status is wanted here.
	set +e
	(
		set -e
		"$@"
	) >"$log" 2>&1 </dev/null
	status=$?
	set -e
	kill "$ticker" 2>/dev/null || :
	wait "$ticker" 2>/dev/null || :
	if [ "$status" -ne 0 ]; then
		tail -n 25 "$log" >&2
		die "step '$name' ($what) failed with status $status; the whole log: $log"
	fi
	say "    done, $((SECONDS - start)) s"
}

# Only one set-up at a time in a folder: a second one waits, then finds
# everything made. lock FOLDER, until unlock.
declare -A locked
lock()
{
	local fd

	[ -z "${locked[$1]-}" ] || return 0
	mkdir -p "$1"
	exec {fd}>"$1/.lock"
	locked[$1]=$fd
	flock -n "$fd" && return
	say "    another run is setting up in $1; waiting for it"
	flock "$fd"
}

unlock()
{
	local folder fd

	for folder in "${!locked[@]}"; do
		fd=${locked[$folder]}
		exec {fd}>&-
		unset "locked[$folder]"
	done
}

# What an interrupted run left half-made goes before anything is made anew.
# drop_partial FOLDER: everything called *.partial in it.
drop_partial()
{
	rm -rf --one-file-system "$1"/*.partial
}

# cached PIECE NAME TEXT COMMAND...: the step that makes this piece of the cache,
# unless it is there.
cached()
{
	local piece=$1

	shift
	[ -d "$piece" ] && return
	lock "$cache"
	[ -d "$piece" ] && return
	drop_partial "$cache"
	step "$@"
}
