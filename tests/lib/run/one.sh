# shellcheck shell=bash
# Runs one test and judges it.

# Puts the time limit of a test file into $limit.
find_limit()
{
	limit=${TESTS_LIMIT:-120}
	# Only scripts say one; a program limits itself.
	if [[ $1 != "$built"/* ]]; then
		limit=$(sed -n 's/^# timeout: \([0-9]*\)$/\1/p' "$1")
	fi
	limit=$((${limit:-120} * slowness))
}

# Runs a test; puts its status into $status: as in the contract, or "stuck".
# Reading the status from a pipe waits without a process a second, and ends
# though the test does not: what is stuck in the kernel cannot be waited for.
run_test()
{
	local guard=()

	[[ $1 == "$built"/* ]] || guard=(timeout -k 5 "$limit")
	(
		"${guard[@]}" "$1" "$2" >"$work/out" 2>&1 </dev/null 8<&-
		echo $? >&9
	) &
	read -r -t $((limit + 15)) status <&9 || status=stuck
}

# Says why the test NAME did not pass, a line each in $work/why; and in $broken why no
# test can be judged after it, if none can.
judge()
{
	local fine=''

	case $status in
	0|4)	;;
	1)	echo "failed" ;;
	124|137) echo "not done after $limit s" ;;
	stuck)	echo "stuck: SIGKILL does not end it" ;;
	*)	echo "ended with status $status" ;;
	esac >"$work/why"
	[ -n "$in_vm" ] || return 0
	# The kernel's own vhost_scsi is not ours to judge.
	[[ $group/$1 != peer/*.intree ]] || fine='at drivers/vhost/scsi\.c|Call Trace:'
	kernel_alarms "$1" "$fine"
	if [ "$status" = stuck ]; then
		broken='it is stuck'
	else
		left_behind
	fi
}

# run_one NUMBER FILE NAME
run_one()
{
	local number=$1 file=$2 name=$3 pins pins_before from=${EPOCHREALTIME/./} seconds

	clear_reports
	[ "$file" = "$last_file" ] || find_limit "$file"
	last_file=$file
	if [ -n "$in_vm" ]; then
		pinned_pages
		pins_before=$pins
		kernel_mark "${file##*/}.$name"
	fi
	run_test "$file" "$name"
	judge "${file##*/}.$name"
	tenths $((${EPOCHREALTIME/./} - from))
	echo "$seconds $group/${file##*/}/$name" >>"$work/times"
	if [ -s "$work/why" ]; then
		echo "$group/${file##*/}/$name" >>"$work/failed"
		report not "$number" "${file##*/}.$name"
	else
		report ok "$number" "${file##*/}.$name"
	fi
}

# run_unload NUMBER: the last test of each group.
run_unload()
{
	local from=${EPOCHREALTIME/./} seconds=0.0 file=''

	clear_reports
	status=0
	if [ -z "$(our_modules_loaded)" ]; then
		status=4
		echo "# SKIP none of our modules is loaded" >"$work/out"
		report ok "$1" module_unloads
		return
	fi
	kernel_mark "$group: modules unload"
	unload
	tenths $((${EPOCHREALTIME/./} - from))
	if [ -s "$work/why" ]; then
		echo "$group" >>"$work/failed"
		report not "$1" module_unloads
	else
		report ok "$1" module_unloads
	fi
}
