# shellcheck shell=bash
# Runs a piece of the plan in VMs: one, and another one where a test has broken the first or
# it was lost. Part of scripts/check.

death='BUG:|Oops|Kernel panic|RIP: 0010'
# So many machines for a piece: where each test breaks one, a few tell it.
most_machines=6

# What runs GROUP, into the array runner.
runner_of()
{
	local options=()

	if is_on_host "$1"; then
		runner=("$testbed" root)
		return
	fi
	[ ! -e "$top/tests/$1/testbed" ] || read -ra options <"$top/tests/$1/testbed"
	runner=("$testbed" run --kernel "$kernel" ${debug:+--debug} "${options[@]}" --)
}

# run_vm PIECE GROUP FROM TO: a machine's report goes to $log/part.PIECE; puts the status
# of tests/run into $status.
run_vm()
{
	local runner names piece=$1

	runner_of "$2"
	mapfile -t names <"$log/names.$2"
	status=0
	"${runner[@]}" /project/tests/run ${mode:+"$mode"} ${stop:+--stop-at-first-failure} \
		--from "$3" --to "$4" "${names[@]}" \
		>"$log/part.$piece" 2> >(tee "$log/stderr.$piece" >&2) || status=$?
	grep -q '^# totals:' "$log/part.$piece" || status=lost
}

# The console log of the VM of a piece, if the testbed told of its end.
console_of()
{
	sed -n 's/^testbed: the end of its console log, \(.*\):$/\1/p' "$log/stderr.$1" | tail -n 1
}

# What the testbed had to say of the VM of a piece that was lost; then what its kernel
# said as it died, without registers and guesses: short enough to be read where only
# the end of a report is kept.
tell_loss()
{
	local console

	sed 's/^/# /' "$log/stderr.$1"
	console=$(console_of "$1")
	[ -s "$console" ] || return 0
	sed -nE "/$death/,\$ { s/\r//; p }" "$console" | cut -c1-160 |
		grep -avE '(Code|R([A-D]X|[SD]I|[SB]P|[01][0-9])|CR2|FS|CS|Modules linked in):|\] +\? ' |
		head -n 20 | sed 's/^/# died of: /' || :
}

# Was the VM of a piece lost by its emulator? TCG, running a kernel that runs a guest,
# now and then breaks it: QEMU goes, or L1 panics over the end of its stack on the way
# out of L2. What dies in our modules, or in another group, has no such excuse, nor has
# a VM that hangs. lost_by_emulator PIECE GROUP
lost_by_emulator()
{
	local console

	console=$(console_of "$1")
	[ -s "$console" ] || return 1
	! grep -q '^testbed: .*: not done after' "$log/stderr.$1" || return 1
	grep -aqE "$death|WARNING:|Call Trace:" "$console" || return 0
	[[ ' guest migrate hosts ' == *" $2 "* ]] && grep -aq 'testbed.accel=tcg' "$console" &&
		[ "$(grep -acE "$death" "$console")" -eq 1 ] &&
		grep -aq 'Kernel panic - not syncing: corrupted stack end' "$console" &&
		! grep -aq '\[vhost' "$console"
}

# The number of the last test that a piece's machine has told of; or FROM - 1.
# last_told PIECE FROM
last_told()
{
	sed -n 's/^    \(not \)\?ok \([0-9]*\) - .*/\2/p' "$log/part.$1" | tail -n 1 |
		grep . || echo $(($2 - 1))
}

# The test that was under way when a machine was lost has failed.
# lost_in PIECE GROUP NUMBER
lost_in()
{
	local name

	name=$(sed -n "$3p" "$log/plan.$2")
	name=${name:-$2/module_unloads}
	name=${name#*/}
	tell_loss "$1" | sed 's/^/    /'
	echo "    not ok $3 - ${name/\//.} # the machine was lost"
	echo "# failed: tests/run $2/$name"
	echo "# totals: pass:0 fail:1 skip:0"
}

# Puts the number of the test to go on with into $from, or 0 where all was run, and adds
# what there is to say to the report: after_machine PIECE GROUP
after_machine()
{
	local told

	cat "$log/part.$1"
	told=$(last_told "$1" "$from")
	case $status in
	3)	from=$((told + 1)) ;;
	lost)
		if lost_by_emulator "$1" "$2"; then
			echo "# the VM was lost by its emulator, it seems; once more. What was told:"
			tell_loss "$1"
			from=$((told + 1))
		else
			lost_in "$1" "$2" $((told + 1))
			from=$((told + 2))
		fi ;;
	*)	from=0 ;;
	esac
}

# run_piece PIECE GROUP FROM TO: its report goes to $log/report.PIECE.
run_piece()
{
	local from=$3 machine status

	: >"$log/report.$1"
	for machine in $(seq $most_machines); do
		run_vm "$1" "$2" "$from" "$4"
		after_machine "$1" "$2" >>"$log/report.$1"
		[ "$from" -ne 0 ] && [ "$from" -le "$4" ] || return 0
	done
	echo "# totals: pass:0 fail:$(($4 - from + 1)) skip:0" >>"$log/report.$1"
	echo "# $machine machines were broken or lost; the rest was not run" >>"$log/report.$1"
}
