# shellcheck shell=bash
# The kernel L1 and L2 run on, our modules built for it, the initrd, and the
# layer: the folder that overlayfs lays over the root, with what is ours.

# kernel_select VERSION: sets release (of that kernel) and kbuild (its folder
# under build/).
kernel_select()
{
	[ "$1" = 6.12 ] || die "kernel $1 is not in the testbed yet; there is 6.12"
	kernel_version=$1
	kbuild=$build/testbed/$kernel_version
	mkdir -p "$kbuild"
}

# Known only once the root is there.
kernel_find()
{
	release=$(cd "$root/lib/modules" && echo "$kernel_version".*)
	vmlinuz=$root/boot/vmlinuz-$release
	[ -e "$vmlinuz" ] || die "no kernel $kernel_version in $root: remove that folder and run this again"
}

# Modules that must be there before the root is, in order of their needs.
initrd_modules=(9p 9pnet_virtio overlay)

initrd_make()
{
	local partial=$kbuild/initrd.partial

	rm -rf "$partial"
	in_root bash /project/scripts/testbed.d/build-initrd "$release" \
		"/project/build/testbed/$kernel_version/initrd.partial" "${initrd_modules[@]}"
	mv "$partial/initrd" "$kbuild/initrd"
	rm -rf "$partial"
	echo "$initrd_key" >"$kbuild/initrd.key"
}

modules_make()
{
	in_root make -C /project --no-print-directory \
		KDIR="/lib/modules/$release/build" modules
}

tests_make()
{
	in_root make -C /project/tests --no-print-directory
}

# What depmod must see: the distribution's modules, ours under updates/. A layer
# never changes: a machine may be running on it.
layer_make()
{
	local partial=$kbuild/layer.partial
	local modules=$partial/usr/lib/modules/$release ko

	rm -rf "$partial"
	mkdir -p "$modules/updates"
	for ko in "$build/modules/$release"/*.ko; do
		cp "$ko" "$modules/updates/"
	done
	cp "$root/lib/modules/$release"/modules.{order,builtin,builtin.modinfo} "$modules/"
	ln -s "/lib/modules/$release/kernel" "$modules/kernel"
	in_root depmod -b "/project/build/testbed/$kernel_version/layer.partial/usr" "$release"
	rm "$modules/kernel"
	cp -r "$qemu"/usr/local "$partial/usr/"
	mv "$partial" "$layer"
	# The last few stay, for machines that run on them.
	find "$kbuild" -maxdepth 1 -name 'layer-*' -printf '%T@ %p\n' | sort -rn |
		tail -n +5 | cut -d' ' -f2- | xargs -r rm -rf --one-file-system
}

kernel_setup()
{
	lock "$build"
	kernel_find
	step modules "building the modules for $release" modules_make
	step tests "building the tests' programs" tests_make
	initrd_key=$(key_of "$here"/{build-initrd,initrd-init,vm-init} -- "$release" "$root_key")
	[ "$(cat "$kbuild/initrd.key" 2>/dev/null)" = "$initrd_key" ] ||
		step initrd "making the initrd" initrd_make
	layer_key=$(key_of "$build/modules/$release"/*.ko -- "$qemu_key" "$root_key")
	layer=$kbuild/layer-$layer_key
	[ -d "$layer" ] || step layer "laying out what is ours" layer_make
}
