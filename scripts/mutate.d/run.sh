# shellcheck shell=bash
# Runs mutants, several at a time, and keeps what came of each.

# The tests of NAME that are in GROUP.
selectors_in()
{
	header "$1" Tests | tr ' ' '\n' | grep -E "^$2(/|$)"
}

# Its groups, in the order in which they are named.
groups_of()
{
	header "$1" Tests | tr ' ' '\n' | cut -d/ -f1 | awk 'NF && !seen[$0]++'
}

# check_in TREE ARGUMENT...: runs scripts/check there, which ends all that it has started.
check_in()
{
	local tree=$1

	shift
	mkdir -p "$tree/build/log"
	rm -f "$tree"/build/log/{report,stderr}.*
	env -u VHOST_STORAGE_BOUND "$tree/scripts/check" "$@" >"$tree/build/check.out" 2>&1 || :
}

# Puts into $verdict what the tests of NAME, applied to TREE, say.
run_tests()
{
	local tree=$1 name=$2 group selectors options=(--stop-at-first-failure)

	! is_for_debug "$name" || options+=(--debug)
	verdict=survived
	for group in $(groups_of "$name"); do
		mapfile -t selectors < <(selectors_in "$name" "$group")
		for _ in 1 2; do
			TESTBED_READY=1 CHECK_LANES=1 check_in "$tree" "${options[@]}" "${selectors[@]}"
			verdict=$(verdict_of "$tree")
			[ "$verdict" = lost ] || break
		done
		[ "$verdict" = survived ] || return 0
	done
}

# Puts into $verdict what became of NAME in TREE.
run_mutant()
{
	local tree=$1 name=$2

	tree_refresh "$tree"
	if ! tree_apply "$tree" "$name"; then
		verdict='does-not-apply'
	elif ! tree_build "$tree" "$name"; then
		verdict='does-not-build'
	elif is_equivalent "$name"; then
		verdict=equivalent
	else
		run_tests "$tree" "$name"
	fi
	tree_forget_qemu "$tree" "$name" || :
}

result_file()
{
	echo "$state/results/$1"
}

# Puts into $verdict and $seconds what is known of NAME as it is now; else nothing.
recall()
{
	local key

	verdict='' seconds=''
	[ -e "$(result_file "$1")" ] || return 0
	{ read -r key; read -r verdict; read -r seconds; } <"$(result_file "$1")"
	[ "$key" = "$(state_key "$1" "tests/mutants/$1.patch")" ] || verdict='' seconds=''
}

# The result's lines: key, verdict, seconds. What is not the mutant's own is not kept.
keep_result()
{
	local name=$1 verdict=$2 seconds=$3 log=$4

	if [ "$verdict" = lost ]; then
		mkdir -p "$state/lost"
		cp "$log" "$state/lost/$name.log"
	fi
	printf '%s\n' "$(state_key "$name" "tests/mutants/$name.patch")" "$verdict" "$seconds" \
		>"$state/results/$name.new"
	mv "$state/results/$name.new" "$(result_file "$name")"
}

# Takes turns with its like.
run_lane()
{
	local tree log name from verdict

	tree=$(tree_of "$1")
	log=$state/log.$1
	shift
	for name in "$@"; do
		mkdir "$turns/$name" 2>/dev/null || continue
		from=$SECONDS verdict=''
		run_mutant "$tree" "$name" >"$log" 2>&1
		keep_result "$name" "$verdict" $((SECONDS - from)) "$log"
		say "    $name: $verdict, $((SECONDS - from)) s"
	done
}

run_lanes()
{
	local lane

	turns=$state/turns
	rm -rf "$turns"
	mkdir "$turns"
	for lane in $(seq "$lanes"); do
		run_lane "$lane" "$@" &
	done
	wait
}

# The names that are still to be run, into the array todo; what was an error is.
find_todo()
{
	local name verdict seconds

	todo=()
	for name in "$@"; do
		recall "$name"
		[[ $verdict =~ ^(caught|survived|equivalent) ]] || todo+=("$name")
	done
}

# fails_without NAME: tells the first of its tests that failed in a tree as it is.
fails_without()
{
	local failed selector selectors

	selectors=$(header "$1" Tests)
	while read -r failed; do
		for selector in $selectors; do
			[[ $failed/ != "$selector"[./]* ]] || { echo "$failed"; return; }
		done
	done <"$state/failed"
	return 1
}

passed_file()
{
	echo "$state/passed/$(state_key "$1")"
}

# Runs the tests of NAME..., each once, in a tree as it is; what failed goes into a file.
run_unmodified()
{
	local tree

	tree=$(tree_of 1)
	tree_refresh "$tree"
	CHECK_LANES=$lanes check_in "$tree" "$@"
	grep -q ' passed, .* skipped$' "$tree/build/check.out" || {
		say "mutate: the checkout as it is does not run: $(tail -n 3 "$tree/build/check.out")"
		return 2
	}
	failed_tests "$tree" >"$state/failed"
}

# What catches a mutant must pass without it: nothing else tells the one from the other.
check_unmodified()
{
	local name unknown=() selectors failed status=0

	for name in "$@"; do
		is_equivalent "$name" || [ -e "$(passed_file "$name")" ] || unknown+=("$name")
	done
	[ ${#unknown[@]} -gt 0 ] || return 0
	mapfile -t selectors < <(for name in "${unknown[@]}"; do
		header "$name" Tests | tr ' ' '\n'
		echo
	done | awk 'NF && !seen[$0]++' | sort | awk '
		# One that means another one as well.
		last != "" && index($0, last "/") == 1 { next }
		{ last = $0; print }')
	say "==> the tests of ${#unknown[@]} mutants without these"
	run_unmodified "${selectors[@]}" || return
	for name in "${unknown[@]}"; do
		if failed=$(fails_without "$name"); then
			say "mutate: $name: $failed fails without it"
			status=2
		else
			: >"$(passed_file "$name")"
		fi
	done
	return $status
}

run_all()
{
	local todo files

	unset TESTBED_READY
	mkdir -p "$state"/{results,passed}
	exec {lock}>"$state/.lock"
	flock -n "$lock" || { say "mutate: another run is at it"; return 2; }
	checkout_files
	find_todo "$@"
	[ ${#todo[@]} -gt 0 ] || return 0
	[ -n "$checked" ] || check_unmodified "${todo[@]}" || return
	say "==> ${#todo[@]} mutants"
	run_lanes "${todo[@]}"
}
