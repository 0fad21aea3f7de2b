# shellcheck shell=bash
# What came of the mutants, and the score.

# table_line NAME: counts it, too.
table_line()
{
	local name=$1 verdict seconds

	recall "$name"
	verdict=${verdict:-unknown}
	printf '%-34s %-14s %5s  %s\n' "$name" "${verdict%% *}" "$seconds" \
		"$([[ $verdict != *' '* ]] || echo "${verdict#* }")"
	case $verdict in
	caught*)	caught=$((caught + 1)) ;;
	equivalent)	equivalent=$((equivalent + 1)) ;;
	survived)	survived=$((survived + 1)) ;;
	*)		errors=$((errors + 1)) ;;
	esac
}

# The status of the whole: see scripts/mutate.
table_print()
{
	local name files caught=0 survived=0 equivalent=0 errors=0 score=100

	checkout_files
	printf '%-34s %-14s %5s  %s\n' MUTANT VERDICT S BY
	for name in "$@"; do
		table_line "$name"
	done
	[ $((caught + survived)) -eq 0 ] || score=$((100 * caught / (caught + survived)))
	echo "$# mutants: $caught caught, $survived survived, $equivalent equivalent, $errors without a result"
	echo "score: $score % ($caught of $((caught + survived)))"
	[ $errors -eq 0 ] || return 2
	[ $survived -eq 0 ] || { [ -n "$all" ] && [ $score -ge $enough ]; }
}
