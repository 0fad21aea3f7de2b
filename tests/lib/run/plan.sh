# shellcheck shell=bash
# What a run of tests/run consists of: groups, their files, the tests of these, and which
# of them are meant. A test file's --plan says of each test what a run may leave out:
#
#	NAME			a behaviour: every run has it
#	NAME path		the same; --first has it though it is not the first variant
#	NAME way		one of several ways that lead to the same; a default run
#				takes one of them, another one from test to test
#	NAME full REASON	for full runs alone
#
# Of the tests that were named one by one, all are meant.

# Folders of tests/ that are not groups.
not_groups=' lib bench mutants '

group_names()
{
	local dir name

	for dir in "$tests"/*/; do
		name=$(basename "$dir")
		[[ $not_groups == *" $name "* ]] || echo "$name"
	done
}

# The test files of a group, a path a line, sorted by name.
group_files()
{
	local file name

	for file in "$built/$1"/* "$tests/$1"/*; do
		name=${file##*/}
		[ -f "$file" ] && [ -x "$file" ] && [[ $name != *.* ]] && echo "$name $file"
	done | sort | cut -d' ' -f2
}

# wanted NAME PATTERN: whether a test is meant by what was given for it.
wanted()
{
	[ -z "$2" ] || [ "$1" = "$2" ] || [[ $1 == "$2".* ]]
}

# Prints "FILE TEST MARK..." lines of what a selector means.
plan_selector()
{
	local group=$1 want_file=$2 want_test=$3 file name mark list

	for file in $(group_files "$group"); do
		[ -z "$want_file" ] || [ "${file##*/}" = "$want_file" ] || continue
		list=$("$file" --plan) || {
			echo "tests/run: $file --plan fails" >&2
			exit 2
		}
		while read -r name mark; do
			[ -z "$want_test" ] || mark=''
			if [ -n "$name" ] && wanted "$name" "$want_test"; then
				echo "$file $name $mark"
			fi
		done <<<"$list"
	done
}

# Reads such lines, and prints each again with "+" before it, or with "-" where this run
# leaves the test out. --first has nothing but the first variant of each test.
choose()
{
	awk -v mode="$mode" '
		function test_of(name) { sub(/\..*/, "", name); return name }
		# One of the ways that were kept.
		function emit(i, pick) {
			if (n) pick = turn++ % n
			for (i = 0; i < n; i++) print (i == pick ? "+ " : "- ") ways[i]
			n = 0
		}
		mode == "full" { print "+ " $0; next }
		$3 == "full" { emit(); print "- " $0; next }
		mode == "first" && $3 == "path" { print "+ " $0; next }
		mode == "first" { print (seen[$1, test_of($2)]++ ? "- " : "+ ") $0; next }
		$1 != file { emit(); file = $1; turn = length(file) - match(file, /[^\/]*$/) + 1 }
		$3 != "way" || test_of($2) != test { emit() }
		$3 == "way" { test = test_of($2); ways[n++] = $0; next }
		{ print "+ " $0 }
		END { emit() }'
}

# plan SELECTOR...: for each group that is meant, the files $work/plan.GROUP and
# $work/left.GROUP, with what this run has of it and what it leaves out.
groups=()
plan()
{
	local selector group file test

	for selector in "$@"; do
		IFS=/ read -r group file test <<<"$selector"
		plan_selector "$group" "$file" "$test" >"$work/selected" || exit 2
		if [ ! -s "$work/selected" ]; then
			# A group with nothing in it yet is fine when all are run.
			[ -n "$given" ] || continue
			echo "tests/run: no test is called '$selector'" >&2
			exit 2
		fi
		[ -e "$work/plan.$group" ] || groups+=("$group")
		choose <"$work/selected" >"$work/chosen"
		sed -n 's/^+ \([^ ]* [^ ]*\).*/\1/p' "$work/chosen" >>"$work/plan.$group"
		sed -n 's/^- //p' "$work/chosen" >>"$work/left.$group"
	done
}

# list_tests KIND: what was chosen (plan) or left out (left), as GROUP/FILE/TEST.
list_tests()
{
	local group

	for group in "${groups[@]}"; do
		sed "s:^[^ ]*/\([^ ]*\) :$group/\1/:" "$work/$1.$group"
	done
}
