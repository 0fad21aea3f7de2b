# shellcheck shell=bash
# libiscsi's tests (iscsi-test-cu) in a guest, on a LUN of vhost_scsi. Sourced after tap.sh
# by the files of tests/peer, each of which is a backend and has two functions:
# backend_make, which puts a disk or a file into l2_disk, and backend_remove.
#
# A test is a suite by one way: short or long, which are ours (attrib/direct_rw), or intree,
# the kernel's own module. It passes when each test of the suite ends as tests/peer/
# expected.tsv says. The first test of a way boots a guest, which runs all suites of the
# way; the others find what came of theirs.
#
# From the environment: PEER_RESUME=1, what an earlier run has found with the same modules
# is not asked for again.

# shellcheck source=tests/lib/l2.sh
. "$(dirname "${BASH_SOURCE[0]}")/l2.sh"
# shellcheck source=tests/lib/lun.sh
. "$(dirname "${BASH_SOURCE[0]}")/lun.sh"
# shellcheck source=tests/lib/scsi_debug.sh
. "$(dirname "${BASH_SOURCE[0]}")/scsi_debug.sh"

peer_here=$project/tests/peer
peer_table=$peer_here/expected.tsv
# What one suite may take.
peer_limit=900
export GUEST_QEMU=/usr/bin/qemu-system-x86_64

# peer_disk_make [PARAMETER]...: a block device that unmaps, and whose physical blocks are
# eight logical ones, for there are tests of both.
peer_disk_make()
{
	scsi_debug_make dev_size_mb=64 physblk_exp=3 lbpu=1 lbpws=1 lbpws10=1 lbprz=1 \
		unmap_max_blocks=1048576 "$@"
	l2_disk=$scsi_debug_disk
}

peer_disk_remove()
{
	[ ! -d /sys/module/scsi_debug ] || modprobe -r scsi_debug
}

# peer_suites COLUMN: of this backend, those that have an entry there.
peer_suites()
{
	awk -F'\t' -v backend="$peer_backend" -v column="$1" '
		$1 == backend && $column !~ /^(-|OOPS)$/ && sub(/\..*/, "", $2) && !seen[$2]++ { print $2 }' \
		"$peer_table"
}

# The table's column of a way.
peer_column()
{
	case $1 in
	intree)	echo 3 ;;
	short)	echo 4 ;;
	long)	echo 5 ;;
	*)	fail "there is no way '$1'" ;;
	esac
}

peer_list()
{
	local way

	for way in short long intree; do
		peer_suites "$(peer_column $way)" | sed "s/$/.$way/"
	done
}

# What a result depends on.
peer_key()
{
	local modules

	if [ "$peer_way" = intree ]; then
		modules=$(echo "/lib/modules/$(uname -r)"/kernel/drivers/vhost/vhost_scsi.ko*)
	else
		modules=$(modinfo -n vhost_storage vhost_scsi)
	fi
	# shellcheck disable=SC2086 # one or two
	{
		uname -rv
		cat $modules /usr/bin/iscsi-test-cu "$peer_here/guest.sh" "$peer_here/$peer_backend" \
			"${BASH_SOURCE[0]}"
	} | sha256sum | cut -c1-16
}

# The folder of a way's results, which outlives this VM. What is there from another one is
# good with PEER_RESUME=1 and the same key, and then a file for each suite.
peer_open()
{
	local key now=/run/peer.$peer_backend.$peer_way

	peer_dir=/out/peer/$peer_backend.$peer_way
	[ ! -e "$now" ] || return 0
	key=$(peer_key)
	if [ -z "${PEER_RESUME-}" ] || [ "$(cat "$peer_dir/key" 2>/dev/null)" != "$key" ]; then
		rm -rf "$peer_dir"
		mkdir -p "$peer_dir"
		echo "$key" >"$peer_dir/key"
	fi
	touch "$now"
}

peer_make()
{
	local INTREE=''

	trap peer_clean EXIT
	if [ "$peer_way" = intree ]; then
		INTREE=1
		rmmod vhost_scsi 2>/dev/null || :
	fi
	# Where LIO keeps reservations over a loss of power.
	mkdir -p /etc/target/pr
	backend_make
	lun_make
	[ "$peer_way" != long ] || echo 0 >"$lun_tpg/attrib/direct_rw"
	# Thousands of commands are meant to fail, which takes minutes at ten a second.
	[ "$peer_way" = intree ] || echo 0 >/sys/module/vhost_scsi/parameters/max_failures
}

peer_clean()
{
	l2_cleanup
	lun_remove
	backend_remove
	[ "$peer_way" != intree ] || rmmod vhost_scsi
}

# peer_pattern SUITE: its tests, as the tool is told, which begins with the last one. Where
# the table has OOPS the host would not live through it.
peer_pattern()
{
	awk -F'\t' -v backend="$peer_backend" -v suite="$1" -v column="$(peer_column "$peer_way")" '
		$1 != backend || index($2, suite ".") != 1 { next }
		$column == "OOPS" { some = 1; next }
		{ list = "ALL." $2 (list ? "," list : "") }
		END { print some ? list : "ALL." suite }' "$peer_table"
}

# Each suite of this way that has no result yet, in one guest.
peer_boot()
{
	local suite suites=() limit=$((peer_limit * ${TEST_SLOWNESS:-1})) aligned=''

	# The short way takes whole blocks in one page; by any other data that is protected the
	# kernel's module damages the host's memory.
	case $peer_backend.$peer_way in
	*.short|pi.intree) aligned=1 ;;
	esac
	for suite in $(peer_suites "$(peer_column "$peer_way")"); do
		[ -e "$peer_dir/$suite" ] || suites+=("$(peer_pattern "$suite")")
	done
	l2_prepare
	peer_make
	rm -f "$peer_dir/direct.count"
	: >"$l2_dir/out"
	GUEST_TIMEOUT=8000 l2_start \
		-device "vhost-scsi-pci,wwpn=$lun_wwpn,num_queues=1${peer_properties-}" \
		-- env PEER_ALIGNED=$aligned bash "$peer_here/guest.sh" $limit "${suites[@]}"
	tail -n +1 -f --pid="$l2_pid" "$l2_dir/out" | peer_collect
	wait "$l2_pid" || { l2_tell; echo "# the guest ended before its time"; }
	l2_pid=''
	peer_check_way
}

# How many commands of the guest have gone the short way.
peer_count_direct()
{
	[ "$peer_way" != intree ] || return 0
	awk '$1 == "direct" { n += $2 } END { print n + 0 }' /sys/kernel/debug/vhost_scsi/[0-9]* \
		>"$peer_dir/direct.count"
}

# There are some by any, for its kernel looks for partitions.
peer_check_way()
{
	local direct

	[ "$peer_way" != intree ] || return 0
	read -r direct <"$peer_dir/direct.count" || fail "no count of what went the short way"
	echo "# $direct commands went the short way"
	case $peer_way in
	short)	[ "$direct" -gt 0 ] ;;
	long)	[ "$direct" -eq 0 ] ;;
	esac || fail "which is not what $peer_way means"
}

# The guest's lines: a file for each suite, and what came of it as soon as it has ended.
peer_collect()
{
	local line log=/dev/null

	while IFS= read -r line; do
		case $line in
		'suite '*)
			log=$peer_dir/${line#* }.log
			: >"$log"
			;;
		'end '*)
			peer_judge "${log%.log}"
			log=/dev/null
			;;
		all)
			peer_count_direct
			touch "$l2_dir/run/ctl/counted"
			;;
		*)	echo "$line" >>"$log" ;;
		esac
	done
}

# peer_judge FILE: what came of each test of the suite whose output is in FILE.log, and why
# it failed or was skipped; whole or not at all.
peer_judge()
{
	awk -v suite="${1##*/}" '
		function tell()
		{
			if (test)
				printf "%s.%s\t%s\t%s\n", suite, test, verdict, why
			test = ""
		}
		/^  Test: / { tell(); test = $2; verdict = "LOST"; why = ""; skipped = 0 }
		/^Run Summary:/ { tell() }
		/\[SKIPPED\]/ { skipped = 1; if (!why) why = substr($0, index($0, "[SKIPPED]")) }
		/\[FAILED\]/ && why !~ /^\[FAILED\]/ { why = substr($0, index($0, "[FAILED]")) }
		/passed$/ { verdict = skipped ? "SKIP" : "PASS" }
		/FAILED$/ { verdict = "FAIL" }
		/^ +1\. .*\.c:/ && !why { why = $0; sub(/^ */, "", why) }
		END { tell() }' "$1.log" >"$1.partial"
	mv "$1.partial" "$1"
}

# peer_compare SUITE: with what the table has.
peer_compare()
{
	awk -F'\t' -v backend="$peer_backend" -v suite="$1" -v column="$(peer_column "$peer_way")" '
		FILENAME == ARGV[1] { got[$1] = $2; why[$1] = $3; next }
		$1 == backend && index($2, suite ".") == 1 {
			result = $2 in got ? got[$2] : $column == "OOPS" ? "OOPS" : "nothing"
			if (result != $column) {
				print "# " $2 ": " result ", expected " $column ". " why[$2]
				wrong = 1
			}
			delete got[$2]
		}
		END {
			for (test in got) {
				print "# " test ": " got[test] ", and the table does not know it"
				wrong = 1
			}
			exit wrong
		}' "$peer_dir/$1" "$peer_table"
}

peer_test()
{
	local suite=${1%.*}

	peer_way=${1##*.}
	peer_open
	if [ ! -e "$peer_dir/$suite" ]; then
		peer_list | grep -x "$1" >/dev/null || fail "no test '$1' in $0"
		peer_boot
	fi
	[ -e "$peer_dir/$suite" ] || fail "the guest did not come to its end"
	peer_compare "$suite" || fail "not as $peer_table says"
}

# peer_main BACKEND ARGUMENT: the test contract.
peer_main()
{
	peer_backend=$1
	if [ "${2-}" = --list ]; then
		peer_list
	else
		peer_test "${2-}"
	fi
}
