# shellcheck shell=bash
# QEMU: the distribution's source with qemu-patches/10.0, built in the root and
# installed into the cache, keyed by the patches' content.

qemu_find()
{
	local patches=("$top"/qemu-patches/10.0/*.patch)

	[ -e "${patches[0]}" ] || die "this checkout has no qemu-patches/10.0/*.patch"
	qemu_key=$(key_of "${patches[@]}" "$here"/{build-qemu,tcg/*.patch} -- "$root_key")
	qemu=$cache/qemu-$qemu_key
}

qemu_setup()
{
	qemu_find
	cached "$qemu" qemu "building QEMU with our patches (4 minutes on 2 cores)" \
		build_in_root qemu "$qemu"
}
