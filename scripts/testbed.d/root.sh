# shellcheck shell=bash
# The Debian root: compilers, kernels, tools; L1 boots from it read-only, and
# the modules, QEMU and the tests' programs are built inside it. It is made
# once for each content of its recipe (make-root, root-sources, packages).

root_suite=trixie
root_key=$(key_of "$here"/make-root "$here"/root-sources "$here"/packages -- "$root_suite")
root=$cache/root-$root_key

# In namespaces of its own, so that what mmdebstrap mounts, and whom it starts, go with
# it however it ends: SIGKILL leaves a folder, and no mount in it.
root_make()
{
	unshare --mount --pid --fork --kill-child --mount-proc -- \
		bash "$here/make-root" "$root_suite" "$root.partial"
	mv "$root.partial" "$root"
}

root_setup()
{
	cached "$root" root "making the Debian $root_suite root (from the network, 2 minutes)" \
		root_make
}

# in_root_command COMMAND...: puts into the array in_root what runs COMMAND in
# the root, with the checkout at /project and the cache at /cache. The mounts
# live in a mount namespace and go with COMMAND, however it ends, so that
# nothing of them is ever left on the host.
in_root_command()
{
	in_root=(unshare --mount --pid --fork --kill-child --
		bash "$here/enter-root" "$root" "$top" "$cache" "${run_share-}" "$@")
}

in_root()
{
	local in_root

	in_root_command "$@"
	"${in_root[@]}"
}

# build_in_root NAME PIECE [ARGUMENT]...: build-NAME makes that piece of the cache, in the
# root.
build_in_root()
{
	local name=$1 piece=$2

	shift 2
	in_root bash "/project/scripts/testbed.d/build-$name" \
		"/cache/$name-build.partial" "/cache/${piece##*/}.partial" "$@"
	mv "$piece.partial" "$piece"
	rm -rf "$cache/$name-build.partial"
}
