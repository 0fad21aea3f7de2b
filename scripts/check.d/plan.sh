# shellcheck shell=bash
# What is run, in which pieces, and how long that will take. Part of scripts/check.
#
# A piece is a range of a group's tests that one VM runs. A group is cut into several where
# it would keep a lane longer than the others are busy.

# What a machine takes to come up, and no piece is to be much longer than this.
boot_seconds=15
piece_seconds=${CHECK_PIECE:-240}
# The same on the debug kernel, where each machine ends with two scans for leaks: half a
# minute.
debug_piece_seconds=600

# The names, of each group that has some, in order of their number: $log/plan.GROUP; and
# what is left out, with the reason, $log/left-out.
plan_tests()
{
	local group names

	rm -f "$log"/plan.*
	for group in "${groups[@]}"; do
		names_in "$group" "$@"
		printf '%s\n' "${names[@]}" >"$log/names.$group"
		printf '%s ' /project/tests/run ${mode:+"$mode"} --list "${names[@]}" \
			">/project/build/log/plan.$group;"
		printf '%s ' /project/tests/run ${mode:+"$mode"} --left-out "${names[@]}" \
			">>/project/build/log/left-out;"
	done >"$log/plan-command"
	: >"$log/left-out"
	"$testbed" root bash -e "/project/build/log/plan-command"
}

# Prints "NUMBER SECONDS" for each test of a group: as the last run in this checkout found
# it, or as tests/durations has it for a test of that file; more on the debug kernel.
estimate()
{
	awk -v debug="${debug:+1}" '
		NF == 2 { known[$1] = $2; next }
		{ split($1, part, "/"); file = part[1] "/" part[2] }
		$1 in known { print FNR, known[$1]; next }
		{ print FNR, (file in known ? known[file] : 1) * (debug ? 3 : 1) }' \
		"$top/tests/durations" "$durations" "$log/plan.$1"
}

# Cuts a group: prints "SECONDS GROUP FROM TO" for each piece.
cut_group()
{
	local limit=$piece_seconds

	[ -z "$debug" ] || limit=$debug_piece_seconds
	is_on_host "$1" && limit=100000
	estimate "$1" | awk -v group="$1" -v limit="$limit" '
		{ n = $1; at[n] = sum; sum += $2 }
		END {
			pieces = int(sum / limit) + 1
			at[n + 1] = sum
			for (from = 1; from <= n; from = to + 1) {
				piece++
				# The next one, too, if most of it lies before the cut.
				for (to = from; to < n; to++)
					if ((at[to + 1] + at[to + 2]) / 2 > piece * sum / pieces)
						break
				print int(at[to + 1] - at[from] + 1), group, from, to
			}
		}'
}

# All pieces, the longest first, into the array pieces; the lanes take them in this order.
plan_pieces()
{
	local group

	mapfile -t pieces < <(for group in "${groups[@]}"; do cut_group "$group"; done | sort -k1,1nr)
}

# How long the lanes will be at it, in minutes.
plan_minutes()
{
	printf '%s\n' "${pieces[@]}" | awk -v lanes="$lanes" -v boot="$boot_seconds" '
		{ sum += $1 + boot }
		$1 + boot > longest { longest = $1 + boot }
		END { t = sum / lanes; if (t < longest) t = longest; print int(t / 60 + 1) }'
}

# Said before it begins.
tell_plan()
{
	local total left

	total=$(cat "$log"/plan.* | wc -l)
	left=$(wc -l <"$log/left-out")
	echo "==> $total tests, about $(plan_minutes) minutes on 2 cores without hardware virtualisation"
	[ "$left" -gt 0 ] || return 0
	echo "    left out, FULL=1 has them, build/log/left-out all their names:"
	sed -n 's/^\([^ ]*\) full \(.*\)/      \1: \2/p' "$log/left-out"
	awk '$2 != "full" { split($1, part, "/"); n[part[1]]++ }
		END { for (group in n) printf "      %s: %d further variants\n", group, n[group] }' \
		"$log/left-out" | sort
}
