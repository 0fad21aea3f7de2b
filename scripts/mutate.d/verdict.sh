# shellcheck shell=bash
# What became of the tests, from what scripts/check leaves behind in a tree.

death='BUG:|Oops|Kernel panic|general protection|unable to handle|KASAN'

# failed_tests TREE: those that failed in its last run, a line each.
failed_tests()
{
	sed -n 's:^# failed\: tests/run ::p' "$1"/build/log/report.*
}

# The console log of the last machine that was lost there, or nothing.
console_of()
{
	cat "$1"/build/log/stderr.* |
		sed -n 's/^testbed: the end of its console log, \(.*\):$/\1/p' | tail -n 1
}

# How a machine went that told no end: hang, crash, or lost, which may be its emulator's.
loss_of()
{
	local console

	if cat "$1"/build/log/stderr.* | grep -q '^testbed: .*: not done after'; then
		echo hang
		return
	fi
	console=$(console_of "$1")
	if [ -s "$console" ] && grep -aqE "$death" "$console" && grep -aq '\[vhost_' "$console"; then
		echo crash
	else
		echo lost
	fi
}

# verdict_of TREE: "caught BY", "survived" or "lost", of the tests that were run there.
verdict_of()
{
	local by how

	by=$(failed_tests "$1" | head -n 1)
	if [ -z "$by" ]; then
		# Of tests that are all skipped nothing is known.
		grep -q '^[1-9][0-9]* passed, 0 failed' "$1/build/check.out" && echo survived || echo lost
	elif ! grep -q "not ok .* - $(cut -d/ -f2- <<<"$by" | tr / .) # the machine was lost" \
		"$1"/build/log/report.*; then
		echo "caught $by"
	else
		how=$(loss_of "$1")
		[ "$how" = lost ] && echo lost || echo "caught $by: $how"
	fi
}
