# shellcheck shell=bash
# A lane's copy of the checkout, in which one mutant at a time is built. It stays, so that
# only what a mutant changes is built anew: what goes back to the checkout's state is
# written once more, for a file must not seem older than what was built of it.

tree_of()
{
	echo "$state/tree-$1"
}

# Makes TREE what the checkout is, whatever was in it.
tree_refresh()
{
	local tree=$1 file

	mkdir -p "$tree"
	find "$tree" -path "$tree/build" -prune -o -type f -printf '%P\n' | while IFS= read -r file; do
		[ -f "$top/$file" ] || rm -f "$tree/$file"
	done
	for file in "${files[@]}"; do
		[[ $file != tests/mutants/* ]] || continue
		cmp -s "$top/$file" "$tree/$file" && continue
		mkdir -p "$(dirname "$tree/$file")"
		cp --preserve=mode "$top/$file" "$tree/$file"
	done
	# Of a VM that was ended from here.
	rm -f "$tree"/build/testbed/run.*/disk*
}

# tree_apply TREE NAME: what is of QEMU becomes a patch more of its series.
tree_apply()
{
	if is_of_qemu "$2"; then
		sed -n '/^--- /,$p' "$catalogue/$2.patch" >"$1/qemu-patches/10.0/9999-mutant.patch"
	else
		patch -d "$1" -p1 --fuzz=0 --forward -s <"$catalogue/$2.patch"
	fi
}

# Builds all that a run needs; with a warning it does not count as built.
tree_build()
{
	local kernel=()

	! is_for_debug "$2" || kernel=(6.12 debug)
	! is_of_qemu "$2" || "$scripts/mutate.d/qemu-piece" make "$1" "$state" || return
	"$1/scripts/testbed" setup "${kernel[@]}" || return
	! grep 'warning:' "$1/build/log/modules.log"
}

# The QEMU of a mutant is of no use to anybody else.
tree_forget_qemu()
{
	! is_of_qemu "$2" || "$scripts/mutate.d/qemu-piece" drop "$1" "$state"
}
