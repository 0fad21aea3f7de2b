# shellcheck shell=bash
# QEMU: the distribution's source with qemu-patches/10.0, built in the root and
# installed into the cache, keyed by the patches' content.

qemu_find()
{
	local patches=("$top"/qemu-patches/10.0/*.patch)

	[ -e "${patches[0]}" ] || die "this checkout has no qemu-patches/10.0/*.patch"
	qemu_key=$(key_of "${patches[@]}" "$here"/build-qemu -- "$root_key")
	qemu=$cache/qemu-$qemu_key
}

qemu_make()
{
	in_root bash /project/scripts/testbed.d/build-qemu \
		/cache/qemu-build.partial "/cache/${qemu##*/}.partial"
	mv "$qemu.partial" "$qemu"
	rm -rf "$cache/qemu-build.partial"
}

qemu_setup()
{
	qemu_find
	[ -d "$qemu" ] && return
	lock "$cache"
	[ -d "$qemu" ] && return
	drop_partial "$cache"
	step qemu "building QEMU with our patches (4 minutes on 2 cores)" qemu_make
}
