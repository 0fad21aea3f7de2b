# shellcheck shell=bash
# The shell side of the test contract that tests/run drives (Documentation/
# testing): a test file is a program that answers to
#
#	FILE --list	its tests, a name a line, in the order they stand in
#	FILE --plan	the same, each with what a run may do with it: tests/lib/run/plan.sh
#	FILE NAME	runs one; exit 0 passed, 1 failed, 4 skipped
#
# Here a test is a function test_NAME; the file ends with: tap_main "$@". One that only a
# full run has says so: test_NAME() # full: REASON

set -eu -o pipefail

# Ends the test as failed, with the reason.
fail()
{
	echo "# $*"
	exit 1
}

# Ends the test as not run, with the reason, which tests/run prints.
skip()
{
	echo "# SKIP $*"
	exit 4
}

# expect WHAT GOT WANTED
expect()
{
	[ "$2" = "$3" ] || fail "$1: got '$2', expected '$3'"
}

tap_main()
{
	case ${1-} in
	--list)	sed -n 's/^test_\([a-z0-9_]*\)().*/\1/p' "$0"; return ;;
	--plan)	sed -n 's/^test_\([a-z0-9_]*\)()\( # full:\)\?/\1\2/p' "$0" |
			sed 's/ # full:/ full/'; return ;;
	esac
	declare -F "test_${1-}" >/dev/null || fail "no test '${1-}' in $0"
	# shellcheck disable=SC2034 # the test's
	tap_name=$1
	"test_$1"
}
