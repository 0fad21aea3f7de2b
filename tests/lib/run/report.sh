# shellcheck shell=bash
# What a run says, in KTAP, and where its time went.

pass=0 fail=0 skip=0

indent()
{
	sed 's/^/    /'
}

# Puts the CPUs' ticks so far into $ticks_all, and how many of them were idle into
# $ticks_idle.
cpu_ticks()
{
	local user nice system idle iowait rest

	read -r _ user nice system idle iowait rest </proc/stat
	ticks_idle=$((idle + iowait))
	ticks_all=$((user + nice + system + ticks_idle))
	for rest in $rest; do
		ticks_all=$((ticks_all + rest))
	done
}

# tenths MICROSECONDS: as seconds with a digit behind the point, into $seconds.
tenths()
{
	printf -v seconds '%d.%d' $(($1 / 1000000)) $(($1 / 100000 % 10))
}

# report OK NUMBER NAME: the result line, and what goes before it.
report()
{
	local reason

	if [ "$1" = not ]; then
		fail=$((fail + 1)) group_failed=1
		{
			sed 's/^\(# \)\?/# /' "$work/out"
			sed 's/^/# /' "$work/why"
			sed 's/^/#   /' "$work/more"
			echo "not ok $2 - $3 # $seconds s"
		} | indent
	elif [ "$status" = 4 ]; then
		skip=$((skip + 1))
		reason=$(sed -n 's/^# SKIP //p' "$work/out" | tail -n 1)
		echo "    ok $2 - $3 # SKIP ${reason:-no reason was given}"
	else
		pass=$((pass + 1))
		[ ! -s "$work/out" ] || grep '^#' "$work/out" | indent
		echo "    ok $2 - $3 # $seconds s"
	fi
}

clear_reports()
{
	: >"$work/out"
	: >"$work/why"
	: >"$work/more"
}

# report_time SINCE IDLE ALL TESTS: what the group took since then, and for how much of it
# its CPUs had nothing to do.
report_time()
{
	local seconds

	cpu_ticks
	tenths $((${EPOCHREALTIME/./} - $1))
	printf '# time: %s s, %s: %d tests, CPUs idle for %d %%\n' "$seconds" "$group" "$4" \
		$((100 * (ticks_idle - $2) / (ticks_all - $3 + 1)))
}

# The 20 slowest tests of this run.
report_slowest()
{
	sort -k1,1nr "$work/times" | sed -n '1,20 { s/^\([^ ]*\)/# slow: \1 s,/; p; }'
}

# The last lines: what failed, and how to see it again by itself.
report_failures()
{
	head -n 20 "$work/failed" | sed 's/.*/# failed: tests\/run &/'
	[ "$fail" -le 20 ] || echo "# failed: $((fail - 20)) more"
}
