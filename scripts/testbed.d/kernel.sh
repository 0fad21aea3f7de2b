# shellcheck shell=bash
# The kernel L1 and L2 run on, our modules built for it, the initrd, and the
# layer: the folder that overlayfs lays over the root, with what is ours.

# kernel_select VERSION [debug|debug-more]: sets kbuild, that kernel's folder under build/;
# the debug kernel of that version, where that is asked for, or the larger one.
kernel_select()
{
	[ "$1" = 6.12 ] || die "kernel $1 is not in the testbed yet; there is 6.12"
	kernel_version=$1
	kernel_debug=${2-}
	kbuild=$build/testbed/$kernel_version${kernel_debug:+-$kernel_debug}
	mkdir -p "$kbuild"
}

# Of the distribution's kernel or of the debug kernel: its release, its file, and
# as seen in the root the folder with its lib/modules and its KDIR.
kernel_stock()
{
	release=$(cd "$root/lib/modules" && echo "$kernel_version".*)
	vmlinuz=$root/boot/vmlinuz-$release
	kbase=/
	kdir=/lib/modules/$release/build
	[ -e "$vmlinuz" ] || die "no kernel $kernel_version in $root: remove that folder and run this again"
}

kernel_of_debug()
{
	release=$(cat "$debug/release")
	vmlinuz=$debug/vmlinuz
	kbase=/cache/${debug##*/}
	kdir=$kbase/build
}

# Where our modules are built: apart, where they are to count which lines are reached.
modules_find()
{
	modules=$build/modules/$release${TESTBED_COVERAGE:+-coverage}
}

# initrd_make FOLDER MODULE...: modules that must be there before the root is, in order
# of their needs.
initrd_make()
{
	local folder=$1 partial=$1/initrd.partial

	shift
	rm -rf "$partial"
	in_root bash /project/scripts/testbed.d/build-initrd "$release" "$kbase" \
		"/project${partial#"$top"}" "$@"
	mv "$partial/initrd" "$folder/initrd"
	rm -rf "$partial"
	echo "$initrd_key" >"$folder/initrd.key"
}

# initrd_setup FOLDER MODULE...: for the kernel chosen last, into that folder.
initrd_setup()
{
	mkdir -p "$1"
	initrd_key=$(key_of "$here"/{build-initrd,initrd-init,vm-init} -- \
		"$release" "$root_key" "$kbase" "$*")
	[ "$(cat "$1/initrd.key" 2>/dev/null)" = "$initrd_key" ] ||
		step initrd "making the initrd" initrd_make "$@"
}

modules_make()
{
	in_root make -C /project --no-print-directory -j"$(nproc)" \
		KDIR="$kdir" COVERAGE="${TESTBED_COVERAGE-}" modules
}

tests_make()
{
	in_root make -C /project/tests --no-print-directory -j"$(nproc)"
}

# What depmod must see: the kernel's modules, ours under updates/. The stock
# kernel's are in the root already. A layer never changes: a machine may be
# running on it.
layer_make()
{
	local partial=$kbuild/layer.partial
	local installed=$partial/usr/lib/modules/$release

	rm -rf "$partial"
	mkdir -p "$installed/updates"
	cp "$modules"/*.ko "$installed/updates/"
	if [ -n "$kernel_debug" ]; then
		cp -r "$debug/lib/modules/$release"/. "$installed/"
	else
		cp "$root/lib/modules/$release"/modules.{order,builtin,builtin.modinfo} "$installed/"
		ln -s "/lib/modules/$release/kernel" "$installed/kernel"
	fi
	in_root depmod -b "/project${partial#"$top"}/usr" "$release"
	[ -n "$kernel_debug" ] || rm "$installed/kernel"
	cp -r "$qemu"/usr/local "$partial/usr/"
	mv "$partial" "$layer"
	# The last few stay, for machines that run on them.
	find "$kbuild" -maxdepth 1 -name 'layer-*' -printf '%T@ %p\n' | sort -rn |
		tail -n +5 | cut -d' ' -f2- | xargs -r rm -rf --one-file-system
}

# With TESTBED_READY set in the environment, what is built is taken as it is: a run of many
# machines has set everything up before, and all of them see the same.
kernel_setup()
{
	lock "$build"
	kernel_stock
	# L2 runs on the distribution's kernel, whatever L1 runs on.
	initrd_setup "$build/testbed/l2" 9p 9pnet_virtio virtio_blk ext4
	[ -z "$kernel_debug" ] || kernel_of_debug
	initrd_setup "$kbuild" 9p 9pnet_virtio overlay
	if [ -z "${TESTBED_READY-}" ]; then
		step modules "building the modules for $release" modules_make
		step tests "building the tests' programs" tests_make
	fi
	modules_find
	layer_key=$(key_of "$modules"/*.ko -- "$qemu_key" "$root_key" "$kbase")
	layer=$kbuild/layer-$layer_key
	[ -d "$layer" ] || step layer "laying out what is ours" layer_make
}
