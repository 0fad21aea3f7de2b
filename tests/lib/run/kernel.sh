# shellcheck shell=bash
# What the kernel says of a test, and what the test left behind in it.

# In the order in which they unload.
modules='vhost_blk vhost_scsi vhost_storage'

# What it says when something is wrong with it.
# Not scsi_debug: and the like.
alarms='[^e]BUG:|BUG at|WARNING:|Oops|kernel panic|general protection|unable to handle'
alarms+='|KASAN|UBSAN|KFENCE|KCSAN|KMSAN|kmemleak|lockdep|INFO: trying to register'
alarms+='|possible (recursive|irq lock|circular)|circular locking|inconsistent lock'
alarms+='|suspicious RCU|rcu.*(stall|detected)|soft lockup|hard LOCKUP|sleeping function'
alarms+='|blocked for more than|leaked|still in use|refcount_t|list_(add|del) corruption'
alarms+='|Bad page|bad: scheduling|scheduling while atomic|Call Trace|use-after-free'
alarms+='|ODEBUG|slab corruption|Object already free|page allocation failure'
# For a test that looks at another kernel's log.
export TESTS_ALARMS=$alarms

# Of these the ones after which it is no judge any more: it has killed a thread in the
# midst of its work, its memory is not what it should be, or it tells of the first only
# (KASAN, lockdep).
breaks='[^e]BUG:|BUG at|Oops|general protection|unable to handle|KASAN|KFENCE|lockdep'
breaks+='|INFO: trying to register|possible (recursive|irq lock|circular)|inconsistent lock'
breaks+='|list_(add|del) corruption|Bad page|blocked for more than|soft lockup|hard LOCKUP'

# From here on the kernel's log comes line by line from descriptor 8: a process for
# each look at it would cost a VM dear.
follow_kernel_log()
{
	exec 8< <(exec dmesg --follow --notime)
}

# Writes MARK into the kernel's log and puts what came before it into the array said.
kernel_mark()
{
	local line

	said=()
	echo "tests/run: $1" >/dev/kmsg
	while IFS= read -r -t $((60 * slowness)) line <&8; do
		[ "$line" != "tests/run: $1" ] || return 0
		said+=("$line")
	done
	return 1
}

# Where tests make allocations fail, vmalloc and the killer of those that are out of
# memory show the stack of one now and then, and kmemleak does with less of its own.
# Takes those lines out of said.
drop_shortage()
{
	local line known=0 kept=()

	for line in "${said[@]}"; do
		case $line in
		*'vmalloc error: size'*|*'invoked oom-killer'*)
			known=60 ;;
		*'kmemleak: Cannot allocate a scan area'*)
			[ "$group" != faults ] || continue ;;
		esac
		[ "$known" -gt 0 ] || kept+=("$line")
		[[ $line != *'</TASK>'* ]] || known=1
		known=$((known - (known > 0)))
	done
	said=("${kept[@]}")
}

# said_first PATTERN [FINE]: puts the first line of said that a pattern matches, and
# FINE does not, into $alarm.
said_first()
{
	local line

	alarm=''
	shopt -s nocasematch
	for line in "${said[@]}"; do
		# The patterns may ask for a character before.
		[[ " $line" =~ $1 ]] || continue
		[ -z "${2-}" ] || ! [[ $line =~ $2 ]] || continue
		alarm=$line
		break
	done
	shopt -u nocasematch
}

# kernel_alarms NAME [FINE]: what should not be in the log since the last mark; a line
# that FINE matches is looked at elsewhere. Says it in $work/why, its surroundings in
# $work/more; puts why the kernel is no judge any more into $broken, if it is not.
kernel_alarms()
{
	local alarm

	kernel_mark "$1: over" || echo "the kernel's log cannot be read" >>"$work/why"
	[[ $group != faults && $file != *memory_cgroup ]] || drop_shortage
	said_first "$alarms" "${2-}"
	[ -n "$alarm" ] || return 0
	echo "the kernel says: $alarm" >>"$work/why"
	printf '%s\n' "${said[@]:0:60}" >>"$work/more"
	said_first "$breaks" "${2-}"
	broken=${alarm:+"the kernel said: $alarm"}
}

# Puts the number of pages that are pinned now into $pins. Run around every test:
# so without a process of its own, each of which costs a VM dear.
pinned_pages()
{
	local line lines

	# The counters lag behind on each CPU until this folds them.
	echo 1 >/proc/sys/vm/stat_refresh
	mapfile -t lines </proc/vmstat
	pins=0
	for line in "${lines[@]}"; do
		case $line in
		'nr_foll_pin_acquired '*)	pins=$((pins + ${line#* })) ;;
		'nr_foll_pin_released '*)	pins=$((pins - ${line#* })) ;;
		esac
	done
}

# Puts into $used which of our modules is in use, if one is.
left_in_use()
{
	local module count

	used=''
	for module in $modules; do
		# vhost_blk and vhost_scsi hold vhost_storage: only the leaves count.
		[ "$module" != vhost_storage ] || continue
		[ -r "/sys/module/$module/refcnt" ] || continue
		read -r count <"/sys/module/$module/refcnt"
		[ "$count" = 0 ] || used="module $module is in use: $count"
	done
}

# What the test left behind, a line each in $work/why; then nothing that comes after it
# can be told from it. The last file may close a little after the process has ended, so
# it has a moment to go.
left_behind()
{
	local pins used

	for _ in 1 2 3 4 5 6 7 8 9 10; do
		pinned_pages
		left_in_use
		[ "$pins" != "$pins_before" ] || [ -n "$used" ] || return 0
		sleep 0.2
	done
	broken='it left something behind'
	[ "$pins" = "$pins_before" ] || echo "$((pins - pins_before)) pages stay pinned" >>"$work/why"
	[ -z "$used" ] || echo "$used" >>"$work/why"
}

our_modules_loaded()
{
	local module

	for module in $modules; do
		[ -d "/sys/module/$module" ] || continue
		# The kernel's own vhost_scsi is not ours to judge.
		modinfo -n "$module" 2>/dev/null | grep -q /updates/ && echo "$module"
	done
}

# The kernel's own: 6.12's blkg_destroy_all() makes blk_throtl_exit() believe that there
# is nothing to free, for each disk that had a limit in a cgroup.
known_leaks='blk_throtl_init'

# What kmemleak tells, without those.
unknown_leaks()
{
	awk -v known="$known_leaks" '
		function tell() { if (text !~ known) printf "%s", text; text = "" }
		/^unreferenced object/ { tell() }
		{ text = text $0 "\n" }
		END { tell() }' "$1"
}

# Where the kernel can tell, memory that nothing points to any more is a leak.
leaks()
{
	local kmemleak=/sys/kernel/debug/kmemleak

	[ -w "$kmemleak" ] || return 0
	# An object counts only when two scans have not found it.
	echo scan >"$kmemleak"
	sleep 5
	echo scan >"$kmemleak"
	unknown_leaks "$kmemleak" >"$work/leaks"
	[ -s "$work/leaks" ] || return 0
	echo "memory leaked" >>"$work/why"
	head -n 40 "$work/leaks" >>"$work/more"
	echo clear >"$kmemleak"
}

# The modules must go, and take all that they had with them.
unload()
{
	local module

	for module in $(our_modules_loaded); do
		[ -d "/sys/module/$module" ] || continue
		timeout 60 modprobe -r "$module" || echo "$module does not unload"
	done >>"$work/why" 2>&1
	leaks
	# Which leaks these are, leaks() has seen.
	kernel_alarms "$group: modules unload" 'kmemleak: [0-9]+ new suspected memory leaks'
}

# Where our modules count which of their lines are reached: what this machine has, as files
# in /out, for scripts/coverage.
keep_coverage()
{
	local counts=/sys/kernel/debug/gcov/project/build/modules dir file

	[ -d "$counts" ] || return 0
	dir=/out/coverage/$group.$from.$$
	cd "$counts"/*/tree/drivers/vhost || return 0
	for file in */*.gcda; do
		mkdir -p "$dir/${file%/*}"
		# Its size is not known before it is read.
		cat "$file" >"$dir/$file"
	done
	cd / || return
}
