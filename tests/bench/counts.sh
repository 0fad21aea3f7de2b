# shellcheck shell=bash
# What the kernel does for a request: allocations, wake-ups, context switches, pinned
# pages. Sourced, after cells.sh.

events=/sys/kernel/tracing/events
allocations='kmem/kmem_cache_alloc kmem/kmalloc kmem/mm_page_alloc'
wakeups=sched/sched_wakeup

# Histograms of the kernel, of which only the sums are looked at.
histograms()
{
	local event

	for event in $allocations; do
		echo "$1hist:keys=common_pid" >"$events/$event/trigger"
	done
	echo "$1hist:keys=comm" >"$events/$wakeups/trigger"
}

# hits EVENT [BUT]: how often it came, added to $hits; without the keys that have BUT.
hits()
{
	local line lines

	mapfile -t lines <"$events/$1/hist"
	for line in "${lines[@]}"; do
		case $line in
		*"${2-no such key}"*)	;;
		*'} hitcount:'*)	hits=$((hits + ${line##*hitcount:})) ;;
		esac
	done
}

# total FILE WORD: the number that a line of the file has for the word, into $total.
total()
{
	local line lines

	mapfile -t lines <"$1"
	for line in "${lines[@]}"; do
		[[ $line != "$2 "* ]] || total=${line#* }
	done
}

# Allocations and wake-ups so far, times SIGN, added to the figures.
tally_events()
{
	local event hits=0

	for event in $allocations; do
		hits "$event"
	done
	allocated=$((allocated + $1 * hits))
	hits=0
	hits "$wakeups" vring-bench
	woken=$((woken + $1 * hits))
}

# The others. Without processes of its own, and apart: reading allocates.
tally_totals()
{
	local total

	echo 1 >/proc/sys/vm/stat_refresh
	total /proc/vmstat nr_foll_pin_acquired
	pins=$((pins + $1 * total))
	total /proc/stat ctxt
	switches=$((switches + $1 * total))
}

per_io()
{
	emit "$1" "$2_per_io" "$(awk -v n="$3" -v ios="$ios" 'BEGIN { print n / ios }')" 1
}

# counts NAME ENGINE TARGET...: on the cell, while our client waits before and after.
counts()
{
	local ios=10000 pins=0 switches=0 woken=0 allocated=0 line from to pid

	histograms ''
	coproc CLIENT { exec "$client" --engine "$2" --rw "$rw" --bs "$bs" --qd "$qd" \
		--ios "$ios" --warm-up 2000 --pause "${@:3}" 2>&1; }
	# Bash forgets these three as soon as it has ended.
	pid=$CLIENT_PID
	exec {from}<&"${CLIENT[0]}" {to}>&"${CLIENT[1]}"
	read -r line <&"$from"
	if [ "$line" = ready ]; then
		tally_totals -1
		tally_events -1
		echo >&"$to"
		read -r line <&"$from"
		tally_events 1
		tally_totals 1
		echo >&"$to"
	fi
	histograms '!'
	while read -r line; do
		case $line in
		kicks_per_io*|signals_per_io*)	emit "$1" "${line% *}" "${line#* }" 1 ;;
		esac
	done <&"$from"
	exec {from}<&- {to}>&-
	wait "$pid" || { failed "$1" "counting: $line"; return; }
	per_io "$1" worker_wakeups "$woken"
	per_io "$1" context_switches "$switches"
	per_io "$1" allocations "$allocated"
	per_io "$1" pages_pinned "$pins"
}
