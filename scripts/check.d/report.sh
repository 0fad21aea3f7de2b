# shellcheck shell=bash
# Puts the reports of the pieces together: one KTAP report, and what comes last. Part of
# scripts/check.

passed=0 failed=0 skipped=0

# Adds a group's totals to ours; true if none of its tests failed.
count()
{
	local pass fail skip

	read -r pass fail skip < <(sed -n 's/^# totals: pass:\([0-9]*\) fail:\([0-9]*\) skip:\([0-9]*\)$/\1 \2 \3/p' "$@" |
		awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }')
	passed=$((passed + pass)) failed=$((failed + fail)) skipped=$((skipped + skip))
	[ "$fail" -eq 0 ]
}

# report_group NUMBER GROUP FILE...: the reports of its pieces, in order, as one.
report_group()
{
	local number=$1 group=$2 ok=''

	shift 2
	sed -e '/^KTAP version/d; /^1\.\./d; /^\(not \)\?ok 1 - /d' \
		-e '/^# \(totals\|slow\|time\|failed\|stopped\):/d' "$@"
	cat "$@" >>"$log/all"
	keep_durations "$group" "$@"
	count "$@" || ok='not '
	echo "${ok}ok $number - $group"
}

# Where the time went: the slowest tests, then each group's pieces.
tell_times()
{
	{ grep '^# slow:' "$log/all" || :; } | sort -k3,3nr | sed -n 1,20p
	grep '^# time:' "$log/all" || :
}

# What each test took, for the next run's estimate: keep_durations GROUP FILE...
keep_durations()
{
	local group=$1

	shift
	sed -n "s:^    ok [0-9]* - \([^. ]*\)\.\([^ ]*\) # \([0-9.]*\) s\$:$group/\1/\2 \3:p" "$@" \
		>"$log/durations.now"
	awk '!seen[$1]++' "$log/durations.now" "$durations" >"$durations.new"
	mv "$durations.new" "$durations"
}

# How to see a failure again, by itself: the last lines but one.
tell_failures()
{
	local again="make check"

	[ -z "$debug" ] || again+=" DEBUG=1"
	[ "$kernel" = 6.12 ] || again+=" KERNEL=$kernel"
	sed -n "s:^# failed\: tests/run \(.*\):# to see it again\: $again T=\1:p" "$log/all" |
		sed -n 1,20p
	[ "$failed" -le 20 ] || echo "# and $((failed - 20)) more"
}
